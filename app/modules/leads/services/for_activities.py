"""Leads as people who can be invited, and as work that waits for its owner."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final
from uuid import UUID

from app.kernel.access import NOBODY
from app.kernel.uow import UnitOfWork
from app.modules.activities.interface import PersonRef, ToDo, ToDoPlace
from app.modules.leads.services.leads import LeadService

NEW_LEAD: Final = "new_lead"
_WAITING: Final = (
    "leads.leads l WHERE l.tenant_id = $1 AND l.owner_id = $2 AND l.deleted_at IS NULL AND l.status = 'new'"
    " AND l.first_response_at IS NULL"
)


class LeadDirectory:
    """`PersonDirectory` for leads."""

    object = "lead"

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def people(self, ids: Collection[UUID]) -> Mapping[UUID, PersonRef]:
        """Leads that the actor sees, without an address where their role hides it or nobody has claimed them."""
        if not self._uow.actor.may("lead:read"):
            return {}
        rows = await LeadService(self._uow).get_many(list(ids))
        hidden = "email" in self._uow.actor.hidden(self.object)
        return {
            id: PersonRef(id, row.name, None if hidden or row.pool_id is not None else row.email)
            for id, row in rows.items()
        }


class LeadToDos:
    """`ToDoSource`: my new leads that nobody has answered; each is due from the moment it came."""

    kinds = frozenset({NEW_LEAD})

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._me = uow.actor.member_id or NOBODY

    async def to_dos(
        self,
        *,
        kinds: Collection[str],  # noqa: ARG002 - there is but one
        after: ToDoPlace | None,
        limit: int,
    ) -> Sequence[ToDo]:
        if not self._uow.actor.may("lead:read") or (after is not None and after.due_at is None):
            return []
        rows = await self._uow.fetch(
            f"SELECT l.id, l.name, l.company, l.source, l.rating, l.created_at FROM {_WAITING}"
            " AND ($3::timestamptz IS NULL OR (l.created_at, l.id) > ($3, $4::uuid))"
            " ORDER BY l.created_at, l.id LIMIT $5",
            self._uow.tenant_id,
            self._me,
            after.due_at if after else None,
            after.id if after else None,
            limit,
        )
        hidden = self._uow.actor.hidden("lead")
        shown = [name for name in ("company", "source", "rating") if name not in hidden]
        return [
            ToDo(
                id=row["id"],
                kind=NEW_LEAD,
                title="…" if "name" in hidden else row["name"],
                due_at=row["created_at"],
                since=row["created_at"],
                object="lead",
                record_id=row["id"],
                data={name: row[name] for name in shown},
            )
            for row in rows
        ]

    async def counts(self) -> Mapping[str, int]:
        if not self._uow.actor.may("lead:read"):
            return {}
        row = await self._uow.fetchrow(f"SELECT count(*) FROM {_WAITING}", self._uow.tenant_id, self._me)
        return {NEW_LEAD: row[0] if row else 0}
