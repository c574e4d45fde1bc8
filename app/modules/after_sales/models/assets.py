"""Assets: the things that customers have from us, and the warranty that comes with products."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from uuid import UUID

from sqlalchemy.orm import Mapped

from app.kernel.models import RecordTable, module_ref, one_of


class AssetStatus(StrEnum):
    """Where an asset is in its life."""

    IN_STOCK = "in_stock"
    INSTALLED = "installed"
    OUT_OF_ORDER = "out_of_order"
    RETURNED = "returned"
    RETIRED = "retired"


class WarrantyTerm(RecordTable):
    """What is promised with a product, from the day on which it goes out: for so many months, and what it covers."""

    __tablename__ = "warranty_terms"
    __table_args__ = ({"schema": "after_sales"},)

    product_id: Mapped[UUID] = module_ref("catalog.products", on_delete="restrict")
    months: Mapped[int]
    coverage: Mapped[str]


class Asset(RecordTable):
    """One thing that a customer has. Its serial number is unique among those of its product.

    `warranty_terms` is what was promised when it was made: later changes of the terms do not reach it.
    `warranty_ends_on` is the last day under warranty.
    """

    __tablename__ = "assets"
    __table_args__ = (one_of("status", AssetStatus), {"schema": "after_sales"})

    name: Mapped[str]
    serial_number: Mapped[str | None]
    status: Mapped[str]
    product_id: Mapped[UUID | None] = module_ref("catalog.products", on_delete="restrict")
    account_id: Mapped[UUID | None] = module_ref("customers.accounts", on_delete="restrict")
    contact_id: Mapped[UUID | None] = module_ref("customers.contacts", on_delete="restrict")
    order_id: Mapped[UUID | None] = module_ref("orders.orders", on_delete="keep")
    order_line_id: Mapped[UUID | None] = module_ref("orders.order_lines", on_delete="keep")
    bought_on: Mapped[date | None]
    installed_on: Mapped[date | None]
    location: Mapped[str | None]
    warranty_starts_on: Mapped[date | None]
    warranty_ends_on: Mapped[date | None]
    warranty_terms: Mapped[str | None]
