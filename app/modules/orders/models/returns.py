"""Goods that come back."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.models import RecordTable, TenantOwned, module_ref, one_of
from app.modules.orders.models.orders import Condition, ReturnStatus


class Return(RecordTable):
    """Goods that an account gives back. One without an order is of what was bought before orders were kept.

    Amounts are sums of the lines, in minor units of `currency`; `exact_value` is quantity x price of the lines in
    major units, never rounded.
    """

    __tablename__ = "returns"
    __table_args__ = (one_of("status", ReturnStatus), {"schema": "orders"})

    number: Mapped[str]
    status: Mapped[str]
    order_id: Mapped[UUID | None]
    account_id: Mapped[UUID] = module_ref("customers.accounts", on_delete="restrict")
    contact_id: Mapped[UUID | None] = module_ref("customers.contacts", on_delete="restrict")
    partner_id: Mapped[UUID | None]
    reason: Mapped[str]
    currency: Mapped[str]
    tax_included: Mapped[bool]
    net: Mapped[int]
    tax: Mapped[int]
    total: Mapped[int]
    exact_value: Mapped[Decimal] = mapped_column(info={"derived": True})
    line_count: Mapped[int]
    requested_on: Mapped[date]
    country: Mapped[str | None]
    source: Mapped[str | None]
    replacement_order_id: Mapped[UUID | None]
    decision_note: Mapped[str | None]
    resolved_at: Mapped[datetime | None]
    case_id: Mapped[UUID | None] = module_ref("after_sales.cases", on_delete="keep", sort_order=1000)


class ReturnLine(TenantOwned):
    """One thing that comes back, of an order's line where that is known."""

    __tablename__ = "return_lines"
    __table_args__ = (one_of("condition", Condition, nullable=True), {"schema": "orders"})

    return_id: Mapped[UUID]
    position: Mapped[int]
    order_line_id: Mapped[UUID | None]
    product_id: Mapped[UUID | None] = module_ref("catalog.products", on_delete="restrict")
    description: Mapped[str]
    unit: Mapped[str]
    quantity: Mapped[Decimal]
    unit_price: Mapped[Decimal]
    net: Mapped[int]
    tax: Mapped[int]
    total: Mapped[int]
    reason: Mapped[str | None]
    condition: Mapped[str | None]
    restock: Mapped[bool]
    serial_numbers: Mapped[list[Any]]
    external_id: Mapped[str | None]
