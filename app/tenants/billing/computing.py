"""What a company's bill of a period says, from what was held, occupied, used and redeemed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from app.kernel.decimals import decimal_text
from app.kernel.money import exponent_of
from app.kernel.statements import in_utc
from app.kernel.totals import LineTotal
from app.kernel.uow import UnitOfWork
from app.tenants.billing.amounts import Amounts, Discount, Tax, Withdrawn, amounts_of, applying
from app.tenants.billing.bills import LICENCES, BillLine, Occupied, bill, usage_lines
from app.tenants.billing.histories import EarlierBill, History, occupied
from app.tenants.billing.metering import Meter, MetricUsage
from app.tenants.billing.periods import Period
from app.tenants.billing.seats import Seats

Used = Mapping[Period, Sequence[MetricUsage]]


@dataclass(frozen=True, slots=True)
class Computed:
    """The bill of `over`, with what is paid in advance of `following`."""

    over: Period
    following: Period
    currency: str
    amounts: Amounts
    own: frozenset[str]
    """Metrics that the product counts of itself: of their usage there are no events, but sums."""


async def read_and_compute(
    uow: UnitOfWork, history: History, over: Period, tax: Tax, *, arrived: datetime | None = None
) -> Computed:
    """The bill of a period; with `arrived`, from the events themselves that had arrived by then. Two statements."""
    seats = await Seats(uow).through(over)
    usage = await Meter(uow).of_periods([*history.reopened(over), over], arrived=arrived)
    return compute(history, over, seats_of(over, seats), usage, tax)


def compute(history: History, over: Period, seats: Sequence[Occupied], usage: Used, tax: Tax) -> Computed:
    """The bill of a period, from the usage of it and of the earlier periods that may have grown since."""
    last_one = any(end.at == over.end for end in history.ends)
    # Paid in advance is a whole period; whoever leaves within it gets the rest back by their last bill.
    following = Period(over.end, over.end) if last_one else history.whole(history.period_at(over.end))
    free = over == history.opening or over in history.away or not over.seconds
    used = {one.metric: one for one in usage.get(over, ())}
    lines = [line for period in history.reopened(over) for line in _late(history, period, usage[period])]
    whole = over if free else history.whole(over)
    lines += bill(
        over, following, history.terms(over), seats, used, whole=whole, free=free, last_one=last_one
    )
    currency = history.held_at(over.end).price.currency
    before = history.before(over)
    coupons = applying(history.redeemed, over, currency, before)
    own = frozenset(one.metric for found in usage.values() for one in found if one.own == one.count)
    amounts = amounts_of(
        lines, currency, coupons, tax, reduced=_reduced(history, over), withdrawn=_withdrawn(history, over)
    )
    return Computed(over, following, currency, amounts, own)


def _reduced(history: History, over: Period) -> tuple[Fraction, Sequence[Discount]]:
    """The share that coupons took off of what was asked for a period in advance, and which they were."""
    for earlier, asked in _asked(history, over):
        amount, off = (sum(line[name] for line in asked) for name in ("amount", "discount"))
        if amount > 0 and off > 0:
            taken = [Discount(one["code"], one["amount"]) for one in earlier.discounts if one["amount"] > 0]
            return Fraction(off, amount), taken
    return Fraction(0), ()


def _withdrawn(history: History, over: Period) -> Withdrawn | None:
    """What of what was asked for a period in advance is not asked for any more: that is not given back again."""
    for earlier, asked in _asked(history, over):
        share = earlier.withdrawn(asked)
        if asked and share:
            return Withdrawn(earlier.number, share, asked[0]["price"])
    return None


def _asked(history: History, over: Period) -> list[tuple[EarlierBill, list[Mapping[str, Any]]]]:
    """The bill that asked for a period in advance, with those lines of it."""
    start = in_utc(over.start).isoformat()
    return [
        (one, [line for line in one.lines if line["kind"] in LICENCES and line["start"] == start])
        for one in history.bills
        if one.period.end == over.start
    ]


def seats_of(period: Period, changes: Sequence[tuple[datetime, int]]) -> list[Occupied]:
    """Seats through a period, from all changes up to its end: (when, how many from then on)."""
    before = [seats for at, seats in changes if at <= period.start]
    after = [(at, seats) for at, seats in changes if at > period.start]
    return occupied(before[-1] if before else 0, after, period.start)


def _late(history: History, period: Period, usage: Sequence[MetricUsage]) -> list[BillLine]:
    """What usage that came after a period was billed adds to it: all of it rated anew, less what is booked."""
    terms = [one for one in history.terms(period) if one.at < period.end][-1]
    used = {one.metric: one for one in usage}
    booked = _booked(history, period)
    found = []
    share = history.whole(period).share(period.start, period.end)
    for line in usage_lines(period, terms, used, share=share):
        quantity, amount = booked.pop((line.kind, line.what), (Decimal(0), 0))
        found.append(_difference(line, line.quantity - quantity, line.amount - amount, terms.price.currency))
    for (kind, what), (quantity, amount) in booked.items():  # a commitment that is filled by now
        line = BillLine(
            kind, what, terms.price_id, quantity, None, period.start, period.end, Fraction(1), amount
        )
        found.append(_difference(line, -quantity, -amount, terms.price.currency))
    return [line for line in found if line.amount or (line.kind == "usage" and line.quantity)]


def _difference(line: BillLine, quantity: Decimal, amount: int, currency: str) -> BillLine:
    if line.kind == "usage":
        return replace(line, quantity=quantity, unit=None, amount=amount)
    unit = Decimal(amount).scaleb(-exponent_of(currency))
    return replace(line, quantity=Decimal(1), unit=unit, amount=amount)


def _booked(history: History, period: Period) -> dict[tuple[str, str], tuple[Decimal, int]]:
    """What bills so far say of the usage of a period: quantity and amount by kind and metric."""
    found: dict[tuple[str, str], tuple[Decimal, int]] = {}
    start = in_utc(period.start).isoformat()
    for earlier in history.bills:
        for line in earlier.lines:
            if line["kind"] in ("usage", "commitment") and line["start"] == start:
                key = (line["kind"], line["what"])
                quantity, amount = found.get(key, (Decimal(0), 0))
                found[key] = (quantity + Decimal(line["quantity"]), amount + line["amount"])
    return found


def line_documents(computed: Computed) -> list[dict[str, Any]]:
    """The lines as a bill keeps them."""
    lines = zip(computed.amounts.lines, computed.amounts.totals.lines, strict=True)
    return [
        _document(position, line, totals, computed) for position, (line, totals) in enumerate(lines, start=1)
    ]


def _document(position: int, line: BillLine, totals: LineTotal, computed: Computed) -> dict[str, Any]:
    return {
        "position": position,
        "kind": line.kind,
        "what": line.what,
        "price": line.price,
        "quantity": decimal_text(line.quantity),
        "unit": None if line.unit is None else decimal_text(line.unit),
        "start": in_utc(line.start).isoformat(),
        "end": in_utc(line.end).isoformat(),
        "factor": f"{line.factor.numerator}/{line.factor.denominator}",
        "amount": line.amount,
        "discount": totals.header_discount,
        "tax": totals.tax,
        "events": _events(line, computed),
    }


def _events(line: BillLine, computed: Computed) -> str | None:
    """Where in the API what a line counts can be read, event by event."""
    inside = computed.following if line.start >= computed.following.start else computed.over
    if line.kind == "usage":
        span = f"start={_z(line.start)}&end={_z(line.end)}"
        if line.what in computed.own:
            return f"/v1/billing/usage?{span}"
        return f"/v1/billing/usage-events?metric={line.what}&{span}"
    if line.kind == "seats":
        return f"/v1/billing/seats?start={_z(inside.start)}&end={_z(inside.end)}"
    return None


def _z(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
