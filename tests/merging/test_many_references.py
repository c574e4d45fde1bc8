"""What hangs on a record by the thousand moves in linear time, whatever PostgreSQL knew of the table when it planned."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from tests.merging.support import Json, accounts, merge
from tests.modules.support import make
from tests.support.api import Client, Company
from tests.tenants.people import Look, colleague

MANY = 5_000
_AGAIN = "SELECT (jsonb_populate_record(t, jsonb_build_object('id', gen_random_uuid()))).*"


async def test_thousands_of_deals_go_along_with_a_merge(owner: Client, look: Look) -> None:
    first, second, third = await accounts(owner, "Acme", "Bolt", "Cord")
    deal = await make(owner, "opportunities", name="Deal", account_id=first["id"])
    few = await accounts(owner, "Dyer", "Ernst")
    await make(owner, "opportunities", name="Deal", account_id=few[1]["id"])
    await merge(owner, "accounts", few)  # which plans it for one
    await look.run(
        f"INSERT INTO opportunities.opportunities {_AGAIN} FROM opportunities.opportunities t, generate_series(2, {MANY})"
        " WHERE t.id = $1",
        deal["id"],
    )

    async def merged(master: Json, other: Json) -> None:
        done = await merge(owner, "accounts", [master, other])
        assert done["merge"]["moved"]["opportunities"] == MANY

    unknown = await seconds(lambda: merged(second, first))
    await look.run("ANALYZE opportunities.opportunities")
    second = await owner.ok("GET", f"/v1/accounts/{second['id']}")
    assert unknown < 4 * await seconds(lambda: merged(third, second))


async def test_thousands_of_open_tasks_go_along_with_a_transfer(
    company: Company, owner: Client, look: Look
) -> None:
    (account,) = await accounts(owner, "Acme")
    about = [{"object": "account", "record_id": account["id"]}]
    task = await make(owner, "activities", kind="task", subject="Call", about=about)
    people = [(await colleague(company, look)).facts["member_id"] for _ in range(3)]

    async def transferred(member: str, tasks: int) -> None:
        body = {"ids": [account["id"]], "owner_id": member}
        answer = await owner.ok("POST", "/v1/accounts/transfer", json=body)
        assert answer["went_along"]["activity"] == tasks

    await transferred(people[0], 1)  # plans are made for one
    await look.run(
        f"INSERT INTO activities.activities {_AGAIN} FROM activities.activities t, generate_series(2, {MANY})"
        " WHERE t.id = $1",
        task["id"],
    )
    await look.run(
        "INSERT INTO activities.links SELECT (jsonb_populate_record(l, jsonb_build_object("
        "'id', gen_random_uuid(), 'activity_id', a.id))).*"
        " FROM activities.links l, activities.activities a"
        " WHERE l.activity_id = $1 AND a.tenant_id = l.tenant_id AND a.id <> $1",
        task["id"],
    )
    unknown = await seconds(lambda: transferred(people[1], MANY))
    await look.run("ANALYZE activities.activities")
    await look.run("ANALYZE activities.links")
    assert unknown < 4 * await seconds(lambda: transferred(people[2], MANY))


async def seconds(work: Callable[[], Awaitable[None]]) -> float:
    begun = time.perf_counter()
    await work()
    return time.perf_counter() - begun
