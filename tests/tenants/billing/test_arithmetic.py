"""The worked numbers that billing has to match, and properties of what they are computed with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.tenants.billing.aggregation import Aggregation, Usage, aggregate
from app.tenants.billing.periods import BillingInterval, Period, nth_period, period_at
from app.tenants.billing.proration import Licence, billable, in_advance, in_arrears, total
from app.tenants.billing.rating import Rate, RatingModel, Tier, late_amount, rounded, true_up

GRADUATED, VOLUME = RatingModel.GRADUATED, RatingModel.VOLUME


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def month(year: int, number: int) -> Period:
    return nth_period(datetime(year, number, 1, tzinfo=UTC), BillingInterval.MONTHLY, 0)


def held(moment: str, quantity: int, unit: str) -> Licence:
    return Licence(at(moment), quantity, Decimal(unit))


def tiers(*rows: tuple[int | None, str, str]) -> tuple[Tier, ...]:
    return tuple(
        Tier(None if top is None else Decimal(top), Decimal(unit), Decimal(flat)) for top, unit, flat in rows
    )


def cents(rate: Rate, quantity: str) -> int:
    return rounded(rate.amount(Decimal(quantity)), "USD")


# -- the table of worked numbers -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("period", "changes", "amounts"),
    [
        # 10.00 -> 20.00 at exactly half of the period
        (month(2026, 4), [held("2026-04-01", 1, "10"), held("2026-04-16", 1, "20")], [1000, -500, 1000]),
        # 99 -> 249 with 18 of 30 days left
        (month(2026, 4), [held("2026-04-01", 1, "99"), held("2026-04-13", 1, "249")], [9900, -5940, 14940]),
        # +5 seats at 10.00, half of April left; -3 at the same moment
        (month(2026, 4), [held("2026-04-01", 7, "10"), held("2026-04-16", 12, "10")], [7000, 2500]),
        (month(2026, 4), [held("2026-04-01", 7, "10"), held("2026-04-16", 4, "10")], [7000, -1500]),
        # +1 seat at 25.00 on 10 February, 13:30:15
        (month(2026, 2), [held("2026-02-01", 1, "25"), held("2026-02-10T13:30:15", 2, "25")], [2500, 1646]),
        # A month has as many days as it has: one seat at 10.00 with 22 days of July left
        (month(2026, 7), [held("2026-07-01", 0, "10"), held("2026-07-10", 1, "10")], [710]),
    ],
)
def test_what_changes_within_a_paid_period_is_credited_and_charged_to_the_second(period, changes, amounts):
    assert [line.amount for line in in_advance(period, changes, "USD")] == amounts


def test_what_is_paid_afterwards_is_split_by_time():
    lines = in_arrears(month(2026, 1), [held("2026-01-01", 1, "100"), held("2026-01-15", 1, "200")], "EUR")
    assert [(line.factor, line.amount) for line in lines] == [
        (Fraction(14, 31), 4516), (Fraction(17, 31), 10968),
    ]  # fmt: skip


SIMPLE = tiers((5, "7", "0"), (10, "6.5", "0"), (None, "6", "0"))
FLAT_GRADUATED = tiers((5, "0", "100"), (10, "0", "50"), (15, "5", "0"), (None, "1", "0"))
FLAT_VOLUME = tiers((5, "0", "100"), (10, "0", "150"), (15, "10", "0"), (None, "5", "0"))


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        (Rate(VOLUME, tiers=SIMPLE), {"1": 700, "5": 3500, "6": 3900, "20": 12000, "25": 15000}),
        (Rate(GRADUATED, tiers=SIMPLE), {"1": 700, "5": 3500, "6": 4150, "20": 12750, "25": 15750}),
        (Rate(GRADUATED, tiers=FLAT_GRADUATED), {"22": 18200, "12": 16000}),
        (Rate(VOLUME, tiers=FLAT_VOLUME), {"0": 10000, "14": 14000, "15": 15000, "16": 8000, "100": 50000}),
        (Rate(VOLUME, tiers=tiers((None, "0.0006", "10"))), {"65000": 4900}),
        (Rate(RatingModel.PACKAGE, unit=Decimal(5), package_size=Decimal(100), included=Decimal(100)),
         {"100": 0, "101": 500, "200": 500, "201": 1000}),
        (Rate(RatingModel.PER_UNIT, unit=Decimal("0.04"), included=Decimal(1000)),
         {"1000": 0, "1001": 4, "1500": 2000}),
    ],
)  # fmt: skip
def test_a_quantity_costs_what_its_model_says(rate, expected):
    assert {quantity: cents(rate, quantity) for quantity in expected} == expected


def test_seats_and_usage_make_the_bill_of_a_month():
    period, usage = month(2026, 4), Rate(RatingModel.PER_UNIT, unit=Decimal("0.04"), included=Decimal(1000))
    seats = total(in_advance(period, [held("2026-04-01", 3, "100")], "USD"))
    assert [seats + cents(usage, quantity) for quantity in ("1000", "1001", "1500")] == [30000, 30004, 32000]


def test_late_usage_costs_the_difference_to_what_was_booked():
    rate = Rate(GRADUATED, tiers=FLAT_GRADUATED)
    assert late_amount(rate, Decimal(12), cents(rate, "12"), Decimal(10), "USD") == 2200


def test_a_minimum_commitment_is_filled_up():
    assert [true_up(10000, charged) for charged in (5000, 10000, 12000)] == [5000, 0, 0]


@pytest.mark.parametrize(("currency", "minor"), [("USD", 4734), ("JPY", 47), ("BHD", 47341)])
def test_a_line_is_rounded_once_in_its_currency(currency, minor):
    rate = Rate(RatingModel.PER_UNIT, unit=Decimal("10.625"))
    assert rounded(rate.amount(Decimal("4.4556")), currency) == minor


def test_events_of_one_user_are_aggregated_in_every_way():
    events = [Usage(at("2026-03-05"), Decimal(10), "ada"), Usage(at("2026-03-04"), Decimal(20), "ada")]
    march = month(2026, 3)
    assert [aggregate(how, events, march) for how in ("count", "sum", "max", "unique", "latest")] == [
        2, 30, 20, 1, 10,
    ]  # fmt: skip
    outside = [Usage(at("2026-02-28T23:59:59")), Usage(at("2026-04-01"))]
    assert aggregate(Aggregation.COUNT, outside, march) == 0


def test_a_weighted_sum_counts_for_the_rest_of_the_period():
    events = [Usage(at("2026-03-16"), Decimal(20)), Usage(at("2026-03-17"), Decimal(10))]
    assert round(float(aggregate(Aggregation.WEIGHTED_SUM, events, month(2026, 3))), 10) == 15.1612903226


# -- periods ----------------------------------------------------------------------------------------------------


def test_an_anchor_on_the_last_day_stays_there():
    anchor = at("2026-01-31T10:00:00")
    assert [nth_period(anchor, BillingInterval.MONTHLY, n).start.date().isoformat() for n in range(4)] == [
        "2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30",
    ]  # fmt: skip
    assert nth_period(at("2024-02-29"), BillingInterval.YEARLY, 1).start == at("2025-02-28")
    assert nth_period(at("2024-02-29"), BillingInterval.YEARLY, 4).start == at("2028-02-29")


MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2032, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001
    lambda moment: moment.replace(microsecond=0)
)


@given(MOMENTS, st.sampled_from(BillingInterval), MOMENTS)
def test_every_moment_lies_in_exactly_one_period(anchor, interval, moment):
    found = period_at(anchor, interval, moment)
    assert moment in found
    assert period_at(anchor, interval, found.start) == found
    assert period_at(anchor, interval, found.end).start == found.end


# -- seats against a count of seconds ------------------------------------------------------------------------------


@given(
    st.lists(
        st.tuples(st.integers(0, 28 * 86_400 - 1), st.integers(-4, 4), st.booleans()),
        max_size=12,
        unique_by=lambda change: change[0],
    ),
    st.integers(0, 6),
    st.integers(0, 5),
    st.integers(0, 3),
)
def test_seats_cost_what_a_count_of_seconds_says(changes, begun, minimum, free):
    """Prices are such that a seat's second costs a whole number, so the two agree without any rounding."""
    period = month(2026, 2)
    seconds = period.seconds
    unit, dearer = Decimal(seconds) / 100, Decimal(seconds * 2) / 100
    occupied, price = begun, unit
    history = [Licence(period.start, billable(occupied, minimum=minimum, free=free), price)]
    reference, since = 0, 0
    for second, by, moves in sorted(changes):
        cost = 2 if price == dearer else 1
        reference += (second - since) * cost * billable(occupied, minimum=minimum, free=free)
        occupied, since = max(0, occupied + by), second
        price = (unit if price == dearer else dearer) if moves else price
        moment = period.start + timedelta(seconds=second)
        history.append(Licence(moment, billable(occupied, minimum=minimum, free=free), price))
    cost = 2 if price == dearer else 1
    reference += (seconds - since) * cost * billable(occupied, minimum=minimum, free=free)
    assert total(in_advance(period, history, "USD")) == reference
    assert total(in_arrears(period, history, "USD")) == reference


@given(st.integers(0, 28 * 86_400 - 1), st.integers(0, 28 * 86_400 - 1))
def test_a_seat_that_goes_and_comes_back_is_never_paid_twice(first, second):
    period = month(2026, 2)
    gone, back = sorted((first, second))
    unit = Decimal(period.seconds) / 100
    moments = [period.start + timedelta(seconds=moment) for moment in (gone, back)]
    history = [Licence(period.start, 1, unit), Licence(moments[0], 0, unit), Licence(moments[1], 1, unit)]
    assert total(in_advance(period, history, "USD")) == period.seconds - (back - gone)


@given(
    st.sampled_from([SIMPLE, FLAT_GRADUATED, FLAT_VOLUME]),
    st.sampled_from([GRADUATED, VOLUME]),
    st.lists(st.integers(0, 40), min_size=1, max_size=6),
)
def test_in_whatever_parts_usage_comes_late_it_costs_the_same_together(table, model, parts):
    rate = Rate(model, tiers=table)
    booked, quantity = rounded(rate.amount(Decimal(0)), "USD"), Decimal(0)
    for part in parts:
        booked += late_amount(rate, quantity, booked, Decimal(part), "USD")
        quantity += part
    assert booked == rounded(rate.amount(quantity), "USD")
