"""What service holds about a person: their cases and mails, calls, visits, what they own, what they think of it."""

from __future__ import annotations

from typing import Final

from app.kernel.personal_data import (
    NO_ROWS,
    NOTHING,
    PSEUDONYM,
    RECORD_TEXTS,
    SWEPT_RECORD,
    Holding,
    swept,
    swept_columns,
    when_set,
)

_COUNTED: Final = "How much there was to do, and how long it took, is counted by it; what was said is gone."
_ASSET: Final = "What was made and sold, and its warranty, is of the thing."
_THEIRS: Final = "t.account_id IN {account} OR t.contact_id IN {contact}"
PERSONAL_DATA: Final = (
    Holding(
        "after_sales.assets",
        _THEIRS,
        erase={
            **swept_columns("name", "serial_number"),
            "location": NOTHING,
            "warranty_terms": swept("warranty_terms"),
            **SWEPT_RECORD,
        },
        why=_ASSET,
    ),
    Holding(
        "after_sales.maintenance_plans",
        "t.asset_id IN {asset}",
        erase={
            **swept_columns("name", "instructions"),
            **SWEPT_RECORD,
        },
        why=_ASSET,
    ),
    Holding(
        "after_sales.service_contracts",
        "t.account_id IN {account}",
        erase={"name": swept("name"), **RECORD_TEXTS},
        why="Commercial law demands that contracts are kept for years.",
    ),
    Holding(
        "after_sales.cases",
        f"{_THEIRS} OR lower(t.email) = ANY({{emails}})",
        erase={
            "subject": PSEUDONYM,
            "description": NOTHING,
            "type": swept("type"),
            "resolution": when_set("resolution"),
            "email": NOTHING,
            "dedupe": NOTHING,
            **RECORD_TEXTS,
        },
        why=_COUNTED,
    ),
    Holding(
        "after_sales.case_comments",
        "t.case_id IN {case} OR t.contact_id IN {contact} OR lower(t.email) = ANY({emails})",
        erase={"body": PSEUDONYM, "email": NOTHING},
        why=_COUNTED,
    ),
    Holding(
        "after_sales.case_mails",
        "t.case_id IN {case} OR lower(t.address) = ANY({emails})",
        erase={"address": PSEUDONYM, "message_id": NOTHING},
        why="A mail that comes again is known again by its hash.",
    ),
    Holding(
        "after_sales.case_form_submissions",
        "t.case_id IN {case} OR t.answers::text ~* {addresses}",
    ),
    Holding("after_sales.case_attachments", "t.case_id IN {case}", file="file_id"),
    Holding(
        "after_sales.calls",
        "t.e164 = ANY({phones}) OR t.number = ANY({phones}) OR t.activity_id IN {activity}",
        erase={"number": NOTHING, "e164": NOTHING, "about": NO_ROWS},
        why=_COUNTED,
    ),
    Holding(
        "after_sales.survey_invitations",
        "t.case_id IN {case} OR t.contact_id IN {contact}",
        erase={"comment": NOTHING},
        why="How satisfied customers are is an average of all of them.",
    ),
    Holding(
        "after_sales.work_orders",
        f"{_THEIRS} OR t.case_id IN {{case}}",
        erase={
            "subject": PSEUDONYM,
            "description": NOTHING,
            "report": NOTHING,
            "signed_by": when_set("signed_by"),
            "cancel_reason": when_set("cancel_reason"),
            "signature_file_id": NOTHING,
            **RECORD_TEXTS,
        },
        why="What was done on the thing, and by whom, is proof of its warranty.",
        file="signature_file_id",
    ),
    Holding(
        "after_sales.work_order_times",
        "t.work_order_id IN {work_order}",
        erase={"note": swept("note")},
        why=_COUNTED,
    ),
    Holding(
        "after_sales.work_order_parts",
        "t.work_order_id IN {work_order}",
        erase={"description": swept("description")},
        why=_COUNTED,
    ),
    Holding(
        "after_sales.entitlement_draws",
        "t.work_order_id IN {work_order}",
        erase={"note": swept("note")},
        why=_COUNTED,
        guarded=True,
    ),
)
