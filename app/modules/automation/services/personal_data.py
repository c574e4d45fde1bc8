"""What approvals repeat of the records that they are about."""

from __future__ import annotations

from typing import Final

from app.kernel.personal_data import Holding, swept, swept_columns

_WHY: Final = "Who approved what is proof for the company; the person's name is replaced."
PERSONAL_DATA: Final = (
    Holding(
        "automation.approvals",
        "t.record_id IN {found}",
        erase={
            **swept_columns("label", "note", "decision_note"),
        },
        why=_WHY,
    ),
    Holding(
        "automation.approval_decisions",
        "t.approval_id IN {automation.approvals}",
        erase={"note": swept("note")},
        why=_WHY,
    ),
    Holding(
        "automation.approval_history",
        "t.approval_id IN {automation.approvals}",
        erase={"note": swept("note")},
        why=_WHY,
        guarded=True,
    ),
)
