"""Who may decide for whom at this moment."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from app.kernel.access import NOBODY
from app.kernel.uow import UnitOfWork

PRINCIPALS = (
    "SELECT DISTINCT member_id FROM automation.approval_delegations WHERE tenant_id = {tenant}"
    " AND delegate_id = {me} AND starts_at <= {now} AND ends_at > {now}"
)
"""SQL of the members who named somebody their delegate for this moment."""


async def principals(uow: UnitOfWork) -> list[UUID]:
    """The actor, and the members who named them their delegate for this moment."""
    me = uow.actor.member_id or NOBODY
    rows = await uow.fetch(
        f"{PRINCIPALS.format(tenant='$1', me='$2', now='$3')} ORDER BY member_id",
        uow.tenant_id,
        me,
        uow.now,
    )
    return [me, *(row["member_id"] for row in rows)]


async def stand_ins(uow: UnitOfWork, members: Collection[UUID]) -> list[UUID]:
    """The delegates of these members at this moment."""
    rows = await uow.fetch(
        "SELECT DISTINCT delegate_id FROM automation.approval_delegations WHERE tenant_id = $1"
        " AND member_id = ANY($2::uuid[]) AND starts_at <= $3 AND ends_at > $3 ORDER BY delegate_id",
        uow.tenant_id,
        list(members),
        uow.now,
    )
    return [row["delegate_id"] for row in rows]
