"""From lines to what is to be paid: coupons come off first, then tax is added line by line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Final

from dateutil.relativedelta import relativedelta

from app.kernel.config import Settings
from app.kernel.money import Money, exponent_of, half_up, half_up_ratio
from app.kernel.totals import LineInput, Totals, total
from app.tenants.billing.bills import LICENCES, BillLine
from app.tenants.billing.histories import Buyer, Redeemed
from app.tenants.billing.periods import Period
from app.tenants.billing.rating import rounded

WITHDRAWN: Final = "withdrawn"
"""The kind of the line that keeps what an earlier bill asked for from being given back twice."""
GRACE: Final = timedelta(hours=48)
"""So long after a period's end its bill is made: what was used in it may still arrive until then."""


@dataclass(frozen=True, slots=True)
class Tax:
    """What is added to each line, in percent; with `reverse_charge` the buyer pays it to their own tax office."""

    rate: Decimal
    reverse_charge: bool = False


@dataclass(frozen=True, slots=True)
class Discount:
    """What a coupon took off, in minor units; below zero of what is given back."""

    code: str
    amount: int


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """The share of what an earlier bill asked in advance that was voided or credited since."""

    bill: str
    share: Fraction
    price: str


@dataclass(frozen=True, slots=True)
class Amounts:
    """A bill's lines with their shares of the discount and their tax, and the sums of both."""

    lines: tuple[BillLine, ...]
    discounts: tuple[Discount, ...]
    tax: Tax
    totals: Totals


def tax_for(buyer: Buyer, settings: Settings) -> Tax:
    """The rate of the buyer's country; a buyer with a tax number in another country than ours is charged none."""
    if buyer.tax_number and buyer.country != settings.seller_country:
        return Tax(Decimal(0), reverse_charge=True)
    return Tax(settings.tax_rates.get(buyer.country, Decimal(0)))


def amounts_of(
    lines: Sequence[BillLine],
    currency: str,
    coupons: Sequence[Redeemed],
    tax: Tax,
    *,
    reduced: tuple[Fraction, Sequence[Discount]] = (Fraction(0), ()),
    withdrawn: Withdrawn | None = None,
) -> Amounts:
    """Add a bill up; each line is rounded once as it was made, its tax once on what the discount leaves of it.

    `reduced` is the share that coupons took off when the period was paid in advance: seats and flat amounts that are
    given back come to as much less. What of that was `withdrawn` is not given back again: a line of its own says so.
    """
    held = [line.amount for line in lines if line.kind in LICENCES]
    base, back = sum(line.amount for line in lines), min(0, sum(held))
    kept = half_up(back * reduced[0])
    again = _not_given_back(lines, kept - back, currency, withdrawn)
    lines = [*lines, *again]
    shares = [0] * len(lines)
    returned: tuple[Discount, ...] = ()
    if kept:
        base -= back
        shares = _shared(kept, [-min(0, line.amount) * (line.kind in LICENCES) for line in lines], currency)
        parts = _shared(kept, [one.amount for one in reduced[1]], currency)
        returned = tuple(
            Discount(one.code, part) for one, part in zip(reduced[1], parts, strict=True) if part
        )
    discounts = _discounts(base + (0 if kept else sum(one.amount for one in again)), currency, coupons)
    exponent = exponent_of(currency)
    totals = total(
        [
            LineInput(
                quantity=line.quantity,
                unit_price=Decimal(0),
                gross=Decimal(line.amount).scaleb(-exponent),
                tax_rate=tax.rate,
                benefit=share,
            )
            for line, share in zip(lines, shares, strict=True)
        ],
        currency=currency,
        discount_amount=sum(one.amount for one in discounts),
    )
    return Amounts(tuple(lines), (*returned, *discounts), tax, totals)


def _not_given_back(
    lines: Sequence[BillLine], given: int, currency: str, withdrawn: Withdrawn | None
) -> list[BillLine]:
    """The line that takes back what is given back of what was withdrawn before; `given` in minor units."""
    if withdrawn is None or not (amount := half_up(given * withdrawn.share)):
        return []
    last = max((line for line in lines if line.kind in LICENCES), key=lambda line: (line.end, line.start))
    unit = Decimal(given).scaleb(-exponent_of(currency))
    return [
        BillLine(
            kind=WITHDRAWN,
            what=withdrawn.bill,
            price=withdrawn.price,
            quantity=Decimal(1),
            unit=unit,
            start=last.start,
            end=last.end,
            factor=withdrawn.share,
            amount=amount,
        )
    ]


def _shared(amount: int, weights: Sequence[int], currency: str) -> list[int]:
    return [share.amount_minor for share in Money(amount, currency).allocate(weights)]


def applying(
    coupons: Sequence[Redeemed], over: Period, currency: str, before: Period | None
) -> list[Redeemed]:
    """The coupons that count for the bill of a period; `before` is the period of the bill before it, if any.

    A bill counts as made when the grace is over, whenever it really was, so that a late run changes no amount.
    """
    made = over.end + GRACE
    last = before.end + GRACE if before else None

    def counts(coupon: Redeemed) -> bool:
        if coupon.at >= made or (coupon.currency or currency) != currency:
            return False
        match coupon.duration:
            case "once":
                return last is None or coupon.at >= last
            case "repeating":
                return made < coupon.at + relativedelta(months=coupon.months or 0)
            case _:
                return True

    return [coupon for coupon in coupons if counts(coupon)]


def _discounts(base: int, currency: str, coupons: Sequence[Redeemed]) -> tuple[Discount, ...]:
    """One after the other, each of what the one before left, in the order in which they were redeemed."""
    found = []
    for coupon in coupons:
        over, under = coupon.value.as_integer_ratio()
        if coupon.kind == "percent":
            amount = half_up_ratio(max(0, base) * over, under * 100)
        else:
            amount = min(max(0, base), rounded(Fraction(coupon.value), currency))
        if amount:
            found.append(Discount(coupon.code, amount))
            base -= amount
    return tuple(found)
