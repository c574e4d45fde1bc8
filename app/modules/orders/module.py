"""Registers orders: what was bought, how it went out, what lies in stock, and what customers owe."""

from __future__ import annotations

from app.kernel.access import Scope
from app.kernel.merging.ports import Merger
from app.kernel.merging.references import record_column
from app.kernel.money_checks import MoneyCheck
from app.kernel.registry import Module, NotificationKind, Permission, Schedule
from app.kernel.sharing import OpenWork
from app.modules.activities.interface import TimelineSource, ToDoSource
from app.modules.automation.interface import ApprovalSubject
from app.modules.catalog.interface import ProductUser
from app.modules.customers.interface import AccountPanel, AccountUser, PoolFact
from app.modules.orders.interface import Orders, Stock, StoredValuePayments
from app.modules.orders.services.for_others import OrdersOfTenant
from app.modules.orders.services.on_accounts import (
    BoughtFact,
    OrderPanel,
    OrderTimeline,
    OrderUses,
    OrderWork,
)
from app.modules.orders.services.on_products import OrderedProducts
from app.modules.orders.services.orders import ORDER
from app.modules.orders.services.personal_data import PERSONAL_DATA
from app.modules.orders.services.placing import ORDER_HELD, OrderSubject
from app.modules.orders.services.receivables import mailing, overdue
from app.modules.orders.services.receivables.checks import ReceivablesCheck
from app.modules.orders.services.receivables.credit import CREDIT_EXCEEDED
from app.modules.orders.services.receivables.invoices import INVOICE, ISSUES
from app.modules.orders.services.receivables.on_accounts import (
    InvoicesTimeline,
    PaymentsTimeline,
    ReceivablesPanel,
    ReceivableUses,
)
from app.modules.orders.services.receivables.payments import PAYMENT
from app.modules.orders.services.receivables.stored_value import PaymentsFromStoredValue
from app.modules.orders.services.receivables.tenders import CASH_OUT
from app.modules.orders.services.returns import RETURN
from app.modules.orders.services.stock import OnHandStock
from app.modules.orders.services.to_dos import OrderToDos

_RUNS_IT = {"owner": Scope.ALL, "admin": Scope.ALL}

MODULE = Module(
    name="orders",
    description="Orders, shipments, stock, returns, and what customers owe.",
    tags={
        "orders": "What was bought, its steps and shipments, and what orders add up to.",
        "returns": "What comes back, from the wish to the decision.",
        "stock": "What lies in stock, what came in and what went out.",
        "invoices": "Invoices and credit notes: drafts, issuing, corrections, and what they were settled with.",
        "payments": "What came in, what went back, and which invoices it settled.",
        "receivables": "What customers owe: by age, as account statements, and against credit limits.",
    },
    routers=(
        "app.modules.orders.router.orders:records",
        "app.modules.orders.router.orders:router",
        "app.modules.orders.router.orders:stock",
        "app.modules.orders.router.returns:records",
        "app.modules.orders.router.returns:router",
        "app.modules.orders.router.imports:router",
        "app.modules.orders.router.imports:returns",
        "app.modules.orders.router.statistics:router",
        "app.modules.orders.router.receivables:invoices",
        "app.modules.orders.router.receivables:payments",
        "app.modules.orders.router.receivables:invoicing",
        "app.modules.orders.router.receivables:paying",
        "app.modules.orders.router.receivables:router",
    ),
    records=(ORDER, RETURN, INVOICE, PAYMENT),
    interfaces={Orders: OrdersOfTenant, StoredValuePayments: PaymentsFromStoredValue},
    ports=(
        (Stock, OnHandStock),
        (ProductUser, OrderedProducts),
        (AccountPanel, OrderPanel),
        (AccountUser, OrderUses),
        (OpenWork, OrderWork),
        (PoolFact, BoughtFact),
        (TimelineSource, OrderTimeline),
        (TimelineSource, InvoicesTimeline),
        (TimelineSource, PaymentsTimeline),
        (Merger, record_column(ORDER, "account_id", "account")),
        (Merger, record_column(ORDER, "contact_id", "contact")),
        (Merger, record_column(RETURN, "account_id", "account")),
        (Merger, record_column(RETURN, "contact_id", "contact")),
        (Merger, record_column(RETURN, "case_id", "case")),
        (Merger, record_column(INVOICE, "account_id", "account")),
        (Merger, record_column(PAYMENT, "account_id", "account")),
        (AccountPanel, ReceivablesPanel),
        (AccountUser, ReceivableUses),
        (MoneyCheck, ReceivablesCheck),
        (ApprovalSubject, OrderSubject),
        (ToDoSource, OrderToDos),
    ),
    jobs=(mailing.KIND,),
    schedules=(Schedule("orders.overdue", overdue.EVERY, overdue.mark_overdue, per_tenant=True),),
    notifications=(
        NotificationKind(overdue.INVOICE_OVERDUE, "Invoice overdue", "发票逾期"),
        NotificationKind(CREDIT_EXCEEDED, "Credit limit exceeded", "超出信用额度"),
        NotificationKind(ORDER_HELD, "Order held", "订单暂缓"),
    ),
    permissions=(
        Permission(
            "stock:read",
            "See what lies in stock.",
            _RUNS_IT | {"manager": Scope.ALL, "salesperson": Scope.ALL, "viewer": Scope.ALL},
        ),
        Permission(
            "stock:manage", "Say what came into stock and went out.", _RUNS_IT | {"manager": Scope.ALL}
        ),
        Permission(
            "order:import",
            "Bring in orders of the past.",
            _RUNS_IT | {"manager": Scope.ALL},
        ),
        Permission(
            "return:import",
            "Bring in returns of the past.",
            _RUNS_IT | {"manager": Scope.ALL},
        ),
        Permission("invoice:issue", "Issue invoices and credit notes.", ISSUES),
        Permission(CASH_OUT, "Pay out in other ways what stored value paid, or took the place of.", _RUNS_IT),
        Permission("credit:manage", "Say how orders beyond a credit limit are treated.", _RUNS_IT),
    ),
    personal_data=PERSONAL_DATA,
)
