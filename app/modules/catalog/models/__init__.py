"""The tables of the catalogue: what is sold, how it is measured, sorted and taxed."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Mapped

from app.kernel.attachments.models import AttachedFile
from app.kernel.models import Json, RecordTable, TenantOwned, Versioned, one_of
from app.modules.catalog.interface import ChargeKind


class ProductStatus(StrEnum):
    """Where a product is in its life; only an active one is sold."""

    DRAFT = "draft"
    ACTIVE = "active"
    END_OF_SALE = "end_of_sale"


class Unit(Versioned):
    """What a product is counted in; quantities have at most `decimals` places."""

    __tablename__ = "units"
    __table_args__ = ({"schema": "catalog"},)

    code: Mapped[str]
    name_en: Mapped[str]
    name_zh: Mapped[str | None]
    decimals: Mapped[int]


class TaxClass(Versioned):
    """What is taxed alike."""

    __tablename__ = "tax_classes"
    __table_args__ = ({"schema": "catalog"},)

    code: Mapped[str]
    name_en: Mapped[str]
    name_zh: Mapped[str | None]


class TaxRate(TenantOwned):
    """The rate of a class in a country, in percent, from a day until the next one begins."""

    __tablename__ = "tax_rates"
    __table_args__ = ({"schema": "catalog"},)

    tax_class: Mapped[str]
    country: Mapped[str]
    valid_from: Mapped[date]
    rate: Mapped[Decimal]


class Category(RecordTable):
    """A shelf of the catalogue, in a tree."""

    __tablename__ = "categories"
    __table_args__ = ({"schema": "catalog"},)

    name: Mapped[str]
    name_en: Mapped[str | None]
    parent_id: Mapped[UUID | None]
    position: Mapped[int]


class Product(RecordTable):
    """Something that is sold: a good, a service, a bundle, a template with options, or a variant of one.

    `prices` and `costs` hold one unit price per currency. A variant has a `parent_id` and one value for each option
    of its parent.
    """

    __tablename__ = "products"
    __table_args__ = (
        one_of("charge", ChargeKind),
        one_of("status", ProductStatus),
        {"schema": "catalog"},
    )

    code: Mapped[str]
    name: Mapped[str]
    name_en: Mapped[str | None]
    description: Mapped[str | None]
    unit: Mapped[str]
    category_id: Mapped[UUID | None]
    tax_class: Mapped[str | None]
    charge: Mapped[str]
    stocked: Mapped[bool]
    status: Mapped[str]
    prices: Mapped[list[Any]]
    costs: Mapped[list[Any]]
    warranty_months: Mapped[int | None]
    is_bundle: Mapped[bool]
    options: Mapped[list[Any]]
    parent_id: Mapped[UUID | None]
    option_values: Mapped[Json]


class ProductAttachment(AttachedFile):
    """A file that hangs on a product; whoever may read the product may open it."""

    __tablename__ = "product_attachments"
    __table_args__ = ({"schema": "catalog"},)

    product_id: Mapped[UUID]
