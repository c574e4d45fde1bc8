"""Opportunities that wait for their owner: past their close date, or with a next step written down."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from app.kernel.listing import Bindings
from app.kernel.uow import UnitOfWork
from app.modules.activities.interface import Waiting

OVERDUE: Final = "overdue_opportunity"
NEXT_STEP: Final = "next_step"


class OpportunityToDos:
    """`ToDoSource`: my open opportunities, each once: overdue ones, and the next steps of the others.

    What is to close on a day is due when the day is over.
    """

    kinds = frozenset({OVERDUE, NEXT_STEP})

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    def waiting(self, bind: Bindings) -> Sequence[Waiting]:
        actor = self._uow.actor
        if not actor.may("opportunity:read"):
            return []
        overdue = f"t.expected_close_on < {bind(actor.tenant.day_of(self._uow.now))}::date"
        return Waiting.own(
            actor,
            bind,
            "opportunity",
            "opportunities.opportunities",
            f"t.status = 'open' AND ({overdue} OR t.next_step <> '')",
            kind=f"CASE WHEN {overdue} THEN '{OVERDUE}' ELSE '{NEXT_STEP}' END",
            title="name",
            due_at=f"(t.expected_close_on + 1)::timestamp AT TIME ZONE {bind(actor.tenant.zone.key)}::text",
            shown=("stage", "next_step", "expected_close_on"),
        )
