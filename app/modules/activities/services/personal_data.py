"""What activities hold about a person: what was said and done with them, and who was invited."""

from __future__ import annotations

from typing import Final

from app.kernel.personal_data import (
    NOTHING,
    PSEUDONYM,
    RECORD_TEXTS,
    SWEPT_RECORD,
    Holding,
    swept,
    swept_columns,
    swept_json,
)

PERSONAL_DATA: Final = (
    Holding(
        "activities.activities",
        "t.id IN (SELECT l.activity_id FROM activities.links l WHERE l.tenant_id = t.tenant_id"
        " AND l.record_id IN {people})",
        erase={
            "subject": PSEUDONYM,
            "body": NOTHING,
            "outcome": swept("outcome"),
            "completion_note": NOTHING,
            "place": NOTHING,
            "latitude": NOTHING,
            "longitude": NOTHING,
            "about": swept_json("about"),
            **RECORD_TEXTS,
        },
        why="That somebody was at work, and when, counts; what was said is gone.",
    ),
    Holding(
        "activities.activities",
        "t.id IN (SELECT a.activity_id FROM activities.attendees a WHERE a.tenant_id = t.tenant_id"
        " AND (a.record_id IN {people} OR lower(a.email) = ANY({emails})))",
        erase={
            **swept_columns("subject", "body", "outcome", "completion_note", "place"),
            **SWEPT_RECORD,
        },
        why="Others met there too.",
        name="attended",
    ),
    Holding(
        "activities.attachments",
        "t.activity_id IN (SELECT l.activity_id FROM activities.links l WHERE l.tenant_id = t.tenant_id"
        " AND l.record_id IN {people})",
        file="file_id",
    ),
    Holding("activities.attendees", "t.record_id IN {people} OR lower(t.email) = ANY({emails})"),
)
