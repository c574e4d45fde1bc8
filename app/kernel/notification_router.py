"""HTTP for what a member was told, and how they want to be told."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Path, Query
from pydantic import Field

from app.kernel.errors import InvalidCursor, problems
from app.kernel.notifications import Notification, Notifications, Ways
from app.kernel.routing import Router, Uow
from app.kernel.schemas import Input, Output, Page

router = Router(prefix="/v1", tags=["notifications"])

NotificationName = Annotated[
    str, Path(description="A kind from the list of preferences.", examples=["activity.assigned"])
]


class NotificationRead(Output):
    """One thing that you were told."""

    id: UUID
    kind: str = Field(description="What it is, as in the preferences.", examples=["activity.assigned"])
    title: str
    body: str | None
    object: str | None = Field(description="With `record_id`: the record that it is about.")
    record_id: UUID | None
    actor_id: UUID | None = Field(description="The member who did it.")
    created_at: datetime
    read_at: datetime | None


class ReadAnswer(Output):
    """How many were marked."""

    read: int


class NotificationWays(Input):
    """How you want to be told of a kind; the list shows it in any case."""

    live: bool = Field(description="On your live stream, `GET /v1/stream`.")
    mail: bool = Field(description="By mail.")


class NotificationPreferenceRead(Output):
    """How you are told of a kind."""

    kind: str
    name_en: str
    name_zh: str
    live: bool
    mail: bool


@router.get("/notifications", access="signed_in", responses=problems(InvalidCursor))
async def list_notifications(
    uow: Uow,
    unread: Annotated[bool | None, Query(description="Only those not read yet, or only the others.")] = None,
    kind: Annotated[str | None, Query(max_length=100, description="Only of this kind.")] = None,
    limit: Annotated[int, Query(ge=1, description="Above 200 counts as 200.")] = 50,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
) -> Page[NotificationRead]:
    """What you were told, newest first."""
    found = await Notifications(uow).page(unread=unread, kind=kind, limit=limit, cursor=cursor)
    return found.page(_answer)


@router.post("/notifications/{id}/read", access="signed_in")
async def read_notification(id: UUID, uow: Uow) -> NotificationRead:
    """Mark one notification as read. Again, it changes nothing."""
    return _answer(await Notifications(uow).read(id))


@router.post("/notifications/read-all", access="signed_in")
async def read_all_notifications(uow: Uow) -> ReadAnswer:
    """Mark all your notifications as read."""
    return ReadAnswer(read=await Notifications(uow).read_all())


@router.get("/notification-preferences", access="signed_in")
async def list_notification_preferences(uow: Uow) -> Page[NotificationPreferenceRead]:
    """How you are told of each kind of notification. One page holds all."""
    found = await Notifications(uow).preferences()
    data = [_preference(uow, kind, ways) for kind, ways in found.items()]
    return Page[NotificationPreferenceRead](data=data, next_cursor=None, has_more=False)


@router.put("/notification-preferences/{notification_kind}", access="signed_in")
async def set_notification_preference(
    notification_kind: NotificationName, body: NotificationWays, uow: Uow
) -> NotificationPreferenceRead:
    """Say how you want to be told of a kind of notification."""
    ways = Ways(live=body.live, mail=body.mail)
    await Notifications(uow).prefer(notification_kind, ways)
    return _preference(uow, notification_kind, ways)


def _preference(uow: Uow, kind: str, ways: Ways) -> NotificationPreferenceRead:
    declared = uow.kernel.registry.notifications[kind]
    return NotificationPreferenceRead(
        kind=kind, name_en=declared.name_en, name_zh=declared.name_zh, live=ways.live, mail=ways.mail
    )


def _answer(row: Notification) -> NotificationRead:
    return NotificationRead.model_validate(
        {name: row.__dict__[name] for name in NotificationRead.model_fields}
    )
