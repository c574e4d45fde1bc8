"""Warranty: what is promised with products, and what that comes to for one thing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, ClassVar
from uuid import UUID

from app.kernel.errors import Invalid
from app.kernel.periods import add_months
from app.kernel.records import RecordService, RecordType, Search
from app.kernel.uow import UnitOfWork
from app.modules.after_sales.models.assets import WarrantyTerm
from app.modules.after_sales.schemas.assets import WarrantyTermCreate, WarrantyTermRead, WarrantyTermUpdate
from app.modules.after_sales.services.assets.references import References
from app.modules.after_sales.services.assets.scopes import KEPT_BY_MANAGERS
from app.modules.catalog.interface import ProductRef


@dataclass(frozen=True, slots=True)
class Promise:
    """What is promised with a product from now on."""

    months: int
    coverage: str | None


def last_day(starts_on: date, months: int) -> date:
    """The last day under a warranty of so many months: the first day does not count (as in § 188 (2) BGB)."""
    return add_months(starts_on, months)


def covers(starts_on: date | None, ends_on: date | None, on: date) -> bool:
    """Whether a day lies within a warranty; both of its days belong to it."""
    return ends_on is not None and on <= ends_on and (starts_on is None or starts_on <= on)


async def promises(uow: UnitOfWork, products: Collection[ProductRef]) -> Mapping[UUID, Promise]:
    """What is promised with these products: their terms, else the months that the catalogue says."""
    rows = await uow.fetch(
        "SELECT product_id, months, coverage FROM after_sales.warranty_terms"
        " WHERE tenant_id = $1 AND product_id = ANY($2::uuid[]) AND deleted_at IS NULL",
        uow.tenant_id,
        [product.id for product in products],
    )
    found = {
        product.id: Promise(product.warranty_months, None) for product in products if product.warranty_months
    }
    return found | {row["product_id"]: Promise(row["months"], row["coverage"]) for row in rows}


class WarrantyTermService(RecordService[WarrantyTerm]):
    """Terms, one set for each product. What was promised before they changed stays as it was."""

    record: ClassVar[RecordType[Any]]

    async def before_create(self, values: dict[str, Any]) -> None:
        await References(self.uow).product(values["product_id"])

    async def before_update(self, row: WarrantyTerm, changes: dict[str, Any]) -> None:
        if changes.get("product_id", row.product_id) != row.product_id:
            raise Invalid.at("/product_id", "immutable", "Terms stay with their product.")


WARRANTY_TERM: RecordType[WarrantyTerm] = RecordType(
    object="warranty_term",
    plural="warranty_terms",
    module="after_sales",
    model=WarrantyTerm,
    read=WarrantyTermRead,
    create=WarrantyTermCreate,
    update=WarrantyTermUpdate,
    service=WarrantyTermService,
    title="coverage",
    search=Search(names=("coverage",)),
    upsert_keys=("external_id", "product_id"),
    labels={"months": ("warranty months", "质保月数"), "coverage": ("coverage", "质保范围")},
    default_scopes=KEPT_BY_MANAGERS,
)
WarrantyTermService.record = WARRANTY_TERM
