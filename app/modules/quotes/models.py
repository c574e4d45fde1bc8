"""Quotes in revisions: what is offered to whom, how it stands, and what the customer answered."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.models import RecordTable, TenantOwned, module_ref, one_of


class QuoteStatus(StrEnum):
    """How a revision stands."""

    DRAFT = "draft"
    IN_APPROVAL = "in_approval"
    APPROVED = "approved"
    SENT = "sent"
    VIEWED = "viewed"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    WITHDRAWN = "withdrawn"


class QuoteLanguage(StrEnum):
    EN = "en"
    ZH = "zh"


class Becomes(StrEnum):
    """What an accepted quote is made into."""

    ORDER = "order"
    CONTRACT = "contract"


class AnswerKind(StrEnum):
    ACCEPTED = "accepted"
    DECLINED = "declined"


class Quote(RecordTable):
    """One revision of an offer; a trigger keeps its content as it is once it has left draft and approval.

    Amounts are minor units of `currency`; optional lines are in none of them, but `accepted_total` has those that
    the customer chose. `benefits` are what coupons take off, step by step; `benefit_discount`, their sum, is part of
    `header_discount`.
    """

    __tablename__ = "quotes"
    __table_args__ = (
        one_of("status", QuoteStatus),
        one_of("language", QuoteLanguage),
        one_of("becomes", Becomes),
        {"schema": "quotes"},
    )

    number: Mapped[str]
    revision: Mapped[int]
    name: Mapped[str]
    status: Mapped[str]
    account_id: Mapped[UUID] = module_ref("customers.accounts")
    contact_id: Mapped[UUID | None] = module_ref("customers.contacts")
    opportunity_id: Mapped[UUID | None] = module_ref("opportunities.opportunities", on_delete="keep")
    contract_id: Mapped[UUID | None] = module_ref(
        "contracts.contracts", on_delete="keep"
    )  # whose prices hold
    partner_id: Mapped[UUID | None]
    segment: Mapped[str | None]
    channel: Mapped[str | None]
    currency: Mapped[str]
    tax_included: Mapped[bool]
    tax_country: Mapped[str]
    issued_on: Mapped[date]
    valid_until: Mapped[date | None]
    discount_percent: Mapped[Decimal]
    discount_amount: Mapped[int | None]
    gross: Mapped[int]
    discount: Mapped[int]
    header_discount: Mapped[int]
    net: Mapped[int]
    tax: Mapped[int]
    total: Mapped[int]
    one_time_total: Mapped[int]
    monthly_total: Mapped[int]
    yearly_total: Mapped[int]
    cost: Mapped[int | None]
    margin_amount: Mapped[int | None]
    margin_percent: Mapped[Decimal | None]
    total_discount_percent: Mapped[Decimal | None]
    line_count: Mapped[int]
    content_hash: Mapped[str] = mapped_column(info={"derived": True})  # of the lines
    terms: Mapped[str | None]
    language: Mapped[str]
    becomes: Mapped[str]
    term_months: Mapped[int | None]
    signature_required: Mapped[bool]
    payment_required: Mapped[bool]
    prepayment_percent: Mapped[Decimal | None]
    sent_at: Mapped[datetime | None]
    first_viewed_at: Mapped[datetime | None]
    answered_at: Mapped[datetime | None]
    accepted_total: Mapped[int | None]
    decline_reason: Mapped[str | None]
    order_id: Mapped[UUID | None] = module_ref("orders.orders", on_delete="keep")
    made_contract_id: Mapped[UUID | None] = module_ref("contracts.contracts", on_delete="keep")
    coupon_codes: Mapped[list[str]]
    benefit_discount: Mapped[int]
    benefits: Mapped[list[Any]] = mapped_column(info={"derived": True})


class QuoteLine(TenantOwned):
    """One thing offered. `component_of` is the position of the bundle's line that this one is a component of.

    Prices are major units of the quote's currency, amounts minor units. `exact_gross` is the price of the whole
    quantity where it is not quantity x unit price.
    """

    __tablename__ = "quote_lines"
    __table_args__ = ({"schema": "quotes"},)

    quote_id: Mapped[UUID]
    position: Mapped[int]
    component_of: Mapped[int | None]
    product_id: Mapped[UUID | None] = module_ref("catalog.products", on_delete="keep")
    description: Mapped[str]
    detail: Mapped[str | None]
    unit: Mapped[str]
    quantity: Mapped[Decimal]
    price_source: Mapped[str]
    price_book_id: Mapped[UUID | None] = module_ref("catalog.price_books", on_delete="keep")
    list_price: Mapped[Decimal | None]
    unit_price: Mapped[Decimal]
    exact_gross: Mapped[Decimal | None]
    discount_percent: Mapped[Decimal]
    discount_amount: Mapped[int]
    tax_rate: Mapped[Decimal]
    tax_entered: Mapped[bool]
    charge: Mapped[str]
    optional: Mapped[bool]
    unit_cost: Mapped[Decimal | None]
    cost_entered: Mapped[bool]
    gross: Mapped[int]
    discount: Mapped[int]
    subtotal: Mapped[int]
    header_discount: Mapped[int]
    benefit_discount: Mapped[int]
    net: Mapped[int]
    tax: Mapped[int]
    total: Mapped[int]


class QuoteStep(TenantOwned):
    """A change of status: who, when, and what they said."""

    __tablename__ = "quote_steps"
    __table_args__ = ({"schema": "quotes"},)

    quote_id: Mapped[UUID]
    action: Mapped[str]
    from_status: Mapped[str | None]
    to_status: Mapped[str]
    at: Mapped[datetime]
    actor_id: Mapped[UUID | None]
    note: Mapped[str | None]


class QuoteAnswer(TenantOwned):
    """The one answer to a revision: who gave it, when, from where (IP address), and what came of it.

    `member_id` entered it for the customer, or the customer came by `link_id`.
    """

    __tablename__ = "quote_answers"
    __table_args__ = (one_of("kind", AnswerKind), {"schema": "quotes"})

    quote_id: Mapped[UUID]
    kind: Mapped[str]
    name: Mapped[str | None]
    job_title: Mapped[str | None]
    note: Mapped[str | None]
    agreed: Mapped[bool]
    signature: Mapped[str | None]
    payment_reference: Mapped[str | None]
    address: Mapped[str | None]
    member_id: Mapped[UUID | None]
    link_id: Mapped[UUID | None]
    at: Mapped[datetime]
    chosen_line_ids: Mapped[list[UUID]]
    total: Mapped[int | None]
    currency: Mapped[str]
    prepayment: Mapped[int | None]
    order_id: Mapped[UUID | None] = module_ref("orders.orders", on_delete="keep")
    contract_id: Mapped[UUID | None] = module_ref("contracts.contracts", on_delete="keep")


class PriceNotice(TenantOwned):
    """The price of something in an open quote changed, and its owner has not dealt with it yet."""

    __tablename__ = "price_notices"
    __table_args__ = ({"schema": "quotes"},)

    quote_id: Mapped[UUID]
    product_id: Mapped[UUID] = module_ref("catalog.products", on_delete="keep")
    former: Mapped[str | None]
    price: Mapped[str | None]
    changed_at: Mapped[datetime]
