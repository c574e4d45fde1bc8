"""The kept sums equal a recomputation, whatever happens at once, folded or not, and after they were built anew."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any
from uuid import UUID

from app.kernel.jobs import JobRunner
from app.kernel.registry import Schedule
from app.kernel.schedules import ScheduledRun
from app.modules.opportunities.reading.sums import KeptSums
from app.modules.opportunities.reading.upkeep import BUILD, look_after
from tests.modules.opportunities.reading.support import RIGHT, eur, kept_right, usd
from tests.modules.support import acting, make
from tests.support.api import Client, Company
from tests.tenants.people import Look, colleague, role_id

STAGES = ("qualification", "needs_analysis", "proposal", "negotiation", "won")


async def scramble(chance: random.Random, client: Client, record: dict[str, Any], owners: list[str]) -> None:
    """A few random changes of one opportunity, each with the version read before; what is refused is refused."""
    path = f"/v1/opportunities/{record['id']}"
    for _ in range(5):
        found = await client.get(path)
        if found.status_code == 404:
            return
        version = found.json()["version"]
        kind = chance.randrange(8)
        if kind < 3:
            await client.patch(path, {"stage": chance.choice(STAGES)}, if_match=version)
        elif kind == 3:
            amount = chance.choice([None, usd(f"{chance.randrange(1, 9999)}.50"), eur("10.00")])
            await client.patch(path, {"amount": amount}, if_match=version)
        elif kind == 4:
            day = chance.choice([None, "2026-12-31", "2027-01-01"])
            change = {"expected_close_on": day, "probability": chance.randrange(101)}
            await client.patch(path, change, if_match=version)
        elif kind == 5:
            await client.patch(path, {"owner_id": chance.choice(owners)}, if_match=version)
        elif kind == 6:
            loss = {"loss_reason": "price"}
            await client.post(f"{path}/{chance.choice(('lose', 'reopen'))}", loss, if_match=version)
        elif chance.random() < 0.3:
            await client.delete(path, if_match=version)


async def owners_of(company: Company, look: Look) -> list[str]:
    """The owner, and two colleagues in teams of their own."""
    found = [str(company.member_id)]
    for name in ("North", "South"):
        team = await company.owner.ok("POST", "/v1/teams", json={"name": name})
        roles = [await role_id(company, "salesperson")]
        member = await colleague(company, look, name=name, role_ids=roles, team_ids=[team["id"]])
        found.append(member.facts["member_id"])
    return found


async def total(company: Company, table: str = "opportunities.sums") -> int:
    async with acting(company) as uow:
        row = await uow.fetchrow(f"SELECT sum(n), count(*) FROM {table} WHERE tenant_id = $1", uow.tenant_id)
        assert row is not None
        return int(row[0] or 0)


async def test_hundreds_of_changes_at_once_leave_the_sums_right(
    company: Company, owner: Client, look: Look
) -> None:
    chance = random.Random(7)
    owners = await owners_of(company, look)
    made = [
        await make(
            owner, "opportunities", name=f"D{n}", amount=usd(f"{n}.10"), owner_id=chance.choice(owners)
        )
        for n in range(1, 41)
    ]

    async def fold() -> None:
        for _ in range(10):
            async with acting(company) as uow:
                await KeptSums(uow).fold()

    async def build() -> None:
        for _ in range(3):
            async with acting(company) as uow:
                await KeptSums(uow).keep_passages(None)
            async with acting(company) as uow:
                await KeptSums(uow).build()

    # Two writers for each opportunity, and folding and building in between.
    await asyncio.gather(
        *(scramble(random.Random(n), owner, record, owners) for n, record in enumerate(made * 2)),
        fold(),
        build(),
    )
    assert await kept_right(company) == RIGHT
    alive = (await owner.ok("GET", "/v1/opportunities", params={"include": "total"}))["total"]
    assert await total(company) == alive < 40
    async with acting(company) as uow:
        await KeptSums(uow).fold()
    assert await kept_right(company) == RIGHT
    assert await total(company) == alive


async def test_folding_leaves_one_row_per_group_and_changes_no_sum(company: Company, owner: Client) -> None:
    for n in range(5):
        made = await make(owner, "opportunities", name=f"D{n}", amount=usd("1.00"))
        await owner.ok("PATCH", f"/v1/opportunities/{made['id']}", json={"stage": "proposal"}, if_match=1)
    async with acting(company) as uow:
        row = await uow.fetchrow(
            "SELECT count(*) FROM opportunities.sums WHERE tenant_id = $1", uow.tenant_id
        )
        assert row is not None
        assert row[0] == 15  # one for each creation, two for each move
        assert await KeptSums(uow).fold() > 0
        rows = await uow.fetch(
            "SELECT stage, n, amount, weighted FROM opportunities.sums WHERE tenant_id = $1", uow.tenant_id
        )
        assert [tuple(map(str, row)) for row in rows] == [("proposal", "5", "500", "25000")]
        assert await KeptSums(uow).fold() == 0
    assert await kept_right(company) == RIGHT


async def test_transfer_batches_and_deletion_are_counted(company: Company, owner: Client, look: Look) -> None:
    owners = await owners_of(company, look)
    records = [{"record": {"name": f"D{n}", "amount": usd("2.00")}} for n in range(20)]
    answer = await owner.ok("POST", "/v1/opportunities/batch/create", json={"items": records})
    made = [result["id"] for result in answer["results"]]
    await owner.ok("POST", "/v1/opportunities/transfer", json={"ids": made[:10], "owner_id": owners[1]})
    await owner.ok(
        "POST", "/v1/opportunities/batch/delete", json={"items": [{"id": id} for id in made[8:12]]}
    )
    assert await kept_right(company) == RIGHT
    async with acting(company) as uow:
        rows = await uow.fetch(
            "SELECT owner_id, sum(n) AS n FROM opportunities.sums WHERE tenant_id = $1 GROUP BY 1",
            uow.tenant_id,
        )
    assert {str(row["owner_id"]): int(row["n"]) for row in rows} == {owners[0]: 8, owners[1]: 8}


async def test_sums_that_were_never_built_are_built_by_a_job(
    company: Company, owner: Client, look: Look
) -> None:
    made = await make(owner, "opportunities", name="A", amount=usd("3.00"))
    for table in ("sums", "funnel_sums", "passages"):
        await look.run(f"DELETE FROM opportunities.{table} WHERE tenant_id = $1", company.tenant_id)
    assert (await kept_right(company))["opportunities.sums"] == 1
    kernel = company.app.kernel
    assert kernel is not None
    run = ScheduledRun(kernel, await kernel.authenticator.tenant_profile(company.tenant_id))
    await look_after(run)
    await JobRunner(kernel).run_due()
    assert await kept_right(company) == RIGHT
    await look_after(run)
    jobs = await look.value(
        "SELECT count(*) FROM kernel.jobs WHERE tenant_id = $1 AND name = $2", company.tenant_id, BUILD
    )
    assert jobs == 1
    board = await owner.ok("GET", "/v1/opportunities/board")
    assert board["columns"][0]["cards"][0]["id"] == made["id"]
    assert board["columns"][0]["totals"]["amount"] == [usd("3.00")]


async def test_another_time_zone_moves_passages_into_their_new_months(
    company: Company, owner: Client
) -> None:
    from tests.modules.opportunities.reading.support import background, lived

    await lived(company, ("2026-02-28T23:30:00+00:00", {}))
    async with acting(company) as uow:
        row = await uow.fetchrow(
            "SELECT month::text FROM opportunities.passages WHERE tenant_id = $1", uow.tenant_id
        )
        assert row is not None
        assert row[0] == "2026-02-01"
    tenant = await owner.ok("GET", "/v1/tenant")
    change = {"time_zone": "Asia/Shanghai"}
    await owner.ok("PATCH", "/v1/tenant", json=change, if_match=tenant["version"])
    await background(company)
    async with acting(company) as uow:
        row = await uow.fetchrow(
            "SELECT month::text FROM opportunities.passages WHERE tenant_id = $1", uow.tenant_id
        )
        assert row is not None
        assert row[0] == "2026-03-01"
    assert await kept_right(company) == RIGHT


def test_the_schedule_is_registered(app: Any) -> None:
    found = [s for s in app.registry.schedules if s.name == "opportunities.look_after_figures"]
    assert [isinstance(one, Schedule) and one.per_tenant for one in found] == [True]
    assert UUID(int=2**128 - 1).hex == "f" * 32


async def test_passages_of_many_deals_are_found_as_quickly_by_statistics_of_the_first(
    owner: Client, look: Look
) -> None:
    deal = await make(owner, "opportunities", name="First", amount=eur("1.00"))
    tenant = await look.value("SELECT tenant_id FROM opportunities.opportunities WHERE id = $1", deal["id"])
    await look.run("ANALYZE opportunities.opportunities, opportunities.stage_history, opportunities.passages")
    await look.run(
        "SET session_replication_role = replica"
    )  # the triggers would take their time here already
    await look.run(
        "INSERT INTO opportunities.opportunities SELECT (jsonb_populate_record(t, jsonb_build_object("
        "'id', gen_random_uuid()))).* FROM opportunities.opportunities t, generate_series(1, 3000) WHERE t.id = $1",
        deal["id"],
    )
    await look.run(
        "INSERT INTO opportunities.stage_history SELECT (jsonb_populate_record(h, jsonb_build_object("
        "'id', gen_random_uuid(), 'opportunity_id', o.id))).* FROM opportunities.stage_history h,"
        " opportunities.opportunities o WHERE h.opportunity_id = $1 AND o.tenant_id = $2 AND o.id <> $1",
        deal["id"],
        tenant,
    )
    await look.run("SET session_replication_role = origin")

    picked = await look.rows(
        "SELECT id FROM opportunities.opportunities WHERE tenant_id = $1 ORDER BY id LIMIT 500", tenant
    )
    ids = [row["id"] for row in picked]

    async def seconds() -> float:
        await look.run(f"SET app.tenant_id = '{tenant}'; SET ROLE rapport_app")
        begun = time.perf_counter()
        await look.run("SELECT opportunities.keep_passages(ARRAY[$1::uuid], $2::uuid[])", tenant, ids)
        taken = time.perf_counter() - begun
        await look.run("RESET ROLE; RESET app.tenant_id")
        return taken

    as_planned_for_one = await seconds()
    kept = await look.value("SELECT count(*) FROM opportunities.passages WHERE tenant_id = $1", tenant)
    assert kept in (500, 501)  # the first deal has its own
    await look.run("DELETE FROM opportunities.passages WHERE tenant_id = $1", tenant)
    await look.run("ANALYZE opportunities.opportunities, opportunities.stage_history, opportunities.passages")
    assert as_planned_for_one < 8 * await seconds()  # twice; forty times when all met all
