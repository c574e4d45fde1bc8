"""Time to first response: deadlines in working time, reminders, re-assignment, escalation; each exactly once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from app.kernel.schedules import ScheduledRun
from app.modules.leads.jobs.assignment import watch_responses
from app.modules.leads.services.leads import LeadService
from tests.modules.leads.shares import clock_of, events, ids, lead_rows, people, rule, system, team_of, uuid
from tests.modules.support import make
from tests.support.api import Client, Company
from tests.tenants.people import Look

FRIDAY_EVENING = datetime(2026, 6, 5, 17, 30, tzinfo=UTC)
OVERDUE = "leads.lead.response_overdue.v1"
SOON = "leads.lead.response_due_soon.v1"
PROMISE = {"respond_within_seconds": 3_600, "remind_before_seconds": 900}


async def new_lead(company: Company, name: str = "Ann Lee") -> UUID:
    """A lead that the product makes at the time of the clock."""
    async with system(company) as uow:
        given = {"name": name, "status": "new", "tags": [], "custom": {}, "assign": True}
        return (await LeadService(uow).create(given)).id


async def watch(company: Company, times: int = 1) -> None:
    kernel = company.app.kernel
    assert kernel is not None
    profile = await kernel.authenticator.tenant_profile(company.tenant_id)
    await asyncio.gather(*(watch_responses(ScheduledRun(kernel, profile)) for _ in range(times)))


async def lead_of(company: Company) -> dict[str, Any]:
    [row] = await lead_rows(company)
    return row


def monday(hour: int, minute: int = 0, second: int = 0) -> datetime:
    return datetime(2026, 6, 8, hour, minute, second, tzinfo=UTC)


async def set_manager(owner: Client, member: str, manager: str) -> None:
    found = await owner.ok("GET", f"/v1/members/{member}")
    await owner.ok("PATCH", f"/v1/members/{member}", json={"manager_id": manager}, if_match=found["version"])


async def test_a_missed_lead_goes_to_the_next_and_then_to_the_manager(
    company: Company, owner: Client, look: Look
) -> None:
    team, members = await team_of(company, look, 2)
    for member in members:
        await set_manager(owner, member, str(company.member_id))
    response = PROMISE | {"max_reassignments": 1, "escalate_to": "manager"}
    await rule(owner, target="team", target_id=team, response=response)
    with clock_of(company, FRIDAY_EVENING) as clock:
        id = await new_lead(company)
        lead = await lead_of(company)
        first = str(lead["owner_id"])
        assert (first in members, lead["response_due_at"]) == (True, monday(9, 30))
        clock.set(monday(9, 14, 59))
        await watch(company)
        assert await events(company, SOON) == []
        clock.set(monday(9, 15))
        await watch(company, 5)
        [soon] = await events(company, SOON)
        assert (soon["owner_id"], soon["due_at"]) == (first, "2026-06-08T09:30:00Z")
        clock.set(monday(9, 30))
        await watch(company, 10)
        [missed] = await events(company, OVERDUE)
        assert (missed["id"], missed["owner_id"], missed["reassignments"]) == (str(id), first, 0)
        lead = await lead_of(company)
        assert (str(lead["owner_id"]), lead["response_due_at"]) == (
            next(member for member in members if member != first),
            monday(10, 30),
        )
        clock.set(monday(10, 29, 59))
        await watch(company)
        assert len(await events(company, OVERDUE)) == 1
        clock.set(monday(10, 30))
        await watch(company, 10)
        lead = await lead_of(company)
        assert (lead["owner_id"], len(await events(company, OVERDUE))) == (company.member_id, 2)
        clock.set(monday(17))
        await watch(company)
        assert len(await events(company, OVERDUE)) == 2
    log = await owner.ok("GET", f"/v1/leads/{id}/assignments")
    assert [(entry["cause"], entry["reason"]) for entry in log] == [
        ("escalated", "manager"), ("overdue", "rule"), ("created", "rule"),
    ]  # fmt: skip
    assert {c["outcome"] for c in log[1]["candidates"]} == {"chosen", "tried_before"}
    tasks = await owner.ok("GET", "/v1/activities?kind=task&sort=happened_at")
    reminded = tasks["data"][0]
    assert (reminded["owner_id"], reminded["due_at"], reminded["priority"]) == (
        first,
        "2026-06-08T09:30:00Z",
        "high",
    )


async def test_fifty_misses_are_told_once_each_however_many_look(
    company: Company, owner: Client, look: Look
) -> None:
    [seller] = ids(await people(company, look, 1))
    await rule(owner, target="member", target_id=seller, response={"respond_within_seconds": 3_600})
    with clock_of(company) as clock:
        for n in range(50):
            await new_lead(company, f"Lead {n}")
        clock.advance(hours=1)
        await watch(company, 20)
        told = await events(company, OVERDUE)
        rows = await lead_rows(company)
    assert sorted(e["id"] for e in told) == sorted(str(row["id"]) for row in rows)
    assert {row["owner_id"] for row in rows} == {None}
    [queue] = (await owner.ok("GET", "/v1/lead-queues"))["data"]
    assert (queue["waiting"], queue["is_default"]) == (50, True)


async def test_a_lead_that_was_answered_in_time_is_left_alone(
    company: Company, owner: Client, look: Look
) -> None:
    [seller] = ids(await people(company, look, 1))
    await rule(owner, target="member", target_id=seller, response=PROMISE)
    with clock_of(company) as clock:
        await new_lead(company)
        clock.advance(minutes=59)
        async with system(company) as uow:
            lead = await lead_of(company)
            row = await LeadService(uow).get(lead["id"], lock="update")
            await LeadService(uow).change(row, {"status": "working"}, action="start_working")
        clock.advance(minutes=5)
        await watch(company)
        lead = await lead_of(company)
        assert (await events(company, OVERDUE), str(lead["owner_id"])) == ([], seller)
        async with system(company) as uow:
            [clock_row] = await uow.fetch(
                "SELECT state FROM leads.response_clocks WHERE tenant_id = $1", uow.tenant_id
            )
            assert clock_row["state"] == "met"


async def test_a_queues_promise_runs_on_when_a_lead_is_pulled(
    company: Company, owner: Client, look: Look
) -> None:
    [seller] = await people(company, look, 1)
    queue = await owner.ok(
        "POST",
        "/v1/lead-queues",
        json={
            "name": {"en": "Hot"},
            "member_ids": ids([seller]),
            "response": PROMISE | {"escalate_to": "nobody"},
        },
    )
    await rule(owner, target="queue", target_id=queue["id"], strategy="pull")
    with clock_of(company) as clock:
        id = await new_lead(company)
        assert (await lead_of(company))["response_due_at"] == clock.now().replace(hour=10)
    [pulled] = (await seller.ok("POST", f"/v1/lead-queues/{queue['id']}/pull"))["data"]
    assert (pulled["id"], pulled["response_due_at"]) == (str(id), "2026-06-01T10:00:00Z")
    with clock_of(company) as clock:
        clock.advance(hours=1)
        await watch(company)
        [missed] = await events(company, OVERDUE)
        assert (missed["owner_id"], missed["queue_id"]) == (seller.facts["member_id"], None)
        assert (await lead_of(company))["owner_id"] == uuid(seller.facts["member_id"])


async def test_the_first_response_is_what_a_person_did_and_no_note(owner: Client) -> None:
    lead = await make(owner, "leads", name="Ann Lee")

    async def act(**fields: Any) -> dict[str, Any]:
        about = [{"object": "lead", "record_id": lead["id"]}]
        return await make(owner, "activities", about=about, subject="Hello", **fields)

    async def answered_at() -> str | None:
        found = await owner.ok("GET", f"/v1/leads/{lead['id']}")
        return found["first_response_at"]  # type: ignore[no-any-return]

    await act(kind="note", body="Looks good")
    task = await act(kind="task")
    assert await answered_at() is None
    done = await owner.ok("POST", f"/v1/activities/{task['id']}/complete", json={}, if_match=1)
    assert await answered_at() == done["completed_at"]
    await act(kind="call")
    assert await answered_at() == done["completed_at"]


async def test_only_those_at_work_get_leads_and_stand_ins_take_over(
    company: Company, owner: Client, look: Look
) -> None:
    members = await people(company, look, 2)
    first, second = ids(members)
    await members[0].ok(
        "POST",
        "/v1/absences",
        json={"starts_at": "2026-06-02T00:00:00Z", "ends_at": "2026-06-03T00:00:00Z", "stand_in_id": second},
    )
    await rule(owner, target="member", target_id=first, presence="working")
    with clock_of(company) as clock:
        for hours, expected, reason in (
            (0, first, "rule"),
            (24, second, "stand_in"),
            (10, None, "nobody_available"),
        ):
            clock.set(datetime(2026, 6, 1, 9, tzinfo=UTC))
            clock.advance(hours=hours)
            id = await new_lead(company, f"After {hours}")
            async with system(company) as uow:
                row = await uow.fetchrow(
                    "SELECT member_id, reason FROM leads.assignments WHERE tenant_id = $1 AND lead_id = $2",
                    uow.tenant_id,
                    id,
                )
                assert row is not None
                assert (row["member_id"] and str(row["member_id"]), row["reason"]) == (expected, reason)
