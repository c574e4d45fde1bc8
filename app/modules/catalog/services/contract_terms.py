"""Contracts that prices name: they must be there, visible, the right account's, and not over."""

from __future__ import annotations

from uuid import UUID

from app.kernel.errors import Invalid
from app.kernel.uow import UnitOfWork
from app.modules.catalog.interface import ContractTerms, PricedContracts


async def require_contract(uow: UnitOfWork, id: UUID) -> None:
    """That prices may be agreed in this contract. Raises `Invalid` for one that is unknown, not visible or over."""
    if (await _terms(uow, id, hold=True)).over:
        raise Invalid.at("/contract_id", "contract_over", "The contract has ended.")


async def require_in_force(uow: UnitOfWork, id: UUID, account_id: UUID | None) -> None:
    """That this contract's prices hold for this account, where one is named.

    Raises `Invalid` for one that is unknown, not visible, another account's, or not in force.
    """
    terms = await _terms(uow, id)
    if account_id is not None and terms.account_id != account_id:
        raise Invalid.at("/contract_id", "other_account", "The contract is another account's.")
    if not terms.in_force:
        raise Invalid.at("/contract_id", "contract_not_active", "The contract is not in force.")


async def _terms(uow: UnitOfWork, id: UUID, *, hold: bool = False) -> ContractTerms:
    for port in uow.ports(PricedContracts):
        found = (await port.terms([id], hold=hold)).get(id)
        if found is not None:
            return found
    raise Invalid.at("/contract_id", "unknown_reference", "There is no contract with this id.")
