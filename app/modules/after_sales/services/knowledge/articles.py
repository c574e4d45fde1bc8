"""Articles as records: drafts are written on, reviewed and published as versions that never change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final
from uuid import UUID

from pydantic import BaseModel

from app.kernel.access import Scope
from app.kernel.errors import Invalid, NotFound, require_version
from app.kernel.links import new_key
from app.kernel.records import RecordService, RecordType, Search
from app.kernel.validation import refuse_nulls
from app.modules.after_sales.interface import (
    ArticleArchived,
    ArticleInUse,
    ArticleLocked,
    ArticlePublished,
)
from app.modules.after_sales.models.knowledge import (
    Article,
    ArticleCategory,
    ArticleStatus,
    ArticleVersion,
)
from app.modules.after_sales.schemas.knowledge import ArticleCreate, ArticleRead, ArticleUpdate
from app.modules.after_sales.services.knowledge.states import ARCHIVED, DRAFT, MACHINE
from app.modules.after_sales.services.knowledge.terms import found_by, terms_of
from app.modules.catalog.interface import Catalog

_TEXT: Final = frozenset({"title", "summary", "body", "language", "translation_of_id", "product_id"})
"""What a review looks at: it changes in drafts only."""


class ArticleService(RecordService[Article]):
    """Articles; readers see nothing but published versions."""

    record: ClassVar[RecordType[Any]]

    # -- writing -------------------------------------------------------------------------------------------

    def _columns(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """As every record; the language may be left open."""
        return super()._columns({n: v for n, v in given.items() if v is not None or n != "language"})

    async def before_create(self, values: dict[str, Any]) -> None:
        values.setdefault("language", self.actor.tenant.language)
        values |= {
            "status": DRAFT.value,
            "public_key": new_key(self.uow.tenant_id),
            "last_version": 0,
            "title_terms": 0,
        }
        await self._check_references(values, set(values))

    async def change(self, row: Article, given: Mapping[str, Any], *, action: str = "updated") -> Article:
        refuse_nulls({"language": given.get("language", row.language)})
        return await super().change(row, given, action=action)

    async def before_update(self, row: Article, changes: dict[str, Any]) -> None:
        """The text of a draft only; who may read what is published is for those who publish."""
        changed = {name for name, value in changes.items() if getattr(row, name) != value}
        if row.status != DRAFT and changed & _TEXT:
            raise ArticleLocked(
                f"It is {row.status.replace('_', ' ')}: revise it first.", status_now=row.status
            )
        if "audience" in changed and row.published_version is not None:
            self.actor.require("article:publish")
        await self._check_references(changes, changed, row)

    async def before_delete(self, row: Article) -> None:
        translated = await self.uow.fetchrow(
            "SELECT 1 FROM after_sales.articles WHERE tenant_id = $1 AND translation_of_id = $2"
            " AND deleted_at IS NULL LIMIT 1",
            row.tenant_id,
            row.id,
        )
        if row.published_version is not None or translated is not None:
            raise ArticleInUse

    async def _check_references(
        self, values: dict[str, Any], changed: set[str], row: Article | None = None
    ) -> None:
        """Raises `Invalid` for a category, product or original that is not there."""
        category, product = values.get("category_id"), values.get("product_id")
        if "category_id" in changed and category is not None:
            await self._require_category(category)
        if "product_id" in changed and product is not None:
            await self._require_product(product)
        original = values.get("translation_of_id")
        if "translation_of_id" in changed and original is not None:
            values["translation_of_id"] = await self._original(original, row)

    async def _require_category(self, id: UUID) -> None:
        if await self.uow.find(ArticleCategory, id, lock="share") is None:
            raise _unknown("category_id", "category")

    async def _require_product(self, id: UUID) -> None:
        if not await self.uow.of(Catalog).get_many([id], hold=True):
            raise _unknown("product_id", "product")

    async def _original(self, id: UUID, row: Article | None) -> UUID:
        """The article that others are translations of, whichever of them is named."""
        found = (await self.get_many([id])).get(id)
        if found is None:
            raise _unknown("translation_of_id", "article")
        original = found.translation_of_id or found.id
        if row is not None and original == row.id:
            raise Invalid.at("/translation_of_id", "own_translation", "It would be a translation of itself.")
        if row is not None:
            own = await self.uow.fetchrow(
                "SELECT 1 FROM after_sales.articles WHERE tenant_id = $1 AND translation_of_id = $2"
                " AND deleted_at IS NULL LIMIT 1",
                row.tenant_id,
                row.id,
            )
            if own is not None:
                raise Invalid.at("/translation_of_id", "has_translations", "It has translations of its own.")
        return original

    # -- the way to readers --------------------------------------------------------------------------------

    async def step(
        self, id: UUID, action: str, *, expected_version: int, may: str = "update", note: str | None = None
    ) -> Article:
        """Take a step. Raises `NotFound`, `Forbidden`, `StaleVersion`, `InvalidTransition`."""
        row = await self.get(id, action=may, lock="update")
        require_version(row.version, expected=expected_version)
        state = MACHINE.next(ArticleStatus(row.status), action)
        changes: dict[str, Any] = {"status": state.value}
        if action in ("return", "submit"):
            changes["review_note"] = note
        if state is ARCHIVED:
            changes |= {"published_version": None, "published_at": None, "title_terms": 0}
            await self._forget_terms(row.id)
            if row.published_version is not None:
                self.uow.publish(ArticleArchived(id=row.id))
        return await self.write(row, changes, action=action)

    async def publish(self, id: UUID, *, expected_version: int) -> Article:
        """Let readers see the text as it is. Raises as `step`."""
        row = await self.get(id, action="publish", lock="update")
        require_version(row.version, expected=expected_version)
        state = MACHINE.next(ArticleStatus(row.status), "publish")
        number = row.last_version + 1
        await self.uow.insert(
            ArticleVersion,
            article_id=row.id,
            number=number,
            title=row.title,
            summary=row.summary,
            body=row.body,
            created_by=self.actor.member_id,
        )
        await self._learn_terms(row)
        self.uow.publish(
            ArticlePublished(id=row.id, version_number=number, language=row.language, audience=row.audience)
        )
        changes = {
            "status": state.value,
            "review_note": None,
            "last_version": number,
            "published_version": number,
            "published_at": self.uow.now,
            "title_terms": len(terms_of(row.title)),
        }
        return await self.write(row, changes, action="publish")

    async def _learn_terms(self, row: Article) -> None:
        await self._forget_terms(row.id)
        title = set(found_by(row.title))
        terms = [*title, *(t for t in found_by(f"{row.summary or ''}\n{row.body}") if t not in title)]
        await self.uow.fetch(
            "INSERT INTO after_sales.article_terms (tenant_id, term, article_id, in_title)"
            " SELECT $1, n.term, $2, n.in_title FROM unnest($3::text[], $4::boolean[]) AS n(term, in_title)",
            row.tenant_id,
            row.id,
            terms,
            [term in title for term in terms],
        )

    async def _forget_terms(self, id: UUID) -> None:
        await self.uow.fetch(
            "DELETE FROM after_sales.article_terms WHERE tenant_id = $1 AND article_id = $2",
            self.uow.tenant_id,
            id,
        )

    # -- reading -------------------------------------------------------------------------------------------

    async def versions(self, id: UUID) -> list[ArticleVersion]:
        """All that was published, newest first. Raises `NotFound`."""
        await self.get(id)
        statement = self.uow.select(ArticleVersion).where(ArticleVersion.article_id == id)
        return await self.uow.all(statement.order_by(ArticleVersion.number.desc()))

    async def version(self, id: UUID, number: int) -> ArticleVersion:
        """Raises `NotFound`."""
        await self.get(id)
        found = await self.uow.first(
            self.uow.select(ArticleVersion).where(
                ArticleVersion.article_id == id, ArticleVersion.number == number
            )
        )
        if found is None:
            raise NotFound
        return found

    def shown(self, row: ArticleVersion, shape: type[BaseModel]) -> dict[str, Any]:
        """A version without the texts that the actor's role hides."""
        hidden = self.actor.hidden("article")
        emptied = {"title": "…", "summary": None, "body": "…"}
        return {
            name: emptied[name] if name in hidden and name in emptied else getattr(row, name)
            for name in shape.model_fields
        }

    async def translations(self, id: UUID) -> Sequence[Article]:
        """The others that say the same, as far as the actor sees them. Raises `NotFound`."""
        row = await self.get(id)
        rows = await self.uow.fetch(
            "SELECT id FROM after_sales.articles WHERE tenant_id = $1 AND deleted_at IS NULL AND id <> $3"
            " AND (id = $2 OR translation_of_id = $2)",
            row.tenant_id,
            row.translation_of_id or row.id,
            row.id,
        )
        found = await self.get_many([other["id"] for other in rows])
        return sorted(found.values(), key=lambda one: one.language)


def _unknown(name: str, noun: str) -> Invalid:
    return Invalid.at(f"/{name}", "unknown_reference", f"There is no {noun} with this id.")


_EVERYBODY = {"owner": Scope.ALL, "admin": Scope.ALL, "manager": Scope.ALL, "salesperson": Scope.ALL}

ARTICLE: RecordType[Article] = RecordType(
    object="article",
    plural="articles",
    module="after_sales",
    model=Article,
    read=ArticleRead,
    create=ArticleCreate,
    update=ArticleUpdate,
    service=ArticleService,
    title="title",
    search=Search(names=("title",)),
    importable=False,
    default_scopes={"read": _EVERYBODY | {"viewer": Scope.ALL}},
    labels={
        "title": ("article", "标题", "文章标题"),
        "audience": ("读者范围",),
        "audience.internal": ("internal", "内部"),
        "audience.customers": ("customers", "客户"),
        "audience.public": ("public", "公开"),
        "status": ("状态",),
    },
)
ArticleService.record = ARTICLE
