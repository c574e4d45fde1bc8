"""Old ids: they answer with the survivor, take no writes, and stay out of lists; and who may merge at all."""

from __future__ import annotations

from uuid import uuid4

import pytest

from tests.merging.support import Json, Unchanged, accounts, merge, merge_body
from tests.modules.support import acting, make, subject_id
from tests.support.api import Client, Company
from tests.tenants.people import Look, colleague


@pytest.mark.parametrize(
    ("plural", "fields"),
    [
        ("accounts", {"name": "Acme"}),
        ("contacts", {"name": "Ann"}),
        ("leads", {"name": "Ann", "company": "Acme"}),
    ],
)
async def test_an_old_id_answers_with_the_survivor_through_a_chain_of_merges(
    owner: Client, plural: str, fields: Json
):
    made = [await make(owner, plural, **fields) for _ in range(3)]
    first = await merge(owner, plural, made[:2], master_id=made[1]["id"])
    last = await merge(owner, plural, [made[2], first["record"]])
    assert (await owner.get(f"/v1/{plural}/{made[2]['id']}")).headers.get("content-location") is None
    for old in made[:2]:
        answer = await owner.get(f"/v1/{plural}/{old['id']}")
        assert answer.status_code == 200
        assert answer.headers["content-location"] == f"/v1/{plural}/{made[2]['id']}"
        assert answer.headers["etag"] == f'"{last["record"]["version"]}"'
        assert answer.json() == last["record"]
        known = await owner.get(
            f"/v1/{plural}/{old['id']}", headers={"If-None-Match": answer.headers["etag"]}
        )
        assert known.status_code == 304
    listed = await owner.ok("GET", f"/v1/{plural}")
    assert [row["id"] for row in listed["data"]] == [made[2]["id"]]
    found = await owner.ok("GET", f"/v1/{plural}?id[in]={made[0]['id']},{made[1]['id']}")
    assert found["data"] == []


async def test_a_write_to_an_old_id_names_the_survivor_and_changes_nothing(
    company: Company, owner: Client, look: Look, unchanged: Unchanged
):
    one, other, third = await accounts(owner, "Acme", "Acme", "Bolt")
    await merge(owner, "accounts", [one, other])
    member = str((await colleague(company, look)).facts["member_id"])
    path, about = f"/v1/accounts/{other['id']}", {"object": "account", "record_id": other["id"]}
    consent = {"channel": "email", "status": "granted", "source": "web"}
    async with unchanged():
        answers = [
            await owner.patch(path, json={"city": "Rome"}, if_match=1),
            await owner.delete(path, if_match=1),
            await owner.post(f"{path}/shares", json={"member_id": member}),
            await owner.post(f"{path}/consents", json=consent),
            await owner.post(
                "/v1/accounts/transfer", json={"ids": [third["id"], other["id"]], "owner_id": member}
            ),
            await owner.post("/v1/accounts/merge", json=merge_body([third, other])),
            await owner.post("/v1/accounts/merge/preview", json=merge_body([other, third])),
        ]
        refused = [
            await owner.post("/v1/contacts", json={"name": "Ann", "account_id": other["id"]}),
            await owner.post("/v1/opportunities", json={"name": "Deal", "account_id": other["id"]}),
            await owner.post("/v1/activities", json={"kind": "note", "body": "x", "about": [about]}),
        ]
        batch = await owner.ok(
            "POST",
            "/v1/accounts/batch/update",
            json={"items": [{"id": other["id"], "record": {"city": "Rome"}}]},
        )
    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (409, "record_merged")
        assert answer.json()["survivor_id"] == one["id"]
    for answer in refused:
        assert [e["code"] for e in answer.json()["errors"]] == ["unknown_reference"]
    assert batch["results"][0]["error"]["code"] == "record_merged"
    for part in ("/history", "/timeline", "/overview", "/shares"):
        answer = await owner.get(f"{path}{part}")
        assert (answer.status_code, answer.json()["merged_into"]) == (404, one["id"])


async def test_reading_a_record_that_is_there_takes_one_statement(company: Company, owner: Client):
    from app.kernel.record_reads import read_one
    from app.modules.customers.services.accounts import ACCOUNT

    one, other = await accounts(owner, "Acme", "Acme")
    await merge(owner, "accounts", [one, other])
    async with acting(company) as uow:
        await read_one(uow, ACCOUNT, subject_id(one))
        assert uow.statements == 1


# -- who may ------------------------------------------------------------------------------------------------


async def limited(company: Company, look: Look, **grants: str) -> Client:
    named = {f"account:{action}": scope for action, scope in grants.items()}
    body = {"name": f"R{uuid4().hex}", "grants": named}
    role = await company.owner.ok("POST", "/v1/roles", json=body)
    return await colleague(company, look, "viewer", role_ids=[role["id"]])


@pytest.mark.parametrize("lacking", ["merge", "update", "delete"])
async def test_merging_needs_to_merge_and_change_each_and_to_delete_those_that_go(
    company: Company, owner: Client, look: Look, unchanged: Unchanged, lacking: str
):
    grants = dict.fromkeys(("read", "merge", "update", "delete", "assign"), "all")
    client = await limited(company, look, **grants | {lacking: "own"})
    one, other = await accounts(owner, "Acme", "Acme")
    body = merge_body([one, other])
    async with unchanged():
        for path in ("/v1/accounts/merge", "/v1/accounts/merge/preview"):
            answer = await client.post(path, json=body)
            assert (answer.status_code, answer.json()["permission"]) == (403, f"account:{lacking}")
    ids, member = {"delete": [other["id"]]}.get(lacking, [one["id"], other["id"]]), client.facts["member_id"]
    await owner.ok("POST", "/v1/accounts/transfer", json={"ids": ids, "owner_id": member})
    now = [await owner.ok("GET", f"/v1/accounts/{a['id']}") for a in (one, other)]
    assert (await merge(client, "accounts", now))["record"]["id"] == one["id"]


async def test_only_owners_admins_and_managers_merge(
    company: Company, owner: Client, look: Look, unchanged: Unchanged
):
    one, other = await accounts(owner, "Acme", "Acme")
    expected = {"salesperson": None, "viewer": None, "manager": "team_and_below", "admin": "all"}
    for role, scope in expected.items():
        client = await colleague(company, look, role)
        granted = (await client.ok("GET", "/v1/me/permissions"))["grants"]
        scopes = {grant["permission"]: grant["scope"] for grant in granted}
        for name in ("account", "contact", "lead"):
            assert scopes.get(f"{name}:merge") == scope
        if scope is None:
            async with unchanged():
                answer = await client.post("/v1/accounts/merge", json=merge_body([one, other]))
            assert (answer.status_code, answer.json()["permission"]) == (403, "account:merge")


async def test_records_that_one_does_not_see_are_not_there(
    company: Company, owner: Client, rival: Company, look: Look, unchanged: Unchanged
):
    one, other = await accounts(owner, "Acme", "Acme")
    client = await limited(company, look, read="own", merge="all", update="all", delete="all")
    member = client.facts["member_id"]
    await owner.ok("POST", "/v1/accounts/transfer", json={"ids": [one["id"]], "owner_id": member})
    one = await owner.ok("GET", f"/v1/accounts/{one['id']}")
    async with unchanged():
        for who, missing in ((client, [other["id"]]), (rival.owner, [one["id"], other["id"]])):
            for path in ("/v1/accounts/merge", "/v1/accounts/merge/preview"):
                answer = await who.post(path, json=merge_body([one, other]))
                assert (answer.status_code, answer.json()["missing"]) == (404, missing)


async def test_an_old_id_tells_nothing_to_those_who_do_not_see_the_survivor(
    company: Company, owner: Client, look: Look
):
    one, other = await accounts(owner, "Acme", "Acme")
    client = await limited(company, look, read="own", update="own")
    await merge(owner, "accounts", [one, other])
    for answer in (
        await client.get(f"/v1/accounts/{other['id']}"),
        await client.get(f"/v1/accounts/{other['id']}/history"),
        await client.patch(f"/v1/accounts/{other['id']}", json={"city": "Rome"}, if_match=1),
    ):
        assert answer.status_code == 404
        assert one["id"] not in answer.text


async def test_a_stale_version_of_any_record_stops_the_merge(owner: Client, unchanged: Unchanged):
    made = await accounts(owner, "Acme", "Acme", "Acme")
    for account in made:
        now = await owner.ok(
            "PATCH", f"/v1/accounts/{account['id']}", json={"city": "Rome"}, if_match=account["version"]
        )
        async with unchanged():
            answer = await owner.post("/v1/accounts/merge", json=merge_body(made))
        assert (answer.status_code, answer.json()["code"]) == (412, "stale_version")
        assert answer.json()["current_versions"] == {account["id"]: now["version"]}
        account |= now


async def test_a_merge_sent_twice_under_one_key_takes_effect_once(owner: Client):
    one, other = await accounts(owner, "Acme", "Acme")
    body = merge_body([one, other])
    first = await owner.post("/v1/accounts/merge", json=body, key="merge-1")
    again = await owner.post("/v1/accounts/merge", json=body, key="merge-1")
    assert (first.status_code, again.status_code) == (200, 200)
    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"
