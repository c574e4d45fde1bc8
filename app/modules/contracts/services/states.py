"""The states of contracts and amendments, and which steps lead from one to another."""

from __future__ import annotations

from typing import Final

from app.kernel.states import StateMachine
from app.modules.contracts.models import ContractStatus
from app.modules.contracts.models.texts import AmendmentStatus

DRAFT, IN_APPROVAL, APPROVED = ContractStatus.DRAFT, ContractStatus.IN_APPROVAL, ContractStatus.APPROVED
ACTIVE, EXPIRED, TERMINATED = ContractStatus.ACTIVE, ContractStatus.EXPIRED, ContractStatus.TERMINATED
RENEWED, VOIDED = ContractStatus.RENEWED, ContractStatus.VOIDED

MACHINE: Final[StateMachine[ContractStatus]] = StateMachine(
    "The contract",
    DRAFT,
    {
        (DRAFT, "submit"): IN_APPROVAL,
        (DRAFT, "approve"): APPROVED,
        (IN_APPROVAL, "approve"): APPROVED,
        (IN_APPROVAL, "return"): DRAFT,
        (APPROVED, "activate"): ACTIVE,
        (APPROVED, "void"): VOIDED,
        (ACTIVE, "void"): VOIDED,
        (ACTIVE, "terminate"): TERMINATED,
        (ACTIVE, "expire"): EXPIRED,
        (ACTIVE, "renew"): RENEWED,
        (EXPIRED, "renew"): RENEWED,
        (VOIDED, "reopen"): DRAFT,
    },
)

AMENDMENTS: Final[StateMachine[AmendmentStatus]] = StateMachine(
    "The amendment",
    AmendmentStatus.DRAFT,
    {
        (AmendmentStatus.DRAFT, "submit"): AmendmentStatus.IN_APPROVAL,
        (AmendmentStatus.DRAFT, "approve"): AmendmentStatus.APPROVED,
        (AmendmentStatus.DRAFT, "withdraw"): AmendmentStatus.WITHDRAWN,
        (AmendmentStatus.IN_APPROVAL, "approve"): AmendmentStatus.APPROVED,
        (AmendmentStatus.IN_APPROVAL, "return"): AmendmentStatus.DRAFT,
        (AmendmentStatus.APPROVED, "apply"): AmendmentStatus.IN_FORCE,
        (AmendmentStatus.APPROVED, "withdraw"): AmendmentStatus.WITHDRAWN,
    },
)

IN_FORCE: Final = frozenset({ACTIVE})
BILLABLE: Final = frozenset({ACTIVE, EXPIRED, TERMINATED, RENEWED})
"""What is in force or was: its instalments may still be invoiced."""
