"""Lines as they were sent become lines to total: the catalogue names, prices and taxes what the caller did not."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from app.kernel.decimals import decimal_text
from app.kernel.errors import FieldError, Forbidden, Invalid
from app.kernel.money import Money, UnitPrice
from app.kernel.uow import UnitOfWork
from app.modules.catalog.interface import (
    Catalog,
    ChargeKind,
    HeldAccount,
    PricedLine,
    PriceQuery,
    PriceQueryLine,
)
from app.modules.orders.interface import NewOrderLine
from app.modules.orders.models.orders import OrderLine
from app.modules.orders.schemas.orders import OrderLineInput

Hold = Callable[[HeldAccount | None], None]
"""Is told which account was found and is held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sale:
    """What prices depend on beside the lines. `kept` are products that stand on the order already."""

    currency: str
    on: date
    account_id: UUID | None
    contract_id: UUID | None = None
    partner_id: UUID | None = None
    channel: str | None = None
    country: str | None = None
    tax_included: bool = False
    kept: frozenset[UUID] = frozenset()

    @classmethod
    def of(cls, columns: Mapping[str, Any], kept: Collection[UUID | None] = ()) -> Sale:
        """From the columns of an order."""
        names = ("currency", "account_id", "contract_id", "partner_id", "channel", "country", "tax_included")
        known = frozenset(id for id in kept if id is not None)
        return cls(on=columns["ordered_on"], kept=known, **{name: columns[name] for name in names})


class Pricing:
    """Prices lines in a number of statements that does not depend on how many there are."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def lines(
        self, sent: Sequence[OrderLineInput], sale: Sale, hold: Hold | None = None
    ) -> list[NewOrderLine]:
        """Raises `Forbidden` for costs that the actor may not change, `Invalid` for all that is wrong at once.

        With `hold`, the sale's account is found and held by the statement that prices the lines, if one does, and
        `hold` is told; taxes are those of its country where the sale names none.
        """
        if "cost" in self._uow.actor.readonly("order") and any(line.unit_cost is not None for line in sent):
            raise Forbidden("Your role may not set costs.")
        errors = [error for place, line in enumerate(sent) for error in _faults(line, place, sale.currency)]
        if errors:
            raise Invalid(errors[0].detail, errors=errors)
        return await self._made(sent, sale, hold)

    async def again(self, stored: Sequence[OrderLine], sale: Sale) -> list[NewOrderLine]:
        """What the catalogue says of a draft's lines for another sale; what was entered stays. Raises `Invalid`."""
        return await self._made([_as_sent(line, sale.currency) for line in stored], sale)

    async def _made(
        self, sent: Sequence[OrderLineInput], sale: Sale, hold: Hold | None = None
    ) -> list[NewOrderLine]:
        priced = await self._priced(sent, sale, hold)
        return [_new(line, priced.get(place)) for place, line in enumerate(sent)]

    async def _priced(
        self, sent: Sequence[OrderLineInput], sale: Sale, hold: Hold | None
    ) -> dict[int, PricedLine]:
        """What the catalogue says of the lines that name a product, by index."""
        places = [place for place, line in enumerate(sent) if line.product_id is not None]
        if not places:
            return {}
        at = {place: number for number, place in enumerate(places)}
        query = PriceQuery(
            currency=sale.currency,
            on=sale.on,
            account_id=sale.account_id,
            contract_id=sale.contract_id,
            partner_id=sale.partner_id,
            channel=sale.channel,
            country=sale.country,
            tax_included=sale.tax_included,
            lines=tuple(_query(sent[place], at, sale) for place in places),
        )
        try:
            if hold is None:
                found = await self._uow.of(Catalog).prices(query)
            else:
                found, account = await self._uow.of(Catalog).prices_for_account(query)
                hold(account)
        except Invalid as refusal:
            raise _placed(refusal, places) from None
        return dict(zip(places, found, strict=True))


def _query(line: OrderLineInput, at: Mapping[int, int], sale: Sale) -> PriceQueryLine:
    if line.product_id is None:
        raise ValueError("only products have a price")
    return PriceQueryLine(
        product_id=line.product_id,
        quantity=Decimal(line.quantity),
        unit_price=None if line.unit_price is None else line.unit_price.amount,
        discount_percent=Decimal(line.discount_percent),
        discount_amount=0 if line.discount_amount is None else line.discount_amount.amount_minor,
        component_of=None if line.component_of is None else at.get(line.component_of),
        kept=line.product_id in sale.kept,
    )


def _placed(refusal: Invalid, places: Sequence[int]) -> Invalid:
    """The refusal with pointers to the lines as they were sent."""
    errors = [
        FieldError(
            re.sub(r"^/lines/(\d+)", lambda found: f"/lines/{places[int(found[1])]}", error.pointer),
            error.code,
            error.detail,
        )
        for error in refusal.errors
    ]
    return Invalid(refusal.detail, errors=errors)


def _faults(line: OrderLineInput, place: int, currency: str) -> list[FieldError]:
    errors = []
    at = f"/lines/{place}"
    if line.product_id is None and line.description is None:
        errors.append(FieldError(f"{at}/description", "required", "Say what it is, or name a product."))
    if not Decimal(line.quantity):
        errors.append(FieldError(f"{at}/quantity", "not_positive", "A quantity is more than nothing."))
    if line.product_id is None and line.unit_price is None:
        errors.append(FieldError(f"{at}/unit_price", "no_price", "There is no price for it."))
    for name in ("unit_price", "unit_cost", "discount_amount"):
        money = getattr(line, name)
        if money is not None and money.currency != currency:
            errors.append(
                FieldError(f"{at}/{name}/currency", "other_currency", f"The order is in {currency}.")
            )
    off = line.discount_amount
    if off is not None and off.amount_minor < 0:
        errors.append(FieldError(f"{at}/discount_amount", "negative", "A discount is not negative."))
    if line.unit_cost is not None and line.unit_cost.amount < 0:
        errors.append(FieldError(f"{at}/unit_cost", "negative", "A cost is not negative."))
    if line.component_of is not None and line.component_of >= place:
        errors.append(FieldError(f"{at}/component_of", "unknown_line", "A component comes after its bundle."))
    return errors


def _new(line: OrderLineInput, priced: PricedLine | None) -> NewOrderLine:
    """What was sent, and what the catalogue says where nothing was."""
    product = None if priced is None else priced.product
    price = Decimal(0) if line.unit_price is None else line.unit_price.amount
    cost = None if line.unit_cost is None else line.unit_cost.amount
    if cost is None and priced is not None:
        cost = priced.unit_cost
    rate = Decimal(0) if priced is None else priced.tax_rate
    charge = "one_time" if product is None else str(product.charge)
    return NewOrderLine(
        product_id=line.product_id,
        description=line.description or ("" if product is None else product.name),
        unit=line.unit or ("piece" if product is None else product.unit),
        quantity=Decimal(line.quantity),
        unit_price=price if priced is None else priced.unit_price,
        gross=None if priced is None else priced.gross,
        discount_percent=Decimal(line.discount_percent),
        discount_amount=line.discount_amount.amount_minor if line.discount_amount else 0,
        tax_rate=rate if line.tax_rate is None else Decimal(line.tax_rate),
        charge=charge if line.charge is None else line.charge.value,
        unit_cost=cost,
        component_of=line.component_of,
        price_entered=line.unit_price is not None,
        tax_entered=line.tax_rate is not None,
        cost_entered=line.unit_cost is not None,
    )


def _as_sent(line: OrderLine, currency: str) -> OrderLineInput:
    """A stored line as it was written. Only what is the catalogue's is absent, and `currency` is its order's."""
    cost = line.unit_cost if line.cost_entered else None
    return OrderLineInput.model_construct(
        product_id=line.product_id,
        description=line.description,
        unit=line.unit,
        quantity=decimal_text(line.quantity),
        unit_price=UnitPrice(line.unit_price, currency) if line.price_entered else None,
        discount_percent=decimal_text(line.discount_percent),
        discount_amount=Money(line.discount_amount, currency) if line.discount_amount else None,
        tax_rate=decimal_text(line.tax_rate) if line.tax_entered else None,
        charge=ChargeKind(line.charge),
        unit_cost=None if cost is None else UnitPrice(cost, currency),
        component_of=line.component_of,
    )
