"""Registers the catalogue: products, their prices, and what goes together."""

from __future__ import annotations

from app.kernel.access import Scope
from app.kernel.merging.ports import Merger
from app.kernel.merging.references import record_column
from app.kernel.registry import Module, Permission
from app.modules.catalog.interface import Catalog
from app.modules.catalog.services.agreed_prices import AGREED_PRICE
from app.modules.catalog.services.categories import PRODUCT_CATEGORY
from app.modules.catalog.services.for_others import CatalogOfTenant
from app.modules.catalog.services.personal_data import PERSONAL_DATA
from app.modules.catalog.services.price_books import PRICE_BOOK, PRICE_BOOK_ENTRY
from app.modules.catalog.services.products import PRODUCT
from app.modules.catalog.services.rules import CONFIGURATION_RULE

MODULE = Module(
    name="catalog",
    description="Products, bundles and variants, and what they cost whom.",
    routers=(
        "app.modules.catalog.router:records",
        "app.modules.catalog.router:router",
        "app.modules.catalog.router.products:router",
    ),
    records=(PRODUCT, PRODUCT_CATEGORY, PRICE_BOOK, PRICE_BOOK_ENTRY, AGREED_PRICE, CONFIGURATION_RULE),
    interfaces={Catalog: CatalogOfTenant},
    ports=((Merger, record_column(AGREED_PRICE, "account_id", "account")),),
    permissions=(
        Permission(
            "catalog:manage",
            "Add and remove units and tax classes.",
            {"owner": Scope.ALL, "admin": Scope.ALL},
        ),
    ),
    personal_data=PERSONAL_DATA,
)
