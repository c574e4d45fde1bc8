"""Parties of contracts, who move along when accounts or contacts become one; somebody may be a party twice."""

from __future__ import annotations

from app.kernel.merging.references import LinkColumn
from app.kernel.uow import UnitOfWork


def party_accounts(uow: UnitOfWork) -> LinkColumn:
    """Accounts that are parties."""
    return LinkColumn(uow, "contracts.parties", "account_id", kind="contract_parties", objects=["account"])


def party_contacts(uow: UnitOfWork) -> LinkColumn:
    """Contacts that are parties."""
    return LinkColumn(uow, "contracts.parties", "contact_id", kind="contract_parties", objects=["contact"])
