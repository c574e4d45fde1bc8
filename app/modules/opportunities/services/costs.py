"""What selling costs, against the opportunity's budget. Nothing stops a cost that goes over it: it is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from app.kernel.errors import Invalid, NotFound, require_version
from app.kernel.money import AmountOutOfRange, Money, UnitPrice
from app.kernel.people import People
from app.kernel.uow import UnitOfWork
from app.modules.opportunities.models import Opportunity
from app.modules.opportunities.models.work import Cost, CostKind
from app.modules.opportunities.schemas import MAX_AMOUNT_MINOR
from app.modules.opportunities.schemas.work import CostCreate, CostRead, Costs, CostTotal, CostUpdate
from app.modules.opportunities.services.opportunities import OpportunityService

AUDITED_AS = "opportunity_cost"


class CostService:
    """The costs of one opportunity."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._opportunities = OpportunityService(uow)

    async def all(self, opportunity_id: UUID) -> Costs:
        """Entries, sums and what remains of the budget. Raises `NotFound` for an opportunity that is not visible."""
        row = await self._opportunities.get(opportunity_id)
        statement = self._uow.select(Cost).where(Cost.opportunity_id == opportunity_id)
        costs = await self._uow.all(statement.order_by(Cost.incurred_on.desc(), Cost.id.desc()))
        hidden = self._hidden
        budget = None
        if row.budget is not None and row.budget_currency is not None and not hidden:
            budget = Money(row.budget, row.budget_currency)
        return Costs(
            data=await self._read(costs),
            by_kind=[] if hidden else _by_kind(costs),
            total=[] if hidden else _sums(costs),
            budget=budget,
            remaining=None if budget is None else budget - _spent(costs, budget.currency),
        )

    async def add(self, opportunity_id: UUID, body: CostCreate) -> CostRead:
        """Raises `NotFound`, `Forbidden`, `Invalid`."""
        await self._held(opportunity_id)
        member = body.member_id or self._uow.actor.member_id
        if body.member_id is not None:
            await self._uow.of(People).require_members([body.member_id], pointer="/member_id")
        hours = None if body.hours is None else Decimal(body.hours)
        made = await self._uow.insert(
            Cost,
            audit=AUDITED_AS,
            opportunity_id=opportunity_id,
            kind=body.kind.value,
            incurred_on=body.incurred_on or self._uow.actor.tenant.day_of(self._uow.now),
            member_id=member,
            note=body.note,
            **_worth(body.amount, hours, body.rate),
        )
        self._note(made, "cost_added", [None, made.kind])
        return (await self._read([made]))[0]

    async def update(
        self, opportunity_id: UUID, cost_id: UUID, body: CostUpdate, *, expected_version: int
    ) -> CostRead:
        """Raises `NotFound`, `Forbidden`, `StaleVersion`, `Invalid`."""
        await self._held(opportunity_id)
        row = await self._current(opportunity_id, cost_id, expected_version)
        if body.member_id is not None:
            await self._uow.of(People).require_members([body.member_id], pointer="/member_id")
        worth = {"amount", "hours", "rate"}
        changes: dict[str, Any] = {name: getattr(body, name) for name in body.model_fields_set - worth}
        if body.amount is not None:
            changes |= _worth(body.amount, None, None)
        elif body.model_fields_set & worth:
            hours = row.hours if body.hours is None else Decimal(body.hours)
            rate = body.rate or (None if row.rate is None else UnitPrice(row.rate, row.currency))
            if hours is None or rate is None:
                raise Invalid.at("/rate", "hours_and_rate", "Hours come with a rate.")
            changes |= _worth(None, hours, rate)
        after = await self._uow.update(row, audit=AUDITED_AS, **changes)
        if after is not row:
            self._note(after, "cost_changed", [row.kind, after.kind])
        return (await self._read([after]))[0]

    async def remove(self, opportunity_id: UUID, cost_id: UUID, *, expected_version: int) -> None:
        """Raises `NotFound`, `Forbidden`, `StaleVersion`."""
        await self._held(opportunity_id)
        row = await self._current(opportunity_id, cost_id, expected_version)
        await self._uow.delete(row, audit=AUDITED_AS)
        self._note(row, "cost_removed", [row.kind, None])

    @property
    def _hidden(self) -> bool:
        return "budget" in self._uow.actor.hidden("opportunity")

    async def _held(self, opportunity_id: UUID) -> Opportunity:
        row = await self._opportunities.get(opportunity_id, action="update", lock="update")
        self._opportunities.require_writable("budget")
        return row

    async def _current(self, opportunity_id: UUID, cost_id: UUID, expected_version: int) -> Cost:
        row = await self._uow.get(Cost, cost_id)
        if row.opportunity_id != opportunity_id:
            raise NotFound
        require_version(row.version, expected=expected_version)
        return row

    async def _read(self, costs: Sequence[Cost]) -> list[CostRead]:
        names = await self._uow.of(People).names({cost.member_id for cost in costs if cost.member_id})
        return [_wire(cost, names, hidden=self._hidden) for cost in costs]

    def _note(self, cost: Cost, action: str, change: list[Any]) -> None:
        self._uow.record_audit("opportunity", cost.opportunity_id, action, {f"costs.{cost.id}": change})


def _worth(amount: Money | None, hours: Decimal | None, rate: UnitPrice | None) -> dict[str, Any]:
    """The columns that say how much: a sum, or hours at a rate, rounded once, half up. Raises `Invalid`."""
    if amount is None and hours is not None and rate is not None:
        if hours <= 0:
            raise Invalid.at("/hours", "not_positive", "Hours are more than nothing.")
        if rate.amount < 0:
            raise Invalid.at("/rate", "negative", "A rate is not negative.")
        try:
            amount = rate.times(hours)
        except AmountOutOfRange:
            amount = None
        if amount is None or amount.amount_minor > MAX_AMOUNT_MINOR:
            raise Invalid.at("/rate", "amount_out_of_range", "The hours come to too much.")
    if amount is None:
        raise Invalid.at("/amount", "amount_or_hours", "Give either an amount, or hours and a rate.")
    return {
        "amount": amount.amount_minor,
        "currency": amount.currency,
        "hours": hours,
        "rate": None if rate is None else rate.amount,
    }


def _spent(costs: Sequence[Cost], currency: str) -> Money:
    return Money(sum(cost.amount for cost in costs if cost.currency == currency), currency)


def _sums(costs: Sequence[Cost]) -> list[Money]:
    return [_spent(costs, currency) for currency in sorted({cost.currency for cost in costs})]


def _by_kind(costs: Sequence[Cost]) -> list[CostTotal]:
    return [
        CostTotal(kind=kind, amount=amount)
        for kind in CostKind
        for amount in _sums([cost for cost in costs if cost.kind == kind])
    ]


def _wire(cost: Cost, names: Mapping[UUID, str], *, hidden: bool) -> CostRead:
    rate = None if cost.rate is None or hidden else UnitPrice(cost.rate, cost.currency)
    return CostRead(
        id=cost.id,
        version=cost.version,
        kind=CostKind(cost.kind),
        incurred_on=cost.incurred_on,
        member_id=cost.member_id,
        member_name=names.get(cost.member_id) if cost.member_id else None,
        hours=cost.hours,
        rate=rate,
        amount=None if hidden else Money(cost.amount, cost.currency),
        note=cost.note,
    )
