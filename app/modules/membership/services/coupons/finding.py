"""What stands behind codes, and whether it holds for who buys: every rule but those about the basket."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from app.kernel.locks import lock_keys
from app.kernel.uow import UnitOfWork
from app.modules.membership.models.coupons import CouponStatus
from app.modules.membership.models.programmes import MemberStatus
from app.modules.membership.schemas.coupons import Reason
from app.modules.orders.interface import Orders


@dataclass(frozen=True, slots=True, kw_only=True)
class Buyer:
    """Who buys in which currency. What `order_id` has of a coupon does not count against its limits."""

    account_id: UUID | None
    contact_id: UUID | None
    currency: str
    order_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A code with its coupon, as a row; what the buyer's own order has of it is taken off the counts."""

    row: Any

    @property
    def code(self) -> str:
        return str(self.row["code"])

    @property
    def room(self) -> int | None:
        """What the budget has left."""
        return (
            None if self.row["budget"] is None else self.row["budget"] - self.row["spent"] + self.row["own"]
        )


@dataclass(slots=True)
class Circumstances:
    """What of the buyer the coupons at hand ask for; only that is looked up.

    A membership that gave way to another when customers were merged still has its own coupons, and no tier.
    """

    today: date
    members: Sequence[Any] = ()
    bought_before: bool = False


class Finding:
    """Reads coupons by their codes."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self.today = uow.actor.tenant.day_of(uow.now)

    async def behind(self, codes: Collection[str], buyer: Buyer, *, hold: bool = False) -> list[Found]:
        """What stands behind the codes that are there, in the order of the codes. One statement, two with `hold`."""
        if hold:
            await self.hold(codes, buyer.order_id)
        rows = await self._uow.fetch(
            _BEHIND, self._uow.tenant_id, list(codes), buyer.account_id, buyer.order_id
        )
        found = {row["code"]: Found(row) for row in rows}
        return [found[code] for code in dict.fromkeys(codes) if code in found]

    async def hold(self, codes: Collection[str], order_id: UUID | None) -> None:
        """Keep the coupons of these codes, and those that the order has, as they are until the transaction ends.

        Whoever uses one waits here, in the order of ids.
        """
        await self._uow.fetch(_HOLD, self._uow.tenant_id, list(codes), order_id)

    async def circumstances(
        self, found: Sequence[Found], buyer: Buyer, *, redeeming: bool = False
    ) -> Circumstances:
        """A statement for memberships and one for earlier orders, where a coupon asks for them.

        Whoever is `redeeming` what is for a first order waits until no other first order of the account is under way:
        two of them have no coupon in common that one could wait for.
        """
        known = Circumstances(self.today)
        if any(one.row["programme_id"] or one.row["member_id"] for one in found):
            known.members = await self._uow.fetch(
                "SELECT id, programme_id, tier, status FROM membership.loyalty_members WHERE tenant_id = $1"
                " AND (account_id = $2 OR contact_id = $3) AND deleted_at IS NULL"
                " AND status IN ('active', 'superseded')",
                self._uow.tenant_id,
                buyer.account_id,
                buyer.contact_id,
            )
        if buyer.account_id is not None and any(one.row["first_order_only"] for one in found):
            if redeeming:
                await lock_keys(self._uow, "first-order", [str(buyer.account_id)])
            known.bought_before = await self._uow.of(Orders).bought_before(
                buyer.account_id, other_than=buyer.order_id
            )
        return known


def refusal(found: Found, buyer: Buyer, known: Circumstances) -> Reason | None:
    """Why a coupon does not hold for who buys; None where it does."""
    row = found.row
    ends = [day for day in (row["valid_until"], row["code_until"]) if day is not None]
    if row["status"] != CouponStatus.ACTIVE:
        return Reason.NOT_ACTIVE
    if row["valid_from"] is not None and row["valid_from"] > known.today:
        return Reason.NOT_YET_VALID
    if any(day < known.today for day in ends):
        return Reason.EXPIRED
    if row["currency"] != buyer.currency:
        return Reason.OTHER_CURRENCY
    return _of_buyer(row, known) or _of_limits(row, found)


def _of_buyer(row: Any, known: Circumstances) -> Reason | None:
    if row["member_id"] is not None and row["member_id"] not in {one["id"] for one in known.members}:
        return Reason.ANOTHER_MEMBER
    if row["programme_id"] is not None:
        tiers = [
            one["tier"]
            for one in known.members
            if one["programme_id"] == row["programme_id"] and one["status"] == MemberStatus.ACTIVE
        ]
        if not tiers:
            return Reason.NOT_A_MEMBER
        if row["tiers"] and not set(tiers) & set(row["tiers"]):
            return Reason.OTHER_TIER
    if row["first_order_only"] and known.bought_before:
        return Reason.FIRST_ORDER_ONLY
    return None


def _of_limits(row: Any, found: Found) -> Reason | None:
    mine = 1 if row["own"] else 0
    if row["total_limit"] is not None and row["uses"] - mine >= row["total_limit"]:
        return Reason.USED_UP
    if row["use_limit"] is not None and row["code_uses"] - row["own_code"] >= row["use_limit"]:
        return Reason.USED_UP
    if row["customer_limit"] is not None and row["customer_uses"] >= row["customer_limit"]:
        return Reason.CUSTOMER_LIMIT
    if found.room is not None and found.room <= 0:
        return Reason.BUDGET_EXHAUSTED
    return None


_HOLD = """
SELECT 1 FROM membership.coupons WHERE tenant_id = $1 AND id IN (
  SELECT coupon_id FROM membership.coupon_codes WHERE tenant_id = $1 AND code = ANY($2::text[])
  UNION SELECT coupon_id FROM membership.coupon_uses
  WHERE tenant_id = $1 AND order_id = $3 AND status IN ('reserved', 'redeemed'))
ORDER BY id FOR NO KEY UPDATE"""
# The order's own use is one that is reserved or redeemed: there is at most one for each coupon.
_BEHIND = """
SELECT c.id AS code_id, c.code, c.member_id, c.valid_until AS code_until, c.use_limit, c.uses AS code_uses,
  p.id, p.name, p.name_zh, p.status, p.benefit, p.currency, p.percent, p.amount, p.free_quantity, p.maximum_discount,
  p.minimum_spend, p.valid_from, p.valid_until, p.product_ids, p.category_ids, p.programme_id, p.tiers,
  p.first_order_only, p.exclusive, p.stacking_group, p.priority, p.customer_limit, p.total_limit, p.budget,
  p.uses, p.spent, coalesce(o.amount, 0) AS own, (o.code_id IS NOT DISTINCT FROM c.id)::int AS own_code,
  CASE WHEN p.customer_limit IS NULL OR $3::uuid IS NULL THEN 0 ELSE (
    SELECT count(*) FROM membership.coupon_uses u WHERE u.tenant_id = $1 AND u.account_id = $3
      AND u.coupon_id = p.id AND u.status IN ('reserved', 'redeemed') AND u.order_id IS DISTINCT FROM $4) END
    AS customer_uses
FROM membership.coupon_codes c
JOIN membership.coupons p ON p.tenant_id = c.tenant_id AND p.id = c.coupon_id AND p.deleted_at IS NULL
LEFT JOIN membership.coupon_uses o ON o.tenant_id = c.tenant_id AND o.order_id = $4 AND o.coupon_id = p.id
  AND o.status IN ('reserved', 'redeemed')
WHERE c.tenant_id = $1 AND c.code = ANY($2::text[])"""
