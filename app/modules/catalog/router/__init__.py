"""`/v1/products` beyond the generated operations, units, tax classes, and the pricing of carts."""

from __future__ import annotations

from uuid import UUID

from fastapi import Response

from app.kernel.errors import DuplicateValue, StaleVersion, problems
from app.kernel.record_router import record_router, tag
from app.kernel.routing import IfMatch, Router, Uow
from app.modules.catalog.interface import CatalogEntryInUse
from app.modules.catalog.schemas import (
    TaxClassCreate,
    TaxClasses,
    TaxClassRead,
    TaxClassUpdate,
    UnitCreate,
    UnitRead,
    Units,
)
from app.modules.catalog.schemas.prices import Cart, PricedCart
from app.modules.catalog.services.agreed_prices import AGREED_PRICE
from app.modules.catalog.services.carts import CartService
from app.modules.catalog.services.categories import PRODUCT_CATEGORY
from app.modules.catalog.services.measures import TaxClassService, UnitService
from app.modules.catalog.services.price_books import PRICE_BOOK, PRICE_BOOK_ENTRY
from app.modules.catalog.services.products import PRODUCT
from app.modules.catalog.services.rules import CONFIGURATION_RULE

records = [
    record_router(record)
    for record in (PRODUCT, PRODUCT_CATEGORY, PRICE_BOOK, PRICE_BOOK_ENTRY, AGREED_PRICE, CONFIGURATION_RULE)
]
router = Router(tags=["catalog"])
_REMOVE = problems(CatalogEntryInUse, StaleVersion)


@router.post("/v1/prices/resolve", access="product:read")
async def resolve_prices(body: Cart, uow: Uow) -> PricedCart:
    """Price and total a cart, without storing it: every step of each line, and whatever does not go together."""
    return await CartService(uow).price(body)


@router.get("/v1/units", access="product:read")
async def list_units(uow: Uow) -> Units:
    """What products are counted in."""
    return Units(data=await UnitService(uow).all())


@router.get("/v1/units/{id}", access="product:read")
async def get_unit(id: UUID, uow: Uow, response: Response) -> UnitRead:
    """One unit."""
    found = await UnitService(uow).get(id)
    tag(response, found)
    return found


@router.post("/v1/units", access="catalog:manage", status_code=201, responses=problems(DuplicateValue))
async def create_unit(body: UnitCreate, uow: Uow, response: Response) -> UnitRead:
    """Add a unit."""
    made = await UnitService(uow).create(body)
    tag(response, made)
    response.headers["Location"] = f"/v1/units/{made.id}"
    return made


@router.delete("/v1/units/{id}", access="catalog:manage", status_code=204, responses=_REMOVE)
async def delete_unit(id: UUID, version: IfMatch, uow: Uow) -> None:
    """Remove a unit that no product is counted in."""
    await UnitService(uow).delete(id, expected_version=version)


@router.get("/v1/tax-classes", access="product:read")
async def list_tax_classes(uow: Uow) -> TaxClasses:
    """What is taxed alike, with dated rates by country."""
    return TaxClasses(data=await TaxClassService(uow).all())


@router.get("/v1/tax-classes/{id}", access="product:read")
async def get_tax_class(id: UUID, uow: Uow, response: Response) -> TaxClassRead:
    """One tax class with its rates."""
    found = await TaxClassService(uow).get(id)
    tag(response, found)
    return found


@router.post("/v1/tax-classes", access="catalog:manage", status_code=201, responses=problems(DuplicateValue))
async def create_tax_class(body: TaxClassCreate, uow: Uow, response: Response) -> TaxClassRead:
    """Add a tax class with its rates."""
    made = await TaxClassService(uow).create(body)
    tag(response, made)
    response.headers["Location"] = f"/v1/tax-classes/{made.id}"
    return made


@router.patch("/v1/tax-classes/{id}", access="catalog:manage", responses=problems(StaleVersion))
async def update_tax_class(
    id: UUID, body: TaxClassUpdate, version: IfMatch, uow: Uow, response: Response
) -> TaxClassRead:
    """Rename a tax class, or replace its rates; documents keep the rates that they were written with."""
    changed = await TaxClassService(uow).update(id, body, expected_version=version)
    tag(response, changed)
    return changed


@router.delete("/v1/tax-classes/{id}", access="catalog:manage", status_code=204, responses=_REMOVE)
async def delete_tax_class(id: UUID, version: IfMatch, uow: Uow) -> None:
    """Remove a tax class that no product has."""
    await TaxClassService(uow).delete(id, expected_version=version)
