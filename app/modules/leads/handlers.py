"""Reactions: calls and meetings that were held count as behaviour of the leads that they are about."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel

from app.kernel.registry import Subscription
from app.kernel.uow import UnitOfWork
from app.modules.leads.services.leads import LEAD
from app.modules.leads.services.scoring.behaviours import Behaviours
from app.modules.leads.services.scoring.scorer import Scorer

KINDS: Final = {"call": "call_completed", "meeting": "meeting_held"}
"""Kinds of activities, and the behaviour that one which is done counts as."""


class About(BaseModel):
    object: str
    record_id: UUID


class Held(BaseModel):
    """What we need of an activity."""

    kind: str
    status: str
    subject: str
    about: list[About]
    happened_at: datetime
    completed_at: datetime | None


class ActivityWritten(BaseModel):
    """What we need of `activities.activity.created.v1`, `.updated.v1` and `.deleted.v1`."""

    id: UUID
    record: Held | None = None


async def follow_activity(uow: UnitOfWork, event: ActivityWritten) -> None:
    """Record a call or meeting that is done, move it where its subject moved, take it back when it is reopened."""
    if event.record is None or event.record.kind not in KINDS:
        return
    activity = event.record
    done = activity.status == "done"
    happened = {
        "occurred_at": activity.completed_at or activity.happened_at,
        "detail": activity.subject,
    }
    await _follow(
        uow,
        event.id,
        [about.record_id for about in activity.about if about.object == "lead"],
        KINDS[activity.kind] if done else None,
        happened,
    )


async def forget_activity(uow: UnitOfWork, event: ActivityWritten) -> None:
    """An activity that is deleted was no behaviour."""
    await _follow(uow, event.id, [], None, {})


async def _follow(
    uow: UnitOfWork, id: UUID, leads: list[UUID], kind: str | None, happened: dict[str, Any]
) -> None:
    scorer = Scorer(uow, LEAD)
    for lead in await Behaviours(uow).follow(LEAD, f"activity:{id}", leads, kind, happened):
        await scorer.rescore(lead)


SUBSCRIPTIONS: Final = (
    Subscription("activities.activity.created.v1", ActivityWritten, follow_activity, name="leads.behaviour"),
    Subscription("activities.activity.updated.v1", ActivityWritten, follow_activity, name="leads.behaviour"),
    Subscription("activities.activity.deleted.v1", ActivityWritten, forget_activity, name="leads.behaviour"),
)
