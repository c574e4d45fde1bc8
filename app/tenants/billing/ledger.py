"""The double-entry ledger of bills: written once, and every transaction of it sums to zero."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any
from uuid import UUID

from app.kernel.ids import new_id
from app.kernel.uow import UnitOfWork
from app.tenants.billing.models import BillingEntry, BillingTransaction


class Account(StrEnum):
    """Debits are positive: what companies owe and what was paid; revenue, tax and balances are owed by us."""

    RECEIVABLE = "receivable"
    REVENUE = "revenue"
    TAX = "tax"
    CASH = "cash"
    CUSTOMER_BALANCE = "customer_balance"
    CREDIT = "credit"  # what credit notes take off revenue
    BAD_DEBT = "bad_debt"


class BillingLedger:
    """The ledger of the tenant at hand."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def post(
        self,
        kind: str,
        currency: str,
        entries: Mapping[Account, int],
        *,
        bill_id: UUID | None = None,
        reference: str | None = None,
        note: str | None = None,
    ) -> None:
        """Write one transaction; amounts of zero are left out, and nothing is written where all are.

        Raises: ValueError where the entries do not sum to zero.
        """
        amounts = {account: amount for account, amount in entries.items() if amount}
        if sum(amounts.values()):
            raise ValueError(f"{kind} does not sum to zero: {amounts}")
        if not amounts:
            return
        uow, id = self._uow, new_id()
        await uow.insert(
            BillingTransaction,
            id=id,
            kind=kind,
            bill_id=bill_id,
            reference=reference,
            note=note,
            at=uow.now,
        )
        await uow.insert_many(
            BillingEntry,
            [
                {"transaction_id": id, "account": account.value, "currency": currency, "amount": amount}
                for account, amount in amounts.items()
            ],
        )

    async def balance(self, currency: str) -> int:
        """What the company has to its credit, in minor units."""
        row = await self._uow.fetchrow(
            "SELECT coalesce(-sum(amount), 0)::bigint AS balance FROM tenants.billing_entries"
            " WHERE tenant_id = $1 AND currency = $2 AND account = 'customer_balance'",
            self._uow.tenant_id,
            currency,
        )
        return int(row["balance"]) if row else 0

    async def movements(self, currency: str, limit: int) -> list[dict[str, Any]]:
        """The latest changes of the balance, newest first, each with what it was then; one statement."""
        rows = await self._uow.fetch(
            "SELECT t.kind, t.bill_id, t.reference, t.note, -e.amount AS amount, t.at,"
            " (-sum(e.amount) OVER (ORDER BY e.id))::bigint AS balance"
            " FROM tenants.billing_entries e JOIN tenants.billing_transactions t"
            " ON t.tenant_id = e.tenant_id AND t.id = e.transaction_id"
            " WHERE e.tenant_id = $1 AND e.currency = $2 AND e.account = 'customer_balance'"
            " ORDER BY e.id DESC LIMIT $3",
            self._uow.tenant_id,
            currency,
            limit,
        )
        return [dict(row) for row in rows]
