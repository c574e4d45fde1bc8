"""Stored value: money that members have with the company, and the ledger it moves through."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy.orm import Mapped

from app.kernel.models import TenantOwned, module_ref, one_of

_SCHEMA = {"schema": "membership"}


class WalletStatus(StrEnum):
    """Of a frozen wallet nothing is paid or withdrawn, and nothing is topped up; what was paid still comes back."""

    ACTIVE = "active"
    FROZEN = "frozen"


class WalletKind(StrEnum):
    """Why the money of a wallet moved."""

    TOP_UP = "top_up"
    PAY = "pay"
    REFUND = "refund"
    WITHDRAW = "withdraw"
    ADJUST = "adjust"
    BENEFIT = "benefit"
    EXPIRE = "expire"


class Wallet(TenantOwned):
    """What a member has in one currency, minor units: the sum of the ledger, moved with the row held.

    `principal` was paid in and never expires; `bonus` was given, and may.
    """

    __tablename__ = "wallets"
    __table_args__ = (one_of("status", WalletStatus), _SCHEMA)

    member_id: Mapped[UUID]
    currency: Mapped[str]
    status: Mapped[str]
    reason: Mapped[str | None]  # why it is frozen
    principal: Mapped[int]
    bonus: Mapped[int]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class WalletLot(TenantOwned):
    """Bonus money that came together, with the last day on which it counts. What is not left or expired was spent."""

    __tablename__ = "wallet_lots"
    __table_args__ = (_SCHEMA,)

    wallet_id: Mapped[UUID]
    expires_on: Mapped[date | None]
    amount: Mapped[int]
    remaining: Mapped[int]
    expired: Mapped[int]


class WalletTransaction(TenantOwned):
    """One movement of a wallet: by `amount`, to `balance`. The same reference of a source moves money once."""

    __tablename__ = "wallet_transactions"
    __table_args__ = (one_of("kind", WalletKind), _SCHEMA)

    wallet_id: Mapped[UUID]
    kind: Mapped[str]
    amount: Mapped[int]
    balance: Mapped[int]
    source: Mapped[str | None]
    reference: Mapped[str | None]
    order_id: Mapped[UUID | None] = module_ref("orders.orders", on_delete="keep")
    invoice_id: Mapped[UUID | None] = module_ref("orders.invoices", on_delete="keep")
    refunds_id: Mapped[UUID | None]  # the transaction that paid what this one gives back
    note: Mapped[str | None]
    made_by: Mapped[UUID | None]
    at: Mapped[datetime]


class WalletEntry(TenantOwned):
    """So much into an account of a wallet, or of the company where there is none; a sum of zero by transaction."""

    __tablename__ = "wallet_entries"
    __table_args__ = (_SCHEMA,)

    transaction_id: Mapped[UUID]
    wallet_id: Mapped[UUID | None]
    account: Mapped[str]
    amount: Mapped[int]


class WalletPayment(TenantOwned):
    """What a wallet paid, and how much of it came back. Its id is the transaction's."""

    __tablename__ = "wallet_payments"
    __table_args__ = (_SCHEMA,)

    wallet_id: Mapped[UUID]
    payment_id: Mapped[UUID] = module_ref("orders.payments", on_delete="keep")
    order_id: Mapped[UUID | None] = module_ref("orders.orders", on_delete="keep")
    invoice_id: Mapped[UUID | None] = module_ref("orders.invoices", on_delete="keep")
    amount: Mapped[int]
    refunded: Mapped[int]


class WalletPart(TenantOwned):
    """What a payment took: of a lot of bonus money, or of the principal; in order."""

    __tablename__ = "wallet_parts"
    __table_args__ = (_SCHEMA,)

    payment_id: Mapped[UUID]
    position: Mapped[int]
    lot_id: Mapped[UUID | None]
    amount: Mapped[int]
    restored: Mapped[int]
