"""What opportunities hold about a person: deals with consumers, and who takes part in deals with companies."""

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
)

_WHY: Final = "What was won and lost is counted by it."
PERSONAL_DATA: Final = (
    Holding(
        "opportunities.opportunities",
        "t.account_id IN {account}",
        erase={
            "name": PSEUDONYM,
            "description": NOTHING,
            "next_step": NOTHING,
            **swept_columns("product_name", "win_reason", "loss_reason", "source"),
            "outcome_note": NOTHING,
            **RECORD_TEXTS,
        },
        why=_WHY,
        name="of_consumers",
    ),
    Holding(
        "opportunities.opportunities",
        "t.contact_id IN {contact} OR t.lead_id IN {lead} OR t.id IN (SELECT c.opportunity_id"
        " FROM opportunities.committee c WHERE c.tenant_id = t.tenant_id AND c.contact_id IN {contact})",
        erase={
            **swept_columns(
                "name",
                "description",
                "next_step",
                "product_name",
                "win_reason",
                "loss_reason",
                "source",
                "outcome_note",
            ),
            **SWEPT_RECORD,
        },
        why=_WHY,
    ),
    Holding("opportunities.committee", "t.contact_id IN {contact}"),
    Holding(
        "opportunities.presales_requests",
        "t.opportunity_id IN {opportunity}",
        erase={
            **swept_columns("name", "description", "decline_reason", "result"),
            **SWEPT_RECORD,
        },
        why="Who worked how long on what is counted by it.",
    ),
    Holding(
        "opportunities.costs", "t.opportunity_id IN {opportunity}", erase={"note": swept("note")}, why=_WHY
    ),
    Holding(
        "opportunities.lines",
        "t.opportunity_id IN {opportunity}",
        erase={**swept_columns("description", "product_name")},
        why=_WHY,
    ),
)
