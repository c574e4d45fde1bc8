"""The worked numbers as whole bills: late usage, commitment, coupons and tax, each line rounded once."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from app.tenants.billing.aggregation import Aggregation
from app.tenants.billing.amounts import GRACE, Tax
from app.tenants.billing.bills import Occupied, Terms, bill
from app.tenants.billing.computing import Computed, compute, line_documents, seats_of
from app.tenants.billing.histories import Buyer, EarlierBill, Held, History, Redeemed
from app.tenants.billing.metering import MetricUsage
from app.tenants.billing.periods import BillingInterval, Period, nth_period
from app.tenants.billing.plans import Plan, PlanPrice, PlanTier, Timing, UsagePrice
from app.tenants.billing.rating import RatingModel

START = datetime(2027, 4, 1, tzinfo=UTC)
APRIL, MAY = (nth_period(START, BillingInterval.MONTHLY, number) for number in (0, 1))
FLAT = [
    PlanTier(up_to="5", flat="100"),
    PlanTier(up_to="10", flat="50"),
    PlanTier(up_to="15", unit="5"),
    PlanTier(unit="1"),
]


def history(usage: UsagePrice | None = None, currency: str = "USD", **more: Any) -> History:
    fields = {"seat": "0"} | more
    price = PlanPrice(
        currency=currency, interval=BillingInterval.MONTHLY, usage=[usage] if usage else [], **fields
    )
    plan = Plan(key="pay", version=1, name_en="Pay", name_zh="付", prices=[price])
    return History(Buyer("A", (), "US", None), (Held(START, START, plan, price),), True, (), ())


def priced(model: RatingModel, **more: Any) -> UsagePrice:
    return UsagePrice(metric="calls", aggregation=Aggregation.SUM, model=model, **more)


def used(quantity: str) -> list[MetricUsage]:
    value = Decimal(quantity)
    return [MetricUsage("calls", 1, value, value, value, 0, Fraction(0))]


def bill_of(found: History, quantity: str, tax: str = "0", seats: int = 0) -> Computed:
    return compute(
        found, APRIL, seats_of(APRIL, [(START, seats)]), {APRIL: used(quantity)}, Tax(Decimal(tax))
    )


def amounts(made: Computed) -> list[tuple[str, int]]:
    return [(line["kind"], line["amount"]) for line in line_documents(made)]


@pytest.mark.parametrize(("quantity", "total"), [("1000", 30000), ("1001", 30004), ("1500", 32000)])
def test_seats_with_usage_included(quantity, total):
    usage = priced(RatingModel.PER_UNIT, unit="0.04", included="1000")
    assert bill_of(history(usage, seat="100"), quantity, seats=3).amounts.totals.total == total


def test_what_is_paid_in_arrears_is_split_by_day_where_the_plan_changed():
    january = Period(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
    dear, cheap = (
        PlanPrice(
            currency="EUR", interval=BillingInterval.MONTHLY, flat=flat, seat="0", timing=Timing.IN_ARREARS
        )
        for flat in ("200", "100")
    )
    terms = [
        Terms(january.start, "cheap", 1, cheap), Terms(datetime(2026, 1, 15, tzinfo=UTC), "dear", 1, dear),
    ]  # fmt: skip
    following = Period(january.end, datetime(2026, 3, 1, tzinfo=UTC))
    seats = [Occupied(january.start, 1)]
    lines = bill(january, following, terms, seats, {}, whole=january)
    assert [(line.kind, line.what, str(line.factor), line.amount) for line in lines] == [
        ("flat", "cheap", "14/31", 4516), ("flat", "dear", "17/31", 10968),
    ]  # fmt: skip
    left = Period(january.start, datetime(2026, 1, 20, tzinfo=UTC))
    lines = bill(left, following, terms, seats, {}, whole=january, last_one=True)
    assert [(str(line.factor), line.amount) for line in lines] == [("14/31", 4516), ("5/31", 3226)]


def test_from_paid_in_advance_to_paid_in_arrears_each_part_is_paid_once():
    advance = PlanPrice(currency="USD", interval=BillingInterval.MONTHLY, seat="10")
    arrears = PlanPrice(currency="USD", interval=BillingInterval.MONTHLY, seat="20", timing=Timing.IN_ARREARS)
    half, seats = datetime(2027, 4, 16, tzinfo=UTC), [Occupied(APRIL.start, 2)]
    there = [Terms(APRIL.start, "before", 1, advance), Terms(half, "after", 1, arrears)]
    lines = bill(APRIL, MAY, there, seats, {}, whole=APRIL)
    assert [(line.quantity, line.amount) for line in lines] == [(-2, -1000), (2, 2000)]
    back = [Terms(APRIL.start, "after", 1, arrears), Terms(half, "before", 1, advance)]
    lines = bill(APRIL, MAY, back, seats, {}, whole=APRIL)
    assert [(line.quantity, line.amount) for line in lines] == [(2, 1000), (2, 2000), (2, 2000)]
    assert lines[-1].start == MAY.start


def test_late_usage_is_a_second_line_of_the_difference():
    found = history(priced(RatingModel.GRADUATED, tiers=FLAT))
    first = bill_of(found, "12")
    assert amounts(first) == [("usage", 16000)]
    bills = (EarlierBill(APRIL, APRIL.end + GRACE, line_documents(first)),)
    later = History(found.buyer, found.held, True, (), bills)
    second = compute(later, MAY, seats_of(MAY, []), {APRIL: used("22"), MAY: []}, Tax(Decimal(0)))
    line = line_documents(second)[0]
    assert (line["quantity"], line["amount"], line["start"]) == ("10", 2200, "2027-04-01T00:00:00+00:00")


def test_late_usage_eats_the_commitment_that_was_filled_up():
    found = history(priced(RatingModel.PER_UNIT, unit="1"), minimum_commitment="100")
    first = bill_of(found, "50")
    assert amounts(first) == [("usage", 5000), ("commitment", 5000)]
    later = History(
        found.buyer, found.held, True, (), (EarlierBill(APRIL, APRIL.end + GRACE, line_documents(first)),)
    )
    for quantity, lines in (("80", [3000, -3000]), ("130", [8000, -5000])):
        made = compute(later, MAY, seats_of(MAY, []), {APRIL: used(quantity), MAY: []}, Tax(Decimal(0)))
        assert [line["amount"] for line in line_documents(made)][:2] == lines


def test_the_commitment_comes_before_coupons_and_those_before_tax():
    found = history(priced(RatingModel.PER_UNIT, unit="1"), minimum_commitment="100")
    coupon = Redeemed("TEN", "percent", Decimal(10), None, "once", None, START + GRACE)
    made = bill_of(History(found.buyer, found.held, True, (coupon,), ()), "50", tax="20")
    totals = made.amounts.totals
    assert amounts(made) == [("usage", 5000), ("commitment", 5000)]
    assert (totals.subtotal, totals.header_discount, totals.tax, totals.total) == (10000, 1000, 1800, 10800)


def test_coupons_come_off_one_after_the_other():
    found = history(priced(RatingModel.PER_UNIT, unit="1"))
    coupons = (
        Redeemed("HALF", "percent", Decimal(50), None, "once", None, START + GRACE),
        Redeemed("FIVE", "amount", Decimal(5), "USD", "once", None, START + GRACE),
        Redeemed("EURO", "amount", Decimal(5), "EUR", "once", None, START + GRACE),
        Redeemed("LATE", "percent", Decimal(50), None, "once", None, APRIL.end + GRACE),
    )
    made = bill_of(History(found.buyer, found.held, True, coupons, ()), "100")
    assert [(one.code, one.amount) for one in made.amounts.discounts] == [("HALF", 5000), ("FIVE", 500)]


def test_tax_is_rounded_once_per_line():
    found = history(priced(RatingModel.PER_UNIT, unit="0.07"), flat="0.07", seat="0.07")
    made = bill_of(found, "1", tax="7", seats=1)
    # 7 % of 0.07 is 0.0049 on each of three lines: nothing, where 0.21 together would give 0.01
    assert (made.amounts.totals.subtotal, made.amounts.totals.tax) == (21, 0)


@pytest.mark.parametrize(("currency", "minor"), [("USD", 4734), ("JPY", 47), ("BHD", 47341)])
def test_a_line_is_in_the_minor_units_of_its_currency(currency, minor):
    made = bill_of(history(priced(RatingModel.PER_UNIT, unit="10.625"), currency), "4.4556")
    assert amounts(made) == [("usage", minor)]
