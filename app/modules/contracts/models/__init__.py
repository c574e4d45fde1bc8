"""Contracts, and what one is made of: parties, lines, clauses, the payment plan; and what orders draw."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Mapped

from app.kernel.models import RecordTable, TenantOwned, module_ref, one_of
from app.modules.catalog.interface import ChargeKind
from app.modules.contracts.interface import InstalmentStatus


class ContractStatus(StrEnum):
    """An approved contract waits for signatures; a signed one is active until its term is over."""

    DRAFT = "draft"
    IN_APPROVAL = "in_approval"
    APPROVED = "approved"
    ACTIVE = "active"
    EXPIRED = "expired"
    TERMINATED = "terminated"
    RENEWED = "renewed"
    VOIDED = "voided"


class ContractKind(StrEnum):
    SALE = "sale"
    FRAME = "frame"
    SERVICE = "service"
    SUBSCRIPTION = "subscription"
    OTHER = "other"


class PartyRole(StrEnum):
    CUSTOMER = "customer"
    SUPPLIER = "supplier"
    GUARANTOR = "guarantor"
    SIGNATORY = "signatory"


class ContractLanguage(StrEnum):
    """What the contract is written in."""

    EN = "en"
    ZH = "zh"


class RenewalStatus(StrEnum):
    """How the contract of the next period begins: to be looked at first, or in force at once."""

    DRAFT = "draft"
    ACTIVE = "active"


class DueAfter(StrEnum):
    SIGNING = "signing"
    ACTIVATION = "activation"


class Contract(RecordTable):
    """What was agreed with an account. `revision` counts what was in force; 0 before the first signature.

    `plan` is the payment plan as it was asked for; the instalments that it came to have rows of their own.
    `terminates_on` is the first day on which it is no longer in force.
    """

    __tablename__ = "contracts"
    __table_args__ = (
        one_of("kind", ContractKind),
        one_of("status", ContractStatus),
        one_of("language", ContractLanguage),
        one_of("renewal_status", RenewalStatus),
        {"schema": "contracts"},
    )

    number: Mapped[str]
    title: Mapped[str]
    kind: Mapped[str]
    status: Mapped[str]
    account_id: Mapped[UUID] = module_ref("customers.accounts", on_delete="restrict")
    contact_id: Mapped[UUID | None] = module_ref("customers.contacts", on_delete="restrict")
    opportunity_id: Mapped[UUID | None] = module_ref("opportunities.opportunities", on_delete="keep")
    quote_id: Mapped[UUID | None] = module_ref("quotes.quotes", on_delete="keep")
    value: Mapped[int]  # minor units of `currency`, tax included
    currency: Mapped[str]
    drawn: Mapped[int]  # minor units of `currency`: the sum of its drawings
    starts_on: Mapped[date]
    ends_on: Mapped[date | None]
    signed_on: Mapped[date | None]
    signed_by: Mapped[str | None]
    activated_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    revision: Mapped[int]
    language: Mapped[str]
    description: Mapped[str | None]
    notice_days: Mapped[int]
    notice_given_on: Mapped[date | None]
    terminates_on: Mapped[date | None]
    termination_reason: Mapped[str | None]
    void_reason: Mapped[str | None]
    auto_renew: Mapped[bool]
    renewal_months: Mapped[int | None]
    renewal_uplift_percent: Mapped[Decimal]
    renewal_status: Mapped[str]
    renewal_reminder_days: Mapped[int | None]
    renewal_reminded_for: Mapped[date | None]
    predecessor_id: Mapped[UUID | None]
    successor_id: Mapped[UUID | None]
    plan: Mapped[list[Any]]


class Party(TenantOwned):
    """Somebody who is bound by a contract or signs it; `name` and `title` are as they stand in it."""

    __tablename__ = "parties"
    __table_args__ = (one_of("role", PartyRole), {"schema": "contracts"})

    contract_id: Mapped[UUID]
    position: Mapped[int]
    role: Mapped[str]
    account_id: Mapped[UUID | None] = module_ref("customers.accounts", on_delete="keep")
    contact_id: Mapped[UUID | None] = module_ref("customers.contacts", on_delete="keep")
    name: Mapped[str]
    title: Mapped[str | None]


class Line(TenantOwned):
    """What is contracted."""

    __tablename__ = "lines"
    __table_args__ = (one_of("charge", ChargeKind), {"schema": "contracts"})

    contract_id: Mapped[UUID]
    position: Mapped[int]
    product_id: Mapped[UUID | None] = module_ref("catalog.products", on_delete="keep")
    description: Mapped[str]
    quantity: Mapped[Decimal]
    unit_price: Mapped[Decimal]  # major units of the contract's currency, to 8 decimals
    charge: Mapped[str]
    amount: Mapped[int]  # minor units of the contract's currency


class Clause(TenantOwned):
    """A clause as it was when it came into the contract; `merged` is its text as it was submitted."""

    __tablename__ = "clauses"
    __table_args__ = ({"schema": "contracts"},)

    contract_id: Mapped[UUID]
    position: Mapped[int]
    template_id: Mapped[UUID | None]
    template_version: Mapped[int | None]
    title: Mapped[str]
    body: Mapped[str]
    merged: Mapped[str | None]


class Instalment(TenantOwned):
    """One payment of the plan. `due_on` follows from `due_after` and `due_days` when the contract is signed."""

    __tablename__ = "instalments"
    __table_args__ = (
        one_of("status", InstalmentStatus),
        one_of("due_after", DueAfter, nullable=True),
        {"schema": "contracts"},
    )

    contract_id: Mapped[UUID]
    position: Mapped[int]
    label: Mapped[str]
    amount: Mapped[int]  # minor units of `currency`, tax included
    currency: Mapped[str]
    invoiced: Mapped[int]
    paid: Mapped[int]
    due_after: Mapped[str | None]
    due_days: Mapped[int | None]
    due_on: Mapped[date | None]
    status: Mapped[str]


class Drawing(TenantOwned):
    """What one order draws on a contract."""

    __tablename__ = "drawings"
    __table_args__ = ({"schema": "contracts"},)

    contract_id: Mapped[UUID]
    order_id: Mapped[UUID] = module_ref("orders.orders", on_delete="keep")
    amount: Mapped[int]  # minor units of `currency`
    currency: Mapped[str]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
