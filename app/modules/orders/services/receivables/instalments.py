"""Invoices for the payments of a contract's plan."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from app.kernel.errors import Invalid
from app.kernel.money import Money
from app.kernel.totals import LineInput, total
from app.kernel.uow import UnitOfWork
from app.modules.contracts.interface import Contracts, InstalmentExceeded, InstalmentStatus
from app.modules.orders.models.receivables import Invoice
from app.modules.orders.schemas.receivables import InstalmentInvoice
from app.modules.orders.services.receivables.errors import NothingToInvoice
from app.modules.orders.services.receivables.invoices import InvoiceService
from app.modules.orders.services.receivables.lines import DraftLine


class InstalmentInvoices:
    """Drafts what a plan lets be invoiced; issuing tells the contract."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def draft(self, given: InstalmentInvoice) -> Invoice:
        """One line over the instalment, or a part of it, tax included.

        Raises: Invalid; NothingToInvoice for one that is invoiced already or void; InstalmentExceeded.
        """
        found = await self._uow.of(Contracts).instalments([given.instalment_id], hold=True)
        if given.instalment_id not in found:
            raise Invalid.at("/instalment_id", "unknown_reference", "There is no instalment with this id.")
        one = found[given.instalment_id]
        left = one.amount - one.invoiced
        if one.status is InstalmentStatus.VOID or left.amount_minor <= 0:
            raise NothingToInvoice("Nothing of this instalment is left to invoice.", state=one.status)
        amount = given.amount or left
        if amount.currency != left.currency:
            raise Invalid.at("/amount/currency", "other_currency", f"The contract is in {left.currency}.")
        if amount > left:
            raise InstalmentExceeded(f"{left} of it is left to invoice.", left=left.to_wire())
        return await self._draft(
            one.label,
            amount,
            Decimal(given.tax_rate),
            {
                "account_id": one.account_id,
                "contract_id": one.contract_id,
                "instalment_id": one.id,
                "due_on": self._due(one.due_on),
            },
        )

    def _due(self, due_on: Any) -> Any:
        """What fell due before it was invoiced is due by the account's terms."""
        today = self._uow.actor.tenant.day_of(self._uow.now)
        return due_on if due_on is not None and due_on >= today else None

    async def _draft(self, label: str, amount: Money, tax_rate: Decimal, head: dict[str, Any]) -> Invoice:
        line = LineInput(quantity=Decimal(1), unit_price=amount.to_decimal(), tax_rate=tax_rate)
        sums = total([line], currency=amount.currency, tax_included=True)
        drafted = DraftLine(
            description=label,
            quantity=line.quantity,
            unit_price=line.unit_price,
            tax_rate=tax_rate,
            amounts=sums.lines[0],
        )
        return await InvoiceService(self._uow).draft(
            head | {"tax_included": True}, [drafted], sums, explicit=()
        )
