"""What the tests of planned activities share."""

from __future__ import annotations

import re
from typing import Any

import orjson
from icalendar import Calendar

from tests.modules.support import make
from tests.support.api import Client
from tests.tenants.people import Look

START, END = "2031-03-03T09:00:00Z", "2031-03-03T10:00:00Z"  # a Monday


async def meeting(client: Client, **fields: Any) -> dict[str, Any]:
    """A meeting on a Monday in 2031 from nine to ten, or one hour from another start."""
    times = {} if "starts_at" in fields else {"starts_at": START, "ends_at": END}
    return await make(client, "activities", **{"kind": "meeting", "subject": "Demo"} | times | fields)


def ics_of(mail: dict[str, Any]) -> Calendar:
    """The iCalendar part of a queued mail."""
    found = Calendar.from_ical(mail["calendar"]["content"])
    assert isinstance(found, Calendar)
    return found


def event_of(calendar: Calendar) -> Any:
    """Its only event."""
    events = calendar.walk("VEVENT")
    assert len(events) == 1
    return events[0]


async def link(look: Look, email: str) -> str:
    """The path of the answering page in the last mail to an address."""
    text = (await meeting_mails(look, email))[-1]["text"]
    found = re.search(r"http://[^/]+(/public/rsvp/\S+)", text)
    assert found is not None, text
    return found[1]


async def meeting_mails(look: Look, email: str) -> list[dict[str, Any]]:
    """Mails with a calendar part that were queued for an address, oldest first."""
    rows = await look.rows(
        "SELECT payload FROM kernel.jobs WHERE name = 'mail.send' AND payload->>'to' LIKE '%' || $1 || '%'"
        " AND payload ? 'calendar' ORDER BY created_at, id",
        email,
    )
    return [orjson.loads(row["payload"]) for row in rows]
