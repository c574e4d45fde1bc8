"""The tables of what goes together: bundles with their components, and rules between products."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Mapped

from app.kernel.models import RecordTable, TenantOwned, one_of


class ComponentPricing(StrEnum):
    """A component is in the bundle's price, costs what it always does, or has a price of its own in this bundle."""

    INCLUDED = "included"
    OWN = "own"
    FIXED = "fixed"


class RuleKind(StrEnum):
    """`requires`: any of the others must be there; `excludes`: none of them may be; `quantity`: how many."""

    REQUIRES = "requires"
    EXCLUDES = "excludes"
    QUANTITY = "quantity"


class BundleGroup(TenantOwned):
    """Components among which one chooses: from so many to so many of them."""

    __tablename__ = "bundle_groups"
    __table_args__ = ({"schema": "catalog"},)

    bundle_id: Mapped[UUID]
    position: Mapped[int]
    name: Mapped[str]
    name_en: Mapped[str | None]
    min_components: Mapped[int]
    max_components: Mapped[int | None]


class BundleComponent(TenantOwned):
    """A product in a bundle. Quantities are those of one bundle."""

    __tablename__ = "bundle_components"
    __table_args__ = (one_of("pricing", ComponentPricing), {"schema": "catalog"})

    bundle_id: Mapped[UUID]
    group_id: Mapped[UUID]
    product_id: Mapped[UUID]
    position: Mapped[int]
    required: Mapped[bool]
    min_quantity: Mapped[Decimal]
    max_quantity: Mapped[Decimal | None]
    default_quantity: Mapped[Decimal]
    pricing: Mapped[str]
    fixed_prices: Mapped[list[Any]]


class ConfigurationRule(RecordTable):
    """What a product needs beside it, does not go with, or how many of it there may be."""

    __tablename__ = "configuration_rules"
    __table_args__ = (one_of("kind", RuleKind), {"schema": "catalog"})

    name: Mapped[str]
    kind: Mapped[str]
    product_id: Mapped[UUID]
    other_product_ids: Mapped[list[UUID]]
    min_quantity: Mapped[Decimal | None]
    max_quantity: Mapped[Decimal | None]
    multiple_of: Mapped[Decimal | None]
    message: Mapped[str | None]
    active: Mapped[bool]
