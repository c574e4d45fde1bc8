"""Who is at the desk, what they bear, and taking the next case."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar, Final
from uuid import UUID

from app.kernel.errors import Conflict, Forbidden, NotFound, require_version
from app.kernel.events import Event
from app.kernel.people import People
from app.kernel.statements import entity
from app.kernel.uow import UnitOfWork
from app.modules.after_sales.models.desk import Agent, AgentStatus, Queue
from app.modules.after_sales.schemas.desk import AgentRead
from app.modules.after_sales.services.desk.queues import Bearing, QueueService, bearing
from app.modules.after_sales.services.desk.returning import give_back
from app.modules.after_sales.services.desk.taking import Given, burdens, open_queues, take
from app.tenants.interface import Colleague, Colleagues

_HEARD_EVERY: Final = timedelta(minutes=1)


class AgentNotOnline(Conflict):
    """Carries `presence`."""

    code = "agent_not_online"
    title = "Say first that you are online"


class AgentAtCapacity(Conflict):
    """Carries `load` and `capacity`, in units."""

    code = "agent_at_capacity"
    title = "You have as much on your desk as you can bear"


class AgentPresenceChanged(Event):
    """Somebody came to the desk, or left it."""

    type: ClassVar[str] = "after_sales.agent.presence_changed.v1"
    object: ClassVar[str] = "agent"

    status: str
    former_status: str


class AgentService:
    """Members at the desk."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow

    # -- presence ------------------------------------------------------------------------------------------

    async def all(self) -> list[AgentRead]:
        """Everybody who was at the desk before, by name."""
        rows = await self.uow.all(self.uow.select(Agent).order_by(Agent.id))
        found = await self._read(rows)
        return sorted(found, key=lambda agent: (agent.name or "", agent.id))

    async def get(self, id: UUID) -> AgentRead:
        """Raises: NotFound for somebody who is no member."""
        row = await self.uow.find(Agent, id)
        if row is not None:
            return (await self._read([row]))[0]
        name = (await self.uow.of(People).names([id])).get(id)
        if name is None:
            raise NotFound
        held = await bearing(self.uow)
        burden = (await burdens(self.uow, [(id, held.capacity)], held))[id]
        return AgentRead(
            id=id,
            version=0,
            name=name,
            status=AgentStatus.OFFLINE,
            status_since=None,
            heard_at=None,
            capacity=held.capacity,
            load=burden.load,
            cases=burden.cases,
            on_call=burden.on_call,
            last_taken_at=None,
        )

    async def _read(self, rows: list[Agent]) -> list[AgentRead]:
        held = await bearing(self.uow)
        names = await self.uow.of(People).names([row.id for row in rows])
        found = await burdens(self.uow, [(row.id, _capacity(row, held)) for row in rows], held)
        return [
            AgentRead(
                id=row.id,
                version=row.version,
                name=names.get(row.id),
                status=AgentStatus(row.status),
                status_since=row.status_since,
                heard_at=row.heard_at,
                capacity=_capacity(row, held),
                load=found[row.id].load,
                cases=found[row.id].cases,
                on_call=found[row.id].on_call,
                last_taken_at=row.last_taken_at,
            )
            for row in rows
        ]

    async def appear(self, status: AgentStatus) -> AgentRead:
        """Say whether I take cases. Raises: Forbidden for programs."""
        me = self.uow.actor.member_id
        if me is None:
            raise Forbidden("Only members are at the desk.")
        row = await self._locked(me)
        if row.status == status:
            row = await heard(self.uow, row)
        else:
            row = await self._change(row, {"status": status.value, "heard_at": self.uow.now})
        return (await self._read([row]))[0]

    async def replace(self, id: UUID, values: Mapping[str, Any], *, expected_version: int) -> AgentRead:
        """Set somebody's presence and capacity. Raises: NotFound; StaleVersion; Invalid."""
        await self.get(id)
        former = await self.uow.find(Agent, id)
        require_version(former.version if former else 0, expected=expected_version)
        await self.uow.of(People).require_members([id], pointer="/id")
        row = await self._locked(id)
        if former is not None:
            require_version(row.version, expected=expected_version)
        values = {**values, "heard_at": self.uow.now}
        return (await self._read([await self._change(row, values)]))[0]

    async def leave(self, id: UUID) -> None:
        """Somebody is no member any more: nothing is routed to them."""
        row = await self.uow.find(Agent, id, lock="update")
        if row is not None:
            await self._change(row, {"status": AgentStatus.OFFLINE.value})

    async def _locked(self, id: UUID) -> Agent:
        """The row, made when it is not there, held until the transaction ends."""
        await self.uow.fetch(
            "INSERT INTO after_sales.agents (tenant_id, id, status, status_since, created_at, updated_at)"
            " VALUES ($1, $2, 'offline', $3, $3, $3) ON CONFLICT DO NOTHING",
            self.uow.tenant_id,
            id,
            self.uow.now,
        )
        return await self.uow.get(Agent, id, lock="update")

    async def _change(self, row: Agent, values: Mapping[str, Any]) -> Agent:
        changes = dict(values)
        moved = changes["status"] != row.status
        if moved:
            changes["status_since"] = self.uow.now
        after = await self.uow.update(row, audit="agent", **changes)
        if after.status != row.status or after.capacity != row.capacity:
            self.uow.publish(AgentPresenceChanged(id=row.id, status=after.status, former_status=row.status))
        if moved and after.status == AgentStatus.OFFLINE:
            await give_back(self.uow, [row.id])
        return after

    # -- taking --------------------------------------------------------------------------------------------

    async def pull(self, queue_id: UUID | None = None) -> tuple[Given, int]:
        """The next case is mine: of one queue, or of all that I work; with it my load and capacity.

        Raises: NotFound; Forbidden for somebody who does not work the queue; AgentNotOnline; AgentAtCapacity.
        """
        me = self.uow.actor.member_id
        self.uow.actor.require("case:read")
        queues = QueueService(self.uow)
        asked = await queues.list() if queue_id is None else [await queues.get(queue_id)]
        colleague = (await self.uow.of(Colleagues).among([me])).get(me) if me is not None else None
        if colleague is None or (queue_id is not None and not works(asked[0], colleague)):
            raise Forbidden("You are no member of this queue.")
        held = await bearing(self.uow)
        row = await self.uow.find(Agent, colleague.id, lock="update")
        if row is None or row.status != AgentStatus.ONLINE:
            raise AgentNotOnline(presence=row.status if row else AgentStatus.OFFLINE.value)
        capacity = _capacity(row, held)
        given = await take(self.uow, row, colleague, open_queues(asked, colleague), held)
        if given.case is not None:
            await took(self.uow, [row.id], asked=True)
            return given, capacity
        await heard(self.uow, row)
        if given.load + _lightest(held, capacity) > capacity:
            raise AgentAtCapacity(load=given.load, capacity=capacity)
        return given, capacity


def works(queue: Queue, colleague: Colleague) -> bool:
    """Whether somebody is a member of a queue, themselves or by a team."""
    return colleague.id in queue.member_ids or not set(queue.team_ids).isdisjoint(colleague.team_ids)


async def took(uow: UnitOfWork, ids: list[UUID], *, asked: bool = False) -> None:
    """Note that these agents, whose rows are held, were given something; who `asked` for it was heard of, too."""
    await uow.fetch(
        "UPDATE after_sales.agents SET last_taken_at = $3, heard_at = CASE WHEN $4 THEN $3 ELSE heard_at END"
        " WHERE tenant_id = $1 AND id = ANY($2::uuid[])",
        uow.tenant_id,
        ids,
        uow.now,
        asked,
    )


async def heard(uow: UnitOfWork, row: Agent) -> Agent:
    """Note that an agent whose row is held was heard of; to the minute, so that asking often costs little."""
    if row.heard_at is not None and uow.now - row.heard_at < _HEARD_EVERY:
        return row
    [stored] = await uow.fetch(
        "UPDATE after_sales.agents SET heard_at = $3 WHERE tenant_id = $1 AND id = $2 RETURNING *",
        uow.tenant_id,
        row.id,
        uow.now,
    )
    return entity(Agent, stored)


def _capacity(row: Agent, held: Bearing) -> int:
    return row.capacity if row.capacity is not None else held.capacity


def _lightest(held: Bearing, capacity: int) -> int:
    return min(capacity if weight is None else weight for weight in held.weights.values())
