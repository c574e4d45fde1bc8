"""`OrderBenefits`: coupons and points of this module on orders and quotes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from uuid import UUID

from app.kernel.benefits import AppliedKind, Benefit
from app.kernel.uow import UnitOfWork
from app.modules.membership.models.coupons import UseStatus
from app.modules.membership.services.coupons.finding import Buyer
from app.modules.membership.services.coupons.points import OrderPayments, points_of
from app.modules.membership.services.coupons.pricing import CouponPricing
from app.modules.membership.services.coupons.using import CouponUses, not_applicable
from app.modules.orders.interface import Basket, BenefitClaim


class MembershipBenefits:
    """What membership takes off prices."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def evaluate(self, basket: Basket, *, skip_invalid: bool = False) -> Sequence[Benefit]:
        benefits: list[Benefit] = []
        if basket.codes:
            buyer = Buyer(
                account_id=basket.account_id,
                contact_id=basket.contact_id,
                currency=basket.currency,
                order_id=basket.order_id,
            )
            tried = await CouponPricing(self._uow).tried(basket.codes, basket.lines, buyer)
            if tried.refused and not skip_invalid:
                raise not_applicable(tried.refused)
            benefits += [
                Benefit(
                    kind=AppliedKind.COUPON,
                    code=one.offer.code,
                    name=tried.found[one.offer.code].row["name"],
                    discounts=one.discounts,
                )
                for one in tried.given
            ]
        if basket.points:
            left = [
                line.amount - sum(one.discounts[place] for one in benefits)
                for place, line in enumerate(basket.lines)
            ]
            benefits.append(await OrderPayments(self._uow).tried(basket, left))
        return benefits

    async def hold(self, claim: BenefitClaim) -> None:
        await CouponUses(self._uow).take(claim, UseStatus.RESERVED)

    async def redeem(self, claim: BenefitClaim) -> None:
        if any(one.kind is AppliedKind.COUPON for one in claim.benefits):
            await CouponUses(self._uow).take(claim, UseStatus.REDEEMED)
        for one in points_of(claim.benefits):
            await OrderPayments(self._uow).spend(claim, one)

    async def reduce(self, order_id: UUID, cancelled: Mapping[UUID, Decimal]) -> None:
        await OrderPayments(self._uow).reduce(order_id, cancelled)

    async def release(self, order_id: UUID) -> None:
        """Points that were spent come back by the event of the cancellation (`services.orders`)."""
        await CouponUses(self._uow).release(order_id)
