"""Everything that happened to a request, written beside what it changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from app.kernel.uow import UnitOfWork
from app.modules.automation.models import HistoryAction, HistoryEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One line of a request's history; `step` is the key of the step."""

    approval_id: UUID
    action: HistoryAction
    step: str | None = None
    on_behalf_of: UUID | None = None
    to_member_id: UUID | None = None
    note: str | None = None


async def write(uow: UnitOfWork, *happenings: Happening) -> None:
    """Note what the actor did at this moment."""
    if not happenings:
        return
    await uow.insert_many(
        HistoryEntry,
        [
            {
                "approval_id": one.approval_id,
                "at": uow.now,
                "action": one.action.value,
                "step": one.step,
                "actor_id": uow.actor.member_id,
                "on_behalf_of": one.on_behalf_of,
                "to_member_id": one.to_member_id,
                "note": one.note,
            }
            for one in happenings
        ],
    )


async def of_approval(uow: UnitOfWork, approval_id: UUID) -> Sequence[HistoryEntry]:
    """The history of one request, oldest first."""
    statement = uow.select(HistoryEntry).where(HistoryEntry.approval_id == approval_id)
    return await uow.all(statement.order_by(HistoryEntry.id))
