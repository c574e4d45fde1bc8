"""Bundles: groups of components that are sold together, one level deep. A bundle is written whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from app.kernel.errors import Conflict, FieldError, Invalid, require_version
from app.kernel.ids import new_id
from app.kernel.locks import lock_name
from app.kernel.money import UnitPrice
from app.kernel.uow import UnitOfWork
from app.modules.catalog.models import Product
from app.modules.catalog.models.configuration import BundleComponent, BundleGroup, ComponentPricing
from app.modules.catalog.schemas.configuration import (
    BundleInput,
    BundleRead,
    ComponentInput,
    ComponentRead,
    GroupInput,
    GroupRead,
)
from app.modules.catalog.services.products import PRODUCT, ProductService


class BundleService:
    """What bundles are made of. Writers of bundles wait for each other, so that none ends up inside another."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._products = ProductService(uow)

    async def get(self, id: UUID) -> BundleRead:
        """The groups in their order; none where the product is no bundle. Raises `NotFound`."""
        row = await self._products.get(id)
        return BundleRead(product_id=id, version=row.version, groups=await self._groups(id))

    async def replace(self, id: UUID, body: BundleInput, *, expected_version: int) -> BundleRead:
        """Make the product a bundle of these groups, or none.

        Raises: `NotFound`; `StaleVersion`; `Conflict`; `Invalid`, with every component that does not fit.
        """
        row = await self._products.get(id, action="update", lock="update")
        require_version(row.version, expected=expected_version)
        await lock_name(self._uow, "catalog.bundles")
        if body.groups:
            await self._check(row, body.groups)
        before = await self._groups(id)
        await self._uow.fetch(
            "DELETE FROM catalog.bundle_groups WHERE tenant_id = $1 AND bundle_id = $2",
            self._uow.tenant_id,
            id,
        )
        await self._write(id, body.groups)
        after = await self._groups(id)
        version = row.version
        if before != after:
            version = await self._tell(row, before, after)
        return BundleRead(product_id=id, version=version, groups=after)

    async def _check(self, row: Product, groups: Sequence[GroupInput]) -> None:
        if row.options:
            raise Conflict("A product with options is no bundle: its variants may be.")
        outer = await self._uow.fetchrow(
            "SELECT 1 FROM catalog.bundle_components WHERE tenant_id = $1 AND product_id = $2 LIMIT 1",
            self._uow.tenant_id,
            row.id,
        )
        if outer is not None:
            raise Conflict("It is a component of another bundle.")
        ids = [one.product_id for group in groups for one in group.components]
        found = await self._uow.fetch(
            "SELECT id, is_bundle FROM catalog.products WHERE tenant_id = $1 AND id = ANY($2::uuid[])"
            " AND deleted_at IS NULL ORDER BY id FOR KEY SHARE",
            self._uow.tenant_id,
            ids,
        )
        bundles = {one["id"]: one["is_bundle"] for one in found}
        errors = [
            error
            for place, group in enumerate(groups)
            for index, one in enumerate(group.components)
            if (error := _wrong(one, row.id, bundles, f"/groups/{place}/components/{index}/product_id"))
        ]
        if errors:
            raise Invalid(errors[0].detail, errors=errors)

    async def _write(self, bundle_id: UUID, groups: Sequence[GroupInput]) -> None:
        ids = [new_id() for _ in groups]
        await self._uow.insert_many(
            BundleGroup,
            [
                {
                    "id": id,
                    "bundle_id": bundle_id,
                    "position": place,
                    **group.model_dump(exclude={"components"}),
                }
                for place, (id, group) in enumerate(zip(ids, groups, strict=True))
            ],
        )
        await self._uow.insert_many(
            BundleComponent,
            [
                {
                    "id": new_id(),
                    "bundle_id": bundle_id,
                    "group_id": id,
                    "position": place,
                    **_stored(one),
                }
                for id, group in zip(ids, groups, strict=True)
                for place, one in enumerate(group.components)
            ],
        )

    async def _tell(self, row: Product, before: Sequence[GroupRead], after: Sequence[GroupRead]) -> int:
        """The components are part of the product's state, so its version moves with them."""
        changed = await self._uow.fetchrow(
            "UPDATE catalog.products SET is_bundle = $3, version = version + 1, updated_at = $4"
            " WHERE tenant_id = $1 AND id = $2 RETURNING version",
            row.tenant_id,
            row.id,
            bool(after),
            self._uow.now,
        )
        version = int(changed[0]) if changed else row.version
        shown = [[group.model_dump(mode="json") for group in groups] for groups in (before, after)]
        self._uow.record_audit("product", row.id, "bundle_replaced", {"bundle": shown})
        self._uow.publish_record(PRODUCT.updated, row.id, version, changed=["bundle"])
        return version

    async def _groups(self, id: UUID) -> list[GroupRead]:
        rows = await self._uow.fetch(_READ, self._uow.tenant_id, id)
        found: dict[UUID, tuple[Any, list[ComponentRead]]] = {}
        for row in rows:
            _, components = found.setdefault(row["group_id"], (row, []))
            components.append(_read(row))
        return [
            GroupRead(
                name=row["group_name"],
                name_en=row["group_name_en"],
                min_components=row["min_components"],
                max_components=row["max_components"],
                components=components,
            )
            for row, components in found.values()
        ]


def _wrong(
    one: ComponentInput, bundle_id: UUID, bundles: Mapping[UUID, bool], pointer: str
) -> FieldError | None:
    if one.product_id not in bundles:
        return FieldError(pointer, "unknown_reference", "There is no product with this id.")
    if one.product_id == bundle_id or bundles[one.product_id]:
        return FieldError(pointer, "nested_bundle", "A bundle is no component of a bundle.")
    return None


def _stored(one: ComponentInput) -> dict[str, Any]:
    values = one.model_dump(exclude={"fixed_prices", "pricing"})
    return values | {
        "pricing": one.pricing.value,
        "fixed_prices": [price.to_wire() for price in one.fixed_prices],
    }


def _read(row: Any) -> ComponentRead:
    return ComponentRead(
        product_id=row["product_id"],
        product_code=row["code"],
        product_name=row["name"],
        required=row["required"],
        min_quantity=row["min_quantity"],
        max_quantity=row["max_quantity"],
        default_quantity=row["default_quantity"],
        pricing=ComponentPricing(row["pricing"]),
        fixed_prices=[UnitPrice.from_major(**price) for price in row["fixed_prices"]],
    )


_READ = """
SELECT g.id AS group_id, g.name AS group_name, g.name_en AS group_name_en, g.min_components, g.max_components,
  c.product_id, p.code, p.name, c.required, c.min_quantity, c.max_quantity, c.default_quantity, c.pricing,
  c.fixed_prices
FROM catalog.bundle_groups g
JOIN catalog.bundle_components c ON c.tenant_id = g.tenant_id AND c.group_id = g.id
JOIN catalog.products p ON p.tenant_id = c.tenant_id AND p.id = c.product_id
WHERE g.tenant_id = $1 AND g.bundle_id = $2
ORDER BY g.position, c.position"""
