"""Pushing: cases of queues that push go to agents as soon as these have room.

Runs when a case comes, when an agent does, when somebody has room again, and every minute for what time brings:
skills that are dropped, settings that changed, and whatever a killed process left. It looks at what is there, not at
what happened, so it may run any number of times.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel

from app.kernel.jobs import JobContext
from app.kernel.locks import lock_name
from app.kernel.registry import JobKind, Schedule, Subscription
from app.kernel.schedules import ScheduledRun
from app.kernel.statements import columns_of, entities
from app.kernel.uow import UnitOfWork
from app.modules.after_sales.interface import CaseAssigned, CaseOpened
from app.modules.after_sales.models.desk import Agent, AgentStatus, Queue, Routing
from app.modules.after_sales.services.calls.calls import CallEnded
from app.modules.after_sales.services.cases.cases import CASE
from app.modules.after_sales.services.cases.states import UNRESOLVED_SQL
from app.modules.after_sales.services.desk.agents import AgentPresenceChanged, AgentService, took
from app.modules.after_sales.services.desk.presence import SILENT, expire
from app.modules.after_sales.services.desk.queues import ROUTE, Bearing, bearing
from app.modules.after_sales.services.desk.taking import Terms, burdens, open_queues, take
from app.tenants.interface import Colleague, Colleagues, MemberDeactivated

EVERY: Final = timedelta(minutes=1)
AT_ONCE: Final = 100
"""Cases that one transaction gives away at most: agents who pull wait for it."""


@dataclass(slots=True)
class _Candidate:
    """An agent whose row is held, with the queues that they work; `load` grows with what they get."""

    agent: Agent
    colleague: Colleague
    queues: Mapping[UUID, Terms]
    load: int
    capacity: int

    @property
    def turn(self) -> tuple[float, datetime | None, UUID]:
        """Who has most room left comes first, then who has waited longest."""
        return self.load / self.capacity, self.agent.last_taken_at or self.agent.created_at, self.agent.id


async def distribute(uow: UnitOfWork, *, most: int = AT_ONCE) -> int:
    """Give cases that wait in queues that push to agents with room; how many were given, at most `most`.

    Distributions of a company go one after the other; agents are held in the order of their ids.
    """
    if not await _waits(uow):
        return 0
    await lock_name(uow, "after-sales-routing")
    queues = await uow.all(uow.select(Queue).where(Queue.routing == Routing.PUSH.value))
    held = await bearing(uow)
    left = await _candidates(uow, queues, held)
    given: list[UUID] = []
    while left and len(given) < most:
        left.sort(key=lambda candidate: candidate.turn)
        first = left[0]
        got = await take(uow, first.agent, first.colleague, first.queues, held)
        if got.case is None:
            left.pop(0)
            continue
        given.append(first.agent.id)
        first.load = got.load
        if first.load >= first.capacity:
            left.pop(0)
    if given:
        await took(uow, sorted(set(given)))
    return len(given)


async def _waits(uow: UnitOfWork) -> bool:
    row = await uow.fetchrow(
        "SELECT EXISTS (SELECT 1 FROM after_sales.queues q JOIN after_sales.cases c"
        "  ON c.tenant_id = q.tenant_id AND c.queue_id = q.id AND c.owner_id IS NULL AND c.deleted_at IS NULL"
        f"  AND c.{UNRESOLVED_SQL} WHERE q.tenant_id = $1 AND q.routing = 'push')",
        uow.tenant_id,
    )
    return bool(row and row[0])


async def _candidates(uow: UnitOfWork, queues: list[Queue], held: Bearing) -> list[_Candidate]:
    """Online agents with room who work one of these queues and were heard of; active members, who stay so."""
    members = {id for queue in queues for id in queue.member_ids}
    teams = {id for queue in queues for id in queue.team_ids}
    colleagues = await uow.of(Colleagues).among(members, teams)
    rows = await uow.fetch(
        f"SELECT {', '.join(columns_of(Agent))} FROM after_sales.agents a WHERE tenant_id = $1 AND status = 'online'"
        f" AND id = ANY($2::uuid[]) AND ($3::timestamptz IS NULL OR NOT ({SILENT.format(now='$4', since='$3')}))"
        " ORDER BY id FOR NO KEY UPDATE",
        uow.tenant_id,
        list(colleagues),
        None if held.away_after is None else uow.now - held.away_after,
        uow.now,
    )
    agents = entities(Agent, rows)
    capacities = {row.id: row.capacity if row.capacity is not None else held.capacity for row in agents}
    loads = await burdens(uow, list(capacities.items()), held)
    found = [
        _Candidate(row, colleague, open_queues(queues, colleague), loads[row.id].load, capacities[row.id])
        for row in agents
        for colleague in [colleagues[row.id]]
        if loads[row.id].load < capacities[row.id]
    ]
    return [candidate for candidate in found if candidate.queues]


async def route(uow: UnitOfWork) -> None:
    """Distribute; a job goes on with what is more than one transaction should do."""
    if await distribute(uow) == AT_ONCE:
        uow.enqueue(ROUTE, {})


class Nothing(BaseModel):
    """The job needs to be told nothing."""


async def run_job(context: JobContext, _: Nothing) -> dict[str, int]:
    """Distribute until nothing can be given any more."""
    done = 0
    while not await context.cancelled():
        async with context.transaction() as uow:
            given = await distribute(uow)
        done += given
        if given < AT_ONCE:
            break
    return {"given": done}


async def _every_minute(run: ScheduledRun) -> None:
    async with run.transaction() as uow:
        await expire(uow)
        await route(uow)


# -- reactions -----------------------------------------------------------------------------------------------


class Something(BaseModel):
    """An event of which only matters that it happened."""

    id: UUID


class Written(BaseModel):
    """A case that changed."""

    id: UUID
    changed: list[str] = []


class Opened(BaseModel):
    queue_id: UUID | None
    owner_id: UUID | None


class Assigned(BaseModel):
    owner_id: UUID | None
    former_owner_id: UUID | None


class Present(BaseModel):
    status: str


async def _route(uow: UnitOfWork, _: Any) -> None:
    await route(uow)


async def _on_opened(uow: UnitOfWork, event: Opened) -> None:
    if event.queue_id is not None and event.owner_id is None:
        await route(uow)


async def _on_assigned(uow: UnitOfWork, event: Assigned) -> None:
    if event.owner_id is None or event.former_owner_id is not None:
        await route(uow)


async def _on_written(uow: UnitOfWork, event: Written) -> None:
    if not {"status", "required_skills"}.isdisjoint(event.changed):
        await route(uow)


async def _on_presence(uow: UnitOfWork, event: Present) -> None:
    if event.status == AgentStatus.ONLINE:
        await route(uow)


async def _on_deactivated(uow: UnitOfWork, event: Something) -> None:
    await AgentService(uow).leave(event.id)


NAME: Final = "after_sales.desk"
SUBSCRIPTIONS: Final = (
    Subscription(CaseOpened.type, Opened, _on_opened, NAME),
    Subscription(CaseAssigned.type, Assigned, _on_assigned, NAME),
    Subscription(CASE.updated.type, Written, _on_written, NAME),
    Subscription(CASE.deleted.type, Something, _route, NAME),
    Subscription(AgentPresenceChanged.type, Present, _on_presence, NAME),
    Subscription(CallEnded.type, Something, _route, NAME),
    Subscription(MemberDeactivated.type, Something, _on_deactivated, NAME),
)
JOBS: Final = (JobKind(ROUTE, Nothing, run_job),)
SCHEDULES: Final = (Schedule(ROUTE, EVERY, _every_minute, per_tenant=True),)
