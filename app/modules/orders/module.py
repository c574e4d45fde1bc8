"""Registers invoices, payments and what they add to accounts."""

from __future__ import annotations

from app.kernel.access import Scope
from app.kernel.merging.ports import Merger
from app.kernel.merging.references import record_column
from app.kernel.registry import Module, NotificationKind, Permission, Schedule
from app.modules.customers.interface import AccountPanel, AccountUser
from app.modules.orders.router import receivables
from app.modules.orders.services.receivables import overdue
from app.modules.orders.services.receivables.credit import CREDIT_EXCEEDED
from app.modules.orders.services.receivables.invoices import INVOICE, ISSUES
from app.modules.orders.services.receivables.on_accounts import ReceivablesPanel, ReceivableUses
from app.modules.orders.services.receivables.payments import PAYMENT

MODULE = Module(
    name="orders",
    description="Orders, invoices, payments and what customers owe.",
    routers=(receivables.invoices, receivables.payments, receivables.router),
    records=(INVOICE, PAYMENT),
    ports=(
        (AccountPanel, ReceivablesPanel),
        (AccountUser, ReceivableUses),
        (Merger, record_column(INVOICE, "account_id", "account")),
        (Merger, record_column(PAYMENT, "account_id", "account")),
    ),
    schedules=(Schedule("orders.overdue", overdue.EVERY, overdue.mark_overdue, per_tenant=True),),
    notifications=(
        NotificationKind(overdue.INVOICE_OVERDUE, "Invoice overdue", "发票逾期"),
        NotificationKind(CREDIT_EXCEEDED, "Credit limit exceeded", "超出信用额度"),
    ),
    permissions=(
        Permission("invoice:issue", "Issue invoices and credit notes.", ISSUES),
        Permission(
            "credit:manage",
            "Say how orders beyond a credit limit are treated.",
            {"owner": Scope.ALL, "admin": Scope.ALL},
        ),
    ),
)
