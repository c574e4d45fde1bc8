"""Proof that coupons count what was granted on them."""

from __future__ import annotations

from collections.abc import Sequence

from app.kernel.money_checks import Difference
from app.kernel.uow import UnitOfWork


class CouponsCheck:
    """`MoneyCheck`: uses and money of a coupon, and uses of a code, are those that stand in the table of uses."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def differences(self) -> Sequence[Difference]:
        found: list[Difference] = []
        for rule, sql in _RULES.items():
            rows = await self._uow.fetch(sql, self._uow.tenant_id)
            found += [Difference(rule, "coupon", row["id"], row["stored"], row["computed"]) for row in rows]
        return found


_RULES = {
    "uses of a coupon are what it counts": """
SELECT p.id, concat_ws(' ', p.uses, p.spent) AS stored, concat_ws(' ', u.uses, u.spent) AS computed
FROM membership.coupons p
CROSS JOIN LATERAL (
  SELECT count(*) AS uses, coalesce(sum(amount), 0)::bigint AS spent FROM membership.coupon_uses
  WHERE tenant_id = $1 AND coupon_id = p.id AND status IN ('reserved', 'redeemed')
) u
WHERE p.tenant_id = $1 AND (p.uses, p.spent) <> (u.uses, u.spent) ORDER BY p.id""",
    "uses of a code are what it counts": """
SELECT c.coupon_id AS id, c.uses::text AS stored, u.uses::text AS computed
FROM membership.coupon_codes c
CROSS JOIN LATERAL (
  SELECT count(*) AS uses FROM membership.coupon_uses
  WHERE tenant_id = $1 AND coupon_id = c.coupon_id AND code_id = c.id AND status IN ('reserved', 'redeemed')
) u
WHERE c.tenant_id = $1 AND (c.uses > 0 OR c.use_limit IS NULL) AND c.uses <> u.uses ORDER BY c.coupon_id""",
}
