"""Orders that wait for their owner: placed, and not confirmed because something of ours did not allow it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from app.kernel.access import NOBODY
from app.kernel.uow import UnitOfWork
from app.modules.activities.interface import ToDo, ToDoPlace

HELD: Final = "order_held"


class OrderToDos:
    """`ToDoSource`: my orders that are held; each is due from the moment it was ordered."""

    kinds = frozenset({HELD})

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
        if not self._uow.actor.may("order:read") or (after is not None and after.due_at is None):
            return []
        rows = await self._uow.fetch(
            f"SELECT o.id, o.number, o.held_for, o.created_at FROM {_WAITING}"
            " AND ($3::timestamptz IS NULL OR (o.created_at, o.id) > ($3, $4::uuid))"
            " ORDER BY o.created_at, o.id LIMIT $5",
            self._uow.tenant_id,
            self._me,
            after.due_at if after else None,
            after.id if after else None,
            limit,
        )
        hidden = self._uow.actor.hidden("order")
        shown = [name for name in ("number", "held_for") if name not in hidden]
        return [
            ToDo(
                id=row["id"],
                kind=HELD,
                title="…" if "number" in hidden else row["number"],
                due_at=row["created_at"],
                since=row["created_at"],
                object="order",
                record_id=row["id"],
                data={name: row[name] for name in shown},
            )
            for row in rows
        ]

    async def counts(self) -> Mapping[str, int]:
        if not self._uow.actor.may("order:read"):
            return {}
        row = await self._uow.fetchrow(f"SELECT count(*) FROM {_WAITING}", self._uow.tenant_id, self._me)
        return {HELD: row[0] if row else 0}


_WAITING = (
    "orders.orders o WHERE o.tenant_id = $1 AND o.owner_id = $2 AND o.held_for IS NOT NULL"
    " AND o.deleted_at IS NULL"
)
