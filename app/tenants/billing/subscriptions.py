"""What a company subscribes to: its plan from when on, and the bill that follows from it."""

from __future__ import annotations

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
from app.tenants.billing.allowances import refresh
from app.tenants.billing.amounts import tax_for
from app.tenants.billing.computing import Computed, compute, seats_of
from app.tenants.billing.histories import Held, History, read_history
from app.tenants.billing.metering import Meter, MetricUsage
from app.tenants.billing.periods import BillingInterval, Period, seconds_between
from app.tenants.billing.plans import Plan, PlanPrice, price_list
from app.tenants.billing.proration import billable
from app.tenants.billing.seats import Seats

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
class Subscribed:
    """What holds, since `since`, the period at hand, and what it becomes when that is over, if anything."""

    held: Held
    period: Period
    pending: Held | None


@dataclass(frozen=True, slots=True)
class Upcoming:
    """The bill that the period at hand ends with: as it stands, and as it will be if all goes on evenly."""

    stands: Computed
    forecast: Computed


class Subscriptions:
    """The subscription of the tenant at hand."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow
        self.plans = price_list(uow.kernel.settings.price_list)

    async def current(self) -> Subscribed:
        """What holds now. Without a choice: the first plan of the list, monthly, from the hour of signing up."""
        return self._at_hand(await read_history(self.uow))

    async def change(self, key: str, interval: BillingInterval | None) -> Subscribed:
        """Choose a plan: a dearer one from now on, another from the next period on, as with another interval.

        Dearer is what costs more in a year for the seats that are taken. A choice for the next period takes the place
        of an earlier one; the plan at hand takes it back. Raises: Invalid for a plan that is not on offer in the
        subscription's currency; SamePlan.
        """
        await lock_name(self.uow, OBJECT)
        history = await read_history(self.uow)
        now = self._at_hand(history)
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
        if not history.stored and (chosen is None or chosen.at > now.held.at):
            await self.keep(now.held, chosen_by=None)
        for replaced in (now.pending, now.held if chosen and chosen.at == now.held.at else None):
            if replaced is not None:
                await self._drop(replaced)
        if chosen is not None:
            await self.keep(chosen, chosen_by=self.uow.actor.id)
        await refresh(self.uow)
        await access_changed(self.uow)
        return self._at_hand(await read_history(self.uow))

    async def restart(self, at: datetime, *, since: datetime) -> None:
        """Count periods anew from `at` on, at what was chosen last: who had left at `since` is back."""
        history = await read_history(self.uow)
        last = history.held[-1]
        if not history.stored:
            await self.keep(history.held[0], chosen_by=None)
        for held in history.held:
            if held.at > since:
                await self._drop(held)
        await self.keep(replace(last, at=at, anchor=at), chosen_by=None)

    async def upcoming(self) -> Upcoming:
        """The bill that the period at hand ends with; of no time for who left and was billed. Three statements."""
        uow = self.uow
        history = await read_history(uow)
        over = history.period_at(uow.now)
        if any(end.settled and end.resumed is None for end in history.ends):
            over = Period(over.end, over.end)
        seats = seats_of(over, await Seats(uow).through(over))
        usage = await Meter(uow).of_periods([*history.reopened(over), over])
        tax = tax_for(history.buyer, uow.kernel.settings)
        passed = max(1, seconds_between(over.start, min(over.end, uow.now)))
        projected = usage | {over: [_projected(one, over, passed) for one in usage[over]]}
        return Upcoming(
            stands=compute(history, over, seats, usage, tax),
            forecast=compute(history, over, seats, projected, tax),
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

    def _at_hand(self, history: History) -> Subscribed:
        now = self.uow.now
        current = history.held_at(now)
        later = [one for one in history.held if one.at > current.at and one.at > now]
        return Subscribed(current, history.period_at(max(now, current.at)), later[-1] if later else None)

    async def _stored(self) -> list[SubscriptionChange]:
        statement = self.uow.select(SubscriptionChange)
        return await self.uow.all(statement.order_by(SubscriptionChange.effective_at))

    async def keep(self, held: Held, *, chosen_by: UUID | None) -> None:
        """Keep a plan as it is in the price list, from when on it holds."""
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


def _paid(price: PlanPrice, seats: int) -> int:
    return billable(seats, minimum=price.minimum_seats, free=price.free_seats)


def _projected(used: MetricUsage, period: Period, passed: int) -> MetricUsage:
    """What adds up goes on as it did; what is a state stays."""

    def grown(value: Any) -> Any:
        return value * period.seconds // passed

    return replace(used, count=grown(used.count), sum=grown(used.sum))
