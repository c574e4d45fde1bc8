"""Leads lie in pools by the same mechanism as accounts: what is particular about them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest

from app.modules.customers.interface import Pools
from tests.modules.customers.pooling import (
    clock_at,
    id_of,
    make_pool,
    pooled,
    recycled,
    rows,
    salespeople,
)
from tests.modules.leads.shares import rule, team_of
from tests.modules.support import acting, make
from tests.support.api import Client, Company
from tests.tenants.people import Look


@pytest.fixture
async def look(worker_database: str) -> AsyncIterator[Look]:
    """A look into the database as its superuser."""
    connection = await asyncpg.connect(worker_database)
    try:
        yield Look(connection)
    finally:
        await connection.close()


async def test_a_lead_is_released_seen_by_members_and_claimed_once(
    owner: Client, company: Company, look: Look
) -> None:
    people = await salespeople(company, look, 3)
    pool = await make_pool(owner, "lead", member_ids=[id_of(person) for person in people], mask_contacts=True)
    [lead] = await pooled(owner, pool, email="zhang@quokka.example", phone="+86 138 0000 5678")
    assert [lead[name] for name in ("owner_id", "pool_id", "former_owner_id", "status")] == [
        None, pool["id"], str(company.member_id), "new",
    ]  # fmt: skip
    [listed] = (await people[0].ok("GET", f"/v1/leads?pool_id={pool['id']}"))["data"]
    assert (listed["email"], listed["phone"]) == ("z***@quokka.example", "******5678")
    answers = await asyncio.gather(*(people[n % 3].post(f"/v1/leads/{lead['id']}/claim") for n in range(90)))
    assert Counter(answer.is_success for answer in answers) == {True: 1, False: 89}
    claimed = next(answer.json() for answer in answers if answer.is_success)
    assert (claimed["email"], claimed["pool_id"], claimed["version"]) == ("zhang@quokka.example", None, 3)
    moved = (await owner.ok("GET", f"/v1/leads/{lead['id']}/pool-movements"))["data"]
    assert [(m["kind"], m["object"], m["to_owner_id"]) for m in moved] == [
        ("claimed", "lead", claimed["owner_id"]), ("released", "lead", None),
    ]  # fmt: skip
    types = await rows(
        company, "SELECT type FROM kernel.outbox WHERE tenant_id = $1 AND object = 'lead' ORDER BY id"
    )
    assert [row["type"] for row in types if "updated" not in row["type"]] == [
        "leads.lead.created.v1", "leads.lead.pooled.v1", "leads.lead.claimed.v1",
    ]  # fmt: skip


async def test_a_finished_lead_goes_into_no_pool(owner: Client, company: Company) -> None:
    with clock_at(company.app) as clock:
        await make_pool(owner, "lead", open_to_all=True, recycle_rules=[{"kind": "no_follow_up", "days": 10}])
        bad = await make(owner, "leads", name="Bad")
        await owner.ok("POST", f"/v1/leads/{bad['id']}/disqualify", json={"reason": "no_budget"}, if_match=1)
        done = await make(owner, "leads", name="Done", company="Done Ltd")
        await owner.ok("POST", f"/v1/leads/{done['id']}/convert", json={}, if_match=1)
        idle = await make(owner, "leads", name="Idle")
        clock.advance(days=10)
        assert await recycled(company) == 1
        found = {lead["id"]: lead for lead in (await owner.ok("GET", "/v1/leads"))["data"]}
        assert [id for id, lead in found.items() if lead["pool_id"]] == [idle["id"]]
        for lead in (bad, done):
            path, version = f"/v1/leads/{lead['id']}", found[lead["id"]]["version"]
            refused = await owner.post(f"{path}/release", {"reason": "x"}, if_match=version)
            assert (refused.status_code, refused.json()["code"]) == (409, "record_closed")
            assert await owner.ok("GET", path) == found[lead["id"]]


async def test_converted_leads_do_not_count_for_a_holding_limit(
    owner: Client, company: Company, look: Look
) -> None:
    [hunter] = await salespeople(company, look)
    pool = await make_pool(owner, "lead", open_to_all=True, holding_limit=1)
    held = await make(owner, "leads", name="Held", company="Held Ltd", owner_id=id_of(hunter))
    [lead] = await pooled(owner, pool)
    refused = await hunter.post(f"/v1/leads/{lead['id']}/claim")
    assert (refused.status_code, refused.json()["code"], refused.json()["limit"]) == (
        409, "holding_limit_reached", 1,
    )  # fmt: skip
    assert await owner.ok("GET", f"/v1/leads/{lead['id']}") == lead
    await owner.ok("POST", f"/v1/leads/{held['id']}/convert", json={}, if_match=1)
    assert (await hunter.ok("POST", f"/v1/leads/{lead['id']}/claim"))["owner_id"] == id_of(hunter)


async def test_a_pooled_lead_that_is_converted_leaves_its_pool(owner: Client, company: Company) -> None:
    pool = await make_pool(owner, "lead")
    [lead] = await pooled(owner, pool, company="Quokka Ltd")
    await owner.ok("POST", f"/v1/leads/{lead['id']}/convert", json={}, if_match=2)
    found = await owner.ok("GET", f"/v1/leads/{lead['id']}")
    assert (found["status"], found["pool_id"], found["owner_id"]) == (
        "converted", None, str(company.member_id),
    )  # fmt: skip
    moved = (await owner.ok("GET", f"/v1/pools/{pool['id']}/movements"))["data"]
    assert [m["kind"] for m in moved] == ["assigned", "released"]


async def test_a_lead_has_its_own_levels(owner: Client) -> None:
    rule = {"kind": "not_won", "level_field": "lifecycle_stage", "levels": {"lead": 5}}
    refused = await owner.post(
        "/v1/pools", {"object": "lead", "name": {"en": "Leads"}, "recycle_rules": [rule]}
    )
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "unknown_level_field")
    made = await make_pool(
        owner, "lead", recycle_rules=[rule | {"level_field": "rating", "levels": {"hot": 5}}]
    )
    assert made["recycle_rules"][0]["levels"] == {"hot": 5}


async def test_imported_leads_are_received_when_they_come_in(owner: Client, company: Company) -> None:
    with clock_at(company.app) as clock:
        made = await make(owner, "leads", name="Old", created_at="2020-01-01T00:00:00Z")
        assert (made["created_at"], made["received_at"]) == ("2020-01-01T00:00:00Z", "2026-03-02T09:00:00Z")
        await make_pool(owner, "lead", open_to_all=True, recycle_rules=[{"kind": "no_follow_up", "days": 10}])
        clock.advance(days=9)
        assert await recycled(company) == 0


async def test_imports_keep_receipt_and_take_records_out_of_their_pools(
    owner: Client, company: Company
) -> None:
    from tests.modules.leads.test_imports import run

    with clock_at(company.app) as clock:
        pool = await make_pool(owner, "lead")
        made = await run(company, b"external_id,name\nL1,Ann\n")
        assert made["created"] == 1
        [lead] = (await owner.ok("GET", "/v1/leads"))["data"]
        assert (lead["owner_id"], lead["received_at"]) == (str(company.member_id), "2026-03-02T09:00:00Z")
        body = {"reason": "x", "pool_id": pool["id"]}
        await owner.ok("POST", f"/v1/leads/{lead['id']}/release", json=body, if_match=1)
        clock.advance(days=2)
        email = company.email.encode()
        changed = await run(company, b"external_id,owner\nL1," + email + b"\n", mode="update")
        assert (changed["updated"], changed["failed"]) == (1, 0)
        found = await owner.ok("GET", f"/v1/leads/{lead['id']}")
        assert [found[name] for name in ("owner_id", "pool_id", "pooled_at", "received_at")] == [
            str(company.member_id), None, None, "2026-03-04T09:00:00Z",
        ]  # fmt: skip
        moved = (await owner.ok("GET", f"/v1/leads/{lead['id']}/pool-movements"))["data"]
        assert [m["kind"] for m in moved] == ["assigned", "released"]


async def test_another_module_puts_records_into_a_pool_whoever_has_them(
    owner: Client, company: Company
) -> None:
    pool = await make_pool(owner, "lead")
    leads = [await make(owner, "leads", name=f"Lead {n}", company=f"Company {n}") for n in range(3)]
    await owner.ok("POST", f"/v1/leads/{leads[2]['id']}/disqualify", json={"reason": "no_budget"}, if_match=1)
    ids = [UUID(lead["id"]) for lead in leads]
    async with acting(company) as uow:
        done = await uow.of(Pools).put("lead", UUID(pool["id"]), ids, reason="no rule took it")
    assert set(done) == set(ids[:2])
    moved = (await owner.ok("GET", f"/v1/pools/{pool['id']}/movements"))["data"]
    assert {(m["kind"], m["record_id"], m["reason"]) for m in moved} == {
        ("released", lead["id"], "no rule took it") for lead in leads[:2]
    }
    async with acting(company) as uow:
        assert list(await uow.of(Pools).put("lead", UUID(pool["id"]), ids, reason="again")) == []


async def test_a_rule_of_assignment_puts_leads_into_a_pool(owner: Client) -> None:
    pool = await make_pool(owner, "lead")
    await rule(owner, target="pool", target_id=pool["id"])
    lead = await make(owner, "leads", name="Nobody's", assign=True)
    assert (lead["owner_id"], lead["pool_id"]) == (None, pool["id"])
    moved = await owner.ok("GET", f"/v1/leads/{lead['id']}/pool-movements")
    assert [entry["reason"] for entry in moved["data"]] == ["Assigned by a rule."]
    accounts = await make_pool(owner, "account")
    refused = await owner.post(
        "/v1/lead-assignment-rules", {"name": "x", "target": "pool", "target_id": accounts["id"]}
    )
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "unknown_reference")


async def test_runs_of_assignment_leave_pooled_leads_to_their_pool(
    owner: Client, company: Company, look: Look
) -> None:
    pool = await make_pool(owner, "lead")
    (lead,) = await pooled(owner, pool)
    team, members = await team_of(company, look, 1)
    await rule(owner, target="team", target_id=team)
    run = await owner.ok("POST", "/v1/leads/assign", json={"ids": [lead["id"]]})
    assert run["assigned"] == 0
    assert await owner.ok("GET", f"/v1/leads/{lead['id']}") == lead
    # Asked for outright, the rules take it out again.
    run = await owner.ok("POST", "/v1/leads/assign", json={"ids": [lead["id"]], "reassign": True})
    assert run["assigned"] == 1
    taken = await owner.ok("GET", f"/v1/leads/{lead['id']}")
    assert (taken["owner_id"], taken["pool_id"], taken["pooled_at"]) == (members[0], None, None)
    assert (taken["former_owner_id"], taken["received_at"]) == (lead["former_owner_id"], taken["assigned_at"])
    moved = await owner.ok("GET", f"/v1/leads/{lead['id']}/pool-movements")
    assert [entry["to_owner_id"] for entry in moved["data"]][:1] == [members[0]]
