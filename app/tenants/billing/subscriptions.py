"""What a company subscribes to: its plan from when on, and the bill that follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.errors import Conflict, Invalid
from app.kernel.locks import lock_name
from app.kernel.models import Json, TenantOwned
from app.kernel.uow import UnitOfWork
from app.tenants.auth.control import access_changed
from app.tenants.billing.allowances import first_hour, refresh
from app.tenants.billing.bills import BillLine, Occupied, Terms, bill
from app.tenants.billing.metering import Meter, MetricUsage
from app.tenants.billing.periods import BillingInterval, Period, period_at, seconds_between
from app.tenants.billing.plans import Plan, PlanPrice, price_list
from app.tenants.billing.proration import billable
from app.tenants.billing.seats import SeatHistory, Seats
from app.tenants.models import Tenant

OBJECT = "subscription"


class SamePlan(Conflict):
    code = "same_plan"
    title = "This is what the company subscribes to, or will"


class SubscriptionChange(TenantOwned):
    """From `effective_at` on the company has this plan, as it was in the price list when it was chosen."""

    __tablename__ = "subscription_changes"
    __table_args__ = ({"schema": "tenants"},)
    effective_at: Mapped[datetime]
    anchor: Mapped[datetime]  # where its periods are counted from
    plan: Mapped[Json]
    currency: Mapped[str]
    interval: Mapped[str]
    chosen_at: Mapped[datetime]
    chosen_by: Mapped[UUID | None] = mapped_column()


@dataclass(frozen=True, slots=True)
class Held:
    """A plan at a price, from `at` on; its periods are counted from `anchor`."""

    at: datetime
    anchor: datetime
    plan: Plan
    price: PlanPrice

    def period_at(self, moment: datetime) -> Period:
        return period_at(self.anchor, self.price.interval, moment)


@dataclass(frozen=True, slots=True)
class Subscribed:
    """What holds, since `since`, the period at hand, and what it becomes when that is over, if anything."""

    held: Held
    period: Period
    pending: Held | None


@dataclass(frozen=True, slots=True)
class Upcoming:
    """The bill that the period at hand ends with: as it stands, and as it will be if all goes on evenly."""

    over: Period
    following: Period
    currency: str
    lines: list[BillLine]
    forecast: list[BillLine]


class Subscriptions:
    """The subscription of the tenant at hand."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow
        self.plans = price_list(uow.kernel.settings.price_list)

    async def current(self) -> Subscribed:
        """What holds now. Without a choice: the first plan of the list, monthly, from the hour of signing up."""
        return self._at_hand(await self._all())

    async def change(self, key: str, interval: BillingInterval | None) -> Subscribed:
        """Choose a plan: a dearer one from now on, another from the next period on, as with another interval.

        Dearer is what costs more in a year for the seats that are taken. A choice for the next period takes the place
        of an earlier one; the plan at hand takes it back. Raises: Invalid for a plan that is not on offer in the
        subscription's currency; SamePlan.
        """
        await lock_name(self.uow, OBJECT)
        all_held = await self._all()
        now = self._at_hand(all_held)
        plan = next((plan for plan in self.plans if plan.key == key), None)
        interval = interval or now.held.price.interval
        price = plan.price(now.held.price.currency, interval) if plan else None
        if plan is None or price is None:
            raise Invalid.at(
                "/plan", "not_on_offer", f"{key} is not on offer in {now.held.price.currency}, {interval}."
            )
        same = (now.held.plan, now.held.price) == (plan, price)
        if same and now.pending is None:
            raise SamePlan
        chosen = None if same else await self._next(now, plan, price)
        if not await self._stored() and (chosen is None or chosen.at > now.held.at):
            await self._keep(now.held, chosen_by=None)
        for replaced in (now.pending, now.held if chosen and chosen.at == now.held.at else None):
            if replaced is not None:
                await self._drop(replaced)
        if chosen is not None:
            await self._keep(chosen, chosen_by=self.uow.actor.id)
        await refresh(self.uow)
        await access_changed(self.uow)
        return self._at_hand(await self._all())

    async def upcoming(self) -> Upcoming:
        """The bill that the period at hand ends with. Three statements, one more before a plan was ever chosen."""
        all_held = await self._all()
        now = self._at_hand(all_held)
        period = now.period
        after = now.pending or now.held
        following = period_at(after.anchor, after.price.interval, period.end)
        terms = [Terms(held.at, held.plan.key, held.price) for held in all_held]
        terms = _from(period.start, terms)
        seats = _occupied(period, await Seats(self.uow).history(period))
        used = {one.metric: one for one in await Meter(self.uow).of_period(period)}
        passed = max(1, seconds_between(period.start, min(period.end, self.uow.now)))
        projected = {name: _projected(one, period, passed) for name, one in used.items()}
        return Upcoming(
            over=period,
            following=following,
            currency=now.held.price.currency,
            lines=bill(period, following, terms, seats, used),
            forecast=bill(period, following, terms, seats, projected),
        )

    async def _next(self, now: Subscribed, plan: Plan, price: PlanPrice) -> Held:
        uow = self.uow
        moment = uow.now.replace(microsecond=0)
        seats = (await Seats(uow).history(Period(moment, moment))).opening
        if price.interval is now.held.price.interval:
            old = now.held.price
            dearer = price.yearly(_paid(price, seats)) > old.yearly(_paid(old, seats))
            return Held(moment if dearer else now.period.end, now.held.anchor, plan, price)
        return Held(now.period.end, now.period.end, plan, price)

    def _at_hand(self, held: Sequence[Held]) -> Subscribed:
        now = self.uow.now
        past = [one for one in held if one.at <= now]
        current = past[-1] if past else held[0]
        later = [one for one in held if one.at > current.at and one.at > now]
        return Subscribed(current, current.period_at(max(now, current.at)), later[-1] if later else None)

    async def _all(self) -> list[Held]:
        rows = await self._stored()
        return [_held(row) for row in rows] or [await self._first()]

    async def _stored(self) -> list[SubscriptionChange]:
        statement = self.uow.select(SubscriptionChange)
        return await self.uow.all(statement.order_by(SubscriptionChange.effective_at))

    async def _first(self) -> Held:
        tenant = await self.uow.get(Tenant, self.uow.tenant_id)
        hour = first_hour(tenant.created_at)
        plan = self.plans[0]
        price = plan.price(tenant.currency, BillingInterval.MONTHLY) or plan.prices[0]
        return Held(hour, hour, plan, price)

    async def _keep(self, held: Held, *, chosen_by: UUID | None) -> None:
        await self.uow.insert(
            SubscriptionChange,
            audit=OBJECT,
            effective_at=held.at,
            anchor=held.anchor,
            plan=held.plan.model_dump(mode="json"),
            currency=held.price.currency,
            interval=held.price.interval.value,
            chosen_at=self.uow.now,
            chosen_by=chosen_by,
        )

    async def _drop(self, held: Held) -> None:
        for row in await self._stored():
            if row.effective_at == held.at:
                await self.uow.delete(row, audit=OBJECT)


def _held(row: SubscriptionChange) -> Held:
    plan = Plan.model_validate(row.plan)
    price = plan.price(row.currency, BillingInterval(row.interval))
    if price is None:
        raise RuntimeError(f"subscription {row.id} names a price that its plan does not have")
    return Held(row.effective_at, row.anchor, plan, price)


def _paid(price: PlanPrice, seats: int) -> int:
    return billable(seats, minimum=price.minimum_seats, free=price.free_seats)


def _from(start: datetime, terms: Sequence[Terms]) -> list[Terms]:
    """The terms that hold when a period begins, and those that follow."""
    before = [one for one in terms if one.at <= start]
    after = [one for one in terms if one.at > start]
    return [*(replace(one, at=start) for one in before[-1:]), *after]


def _occupied(period: Period, history: SeatHistory) -> list[Occupied]:
    return [
        Occupied(period.start, history.opening),
        *(Occupied(change.at, change.occupied) for change in history.changes),
    ]


def _projected(used: MetricUsage, period: Period, passed: int) -> MetricUsage:
    """What adds up goes on as it did; what is a state stays."""

    def grown(value: Any) -> Any:
        return value * period.seconds // passed

    return replace(used, count=grown(used.count), sum=grown(used.sum))
