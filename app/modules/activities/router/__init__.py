"""HTTP of activities: the records, what is planned, calendars, timelines, what waits, and pages for outsiders."""

from __future__ import annotations

from app.modules.activities.router import calendar, planning, public, records, timeline, to_dos

ROUTERS = (
    records.generated,
    records.router,
    planning.router,
    calendar.router,
    timeline.router,
    to_dos.router,
    public.router,
)
