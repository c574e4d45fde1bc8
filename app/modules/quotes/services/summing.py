"""Adding up: amounts of lines, totals, cost and margin of a quote, by `kernel.totals`.

Optional lines, and the components of optional bundles, are computed but in no total unless they are chosen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any, Final

import orjson

from app.kernel.errors import FieldError, Invalid
from app.kernel.money import exponent_of, half_up
from app.kernel.totals import DiscountTooLarge, LineTotal, Totals, total
from app.modules.catalog.interface import ChargeKind, PriceSource
from app.modules.quotes.schemas import MAX_AMOUNT_MINOR
from app.modules.quotes.services.pricing import Header, LinePrice, included_lines, refusal

_ZERO: Final = Decimal(0)
_FOUR_PLACES: Final = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class Sums:
    """All lines' amounts by index, and the totals of those that count."""

    lines: tuple[LineTotal, ...]
    included: tuple[int, ...]
    totals: Totals


def add_up(header: Header, prices: Sequence[LinePrice], chosen: Collection[int] = ()) -> Sums:
    """All amounts. Raises `Invalid` for a discount beyond the price and amounts that are too large."""
    scale = 10 ** exponent_of(header.currency)
    too_large = [index for index, line in enumerate(prices) if abs(_exact(line)) * scale > MAX_AMOUNT_MINOR]
    if too_large:
        raise refusal(
            [
                FieldError(f"/lines/{index}/unit_price", "amount_out_of_range", "The line comes to too much.")
                for index in too_large
            ]
        )
    included = included_lines([line.given for line in prices], chosen)
    others = sorted(set(range(len(prices))) - set(included))
    counted = _total(header, prices, included, whole=True)
    if max(counted.gross, counted.total) > MAX_AMOUNT_MINOR:
        raise Invalid.at("/lines", "amount_out_of_range", "The quote comes to more than an order may.")
    aside = _total(header, prices, others, whole=False)
    amounts = dict(zip((*included, *others), (*counted.lines, *aside.lines), strict=True))
    return Sums(tuple(amounts[index] for index in range(len(prices))), tuple(included), counted)


def _exact(line: LinePrice) -> Fraction:
    if line.exact_gross is not None:
        return Fraction(line.exact_gross)
    return Fraction(line.given.quantity) * Fraction(line.unit_price)


def _total(header: Header, prices: Sequence[LinePrice], places: Sequence[int], *, whole: bool) -> Totals:
    """Totals of the lines at `places`, with the header's discount only where they are the `whole` offer."""
    try:
        return total(
            [prices[place].input for place in places],
            currency=header.currency,
            discount_percent=header.discount_percent if whole else _ZERO,
            discount_amount=header.discount_amount if whole else 0,
            tax_included=header.tax_included,
        )
    except DiscountTooLarge as refused:
        place = "" if refused.line is None else f"/lines/{places[refused.line]}"
        raise Invalid.at(
            f"{place}/discount_amount", "more_than_the_price", "The discount is more than the price."
        ) from None


def charges_in(prices: Sequence[LinePrice], sums: Sums) -> dict[ChargeKind, int]:
    """What the lines that count come to once, each month and each year, in minor units."""
    charges = dict.fromkeys(ChargeKind, 0)
    for place in sums.included:
        charges[ChargeKind(prices[place].charge)] += sums.lines[place].total
    return charges


def header_columns(header: Header, prices: Sequence[LinePrice], sums: Sums) -> dict[str, Any]:
    """The columns of a quote that follow from its lines."""
    totals, charges = sums.totals, charges_in(prices, sums)
    cost = _cost(header, prices, sums)
    margin = None if cost is None else totals.net - cost
    return {
        "gross": totals.gross,
        "discount": totals.discount,
        "header_discount": totals.header_discount,
        "net": totals.net,
        "tax": totals.tax,
        "total": totals.total,
        "one_time_total": charges[ChargeKind.ONE_TIME],
        "monthly_total": charges[ChargeKind.MONTHLY],
        "yearly_total": charges[ChargeKind.YEARLY],
        "cost": cost,
        "margin_amount": margin,
        "margin_percent": None if margin is None else _percent(margin, totals.net),
        "total_discount_percent": _discount_percent(header, prices, sums),
        "line_count": len(prices),
        "content_hash": content_hash(prices),
    }


def _cost(header: Header, prices: Sequence[LinePrice], sums: Sums) -> int | None:
    """What the lines that count cost us; None where that of something that is paid for is not known."""
    scale = 10 ** exponent_of(header.currency)
    exact = Fraction(0)
    for place in sums.included:
        line = prices[place]
        if line.unit_cost is not None:
            exact += half_up(Fraction(line.given.quantity) * Fraction(line.unit_cost) * scale)
        elif sums.lines[place].gross:
            return None
    cost = half_up(exact)
    return cost if sums.included and cost <= 10 * MAX_AMOUNT_MINOR else None


def _discount_percent(header: Header, prices: Sequence[LinePrice], sums: Sums) -> Decimal | None:
    """All that was let off, of what the lines come to without it: an entered price counts against the list's."""
    scale = 10 ** exponent_of(header.currency)
    base = 0
    for place in sums.included:
        line, gross = prices[place], sums.lines[place].gross
        if line.source == PriceSource.ENTERED and line.list_price is not None:
            gross = max(gross, half_up(Fraction(line.list_price) * Fraction(line.given.quantity) * scale))
        base += gross
    totals = sums.totals
    return _percent(base - (totals.subtotal - totals.header_discount), base)


def _percent(part: int, whole: int) -> Decimal | None:
    """Percent to four places, half up; None of nothing."""
    if not whole:
        return None
    return (
        Decimal(half_up(Fraction(part * 1_000_000, whole))).scaleb(-4).quantize(_FOUR_PLACES, ROUND_HALF_UP)
    )


def content_hash(prices: Sequence[LinePrice]) -> str:
    """Stands for everything that the lines say."""
    content = [
        [
            line.given.product_id, line.given.component_of, line.description, line.given.detail, line.unit,
            plain(line.given.quantity), line.source, line.price_book_id, plain(line.list_price),
            plain(line.unit_price), plain(line.exact_gross), plain(line.given.discount_percent),
            line.given.discount_amount, plain(line.tax_rate), line.given.tax_rate is not None, line.charge,
            line.given.optional, plain(line.unit_cost), line.given.unit_cost is not None,
        ]
        for line in prices
    ]  # fmt: skip
    return hashlib.sha256(orjson.dumps(content, default=str)).hexdigest()


def plain(value: Decimal | None) -> str | None:
    """A decimal as text that does not depend on how many zeros end it."""
    if value is None:
        return None
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
