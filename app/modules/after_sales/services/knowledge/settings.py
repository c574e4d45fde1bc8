"""Categories of articles, and whether articles answer cases by themselves."""

from __future__ import annotations

from uuid import UUID

from app.kernel.errors import require_version
from app.kernel.locks import lock_name
from app.kernel.uow import UnitOfWork
from app.modules.after_sales.interface import CategoryInUse
from app.modules.after_sales.models.knowledge import ArticleCategory, KnowledgeSettings
from app.modules.after_sales.schemas.knowledge import (
    ArticleCategoryCreate,
    ArticleCategoryRead,
    ArticleCategoryUpdate,
    KnowledgeSettingsInput,
    KnowledgeSettingsRead,
)

CATEGORY = "article_category"
SETTINGS = "knowledge_settings"


class CategoryService:
    """What articles are filed under."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def all(self) -> list[ArticleCategoryRead]:
        """In their order."""
        statement = self._uow.select(ArticleCategory)
        rows = await self._uow.all(statement.order_by(ArticleCategory.position, ArticleCategory.name_en))
        return [_read(row) for row in rows]

    async def get(self, id: UUID) -> ArticleCategoryRead:
        """Raises `NotFound`."""
        return _read(await self._uow.get(ArticleCategory, id))

    async def create(self, body: ArticleCategoryCreate) -> ArticleCategoryRead:
        """Raises `DuplicateValue`."""
        return _read(await self._uow.insert(ArticleCategory, audit=CATEGORY, **body.model_dump()))

    async def update(
        self, id: UUID, body: ArticleCategoryUpdate, *, expected_version: int
    ) -> ArticleCategoryRead:
        """Raises `NotFound`, `StaleVersion`, `DuplicateValue`."""
        row = await self._uow.get(ArticleCategory, id, lock="update")
        require_version(row.version, expected=expected_version)
        changes = {name: getattr(body, name) for name in body.model_fields_set}
        return _read(await self._uow.update(row, audit=CATEGORY, **changes))

    async def delete(self, id: UUID, *, expected_version: int) -> None:
        """Raises `NotFound`, `StaleVersion`; `CategoryInUse`."""
        row = await self._uow.get(ArticleCategory, id, lock="exclusive")
        require_version(row.version, expected=expected_version)
        used = await self._uow.fetchrow(
            "SELECT count(*) FILTER (WHERE deleted_at IS NULL) AS live FROM after_sales.articles"
            " WHERE tenant_id = $1 AND category_id = $2",
            row.tenant_id,
            id,
        )
        if used is not None and used["live"]:
            raise CategoryInUse(articles=used["live"])
        await self._uow.fetch(
            "UPDATE after_sales.articles SET category_id = NULL WHERE tenant_id = $1 AND category_id = $2",
            row.tenant_id,
            id,
        )
        await self._uow.delete(row, audit=CATEGORY)


class KnowledgeSettingsService:
    """One row of a company, or none."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def get(self) -> KnowledgeSettingsRead:
        return _settings(await self._row())

    async def set(self, body: KnowledgeSettingsInput, *, expected_version: int) -> KnowledgeSettingsRead:
        """Raises `StaleVersion`."""
        await lock_name(self._uow, "after_sales.knowledge_settings")
        row = await self._row()
        require_version(row.version if row else 0, expected=expected_version)
        if row is None:
            return _settings(await self._uow.insert(KnowledgeSettings, audit=SETTINGS, **body.model_dump()))
        return _settings(await self._uow.update(row, audit=SETTINGS, **body.model_dump()))

    async def _row(self) -> KnowledgeSettings | None:
        return await self._uow.first(self._uow.select(KnowledgeSettings))


def _read(row: ArticleCategory) -> ArticleCategoryRead:
    return ArticleCategoryRead.model_validate(
        {name: getattr(row, name) for name in ArticleCategoryRead.model_fields}
    )


def _settings(row: KnowledgeSettings | None) -> KnowledgeSettingsRead:
    if row is None:
        default = KnowledgeSettingsInput(auto_answer=False)
        return KnowledgeSettingsRead(version=0, **default.model_dump())
    return KnowledgeSettingsRead.model_validate(
        {name: getattr(row, name) for name in KnowledgeSettingsRead.model_fields}
    )
