"""Random years of a company as it really is billed: plans, seats, late usage, credit notes, leaving and coming back.

What all bills say together is what a count of every second and of every event says, to the minor unit.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from app.kernel.access import system_actor
from app.kernel.uow import transaction
from app.tenants.billing.metering import Meter, UsageEvent
from app.tenants.billing.operations import credit_bill
from app.tenants.billing.periods import BillingInterval, Period, nth_period, whole_hour
from app.tenants.billing.plans import Plan
from app.tenants.billing.subscriptions import SamePlan, Subscriptions
from app.tenants.lifecycle.account import Account, CancelWhen
from tests.support.api import Company, sign_up
from tests.tenants.billing.months import at, billed, books, ledger, profile
from tests.tenants.billing.test_billing_run import differences
from tests.tenants.billing.test_random_years import BASIC, CHEAP, PRO

LAST_ACT = at(12, 20)


@dataclass
class Story:
    """What happened to a company, as the reference sees it."""

    stays: list[list[datetime | None]]  # from when until when it was there
    events: list[tuple[datetime, int]] = field(default_factory=list)
    plans: list[tuple[datetime, Plan]] = field(default_factory=list)
    seats: list[tuple[datetime, int]] = field(default_factory=list)

    def months(self) -> list[tuple[Period, Period]]:
        """Each month that was begun, and so much of it as the company was there."""
        found = []
        for start, end in self.stays:
            assert start is not None
            for number in range(14):
                month = nth_period(start, BillingInterval.MONTHLY, number)
                if month.start < (end or LAST_ACT + timedelta(days=90)):
                    found.append((month, Period(month.start, min(month.end, end or month.end))))
        return found

    def plan_at(self, moment: datetime) -> Plan:
        return [plan for since, plan in self.plans if since <= moment][-1]

    def by_seconds(self, month: Period, there: Period) -> int:
        """What each second costs, added up second by second, in whole cents."""
        seconds = month.seconds
        seats, cost = np.zeros(seconds, dtype=np.int16), np.zeros(seconds, dtype=np.int16)
        for moment, taken in self.seats:
            if moment < month.end:
                seats[max(0, int((moment - month.start).total_seconds())) :] = taken
        for moment, plan in self.plans:
            if moment < month.end:
                since, price = max(0, int((moment - month.start).total_seconds())), plan.prices[0]
                paid = np.maximum(0, np.maximum(seats[since:], price.minimum_seats) - price.free_seats)
                cost[since:] = paid * _basic(price.seat) + _basic(price.flat)
        return int(cost[: there.seconds].sum(dtype=np.int64)) * (CHEAP // seconds)

    def by_events(self, month: Period, there: Period) -> int:
        """All events at once, whenever they were told, at the price that held when the time was over."""
        price = self.plan_at(there.end - timedelta(seconds=1)).prices[0]
        until = whole_hour(there.end + timedelta(minutes=59, seconds=59))
        used = sum(value for moment, value in self.events if there.start <= moment < until)
        units = max(0, used - 10)
        major = min(units, 100) * Fraction("1.2345")
        if units > 100:
            major += (units - 100) * Fraction("0.333") + 5
        share = Fraction(there.seconds, month.seconds)
        return max(_half_up(major * 100), _half_up(Fraction(price.minimum_commitment) * 100 * share))


def _basic(price: str) -> int:
    return int(Decimal(price) * 100) // CHEAP


def _half_up(value: Fraction) -> int:
    return int(value + Fraction(1, 2))


@pytest.fixture
def price_list(app: Any, tmp_path: Path) -> Any:
    """The two plans whose seconds cost whole cents."""
    file = tmp_path / "plans.json"
    shared = {"worker_share": 1, "requests_per_minute": None}
    plans = [plan.model_dump(mode="json") | shared for plan in (BASIC, PRO)]
    file.write_bytes(orjson.dumps(plans))
    app.kernel.settings.price_list, before = file, app.kernel.settings.price_list
    yield
    app.kernel.settings.price_list = before


@pytest.mark.usefixtures("price_list")
@pytest.mark.parametrize("seed", [1, 2, 5])
async def test_a_random_year_comes_to_what_counting_says(app, clock, look, seed):
    chance, company = random.Random(seed), await sign_up(app)
    story = Story([[at(4, 1), None]])
    for month in range(4, 13):
        for day in sorted(chance.sample(range(2, 29), 4)):
            moment = at(month, day) + timedelta(seconds=chance.randrange(86_400))
            if moment < LAST_ACT:
                clock.set(moment)
                await _happens(company, look, chance, story)
        if clock.now() < at(month, 28):
            clock.set(at(month, 28))
        await _settles(company, chance, month)
    clock.set(LAST_ACT + timedelta(days=75))
    bills = await billed(company)
    await _read(look, company, story)
    lines = [line for bill in bills for line in bill.lines]
    over = [(month, there) for month, there in story.months() if there.end <= bills[-1].period_end]
    assert len(over) >= 9
    ended = max(there.end for _, there in over)
    licences = [line for line in lines if line["kind"] in ("flat", "seats")]
    assert sum(line["amount"] for line in licences if datetime.fromisoformat(line["start"]) < ended) == sum(
        story.by_seconds(*one) for one in over
    )
    for month, there in over:
        booked = [
            line["amount"]
            for line in lines
            if line["kind"] in ("usage", "commitment")
            and datetime.fromisoformat(line["start"]) == month.start
        ]
        assert sum(booked) == story.by_events(month, there), month
    await _money_adds_up(company, look)
    assert await differences(company) == []


async def _happens(company: Company, look: Any, chance: random.Random, story: Story) -> None:
    """A seat, another plan, usage of weeks ago, or the company leaves; whoever has left comes back."""
    kernel = company.kernel
    now = kernel.clock.now()
    async with transaction(kernel, system_actor(await profile(company))) as uow:
        if story.stays[-1][1] is not None:
            await _pays_all(company)
            await Account(uow).resume()
            within = now < story.stays[-1][1] + timedelta(days=2)
            if within:
                story.stays[-1][1] = None
            else:
                story.stays.append([whole_hour(now), None])
            return
        match chance.randrange(7):
            case 0 | 1:
                await look.run(
                    "INSERT INTO tenants.seat_changes (tenant_id, id, at, member_id, change)"
                    " VALUES ($1, gen_random_uuid(), $2, gen_random_uuid(), $3)",
                    company.tenant_id, now, 1,
                )  # fmt: skip
            case 2:
                plan = chance.choice(["basic", "pro"])
                try:
                    await Subscriptions(uow).change(plan, None)
                except SamePlan:
                    return
            case 3 | 4 | 5:
                moment = now - timedelta(seconds=chance.randrange(34 * 86_400))
                value = chance.randrange(1, 120)
                event = UsageEvent("/s", str(now), "calls", moment, moment, Decimal(value), None)
                assert await Meter(uow).take([event]) == ["accepted"]
                story.events.append((moment, value))
            case _:
                await Account(uow).cancel(CancelWhen.NOW, "leaving")
                story.stays[-1][1] = now.replace(microsecond=0)


async def _pays_all(company: Company) -> None:
    async with books(company) as bills:
        for row in await bills._uow.fetch(
            "SELECT id, due FROM tenants.bills WHERE tenant_id = $1 AND due > 0", company.tenant_id
        ):
            await bills.settle(row["id"], row["due"], "bank", f"rest {row['id']}")


async def _settles(company: Company, chance: random.Random, month: int) -> None:
    """Bills are made; some are paid in part or too much, some credited in part."""
    for bill in await billed(company):
        if chance.random() < 0.3:
            async with books(company) as bills:
                await bills.settle(bill.id, chance.randrange(1, 2 * CHEAP), "bank", f"{month} {bill.id}")
        elif chance.random() < 0.3 and bill.total > bill.credited:
            part = chance.randrange(1, bill.total - bill.credited + 1)
            await credit_bill(company.kernel, company.tenant_id, bill.id, part, reason="Sorry")


async def _read(look: Any, company: Company, story: Story) -> None:
    """Plans and seats as they were chosen and taken."""
    taken = 0
    for row in await look.rows(
        "SELECT at, change FROM tenants.seat_changes WHERE tenant_id = $1 ORDER BY at, id", company.tenant_id
    ):
        taken += row["change"]
        story.seats.append((row["at"].replace(microsecond=0), taken))
    plans = {plan.key: plan for plan in (BASIC, PRO)}
    story.plans = [
        (row["effective_at"], plans[row["key"]])
        for row in await look.rows(
            "SELECT effective_at, plan ->> 'key' AS key FROM tenants.subscription_changes WHERE tenant_id = $1"
            " ORDER BY effective_at", company.tenant_id,
        )
    ]  # fmt: skip


async def _money_adds_up(company: Company, look: Any) -> None:
    """What is billed, less what was credited and paid, is what is due less the balance; whatever went where."""
    tenant = company.tenant_id
    billed_for = await look.value("SELECT sum(total)::bigint FROM tenants.bills WHERE tenant_id = $1", tenant)
    due = await look.value("SELECT sum(due)::bigint FROM tenants.bills WHERE tenant_id = $1", tenant)
    credited = await look.value(
        "SELECT coalesce(sum(total), 0)::bigint FROM tenants.bill_credit_notes WHERE tenant_id = $1", tenant
    )
    paid = await look.value(
        "SELECT coalesce(sum(amount), 0)::bigint FROM tenants.bill_payments WHERE tenant_id = $1", tenant
    )
    found = await ledger(look, company)
    assert due + found.get("customer_balance", 0) == billed_for - credited - paid
    assert found.get("receivable", 0) + found.get("bad_debt", 0) == due
