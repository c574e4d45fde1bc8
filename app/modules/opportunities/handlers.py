"""Reactions to what happens below: an activity about an opportunity keeps it fresh."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pydantic import BaseModel

from app.kernel.registry import Subscription
from app.kernel.uow import UnitOfWork
from app.modules.opportunities.services.rotting import touched


class ActivityTold(BaseModel):
    """What the events of activities say."""

    changed: list[str] = []
    record: dict[str, Any] | None = None


async def _activity_made(uow: UnitOfWork, event: ActivityTold) -> None:
    await _touch(uow, event)


async def _activity_changed(uow: UnitOfWork, event: ActivityTold) -> None:
    if "status" in event.changed:
        await _touch(uow, event)


async def _touch(uow: UnitOfWork, event: ActivityTold) -> None:
    """What is only planned touches nothing: a task list does not keep a deal alive."""
    told = event.record or {}
    about = [UUID(link["record_id"]) for link in told.get("about", ()) if link["object"] == "opportunity"]
    if about and told.get("status") == "done":
        await touched(uow, about)


SUBSCRIPTIONS = (
    Subscription("activities.activity.created.v1", ActivityTold, _activity_made, "opportunities.touch"),
    Subscription("activities.activity.updated.v1", ActivityTold, _activity_changed, "opportunities.touch"),
)
