"""Calls: who rings, and what becomes of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar, Final
from uuid import UUID

from app.kernel.contact import to_e164
from app.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from app.kernel.events import Event
from app.kernel.listing import Kind
from app.kernel.log_pages import order_by, select_page
from app.kernel.people import People
from app.kernel.uow import UnitOfWork
from app.modules.activities.interface import Activities, Subject
from app.modules.after_sales.models.desk import Call, CallDirection
from app.modules.after_sales.schemas.calls import CallCreate, CallEnd, CallPage, CallRead, ScreenPop
from app.modules.after_sales.services.calls.callers import Caller, callers, informed

LONGEST: Final = timedelta(days=7)
_NEWEST: Final = order_by({"started_at": Kind.DATETIME, "id": Kind.UUID}, falling=True)
_TITLES: Final = {
    "en": {"inbound": "Call from {who}", "outbound": "Call to {who}", "nobody": "a withheld number"},
    "zh": {"inbound": "{who}来电", "outbound": "致电{who}", "nobody": "未显示号码"},
}


class CallStarted(Event):
    """A call rings at an agent. Only their live stream carries it; who it is is read by the call's id."""

    type: ClassVar[str] = "after_sales.call.started.v1"
    object: ClassVar[str] = "call"

    for_member_id: UUID
    direction: str


class CallEnded(Event):
    """A call is over."""

    type: ClassVar[str] = "after_sales.call.ended.v1"
    object: ClassVar[str] = "call"

    agent_id: UUID
    direction: str
    duration_seconds: int
    outcome: str | None
    activity_id: UUID


class CallOver(Conflict):
    """Carries `ended_at`."""

    code = "call_ended"
    title = "This call has ended"


class CallService:
    """Calls of agents: their own, and everybody's for whoever may manage agents."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow

    async def start(self, body: CallCreate) -> ScreenPop:
        """A call begins: keep it, tell the agent's browser, and say who it is. Raises: Forbidden; Invalid."""
        uow = self.uow
        agent_id = body.agent_id or uow.actor.member_id
        if agent_id is None:
            raise Invalid.at("/agent_id", "required", "Which member is on the line?")
        if agent_id != uow.actor.member_id:
            uow.actor.require("agent:manage")
            await uow.of(People).require_members([agent_id], pointer="/agent_id")
        began = body.started_at or uow.now
        if not uow.now - LONGEST <= began <= uow.now:
            raise Invalid.at("/started_at", "out_of_range", "A call began within the last seven days.")
        e164 = None if body.number is None else to_e164(body.number, uow.actor.tenant.country)
        found = await self._callers(e164)
        row = await uow.insert_last(
            Call,
            audit="call",
            number=body.number,
            e164=e164,
            direction=body.direction.value,
            agent_id=agent_id,
            started_at=began,
            about=[],
            created_by=uow.actor.member_id,
        )
        uow.publish(CallStarted(id=row.id, for_member_id=agent_id, direction=row.direction))
        return self._pop(row, found)

    async def get(self, id: UUID, *, hold: bool = False) -> Call:
        """Raises: NotFound, also for somebody else's."""
        row = await self.uow.get(Call, id, lock="update" if hold else None)
        if row.agent_id != self.uow.actor.member_id and not self.uow.actor.may("agent:manage"):
            raise NotFound
        return row

    async def pop(self, id: UUID) -> ScreenPop:
        """A call with whoever the actor knows by its number. Raises: NotFound."""
        row = await self.get(id)
        return self._pop(row, await self._callers(row.e164))

    async def page(self, agent_id: UUID | None, *, limit: int, cursor: str | None) -> CallPage:
        """Calls, newest first: one's own, or those of one agent or of all for whoever may manage agents.

        Raises: InvalidCursor; Forbidden.
        """
        uow, me = self.uow, self.uow.actor.member_id
        if not uow.actor.may("agent:manage"):
            if me is None or agent_id not in (None, me):
                raise Forbidden("These are somebody else's calls.", permission="agent:manage")
            agent_id = me
        statement = uow.select(Call)
        if agent_id is not None:
            statement = statement.where(Call.agent_id == agent_id)
        name = f"calls {agent_id}"
        found = await select_page(uow, statement, _NEWEST, name=name, limit=limit, cursor=cursor)
        return found.page(call_read)

    async def end(self, id: UUID, body: CallEnd) -> Call:
        """A call is over: it stands on the timelines of whom it was with, or alone.

        Raises: NotFound; CallOver; Invalid for what the actor does not see.
        """
        uow = self.uow
        row = await self.get(id, hold=True)
        if row.ended_at is not None:
            raise CallOver(ended_at=row.ended_at.isoformat())
        found = await self._known(row.e164)
        about = _meant(found) if body.about is None else await self._seen(body)
        seconds = self._duration(row) if body.duration_seconds is None else body.duration_seconds
        activity = await uow.of(Activities).record_call(
            about,
            self._title(row, found if len(found) == 1 else ()),
            owner_id=await self._owner(row),
            happened_at=row.started_at,
            duration_seconds=seconds,
            direction=row.direction,
            outcome=body.outcome,
            body=body.note,
        )
        after = await uow.update(
            row,
            audit="call",
            action="ended",
            ended_at=row.started_at + timedelta(seconds=seconds),
            duration_seconds=seconds,
            outcome=body.outcome,
            about=[{"object": one.object, "record_id": str(one.record_id)} for one in about],
            activity_id=activity.id,
        )
        uow.publish(
            CallEnded(
                id=row.id,
                agent_id=row.agent_id,
                direction=row.direction,
                duration_seconds=seconds,
                outcome=body.outcome,
                activity_id=activity.id,
            )
        )
        return after

    def _duration(self, row: Call) -> int:
        """Seconds from the call's beginning until now, as far as calls may last."""
        since = int((self.uow.now - row.started_at).total_seconds())
        return min(max(0, since), int(LONGEST.total_seconds()))

    async def _seen(self, body: CallEnd) -> list[Subject]:
        """What the actor says that it was about. Raises: Invalid for what they do not see."""
        about: list[Subject] = []
        for place, one in enumerate(body.about or ()):
            record = self.uow.kernel.registry.records[one.object]
            if not self.uow.actor.may(f"{one.object}:read") or not await record.service(self.uow).get_many(
                [one.record_id]
            ):
                raise Invalid.at(
                    f"/about/{place}/record_id",
                    "unknown_reference",
                    f"There is no {one.object} with this id.",
                )
            about.append(Subject(one.object, one.record_id))
        return list(dict.fromkeys(about))

    async def _owner(self, row: Call) -> UUID:
        """The agent, or whoever reports the end of a call of somebody who has left since."""
        if row.agent_id in await self.uow.of(People).addresses([row.agent_id]):
            return row.agent_id
        me = self.uow.actor.member_id
        if me is None:
            raise Invalid("The agent of this call has left; a member has to end it.")
        return me

    async def _known(self, e164: str | None) -> list[Caller]:
        return [] if e164 is None else await callers(self.uow, e164)

    async def _callers(self, e164: str | None) -> list[Caller]:
        return await informed(self.uow, await self._known(e164))

    def _title(self, row: Call, found: Sequence[Caller]) -> str:
        titles = _TITLES[self.uow.actor.tenant.language]
        who = found[0].name if found else row.number or titles["nobody"]
        return titles[row.direction].format(who=who)

    def _pop(self, row: Call, found: list[Caller]) -> ScreenPop:
        offered = None
        if not found and row.number is not None:
            offered = new_lead(row.number, row.direction)
        return ScreenPop.model_validate(
            {**call_read(row).model_dump(), "callers": [one.wire() for one in found], "new_lead": offered}
        )


def _meant(found: Sequence[Caller]) -> list[Subject]:
    """Whom a call was with where nobody says: the only one with the number, a contact with their account."""
    alone = found[0] if found else None
    if len(found) == 2 and [one.object for one in found] == ["contact", "account"]:
        alone = found[0] if found[0].account_id == found[1].id else None
    elif len(found) != 1:
        alone = None
    return [] if alone is None else alone.subjects


def new_lead(number: str, direction: str) -> dict[str, Any]:
    """The body with which an unknown number becomes a lead."""
    return {
        "name": number,
        "phone": number,
        "source": "phone",
        "channel": "phone",
        "medium": "call" if direction == CallDirection.INBOUND else "outbound_call",
    }


def call_read(row: Call) -> CallRead:
    """A call as its answer."""
    return CallRead.model_validate({name: getattr(row, name) for name in CallRead.model_fields})
