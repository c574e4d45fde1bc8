"""Random years of companies: what all bills say together is what a count of seconds and of events says."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.tenants.billing.aggregation import Aggregation
from app.tenants.billing.amounts import GRACE, Tax
from app.tenants.billing.computing import Computed, compute, line_documents, seats_of
from app.tenants.billing.histories import Buyer, EarlierBill, Held, History, Redeemed
from app.tenants.billing.metering import PAST, MetricUsage
from app.tenants.billing.periods import BillingInterval, Period, nth_period
from app.tenants.billing.plans import Plan, PlanPrice, PlanTier, Timing, UsagePrice
from app.tenants.billing.rating import RatingModel

START = datetime(2027, 1, 1, tzinfo=UTC)
MONTHS = [nth_period(START, BillingInterval.MONTHLY, number) for number in range(15)]
YEAR = MONTHS[:12]
CHEAP = 13_020 * 86_400  # divides into whole cents a second, in months of 28, 30 and 31 days
TAX = Tax(Decimal("7.7"))


def plan(key: str, seat: int, **more: Any) -> Plan:
    usage = UsagePrice(
        metric="calls",
        aggregation=Aggregation.SUM,
        model=RatingModel.GRADUATED,
        included="10",
        tiers=[PlanTier(up_to="100", unit="1.2345"), PlanTier(unit="0.333", flat="5")],
    )
    price = PlanPrice(
        currency="USD",
        interval=BillingInterval.MONTHLY,
        seat=str(Decimal(seat).scaleb(-2)),
        usage=[usage],
        **more,
    )
    return Plan(key=key, version=1, name_en=key, name_zh=key, prices=[price])


BASIC = plan("basic", CHEAP, minimum_seats=1, minimum_commitment="50")
PRO = plan("pro", 3 * CHEAP, minimum_seats=3, free_seats=1, flat=str(Decimal(2 * CHEAP).scaleb(-2)))


def afterwards(plan: Plan) -> Plan:
    """The same plan, paid when a period is over."""
    price = plan.prices[0].model_copy(update={"timing": Timing.IN_ARREARS})
    return plan.model_copy(update={"prices": [price]})


@dataclass(frozen=True)
class Event:
    """Usage: when it was, how much, and how much later it arrived."""

    at: datetime
    value: int
    delay: timedelta

    @property
    def arrived(self) -> datetime:
        return self.at + self.delay


@dataclass
class Year:
    """What happened: seats that came and went, plans, usage, coupons."""

    seats: list[tuple[datetime, int]]
    plans: list[tuple[datetime, Plan]]
    events: list[Event]
    coupons: list[Redeemed]
    bills: list[tuple[Computed, list[dict[str, Any]]]] = field(default_factory=list)

    def occupied(self) -> list[tuple[datetime, int]]:
        taken, found = 0, []
        for moment, change in sorted(self.seats):
            taken = max(0, taken + change)
            found.append((moment, taken))
        return found

    def price_at(self, moment: datetime) -> PlanPrice:
        return [plan for at, plan in self.plans if at <= moment][-1].prices[0]

    def used(self, period: Period, until: datetime) -> list[MetricUsage]:
        values = [Decimal(e.value) for e in self.events if e.at in period and e.arrived <= until]
        if not values:
            return []
        zero = Fraction(0)
        return [MetricUsage("calls", len(values), sum(values, Decimal(0)), max(values), values[-1], 0, zero)]

    def history(self) -> History:
        held = tuple(Held(at, START, plan, plan.prices[0]) for at, plan in self.plans)
        earlier = tuple(EarlierBill(made.over, made.over.end + GRACE, lines) for made, lines in self.bills)
        return History(Buyer("A", (), "US", None), held, True, tuple(self.coupons), earlier)

    def run(self) -> None:
        """Every bill at the end of its grace, as the billing run makes them, until nothing can arrive any more."""
        opening = Period(START, START)
        for over in [opening, *MONTHS[:-1]]:
            history = self.history()
            until = over.end + GRACE
            usage = {period: self.used(period, until) for period in [*history.reopened(over), over]}
            changes = [(at, seats) for at, seats in self.occupied() if at <= over.end]
            made = compute(history, over, seats_of(over, changes), usage, TAX)
            self.bills.append((made, line_documents(made)))


def moments(last: datetime = YEAR[-1].end) -> st.SearchStrategy[datetime]:
    seconds = int((last - START).total_seconds())
    return st.integers(0, seconds - 1).map(lambda second: START + timedelta(seconds=second))


@st.composite
def years(draw: st.DrawFn) -> Year:
    seats = draw(
        st.lists(st.tuples(moments(), st.integers(-2, 3)), max_size=12, unique_by=lambda one: one[0])
    )
    changes = draw(st.lists(moments(), max_size=5, unique=True))
    basic = BASIC if draw(st.booleans()) else afterwards(BASIC)
    pro = PRO if draw(st.booleans()) else afterwards(PRO)
    plans: list[tuple[datetime, Plan]] = [(START, basic)]
    for moment in sorted(changes):
        # A dearer plan from now on, a cheaper one from the next month on.
        now, month = plans[-1], next(one for one in MONTHS if moment in one)
        after = (moment, pro) if now[1] is basic else (month.end, basic)
        if after[0] > now[0]:
            plans.append(after)
    delays = st.one_of(st.just(0), st.integers(0, int(PAST.total_seconds())))
    events = draw(
        st.lists(
            st.builds(lambda at, value, delay: Event(at, value, timedelta(seconds=delay)), moments(),
                      st.integers(1, 60), delays),
            max_size=40,
        )
    )  # fmt: skip
    coupon = st.builds(
        lambda at, value, kind, months: Redeemed(
            f"{at}", kind, Decimal(value), "USD" if kind == "amount" else None,
            "repeating" if months else "forever", months or None, at,
        ),
        moments(), st.integers(1, 100), st.sampled_from(["percent", "amount"]), st.integers(0, 4),
    )  # fmt: skip
    coupons = draw(st.lists(coupon, max_size=3, unique_by=lambda one: one.code))
    return Year(seats, plans, events, sorted(coupons, key=lambda one: one.at))


@given(years())
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
def test_a_random_year_comes_to_what_counting_says(year: Year):
    year.run()
    lines = [line for _, documents in year.bills for line in documents]
    licences = sum(
        line["amount"]
        for line in lines
        if line["kind"] in ("flat", "seats") and datetime.fromisoformat(line["start"]) < YEAR[-1].end
    )
    assert licences == sum(_by_seconds(year, month) for month in YEAR)
    for month in YEAR:
        booked = [
            line
            for line in lines
            if line["kind"] in ("usage", "commitment")
            and datetime.fromisoformat(line["start"]) == month.start
        ]
        assert sum(line["amount"] for line in booked) == _by_events(year, month)
    for made, documents in year.bills:
        _adds_up(year, made, documents)


def _by_seconds(year: Year, month: Period) -> int:
    """What each second of a month costs, added up second by second, in seconds of one basic seat."""
    seats = np.zeros(month.seconds, dtype=np.int16)
    for moment, taken in year.occupied():
        if moment < month.end:
            seats[max(0, int((moment - month.start).total_seconds())) :] = taken
    cost = np.zeros(month.seconds, dtype=np.int16)
    for moment, held in year.plans:
        if moment < month.end:
            price, since = held.prices[0], max(0, int((moment - month.start).total_seconds()))
            paid = np.maximum(0, np.maximum(seats[since:], price.minimum_seats) - price.free_seats)
            cost[since:] = paid * _basic_seats(price.seat) + _basic_seats(price.flat)
    return int(cost.sum(dtype=np.int64)) * (CHEAP // month.seconds)


def _basic_seats(price: str) -> int:
    return int(Decimal(price) * 100) // CHEAP


def _by_events(year: Year, month: Period) -> int:
    """All events of a month at once, whenever they arrived, at the price that held when it ended."""
    price = year.price_at(month.end - timedelta(seconds=1))
    units = max(0, sum(event.value for event in year.events if event.at in month) - 10)
    major = min(units, 100) * Fraction("1.2345")
    if units > 100:
        major += (units - 100) * Fraction("0.333") + 5
    return max(_half_up(major * 100), int(price.minimum_commitment) * 100)


def _adds_up(year: Year, made: Computed, documents: list[dict[str, Any]]) -> None:
    totals = made.amounts.totals
    left = sum(line["amount"] for line in documents)
    for coupon in made.amounts.discounts:
        terms = next(one for one in year.coupons if one.code == coupon.code)
        share = left * Fraction(terms.value) / 100 if terms.kind == "percent" else Fraction(terms.value * 100)
        assert coupon.amount == min(_half_up(share), left)
        left -= coupon.amount
    assert sum(line["discount"] for line in documents) == totals.header_discount
    for line in documents:
        assert line["tax"] == _half_up((line["amount"] - line["discount"]) * Fraction("0.077"))
    assert totals.total == left + sum(line["tax"] for line in documents)


def _half_up(value: Fraction) -> int:
    whole = int(abs(value) + Fraction(1, 2))
    return -whole if value < 0 else whole
