"""Cases that wait for their owner, by when they are due."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from app.kernel.access import NOBODY
from app.kernel.uow import UnitOfWork
from app.modules.activities.interface import ToDo, ToDoPlace

CASE_TO_DO: Final = "case"


class CaseToDos:
    """`ToDoSource`: my cases in which it is our turn; each is due at its earliest deadline, if it has one."""

    kinds = frozenset({CASE_TO_DO})

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
        hidden = self._uow.actor.hidden("case")
        if not self._uow.actor.may("case:read"):
            return []
        rows = await self._uow.fetch(
            f"SELECT c.id, c.number, c.subject, c.status, c.priority, c.due_at, c.opened_at FROM {_WAITING}"
            " AND ($4::uuid IS NULL OR (coalesce(c.due_at, 'infinity'), c.id)"
            " > (coalesce($3::timestamptz, 'infinity'), $4)) ORDER BY c.due_at, c.id LIMIT $5",
            self._uow.tenant_id,
            self._me,
            after.due_at if after else None,
            after.id if after else None,
            limit,
        )
        shown = [name for name in ("number", "status", "priority") if name not in hidden]
        return [
            ToDo(
                id=row["id"],
                kind=CASE_TO_DO,
                title="…" if "subject" in hidden else row["subject"],
                due_at=row["due_at"],
                since=row["opened_at"],
                object="case",
                record_id=row["id"],
                data={name: row[name] for name in shown},
            )
            for row in rows
        ]

    async def counts(self) -> Mapping[str, int]:
        if not self._uow.actor.may("case:read"):
            return {}
        row = await self._uow.fetchrow(f"SELECT count(*) FROM {_WAITING}", self._uow.tenant_id, self._me)
        return {CASE_TO_DO: row[0] if row else 0}


_WAITING: Final = (
    "after_sales.cases c WHERE c.tenant_id = $1 AND c.owner_id = $2 AND c.deleted_at IS NULL"
    " AND c.status IN ('new', 'open', 'pending_internal')"
)
