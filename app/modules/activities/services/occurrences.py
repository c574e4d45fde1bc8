"""Single occurrences of a series: listed, changed and cancelled, alone, with those that follow, or all together.

A changed occurrence becomes an activity of its own that names its series; the series leaves its start out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from app.kernel.errors import Conflict, Invalid, NotFound
from app.kernel.uow import UnitOfWork
from app.modules.activities.models import Activity, ActivityStatus
from app.modules.activities.schemas import Occurrence, OccurrenceScope
from app.modules.activities.services.activities import ActivityService
from app.modules.activities.services.planning import anchor, length_of, series_of
from app.modules.activities.services.recurrence import Series, to_local, to_utc

MAX_OCCURRENCES = 1_000


class NotRecurring(Conflict):
    """An activity without a recurrence has no occurrences."""

    code = "not_recurring"
    title = "This does not recur"


class Occurrences:
    """The occurrences of the tenant's series."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow
        self.service = ActivityService(uow)

    async def list(self, id: UUID, start: datetime, end: datetime) -> list[Occurrence]:
        """Those of a visible series that start in [start, end), changed ones too, at most 1,000."""
        row = await self.service.get(id)
        series = _series(row)
        length = length_of(row.__dict__)
        found = [
            Occurrence(
                activity_id=row.id,
                occurrence_at=moment,
                starts_at=moment,
                ends_at=moment + length,
                status=ActivityStatus(row.status),
                changed=False,
            )
            for moment in series.between(start, end, limit=MAX_OCCURRENCES)
        ]
        changed = await self.uow.all(
            self.uow.select(Activity).where(
                Activity.series_id == row.id,
                Activity.occurrence_at.is_not(None),
                Activity.starts_at >= start,
                Activity.starts_at < end,
            )
        )
        found += [
            Occurrence.model_validate(
                {n: getattr(one, n) for n in ("occurrence_at", "starts_at", "ends_at", "status")}
                | {"activity_id": one.id, "changed": True}
            )
            for one in changed
        ]
        return sorted(found, key=lambda one: (one.starts_at, one.occurrence_at))[:MAX_OCCURRENCES]

    async def change(
        self,
        id: UUID,
        start: datetime,
        scope: OccurrenceScope,
        given: Mapping[str, Any],
        *,
        expected_version: int,
    ) -> Activity:
        """Change an occurrence, it and those that follow, or all; the activity that stands for it then.

        Raises: `NotRecurring`; `NotFound` where no occurrence starts; what a change of an activity raises.
        """
        row = await self.service.locked(id, expected_version)
        series = _series(row)
        if scope is OccurrenceScope.THIS:
            if given.get("recurrence") is not None:
                raise Invalid.at(
                    "/changes/recurrence", "is_an_occurrence", "One occurrence does not recur by itself."
                )
            return await self.service.change(await self._apart(row, series, start), given)
        _require(series, start)
        if scope is OccurrenceScope.ALL or start == series.start:
            return await self.service.change(row, _shifted(row, series, start, given))
        return await self.service.change(await self._split(row, series, start), given)

    async def cancel(
        self, id: UUID, start: datetime, scope: OccurrenceScope, *, expected_version: int
    ) -> Activity:
        """Cancel an occurrence, it and those that follow, or all; the series as it is then.

        Raises: `NotRecurring`; `NotFound` where no occurrence starts.
        """
        row = await self.service.locked(id, expected_version)
        series = _series(row)
        if scope is OccurrenceScope.THIS:
            return await self._leave_out(row, series, start)
        _require(series, start)
        await self._cancel_changed(row, start if scope is OccurrenceScope.THIS_AND_FOLLOWING else None)
        if scope is OccurrenceScope.ALL or start == series.start:
            return await self.service.change(row, {"status": ActivityStatus.CANCELLED}, action="cancelled")
        return await self._end_before(row, series, start)

    # -- this one ------------------------------------------------------------------------------------------

    async def _apart(self, row: Activity, series: Series, start: datetime) -> Activity:
        """The activity that stands for one occurrence; made when it is changed first."""
        known = await self._changed(row, start)
        if known is not None:
            return known
        _require(series, start)
        if start in series.excluded:
            raise NotFound("This occurrence was cancelled.")
        await self._exclude(row, start)
        made = await self.service.copy(
            row,
            **_at(row, start),
            recurrence=None,
            recurs_until=None,
            excluded=[],
            series_id=row.id,
            occurrence_at=start,
            sequence=row.sequence,
        )
        if row.attendee_count:
            await self.service.attendees.copy(row.id, made)
        return await self.uow.get(Activity, made.id, lock="update")

    async def _changed(self, row: Activity, start: datetime) -> Activity | None:
        found = await self.uow.first(
            self.uow.select(Activity).where(Activity.series_id == row.id, Activity.occurrence_at == start)
        )
        return None if found is None else await self.uow.get(Activity, found.id, lock="update")

    async def _exclude(self, row: Activity, start: datetime) -> Activity:
        changes: dict[str, Any] = {"excluded": sorted([*row.excluded, _text(start)])}
        await self.service.before_update(row, changes)
        return await self.service.write(row, changes, action="occurrence_changed")

    async def _leave_out(self, row: Activity, series: Series, start: datetime) -> Activity:
        known = await self._changed(row, start)
        if known is not None:
            if known.status != ActivityStatus.CANCELLED:
                await self.service.change(known, {"status": ActivityStatus.CANCELLED}, action="cancelled")
            return row
        _require(series, start)
        if start in series.excluded:
            raise NotFound("This occurrence was cancelled.")
        if row.attendee_count:
            # An activity of its own says to attendees, and in feeds, that this one does not take place.
            one = await self._apart(row, series, start)
            await self.service.change(one, {"status": ActivityStatus.CANCELLED}, action="cancelled")
            return await self.uow.get(Activity, row.id)
        return await self._exclude(row, start)

    # -- this and those that follow ------------------------------------------------------------------------

    async def _split(self, row: Activity, series: Series, start: datetime) -> Activity:
        """The rest of a series as one of its own, from an occurrence on; what was changed of it moves along."""
        rule = series.rule
        if rule.count is not None:
            rule = replace(rule, count=rule.count - series.number_before(start))
        later = [text for text in row.excluded if datetime.fromisoformat(text) >= start]
        await self._end_before(row, series, start)
        made = await self.service.copy(
            row,
            **_at(row, start),
            recurrence=rule.text(series.zone),
            excluded=later,
            series_id=None,
        )
        await self.uow.fetch(
            "UPDATE activities.activities SET series_id = $4, version = version + 1, updated_at = $5"
            " WHERE tenant_id = $1 AND series_id = $2 AND occurrence_at >= $3 AND deleted_at IS NULL",
            self.uow.tenant_id,
            row.id,
            start,
            made.id,
            self.uow.now,
        )
        if row.attendee_count:
            await self.service.attendees.copy(row.id, made)
        return await self.uow.get(Activity, made.id, lock="update")

    async def _end_before(self, row: Activity, series: Series, start: datetime) -> Activity:
        """A series that ends before an occurrence. Its times stay, so nobody has to answer again."""
        last = series.between(series.start, start)[-1:]
        changes: dict[str, Any] = {
            "recurrence": series.ended_before(start).text(series.zone),
            "recurs_until": (last[0] if last else series.start) + length_of(row.__dict__),
            "excluded": [text for text in row.excluded if datetime.fromisoformat(text) < start],
            "sequence": row.sequence + 1,
        }
        self.service.keep_changed_occurrences(row.id)
        return await self.service.write(row, changes, action="series_ended")

    async def _cancel_changed(self, row: Activity, start: datetime | None) -> None:
        statement = self.uow.select(Activity).where(
            Activity.series_id == row.id,
            Activity.occurrence_at.is_not(None),
            Activity.status == ActivityStatus.OPEN.value,
        )
        if start is not None:
            statement = statement.where(Activity.occurrence_at >= start)
        for found in await self.uow.all(statement.order_by(Activity.id)):
            one = await self.uow.get(Activity, found.id, lock="update")
            await self.service.change(one, {"status": ActivityStatus.CANCELLED}, action="cancelled")


def _series(row: Activity) -> Series:
    if row.recurrence is None or row.starts_at is None:
        raise NotRecurring("Only calls, meetings and visits with a recurrence have occurrences.")
    return series_of(row.__dict__)


def _require(series: Series, start: datetime) -> None:
    if not series.holds(start):
        raise NotFound("No occurrence starts then.")


def _at(row: Activity, start: datetime) -> dict[str, Any]:
    """The times of the occurrence that starts then."""
    first = anchor(row.__dict__)
    due = start if row.due_at == first else row.due_at
    return {"starts_at": start, "ends_at": start + length_of(row.__dict__), "due_at": due}


def _shifted(row: Activity, series: Series, start: datetime, given: Mapping[str, Any]) -> dict[str, Any]:
    """Changes of a series in which a new start of one occurrence moves all of them by the wall clock."""
    changes = dict(given)
    wanted = changes.get("starts_at")
    if wanted is None or start == series.start:
        return changes
    moved = to_local(wanted, series.zone) - to_local(start, series.zone)
    changes["starts_at"] = to_utc(to_local(series.start, series.zone) + moved, series.zone)
    if changes.get("ends_at") is not None:
        changes["ends_at"] = changes["starts_at"] + (changes["ends_at"] - wanted)
    elif row.ends_at is not None and row.starts_at is not None:
        changes["ends_at"] = changes["starts_at"] + (row.ends_at - row.starts_at)
    return changes


def _text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
