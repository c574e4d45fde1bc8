"""Products: what they name is there, what becomes of them in what order, and who is told when a price changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from uuid import UUID

from app.kernel.errors import Invalid
from app.kernel.records import RecordService, RecordType, Search
from app.kernel.states import StateMachine
from app.kernel.uow import UnitOfWork
from app.modules.catalog.interface import OptionInUse, ProductInUse, ProductPriceChanged, ProductUser
from app.modules.catalog.models import Product, ProductStatus
from app.modules.catalog.schemas import ProductCreate, ProductRead, ProductUpdate
from app.modules.catalog.services.categories import KEPT_BY_MANAGERS
from app.modules.catalog.services.product_imports import ProductImport
from app.modules.catalog.services.references import References

DRAFT, ACTIVE, END_OF_SALE = ProductStatus.DRAFT, ProductStatus.ACTIVE, ProductStatus.END_OF_SALE
MACHINE: StateMachine[ProductStatus] = StateMachine(
    "The product",
    DRAFT,
    {
        (DRAFT, "activate"): ACTIVE,
        (DRAFT, "end_sale"): END_OF_SALE,
        (ACTIVE, "end_sale"): END_OF_SALE,
        (END_OF_SALE, "activate"): ACTIVE,
    },
)
_STEPS = {DRAFT: "withdraw", ACTIVE: "activate", END_OF_SALE: "end_sale"}


class ProductService(ProductImport, RecordService[Product]):
    """Products, templates with options, and their variants."""

    record: ClassVar[RecordType[Any]]

    def __init__(self, uow: UnitOfWork) -> None:
        super().__init__(uow)
        self.references = References(uow)

    async def before_create(self, values: dict[str, Any]) -> None:
        as_stored(values)
        values["is_bundle"] = False
        parent_id, chosen = values.get("parent_id"), values.get("option_values") or {}
        if parent_id is not None:
            await self._become_variant(values, parent_id, chosen)
        elif chosen:
            raise Invalid.at("/option_values", "no_parent", "Only a variant has values of options.")
        await self.references.check(values)

    async def before_update(self, row: Product, changes: dict[str, Any]) -> None:
        as_stored(changes)
        for name in ("parent_id", "option_values"):
            if name in changes and changes[name] != getattr(row, name):
                raise Invalid.at(f"/{name}", "immutable", "A variant stays the variant that it is.")
        if "status" in changes and changes["status"] != row.status:
            MACHINE.next(ProductStatus(row.status), _STEPS[ProductStatus(changes["status"])])
        if changes.get("options", row.options) != row.options:
            await self._check_options(row, changes["options"])
        await self.references.check(changes)

    async def after_update(self, before: Product, after: Product) -> None:
        self.tell_prices(before.id, before.prices, after.prices)

    async def before_delete(self, row: Product) -> None:
        """Refuse while anything names the product. Raises `ProductInUse`."""
        # The strongest lock, since who refers to a product holds FOR KEY SHARE on it.
        await self.uow.fetch(
            "SELECT 1 FROM catalog.products WHERE tenant_id = $1 AND id = $2 FOR UPDATE",
            row.tenant_id,
            row.id,
        )
        found = await self.uow.fetchrow(_USES, row.tenant_id, row.id)
        used = {name: count for name, count in dict(found or {}).items() if count}
        for user in self.uow.ports(ProductUser):
            used |= {name: count for name, count in (await user.uses(row.id)).items() if count}
        if used:
            shown = ", ".join(f"{count} {name}" for name, count in used.items())
            raise ProductInUse(f"Still named by {shown}.", used_by=used)
        await self.uow.fetch(
            "WITH parts AS (DELETE FROM catalog.bundle_components WHERE tenant_id = $1 AND bundle_id = $2)"
            " DELETE FROM catalog.bundle_groups WHERE tenant_id = $1 AND bundle_id = $2",
            row.tenant_id,
            row.id,
        )

    def tell_prices(self, id: UUID, before: Sequence[Any], after: Sequence[Any]) -> None:
        """Publish each list price that changed, came or went."""
        former, current = _by_currency(before), _by_currency(after)
        for currency in sorted(former.keys() | current.keys()):
            if former.get(currency) != current.get(currency):
                self.uow.publish(
                    ProductPriceChanged(
                        id=id,
                        product_id=id,
                        price_book_id=None,
                        currency=currency,
                        former=former.get(currency),
                        price=current.get(currency),
                    )
                )

    async def _become_variant(
        self, values: dict[str, Any], parent_id: UUID, chosen: Mapping[str, str]
    ) -> None:
        """What a variant is, it is by its parent, which nobody changes or deletes meanwhile."""
        parent = await self.uow.find(Product, parent_id, lock="update")
        if parent is None:
            raise Invalid.at("/parent_id", "unknown_reference", "There is no product with this id.")
        if not parent.options:
            raise Invalid.at("/parent_id", "no_options", "This product has no options to choose from.")
        if values.get("options"):
            raise Invalid.at("/options", "variant", "A variant has no options of its own.")
        check_choice(parent.options, chosen)
        inherit(values, parent)

    async def _check_options(self, row: Product, options: Sequence[Any]) -> None:
        if row.parent_id is not None:
            raise Invalid.at("/options", "variant", "A variant has no options of its own.")
        if row.is_bundle:
            raise Invalid.at("/options", "bundle", "A bundle has no options.")
        variants = await self.uow.fetch(
            "SELECT option_values FROM catalog.products WHERE tenant_id = $1 AND parent_id = $2"
            " AND deleted_at IS NULL",
            row.tenant_id,
            row.id,
        )
        lost = sum(not fits(options, found["option_values"]) for found in variants)
        if lost:
            raise OptionInUse(f"{lost} variants would not fit any more.", variants=lost)


def as_stored(values: dict[str, Any]) -> None:
    """Prices and options as JSON."""
    for name in ("prices", "costs"):
        if name in values:
            values[name] = [dict(one) if isinstance(one, dict) else one.to_wire() for one in values[name]]
    if "options" in values:
        values["options"] = [
            one if isinstance(one, dict) else one.model_dump(mode="json") for one in values["options"]
        ]


def inherit(values: dict[str, Any], parent: Product) -> None:
    """What a variant takes from its parent: always how it is counted and charged, the rest where it says nothing."""
    values |= {name: getattr(parent, name) for name in ("unit", "charge", "stocked")}
    for name in ("category_id", "tax_class", "warranty_months", "description"):
        if values.get(name) is None:
            values[name] = getattr(parent, name)


def fits(options: Sequence[Any], chosen: Mapping[str, str]) -> bool:
    """Whether `chosen` has one of its values for each option, and nothing else."""
    values = {option["key"]: {value["key"] for value in option["values"]} for option in options}
    return chosen.keys() == values.keys() and all(value in values[key] for key, value in chosen.items())


def check_choice(options: Sequence[Any], chosen: Mapping[str, str]) -> None:
    """Raises `Invalid`."""
    if not fits(options, chosen):
        keys = ", ".join(option["key"] for option in options)
        raise Invalid.at(
            "/option_values", "invalid_choice", f"A variant has one known value each of: {keys}."
        )


def _by_currency(prices: Sequence[Any]) -> dict[str, str]:
    return {price["currency"]: price["amount"] for price in prices}


_USES = """
SELECT
  (SELECT count(*) FROM catalog.products WHERE tenant_id = $1 AND parent_id = $2 AND deleted_at IS NULL) AS variants,
  (SELECT count(*) FROM catalog.bundle_components WHERE tenant_id = $1 AND product_id = $2) AS bundles,
  (SELECT count(*) FROM catalog.price_book_entries WHERE tenant_id = $1 AND product_id = $2 AND deleted_at IS NULL)
    AS price_book_entries,
  (SELECT count(*) FROM catalog.agreed_prices WHERE tenant_id = $1 AND product_id = $2 AND deleted_at IS NULL)
    AS agreed_prices,
  (SELECT count(*) FROM catalog.configuration_rules WHERE tenant_id = $1 AND deleted_at IS NULL
    AND (product_id = $2 OR $2 = ANY(other_product_ids))) AS configuration_rules"""

PRODUCT: RecordType[Product] = RecordType(
    object="product",
    plural="products",
    module="catalog",
    model=Product,
    read=ProductRead,
    create=ProductCreate,
    update=ProductUpdate,
    service=ProductService,
    search=Search(names=("code", "name", "name_en")),
    default_sort=(("name", False),),
    upsert_keys=("external_id", "code"),
    labels={
        "code": ("sku", "product code", "编码", "产品编码", "货号"),
        "name": ("product", "product name", "名称", "产品名称", "产品"),
        "name_en": ("english name", "英文名称"),
        "description": ("描述", "说明"),
        "unit": ("单位",),
        "tax_class": ("税类",),
        "charge": ("计费方式",),
        "stocked": ("库存管理",),
        "status": ("状态",),
        "prices": ("价目",),
        "costs": ("成本",),
        "warranty_months": ("保修月数",),
    },
    default_scopes=KEPT_BY_MANAGERS,
)
ProductService.record = PRODUCT
