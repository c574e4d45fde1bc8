"""The knowledge base: articles, what was published of them, what they are found by, what readers say."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.models import Base, RecordTable, TenantOwned, Versioned, module_ref, one_of


class ArticleStatus(StrEnum):
    """Where the text of an article stands. What readers see is its published version, whatever this says."""

    DRAFT = "draft"
    IN_REVIEW = "in_review"
    PUBLISHED = "published"
    ARCHIVED = "archived"


class ArticleAudience(StrEnum):
    """Who may read what was published: the company's people, its customers as well, or everybody."""

    INTERNAL = "internal"
    CUSTOMERS = "customers"
    PUBLIC = "public"


class ArticleLanguage(StrEnum):
    EN = "en"
    ZH = "zh"


class Article(RecordTable):
    """An article as it is written on; `published_version` is the number of the version that readers see.

    `title_terms` counts the terms of the published title. A translation names its original, which names none.
    """

    __tablename__ = "articles"
    __table_args__ = (
        one_of("status", ArticleStatus),
        one_of("audience", ArticleAudience),
        one_of("language", ArticleLanguage),
        {"schema": "after_sales"},
    )

    title: Mapped[str]
    summary: Mapped[str | None]
    body: Mapped[str]
    language: Mapped[str]
    audience: Mapped[str]
    status: Mapped[str]
    category_id: Mapped[UUID | None]
    product_id: Mapped[UUID | None] = module_ref("catalog.products", on_delete="keep")
    translation_of_id: Mapped[UUID | None]
    public_key: Mapped[str]
    review_note: Mapped[str | None]
    last_version: Mapped[int]
    published_version: Mapped[int | None]
    published_at: Mapped[datetime | None]
    title_terms: Mapped[int] = mapped_column(info={"derived": True})


class ArticleVersion(TenantOwned):
    """An article as it was published; a version never changes."""

    __tablename__ = "article_versions"
    __table_args__ = ({"schema": "after_sales"},)

    article_id: Mapped[UUID]
    number: Mapped[int]
    title: Mapped[str]
    summary: Mapped[str | None]
    body: Mapped[str]
    created_at: Mapped[datetime]
    created_by: Mapped[UUID | None]


class ArticleTerm(Base):
    """A term of a published version, and whether its title has it."""

    __tablename__ = "article_terms"
    __table_args__ = ({"schema": "after_sales"},)

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    term: Mapped[str] = mapped_column(primary_key=True)
    article_id: Mapped[UUID] = mapped_column(primary_key=True)
    in_title: Mapped[bool]


class ArticleCategory(Versioned):
    """What articles are filed under."""

    __tablename__ = "article_categories"
    __table_args__ = ({"schema": "after_sales"},)

    name_en: Mapped[str]
    name_zh: Mapped[str | None]
    position: Mapped[int]


class ArticleFeedback(TenantOwned):
    """What one person says of an article: a member, or a stranger who is known by a keyed hash only."""

    __tablename__ = "article_feedback"
    __table_args__ = ({"schema": "after_sales"},)

    article_id: Mapped[UUID]
    version_number: Mapped[int]
    member_id: Mapped[UUID | None]
    reader_hash: Mapped[bytes | None] = mapped_column(info={"secret": True})
    helpful: Mapped[bool]
    comment: Mapped[str | None]
    created_at: Mapped[datetime]


class ArticleAnswer(TenantOwned):
    """An article that answered a case without a person, once per case; handed over when the customer wrote back."""

    __tablename__ = "article_answers"
    __table_args__ = ({"schema": "after_sales"},)

    case_id: Mapped[UUID]
    article_id: Mapped[UUID]
    version_number: Mapped[int]
    confidence: Mapped[Decimal]
    comment_id: Mapped[UUID]
    answered_at: Mapped[datetime]
    handed_over_at: Mapped[datetime | None]


class KnowledgeSettings(Versioned):
    """Whether cases are answered by an article without a person; without a row they are not."""

    __tablename__ = "knowledge_settings"
    __table_args__ = ({"schema": "after_sales"},)

    auto_answer: Mapped[bool]
    auto_answer_confidence: Mapped[Decimal]
