"""Work orders that wait for whoever does them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

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
        return Waiting.own(
            actor,
            bind,
            "work_order",
            "after_sales.work_orders",
            "t.status IN ('draft', 'scheduled', 'in_progress')",
            kind=f"'{WORK_ORDER_TO_DO}'",
            title="subject",
            due_at="NULL" if "window_starts_at" in actor.hidden("work_order") else "t.window_starts_at",
            shown=("number", "status"),
        )
