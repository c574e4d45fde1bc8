"""Which promises hold for cases: the policies in their order, and the calendars that they count by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from app.kernel.conditions import groups_of, holding
from app.kernel.uow import UnitOfWork
from app.kernel.working_time import NeverOpen, WorkingCalendar
from app.modules.after_sales.models.cases import SlaTarget
from app.modules.after_sales.models.sla import SlaPolicy
from app.modules.after_sales.services.sla.standing import ALWAYS_OPEN, EscalationStep, Pledge
from app.tenants.interface import WorkingTime

Pledges = Mapping[SlaTarget, Pledge]
_MINUTES: Final = {
    SlaTarget.FIRST_RESPONSE: "first_response_minutes",
    SlaTarget.NEXT_RESPONSE: "next_response_minutes",
    SlaTarget.RESOLUTION: "resolution_minutes",
}


class SlaBook:
    """Read once per transaction; the number of statements does not depend on how many cases are looked at."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._policies: list[SlaPolicy] | None = None
        self._calendars: dict[UUID | None, WorkingCalendar] = {}

    async def pledges(self, rows: Sequence[Mapping[str, Any]]) -> list[Pledges]:
        """For each case, by its columns, what is promised: of each target by the first policy that holds."""
        policies = [policy for policy in await self.policies() if policy.enabled]
        if not policies:
            return [{} for _ in rows]
        asked = [policy for policy in policies if policy.conditions]
        record = self._uow.kernel.registry.records["case"]
        trees = [groups_of(policy.conditions, "/conditions") for policy in asked]
        answers = await holding(self._uow, record, rows, trees) if trees else [[]] * len(rows)
        found: list[Pledges] = []
        for row_answers in answers:
            holds = dict(zip((policy.id for policy in asked), row_answers, strict=True))
            pledges: dict[SlaTarget, Pledge] = {}
            for policy in policies:
                if holds.get(policy.id, True):
                    for target, column in _MINUTES.items():
                        if getattr(policy, column) is not None and target not in pledges:
                            pledges[target] = await self._pledge(policy, getattr(policy, column))
            found.append(pledges)
        return found

    async def policies(self) -> list[SlaPolicy]:
        """All policies, in the order in which they are asked."""
        if self._policies is None:
            statement = self._uow.select(SlaPolicy).order_by(SlaPolicy.position, SlaPolicy.id)
            self._policies = await self._uow.all(statement)
        return self._policies

    async def behind(self, policy_id: UUID, calendar_id: UUID | None) -> Pledge:
        """What a running clock goes by beside its goal; of a deleted policy only the calendar is left."""
        policy = next((one for one in await self.policies() if one.id == policy_id), None)
        if policy is None:
            return Pledge(policy_id, calendar_id, await self.calendar(calendar_id), 0, 80)
        calendar = await self.calendar(calendar_id)
        return Pledge(policy_id, calendar_id, calendar, 0, policy.warn_percent, chain_of(policy))

    async def calendar(self, id: UUID | None) -> WorkingCalendar:
        """A calendar, the company's for None or one that is gone; one that never opens counts every hour."""
        if not self._calendars:
            await self._load()
        if id not in self._calendars:
            named = [] if id is None else [id]
            found = await self._uow.of(WorkingTime).calendars(named)
            self._calendars[id] = (
                self._open(found[id]) if id is not None and id in found else self._calendars[None]
            )
        return self._calendars[id]

    async def _load(self) -> None:
        """The company's calendar and those of all policies, at once."""
        working = self._uow.of(WorkingTime)
        self._calendars[None] = self._open(await working.default())
        named = {policy.calendar_id for policy in await self.policies() if policy.calendar_id is not None}
        for id, calendar in (await working.calendars(named)).items():
            self._calendars[id] = self._open(calendar)

    def _open(self, calendar: WorkingCalendar) -> WorkingCalendar:
        try:
            calendar.next_open(self._uow.now)
        except NeverOpen:
            return ALWAYS_OPEN
        return calendar

    async def _pledge(self, policy: SlaPolicy, minutes: int) -> Pledge:
        return Pledge(
            policy_id=policy.id,
            calendar_id=policy.calendar_id,
            calendar=await self.calendar(policy.calendar_id),
            goal=minutes * 60,
            warn_percent=policy.warn_percent,
            chain=chain_of(policy),
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
