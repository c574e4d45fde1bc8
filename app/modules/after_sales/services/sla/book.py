"""Which promises hold for cases: the policies in their order, and the calendars that they count by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast
from uuid import UUID

from app.kernel.conditions import Prepared, groups_of, holding
from app.kernel.listing import Ask
from app.kernel.memory import Remembered
from app.kernel.uow import UnitOfWork
from app.kernel.working_time import NeverOpen, WorkingCalendar
from app.modules.after_sales.models.cases import SlaTarget
from app.modules.after_sales.models.sla import SlaPolicy
from app.modules.after_sales.services.sla.standing import ALWAYS_OPEN, EscalationStep, Pledge
from app.tenants.interface import CompanyCalendars, WorkingTime

Pledges = Mapping[SlaTarget, Pledge]
_MINUTES: Final = {
    SlaTarget.FIRST_RESPONSE: "first_response_minutes",
    SlaTarget.NEXT_RESPONSE: "next_response_minutes",
    SlaTarget.RESOLUTION: "resolution_minutes",
}


@dataclass(frozen=True, slots=True)
class _Offer:
    """What one policy promises, as it is asked of each case: working seconds by target."""

    policy_id: UUID
    conditional: bool
    goals: tuple[tuple[SlaTarget, int], ...]
    calendar_id: UUID | None
    warn_percent: int
    chain: tuple[EscalationStep, ...]


@dataclass(frozen=True, slots=True)
class _Policies:
    """All policies and their offers in the order in which they are asked; `conditions` are of those in force."""

    all: tuple[SlaPolicy, ...]
    offers: Mapping[UUID, _Offer]
    in_force: tuple[_Offer, ...]
    conditions: tuple[Prepared, ...]


async def _read_policies(uow: UnitOfWork) -> _Policies:
    record = uow.kernel.registry.records["case"]
    rows = tuple(await uow.all(uow.select(SlaPolicy).order_by(SlaPolicy.position, SlaPolicy.id)))
    offers = {row.id: _offer(row) for row in rows}
    enabled = [row for row in rows if row.enabled]
    trees = [groups_of(row.conditions, "/conditions") for row in enabled if row.conditions]
    return _Policies(
        rows,
        offers,
        tuple(offers[row.id] for row in enabled),
        tuple(Prepared.of(record, tree) for tree in trees),
    )


def _offer(row: SlaPolicy) -> _Offer:
    minutes = {target: getattr(row, column) for target, column in _MINUTES.items()}
    return _Offer(
        row.id,
        bool(row.conditions),
        tuple((target, goal * 60) for target, goal in minutes.items() if goal is not None),
        row.calendar_id,
        row.warn_percent,
        chain_of(row),
    )


_POLICIES: Final = Remembered("after_sales.sla_policies", _read_policies, empty=_Policies((), {}, (), ()))


class SlaBook:
    """What holds in one transaction: asked for once, by one statement, however many cases are looked at.

    Whatever is changed elsewhere holds for the next transaction; what has not changed is not read again.
    """

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._read: tuple[_Policies, CompanyCalendars] | None = None
        self._opened: dict[UUID | None, WorkingCalendar] = {}

    async def beside(self, *asked: Ask) -> list[Any]:
        """The values that are asked for, read together with the book."""
        return await self._look(asked)

    async def pledges(self, rows: Sequence[Mapping[str, Any]]) -> list[Pledges]:
        """For each case, by its columns, what is promised: of each target by the first policy that holds."""
        policies, calendars = await self._known()
        record = self._uow.kernel.registry.records["case"]
        found: list[Pledges] = []
        for answers in await holding(self._uow, record, rows, policies.conditions):
            held = iter(answers)
            pledges: dict[SlaTarget, Pledge] = {}
            for offer in policies.in_force:
                if not offer.conditional or next(held):
                    for target, goal in offer.goals:
                        if target not in pledges:
                            pledges[target] = self._pledge(calendars, offer, goal)
            found.append(pledges)
        return found

    async def policies(self) -> Sequence[SlaPolicy]:
        """All policies, in the order in which they are asked."""
        return (await self._known())[0].all

    async def behind(self, policy_id: UUID, calendar_id: UUID | None) -> Pledge:
        """What a running clock goes by beside its goal; of a deleted policy only the calendar is left."""
        policies, calendars = await self._known()
        calendar = self._calendar(calendars, calendar_id)
        offer = policies.offers.get(policy_id)
        if offer is None:
            return Pledge(policy_id, calendar_id, calendar, 0, 80)
        return Pledge(policy_id, calendar_id, calendar, 0, offer.warn_percent, offer.chain)

    async def _known(self) -> tuple[_Policies, CompanyCalendars]:
        if self._read is None:
            await self._look()
        return cast("tuple[_Policies, CompanyCalendars]", self._read)

    async def _look(self, beside: Sequence[Ask] = ()) -> list[Any]:
        """Read what is not known yet, and values beside it."""
        uow = self._uow
        kinds = () if self._read else (_POLICIES, uow.of(WorkingTime).remembered)
        known, values = await uow.kernel.memory.exactly(uow, kinds, beside)
        if known:
            self._read = (known[0], known[1])
        return values

    def _calendar(self, calendars: CompanyCalendars, id: UUID | None) -> WorkingCalendar:
        """A calendar, the company's for None or one that is gone; one that never opens counts every hour."""
        if id not in self._opened:
            found = calendars.default if id is None else calendars.by_id.get(id, calendars.default)
            try:
                found.next_open(self._uow.now)
            except NeverOpen:
                found = ALWAYS_OPEN
            self._opened[id] = found
        return self._opened[id]

    def _pledge(self, calendars: CompanyCalendars, offer: _Offer, goal: int) -> Pledge:
        return Pledge(
            policy_id=offer.policy_id,
            calendar_id=offer.calendar_id,
            calendar=self._calendar(calendars, offer.calendar_id),
            goal=goal,
            warn_percent=offer.warn_percent,
            chain=offer.chain,
        )


def chain_of(policy: SlaPolicy) -> tuple[EscalationStep, ...]:
    """The escalation chain of a policy."""
    return tuple(
        EscalationStep(
            after_minutes=step["after_minutes"],
            target=step["target"],
            action=step["action"],
            to=step["to"],
            member_id=None if step["member_id"] is None else UUID(step["member_id"]),
            queue_id=None if step["queue_id"] is None else UUID(step["queue_id"]),
        )
        for step in policy.escalations
    )
