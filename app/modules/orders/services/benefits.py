"""Coupons and points on one order, through whoever brings them: tried on drafts, redeemed when it is confirmed.

An order that has neither asks nobody, and costs no statement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

from app.kernel import benefits as kernel
from app.kernel.benefits import Benefit
from app.kernel.uow import UnitOfWork
from app.modules.orders.interface import (
    Basket,
    BasketLine,
    BenefitClaim,
    CouponNotApplicable,
    NewOrderLine,
    OrderBenefits,
    PointsNotApplicable,
)
from app.modules.orders.models.orders import Order, OrderLine
from app.modules.orders.services.lines import totalled


class Benefits:
    """What coupons and points do to orders."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def tried(
        self, columns: Mapping[str, Any], lines: Sequence[NewOrderLine], *, order_id: UUID | None = None
    ) -> tuple[Benefit, ...]:
        """What the codes and points of these columns take off these lines.

        Raises: CouponNotApplicable; PointsNotApplicable; Invalid as totals do.
        """
        codes, points = tuple(columns["coupon_codes"]), columns["points"]
        if not codes and not points:
            return ()
        names = ("currency", "discount_percent", "discount_amount", "tax_included", "commission_percent")
        _, rows = totalled(lines, **{name: columns[name] for name in names})
        basket = Basket(
            account_id=columns["account_id"],
            contact_id=columns["contact_id"],
            currency=columns["currency"],
            lines=tuple(
                BasketLine(
                    product_id=row["product_id"],
                    quantity=row["quantity"],
                    amount=row["subtotal"] - row["header_discount"],
                )
                for row in rows
            ),
            codes=codes,
            points=points,
            order_id=order_id,
        )
        for port in self._ports():
            return tuple(await port.evaluate(basket))
        if codes:
            raise CouponNotApplicable(coupons=[{"code": code, "reason": "unknown_code"} for code in codes])
        raise PointsNotApplicable(reason="no_member")

    def _ports(self) -> list[OrderBenefits]:
        return self._uow.ports(OrderBenefits)

    async def hold(self, row: Order, benefits: Sequence[Benefit]) -> None:
        """Reserve them for a draft, instead of what it had. Raises `CouponNotApplicable`."""
        for port in self._ports():
            await port.hold(_claim(row, benefits, ()))

    async def redeem(self, row: Order, lines: Sequence[OrderLine]) -> None:
        """Use up what the order says. Raises `CouponNotApplicable`, `PointsNotApplicable`."""
        for port in self._ports() if row.benefits else ():
            await port.redeem(
                _claim(row, kernel.read(row.benefits), [(line.id, line.quantity) for line in lines])
            )

    async def release(self, row: Order) -> None:
        """Nothing comes of the order: what it held or used is free again."""
        for port in self._ports() if row.benefits else ():
            await port.release(row.id)

    async def reduce(
        self, row: Order, lines: Sequence[OrderLine], less: Mapping[UUID, Decimal]
    ) -> tuple[Benefit, ...]:
        """What is left of the benefits when so much less of the lines is delivered; points for it come back."""
        if not row.benefits:
            return ()
        shares = {
            place: Fraction(line.quantity - line.cancelled - less[line.id])
            / Fraction(line.quantity - line.cancelled)
            for place, line in enumerate(lines)
            if line.id in less
        }
        for port in self._ports():
            await port.reduce(row.id, less)
        return kernel.reduced(kernel.read(row.benefits), shares)


def _claim(row: Order, benefits: Sequence[Benefit], lines: Sequence[tuple[UUID, Decimal]]) -> BenefitClaim:
    return BenefitClaim(
        order_id=row.id,
        account_id=row.account_id,
        contact_id=row.contact_id,
        currency=row.currency,
        benefits=tuple(benefits),
        lines=tuple(lines),
    )


def asked_for(given: dict[str, Any]) -> None:
    """Keep each code once."""
    if given.get("coupon_codes"):
        given["coupon_codes"] = list(dict.fromkeys(given["coupon_codes"]))
