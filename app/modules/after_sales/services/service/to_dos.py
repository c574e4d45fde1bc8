"""Work orders that wait for whoever does them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from app.kernel.access import NOBODY
from app.kernel.listing import Bindings
from app.kernel.uow import UnitOfWork
from app.modules.activities.interface import Waiting

WORK_ORDER_TO_DO: Final = "work_order"


class WorkOrderToDos:
    """`ToDoSource`: my work orders that are not done; each is due when its window starts, if it has one."""

    kinds = frozenset({WORK_ORDER_TO_DO})

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    def waiting(self, bind: Bindings) -> Sequence[Waiting]:
        actor = self._uow.actor
        if not actor.may("work_order:read"):
            return []
        hidden = actor.hidden("work_order")
        return [
            Waiting(
                rows=f"after_sales.work_orders w WHERE w.tenant_id = {bind(actor.tenant.id)}"
                f" AND w.owner_id = {bind(actor.member_id or NOBODY)} AND w.deleted_at IS NULL"
                " AND w.status IN ('draft', 'scheduled', 'in_progress')",
                id="w.id",
                kind=f"'{WORK_ORDER_TO_DO}'",
                title="'…'" if "subject" in hidden else "w.subject",
                due_at="NULL" if "window_starts_at" in hidden else "w.window_starts_at",
                since="w.created_at",
                object="'work_order'",
                record_id="w.id",
                data={name: f"w.{name}" for name in ("number", "status") if name not in hidden},
            )
        ]
