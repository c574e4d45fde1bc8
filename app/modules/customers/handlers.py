"""Reactions to activities: what somebody completed about a record is its last follow-up."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel

from app.kernel.registry import Subscription
from app.kernel.uow import UnitOfWork
from app.modules.customers.services.pools.desk import Desk
from app.modules.customers.services.pools.for_modules import followed_up

_ENDING = frozenset({"status", "completed_at", "about"})


class AboutActivity(BaseModel):
    """What an activity is about."""

    object: str
    record_id: UUID


class ActivityRecord(BaseModel):
    """What we need of an activity."""

    status: str
    completed_at: datetime | None
    created_by: UUID | None
    about: list[AboutActivity]


class ActivityWritten(BaseModel):
    """What we need of `activities.activity.created.v1` and `….updated.v1`."""

    id: UUID
    changed: list[str] = []
    record: ActivityRecord | None = None


async def note_follow_up(uow: UnitOfWork, event: ActivityWritten) -> None:
    """Copy the time of completion on to the records; what the product itself wrote down does not count."""
    record: Any = event.record
    if record is None or record.status != "done" or record.completed_at is None:
        return
    by_somebody = (
        record.created_by is not None if not event.changed else not _ENDING.isdisjoint(event.changed)
    )
    if not by_somebody:
        return
    known = Desk(uow).types()
    by_object: dict[str, list[UUID]] = {}
    for about in record.about:
        if about.object in known:
            by_object.setdefault(about.object, []).append(about.record_id)
    for name, ids in by_object.items():
        await followed_up(uow, name, ids, record.completed_at)


SUBSCRIPTIONS: Final = tuple(
    Subscription(
        f"activities.activity.{verb}.v1", ActivityWritten, note_follow_up, name="customers.follow_ups"
    )
    for verb in ("created", "updated")
)
