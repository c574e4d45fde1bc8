"""Invitations, their changes and cancellations, by mail with an iCalendar part (RFC 5546, RFC 6047)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from app.kernel.links import new_link
from app.kernel.mail import CalendarPart, Message, post
from app.kernel.notifications import Notice, Notifications
from app.kernel.people import People
from app.kernel.uow import UnitOfWork
from app.modules.activities.models import Activity, ActivityStatus, Attendee, AttendeeResponse
from app.modules.activities.services.people import OBJECT

Occasion = Literal["invitation", "update", "cancellation"]
INVITED: Final = "activity.invited"
RSVP: Final = "activities.rsvp"

_SUBJECTS: Final = {
    "en": {
        "invitation": "Invitation: {what}",
        "update": "Changed: {what}",
        "cancellation": "Cancelled: {what}",
    },
    "zh": {"invitation": "邀请：{what}", "update": "变更：{what}", "cancellation": "取消：{what}"},
}
_OPENINGS: Final = {
    "en": {
        "invitation": "{who} invites you to:",
        "update": "{who} has changed:",
        "cancellation": "{who} has cancelled:",
    },
    "zh": {"invitation": "{who}邀请您参加：", "update": "{who}更改了：", "cancellation": "{who}取消了："},
}
_ANSWER: Final = {
    "en": "Please answer here; the link works once:\n\n{link}",
    "zh": "请通过以下链接答复(链接只能使用一次):\n\n{link}",
}


class Invitations:
    """Tells attendees of one activity what they must know, with the rows that changed."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow
        self._language = uow.actor.tenant.language

    async def attendees_of(self, activity_id: UUID) -> list[Attendee]:
        """Everybody who is invited, as they were added."""
        statement = self.uow.select(Attendee).where(Attendee.activity_id == activity_id)
        return await self.uow.all(statement.order_by(Attendee.id))

    def worth_telling(self, row: Activity) -> bool:
        """Nobody is mailed about what is over or has no time."""
        if row.starts_at is None or row.ends_at is None:
            return False
        if row.recurrence is not None:
            return row.recurs_until is None or row.recurs_until > self.uow.now
        return row.ends_at > self.uow.now

    async def invite(
        self, row: Activity, to: Sequence[Attendee], *, occasion: Occasion = "invitation"
    ) -> None:
        """Mail an invitation or a change, with a new link to answer by; members also find it among their news."""
        if not to or not self.worth_telling(row) or row.status == ActivityStatus.CANCELLED:
            return
        await self._send(row, to, occasion)

    async def cancel(self, row: Activity, to: Sequence[Attendee]) -> None:
        """Mail that there will be no meeting, or not for them."""
        if to and self.worth_telling(row):
            await self._send(row, to, "cancellation")

    async def _send(self, row: Activity, to: Sequence[Attendee], occasion: Occasion) -> None:
        organiser = await self._organiser(row)
        everybody = await self.attendees_of(row.id) if occasion != "cancellation" else list(to)
        part = await self._calendar(row, everybody, organiser, occasion)
        told = " ".join(row.subject.split())
        subject = _SUBJECTS[self._language][occasion].format(what=told)
        lines = [told, self._when(row), *([row.place] if row.place else [])]
        opening = _OPENINGS[self._language][occasion].format(who=organiser[0] if organiser else "")
        text = opening + "\n\n" + "\n".join(lines)
        members = [one.member_id for one in to if one.member_id is not None]
        outside = [one for one in to if one.member_id is None and one.email]
        links = {}
        if occasion != "cancellation":
            links = await self._links(outside)
        for one in outside:
            body = text
            if one.id in links:
                body += "\n\n" + _ANSWER[self._language].format(link=links[one.id])
            message = Message(
                to=_mailbox(one.name, one.email or ""),
                subject=subject,
                text=body + "\n",
                reply_to=_mailbox(*organiser) if organiser else None,
                calendar=part,
            )
            post(self.uow, message)
        notice = Notice(
            INVITED, subject, body="\n".join(lines[1:]), object=OBJECT, record_id=row.id, calendar=part
        )
        await Notifications(self.uow).tell([id for id in members if id != row.owner_id], notice)

    async def _organiser(self, row: Activity) -> tuple[str, str] | None:
        if row.owner_id is None:
            return None
        return (await self.uow.of(People).addresses([row.owner_id])).get(row.owner_id)

    async def _calendar(
        self,
        row: Activity,
        attendees: Sequence[Attendee],
        organiser: tuple[str, str] | None,
        occasion: Occasion,
    ) -> CalendarPart:
        from app.modules.activities.services import ics  # brings 4 MB of its library along

        method: Literal["REQUEST", "CANCEL"] = "CANCEL" if occasion == "cancellation" else "REQUEST"
        event = ics.event_of(
            row,
            public_url=self.uow.kernel.settings.public_url,
            attendees=attendees,
            organiser=organiser,
            kept_out=await self.kept_out(row),
            series_zone=row.time_zone,
        )
        if method == "CANCEL":
            event["status"] = "CANCELLED"
        return CalendarPart(method=method, content=ics.calendar_of([event], method=method).decode())

    async def kept_out(self, row: Activity) -> list[datetime]:
        """The starts of a series at which nothing happens; those that were changed are events of their own."""
        if not row.excluded:
            return []
        rows = await self.uow.fetch(
            "SELECT occurrence_at FROM activities.activities WHERE tenant_id = $1 AND series_id = $2"
            " AND occurrence_at IS NOT NULL AND deleted_at IS NULL",
            row.tenant_id,
            row.id,
        )
        changed = {found["occurrence_at"] for found in rows}
        return sorted({datetime.fromisoformat(text) for text in row.excluded} - changed)

    def _when(self, row: Activity) -> str:
        """`2026-03-02 09:00–10:00 (Asia/Shanghai)`, and the rule of what recurs."""
        name = row.time_zone or self.uow.actor.tenant.time_zone
        if row.starts_at is None or row.ends_at is None:
            return ""
        start, end = (moment.astimezone(ZoneInfo(name)) for moment in (row.starts_at, row.ends_at))
        until = f"{end:%H:%M}" if start.date() == end.date() else f"{end:%Y-%m-%d %H:%M}"
        rule = f"\n{row.recurrence}" if row.recurrence else ""
        return f"{start:%Y-%m-%d %H:%M}–{until} ({name}){rule}"

    async def _links(self, to: Sequence[Attendee]) -> dict[UUID, str]:
        """A new link for each who has not answered yet; their earlier ones stop working."""
        made = {
            one.id: new_link(self.uow.kernel, self.uow.tenant_id, RSVP)
            for one in to
            if one.response == AttendeeResponse.NEEDS_ACTION
        }
        if to:
            await self.uow.fetch(
                "UPDATE activities.attendees a SET token_hash = coalesce(m.hash, a.token_hash), invited_at = $4"
                " FROM unnest($2::uuid[], $3::bytea[]) AS m(id, hash) WHERE a.tenant_id = $1 AND a.id = m.id",
                self.uow.tenant_id,
                [one.id for one in to],
                [made[one.id].hash if one.id in made else None for one in to],
                self.uow.now,
            )
        return {
            id: self.uow.kernel.settings.address_of(f"/public/rsvp/{link.token}") for id, link in made.items()
        }


def _mailbox(name: str, email: str) -> str:
    """`"Ada, Lady" <ada@example.com>`: a name cannot add a header or another address."""
    plain = " ".join(name.replace("\\", " ").replace('"', " ").split())[:60].strip()
    return f'"{plain}" <{email}>' if plain else email
