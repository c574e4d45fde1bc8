"""What a line costs, step by step: pure computation over facts that were loaded before.

The unit's price is the first of: what was entered; what the bundle says of its component; what was agreed in the
contract, then with the account; the price books' by kind (contract, partner, segment, channel, default), and within
one kind by priority; the list price. A book's price goes by its tier. Discounts, tax and totals are those of
`kernel.totals`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Context, Decimal
from fractions import Fraction
from uuid import UUID

from app.kernel.money import UNIT_PRICE_DECIMALS, exponent_of, format_minor, half_up
from app.kernel.totals import DiscountTooLarge, LineInput, LineTotal, Totals, total
from app.modules.catalog.interface import (
    PricedLine,
    PriceQuery,
    PriceQueryLine,
    PriceSource,
    PriceStep,
    Pricing,
    ProductRef,
)
from app.modules.catalog.models.configuration import ComponentPricing
from app.modules.catalog.models.prices import BookKind, TierKind

MAX_LINE_MINOR = 10**15  # thousands of such lines still fit where money is kept
_EXACT = Context(prec=100)
_KINDS = {kind: place for place, kind in enumerate(BookKind)}
_SCALE = 10**UNIT_PRICE_DECIMALS


@dataclass(frozen=True, slots=True)
class Tier:
    """The price of one unit from a quantity on."""

    from_quantity: Decimal
    price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class BookPrice:
    """A product's price in a price book that holds for this query."""

    book_id: UUID
    code: str
    kind: BookKind
    priority: int
    price: Decimal
    tier_kind: TierKind = TierKind.RANGE
    tiers: tuple[Tier, ...] = ()
    of_parent: bool = False

    @property
    def rank(self) -> tuple[int, int, str, bool]:
        """Smaller goes first; a variant's own price goes before its parent's in the same book."""
        return _KINDS[self.kind], self.priority, self.code, self.of_parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """A price that was agreed and holds for this query."""

    price: Decimal
    in_contract: bool
    valid_from: date | None
    of_parent: bool = False

    @property
    def rank(self) -> tuple[bool, bool, int]:
        """Smaller goes first: the contract's, the variant's own, the one that began last."""
        return not self.in_contract, self.of_parent, -(self.valid_from or date.min).toordinal()


@dataclass(frozen=True, slots=True)
class Component:
    """What the bundle says of the price; `fixed` in this query's currency, None where it has none in it."""

    pricing: ComponentPricing
    fixed: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LineFacts:
    """All that is known of a line's product. `sum_of_parts` is a bundle of which components cost extra."""

    product: ProductRef
    list_price: Decimal | None
    agreed: tuple[Agreed, ...] = ()
    books: tuple[BookPrice, ...] = ()
    component: Component | None = None
    sum_of_parts: bool = False
    tax_rate: Decimal = Decimal(0)
    unit_cost: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is wrong with a line, or with the header (`line` None)."""

    line: int | None
    field: str
    code: str
    detail: str


class CannotPrice(ValueError):
    """Carries every refusal."""

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        super().__init__("; ".join(refusal.detail for refusal in refusals))
        self.refusals = tuple(refusals)


@dataclass(frozen=True, slots=True)
class UnitOutcome:
    """The price of one unit, and `gross` of the whole quantity where that is not quantity x unit price."""

    price: Decimal
    source: PriceSource
    steps: tuple[PriceStep, ...]
    gross: Decimal | None = None
    book_id: UUID | None = None


def resolve(query: PriceQuery, facts: Sequence[LineFacts]) -> Pricing:
    """Price all lines and total them; `facts` stand at the same indexes. Raises: CannotPrice, with all refusals."""
    units = resolve_units(query, facts)
    totals = _totals(query, units, facts)
    lines = tuple(
        _priced(line, known, unit, (*unit.steps, *_line_steps(line, query, known, amounts)))
        for line, unit, known, amounts in zip(query.lines, units, facts, totals.lines, strict=True)
    )
    return Pricing(lines=lines, totals=totals)


def resolve_lines(query: PriceQuery, facts: Sequence[LineFacts]) -> tuple[PricedLine, ...]:
    """As `resolve`, of the lines alone, up to the price of the unit. Raises: CannotPrice, with all refusals."""
    units = resolve_units(query, facts)
    return tuple(
        _priced(line, known, unit, unit.steps)
        for line, unit, known in zip(query.lines, units, facts, strict=True)
    )


def resolve_units(query: PriceQuery, facts: Sequence[LineFacts]) -> list[UnitOutcome]:
    """What one unit of each line costs. Raises: CannotPrice, with all that keeps the query from being priced."""
    units = [unit_price(line, known) for line, known in zip(query.lines, facts, strict=True)]
    refusals = _refusals(query, facts, units)
    if refusals:
        raise CannotPrice(refusals)
    return [unit for unit in units if unit is not None]


def _priced(
    line: PriceQueryLine, known: LineFacts, unit: UnitOutcome, steps: tuple[PriceStep, ...]
) -> PricedLine:
    return PricedLine(
        product=known.product,
        quantity=line.quantity,
        list_price=known.list_price,
        unit_price=unit.price,
        gross=unit.gross,
        source=unit.source,
        price_book_id=unit.book_id,
        tax_rate=known.tax_rate,
        steps=steps,
        unit_cost=known.unit_cost,
    )


def price_refusals(query: PriceQuery, facts: Sequence[LineFacts | None]) -> list[Refusal]:
    """All that keeps a query from being priced, by itself: the header, and line by line.

    Of a product that cannot be sold (None) there is no price to miss; what else the line says is judged all the same.
    """
    units = [
        None if known is None else unit_price(line, known)
        for line, known in zip(query.lines, facts, strict=True)
    ]
    return _refusals(query, facts, units)


def _refusals(
    query: PriceQuery, facts: Sequence[LineFacts | None], units: Sequence[UnitOutcome | None]
) -> list[Refusal]:
    found = list(_discount_refusals(None, query.discount_percent, query.discount_amount))
    scale = 10 ** exponent_of(query.currency)
    for index, (line, known, unit) in enumerate(zip(query.lines, facts, units, strict=True)):
        of_line = list(_said_refusals(index, line))
        if known is not None:
            of_line += _price_refusals(index, line, unit, query.currency, scale)
            if not of_line and unit is not None and _discount_is_beyond(line, unit, known, query.currency):
                of_line.append(_beyond(index))
        found += of_line
    return found


def unit_price(line: PriceQueryLine, facts: LineFacts) -> UnitOutcome | None:
    """What one unit costs, and how that came about; None where there is no price in this currency."""
    steps: list[PriceStep] = []
    if facts.list_price is not None:
        steps.append(PriceStep(kind="list", amount=facts.list_price))
    if line.unit_price is not None:
        steps.append(PriceStep(kind="entered", amount=line.unit_price))
        return UnitOutcome(line.unit_price, PriceSource.ENTERED, tuple(steps))
    component = facts.component
    if component is not None and component.pricing is not ComponentPricing.OWN:
        included = component.pricing is ComponentPricing.INCLUDED
        amount = Decimal(0) if included else component.fixed
        if amount is None:
            return None
        steps.append(PriceStep(kind=component.pricing.value, amount=amount))
        return UnitOutcome(amount, PriceSource.LIST, tuple(steps))
    if facts.agreed:
        best = min(facts.agreed, key=lambda one: one.rank)
        detail = "contract" if best.in_contract else "account"
        steps.append(PriceStep(kind="agreed", amount=best.price, detail=detail))
        return UnitOutcome(best.price, PriceSource.AGREED, tuple(steps))
    if facts.books:
        return _from_book(min(facts.books, key=lambda one: one.rank), line.quantity, steps)
    if facts.list_price is None and facts.sum_of_parts:
        return UnitOutcome(Decimal(0), PriceSource.LIST, (PriceStep(kind="list", amount=Decimal(0)),))
    if facts.list_price is None:
        return None
    return UnitOutcome(facts.list_price, PriceSource.LIST, tuple(steps))


def _from_book(book: BookPrice, quantity: Decimal, steps: list[PriceStep]) -> UnitOutcome:
    steps.append(PriceStep(kind="price_book", amount=book.price, detail=book.code))
    slab = book.tier_kind is TierKind.SLAB  # nothing exceeds a slab's quantity that is just reached
    reached = [
        tier
        for tier in book.tiers
        if (tier.from_quantity < quantity if slab else tier.from_quantity <= quantity)
    ]
    if not reached:
        return UnitOutcome(book.price, PriceSource.PRICE_BOOK, tuple(steps), book_id=book.book_id)
    bound = f"{reached[-1].from_quantity:f}"
    if not slab:
        price, gross = reached[-1].price, None
    else:
        gross = slab_price(book.price, book.tiers, quantity)
        price = _decimal(Fraction(half_up(Fraction(gross) / Fraction(quantity) * _SCALE), _SCALE))
    steps.append(PriceStep(kind="tier", amount=price, detail=f"{book.tier_kind.value} from {bound}"))
    return UnitOutcome(price, PriceSource.PRICE_BOOK, tuple(steps), gross=gross, book_id=book.book_id)


def slab_price(base: Decimal, tiers: Sequence[Tier], quantity: Decimal) -> Decimal:
    """The exact price of `quantity`: each part of it at the price of the tier in which it lies. Tiers rise."""
    whole = Fraction(0)
    bounds = [Fraction(0), *(Fraction(tier.from_quantity) for tier in tiers), None]
    prices = [base, *(tier.price for tier in tiers)]
    for price, start, end in zip(prices, bounds, bounds[1:], strict=False):
        top = Fraction(quantity) if end is None else min(Fraction(quantity), end)
        if start is not None and top > start:
            whole += (top - start) * Fraction(price)
    return _decimal(whole)


def _decimal(exact: Fraction) -> Decimal:
    """A fraction that is a decimal, without loss."""
    return _EXACT.divide(Decimal(exact.numerator), Decimal(exact.denominator))


def _totals(query: PriceQuery, units: Sequence[UnitOutcome], facts: Sequence[LineFacts]) -> Totals:
    inputs = [_input(*one) for one in zip(query.lines, units, facts, strict=True)]
    try:
        return total(
            inputs,
            currency=query.currency,
            discount_percent=query.discount_percent,
            discount_amount=query.discount_amount,
            tax_included=query.tax_included,
        )
    except DiscountTooLarge:
        raise CannotPrice([_beyond(None)]) from None  # each line has been found to bear its own


def _input(line: PriceQueryLine, unit: UnitOutcome, known: LineFacts) -> LineInput:
    return LineInput(
        quantity=line.quantity,
        unit_price=unit.price,
        gross=unit.gross,
        discount_percent=line.discount_percent,
        discount_amount=line.discount_amount,
        tax_rate=known.tax_rate,
    )


def _discount_is_beyond(line: PriceQueryLine, unit: UnitOutcome, known: LineFacts, currency: str) -> bool:
    if not line.discount_amount:
        return False  # no percentage is more than the whole
    try:
        total([_input(line, unit, known)], currency=currency)
    except DiscountTooLarge:
        return True
    return False


def _beyond(line: int | None) -> Refusal:
    return Refusal(line, "discount_amount", "more_than_the_price", "The discount is more than the price.")


def _discount_refusals(line: int | None, percent: Decimal, amount: int) -> Iterator[Refusal]:
    if not 0 <= percent <= 100:
        yield Refusal(line, "discount_percent", "out_of_range", "A discount is from 0 to 100 percent.")
    if not 0 <= amount <= MAX_LINE_MINOR:
        yield Refusal(
            line, "discount_amount", "out_of_range", "A discount is not negative, nor beyond all sums."
        )


def _said_refusals(index: int, line: PriceQueryLine) -> Iterator[Refusal]:
    """What is wrong with a line whatever its product."""
    yield from _discount_refusals(index, line.discount_percent, line.discount_amount)
    if line.quantity <= 0:
        yield Refusal(index, "quantity", "not_positive", "A quantity is more than nothing.")


def _price_refusals(
    index: int, line: PriceQueryLine, unit: UnitOutcome | None, currency: str, scale: int
) -> Iterator[Refusal]:
    if unit is None:
        yield Refusal(index, "product_id", "no_price", f"This product has no price in {currency}.")
        return
    if unit.price < 0:
        yield Refusal(index, "unit_price", "negative", "A price is not negative.")
    if unit.gross is not None:
        over, under = unit.gross.as_integer_ratio()
    else:
        units, per = line.quantity.as_integer_ratio()
        price, part = unit.price.as_integer_ratio()
        over, under = units * price, per * part
    if over * scale > MAX_LINE_MINOR * under:
        yield Refusal(index, "quantity", "amount_out_of_range", "The line comes to more than ten trillion.")


def _line_steps(
    line: PriceQueryLine, query: PriceQuery, known: LineFacts, amounts: LineTotal
) -> Iterator[PriceStep]:
    """From the line's gross amount to its total."""

    def step(kind: str, minor: int, detail: str | None = None) -> PriceStep:
        return PriceStep(kind=kind, amount=Decimal(format_minor(minor, query.currency)), detail=detail)

    if amounts.discount:
        yield step("line_discount", amounts.subtotal, _percent(line.discount_percent))
    if amounts.header_discount:
        left = amounts.subtotal - amounts.header_discount
        yield step("header_discount", left, _percent(query.discount_percent))
    yield step("net", amounts.net)
    yield step("tax", amounts.tax, _percent(known.tax_rate) or "0%")
    yield step("total", amounts.total)


def _percent(share: Decimal) -> str | None:
    if not share:
        return None
    text = f"{share:f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text}%"
