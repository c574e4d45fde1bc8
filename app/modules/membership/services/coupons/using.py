"""Coupons on orders: reserved by drafts, redeemed when they are confirmed, free again when nothing comes of it.

Whoever uses a coupon holds its row first, so that limits and budget are exact however many come at once; constraints
of the tables say so besides. An order holds its own row before any coupon's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from app.kernel.benefits import AppliedKind, Benefit
from app.kernel.ids import new_id
from app.kernel.money import Money
from app.kernel.uow import UnitOfWork
from app.modules.membership.interface import CouponGivenBack, CouponRedeemed
from app.modules.membership.models.coupons import CouponUse, UseStatus
from app.modules.membership.schemas.coupons import Reason
from app.modules.membership.services.coupons.finding import Buyer, Finding, Found, refusal
from app.modules.orders.interface import BenefitClaim, CouponNotApplicable

COUPON: Final = "coupon"
HELD_FOR: Final = timedelta(hours=72)
"""How long a draft keeps what it reserved. Confirmed later, it takes what is there then."""


class CouponUses:
    """What orders do to coupons."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._finding = Finding(uow)

    async def take(self, claim: BenefitClaim, status: UseStatus) -> None:
        """Reserve or redeem the claim's coupons, instead of what the order reserved before.

        Raises: `CouponNotApplicable`, which names each that does not hold any more, and why.
        """
        wanted = {one.code: one for one in claim.benefits if one.kind is AppliedKind.COUPON}
        buyer = Buyer(
            account_id=claim.account_id,
            contact_id=claim.contact_id,
            currency=claim.currency,
            order_id=claim.order_id,
        )
        found = await self._finding.behind(list(wanted), buyer, hold=True)
        redeeming = status is UseStatus.REDEEMED
        known = await self._finding.circumstances(found, buyer, redeeming=redeeming)
        refused = {code: Reason.UNKNOWN_CODE for code in wanted if code not in {one.code for one in found}}
        for one in found:
            reason = refusal(one, buyer, known)
            if reason is None and one.room is not None and wanted[one.code].discount > one.room:
                reason = Reason.BUDGET_EXHAUSTED
            if reason is not None:
                refused[one.code] = reason
        if refused:
            raise not_applicable(refused)
        same = [one for one in found if one.row["own"] and one.row["own_code"]]
        await self._end(claim.order_id, UseStatus.RELEASED, but=[one.row["id"] for one in same])
        await self._write(claim, status, [one for one in found if one not in same], wanted)
        await self._go_on(claim, status, same, wanted)
        if redeeming:
            for one in found:
                self._tell_redeemed(one.row["id"], claim, wanted[one.code].discount)

    async def _write(
        self, claim: BenefitClaim, status: UseStatus, found: Sequence[Found], wanted: Mapping[str, Benefit]
    ) -> None:
        """Uses that the order did not have."""
        await self._uow.insert_many(
            CouponUse,
            [
                {
                    "id": new_id(),
                    "coupon_id": one.row["id"],
                    "code_id": one.row["code_id"],
                    "order_id": claim.order_id,
                    "account_id": claim.account_id,
                    "status": status.value,
                    "amount": wanted[one.code].discount,
                    "currency": claim.currency,
                    "made_by": self._uow.actor.member_id,
                    "settled_at": self._uow.now if status is UseStatus.REDEEMED else None,
                }
                for one in found
            ],
        )
        await self._count(
            [(one.row["id"], one.row["code_id"], 1, wanted[one.code].discount) for one in found]
        )

    async def _go_on(
        self, claim: BenefitClaim, status: UseStatus, found: Sequence[Found], wanted: Mapping[str, Benefit]
    ) -> None:
        """Uses that the order had with the same code are now of this status and amount, and this account's."""
        if not found:
            return
        amounts = [wanted[one.code].discount for one in found]
        await self._uow.fetch(
            _GO_ON,
            self._uow.tenant_id,
            claim.order_id,
            [one.row["id"] for one in found],
            amounts,
            status.value,
            self._uow.now,
            claim.account_id,
        )
        await self._count(
            [
                (one.row["id"], one.row["code_id"], 0, amount - one.row["own"])
                for one, amount in zip(found, amounts, strict=True)
            ]
        )

    async def release(self, order_id: UUID) -> None:
        """What the order reserved or redeemed is free again."""
        await self._end(order_id, UseStatus.RELEASED, hold=True)

    async def give_back(self, order_id: UUID) -> None:
        """All of the order came back: coupons that say so can be used again."""
        await self._end(order_id, UseStatus.RETURNED, hold=True, only_returnable=True)

    async def _end(
        self,
        order_id: UUID,
        status: UseStatus,
        *,
        hold: bool = False,
        only_returnable: bool = False,
        but: Sequence[UUID] = (),
    ) -> None:
        if hold:
            await self._finding.hold([], order_id)
        rows = await self._uow.fetch(
            _END, self._uow.tenant_id, order_id, status.value, self._uow.now, only_returnable, list(but)
        )
        await self._uncount(rows)
        for row in rows:
            if row["former"] == UseStatus.REDEEMED:
                self._uow.publish(
                    CouponGivenBack(
                        id=row["coupon_id"],
                        order_id=order_id,
                        account_id=row["account_id"],
                        amount=Money(row["amount"], row["currency"]).to_texts(),
                    )
                )

    async def release_old(self, limit: int) -> int:
        """Free what drafts reserved and did not confirm in time, the oldest first; how many at most `limit`.

        What a draft reserved anew, before its coupon was held here, stays.
        """
        before = self._uow.now - HELD_FOR
        due = await self._uow.fetch(_DUE, self._uow.tenant_id, before, limit)
        ids = [row["id"] for row in due]
        if not ids:
            return 0
        await self._uow.fetch(_HOLD_COUPONS, self._uow.tenant_id, ids)
        rows = await self._uow.fetch(_RELEASE, self._uow.tenant_id, ids, self._uow.now, before)
        await self._uncount(rows)
        return len(ids)

    async def _uncount(self, rows: Sequence[Any]) -> None:
        await self._count([(row["coupon_id"], row["code_id"], -1, -row["amount"]) for row in rows])

    async def _count(self, changes: Sequence[tuple[UUID, UUID, int, int]]) -> None:
        """Add to what coupons and their codes count: coupon, code, uses, amount in minor units."""
        if changes:
            columns = [list(column) for column in zip(*changes, strict=True)]
            await self._uow.fetch(_COUNT, self._uow.tenant_id, *columns, self._uow.now)

    def _tell_redeemed(self, id: UUID, claim: BenefitClaim, amount: int) -> None:
        self._uow.publish(
            CouponRedeemed(
                id=id,
                order_id=claim.order_id,
                account_id=claim.account_id,
                amount=Money(amount, claim.currency).to_texts(),
            )
        )
        self._uow.record_audit(COUPON, id, "redeemed", {"order_id": [None, claim.order_id]})


def not_applicable(refused: Mapping[str, Reason]) -> CouponNotApplicable:
    """The refusal that names every coupon and why."""
    told = ", ".join(f"{code} ({reason.value})" for code, reason in refused.items())
    return CouponNotApplicable(
        f"These do not hold: {told}.",
        coupons=[{"code": code, "reason": reason.value} for code, reason in refused.items()],
    )


_END = """
UPDATE membership.coupon_uses u SET status = $3, settled_at = $4
FROM (SELECT s.id, s.status FROM membership.coupon_uses s
  JOIN membership.coupons p ON p.tenant_id = s.tenant_id AND p.id = s.coupon_id
  WHERE s.tenant_id = $1 AND s.order_id = $2 AND s.status IN ('reserved', 'redeemed')
    AND s.coupon_id <> ALL($6::uuid[])
    AND (NOT $5 OR (s.status = 'redeemed' AND p.on_return = 'give_back'))) f
WHERE u.tenant_id = $1 AND u.id = f.id
RETURNING u.coupon_id, u.code_id, u.amount, u.currency, u.account_id, f.status AS former"""
_GO_ON = """
UPDATE membership.coupon_uses u SET status = $5, amount = n.amount, account_id = $7,
  created_at = CASE WHEN $5 = 'reserved' THEN $6 ELSE u.created_at END,
  settled_at = CASE WHEN $5 = 'reserved' THEN NULL ELSE $6 END
FROM unnest($3::uuid[], $4::bigint[]) AS n(coupon_id, amount)
WHERE u.tenant_id = $1 AND u.order_id = $2 AND u.coupon_id = n.coupon_id AND u.status IN ('reserved', 'redeemed')"""
_COUNT = """
WITH n AS (
  SELECT * FROM unnest($2::uuid[], $3::uuid[], $4::bigint[], $5::bigint[]) AS n(coupon_id, code_id, uses, amount)
), coded AS (
  UPDATE membership.coupon_codes c SET uses = c.uses + s.uses
  FROM (SELECT code_id, sum(uses)::bigint AS uses FROM n GROUP BY code_id) s
  WHERE c.tenant_id = $1 AND c.id = s.code_id AND s.uses <> 0
)
UPDATE membership.coupons p SET uses = p.uses + s.uses, spent = p.spent + s.amount, used_at = $6
FROM (SELECT coupon_id, sum(uses)::bigint AS uses, sum(amount)::bigint AS amount FROM n GROUP BY coupon_id) s
WHERE p.tenant_id = $1 AND p.id = s.coupon_id"""
_DUE = """
SELECT id FROM membership.coupon_uses WHERE tenant_id = $1 AND status = 'reserved' AND created_at < $2
ORDER BY created_at, id LIMIT $3"""
_HOLD_COUPONS = """
SELECT 1 FROM membership.coupons WHERE tenant_id = $1 AND id IN (
  SELECT coupon_id FROM membership.coupon_uses WHERE tenant_id = $1 AND id = ANY($2::uuid[]))
ORDER BY id FOR NO KEY UPDATE"""
_RELEASE = """
UPDATE membership.coupon_uses SET status = 'released', settled_at = $3
WHERE tenant_id = $1 AND id = ANY($2::uuid[]) AND status = 'reserved' AND created_at < $4
RETURNING coupon_id, code_id, amount"""
