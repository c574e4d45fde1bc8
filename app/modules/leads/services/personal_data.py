"""What leads hold about a person: who showed interest, where they came from, what they sent and did."""

from __future__ import annotations

from typing import Final

from app.kernel.personal_data import (
    MOMENT,
    NO_FIELDS,
    NOTHING,
    PSEUDONYM,
    RECORD_TEXTS,
    Holding,
    Person,
    swept,
    swept_json,
)

PEOPLE: Final = (
    Person(
        "lead",
        names=("name",),
        emails=("email",),
        phones=("phone",),
        same={"converted_contact_id": "contact", "converted_account_id": "account"},
    ),
)
_EMPTIED: Final = (
    "company", "title", "email", "phone", "website", "source", "channel", "campaign", "medium", "referrer",
    "landing_page", "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "last_source",
    "last_channel", "last_campaign", "last_medium", "disqualified_note", "industry", "country", "region", "city",
    "address", "description", "size", "product_name", "email_key", "phone_key", "name_key",
)  # fmt: skip
PERSONAL_DATA: Final = (
    Holding(
        "leads.leads",
        "t.id IN {lead}",
        erase={
            "name": PSEUDONYM,
            **dict.fromkeys(_EMPTIED, NOTHING),
            "disqualified_reason": swept("disqualified_reason"),
            "last_touch": NO_FIELDS,
            "conversion": f"CASE WHEN t.conversion IS NOT NULL THEN {NO_FIELDS} END",
            **RECORD_TEXTS,
            "deleted_at": f"coalesce(t.deleted_at, {MOMENT})",
        },
        why="What became of how many leads is counted by it; it is deleted and without a name.",
    ),
    Holding("leads.behaviours", "t.lead_id IN {lead}"),
    Holding(
        "leads.form_submissions",
        "t.lead_id IN {lead} OR t.answers::text ~* {addresses}",
    ),
    Holding(
        "leads.consents",
        "t.lead_id IN {lead}",
        erase={},
        why="Proof of what was agreed to, when and in which words; of whom is gone.",
    ),
    Holding(
        "leads.assignments",
        "t.lead_id IN {lead}",
        erase={
            "reason": swept("reason"),
            "passed": swept_json("passed"),
            "candidates": swept_json("candidates"),
        },
        why="Who got how many leads, and why, is proof of fair shares.",
        guarded=True,
    ),
    Holding(
        "leads.optimisation_items",
        "t.lead_id IN {lead}",
        erase={"facts": NO_FIELDS, "why": NO_FIELDS},
        why="A plan's sum is of all its leads.",
    ),
)
