"""Work orders that wait for whoever does them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from app.kernel.access import NOBODY
from app.kernel.uow import UnitOfWork
from app.modules.activities.interface import ToDo, ToDoPlace

WORK_ORDER_TO_DO: Final = "work_order"


class WorkOrderToDos:
    """`ToDoSource`: my work orders that are not done; each is due when its window starts, if it has one."""

    kinds = frozenset({WORK_ORDER_TO_DO})

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
        hidden = self._uow.actor.hidden("work_order")
        if not self._uow.actor.may("work_order:read"):
            return []
        rows = await self._uow.fetch(
            f"SELECT w.id, w.number, w.subject, w.status, w.window_starts_at, w.created_at FROM {_WAITING}"
            " AND ($4::uuid IS NULL OR (coalesce(w.window_starts_at, 'infinity'), w.id)"
            " > (coalesce($3::timestamptz, 'infinity'), $4)) ORDER BY w.window_starts_at, w.id LIMIT $5",
            self._uow.tenant_id,
            self._me,
            after.due_at if after else None,
            after.id if after else None,
            limit,
        )
        shown = [name for name in ("number", "status") if name not in hidden]
        return [
            ToDo(
                id=row["id"],
                kind=WORK_ORDER_TO_DO,
                title="…" if "subject" in hidden else row["subject"],
                due_at=None if "window_starts_at" in hidden else row["window_starts_at"],
                since=row["created_at"],
                object="work_order",
                record_id=row["id"],
                data={name: row[name] for name in shown},
            )
            for row in rows
        ]

    async def counts(self) -> Mapping[str, int]:
        if not self._uow.actor.may("work_order:read"):
            return {}
        row = await self._uow.fetchrow(f"SELECT count(*) FROM {_WAITING}", self._uow.tenant_id, self._me)
        return {WORK_ORDER_TO_DO: row[0] if row else 0}


_WAITING: Final = (
    "after_sales.work_orders w WHERE w.tenant_id = $1 AND w.owner_id = $2 AND w.deleted_at IS NULL"
    " AND w.status IN ('draft', 'scheduled', 'in_progress')"
)
