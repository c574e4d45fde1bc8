"""Who is where: occurrences of several members in one order, busy times merged, and the free time they share."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import islice
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from app.kernel.access import visible_rows
from app.kernel.errors import Invalid, InvalidFilter
from app.kernel.listing import Bindings
from app.kernel.people import People
from app.kernel.uow import UnitOfWork
from app.modules.activities.schemas import BusyMember, CalendarEntry, Interval
from app.modules.activities.services.planning import series_of
from app.tenants.interface import Teams, Tenants

MAX_MEMBERS: Final = 50
MAX_DAYS: Final = 93
MAX_ENTRIES: Final = 5_000
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Window:
    """What is asked for: whose time, from when to when."""

    members: tuple[UUID, ...]
    start: datetime
    end: datetime


class Calendars:
    """The calendars of the tenant's members; three statements however many they are."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow

    async def window(
        self, members: Collection[UUID], team: UUID | None, start: datetime, end: datetime
    ) -> Window:
        """Check what is asked for; without members or a team one's own time. Raises `Invalid`, `InvalidFilter`."""
        if not start < end <= start + timedelta(days=MAX_DAYS):
            raise InvalidFilter(f"`to` lies after `from`, by at most {MAX_DAYS} days.", parameter="to")
        wanted = list(dict.fromkeys(members))
        if team is not None:
            if not await self.uow.of(Teams).get_many([team]):
                raise Invalid.at("/team", "unknown_team", "There is no such team.")
            wanted += [one.id for one in await self.uow.of(Teams).members_of(team) if one.id not in wanted]
        elif not wanted and self.uow.actor.member_id is not None:
            wanted = [self.uow.actor.member_id]
        if len(wanted) > MAX_MEMBERS:
            raise InvalidFilter(f"At most {MAX_MEMBERS} members at once.", parameter="members")
        await self.uow.of(People).require_members(members, pointer="/members")
        return Window(tuple(wanted), start, end)

    async def entries(self, window: Window) -> list[CalendarEntry]:
        """What is in the calendars, by start, member and id; what the actor may not read is only busy."""
        found = [entry for row in await self._rows(window) for entry in _entries(row, window)]
        if len(found) > MAX_ENTRIES:
            raise InvalidFilter(
                f"That is more than {MAX_ENTRIES} entries; ask for less time.", parameter="to"
            )
        return sorted(
            found, key=lambda one: (one.starts_at, one.ends_at, one.member_id, str(one.activity_id))
        )

    async def busy(self, window: Window) -> list[BusyMember]:
        """When each member is taken, in the order asked for."""
        taken = await self._taken(window)
        return [
            BusyMember(member_id=id, busy=[Interval(starts_at=a, ends_at=b) for a, b in taken[id]])
            for id in window.members
        ]

    async def free(
        self, window: Window, *, length: timedelta, in_business_hours: bool, limit: int
    ) -> list[Interval]:
        """Times of at least `length` at which all members are free, the earliest first."""
        taken = await self._taken(window)
        everybody = merged(span for spans in taken.values() for span in spans)
        opened = [(window.start, window.end)]
        if in_business_hours:
            opened = await self._business_hours(window)
        slots = (span for span in without(opened, everybody) if span[1] - span[0] >= length)
        return [Interval(starts_at=start, ends_at=end) for start, end in islice(slots, limit)]

    async def _taken(self, window: Window) -> dict[UUID, list[Span]]:
        spans: dict[UUID, list[Span]] = {id: [] for id in window.members}
        for row in await self._rows(window):
            for start, end in _spans(row, window):
                spans[row["member_id"]].append((max(start, window.start), min(end, window.end)))
        return {id: merged(found) for id, found in spans.items()}

    async def _rows(self, window: Window) -> list[Any]:
        actor = self.uow.actor
        bind = Bindings(self.uow.tenant_id, list(window.members), window.start, window.end)
        me = bind(actor.member_id)
        visible = visible_rows(actor, "activity", "read", bind, alias="a") or "true"
        return await self.uow.fetch(_ENTRIES.format(me=me, visible=visible), *bind.values)

    async def _business_hours(self, window: Window) -> list[Span]:
        """The company's opening times within the window."""
        settings = await self.uow.of(Tenants).settings()
        zone = ZoneInfo(settings.time_zone)
        days = settings.business_calendar.get("days", {})
        holidays = {holiday["date"] for holiday in settings.business_calendar.get("holidays", ())}
        found: list[Span] = []
        day = window.start.astimezone(zone).date()
        while day <= window.end.astimezone(zone).date():
            if day.isoformat() not in holidays:
                for opens, closes in days.get(_DAYS[day.weekday()], ()):
                    span = _clipped((_at(day, opens, zone), _at(day, closes, zone)), window)
                    found += [span] if span[0] < span[1] else []
            day += timedelta(days=1)
        return merged(found)


def merged(spans: Iterable[Span]) -> list[Span]:
    """The same time as disjoint spans in order; those that overlap or touch are one, and empty ones are none."""
    found: list[Span] = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def without(spans: Sequence[Span], taken: Sequence[Span]) -> list[Span]:
    """What is left of disjoint ordered spans when other disjoint ordered spans are taken out."""
    left: list[Span] = []
    for start, end in spans:
        for taken_from, taken_to in taken:
            if taken_to <= start or taken_from >= end:
                continue
            if taken_from > start:
                left.append((start, taken_from))
            start = max(start, taken_to)
        if start < end:
            left.append((start, end))
    return left


def _at(day: date, clock: str, zone: ZoneInfo) -> datetime:
    if clock == "24:00":
        return datetime.combine(day + timedelta(days=1), time(), zone)
    return datetime.combine(day, time.fromisoformat(clock), zone)


def _clipped(span: Span, window: Window) -> Span:
    return max(span[0], window.start), min(span[1], window.end)


def _spans(row: Any, window: Window) -> list[Span]:
    """The occurrences of a row that lie in the window, in part at least."""
    length = row["ends_at"] - row["starts_at"]
    if row["recurrence"] is None:
        return [(row["starts_at"], row["ends_at"])]
    starts = series_of(row).between(window.start - length, window.end, limit=MAX_ENTRIES)
    return [(start, start + length) for start in starts if start + length > window.start]


def _entries(row: Any, window: Window) -> Iterable[CalendarEntry]:
    shown = row["shown"]
    for start, end in _spans(row, window):
        yield CalendarEntry(
            member_id=row["member_id"],
            starts_at=start,
            ends_at=end,
            activity_id=row["id"] if shown else None,
            occurrence_at=(start if row["recurrence"] else row["occurrence_at"]) if shown else None,
            kind=row["kind"] if shown else None,
            subject=row["subject"] if shown else None,
            status=row["status"] if shown else None,
            place=row["place"] if shown else None,
            response=row["response"] if shown else None,
        )


# $1 tenant, $2 members, $3 from, $4 to. An activity is in the calendars of its owner and of who did not decline.
_ENTRIES = """
WITH mine AS (
  SELECT a.owner_id AS member_id, a.id, NULL::text AS response FROM activities.activities a
  WHERE a.tenant_id = $1 AND a.owner_id = ANY($2::uuid[]) AND a.deleted_at IS NULL AND a.starts_at IS NOT NULL
    AND a.recurrence IS NULL AND a.ends_at >= $3 AND a.starts_at < $4
  UNION ALL
  SELECT a.owner_id, a.id, NULL FROM activities.activities a
  WHERE a.tenant_id = $1 AND a.owner_id = ANY($2::uuid[]) AND a.deleted_at IS NULL AND a.starts_at IS NOT NULL
    AND a.recurrence IS NOT NULL AND a.starts_at < $4 AND (a.recurs_until IS NULL OR a.recurs_until >= $3)
  UNION ALL
  SELECT t.member_id, t.activity_id, t.response FROM activities.attendees t
  JOIN activities.activities a ON a.tenant_id = t.tenant_id AND a.id = t.activity_id
  WHERE t.tenant_id = $1 AND t.member_id = ANY($2::uuid[]) AND t.response <> 'declined'
    AND t.member_id IS DISTINCT FROM a.owner_id AND a.deleted_at IS NULL AND a.starts_at < $4
    AND CASE WHEN a.recurrence IS NULL THEN a.ends_at >= $3
             ELSE a.recurs_until IS NULL OR a.recurs_until >= $3 END
)
SELECT mine.member_id, mine.response, a.id, a.kind, a.subject, a.status, a.place, a.starts_at, a.ends_at, a.due_at,
  a.time_zone, a.recurrence, a.excluded, a.occurrence_at,
  {visible} AND (NOT a.private OR a.owner_id IS NOT DISTINCT FROM {me}::uuid OR EXISTS (
    SELECT 1 FROM activities.attendees x WHERE x.tenant_id = a.tenant_id AND x.activity_id = a.id
      AND x.member_id = {me}::uuid)) AS shown
FROM mine JOIN activities.activities a ON a.tenant_id = $1 AND a.id = mine.id
WHERE a.status <> 'cancelled' AND (a.recurrence IS NOT NULL OR a.ends_at > $3 OR a.starts_at = a.ends_at)"""
