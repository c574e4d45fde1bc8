"""Nobody gives away, or shares, more than they hold: by patch, creation, share, file or somebody else's job."""

from __future__ import annotations

import pytest

from tests.kernel.conftest import make_toy, member_id, refusal

FORBIDDEN = (403, "forbidden")


async def test_a_patch_gives_away_only_what_a_transfer_would(owner, hire, unchanged):
    thief = await hire({"toy:read": "all", "toy:update": "all", "toy:assign": "own"})
    toy = await make_toy(owner)
    async with unchanged():
        answer = await thief.patch(f"/v1/toys/{toy['id']}", {"owner_id": member_id(thief)}, if_match=1)
        assert refusal(answer) == FORBIDDEN
        body = {"items": [{"id": toy["id"], "record": {"owner_id": member_id(thief)}}]}
        results = (await thief.post("/v1/toys/batch/update", body)).json()["results"]
        assert [(item["status"], item["error"]["code"]) for item in results] == [FORBIDDEN]


@pytest.mark.parametrize("through", ["member", "api_key"])
async def test_records_are_made_for_others_and_for_other_teams_only_with_leave_to_assign(
    owner, hire, unchanged, through
):
    team = await owner.ok("POST", "/v1/teams", json={"name": "Elsewhere"})
    maker = await hire({"toy:create": "all", "toy:read": "own", "api_key:create": "all"})
    me = member_id(owner)
    if through == "api_key":
        made = await maker.ok("POST", "/v1/api-keys", json={"name": "Robot"})
        maker.token = made["key"]
    async with unchanged():
        assert refusal(await maker.post("/v1/toys", {"name": "Ball", "owner_id": me})) == FORBIDDEN
        assert refusal(await maker.post("/v1/toys", {"name": "Ball", "team_id": team["id"]})) == FORBIDDEN
        items = [
            {"record": {"name": "Ball", "owner_id": me}},
            {"record": {"name": "Ball", "team_id": team["id"]}},
        ]
        answer = await maker.post("/v1/toys/batch/create", {"items": items, "all_or_none": True})
        assert refusal(answer) == (422, "batch_failed")


async def test_who_may_not_change_a_record_cannot_share_it_with_themselves_to_write(owner, hire, unchanged):
    thief = await hire({"toy:read": "all", "toy:share": "all", "toy:update": "own"})
    toy = await make_toy(owner)
    body = {"member_id": member_id(thief), "access": "write"}
    async with unchanged():
        assert refusal(await thief.post(f"/v1/toys/{toy['id']}/shares", body)) == FORBIDDEN
        assert refusal(await thief.patch(f"/v1/toys/{toy['id']}", {"pieces": 7}, if_match=1)) == FORBIDDEN
    assert (await thief.post(f"/v1/toys/{toy['id']}/shares", body | {"access": "read"})).status_code == 201


async def test_who_may_see_jobs_may_not_stop_those_of_others(owner, company, hire, look, unchanged):
    await owner.ok("POST", "/v1/exports", json={"object": "toy", "format": "csv"})
    job = await look.value(
        "SELECT id FROM kernel.jobs WHERE tenant_id = $1 AND name = 'exports.run'", company.tenant_id
    )
    watcher = await hire({"job:read": "all"})
    assert (await watcher.get(f"/v1/jobs/{job}")).status_code == 200
    async with unchanged():
        assert refusal(await watcher.post(f"/v1/jobs/{job}/cancel")) == FORBIDDEN
    assert (await owner.ok("POST", f"/v1/jobs/{job}/cancel"))["state"] == "cancelled"
