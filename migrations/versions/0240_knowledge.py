"""The knowledge base: articles, published versions, search terms, categories, feedback, settings.

Revision ID: 0240
Revises: 0235
"""

from __future__ import annotations

from alembic import op

from migrations.support import create_schema, protect, record_columns, record_indexes

revision = "0240"
down_revision = "0235"
branch_labels = None
depends_on = None

_VERSIONED = """
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL"""


def upgrade() -> None:
    """Create the tables of the knowledge base."""
    create_schema("after_sales")
    _categories()
    _articles()
    _versions()
    _feedback()
    _settings()


def _categories() -> None:
    op.execute(
        f"""
CREATE TABLE after_sales.article_categories (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  name_en text NOT NULL,
  name_zh text,
  position bigint NOT NULL,{_VERSIONED},
  CONSTRAINT pk_article_categories PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_article_categories_name_en UNIQUE (tenant_id, name_en)
)"""
    )
    protect("after_sales.article_categories")


def _articles() -> None:
    op.execute(
        f"""
CREATE TABLE after_sales.articles (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  title text NOT NULL,
  summary text,
  body text NOT NULL,
  language text NOT NULL,
  audience text NOT NULL,
  status text NOT NULL,
  category_id uuid,
  product_id uuid,
  translation_of_id uuid,
  public_key text NOT NULL,
  review_note text,
  last_version bigint NOT NULL DEFAULT 0,
  published_version bigint,
  published_at timestamptz,
  title_terms bigint NOT NULL DEFAULT 0,
{record_columns()},
  CONSTRAINT pk_articles PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_articles_public_key UNIQUE (tenant_id, public_key),
  CONSTRAINT fk_articles_category_id FOREIGN KEY (tenant_id, category_id)
    REFERENCES after_sales.article_categories (tenant_id, id),
  CONSTRAINT fk_articles_translation_of_id FOREIGN KEY (tenant_id, translation_of_id)
    REFERENCES after_sales.articles (tenant_id, id),
  CONSTRAINT ck_articles_language CHECK (language IN ('en', 'zh')),
  CONSTRAINT ck_articles_audience CHECK (audience IN ('internal', 'customers', 'public')),
  CONSTRAINT ck_articles_status CHECK (status IN ('draft', 'in_review', 'published', 'archived')),
  CONSTRAINT ck_articles_translation_of_id CHECK (translation_of_id <> id),
  CONSTRAINT ck_articles_published_version CHECK (
    (published_version IS NULL) = (published_at IS NULL) AND published_version BETWEEN 1 AND last_version
    AND (status <> 'published' OR published_version IS NOT NULL)
    AND (status <> 'archived' OR published_version IS NULL))
)"""
    )
    protect("after_sales.articles", record=True)
    record_indexes("after_sales.articles", ("title", "status", "published_at"))
    live = "WHERE deleted_at IS NULL"
    op.execute(
        "CREATE UNIQUE INDEX uq_articles_language ON after_sales.articles"
        f" (tenant_id, (coalesce(translation_of_id, id)), language) {live}"
    )
    op.execute(
        "CREATE INDEX ix_articles_category_id ON after_sales.articles (tenant_id, category_id, created_at, id)"
        f" {live} AND category_id IS NOT NULL"
    )


def _versions() -> None:
    op.execute(
        """
CREATE TABLE after_sales.article_versions (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  article_id uuid NOT NULL,
  number bigint NOT NULL,
  title text NOT NULL,
  summary text,
  body text NOT NULL,
  created_at timestamptz NOT NULL,
  created_by uuid,
  CONSTRAINT pk_article_versions PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_article_versions_number UNIQUE (tenant_id, article_id, number),
  CONSTRAINT fk_article_versions_article_id FOREIGN KEY (tenant_id, article_id)
    REFERENCES after_sales.articles (tenant_id, id)
)"""
    )
    protect("after_sales.article_versions", append_only=True)
    op.execute(
        """
CREATE TABLE after_sales.article_terms (
  tenant_id uuid NOT NULL,
  term text NOT NULL,
  article_id uuid NOT NULL,
  in_title boolean NOT NULL,
  CONSTRAINT pk_article_terms PRIMARY KEY (tenant_id, term, article_id),
  CONSTRAINT fk_article_terms_article_id FOREIGN KEY (tenant_id, article_id)
    REFERENCES after_sales.articles (tenant_id, id)
)"""
    )
    protect("after_sales.article_terms")
    op.execute(
        "CREATE INDEX ix_article_terms_article_id ON after_sales.article_terms (tenant_id, article_id)"
    )


def _feedback() -> None:
    op.execute(
        """
CREATE TABLE after_sales.article_feedback (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  article_id uuid NOT NULL,
  version_number bigint NOT NULL,
  member_id uuid,
  reader_hash bytea,
  helpful boolean NOT NULL,
  comment text,
  created_at timestamptz NOT NULL,
  CONSTRAINT pk_article_feedback PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_article_feedback_member_id UNIQUE (tenant_id, article_id, member_id),
  CONSTRAINT uq_article_feedback_reader_hash UNIQUE (tenant_id, article_id, reader_hash),
  CONSTRAINT fk_article_feedback_article_id FOREIGN KEY (tenant_id, article_id)
    REFERENCES after_sales.articles (tenant_id, id),
  CONSTRAINT ck_article_feedback_reader_hash CHECK ((member_id IS NULL) <> (reader_hash IS NULL))
)"""
    )
    protect("after_sales.article_feedback")
    op.execute(
        "CREATE INDEX ix_article_feedback_created_at ON after_sales.article_feedback"
        " (tenant_id, article_id, created_at, id)"
    )


def _settings() -> None:
    op.execute(
        f"""
CREATE TABLE after_sales.knowledge_settings (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  auto_answer boolean NOT NULL,
  auto_answer_confidence numeric NOT NULL,{_VERSIONED},
  CONSTRAINT pk_knowledge_settings PRIMARY KEY (tenant_id, id),
  CONSTRAINT ck_knowledge_settings_confidence CHECK (auto_answer_confidence BETWEEN 0.5 AND 1)
)"""
    )
    protect("after_sales.knowledge_settings")
    op.execute(
        "CREATE UNIQUE INDEX uq_knowledge_settings_tenant ON after_sales.knowledge_settings (tenant_id)"
    )
