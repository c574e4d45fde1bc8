"""What quotes hold about a person: offers to them, and who answered from where."""

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
    when_set,
)

_WHY: Final = "Commercial law demands that offers, and what became of them, are kept for years."
PERSONAL_DATA: Final = (
    Holding(
        "quotes.quotes",
        "t.account_id IN {account}",
        erase={
            "name": PSEUDONYM,
            **swept_columns("segment", "channel", "terms"),
            "decline_reason": when_set("decline_reason"),
            **RECORD_TEXTS,
        },
        why=_WHY,
        guarded=True,
        name="of_consumers",
    ),
    Holding(
        "quotes.quotes",
        "t.contact_id IN {contact} AND t.account_id NOT IN {account}",
        erase={
            **swept_columns("name", "segment", "channel", "terms", "decline_reason"),
            **SWEPT_RECORD,
        },
        why=_WHY,
        guarded=True,
    ),
    Holding(
        "quotes.quote_answers",
        "t.quote_id IN {quote} AND (t.name IS NULL OR t.name ~* {sought} OR t.quote_id IN (SELECT q.id"
        " FROM quotes.quotes q WHERE q.tenant_id = t.tenant_id AND q.account_id IN {account}))",
        erase={
            "name": when_set("name"),
            "job_title": NOTHING,
            "note": NOTHING,
            "signature": NOTHING,
            "payment_reference": NOTHING,
            "address": NOTHING,
        },
        why="That the offer was accepted is proof of the contract; by whom and from where is gone.",
    ),
    Holding(
        "quotes.quote_steps", "t.quote_id IN {quote}", erase={"note": swept("note")}, why=_WHY, guarded=True
    ),
    Holding(
        "quotes.quote_lines",
        "t.quote_id IN {quote}",
        erase={**swept_columns("description", "detail")},
        why=_WHY,
        guarded=True,
    ),
)
