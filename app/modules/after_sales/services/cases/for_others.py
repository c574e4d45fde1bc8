"""`Cases` for other modules, bound to their transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any, Final
from uuid import UUID

from app.kernel.access import visible_rows
from app.kernel.listing import Bindings
from app.kernel.statements import entity
from app.kernel.uow import UnitOfWork
from app.modules.after_sales.interface import CasePriority, CaseRef, CaseStatus, NewCase
from app.modules.after_sales.models.cases import Case
from app.modules.after_sales.services.cases.cases import CaseService
from app.modules.after_sales.services.cases.states import UNRESOLVED_SQL, URGENCY_SQL


class CasesOfTenant:
    """Implements `Cases`."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def open(self, new: NewCase) -> CaseRef:
        given = asdict(new) | {"channel": new.channel.value, "priority": new.priority.value, "tags": []}
        return reference(await CaseService(self._uow).open_for_others(given))

    async def get_many(self, ids: Collection[UUID], *, hold: bool = False) -> Mapping[UUID, CaseRef]:
        if not ids or not self._uow.actor.may("case:read"):
            return {}
        lock: Any = "share" if hold and not self._uow.read_only else None
        rows = await CaseService(self._uow).get_many(list(ids), lock=lock)
        return {id: reference(row) for id, row in rows.items()}

    async def open_of(self, account_ids: Collection[UUID], *, limit: int = 5) -> Mapping[UUID, list[CaseRef]]:
        actor = self._uow.actor
        if not account_ids or not actor.may("case:read"):
            return {}
        bind = Bindings(self._uow.tenant_id, list(account_ids), limit)
        visible = visible_rows(actor, "case", "read", bind)
        rows = await self._uow.fetch(
            _OPEN_OF.format(visible=f" AND {visible}" if visible else ""), *bind.values
        )
        found: dict[UUID, list[CaseRef]] = {}
        for row in rows:
            found.setdefault(row["account_id"], []).append(reference(entity(Case, row)))
        return found


_OPEN_OF: Final = f"""
SELECT o.* FROM unnest($2::uuid[]) AS a(id) CROSS JOIN LATERAL (
  SELECT t.* FROM after_sales.cases t
  WHERE t.tenant_id = $1 AND t.account_id = a.id AND t.deleted_at IS NULL AND t.{UNRESOLVED_SQL}{{visible}}
  ORDER BY {URGENCY_SQL.format("t")}, t.due_at, t.opened_at, t.id LIMIT $3
) o ORDER BY o.account_id, {URGENCY_SQL.format("o")}, o.due_at, o.opened_at, o.id"""


def reference(row: Case) -> CaseRef:
    """A case as others show it."""
    return CaseRef(
        id=row.id,
        number=row.number,
        subject=row.subject,
        status=CaseStatus(row.status),
        priority=CasePriority(row.priority),
        account_id=row.account_id,
        contact_id=row.contact_id,
        owner_id=row.owner_id,
        opened_at=row.opened_at,
    )
