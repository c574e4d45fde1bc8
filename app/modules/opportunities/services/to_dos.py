"""Opportunities that wait for their owner: past their close date, or with a next step written down."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from app.kernel.access import NOBODY
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
        hidden = actor.hidden("opportunity")
        shown = [name for name in ("stage", "next_step", "expected_close_on") if name not in hidden]
        today, zone = bind(actor.tenant.day_of(self._uow.now)), bind(actor.tenant.zone.key)
        return [
            Waiting(
                rows=f"opportunities.opportunities o WHERE o.tenant_id = {bind(actor.tenant.id)}"
                f" AND o.owner_id = {bind(actor.member_id or NOBODY)} AND o.deleted_at IS NULL"
                f" AND o.status = 'open' AND (o.expected_close_on < {today}::date OR o.next_step <> '')",
                id="o.id",
                kind=f"CASE WHEN o.expected_close_on < {today}::date THEN '{OVERDUE}' ELSE '{NEXT_STEP}' END",
                title="'…'" if "name" in hidden else "o.name",
                due_at=f"(o.expected_close_on + 1)::timestamp AT TIME ZONE {zone}::text",
                since="o.created_at",
                object="'opportunity'",
                record_id="o.id",
                data={name: f"o.{name}" for name in shown},
            )
        ]
