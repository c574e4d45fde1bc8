"""Categories: a tree without loops, at most ten levels deep."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from uuid import UUID

from app.kernel.access import Scope
from app.kernel.errors import Invalid
from app.kernel.imports.rules import ImportRules
from app.kernel.locks import lock_name
from app.kernel.records import RecordService, RecordType, Search
from app.modules.catalog.interface import CatalogEntryInUse, CategoryLoop, CategoryTooDeep
from app.modules.catalog.models import Category
from app.modules.catalog.schemas import ProductCategoryCreate, ProductCategoryRead, ProductCategoryUpdate
from app.modules.catalog.services.measures import require_unused

MAX_LEVELS = 10
_KEEPERS = {"owner": Scope.ALL, "admin": Scope.ALL, "manager": Scope.ALL}
_READERS = _KEEPERS | {"salesperson": Scope.ALL, "viewer": Scope.ALL}
KEPT_BY_MANAGERS = {
    "read": _READERS,
    "create": _KEEPERS,
    "update": _KEEPERS,
    "delete": _KEEPERS,
    "assign": _KEEPERS,
    "share": _KEEPERS,
    "import": _KEEPERS,
    "export": _KEEPERS,
}
"""The catalogue is one for all: whoever sells reads it, managers keep it."""


class CategoryService(ImportRules, RecordService[Category]):
    """Categories; writers of the tree wait for each other, so that two moves make no loop."""

    record: ClassVar[RecordType[Any]]

    async def before_create(self, values: dict[str, Any]) -> None:
        if values.get("parent_id") is not None:
            await self._check_parent(values["parent_id"], None)

    async def before_update(self, row: Category, changes: dict[str, Any]) -> None:
        if changes.get("parent_id") is not None:
            await self._check_parent(changes["parent_id"], row.id)

    async def before_restore(self, row: Category, before: Mapping[str, Any]) -> None:
        """No category goes back under one that lies below it by now."""
        if before.get("parent_id") is not None:
            await self._check_parent(before["parent_id"], row.id)

    async def before_delete(self, row: Category) -> None:
        """Raises `CatalogEntryInUse` while it holds products or categories."""
        await lock_name(self.uow, "catalog.categories")
        await self.uow.fetch(
            "SELECT 1 FROM catalog.categories WHERE tenant_id = $1 AND id = $2 FOR UPDATE",
            row.tenant_id,
            row.id,
        )
        await require_unused(self.uow, "category_id", row.id)
        below = await self.uow.fetch(
            "SELECT id FROM catalog.categories WHERE tenant_id = $1 AND parent_id = $2 AND deleted_at IS NULL",
            row.tenant_id,
            row.id,
        )
        if below:
            raise CatalogEntryInUse(
                f"{len(below)} categories are part of it.", used_by={"product_categories": len(below)}
            )

    async def _check_parent(self, parent_id: UUID, id: UUID | None) -> None:
        await lock_name(self.uow, "catalog.categories")
        found = await self.uow.fetchrow(_LEVELS, self.uow.tenant_id, parent_id, id, MAX_LEVELS)
        above, below, loops = found or (0, 0, False)
        if not above:
            raise Invalid.at("/parent_id", "unknown_reference", "There is no category with this id.")
        if loops:
            raise CategoryLoop
        if above + below > MAX_LEVELS:
            raise CategoryTooDeep(f"At most {MAX_LEVELS} levels.", levels=MAX_LEVELS)


# One level more than allowed is walked, so that too deep shows; a loop, should there be one, ends there too.
_LEVELS = """
WITH RECURSIVE up AS (
  SELECT id, parent_id, 1 AS level FROM catalog.categories
  WHERE tenant_id = $1 AND id = $2 AND deleted_at IS NULL
  UNION ALL
  SELECT t.id, t.parent_id, up.level + 1 FROM catalog.categories t JOIN up ON t.id = up.parent_id
  WHERE t.tenant_id = $1 AND up.level <= $4
), down AS (
  SELECT $3::uuid AS id, 1 AS level
  UNION ALL
  SELECT t.id, down.level + 1 FROM catalog.categories t JOIN down ON t.parent_id = down.id
  WHERE t.tenant_id = $1 AND t.deleted_at IS NULL AND down.level <= $4
)
SELECT (SELECT coalesce(max(level), 0) FROM up), (SELECT coalesce(max(level), 1) FROM down),
  EXISTS (SELECT 1 FROM up WHERE id = $3)"""

PRODUCT_CATEGORY: RecordType[Category] = RecordType(
    object="product_category",
    plural="product_categories",
    module="catalog",
    model=Category,
    read=ProductCategoryRead,
    create=ProductCategoryCreate,
    update=ProductCategoryUpdate,
    service=CategoryService,
    search=Search(names=("name", "name_en")),
    default_sort=(("position", False), ("name", False)),
    labels={"name": ("category", "类别", "名称"), "name_en": ("english name", "英文名称")},
    default_scopes=KEPT_BY_MANAGERS,
)
CategoryService.record = PRODUCT_CATEGORY
