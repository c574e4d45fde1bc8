"""Cases that wait for their owner, by when they are due."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from app.kernel.access import NOBODY
from app.kernel.listing import Bindings
from app.kernel.uow import UnitOfWork
from app.modules.activities.interface import Waiting

CASE_TO_DO: Final = "case"


class CaseToDos:
    """`ToDoSource`: my cases in which it is our turn; each is due at its earliest deadline, if it has one."""

    kinds = frozenset({CASE_TO_DO})

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    def waiting(self, bind: Bindings) -> Sequence[Waiting]:
        actor = self._uow.actor
        if not actor.may("case:read"):
            return []
        hidden = actor.hidden("case")
        return [
            Waiting(
                rows=f"after_sales.cases c WHERE c.tenant_id = {bind(actor.tenant.id)}"
                f" AND c.owner_id = {bind(actor.member_id or NOBODY)} AND c.deleted_at IS NULL"
                " AND c.status IN ('new', 'open', 'pending_internal')",
                id="c.id",
                kind=f"'{CASE_TO_DO}'",
                title="'…'" if "subject" in hidden else "c.subject",
                due_at="NULL" if "due_at" in hidden else "c.due_at",
                since="c.opened_at",
                object="'case'",
                record_id="c.id",
                data={name: f"c.{name}" for name in ("number", "status", "priority") if name not in hidden},
            )
        ]
