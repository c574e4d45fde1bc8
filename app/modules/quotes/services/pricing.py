"""What lines cost: prices from the catalogue or as entered, and the configuration rules that they break.

Free text and products stand side by side, so the catalogue prices what is its own; `summing` adds up all of it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from app.kernel.errors import FieldError, Invalid
from app.kernel.totals import LineInput
from app.kernel.uow import UnitOfWork
from app.modules.catalog.interface import (
    Catalog,
    ChargeKind,
    ConfiguredLine,
    PricedLine,
    PriceQuery,
    PriceQueryLine,
    PriceSource,
)
from app.modules.quotes.schemas import MOST_LINES

_ZERO: Final = Decimal(0)
_PIECE: Final = "piece"
_QUANTUM: Final = Decimal("0.0001")


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenLine:
    """A line as somebody wrote it; what is None comes from the catalogue.

    A `kept` line names a product that the quote has already: it may be sold on although it is not for sale any more.
    """

    product_id: UUID | None
    description: str | None
    detail: str | None
    unit: str | None
    quantity: Decimal
    unit_price: Decimal | None
    discount_percent: Decimal
    discount_amount: int
    tax_rate: Decimal | None
    charge: str | None
    optional: bool
    component_of: int | None
    unit_cost: Decimal | None
    kept: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LinePrice:
    """A line with its price, before it is added up. `benefit` is what coupons take off it, in minor units."""

    given: GivenLine
    description: str
    unit: str
    charge: str
    source: str
    price_book_id: UUID | None
    list_price: Decimal | None
    unit_price: Decimal
    exact_gross: Decimal | None
    tax_rate: Decimal
    unit_cost: Decimal | None
    benefit: int = 0

    @property
    def input(self) -> LineInput:
        return LineInput(
            quantity=self.given.quantity,
            unit_price=self.unit_price,
            gross=self.exact_gross,
            discount_percent=self.given.discount_percent,
            discount_amount=self.given.discount_amount,
            tax_rate=self.tax_rate,
            benefit=self.benefit,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What of a quote decides its prices and totals."""

    currency: str
    tax_included: bool
    discount_percent: Decimal
    discount_amount: int
    account_id: UUID
    contract_id: UUID | None
    partner_id: UUID | None
    segment: str | None
    channel: str | None
    tax_country: str
    language: str

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Header:
        given = {name: values.get(name) for name in cls.__slots__}
        return cls(**{**given, "discount_amount": values.get("discount_amount") or 0})  # type: ignore[arg-type]


PRICING_FIELDS: Final = frozenset(Header.__slots__)
"""Columns of a quote whose change prices it again."""


class Pricing:
    """Prices and totals of the lines of one quote, in a number of statements that does not grow with them."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def price(self, header: Header, lines: Sequence[GivenLine]) -> list[LinePrice]:
        """Every line's price. Raises `Invalid` with all that is wrong, at `/lines/{index}/…`."""
        errors = _structure(lines)
        if errors:
            raise refusal(errors)
        places = [index for index, line in enumerate(lines) if line.product_id is not None]
        priced: dict[int, PricedLine] = {}
        try:
            priced = await self._from_catalog(header, lines, places)
        except Invalid as refused:
            errors += [_moved(error, places) for error in refused.errors]
        errors += await self.violations(lines)
        if errors:
            raise refusal(errors)
        return [_line_price(line, priced.get(index), header) for index, line in enumerate(lines)]

    async def _from_catalog(
        self, header: Header, lines: Sequence[GivenLine], places: Sequence[int]
    ) -> dict[int, PricedLine]:
        if not places:
            return {}
        at = {place: index for index, place in enumerate(places)}
        query = PriceQuery(
            currency=header.currency,
            on=self._uow.actor.tenant.day_of(self._uow.now),
            account_id=header.account_id,
            contract_id=header.contract_id,
            partner_id=header.partner_id,
            segment=header.segment,
            channel=header.channel,
            country=header.tax_country,
            tax_included=header.tax_included,
            lines=tuple(_asked(lines[place], at) for place in places),
        )
        found = await self._uow.of(Catalog).prices(query)
        return dict(zip(places, found, strict=True))

    async def violations(
        self, lines: Sequence[GivenLine], chosen: Collection[int] = (), *, pointer: str = "/lines"
    ) -> list[FieldError]:
        """Every configuration rule that the products among the lines break, optional ones only where chosen."""
        included = [place for place in included_lines(lines, chosen) if lines[place].product_id is not None]
        if not included:
            return []
        at = {place: index for index, place in enumerate(included)}
        asked = [
            ConfiguredLine(
                product_id=_product(lines[place]),
                quantity=lines[place].quantity,
                component_of=_new_place(lines[place].component_of, at),
            )
            for place in included
        ]
        return [
            FieldError(
                pointer if one.line is None else f"{pointer}/{included[one.line]}", one.code, one.message
            )
            for one in await self._uow.of(Catalog).violations(asked)
        ]


def _asked(line: GivenLine, at: Mapping[int, int]) -> PriceQueryLine:
    return PriceQueryLine(
        product_id=_product(line),
        quantity=line.quantity,
        unit_price=line.unit_price,
        discount_percent=line.discount_percent,
        discount_amount=line.discount_amount,
        component_of=_new_place(line.component_of, at),
        kept=line.kept,
    )


def _product(line: GivenLine) -> UUID:
    if line.product_id is None:
        raise ValueError("free text is not in the catalogue")
    return line.product_id


def _new_place(place: int | None, at: Mapping[int, int]) -> int | None:
    """Where a bundle's line stands among those that the catalogue is asked about; free text is no bundle."""
    return None if place is None else at.get(place)


def _structure(lines: Sequence[GivenLine]) -> list[FieldError]:
    """What is wrong with lines whatever they cost."""
    errors = []
    if len(lines) > MOST_LINES:
        errors.append(FieldError("/lines", "too_many", f"A quote has at most {MOST_LINES} lines."))
    for index, line in enumerate(lines):
        bundle = line.component_of
        if line.quantity <= 0:
            errors.append(
                FieldError(f"/lines/{index}/quantity", "not_positive", "A quantity is more than nothing.")
            )
        if line.quantity != line.quantity.quantize(_QUANTUM):
            errors.append(
                FieldError(f"/lines/{index}/quantity", "too_many_decimals", "A quantity has four decimals.")
            )
        if line.unit_price is not None and line.unit_price < 0:
            errors.append(FieldError(f"/lines/{index}/unit_price", "negative", "A price is not negative."))
        if line.discount_amount < 0:
            errors.append(
                FieldError(f"/lines/{index}/discount_amount", "negative", "A discount is not negative.")
            )
        if line.unit_cost is not None and line.unit_cost < 0:
            errors.append(FieldError(f"/lines/{index}/unit_cost", "negative", "A cost is not negative."))
        if bundle is not None and (bundle >= index or lines[bundle].component_of is not None):
            errors.append(
                FieldError(
                    f"/lines/{index}/component_of",
                    "unknown_bundle",
                    "The bundle's line stands before its components and is none itself.",
                )
            )
    return errors


def _moved(error: FieldError, places: Sequence[int]) -> FieldError:
    """A refusal of the catalogue, at the line as the caller counts them."""
    parts = error.pointer.split("/")
    if len(parts) > 2 and parts[1] == "lines" and parts[2].isdigit() and int(parts[2]) < len(places):
        parts[2] = str(places[int(parts[2])])
    return replace(error, pointer="/".join(parts))


def refusal(errors: Sequence[FieldError]) -> Invalid:
    detail = errors[0].detail if len(errors) == 1 else f"{len(errors)} things are wrong with the lines."
    return Invalid(detail, errors=errors)


def _line_price(line: GivenLine, priced: PricedLine | None, header: Header) -> LinePrice:
    if priced is None:
        return LinePrice(
            given=line,
            description=line.description or "",
            unit=line.unit or _PIECE,
            charge=line.charge or ChargeKind.ONE_TIME.value,
            source=PriceSource.ENTERED.value,
            price_book_id=None,
            list_price=None,
            unit_price=line.unit_price or _ZERO,
            exact_gross=None,
            tax_rate=line.tax_rate or _ZERO,
            unit_cost=line.unit_cost,
        )
    product = priced.product
    described = product.name_in(header.language, line.description) if line.kept else line.description
    return LinePrice(
        given=line,
        description=described or product.name_in(header.language),
        unit=line.unit or product.unit,
        charge=line.charge or product.charge.value,
        source=priced.source.value,
        price_book_id=priced.price_book_id,
        list_price=priced.list_price,
        unit_price=priced.unit_price,
        exact_gross=priced.gross,
        tax_rate=priced.tax_rate if line.tax_rate is None else line.tax_rate,
        unit_cost=priced.unit_cost if line.unit_cost is None else line.unit_cost,
    )


def included_lines(lines: Sequence[Any], chosen: Collection[int] = ()) -> list[int]:
    """The indexes of the lines that count: what is optional only where chosen, components with their bundle."""
    found: list[int] = []
    counting: set[int] = set()
    for index, line in enumerate(lines):
        counts = (not line.optional or index in chosen) and (
            line.component_of is None or line.component_of in counting
        )
        if counts:
            counting.add(index)
            found.append(index)
    return found
