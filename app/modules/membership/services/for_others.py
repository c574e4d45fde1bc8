"""What membership does for other modules: who is a member, what accounts hold, and proof that points add up."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar
from uuid import UUID

from app.kernel.access import visible_rows
from app.kernel.listing import Bindings
from app.kernel.merging.ports import Merger
from app.kernel.merging.references import RecordColumn
from app.kernel.money_checks import Difference, compared
from app.kernel.uow import UnitOfWork
from app.kernel.uses import UsesByColumn
from app.modules.customers.interface import CUSTOMER_COLUMNS
from app.modules.membership.interface import MemberCard
from app.modules.membership.services.members import LOYALTY_MEMBER


class MembershipsOfTenant:
    """`Memberships` as far as the actor sees them."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def of(
        self, account_ids: Collection[UUID], contact_ids: Collection[UUID] = ()
    ) -> Mapping[UUID, list[MemberCard]]:
        actor = self._uow.actor
        if not actor.may("loyalty_member:read") or not (account_ids or contact_ids):
            return {}
        bind = Bindings(self._uow.tenant_id, list(account_ids), list(contact_ids))
        visible = visible_rows(actor, "loyalty_member", "read", bind)
        rows = await self._uow.fetch(
            _CARDS.format(visible=f" AND {visible}" if visible else ""), *bind.values
        )
        found: dict[UUID, list[MemberCard]] = {}
        for row in rows:
            card = MemberCard(**dict(row))
            found.setdefault(row["account_id"] or row["contact_id"], []).append(card)
        return found


class MemberUses(UsesByColumn):
    """`AccountUser`: an account or a contact that is a member is not deleted."""

    columns: ClassVar = CUSTOMER_COLUMNS
    rows: ClassVar = {"loyalty_members": "membership.loyalty_members t WHERE t.{column} = $2"}


def member_holders(column: str, target: str) -> Any:
    """A merger: memberships go along; of two in one programme only one stays in use, its card and points too.

    The other is superseded: it earns and burns no more, and its points can be transferred.
    """

    def made(uow: UnitOfWork) -> Merger:
        return RecordColumn(uow, LOYALTY_MEMBER, column, target, _STATUS.format(column=column, id="{id}"))

    return made


class PointsCheck:
    """`MoneyCheck`: balances are what the ledger and the lots say, and every transaction sums to zero."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def differences(self) -> Sequence[Difference]:
        return await compared(self._uow, _RULES)


_CARDS = """
SELECT t.id, t.programme_id, p.name_en AS programme, t.number, t.account_id, t.contact_id, t.tier, t.points, t.since
FROM membership.loyalty_members t
JOIN membership.programmes p ON p.tenant_id = t.tenant_id AND p.id = t.programme_id
WHERE t.tenant_id = $1 AND (t.account_id = ANY($2::uuid[]) OR t.contact_id = ANY($3::uuid[]))
  AND t.deleted_at IS NULL AND t.status = 'active'{visible} ORDER BY t.since, t.id"""
_STATUS = """status = CASE WHEN t.status NOT IN ('active', 'superseded') THEN t.status WHEN EXISTS (
  SELECT 1 FROM membership.loyalty_members o WHERE o.tenant_id = t.tenant_id AND o.programme_id = t.programme_id
    AND o.id <> t.id AND o.deleted_at IS NULL AND o.status <> 'superseded'
    AND (o.{column} = {id} OR (o.{column} = ANY($3::uuid[]) AND o.id < t.id))
) THEN 'superseded' ELSE 'active' END"""
_RULES: dict[str, tuple[str, str]] = {
    "entries of the ledger are the member's balances": (
        "loyalty_member",
        """
SELECT m.id, concat_ws(', ', m.points, m.points_pending, m.points_reserved, m.points_debt, m.points_qualifying)
    AS stored,
  concat_ws(', ', e.available, e.pending, e.reserved, -e.debt, e.qualifying) AS computed
FROM membership.loyalty_members m
CROSS JOIN LATERAL (
  SELECT coalesce(sum(points) FILTER (WHERE account = 'available'), 0) AS available,
    coalesce(sum(points) FILTER (WHERE account = 'pending'), 0) AS pending,
    coalesce(sum(points) FILTER (WHERE account = 'reserved'), 0) AS reserved,
    coalesce(sum(points) FILTER (WHERE account = 'debt'), 0) AS debt,
    coalesce(sum(points) FILTER (WHERE account = 'qualifying'), 0) AS qualifying
  FROM membership.ledger_entries WHERE tenant_id = $1 AND member_id = m.id
) e
WHERE m.tenant_id = $1 AND (m.points, m.points_pending, m.points_reserved, -m.points_debt, m.points_qualifying)
  <> (e.available, e.pending, e.reserved, e.debt, e.qualifying)
ORDER BY m.id""",
    ),
    "what is left of lots is what a member has": (
        "loyalty_member",
        """
SELECT m.id, m.points || ' and ' || m.points_pending AS stored,
  coalesce(l.points, 0) || ' and ' || coalesce(l.pending, 0) AS computed
FROM membership.loyalty_members m
LEFT JOIN (
  SELECT member_id, coalesce(sum(remaining) FILTER (WHERE matures_on IS NULL), 0) AS points,
    coalesce(sum(remaining) FILTER (WHERE matures_on IS NOT NULL), 0) AS pending
  FROM membership.lots WHERE tenant_id = $1 GROUP BY member_id
) l ON l.member_id = m.id
WHERE m.tenant_id = $1 AND (m.points, m.points_pending) <> (coalesce(l.points, 0), coalesce(l.pending, 0))
ORDER BY m.id""",
    ),
    "entries of a transaction of points sum to zero": (
        "loyalty_transaction",
        """
SELECT transaction_id AS id, 0 AS stored, sum(points) AS computed FROM membership.ledger_entries
WHERE tenant_id = $1 GROUP BY transaction_id, currency HAVING sum(points) <> 0 ORDER BY 1""",
    ),
}
