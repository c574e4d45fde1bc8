"""What readers say of articles: whether one helped, once per person."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from app.kernel.errors import Forbidden
from app.kernel.ids import new_id
from app.kernel.listing import Bindings
from app.kernel.log_pages import NEWEST, fetch_page
from app.kernel.uow import UnitOfWork
from app.modules.after_sales.interface import ArticleLocked, ArticleRated
from app.modules.after_sales.models.knowledge import Article
from app.modules.after_sales.schemas.knowledge import (
    ArticleFeedbackInput,
    ArticleFeedbackPage,
    ArticleFeedbackRead,
)
from app.modules.after_sales.services.knowledge.articles import ArticleService

_COLUMNS: Final = "id, version_number, member_id, helpful, comment, created_at"


class ArticleFeedbackService:
    """Taking and showing feedback."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def of_member(self, article_id: UUID, given: ArticleFeedbackInput) -> ArticleFeedbackRead:
        """What the actor says of what is published; saying it again takes the place of what they said before.

        Raises: `NotFound`; `ArticleLocked` where nothing is published; `Forbidden` for who is no member.
        """
        me = self._uow.actor.member_id
        if me is None:
            raise Forbidden("Only members say whether an article helped them.")
        row = await ArticleService(self._uow).get(article_id)
        if row.published_version is None:
            raise ArticleLocked("Nothing of it is published.", status_now=row.status)
        found = await self._uow.fetch(
            "INSERT INTO after_sales.article_feedback AS f"
            " (tenant_id, id, article_id, version_number, member_id, helpful, comment, created_at)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (tenant_id, article_id, member_id) DO UPDATE SET"
            " version_number = excluded.version_number, helpful = excluded.helpful, comment = excluded.comment,"
            f" created_at = excluded.created_at RETURNING {_COLUMNS}",
            *self._values(row, me, given),
        )
        self._rated(row, given)
        return ArticleFeedbackRead.model_validate(dict(found[0]))

    async def of_reader(self, row: Article, reader_hash: bytes, given: ArticleFeedbackInput) -> bool:
        """What a reader of the public page says; the first stands. Whether this was it."""
        found = await self._uow.fetch(
            "INSERT INTO after_sales.article_feedback"
            " (tenant_id, id, article_id, version_number, reader_hash, helpful, comment, created_at)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (tenant_id, article_id, reader_hash) DO NOTHING"
            " RETURNING id",
            *self._values(row, reader_hash, given),
        )
        if found:
            self._rated(row, given)
        return bool(found)

    def _values(self, row: Article, who: UUID | bytes, given: ArticleFeedbackInput) -> tuple[object, ...]:
        return (
            row.tenant_id,
            new_id(),
            row.id,
            row.published_version,
            who,
            given.helpful,
            given.comment,
            self._uow.now,
        )

    def _rated(self, row: Article, given: ArticleFeedbackInput) -> None:
        self._uow.record_audit("article", row.id, "rated", {"helpful": [None, given.helpful]})
        self._uow.publish(ArticleRated(id=row.id, member_id=self._uow.actor.member_id, helpful=given.helpful))

    async def page(self, article_id: UUID, *, limit: int, cursor: str | None) -> ArticleFeedbackPage:
        """What was said, newest first, with the counts of all. Raises `NotFound`, `InvalidCursor`."""
        uow = self._uow
        await ArticleService(uow).get(article_id)
        found = await fetch_page(
            uow,
            f"SELECT {_COLUMNS} FROM after_sales.article_feedback WHERE tenant_id = $1 AND article_id = $2",
            Bindings(uow.tenant_id, article_id),
            NEWEST,
            name=f"article_feedback:{article_id}",
            limit=limit,
            cursor=cursor,
        )
        counts = await uow.fetchrow(
            "SELECT count(*) FILTER (WHERE helpful) AS helpful, count(*) FILTER (WHERE NOT helpful) AS unhelpful"
            " FROM after_sales.article_feedback WHERE tenant_id = $1 AND article_id = $2",
            uow.tenant_id,
            article_id,
        )
        return ArticleFeedbackPage(
            data=[
                ArticleFeedbackRead.model_validate({n: row[n] for n in ArticleFeedbackRead.model_fields})
                for row in found.rows
            ],
            **found.onward,
            helpful=counts["helpful"] if counts else 0,
            unhelpful=counts["unhelpful"] if counts else 0,
        )
