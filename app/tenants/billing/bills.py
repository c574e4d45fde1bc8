"""The lines of a bill, each of which says by what it was computed: anybody can do the sum again.

A bill is made when a period is over. It holds what changed within that period, the usage of it, and seats and flat
amount of the next one in advance. The last one before a company leaves gives back what it paid in advance for later,
and asks for nothing in advance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Final

from app.kernel.money import exponent_of
from app.tenants.billing.aggregation import Aggregation
from app.tenants.billing.metering import MetricUsage
from app.tenants.billing.periods import Period
from app.tenants.billing.plans import PlanPrice, Timing
from app.tenants.billing.proration import Licence, LicenceLine, billable, in_advance, in_arrears
from app.tenants.billing.rating import rounded, true_up

LICENCES: Final = ("flat", "seats")
"""Kinds of lines for what is held, rather than used."""


@dataclass(frozen=True, slots=True)
class Terms:
    """From `at` on a plan holds at this price."""

    at: datetime
    plan: str
    version: int
    price: PlanPrice

    @property
    def price_id(self) -> str:
        """Names the price for ever: `professional/2/USD/monthly`."""
        return f"{self.plan}/{self.version}/{self.price.currency}/{self.price.interval}"


@dataclass(frozen=True, slots=True)
class Occupied:
    """From `at` on so many seats are taken."""

    at: datetime
    seats: int


@dataclass(frozen=True, slots=True)
class BillLine:
    """`amount` in minor units; `unit` is a price in major units, if any; `factor` a share of the period."""

    kind: str
    what: str
    price: str
    quantity: Decimal
    unit: Decimal | None
    start: datetime
    end: datetime
    factor: Fraction
    amount: int


def bill(
    over: Period,
    following: Period,
    terms: Sequence[Terms],
    seats: Sequence[Occupied],
    usage: Mapping[str, MetricUsage],
    *,
    whole: Period,
    free: bool = False,
    last_one: bool = False,
) -> list[BillLine]:
    """The bill of a period that is over, or as it stands so far.

    `terms` and `seats` are by time, and the first of each held when the period began. Terms that begin with the
    following period are its price. `whole` is the period as it was paid in advance: longer than `over` where the
    company left within it. A period that is `free`, as a trial is, costs nothing itself. After the `last_one` the
    company has left.
    """
    lines: list[BillLine] = []
    if not free:
        within = [one for one in terms if one.at < over.end]
        taken = [one for one in seats if one.at < over.end]
        lines += _licences(whole, within, taken, until=over.end)[1]
        lines += usage_lines(over, within[-1], usage, share=whole.share(over.start, over.end))
    if last_one:
        return lines
    last = replace(terms[-1], at=following.start)
    advance = _licences(following, [last], [Occupied(following.start, seats[-1].seats)])[0]
    return lines + advance


def _licences(
    period: Period, terms: Sequence[Terms], seats: Sequence[Occupied], until: datetime | None = None
) -> tuple[list[BillLine], list[BillLine]]:
    """What is due when the period begins, and what comes afterwards: changes, and what is paid in arrears.

    Nothing is held from `until` on.
    """
    currency = terms[0].price.currency
    later = {one.price_id for one in terms if one.price.timing is Timing.IN_ARREARS}
    begun: list[BillLine] = []
    changed: list[BillLine] = []
    for kind, licences in (
        ("flat", [Licence(one.at, 1, Decimal(one.price.flat), one.price_id) for one in terms]),
        ("seats", _seats(terms, seats)),
    ):
        end = [replace(licences[-1], at=until, quantity=0)] if until is not None and licences else []
        held = [*licences, *end]
        before = [_unless(one, one.plan in later) for one in held]
        for line in in_advance(period, before, currency):
            (begun if line.start == period.start else changed).append(_line(kind, line))
        after = [_unless(one, one.plan not in later) for one in held]
        changed += [_line(kind, line) for line in in_arrears(period, after, currency)]
    return begun, changed


def _unless(licence: Licence, otherwise: bool) -> Licence:
    """The licence, or none of it where it is paid at the other end of the period."""
    return replace(licence, quantity=0) if otherwise else licence


def _seats(terms: Sequence[Terms], seats: Sequence[Occupied]) -> list[Licence]:
    """Both histories as one: so many paid seats at so much, whenever either changed."""
    moments = sorted({one.at for one in terms} | {one.at for one in seats})
    first = max(terms[0].at, seats[0].at)
    held: list[Licence] = []
    for moment in [m for m in moments if m >= first]:
        at_hand = [one for one in terms if one.at <= moment][-1]
        price = at_hand.price
        taken = [one for one in seats if one.at <= moment][-1].seats
        paid = billable(taken, minimum=price.minimum_seats, free=price.free_seats)
        licence = Licence(moment, paid, Decimal(price.seat), at_hand.price_id)
        if not held or replace(held[-1], at=moment) != licence:
            held.append(licence)
    return held


def _line(kind: str, line: LicenceLine) -> BillLine:
    what = line.plan.partition("/")[0]
    return BillLine(
        kind,
        what,
        line.plan,
        Decimal(line.quantity),
        line.unit,
        line.start,
        line.end,
        line.factor,
        line.amount,
    )


def usage_lines(
    period: Period, terms: Terms, usage: Mapping[str, MetricUsage], *, share: Fraction = Fraction(1)
) -> list[BillLine]:
    """What was used at the price that held at the end, filled up to this share of the commitment."""
    price, lines = terms.price, []
    whole = Fraction(1)
    for priced in price.usage:
        used = usage.get(priced.metric)
        quantity = quantity_of(priced.aggregation, used) if used else Decimal(0)
        amount = rounded(priced.rate.amount(quantity), price.currency)
        if quantity or amount:
            lines.append(
                BillLine(
                    "usage",
                    priced.metric,
                    terms.price_id,
                    quantity,
                    None,
                    period.start,
                    period.end,
                    whole,
                    amount,
                )
            )
    committed = rounded(Fraction(price.minimum_commitment) * share, price.currency)
    missing = true_up(committed, sum(line.amount for line in lines))
    if missing:
        unit = Decimal(missing).scaleb(-exponent_of(price.currency))
        lines.append(
            BillLine(
                "commitment",
                terms.plan,
                terms.price_id,
                Decimal(1),
                unit,
                period.start,
                period.end,
                whole,
                missing,
            )
        )
    return lines


def quantity_of(how: Aggregation, used: MetricUsage) -> Decimal:
    """The quantity that a price counts; weighted sums to twelve decimals."""
    if how is Aggregation.WEIGHTED_SUM:
        exact = Decimal(used.weighted_sum.numerator) / Decimal(used.weighted_sum.denominator)
        return exact.quantize(Decimal(1).scaleb(-12))
    return Decimal(getattr(used, how.value))
