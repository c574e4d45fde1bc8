"""Cases that wait for their owner, by when they are due."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

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
        return Waiting.own(
            actor,
            bind,
            "case",
            "after_sales.cases",
            "t.status IN ('new', 'open', 'pending_internal')",
            kind=f"'{CASE_TO_DO}'",
            title="subject",
            due_at="NULL" if "due_at" in actor.hidden("case") else "t.due_at",
            since="t.opened_at",
            shown=("number", "status", "priority"),
        )
