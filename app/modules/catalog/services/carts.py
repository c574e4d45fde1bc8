"""Prices a cart for whoever asks over the API: every step, totals, margin, and what does not go together."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from app.kernel.errors import FieldError, Invalid
from app.kernel.money import AmountOutOfRange, Money, UnitPrice
from app.kernel.totals import LineTotal, TaxRead
from app.kernel.uow import UnitOfWork
from app.modules.catalog.interface import (
    Catalog,
    ConfiguredLine,
    PricedLine,
    PriceQuery,
    PriceQueryLine,
    Violation,
)
from app.modules.catalog.schemas.prices import (
    Cart,
    PricedCart,
    PricedLineRead,
    PriceStepRead,
    ViolationRead,
)
from app.modules.catalog.services.contract_terms import require_in_force
from app.modules.catalog.services.waterfall import MAX_LINE_MINOR
from app.modules.customers.interface import Customers


class CartService:
    """Reads only."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def price(self, cart: Cart) -> PricedCart:
        """Raises `Invalid`, with everything that cannot be priced."""
        if cart.account_id is not None and not await self._sees(cart):
            raise Invalid.at("/account_id", "unknown_reference", "There is no account with this id.")
        if cart.contract_id is not None:
            await require_in_force(self._uow, cart.contract_id, cart.account_id)
        catalog = self._uow.of(Catalog)
        query = _query(cart, self._uow)
        pricing = await catalog.price(query)
        violations = await catalog.violations(
            [ConfiguredLine(
                product_id=line.product_id, quantity=line.quantity, component_of=line.component_of
            ) for line in query.lines]
        )  # fmt: skip
        totals = pricing.totals
        lines = [
            _read(line, amounts, cart.currency)
            for line, amounts in zip(pricing.lines, totals.lines, strict=True)
        ]
        margins = [line.margin for line in lines]
        whole = [margin for margin in margins if margin is not None]

        def money(minor: int) -> Money:
            return Money(minor, cart.currency)

        return PricedCart(
            currency=cart.currency,
            lines=lines,
            gross=money(totals.gross),
            discount=money(totals.discount),
            subtotal=money(totals.subtotal),
            header_discount=money(totals.header_discount),
            net=money(totals.net),
            tax=money(totals.tax),
            total=money(totals.total),
            margin=Money.total(whole, cart.currency) if len(whole) == len(margins) else None,
            taxes=[TaxRead(rate=one.rate, net=money(one.net), tax=money(one.tax)) for one in totals.taxes],
            violations=_read_violations(violations),
        )

    async def _sees(self, cart: Cart) -> bool:
        """What was agreed with an account is for those who see the account."""
        if not self._uow.actor.may("account:read") or cart.account_id is None:
            return False
        return cart.account_id in await self._uow.of(Customers).get_many([cart.account_id])


def _query(cart: Cart, uow: UnitOfWork) -> PriceQuery:
    """Raises `Invalid` for amounts in another currency."""
    wrong = [
        FieldError(f"{place}/discount_amount/currency", "other_currency", f"The cart is in {cart.currency}.")
        for place, amount in (
            ("", cart.discount_amount),
            *((f"/lines/{index}", line.discount_amount) for index, line in enumerate(cart.lines)),
        )
        if amount is not None and amount.currency != cart.currency
    ]
    if wrong:
        raise Invalid(wrong[0].detail, errors=wrong)
    return PriceQuery(
        currency=cart.currency,
        on=cart.on or uow.actor.tenant.day_of(uow.now),
        lines=tuple(
            PriceQueryLine(
                product_id=line.product_id,
                quantity=line.quantity,
                unit_price=line.unit_price,
                discount_percent=line.discount_percent,
                discount_amount=_minor(line.discount_amount),
                component_of=line.component_of,
            )
            for line in cart.lines
        ),
        account_id=cart.account_id,
        contract_id=cart.contract_id,
        partner_id=cart.partner_id,
        segment=cart.segment,
        channel=cart.channel,
        country=cart.country,
        discount_percent=cart.discount_percent,
        discount_amount=_minor(cart.discount_amount),
        tax_included=cart.tax_included,
    )


def _minor(amount: Money | None) -> int:
    return 0 if amount is None else amount.amount_minor


def _read(line: PricedLine, amounts: LineTotal, currency: str) -> PricedLineRead:
    cost = _cost(line)

    def money(minor: int) -> Money:
        return Money(minor, currency)

    def price(amount: Decimal | None) -> UnitPrice | None:
        return None if amount is None else UnitPrice(amount, currency)

    return PricedLineRead(
        product_id=line.product.id,
        product_code=line.product.code,
        product_name=line.product.name,
        quantity=line.quantity,
        list_price=price(line.list_price),
        unit_price=UnitPrice(line.unit_price, currency),
        source=line.source,
        price_book_id=line.price_book_id,
        tax_rate=line.tax_rate,
        gross=money(amounts.gross),
        discount=money(amounts.discount),
        subtotal=money(amounts.subtotal),
        header_discount=money(amounts.header_discount),
        net=money(amounts.net),
        tax=money(amounts.tax),
        total=money(amounts.total),
        cost=cost,
        margin=None if cost is None else money(amounts.net) - cost,
        steps=[PriceStepRead(kind=one.kind, amount=one.amount, detail=one.detail) for one in line.steps],
    )


def _cost(line: PricedLine) -> Money | None:
    """What the whole quantity costs us; None where that is unknown, or beyond all sums."""
    if line.product.cost is None:
        return None
    try:
        cost = line.product.cost.times(line.quantity)
    except AmountOutOfRange:
        return None
    return cost if cost.amount_minor <= MAX_LINE_MINOR else None


def _read_violations(found: Sequence[Violation]) -> list[ViolationRead]:
    return [
        ViolationRead(line=one.line, code=one.code, message=one.message, rule_id=one.rule_id) for one in found
    ]
