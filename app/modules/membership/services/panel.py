"""What membership shows on the 360° view of accounts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from app.kernel.money import money_dict
from app.kernel.record_reads import visible_of
from app.kernel.uow import UnitOfWork


class MembershipPanel:
    """`AccountPanel`: programme, card, tier, points, wallets and groups of an account that is a member."""

    name = "membership"

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def panel(self, account_ids: Sequence[UUID]) -> Mapping[UUID, Any]:
        """The memberships of each account, the oldest first; what is hidden from the actor is left out."""
        if not account_ids:
            return {}
        hidden = self._uow.actor.hidden("loyalty_member")
        found: dict[UUID, list[dict[str, Any]]] = {}
        for row in await visible_of(self._uow, "loyalty_member", _PANEL, list(account_ids)):
            values = {name: value for name, value in row.items() if name not in hidden}
            account_id = row["account_id"]
            values.pop("account_id", None)
            values["wallets"] = [
                money_dict(one["balance"], one["currency"]) | {"status": one["status"]}
                for one in row["wallets"]
            ]
            found.setdefault(account_id, []).append(values)
        return found


_PANEL: Final = """
SELECT t.account_id, t.id, t.programme_id, p.name_en AS programme, p.name_zh AS programme_zh, t.number, t.status,
  t.since, t.tier, t.tier_until, t.points, t.points_pending, t.rfm_class, t.value_class,
  coalesce((SELECT jsonb_agg(jsonb_build_object(
      'balance', w.principal + w.bonus, 'currency', w.currency, 'status', w.status) ORDER BY w.currency)
    FROM membership.wallets w WHERE w.tenant_id = $1 AND w.member_id = t.id), '[]') AS wallets
FROM membership.loyalty_members t
JOIN membership.programmes p ON p.tenant_id = t.tenant_id AND p.id = t.programme_id
WHERE t.tenant_id = $1 AND t.account_id = ANY($2::uuid[]) AND t.deleted_at IS NULL
  AND t.status <> 'superseded'{visible}
ORDER BY t.since, t.id"""
