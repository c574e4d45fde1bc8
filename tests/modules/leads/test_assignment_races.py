"""Hundreds of leads and members at once: one owner each, shares to the lead, quotas never exceeded."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any
from uuid import UUID

import pytest

from app.kernel.jobs import JobRunner
from tests.modules.leads.shares import activate, api_key, events, ids, lead_rows, people, rule, team_of, where
from tests.modules.support import make
from tests.support.api import Company
from tests.tenants.people import Look, code_of

WEIGHTS = (5, 3, 2)
CAPACITIES = (1_800, 1_200)  # sixty and forty leads in a day


async def shared_out(company: Company, look: Look) -> tuple[list[str], list[str]]:
    """Chinese leads go to three members by weight, German ones to two as far as their quotas go."""
    owner = company.owner
    china, chinese = await team_of(company, look, 3, "China")
    for member, weight in zip(chinese, WEIGHTS, strict=True):
        await owner.ok("PUT", f"/v1/lead-assignees/{member}", json={"weight": weight}, if_match=0)
    germany, german = await team_of(company, look, 2, "Germany")
    for member, capacity in zip(german, CAPACITIES, strict=True):
        await owner.ok("PUT", f"/v1/lead-assignees/{member}", json={"capacity": capacity}, if_match=0)
    for name, team, country, strategy in (
        ("China", china, "CN", "weighted"),
        ("Germany", germany, "DE", "capacity"),
    ):
        await rule(
            owner,
            name=name,
            target="team",
            target_id=team,
            strategy=strategy,
            filter=where("country", "eq", country),
        )
    await activate(owner)
    return chinese, german


async def check(company: Company, chinese: list[str], german: list[str]) -> None:
    rows = await lead_rows(company)
    by_country = {
        country: Counter(str(row["owner_id"]) for row in rows if row["country"] == country)
        for country in ("CN", "DE")
    }
    assert by_country["CN"] == dict(zip(chinese, (125, 75, 50), strict=True))
    assert by_country["DE"] == {german[0]: 60, german[1]: 40, "None": 150}
    assert sum(row["queue_id"] is not None for row in rows) == 150
    assert all((row["owner_id"] is None) != (row["queue_id"] is None) for row in rows)
    told = await events(company, "leads.lead.assigned.v1")
    assert Counter(e["id"] for e in told) == {str(row["id"]): 1 for row in rows}
    log = [await company.owner.ok("GET", f"/v1/leads/{row['id']}/assignments") for row in rows[:5]]
    assert all(len(entries) == 1 for entries in log)


@pytest.mark.slow
async def test_five_hundred_callers_at_once_each_get_one_owner(company: Company, look: Look) -> None:
    chinese, german = await shared_out(company, look)
    program = await api_key(company.owner)
    answers = await asyncio.gather(
        *(
            program.post("/v1/leads", {"name": f"Person {n}", "country": ("CN", "DE")[n % 2]})
            for n in range(500)
        )
    )
    assert Counter(answer.status_code for answer in answers) == {201: 500}
    await check(company, chinese, german)


async def test_one_file_of_five_hundred_is_shared_out_alike(company: Company, look: Look) -> None:
    chinese, german = await shared_out(company, look)
    content = "name,country\n" + "".join(f"Person {n},{('CN', 'DE')[n % 2]}\n" for n in range(500))
    answer = await company.owner.post(
        "/v1/imports", data={"object": "leads"}, files={"file": ("leads.csv", content.encode(), "text/csv")}
    )
    await JobRunner(company.kernel).run_due()
    done = await company.owner.ok("GET", answer.headers["Location"])
    assert (done["state"], done["created"], done["failed"]) == ("completed", 500, 0)
    await check(company, chinese, german)
    assert {row["version"] for row in await lead_rows(company)} == {1}  # so that the import can be undone


async def test_more_than_a_hundred_leads_are_a_job_that_does_each_once(company: Company, look: Look) -> None:
    owner = company.owner
    content = "name,country\n" + "".join(f"Person {n},{('CN', 'DE')[n % 2]}\n" for n in range(500))
    await owner.post(
        "/v1/imports", data={"object": "leads"}, files={"file": ("leads.csv", content.encode(), "text/csv")}
    )
    kernel = company.kernel
    assert kernel is not None
    await JobRunner(kernel).run_due()
    chinese, german = await shared_out(company, look)
    answer = await owner.post(
        "/v1/leads/assign", {"filter": where("name", "starts_with", "Person"), "reassign": True}
    )
    assert (answer.status_code, answer.json()["leads"]) == (202, 500)
    assert (await owner.get(f"/v1/leads?owner_id={company.member_id}&limit=1")).json()["has_more"]
    await JobRunner(kernel).run_due()
    done = await owner.ok("GET", answer.headers["Location"])
    assert (done["state"], done["result"]) == ("completed", {"leads": 500, "assigned": 350, "waiting": 150})
    await check(company, chinese, german)


async def test_no_lead_is_pulled_by_two_members(company: Company, look: Look) -> None:
    owner = company.owner
    members = await people(company, look, 3)
    queue = await owner.ok(
        "POST", "/v1/lead-queues", json={"name": {"en": "Hot", "zh": "热线索"}, "member_ids": ids(members)}
    )
    await rule(owner, target="queue", target_id=queue["id"], strategy="pull")
    for n in range(60):
        await make(owner, "leads", name=f"Lead {n}", assign=True)
    assert (await owner.ok("GET", f"/v1/lead-queues/{queue['id']}"))["waiting"] == 60
    stranger = await owner.post(f"/v1/lead-queues/{queue['id']}/pull", {})
    assert code_of(stranger) == (403, "forbidden")
    assert (await owner.ok("GET", f"/v1/lead-queues/{queue['id']}"))["waiting"] == 60
    oldest = (await members[0].ok("POST", f"/v1/lead-queues/{queue['id']}/pull"))["data"]
    assert [(lead["name"], lead["owner_id"], lead["queue_id"]) for lead in oldest] == [
        ("Lead 0", ids(members)[0], None)
    ]
    answers = await asyncio.gather(
        *(
            members[n % 3].post(f"/v1/lead-queues/{queue['id']}/pull", {"count": 1 + n % 2})
            for n in range(300)
        )
    )
    pulled = [(lead["id"], lead["owner_id"]) for answer in answers for lead in answer.json()["data"]]
    assert len(pulled) == 59
    assert len({id for id, _ in pulled}) == 59
    rows = {str(row["id"]): str(row["owner_id"]) for row in await lead_rows(company)}
    assert rows == {**dict(pulled), oldest[0]["id"]: oldest[0]["owner_id"]}
    log = await owner.ok("GET", f"/v1/leads/{oldest[0]['id']}/assignments")
    assert [entry["cause"] for entry in log] == ["pulled", "created"]
    assert (await members[0].ok("POST", f"/v1/lead-queues/{queue['id']}/pull"))["data"] == []


async def test_many_programs_make_one_default_queue(company: Company) -> None:
    await activate(company.owner)
    program = await api_key(company.owner)
    answers = await asyncio.gather(*(program.post("/v1/leads", {"name": f"P {n}"}) for n in range(100)))
    assert {answer.status_code for answer in answers} == {201}
    [queue] = (await company.owner.ok("GET", "/v1/lead-queues"))["data"]
    assert (queue["waiting"], queue["is_default"]) == (100, True)
    for answer in (
        await company.owner.delete(f"/v1/lead-queues/{queue['id']}", if_match=1),
        await company.owner.patch(f"/v1/lead-queues/{queue['id']}", {"is_default": False}, if_match=1),
    ):
        assert answer.status_code in (409, 422)
    assert (await company.owner.ok("GET", f"/v1/lead-queues/{queue['id']}")) == queue


async def test_a_queue_that_has_the_name_of_the_default_one_becomes_it(company: Company) -> None:
    owner = company.owner
    made = await owner.ok("POST", "/v1/lead-queues", json={"name": {"en": "Unassigned leads"}})
    lead = await make(owner, "leads", name="Ann Lee", assign=True)
    [queue] = (await owner.ok("GET", "/v1/lead-queues"))["data"]
    assert (queue["id"], queue["is_default"], lead["queue_id"]) == (made["id"], True, made["id"])


async def test_whoever_is_given_a_lead_takes_it_out_of_its_queue(company: Company) -> None:
    owner, me = company.owner, str(company.member_id)
    leads = [await make(owner, "leads", name=f"Lead {n}", assign=True) for n in range(2)]
    assert {lead["owner_id"] for lead in leads} == {None}
    patched = await owner.ok("PATCH", f"/v1/leads/{leads[0]['id']}", json={"owner_id": me}, if_match=2)
    await owner.ok("POST", "/v1/leads/transfer", json={"ids": [leads[1]["id"]], "owner_id": me})
    moved = await owner.ok("GET", f"/v1/leads/{leads[1]['id']}")
    assert [(lead["owner_id"], lead["queue_id"], lead["queued_at"]) for lead in (patched, moved)] == [
        (me, None, None)
    ] * 2


class Pool:
    """A module's target: remembers what was put where."""

    kind = "pool"
    things = frozenset({UUID(int=7)})
    taken: dict[UUID, UUID] = {}  # noqa: RUF012

    def __init__(self, uow: object) -> None: ...

    async def known(self, ids: object) -> frozenset[UUID]:
        return self.things

    async def put(self, leads: dict[UUID, UUID]) -> None:
        self.taken.update(leads)


async def test_a_module_may_bring_a_target_of_its_own(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.modules.leads.interface import PoolTarget

    ports: dict[Any, Any] = company.app.registry._ports
    monkeypatch.setitem(ports, PoolTarget, [Pool])
    Pool.taken.clear()
    refused = await company.owner.post(
        "/v1/lead-assignment-rules", {"name": "x", "target": "pool", "target_id": str(UUID(int=8))}
    )
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "unknown_reference")
    await rule(company.owner, target="pool", target_id=str(UUID(int=7)))
    lead = await make(company.owner, "leads", name="Pooled", assign=True)
    assert (lead["owner_id"], lead["queue_id"]) == (None, None)
    assert Pool.taken == {UUID(lead["id"]): UUID(int=7)}


async def test_runs_over_the_same_leads_give_each_one_owner(company: Company, look: Look) -> None:
    owner = company.owner
    leads = [await make(owner, "leads", name=f"Lead {n}", assign=True) for n in range(20)]
    team, members = await team_of(company, look, 4)
    await rule(owner, target="team", target_id=team)
    body = {"ids": [lead["id"] for lead in leads]}
    answers = await asyncio.gather(*(owner.post("/v1/leads/assign", body) for _ in range(100)))
    assert {answer.status_code for answer in answers} == {200}
    assert sum(answer.json()["assigned"] for answer in answers) == 20
    rows = await lead_rows(company)
    assert Counter(str(row["owner_id"]) for row in rows) == dict.fromkeys(members, 5)
    log = await owner.ok("GET", f"/v1/leads/{rows[0]['id']}/assignments")
    assert [entry["cause"] for entry in log] == ["run", "created"]
