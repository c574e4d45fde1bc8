"""Pools as settings, and the ways into them and out of them over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from app.kernel.listing import query_from_parameters
from app.kernel.record_reads import list_records
from app.modules.customers.services.accounts import ACCOUNT
from tests.modules.customers.pooling import Json, id_of, make_pool, pooled, rows, salespeople, scattered
from tests.modules.support import acting, make
from tests.support.api import Client, Company
from tests.tenants.people import Look, colleague

RULE = {"kind": "no_follow_up", "days": 30, "level_field": "rating", "levels": {"hot": 14, "cold": None}}


async def test_a_pool_is_made_read_changed_and_deleted(owner: Client, company: Company, look: Look) -> None:
    member = id_of(await colleague(company, look))
    team = await make(owner, "teams", name="East")
    made = await make_pool(
        owner,
        admin_ids=[str(company.member_id)],
        member_ids=[member],
        team_ids=[team["id"]],
        holding_limit=50,
        claim_limit_per_day=10,
        recycle_rules=[RULE],
        recycle_exemptions=["won", "open_opportunity"],
        recycle_exempt_tags=["key account"],
        reminder_days=3,
    )
    assert {
        name: made[name] for name in ("object", "name", "version", "is_enabled", "member_ids", "team_ids")
    } == {
        "object": "account",
        "name": {"en": "East", "zh": "华东"},
        "version": 1,
        "is_enabled": True,
        "member_ids": [member],
        "team_ids": [team["id"]],
    }
    assert (made["holding_limit"], made["claim_limit_per_day"], made["recycle_rules"]) == (50, 10, [RULE])
    path = f"/v1/pools/{made['id']}"
    assert await owner.ok("GET", path) == made
    assert (await owner.ok("GET", "/v1/pools?object=account"))["data"] == [made]
    assert (await owner.ok("GET", "/v1/pools?object=lead"))["data"] == []
    changed = await owner.ok("PATCH", path, json={"member_ids": [], "holding_limit": None}, if_match=1)
    assert (changed["version"], changed["member_ids"], changed["holding_limit"]) == (2, [], None)
    only_people = await owner.ok("PATCH", path, json={"member_ids": [member]}, if_match=2)
    assert (only_people["version"], only_people["member_ids"]) == (3, [member])
    stale = await owner.patch(path, {"open_to_all": True}, if_match=2)
    assert (stale.status_code, stale.json()["current_version"]) == (412, 3)
    assert await owner.ok("GET", path) == only_people
    await owner.ok("DELETE", path, if_match=3)
    assert (await owner.get(path)).status_code == 404


@pytest.mark.parametrize(
    ("fields", "pointer", "code"),
    [
        ({"member_ids": ["01980000-0000-7000-8000-000000000000"]}, "/member_ids", "unknown_member"),
        ({"admin_ids": ["01980000-0000-7000-8000-000000000000"]}, "/admin_ids", "unknown_member"),
        ({"team_ids": ["01980000-0000-7000-8000-000000000000"]}, "/team_ids", "unknown_team"),
        ({"recycle_exemptions": ["beautiful"]}, "/recycle_exemptions/0", "unknown_exemption"),
        ({"recycle_rules": [{"kind": "not_won"}]}, "/recycle_rules/0", "days_required"),
        ({"recycle_rules": [{"kind": "not_won", "days": 0}]}, "/recycle_rules/0/days", "greater_than_equal"),
        (
            {"recycle_rules": [RULE | {"level_field": "size"}]},
            "/recycle_rules/0/level_field",
            "unknown_level_field",
        ),
        (
            {"recycle_rules": [RULE | {"levels": {"tepid": 3}}]},
            "/recycle_rules/0/levels/tepid",
            "unknown_level",
        ),
        ({"claim_limit_per_request": 51}, "/claim_limit_per_request", "less_than_equal"),
        ({"view_limit_per_day": 0}, "/view_limit_per_day", "greater_than_equal"),
        ({"object": "contact"}, "/object", "literal_error"),
    ],
)
async def test_a_pool_that_makes_no_sense_is_refused_and_nothing_is_made(
    owner: Client, fields: Json, pointer: str, code: str
) -> None:
    answer = await owner.post("/v1/pools", {"object": "account", "name": {"en": "East"}} | fields)
    assert answer.status_code == 422, answer.text
    assert [(error["pointer"], error["code"]) for error in answer.json()["errors"]] == [(pointer, code)]
    assert (await owner.ok("GET", "/v1/pools"))["data"] == []


async def test_the_last_enabled_pool_of_a_kind_stays_enabled(owner: Client) -> None:
    first, second = await make_pool(owner), await make_pool(owner)
    await make_pool(owner, "lead")  # another kind does not help
    answers = await asyncio.gather(
        *(owner.patch(f"/v1/pools/{p['id']}", {"is_enabled": False}, if_match=1) for p in (first, second))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    refused = next(answer for answer in answers if answer.status_code == 409)
    assert refused.json()["code"] == "last_enabled_pool"
    found = (await owner.ok("GET", "/v1/pools?object=account"))["data"]
    assert sorted((pool["is_enabled"], pool["version"]) for pool in found) == [(False, 2), (True, 1)]


async def test_a_pool_in_which_something_lies_is_not_deleted(owner: Client) -> None:
    pool = await make_pool(owner)
    [account] = await pooled(owner, pool)
    path = f"/v1/pools/{pool['id']}"
    refused = await owner.delete(path, if_match=1)
    assert (refused.status_code, refused.json()["code"], refused.json()["records"]) == (
        409,
        "pool_not_empty",
        1,
    )
    assert await owner.ok("GET", path) == pool
    await owner.ok("POST", f"/v1/accounts/{account['id']}/claim")
    await owner.ok("DELETE", path, if_match=1)


async def test_nothing_is_lost_when_a_pool_is_deleted_while_records_come_in(owner: Client) -> None:
    for _ in range(5):
        pool = await make_pool(owner)
        account = await make(owner, "accounts", name=f"Racer {pool['id']}")
        released, deleted = await asyncio.gather(
            owner.post(
                f"/v1/accounts/{account['id']}/release", {"reason": "x", "pool_id": pool["id"]}, if_match=1
            ),
            owner.delete(f"/v1/pools/{pool['id']}", if_match=1),
        )
        after = await owner.ok("GET", f"/v1/accounts/{account['id']}")
        if deleted.status_code == 204:
            assert (released.status_code, after["pool_id"]) == (422, None)
        else:
            assert (deleted.json()["code"], released.status_code) == ("pool_not_empty", 204)
            assert after["pool_id"] == pool["id"]


async def test_only_those_who_may_manage_pools_change_them(
    owner: Client, company: Company, look: Look
) -> None:
    [hunter] = await salespeople(company, look)
    pool = await make_pool(owner, admin_ids=[id_of(hunter)])
    path = f"/v1/pools/{pool['id']}"
    for answer in (
        await hunter.post("/v1/pools", {"object": "lead", "name": {"en": "Mine"}}),
        await hunter.patch(path, {"is_enabled": False}, if_match=1),
        await hunter.delete(path, if_match=1),
    ):
        assert (answer.status_code, answer.json()["permission"]) == (403, "pool:manage")
    assert (await owner.ok("GET", "/v1/pools"))["data"] == [pool]
    assert await hunter.ok("GET", path) == pool


async def test_a_released_account_belongs_to_nobody_and_so_do_its_contacts(
    owner: Client, company: Company
) -> None:
    pool = await make_pool(owner)
    account = await make(owner, "accounts", name="Acme")
    contact = await make(owner, "contacts", name="Wei Zhang", account_id=account["id"])
    assert (account["owner_id"], account["received_at"]) == (str(company.member_id), account["created_at"])
    path = f"/v1/accounts/{account['id']}"
    await owner.ok("POST", f"{path}/release", json={"reason": "no budget"}, if_match=1)
    found = await owner.ok("GET", path)
    names = ("owner_id", "team_id", "pool_id", "former_owner_id", "received_at", "version", "is_locked")
    assert [found[name] for name in names] == [
        None, None, pool["id"], str(company.member_id), None, 2, False,
    ]  # fmt: skip
    assert found["pooled_at"] == found["updated_at"]
    assert (await owner.ok("GET", f"/v1/contacts/{contact['id']}"))["owner_id"] is None
    again = await owner.post(f"{path}/release", {"reason": "no budget"}, if_match=2)
    assert (again.status_code, again.json()["code"]) == (409, "already_pooled")
    claimed = await owner.ok("POST", f"{path}/claim")
    assert [claimed[name] for name in names] == [
        str(company.member_id), account["team_id"], None, str(company.member_id), claimed["updated_at"], 3, False,
    ]  # fmt: skip
    assert (await owner.ok("GET", f"/v1/contacts/{contact['id']}"))["owner_id"] == str(company.member_id)


async def test_each_movement_says_who_had_it_who_got_it_and_why(owner: Client, company: Company) -> None:
    pool = await make_pool(owner)
    [account] = await pooled(owner, pool)
    await owner.ok("POST", f"/v1/accounts/{account['id']}/claim")
    of_pool = await owner.ok("GET", f"/v1/pools/{pool['id']}/movements")
    of_record = await owner.ok("GET", f"/v1/accounts/{account['id']}/pool-movements")
    assert of_pool["data"] == of_record["data"]
    claimed, released = of_pool["data"]
    me = str(company.member_id)
    names = ("kind", "record_id", "from_owner_id", "to_owner_id", "reason", "rule", "actor_id", "actor_name")
    assert [claimed[name] for name in names] == [
        "claimed", account["id"], None, me, None, None, me, "Olivia Owner",
    ]  # fmt: skip
    assert [released[name] for name in names] == [
        "released", account["id"], me, None, "no time", None, me, "Olivia Owner",
    ]  # fmt: skip
    assert (released["held_since"], released["at"]) == (account["created_at"], account["pooled_at"])
    first = await owner.ok("GET", f"/v1/pools/{pool['id']}/movements?limit=1")
    assert (first["data"], first["has_more"]) == ([claimed], True)
    rest = await owner.ok("GET", f"/v1/pools/{pool['id']}/movements?limit=1&cursor={first['next_cursor']}")
    assert (rest["data"], rest["has_more"], rest["next_cursor"]) == ([released], False, None)
    forged = await owner.get(f"/v1/accounts/{account['id']}/pool-movements?cursor=x{first['next_cursor']}")
    assert (forged.status_code, forged.json()["code"]) == (400, "invalid_cursor")


async def test_audit_and_events_tell_of_both_ways(owner: Client, company: Company) -> None:
    pool = await make_pool(owner)
    [account] = await pooled(owner, pool)
    await owner.ok("POST", f"/v1/accounts/{account['id']}/claim")
    history = (await owner.ok("GET", f"/v1/accounts/{account['id']}/history"))["data"]
    me = str(company.member_id)
    team = (await owner.ok("GET", f"/v1/accounts/{account['id']}"))["team_id"]
    assert [(entry["action"], entry["changes"], entry["reason"]) for entry in history[:2]] == [
        ("claimed", {"pool_id": [pool["id"], None], "owner_id": [None, me], "team_id": [None, team]}, None),
        (
            "released",
            {"pool_id": [None, pool["id"]], "owner_id": [me, None], "team_id": [team, None]},
            "no time",
        ),
    ]
    events = await rows(
        company,
        "SELECT type, data FROM kernel.outbox WHERE tenant_id = $1 AND object = 'account' ORDER BY id",
    )
    assert [row["type"] for row in events] == [
        "customers.account.created.v1",
        "customers.account.updated.v1",
        "customers.account.pooled.v1",
        "customers.account.updated.v1",
        "customers.account.claimed.v1",
    ]
    assert events[2]["data"] == {
        "id": account["id"], "pool_id": pool["id"], "former_owner_id": me, "reason": "no time", "rule": None,
    }  # fmt: skip
    assert events[4]["data"] == {
        "id": account["id"], "pool_id": pool["id"], "owner_id": me, "former_owner_id": me,
    }  # fmt: skip


async def test_a_record_goes_to_the_pool_of_its_owner(owner: Client, company: Company, look: Look) -> None:
    mine, theirs = await salespeople(company, look, 2)
    team = await make(owner, "teams", name="West")
    member = await owner.ok("GET", f"/v1/members/{id_of(theirs)}")
    await owner.ok(
        "PATCH", f"/v1/members/{id_of(theirs)}", json={"team_ids": [team["id"]]}, if_match=member["version"]
    )
    oldest = await make_pool(owner)
    of_mine = await make_pool(owner, member_ids=[id_of(mine)])
    of_team = await make_pool(owner, team_ids=[team["id"]])
    for seller, pool in ((mine, of_mine), (theirs, of_team), (owner, oldest)):
        account = await make(seller, "accounts", name=f"Acme {pool['id']}")
        await seller.ok("POST", f"/v1/accounts/{account['id']}/release", json={"reason": "x"}, if_match=1)
        found = await owner.ok("GET", f"/v1/accounts/{account['id']}")
        assert found["pool_id"] == pool["id"]


async def test_what_cannot_be_released_stays_with_its_owner(
    owner: Client, company: Company, look: Look
) -> None:
    [hunter] = await salespeople(company, look)
    account = await make(hunter, "accounts", name="Acme")
    path = f"/v1/accounts/{account['id']}"
    no_pool = await hunter.post(f"{path}/release", {"reason": "x"}, if_match=1)
    assert (no_pool.status_code, no_pool.json()["code"]) == (409, "no_pool")
    pool, other = await make_pool(owner), await make_pool(owner, is_enabled=False)
    leads = await make_pool(owner, "lead")
    off = await hunter.post(f"{path}/release", {"reason": "x", "pool_id": other["id"]}, if_match=1)
    assert (off.status_code, off.json()["code"]) == (409, "pool_disabled")
    wrong = await hunter.post(f"{path}/release", {"reason": "x", "pool_id": leads["id"]}, if_match=1)
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/pool_id")
    stale = await hunter.post(f"{path}/release", {"reason": "x", "pool_id": pool["id"]}, if_match=2)
    assert stale.status_code == 412
    blank = await hunter.post(f"{path}/release", {"reason": " "}, if_match=1)
    assert blank.status_code == 422
    [stranger] = await salespeople(company, look)
    foreign = await stranger.post(f"{path}/release", {"reason": "x"}, if_match=1)
    assert foreign.status_code == 404
    assert await hunter.ok("GET", path) == account
    moved = await rows(company, "SELECT count(*) FROM customers.pool_movements WHERE tenant_id = $1")
    assert moved[0][0] == 0


async def test_a_new_owner_takes_a_record_out_of_its_pool_and_the_log_says_so(
    owner: Client, company: Company, look: Look
) -> None:
    [hunter] = await salespeople(company, look)
    pool = await make_pool(owner)
    edited, transferred = await pooled(owner, pool, 2)
    changed = await owner.ok(
        "PATCH", f"/v1/accounts/{edited['id']}", json={"owner_id": id_of(hunter)}, if_match=2
    )
    assert (changed["owner_id"], changed["pool_id"], changed["pooled_at"]) == (id_of(hunter), None, None)
    assert changed["received_at"] == changed["updated_at"]
    await owner.ok(
        "POST", "/v1/accounts/transfer", json={"ids": [transferred["id"]], "owner_id": id_of(hunter)}
    )
    moved = (await owner.ok("GET", f"/v1/pools/{pool['id']}/movements"))["data"]
    assert [(m["kind"], m["record_id"], m["to_owner_id"]) for m in moved[:2]] == [
        ("assigned", transferred["id"], id_of(hunter)),
        ("assigned", edited["id"], id_of(hunter)),
    ]


async def test_receipt_and_former_owner_follow_every_change_of_owner(
    owner: Client, company: Company, look: Look
) -> None:
    first, second = await salespeople(company, look, 2)
    account = await make(owner, "accounts", name="Acme", owner_id=id_of(first))
    assert (account["received_at"], account["former_owner_id"]) == (account["created_at"], None)
    path = f"/v1/accounts/{account['id']}"
    given = await owner.ok("PATCH", path, json={"owner_id": id_of(second)}, if_match=1)
    assert (given["received_at"], given["former_owner_id"]) == (given["updated_at"], id_of(first))
    named = await owner.ok("PATCH", path, json={"city": "Lyon"}, if_match=2)
    assert (named["received_at"], named["former_owner_id"]) == (given["received_at"], id_of(first))
    member = await owner.ok("GET", f"/v1/members/{id_of(second)}")
    await owner.ok(
        "POST",
        f"/v1/members/{id_of(second)}/deactivate",
        json={"hand_over_to": str(company.member_id)},
        if_match=member["version"],
    )
    handed = await owner.ok("GET", path)
    assert (handed["owner_id"], handed["former_owner_id"]) == (str(company.member_id), id_of(second))
    assert handed["received_at"] == handed["updated_at"]
    nobody = await owner.ok("PATCH", path, json={"owner_id": None}, if_match=handed["version"])
    assert (nobody["received_at"], nobody["former_owner_id"]) == (None, str(company.member_id))


async def test_pooled_records_are_filtered_and_sorted_by_what_the_pool_says(owner: Client) -> None:
    pool, other = await make_pool(owner), await make_pool(owner)
    older, newer = await pooled(owner, pool, 2)
    await pooled(owner, other)
    await make(owner, "accounts", name="Owned")

    async def listed(query: str) -> list[Any]:
        return [row["id"] for row in (await owner.ok("GET", f"/v1/accounts?{query}"))["data"]]

    assert await listed(f"pool_id={pool['id']}&sort=-pooled_at") == [newer["id"], older["id"]]
    assert await listed(f"pool_id={pool['id']}&sort=pooled_at") == [older["id"], newer["id"]]
    assert len(await listed("pool_id[is_null]=true&received_at[gte]=2000-01-01&is_locked=false")) == 1
    assert await listed(f"pool_id={pool['id']}&pooled_at[lt]={newer['pooled_at']}") == [older["id"]]
    assert await listed(f"former_owner_id={older['id']}&last_follow_up_at[is_null]=true") == []


async def test_a_list_of_pooled_records_is_one_statement_however_many_there_are(
    owner: Client, company: Company, look: Look
) -> None:
    [hunter] = await salespeople(company, look)
    pool = await make_pool(owner, member_ids=[id_of(hunter)], mask_contacts=True)
    await scattered(company, pool, 60)
    kernel = company.app.kernel
    assert kernel is not None
    actor = await kernel.authenticator.authenticate(f"Bearer {hunter.token}", None)
    query = query_from_parameters([("pool_id", pool["id"]), ("limit", "50")])
    async with acting(company, actor) as uow:
        await list_records(uow, ACCOUNT, query)  # the tenant's custom fields are known from here on
        before = uow.statements
        page = orjson.loads(await list_records(uow, ACCOUNT, query))
        assert (len(page["data"]), page["has_more"], uow.statements - before) == (50, True, 1)


async def test_pools_of_another_company_are_unknown(owner: Client, rival: Company) -> None:
    theirs = await make_pool(rival.owner)
    [account] = await pooled(rival.owner, theirs)
    mine = await make(owner, "accounts", name="Acme")
    for answer in (
        await owner.get(f"/v1/pools/{theirs['id']}"),
        await owner.get(f"/v1/pools/{theirs['id']}/movements"),
        await owner.post(f"/v1/pools/{theirs['id']}/claim", {"ids": [account["id"]]}),
        await owner.post(f"/v1/accounts/{account['id']}/claim"),
        await owner.delete(f"/v1/pools/{theirs['id']}", if_match=1),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    own = await make_pool(owner)
    taken = await owner.ok("POST", f"/v1/pools/{own['id']}/claim", json={"ids": [account["id"]]})
    assert taken["results"][0]["error"]["code"] == "not_in_pool"
    refused = await owner.post(
        f"/v1/accounts/{mine['id']}/release", {"reason": "x", "pool_id": theirs["id"]}, if_match=1
    )
    assert refused.status_code == 422
    assert await rival.owner.ok("GET", f"/v1/accounts/{account['id']}") == account


@pytest.mark.parametrize("object_name", ["account", "lead"])
async def test_only_who_manages_pools_locks_records(
    owner: Client, company: Company, look: Look, object_name: str
) -> None:
    [hunter] = await salespeople(company, look)
    record = await make(hunter, f"{object_name}s", name="Acme")
    path = f"/v1/{object_name}s/{record['id']}"
    refused = await hunter.post(f"{path}/lock", if_match=1)
    assert (refused.status_code, (await hunter.ok("GET", path))["is_locked"]) == (403, False)
    locked = await owner.ok("POST", f"{path}/lock", if_match=1)
    assert (locked["is_locked"], locked["version"]) == (True, 2)
    stale = await owner.post(f"{path}/unlock", if_match=1)
    assert stale.status_code == 412
    unlocked = await owner.ok("POST", f"{path}/unlock", if_match=2)
    assert (unlocked["is_locked"], unlocked["version"]) == (False, 3)
