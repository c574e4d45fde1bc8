"""Points off the price of orders: worth what the programme's burn rule says, spent when the order is confirmed.

They come off after the coupons, shared out over the lines by what is left of them. Of several memberships that of
the order's contact counts before that of its account, then the oldest, of those in a programme in its currency.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

from app.kernel.benefits import AppliedKind, Benefit
from app.kernel.errors import Invalid
from app.kernel.ids import new_id
from app.kernel.locks import lock_keys
from app.kernel.money import Money, half_up
from app.kernel.uow import UnitOfWork
from app.modules.membership.interface import InsufficientPoints, MemberNotActive
from app.modules.membership.models.programmes import Burn, LoyaltyMember, OrderShare, Programme
from app.modules.membership.services.ledger import Ledger
from app.modules.membership.services.members import LoyaltyMemberService
from app.modules.membership.services.orders import ORDER_LOCK
from app.modules.membership.services.programmes import worth_of
from app.modules.membership.services.shares import restore
from app.modules.membership.services.spending import REDEEM, Spending, check_burn
from app.modules.orders.interface import Basket, BenefitClaim, PointsNotApplicable


@dataclass(frozen=True, slots=True)
class Payer:
    """Whose points they are."""

    member: LoyaltyMember
    programme: Programme


class OrderPayments:
    """What orders do with points that come off their price."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def tried(self, basket: Basket, left: Sequence[int]) -> Benefit:
        """What the basket's points take off what is left of its lines. Raises `PointsNotApplicable`, `Forbidden`."""
        payer = await self._payer(basket)
        try:
            check_burn(payer.programme, basket.points)
        except Invalid as refused:
            raise PointsNotApplicable(refused.detail, reason=refused.errors[0].code) from None
        if payer.member.points < basket.points:
            raise PointsNotApplicable(reason="insufficient_points", available=payer.member.points)
        worth = worth_of(payer.programme, basket.points)
        if not worth:
            raise PointsNotApplicable("They are worth nothing.", reason="worth_nothing")
        if worth > sum(left):
            raise PointsNotApplicable("They are worth more than is left to pay.", reason="more_than_order")
        shares = Money(worth, basket.currency).allocate([max(amount, 0) for amount in left])
        return Benefit(
            kind=AppliedKind.POINTS,
            code=payer.member.number,
            name=payer.programme.points_name_en,
            discounts=tuple(share.amount_minor for share in shares),
            points=basket.points,
        )

    async def _payer(self, basket: Basket) -> Payer:
        row = await self._uow.fetchrow(
            _PAYER, self._uow.tenant_id, basket.contact_id, basket.account_id, basket.currency
        )
        members = LoyaltyMemberService(self._uow)
        found = await members.get_many([row["id"]], action=REDEEM) if row is not None else {}
        if row is None or row["id"] not in found:
            raise PointsNotApplicable("Nobody on this order has points in its currency.", reason="no_member")
        return Payer(found[row["id"]], await self._uow.get(Programme, row["programme_id"]))

    async def spend(self, claim: BenefitClaim, benefit: Benefit) -> None:
        """The order is confirmed. Raises `PointsNotApplicable` where they are not there any more."""
        row = await self._uow.fetchrow(
            "SELECT id FROM membership.loyalty_members WHERE tenant_id = $1 AND number = $2",
            self._uow.tenant_id,
            benefit.code,
        )
        if row is None:
            raise PointsNotApplicable(reason="no_member")
        weights = {
            line_id: (quantity, off)
            for (line_id, quantity), off in zip(claim.lines, benefit.discounts, strict=True)
        }
        worth = Money(benefit.discount, claim.currency)
        try:
            await Spending(self._uow).burn_on_order(row["id"], claim.order_id, benefit.points, worth, weights)
        except InsufficientPoints as refused:
            raise PointsNotApplicable(
                refused.detail, reason=refused.code, available=refused.members.get("available")
            ) from None
        except MemberNotActive as refused:
            raise PointsNotApplicable(refused.detail, reason=refused.code) from None

    async def reduce(self, order_id: UUID, cancelled: Mapping[UUID, Decimal]) -> None:
        """What was spent on what is not delivered any more comes back. The order must be held."""
        uow = self._uow
        await lock_keys(uow, ORDER_LOCK, [str(order_id)])
        statement = uow.select(OrderShare).where(OrderShare.order_id == order_id, OrderShare.burned > 0)
        shares = [one for one in await uow.all(statement) if one.order_line_id in cancelled]
        ledger = Ledger(uow)
        await ledger.hold({share.member_id for share in shares})
        burns = await uow.all(uow.select(Burn).where(Burn.order_id == order_id).order_by(Burn.id))
        changes: list[tuple[UUID, Decimal, int]] = []
        for member_id in sorted({share.member_id for share in shares}):
            parts = [_part(share, cancelled) for share in shares if share.member_id == member_id]
            changes += parts
            holding = ledger.held(member_id)
            posting = ledger.post("cancel", holding, f"{order_id}:{member_id}:{new_id()}", order_id=order_id)
            own = [burn for burn in burns if burn.member_id == member_id]
            await restore(uow, ledger, posting, holding, own, sum(points for _, _, points in parts))
        if changes:
            await ledger.close()
            await uow.fetch(_LESS, uow.tenant_id, *[list(column) for column in zip(*changes, strict=True)])


def _part(share: OrderShare, cancelled: Mapping[UUID, Decimal]) -> tuple[UUID, Decimal, int]:
    """Share, quantity less, and the points of it."""
    less = min(cancelled[share.order_line_id], share.quantity)
    if less == share.quantity:
        return share.id, less, share.burned
    return share.id, less, half_up(share.burned * Fraction(less) / Fraction(share.quantity))


def points_of(benefits: Sequence[Any]) -> list[Benefit]:
    return [one for one in benefits if one.kind is AppliedKind.POINTS]


_PAYER = """
SELECT m.id, m.programme_id FROM membership.loyalty_members m
JOIN membership.programmes p ON p.tenant_id = m.tenant_id AND p.id = m.programme_id AND p.active AND p.currency = $4
WHERE m.tenant_id = $1 AND (m.contact_id = $2 OR m.account_id = $3) AND m.deleted_at IS NULL AND m.status = 'active'
ORDER BY m.contact_id IS NULL, m.since, m.id LIMIT 1"""
_LESS = """
UPDATE membership.order_shares s SET burned = s.burned - n.points, quantity = s.quantity - n.less
FROM unnest($2::uuid[], $3::numeric[], $4::bigint[]) AS n(id, less, points)
WHERE s.tenant_id = $1 AND s.id = n.id"""
