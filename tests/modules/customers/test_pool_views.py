"""Who sees what lies in a pool, how many of it a day, and how much of it in lists."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import orjson

from app.kernel.veils import veiled_text
from app.main import Application
from tests.modules.customers.pooling import (
    Json,
    clock_at,
    id_of,
    make_pool,
    pooled,
    rows,
    salespeople,
    scattered,
)
from tests.modules.support import make
from tests.support.api import Client, Company
from tests.support.fingerprint import changes, fingerprint
from tests.tenants.people import Look, colleague


async def seen(client: Client, query: str = "") -> set[str]:
    return {row["id"] for row in (await client.ok("GET", f"/v1/accounts?{query}"))["data"]}


async def test_members_of_a_pool_see_its_records_in_lists_searches_and_by_id(
    owner: Client, company: Company, look: Look
) -> None:
    member, stranger = await salespeople(company, look, 2)
    pool = await make_pool(owner, member_ids=[id_of(member)])
    [account] = await pooled(owner, pool, name="Heliotrope Works")
    await make(owner, "accounts", name="Heliotrope Owned")
    body = {"filter": {"or": [{"and": [{"field": "pool_id", "op": "eq", "value": pool["id"]}]}]}}
    for client, expected in ((member, {account["id"]}), (stranger, set())):
        assert await seen(client) == expected
        assert await seen(client, "q=heliotrope") == expected
        assert await seen(client, f"pool_id={pool['id']}") == expected
        found = await client.ok("POST", "/v1/accounts/search", json=body)
        assert {row["id"] for row in found["data"]} == expected
        read = await client.get(f"/v1/accounts/{account['id']}")
        assert read.status_code == (200 if expected else 404)
    assert await member.ok("GET", f"/v1/accounts/{account['id']}") == account


async def test_seeing_a_record_in_a_pool_is_no_leave_to_change_it(
    owner: Client, company: Company, look: Look
) -> None:
    [member] = await salespeople(company, look)
    pool = await make_pool(owner, member_ids=[id_of(member)])
    [account] = await pooled(owner, pool)
    path = f"/v1/accounts/{account['id']}"
    refused = await member.patch(path, {"name": "Mine"}, if_match=2)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    released = await member.post(f"{path}/release", {"reason": "x"}, if_match=2)
    assert released.status_code == 403
    assert await owner.ok("GET", path) == account


async def test_what_one_sees_follows_every_change_of_the_pool_at_once(
    owner: Client, company: Company, look: Look
) -> None:
    [member] = await salespeople(company, look)
    pool, _ = await make_pool(owner), await make_pool(owner)
    [account] = await pooled(owner, pool)
    team = await make(owner, "teams", name="East")
    me = await owner.ok("GET", f"/v1/members/{id_of(member)}")
    path, version = f"/v1/pools/{pool['id']}", 1
    expected: list[tuple[Json, bool]] = [
        ({"member_ids": [id_of(member)]}, True),
        ({"member_ids": []}, False),
        ({"open_to_all": True}, True),
        ({"is_enabled": False}, False),
        ({"admin_ids": [id_of(member)]}, True),
        ({"admin_ids": [], "is_enabled": True, "open_to_all": False, "team_ids": [team["id"]]}, False),
    ]
    for change, visible in expected:
        version = (await owner.ok("PATCH", path, json=change, if_match=version))["version"]
        assert await seen(member) == ({account["id"]} if visible else set()), change
    await owner.ok(
        "PATCH", f"/v1/members/{me['id']}", json={"team_ids": [team["id"]]}, if_match=me["version"]
    )
    assert await seen(member) == {account["id"]}


async def test_the_reach_of_a_member_is_one_comparison_with_the_pools_ids(
    owner: Client, company: Company, look: Look
) -> None:
    from app.kernel.access import visible_rows
    from app.kernel.listing import Bindings

    [member] = await salespeople(company, look)
    kernel = company.app.kernel
    assert kernel is not None

    async def condition(object_name: str, action: str) -> str | None:
        actor = await kernel.authenticator.authenticate(f"Bearer {member.token}", None)
        return visible_rows(actor, object_name, action, Bindings())

    without = await condition("account", "read")
    await make_pool(owner, member_ids=[id_of(member)])
    assert await condition("account", "read") == f"{str(without)[:-1]} OR t.pool_id = ANY($3::uuid[]))"
    assert "pool_id" not in str(await condition("account", "update"))
    assert "pool_id" not in str(await condition("lead", "read"))


async def test_a_member_opens_so_many_records_a_day_and_each_once(
    owner: Client, company: Company, look: Look
) -> None:
    member, boss = await salespeople(company, look, 2)
    pool = await make_pool(owner, open_to_all=True, admin_ids=[id_of(boss)], view_limit_per_day=2)
    accounts = [account["id"] for account in await pooled(owner, pool, 3)]
    with clock_at(company.app, datetime(2026, 3, 2, 23, 30, tzinfo=UTC)) as clock:
        for _ in range(3):
            await member.ok("GET", f"/v1/accounts/{accounts[0]}")
        for path in ("overview", "history", "pool-movements"):
            await member.ok("GET", f"/v1/accounts/{accounts[1]}/{path}")
        before = await fingerprint(look.connection, company.tenant_id)
        for path in ("", "/overview", "/history", "/hierarchy", "/shares", "/pool-movements"):
            refused = await member.get(f"/v1/accounts/{accounts[2]}{path}")
            problem = refused.json()
            assert (refused.status_code, problem["code"], problem["limit"], problem["day"]) == (
                429, "pool_view_limit_reached", 2, "2026-03-02",
            )  # fmt: skip
            assert "Pooled" not in refused.text
        timeline = await member.get(f"/v1/timeline?object=account&record_id={accounts[2]}")
        assert timeline.status_code == 429
        assert changes(before, await fingerprint(look.connection, company.tenant_id)) == {}
        assert len(await seen(member)) == 3  # lists are not concerned
        await member.ok("GET", f"/v1/accounts/{accounts[1]}")
        for free in (boss, owner):
            await free.ok("GET", f"/v1/accounts/{accounts[2]}")
        clock.advance(minutes=30)
        await member.ok("GET", f"/v1/accounts/{accounts[2]}")
    found = await rows(
        company, "SELECT day, views FROM customers.pool_uses WHERE tenant_id = $1 ORDER BY day"
    )
    assert [(row["day"].isoformat(), row["views"]) for row in found] == [("2026-03-02", 2), ("2026-03-03", 1)]


async def test_a_hundred_records_opened_at_once_at_a_limit_of_ten_show_ten(
    owner: Client, company: Company, look: Look
) -> None:
    [member] = await salespeople(company, look)
    pool = await make_pool(owner, member_ids=[id_of(member)], view_limit_per_day=10)
    accounts = await scattered(company, pool, 50)
    answers = await asyncio.gather(*(member.get(f"/v1/accounts/{id}") for id in [*accounts, *accounts]))
    assert len({a.json()["id"] for a in answers if a.status_code == 200}) == 10
    assert set(Counter(a.status_code for a in answers)) == {200, 429}
    [use] = await rows(company, "SELECT views FROM customers.pool_uses WHERE tenant_id = $1")
    views = await rows(company, "SELECT count(*) FROM customers.pool_views WHERE tenant_id = $1")
    assert (use["views"], views[0][0]) == (10, 10)


CONTACTS: Json = {
    "name": "Quokka Ltd",
    "phone": "+86 138 0000 5678",
    "phones": ["+86 139 1111 2222"],
    "email": "zhang@quokka.example",
    "emails": ["li@quokka.example"],
}
VEILED: Json = {
    "phone": "******5678",
    "phones": ["******2222"],
    "email": "z***@quokka.example",
    "emails": ["l***@quokka.example"],
}


def shown(row: Json) -> Json:
    return {name: row[name] for name in VEILED if name in row}


async def test_lists_show_addresses_and_numbers_in_part_until_a_record_is_claimed(
    owner: Client, company: Company, look: Look
) -> None:
    member, boss = await salespeople(company, look, 2)
    viewer = await colleague(company, look, "viewer")
    pool = await make_pool(owner, open_to_all=True, admin_ids=[id_of(boss)], mask_contacts=True)
    plain = await make_pool(owner, open_to_all=True)
    [account] = await pooled(owner, pool, **CONTACTS)
    [open_one] = await pooled(
        owner, plain, **(CONTACTS | {"name": "Numbat Ltd", "email": "n@numbat.example", "emails": []})
    )
    query = f"pool_id={pool['id']}"
    for client in (member, viewer):
        listed = (await client.ok("GET", f"/v1/accounts?{query}"))["data"]
        assert [shown(row) for row in listed] == [VEILED]
        chosen = (await client.ok("GET", f"/v1/accounts?{query}&fields=email,name"))["data"]
        assert chosen == [{"id": account["id"], "email": VEILED["email"], "name": "Quokka Ltd"}]
        searched = await client.ok("POST", "/v1/accounts/search", json={"query": "quokka"})
        assert [shown(row) for row in searched["data"]] == [VEILED]
        others = (await client.ok("GET", f"/v1/accounts?pool_id={plain['id']}"))["data"]
        assert shown(others[0]) == shown(open_one)
    for client in (boss, owner):
        assert (await client.ok("GET", f"/v1/accounts?{query}"))["data"] == [account]
    assert shown(await member.ok("GET", f"/v1/accounts/{account['id']}")) == shown(account)
    await member.ok("POST", f"/v1/accounts/{account['id']}/claim")
    mine = (await member.ok("GET", f"/v1/accounts?owner_id={id_of(member)}"))["data"]
    assert [shown(row) for row in mine] == [shown(account)]


async def test_what_is_veiled_is_not_found_by_guessing(owner: Client, company: Company, look: Look) -> None:
    [member] = await salespeople(company, look)
    pool = await make_pool(owner, open_to_all=True, mask_contacts=True)
    [account] = await pooled(owner, pool, **CONTACTS)
    [numbered] = await pooled(owner, pool, name="Route 66 Motors")
    own = await make(member, "accounts", name="Own Ltd", phone="+86 138 0000 9999", email="own@mine.example")
    for query in (
        "phone[starts_with]=%2B86 138", "email=zhang@quokka.example", "emails[has_any]=li@quokka.example",
        "sort=phone", "sort=-email", "q=5678", "q=zhang@quokka.example",
    ):  # fmt: skip
        found = await seen(member, query)
        assert account["id"] not in found, query
        assert account["id"] in await seen(owner, query), query
    assert await seen(member, "phone[starts_with]=%2B86 138") == {own["id"]}
    assert await seen(member, "q=quokka") == {account["id"]}
    assert await seen(member, "q=66") == {numbered["id"]}


async def test_exports_are_veiled_as_lists_are(owner: Client, company: Company, look: Look) -> None:
    role = await make(
        owner,
        "roles",
        name="Exporter",
        grants={"account:read": "all", "account:export": "all"},
    )
    exporter = await colleague(company, look, "viewer", role_ids=[role["id"]])
    pool = await make_pool(owner, mask_contacts=True)
    await pooled(owner, pool, **CONTACTS)
    for client, expected in ((exporter, VEILED["email"]), (owner, CONTACTS["email"])):
        lines = await client.post("/v1/exports/stream", {"object": "accounts", "format": "ndjson"})
        assert orjson.loads(lines.content.splitlines()[0])["email"] == expected
        table = await client.post(
            "/v1/exports/stream",
            {"object": "accounts", "format": "csv", "fields": ["name", "email", "phones"]},
        )
        assert table.text.splitlines()[1].split(",")[1] == expected


async def test_the_live_stream_does_not_show_what_lies_in_pools(
    owner: Client, company: Company, look: Look
) -> None:
    from uuid import UUID

    from app.kernel.stream import StreamedEvent, visible

    [member] = await salespeople(company, look)
    pool = await make_pool(owner, open_to_all=True, mask_contacts=True)
    [account] = await pooled(owner, pool, **CONTACTS)
    kernel = company.app.kernel
    assert kernel is not None
    fields: dict[str, Any] = dict.fromkeys(StreamedEvent.__dataclass_fields__)
    event = StreamedEvent(**(fields | {"object": "account", "record_id": UUID(account["id"])}))
    for client, expected in ((member, 0), (owner, 1)):
        actor = await kernel.authenticator.authenticate(f"Bearer {client.token}", None)
        assert len(await visible(kernel, actor, [event])) == expected


async def test_the_application_without_pools_asks_nothing_more(app: Application, owner: Client) -> None:
    kernel = app.kernel
    assert kernel is not None
    actor = await kernel.authenticator.authenticate(f"Bearer {owner.token}", None)
    assert actor.reach == {}
    account = await make(owner, "accounts", name="Acme")
    answer = await owner.get(f"/v1/accounts/{account['id']}")
    assert answer.status_code == 200


def test_veiled_texts() -> None:
    assert [veiled_text(text) for text in (None, "", "a@b.example", "+8613800005678", "12")] == [
        None, "", "a***@b.example", "******5678", "******12",
    ]  # fmt: skip
