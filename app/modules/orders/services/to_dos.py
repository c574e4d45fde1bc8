"""Orders that wait for their owner: placed, and not confirmed because something of ours did not allow it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from app.kernel.access import NOBODY
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
        actor = self._uow.actor
        if not actor.may("order:read"):
            return []
        hidden = actor.hidden("order")
        return [
            Waiting(
                rows=f"orders.orders o WHERE o.tenant_id = {bind(actor.tenant.id)}"
                f" AND o.owner_id = {bind(actor.member_id or NOBODY)} AND o.held_for IS NOT NULL"
                " AND o.deleted_at IS NULL",
                id="o.id",
                kind=f"'{HELD}'",
                title="'…'" if "number" in hidden else "o.number",
                due_at="o.created_at",
                since="o.created_at",
                object="'order'",
                record_id="o.id",
                data={name: f"o.{name}" for name in ("number", "held_for") if name not in hidden},
            )
        ]
