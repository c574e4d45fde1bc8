"""`StoredValuePayments`: payments by money that another module keeps for the customer.

The order is held first, then payments, then invoices and credit notes, each in the order of their ids, as by
everybody who acts on them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.kernel.money import Money
from app.kernel.statements import entities
from app.kernel.uow import UnitOfWork
from app.modules.orders.interface import Payable
from app.modules.orders.models.orders import Order
from app.modules.orders.models.receivables import Invoice, InvoiceKind, InvoiceStatus, Payment, PaymentMethod
from app.modules.orders.schemas.receivables import RefundCreate
from app.modules.orders.services.orders import OrderService
from app.modules.orders.services.receivables.billing import BILLABLE
from app.modules.orders.services.receivables.counters import BACK, TO_INVOICE
from app.modules.orders.services.receivables.invoices import ISSUED, InvoiceService
from app.modules.orders.services.receivables.ledger import Ledger, Settling, Source
from app.modules.orders.services.receivables.payments import PaymentService
from app.modules.orders.services.receivables.settling import SettlingService
from app.modules.orders.services.receivables.tenders import Tenders


@dataclass(frozen=True, slots=True)
class _Held:
    """An order or an invoice that is paid for, with everything about it; amounts in minor units."""

    account_id: UUID
    contact_id: UUID | None
    order_id: UUID | None
    currency: str
    payments: list[Payment]
    invoices: list[Invoice]
    to_invoice: int
    billable: bool

    @property
    def owed(self) -> int:
        """What the customer has still to pay, whether it is invoiced or not."""
        return self.to_invoice + sum(
            row.total if row.status == InvoiceStatus.DRAFT else row.open_amount
            for row in self.invoices
            if row.kind == InvoiceKind.INVOICE
        )

    @property
    def waiting(self) -> int:
        return sum(row.unallocated for row in self.payments)


class PaymentsFromStoredValue:
    """Such payments of orders and invoices that the actor sees."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._invoices = InvoiceService(uow)
        self._payments = PaymentService(uow, stored_value=True)
        self._ledger = Ledger(uow)
        self._tenders = Tenders(uow)

    async def payable(
        self,
        *,
        order_id: UUID | None = None,
        invoice_id: UUID | None = None,
        payment_ids: Collection[UUID] = (),
    ) -> Payable | None:
        held = await self._hold(order_id, invoice_id, payment_ids)
        if held is None or not held.billable:
            return None
        return Payable(
            account_id=held.account_id,
            contact_id=held.contact_id,
            order_id=held.order_id,
            invoice_id=invoice_id,
            open=Money(max(0, held.owed - held.waiting), held.currency),
        )

    async def pay(self, what: Payable, amount: Money, *, reference: str) -> UUID:
        values: dict[str, Any] = {
            "account_id": what.account_id,
            "method": PaymentMethod.STORED_VALUE.value,
            "amount": amount,
            "reference": reference,
            "received_on": None,
            "note": None,
        }
        made = await self._payments.create(values, explicit=())
        rows = await self._rows(what.order_id, what.invoice_id)
        due = sorted((row for row in rows if _is_open(row)), key=_first_due)
        before = await self._tenders.kept(what.order_id, what.invoice_id)
        await self._settle(made, due)
        await self._tenders.require_none_missing(before, what.order_id, what.invoice_id)
        return made.id

    async def settle(self, invoice_id: UUID, payment_ids: Collection[UUID]) -> None:
        payments = await self._held_payments(payment_ids)
        rows = [row for row in await self._rows(None, invoice_id) if _is_open(row)]
        for payment in payments:
            for row in rows:
                row = await self._uow.get(Invoice, row.id)  # as the payment before left it
                if (
                    _is_open(row)
                    and payment.account_id == row.account_id
                    and payment.currency == row.currency
                ):
                    await self._settle(payment, [row])

    async def _settle(self, payment: Payment, rows: Collection[Invoice]) -> None:
        left, settlings = payment.unallocated, []
        for row in rows:
            part = min(left, row.open_amount)
            left -= part
            settlings.append(Settling(row, part))
        await self._ledger.settle(payment, settlings)

    async def pay_back(
        self,
        *,
        order_id: UUID | None = None,
        invoice_id: UUID | None = None,
        payment_ids: Collection[UUID],
        at_most: Money,
        reference: str,
    ) -> Money:
        held = await self._hold(order_id, invoice_id, payment_ids)
        left = at_most.amount_minor
        if held is not None:
            spare = max(0, held.waiting - held.owed)
            for payment in held.payments:
                part = min(left, spare, payment.unallocated)
                left -= part
                spare -= part
                await self._pay_back(payment, payment.unallocated, part, at_most.currency, reference)
            for row in held.invoices:
                if row.kind == InvoiceKind.CREDIT_NOTE and row.status in ISSUED:
                    part = min(left, row.open_amount)
                    left -= part
                    await self._pay_back(row, row.open_amount, part, at_most.currency, reference)
        return Money(at_most.amount_minor - left, at_most.currency)

    async def _pay_back(self, source: Source, has: int, part: int, currency: str, reference: str) -> None:
        if part:
            given = RefundCreate(
                method=PaymentMethod.STORED_VALUE,
                amount=Money(part, currency),
                reference=f"{reference}/{source.id}",
            )
            await SettlingService(self._uow, self._payments).pay_back(source, has, given)

    # -- holding -------------------------------------------------------------------------------------------

    async def _hold(
        self, order_id: UUID | None, invoice_id: UUID | None, payment_ids: Collection[UUID]
    ) -> _Held | None:
        if order_id is None and invoice_id is not None:
            found = await self._invoice(invoice_id)
            if found is None:
                return None
            if found.order_id is None:
                return await self._of_invoice(found, payment_ids)
            return await self._of_order(found.order_id, payment_ids, only=invoice_id)
        return None if order_id is None else await self._of_order(order_id, payment_ids)

    async def _invoice(self, id: UUID) -> Invoice | None:
        if not self._uow.actor.may("invoice:read"):
            return None
        return (await self._invoices.get_many([id])).get(id)

    async def _of_invoice(self, found: Invoice, payment_ids: Collection[UUID]) -> _Held:
        payments = await self._held_payments(payment_ids)
        rows = await self._rows(None, found.id)
        billable = any(row.id == found.id and _is_open(row) for row in rows)
        return _Held(found.account_id, None, None, found.currency, payments, rows, 0, billable)

    async def _of_order(
        self, id: UUID, payment_ids: Collection[UUID], only: UUID | None = None
    ) -> _Held | None:
        """With `only` the one invoice of the order is paid; what else is owed of it does not matter."""
        if not self._uow.actor.may("order:read"):
            return None
        order: Order | None = (await OrderService(self._uow).get_many([id], lock="update")).get(id)
        if order is None and payment_ids:
            order = await self._deleted(id)
        if order is None:
            return None
        payments = await self._held_payments(payment_ids)
        rows = await self._rows(id, None)
        (counted,) = await self._uow.fetch(_TO_INVOICE, self._uow.tenant_id, id)
        billable = order.status in BILLABLE and order.deleted_at is None
        to_invoice = counted["to_invoice"] if billable else 0  # nobody is invoiced for what was cancelled
        if only is not None:
            rows = [row for row in rows if row.id == only or row.corrects_id == only]
            payments, to_invoice = [], 0
            billable = any(row.id == only and _is_open(row) for row in rows)
        return _Held(
            order.account_id, order.contact_id, order.id, order.currency, payments, rows, to_invoice, billable
        )

    async def _deleted(self, id: UUID) -> Order | None:
        """A cancelled order that was deleted: what had been paid for it comes back all the same."""
        rows = await self._uow.fetch(_DELETED, self._uow.tenant_id, id)
        return entities(Order, rows)[0] if rows else None

    async def _held_payments(self, ids: Collection[UUID]) -> list[Payment]:
        rows = await self._uow.fetch(_PAYMENTS, self._uow.tenant_id, list(ids)) if ids else []
        return entities(Payment, rows)

    async def _rows(self, order_id: UUID | None, invoice_id: UUID | None) -> list[Invoice]:
        """The invoices and credit notes of an order; or one invoice with the credit notes that correct it."""
        if invoice_id is None:
            return entities(Invoice, await self._uow.fetch(_OF_ORDER, self._uow.tenant_id, order_id))
        return entities(Invoice, await self._uow.fetch(_OF_INVOICE, self._uow.tenant_id, invoice_id))


def _is_open(row: Invoice) -> bool:
    return row.kind == InvoiceKind.INVOICE and row.status in ISSUED and row.open_amount > 0


def _first_due(row: Invoice) -> tuple[Any, ...]:
    return row.due_on is None, row.due_on or row.issued_on, row.id


_DELETED = """
SELECT * FROM orders.orders WHERE tenant_id = $1 AND id = $2 AND deleted_at IS NOT NULL FOR UPDATE"""
_HELD = "AND deleted_at IS NULL ORDER BY id FOR NO KEY UPDATE"
_PAYMENTS = f"SELECT * FROM orders.payments WHERE tenant_id = $1 AND id = ANY($2::uuid[]) {_HELD}"
_OF_ORDER = f"SELECT * FROM orders.invoices WHERE tenant_id = $1 AND order_id = $2 {_HELD}"
_OF_INVOICE = f"SELECT * FROM orders.invoices WHERE tenant_id = $1 AND (id = $2 OR corrects_id = $2) {_HELD}"
_TO_INVOICE = f"""
SELECT {TO_INVOICE} AS to_invoice FROM orders.order_lines l{BACK}
WHERE l.tenant_id = $1 AND l.order_id = $2"""
