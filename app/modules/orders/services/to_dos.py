"""Orders that wait for their owner: placed, and not confirmed because something of ours did not allow it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from app.kernel.listing import Bindings
from app.kernel.uow import UnitOfWork
from app.modules.activities.interface import Waiting

HELD: Final = "order_held"


class OrderToDos:
    """`ToDoSource`: my orders that are held; each is due from the moment it was ordered."""

    kinds = frozenset({HELD})

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    def waiting(self, bind: Bindings) -> Sequence[Waiting]:
        return Waiting.own(
            self._uow.actor,
            bind,
            "order",
            "orders.orders",
            "t.held_for IS NOT NULL",
            kind=f"'{HELD}'",
            title="number",
            due_at="t.created_at",
            shown=("number", "held_for"),
        )
