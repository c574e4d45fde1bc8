"""Undoing a merge: everything as it was, but for what somebody changed since; and when it is too late."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from tests.merging.support import (
    Unchanged,
    accounts,
    fill_account,
    merge,
    orphans,
    state,
    undo,
)
from tests.modules.support import make
from tests.support.api import Client, Company
from tests.support.fingerprint import changes, fingerprint
from tests.tenants.billing.plan import allow
from tests.tenants.people import Look, colleague


async def test_undoing_at_once_gives_back_exactly_what_was(company: Company, owner: Client, look: Look):
    made = await accounts(owner, "Acme", "Acme Ltd", "Acme Inc", tags=["x"], emails=["a@acme.example"])
    member = str((await colleague(company, look)).facts["member_id"])
    for account in made:
        await fill_account(owner, account, member)
    for account, key in zip(made, ("industry", "city", "website"), strict=True):
        value = {"website": "https://acme.example"}.get(key, key)
        now = await owner.ok("GET", f"/v1/accounts/{account['id']}")
        await owner.ok(
            "PATCH",
            f"/v1/accounts/{account['id']}",
            json={key: value, "tags": [key]},
            if_match=now["version"],
        )
    made = [await owner.ok("GET", f"/v1/accounts/{account['id']}") for account in made]
    before = await state(company, look)
    answer = await merge(owner, "accounts", made[::-1], master_id=made[0]["id"])
    assert await state(company, look) != before
    back = await undo(owner, answer)
    assert await state(company, look) == before
    assert back["restored_ids"] == sorted(account["id"] for account in made[1:])
    assert back["moved_back"] == answer["merge"]["moved"]
    assert back["fields_kept"] == []
    assert {"city", "website", "tags", "consents"} <= set(back["fields_restored"])
    for account in made:
        now = await owner.ok("GET", f"/v1/accounts/{account['id']}")
        changed = ("version", "updated_at")
        assert {k: v for k, v in now.items() if k not in changed} == {
            k: v for k, v in account.items() if k not in changed
        }
        assert now["version"] == account["version"] + 2


async def test_what_was_changed_since_stays_and_the_rest_comes_back(
    company: Company, owner: Client, look: Look
):
    one = await make(owner, "accounts", name="Acme", tags=["a"])
    other = await make(owner, "accounts", name="Acme", city="Rome", industry="Pumps", tags=["b"])
    stays = await make(owner, "contacts", name="Ann", account_id=other["id"])
    moves = await make(owner, "contacts", name="Bob", account_id=other["id"])
    about = [{"object": "account", "record_id": other["id"]}]
    task = await make(owner, "activities", kind="task", subject="Call", about=about)
    answer = await merge(owner, "accounts", [one, other])
    path = f"/v1/accounts/{one['id']}"
    await owner.ok("PATCH", path, json={"city": "Oslo"}, if_match=2)
    await owner.ok("PATCH", f"/v1/contacts/{stays['id']}", json={"account_id": None}, if_match=2)
    new = await make(owner, "contacts", name="Cy", account_id=one["id"])
    later = {"happened_at": "2026-01-05T10:00:00Z"}  # editing makes the activity's links anew
    await owner.ok("PATCH", f"/v1/activities/{task['id']}", json=later, if_match=2)
    back = await undo(owner, answer)
    assert back["fields_kept"] == ["city", "completeness"]
    assert {"industry", "tags"} <= set(back["fields_restored"])
    survivor = await owner.ok("GET", path)
    assert (survivor["city"], survivor["industry"], survivor["tags"]) == ("Oslo", None, ["a"])
    assert survivor["completeness"] == 15  # name 10, city 5: it follows from what is there
    for contact, account in ((stays, None), (moves, other["id"]), (new, one["id"])):
        now = await owner.ok("GET", f"/v1/contacts/{contact['id']}")
        assert now["account_id"] == account
    assert back["moved_back"] == {"contacts": 1, "activities": 1}
    assert (await owner.ok("GET", f"/v1/activities/{task['id']}"))["about"] == about
    timeline = (await owner.ok("GET", f"/v1/accounts/{other['id']}/timeline"))["data"]
    assert "Call" in {entry["title"] for entry in timeline}
    assert await orphans(company, look) == {}


async def test_a_chain_of_merges_is_undone_the_last_first(company: Company, owner: Client, look: Look):
    made = await accounts(owner, "A", "B", "C")
    contact = await make(owner, "contacts", name="Ann", account_id=made[0]["id"])
    before = await state(company, look)
    first = await merge(owner, "accounts", [made[1], made[0]])
    between = await state(company, look)
    second = await merge(owner, "accounts", [made[2], first["record"]])
    refused = await owner.post(f"/v1/merges/{first['merge']['id']}/undo")
    assert (refused.status_code, refused.json()["code"]) == (409, "merge_not_undoable")
    assert (refused.json()["reason"], refused.json()["survivor_id"]) == ("survivor_merged", made[2]["id"])
    await undo(owner, second)
    assert await state(company, look) == between
    assert (await owner.ok("GET", f"/v1/contacts/{contact['id']}"))["account_id"] == made[1]["id"]
    await undo(owner, first)
    assert await state(company, look) == before


async def test_an_earlier_merge_into_the_same_record_is_undone_by_itself(owner: Client):
    made = await accounts(owner, "A", "B", "C")
    contacts = [await make(owner, "contacts", name=a["name"], account_id=a["id"]) for a in made]
    first = await merge(owner, "accounts", made[:2])
    await merge(owner, "accounts", [first["record"], made[2]])
    await undo(owner, first)
    named = [(await owner.ok("GET", f"/v1/contacts/{c['id']}"))["account_id"] for c in contacts]
    assert named == [made[0]["id"], made[1]["id"], made[0]["id"]]
    again = await merge(
        owner,
        "accounts",
        [await owner.ok("GET", f"/v1/accounts/{made[n]['id']}") for n in (1, 0)],
    )
    assert again["record"]["id"] == made[1]["id"]
    assert (await owner.get(f"/v1/accounts/{made[2]['id']}")).json()["id"] == made[1]["id"]


async def test_a_merged_records_own_references_follow_later_merges(
    company: Company, owner: Client, look: Look
):
    """Ann's account was merged while she was merged away herself: she comes back with the one that survived."""
    acme, bolt = await accounts(owner, "Acme", "Bolt")
    ann = await make(owner, "contacts", name="Ann", account_id=bolt["id"])
    lee = await make(owner, "contacts", name="Lee")
    contacts = await merge(owner, "contacts", [lee, ann], fields={"account_id": lee["id"]})
    merged = await merge(owner, "accounts", [acme, bolt])
    await undo(owner, contacts)
    assert (await owner.ok("GET", f"/v1/contacts/{ann['id']}"))["account_id"] == acme["id"]
    assert await orphans(company, look) == {}
    await undo(owner, merged)
    assert (await owner.ok("GET", f"/v1/contacts/{ann['id']}"))["account_id"] == bolt["id"]


async def test_a_parent_that_was_deleted_meanwhile_is_not_named_by_what_comes_back(
    company: Company, owner: Client, look: Look
):
    parent, one = await accounts(owner, "Parent", "One")
    other = await make(owner, "accounts", name="Other", parent_id=parent["id"])
    answer = await merge(owner, "accounts", [one, other], fields={"parent_id": one["id"]})
    await owner.ok("DELETE", f"/v1/accounts/{parent['id']}", if_match=1)
    await undo(owner, answer)
    assert (await owner.ok("GET", f"/v1/accounts/{other['id']}"))["parent_id"] is None
    assert await orphans(company, look) == {}


# -- too late ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["undone", "expired", "survivor_merged", "survivor_deleted"])
async def test_what_is_too_late_is_refused_and_changes_nothing(
    company: Company, owner: Client, look: Look, unchanged: Unchanged, reason: str
):
    one, other, third = await accounts(owner, "Acme", "Acme", "Acme")
    answer = await merge(owner, "accounts", [one, other])
    id = answer["merge"]["id"]
    if reason == "undone":
        await undo(owner, answer)
    elif reason == "expired":
        await look.run(
            "UPDATE kernel.merges SET undo_until = undo_until - $2::interval WHERE id = $1",
            UUID(id),
            timedelta(days=30, seconds=60),
        )
    elif reason == "survivor_merged":
        await merge(owner, "accounts", [third, answer["record"]])
    else:
        await owner.ok("DELETE", f"/v1/accounts/{one['id']}", if_match=2)
    async with unchanged():
        refused = await owner.post(f"/v1/merges/{id}/undo")
    assert (refused.status_code, refused.json()["code"]) == (409, "merge_not_undoable")
    assert refused.json()["reason"] == reason
    assert (await owner.ok("GET", f"/v1/merges/{id}"))["merged_ids"] == [other["id"]]


async def test_a_value_that_only_one_may_have_and_another_took_stands_in_the_way(
    owner: Client, unchanged: Unchanged
):
    one = (await accounts(owner, "Acme"))[0]
    other = await make(owner, "accounts", name="Acme", external_id="E-1")
    answer = await merge(owner, "accounts", [one, other], fields={"external_id": one["id"]})
    await make(owner, "accounts", name="Bolt", external_id="E-1")
    async with unchanged():
        refused = await owner.post(f"/v1/merges/{answer['merge']['id']}/undo")
    assert (refused.status_code, refused.json()["code"]) == (409, "duplicate_value")


async def test_undoing_needs_the_right_to_merge_and_a_record_that_one_sees(
    company: Company, owner: Client, rival: Company, look: Look, unchanged: Unchanged
):
    one, other = await accounts(owner, "Acme", "Acme")
    answer = await merge(owner, "accounts", [one, other])
    path = f"/v1/merges/{answer['merge']['id']}"
    reader = await company.owner.ok(
        "POST", "/v1/roles", json={"name": f"R{uuid4().hex}", "grants": {"account:read": "all"}}
    )
    blind = await company.owner.ok(
        "POST",
        "/v1/roles",
        json={"name": f"B{uuid4().hex}", "grants": {"account:read": "own", "account:merge": "all"}},
    )
    reading = await colleague(company, look, "viewer", role_ids=[reader["id"]])
    blinded = await colleague(company, look, "viewer", role_ids=[blind["id"]])
    async with unchanged():
        refused = await reading.post(f"{path}/undo")
        assert (refused.status_code, refused.json()["permission"]) == (403, "account:merge")
        for client in (blinded, rival.owner):
            assert (await client.post(f"{path}/undo")).status_code == 404
            assert (await client.get(path)).status_code == 404
            assert (await client.get(f"{path}/records/{other['id']}/history")).status_code == 404
            assert (await client.ok("GET", "/v1/merges"))["data"] == []
    assert (await reading.ok("GET", path))["survivor_id"] == one["id"]


async def test_merges_are_listed_newest_first_by_type_and_by_record(owner: Client):
    made = await accounts(owner, "A", "B", "C", "D")
    first = await merge(owner, "accounts", made[:2])
    second = await merge(owner, "accounts", made[2:])
    leads = [await make(owner, "leads", name=name) for name in ("Ann", "Anne")]
    third = await merge(owner, "leads", leads)
    await undo(owner, second)

    async def listed(query: str = "") -> list[str]:
        return [row["id"] for row in (await owner.ok("GET", f"/v1/merges{query}"))["data"]]

    ids = [answer["merge"]["id"] for answer in (third, second, first)]
    assert await listed() == ids
    assert await listed("?object=account") == ids[1:]
    assert await listed(f"?record_id={made[1]['id']}") == [ids[2]]
    page = await owner.ok("GET", "/v1/merges?limit=2")
    assert (page["has_more"], [row["id"] for row in page["data"]]) == (True, ids[:2])
    assert page["data"][1]["undone_at"] is not None
    rest = await owner.ok("GET", f"/v1/merges?limit=2&cursor={page['next_cursor']}")
    assert (rest["has_more"], [row["id"] for row in rest["data"]]) == (False, ids[2:])


async def test_what_comes_back_needs_room_in_the_plan(company: Company, owner: Client, look: Look):
    made = await accounts(owner, "Acme", "Acme Ltd", "Acme Inc")
    answer = await merge(owner, "accounts", made, master_id=made[0]["id"])
    kept = "SELECT sum(quantity)::bigint FROM kernel.usage_records WHERE tenant_id = $1 AND metric = 'records.kept'"
    used = await look.value(kept, company.tenant_id)
    await allow(company, look, records=used + 1)
    before = await fingerprint(look.connection, company.tenant_id)
    refused = await owner.post(f"/v1/merges/{answer['merge']['id']}/undo")
    assert (refused.status_code, refused.json()["code"]) == (403, "plan_limit_reached")
    assert (refused.json()["allowed"], refused.json()["used"]) == (used + 1, used)
    assert changes(before, await fingerprint(look.connection, company.tenant_id)) == {}
