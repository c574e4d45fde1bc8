"""What contracts hold about a person: who signed, who is a party, and what was agreed."""

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
    when_set,
)

_WHY: Final = "Commercial and tax law demand that contracts are kept for years."
PERSONAL_DATA: Final = (
    Holding(
        "contracts.contracts",
        "t.account_id IN {account}",
        erase={
            "title": swept("title"),
            "signed_by": when_set("signed_by"),
            "description": NOTHING,
            "termination_reason": when_set("termination_reason"),
            "void_reason": when_set("void_reason"),
            **RECORD_TEXTS,
        },
        why=_WHY,
        name="of_consumers",
    ),
    Holding(
        "contracts.contracts",
        "t.contact_id IN {contact} OR t.id IN (SELECT p.contract_id FROM contracts.parties p"
        " WHERE p.tenant_id = t.tenant_id AND (p.contact_id IN {contact} OR p.account_id IN {account}))",
        erase={
            **swept_columns("title", "signed_by", "description", "termination_reason", "void_reason"),
            **SWEPT_RECORD,
        },
        why=_WHY,
    ),
    Holding(
        "contracts.parties",
        "t.contact_id IN {contact} OR t.account_id IN {account}",
        erase={"name": PSEUDONYM, "title": NOTHING},
        why=_WHY,
    ),
    Holding(
        "contracts.clauses",
        "t.contract_id IN {contract}",
        erase={**swept_columns("title", "body", "merged")},
        why=_WHY,
    ),
    Holding(
        "contracts.amendments",
        "t.contract_id IN {contract}",
        erase={**swept_columns("title", "reason"), "changes": swept_json("changes")},
        why=_WHY,
    ),
    Holding(
        "contracts.revisions",
        "t.contract_id IN {contract}",
        erase={"content": swept_json("content")},
        why=_WHY,
    ),
    Holding(
        "contracts.lines",
        "t.contract_id IN {contract}",
        erase={"description": swept("description")},
        why=_WHY,
    ),
)
