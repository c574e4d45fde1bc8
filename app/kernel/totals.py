"""Totals of documents with lines: quotes, orders, invoices and credit notes add up in one way.

All amounts are whole minor units of the document's currency. A line is computed exactly and rounded once, half up
(away from zero). The header's discount is shared out over the lines by largest remainder, so that the lines always
sum to the header; tax is computed and rounded per line, from the net amount, or out of the gross one where prices
include it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from app.kernel.decimals import DecimalOut
from app.kernel.money import Money, MoneyOut, exponent_of, half_up, half_up_ratio
from app.kernel.schemas import Output

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineInput:
    """What a line is computed from.

    `unit_price` is in major units. `gross` is the exact price of the whole quantity in major units where that is not
    quantity x unit price, as with slab tiers. Discounts come off one after the other: `discount_percent` first, then
    `discount_amount` in minor units. `tax_rate` is in percent. `benefit` is what coupons and points take off after
    the header's share, in minor units, and counts as part of that.
    """

    quantity: Decimal
    unit_price: Decimal
    gross: Decimal | None = None
    discount_percent: Decimal = _ZERO
    discount_amount: int = 0
    tax_rate: Decimal = _ZERO
    benefit: int = 0


@dataclass(frozen=True, slots=True)
class LineTotal:
    """One line: `subtotal` = `gross` - `discount`, and what is left of it after the header's share bears the tax.

    `net` + `tax` = `total`, always.
    """

    gross: int
    discount: int
    subtotal: int
    header_discount: int
    net: int
    tax: int
    total: int


@dataclass(frozen=True, slots=True)
class TaxTotal:
    """What the lines of one rate come to."""

    rate: Decimal
    net: int
    tax: int


class TaxRead(Output):
    """`TaxTotal` over the wire."""

    rate: DecimalOut
    net: MoneyOut
    tax: MoneyOut


@dataclass(frozen=True, slots=True)
class Totals:
    """A document: each figure is the sum of its lines'.

    `discount` is the lines' own, `header_discount` the header's.
    """

    currency: str
    lines: tuple[LineTotal, ...]
    gross: int
    discount: int
    subtotal: int
    header_discount: int
    net: int
    tax: int
    total: int
    taxes: tuple[TaxTotal, ...]


class DiscountTooLarge(ValueError):
    """A discount is more than what it is taken from; `line` is the line's index, None for the header's."""

    def __init__(self, line: int | None) -> None:
        super().__init__("The discount is more than the price.")
        self.line = line


def total(
    lines: Sequence[LineInput],
    *,
    currency: str,
    discount_percent: Decimal = _ZERO,
    discount_amount: int = 0,
    tax_included: bool = False,
) -> Totals:
    """Compute a document. `discount_percent` and then `discount_amount` (minor units) come off the sum of the lines.

    Raises: DiscountTooLarge; UnknownCurrency.
    """
    scale = 10 ** exponent_of(currency)
    amounts = [_line(line, scale, index) for index, line in enumerate(lines)]
    subtotals = [gross - discount for gross, discount in amounts]
    shares = _share(subtotals, discount_percent, discount_amount, currency)
    for index, line in enumerate(lines):
        if line.benefit:
            shares[index] += line.benefit
            if shares[index] > max(subtotals[index], 0):
                raise DiscountTooLarge(index)
    done = tuple(
        _taxed(gross, discount, share, line.tax_rate, included=tax_included)
        for line, (gross, discount), share in zip(lines, amounts, shares, strict=True)
    )
    return Totals(
        currency=currency,
        lines=done,
        gross=sum(line.gross for line in done),
        discount=sum(line.discount for line in done),
        subtotal=sum(subtotals),
        header_discount=sum(shares),
        net=sum(line.net for line in done),
        tax=sum(line.tax for line in done),
        total=sum(line.total for line in done),
        taxes=_by_rate(lines, done),
    )


def _line(line: LineInput, scale: int, index: int) -> tuple[int, int]:
    """Gross amount and own discount; their difference is the exact price rounded once."""
    if line.gross is not None:
        over, under = line.gross.as_integer_ratio()
    else:
        units, per = line.quantity.as_integer_ratio()
        price, part = line.unit_price.as_integer_ratio()
        over, under = units * price, per * part
    over *= scale
    gross = half_up_ratio(over, under)
    if not line.discount_percent and not line.discount_amount:
        return gross, 0
    percent, hundred = _of_hundred(line.discount_percent)
    under_less = under * hundred
    less = over * (hundred - percent) - line.discount_amount * under_less
    if over >= 0 and less < 0:
        raise DiscountTooLarge(index)
    return gross, gross - half_up_ratio(less, under_less)


def _of_hundred(percent: Decimal) -> tuple[int, int]:
    """A percentage as a ratio of whole numbers."""
    over, under = percent.as_integer_ratio()
    return over, 100 * under


def _share(subtotals: Sequence[int], percent: Decimal, amount: int, currency: str) -> list[int]:
    """The header's discount by line; what costs nothing, or less, takes no part in it."""
    if not percent and not amount:
        return [0] * len(subtotals)
    weights = [max(subtotal, 0) for subtotal in subtotals]
    base = sum(weights)
    part, hundred = _of_hundred(percent)
    discount = half_up_ratio(base * part, hundred) + amount
    if not discount:
        return [0] * len(subtotals)
    if discount > base:
        raise DiscountTooLarge(None)
    return [share.amount_minor for share in Money(discount, currency).allocate(weights)]


def _taxed(gross: int, discount: int, share: int, rate: Decimal, *, included: bool) -> LineTotal:
    subtotal = gross - discount
    after = subtotal - share
    tax = 0
    if rate:
        percent, hundred = _of_hundred(rate)
        tax = half_up_ratio(after * percent, hundred + percent if included else hundred)
    net = after - tax if included else after
    return LineTotal(gross, discount, subtotal, share, net, tax, net + tax)


def _by_rate(lines: Sequence[LineInput], done: Sequence[LineTotal]) -> tuple[TaxTotal, ...]:
    found: dict[Decimal, tuple[int, int]] = {}
    for line, amounts in zip(lines, done, strict=True):
        net, tax = found.get(line.tax_rate, (0, 0))
        found[line.tax_rate] = (net + amounts.net, tax + amounts.tax)
    return tuple(TaxTotal(rate, net, tax) for rate, (net, tax) in sorted(found.items()))


def part(line: LineTotal, before: Fraction, after: Fraction, *, tax_included: bool) -> LineTotal:
    """What of a line lies between two shares of it, each from 0 to 1: for what is invoiced or credited in parts.

    Parts that follow on each other sum to the line exactly, whatever their number and size: each figure is the
    difference of two roundings of the whole.
    """

    def share(whole: int) -> int:
        return half_up(whole * after) - half_up(whole * before)

    amount, tax, header, discount = map(share, (line.total, line.tax, line.header_discount, line.discount))
    net = amount - tax
    subtotal = (amount if tax_included else net) + header
    return LineTotal(subtotal + discount, discount, subtotal, header, net, tax, amount)


def document(lines: Sequence[LineTotal], rates: Sequence[Decimal], *, currency: str) -> Totals:
    """The document that lines which were computed already make; `rates` are their tax rates in percent."""
    done = tuple(lines)
    return Totals(
        currency=currency,
        lines=done,
        gross=sum(line.gross for line in done),
        discount=sum(line.discount for line in done),
        subtotal=sum(line.subtotal for line in done),
        header_discount=sum(line.header_discount for line in done),
        net=sum(line.net for line in done),
        tax=sum(line.tax for line in done),
        total=sum(line.total for line in done),
        taxes=_by_rate([LineInput(quantity=_ZERO, unit_price=_ZERO, tax_rate=rate) for rate in rates], done),
    )
