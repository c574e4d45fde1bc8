"""What coupons take off a quote: promised with it, and used up by the order that it becomes.

They are about the lines that count: an optional line that the customer chooses later is at its own price.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from app.kernel.benefits import Benefit, by_line
from app.kernel.errors import Invalid
from app.kernel.uow import UnitOfWork
from app.modules.orders.interface import Basket, BasketLine, CouponNotApplicable, OrderBenefits
from app.modules.quotes.models import Becomes
from app.modules.quotes.services.pricing import Header, LinePrice
from app.modules.quotes.services.summing import add_up


async def promised(
    uow: UnitOfWork,
    values: Mapping[str, Any],
    header: Header,
    prices: Sequence[LinePrice],
    *,
    skip_invalid: bool,
) -> tuple[Benefit, ...]:
    """What the quote's codes take off its lines; no statement without codes.

    Raises: CouponNotApplicable; Invalid for a quote that becomes a contract.
    """
    codes = tuple(dict.fromkeys(values.get("coupon_codes") or ()))
    if not codes:
        return ()
    if values["becomes"] != Becomes.ORDER:
        raise Invalid.at("/coupon_codes", "orders_only", "Coupons are for quotes that become orders.")
    sums = add_up(header, prices)
    basket = Basket(
        account_id=header.account_id,
        contact_id=values["contact_id"],
        currency=header.currency,
        lines=tuple(
            BasketLine(
                product_id=prices[place].given.product_id,
                quantity=prices[place].given.quantity,
                amount=sums.lines[place].subtotal - sums.lines[place].header_discount,
            )
            for place in sums.included
        ),
        codes=codes,
    )
    for port in uow.ports(OrderBenefits):
        found = await port.evaluate(basket, skip_invalid=skip_invalid)
        return tuple(_over_all(one, sums.included, len(prices)) for one in found)
    raise CouponNotApplicable(coupons=[{"code": code, "reason": "unknown_code"} for code in codes])


def _over_all(benefit: Benefit, included: Sequence[int], count: int) -> Benefit:
    """By all lines of the quote, those that do not count too."""
    off = dict(zip(included, benefit.discounts, strict=True))
    return replace(benefit, discounts=tuple(off.get(place, 0) for place in range(count)))


def with_benefits(prices: Sequence[LinePrice], benefits: Sequence[Benefit]) -> list[LinePrice]:
    """The lines with what coupons take off them."""
    off = by_line(benefits, len(prices))
    return [replace(line, benefit=amount) for line, amount in zip(prices, off, strict=True)]
