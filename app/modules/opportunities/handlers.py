"""Reactions: an activity about an opportunity keeps it fresh, an accepted quote wins it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pydantic import BaseModel

from app.kernel.money import MoneyIn
from app.kernel.registry import Subscription
from app.kernel.uow import UnitOfWork
from app.modules.opportunities.services.quoted import won_by_quote
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


class QuoteAccepted(BaseModel):
    """What we need of `quotes.quote.accepted.v1`."""

    opportunity_id: UUID | None
    total: MoneyIn
    net: MoneyIn | None = None  # not in every event


async def _quote_accepted(uow: UnitOfWork, event: QuoteAccepted) -> None:
    if event.opportunity_id is not None:
        await won_by_quote(uow, event.opportunity_id, event.total if event.net is None else event.net)


SUBSCRIPTIONS = (
    Subscription("activities.activity.created.v1", ActivityTold, _activity_made, "opportunities.touch"),
    Subscription("activities.activity.updated.v1", ActivityTold, _activity_changed, "opportunities.touch"),
    Subscription("quotes.quote.accepted.v1", QuoteAccepted, _quote_accepted, "opportunities.win"),
)
