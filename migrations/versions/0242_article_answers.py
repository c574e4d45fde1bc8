"""Articles that answered cases by themselves.

Revision ID: 0242
Revises: 0241
"""

from __future__ import annotations

from alembic import op

from migrations.support import protect

revision = "0242"
down_revision = "0241"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create `after_sales.article_answers`."""
    op.execute(
        """
CREATE TABLE after_sales.article_answers (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  case_id uuid NOT NULL,
  article_id uuid NOT NULL,
  version_number bigint NOT NULL,
  confidence numeric NOT NULL,
  comment_id uuid NOT NULL,
  answered_at timestamptz NOT NULL,
  handed_over_at timestamptz,
  CONSTRAINT pk_article_answers PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_article_answers_case_id UNIQUE (tenant_id, case_id),
  CONSTRAINT fk_article_answers_case_id FOREIGN KEY (tenant_id, case_id)
    REFERENCES after_sales.cases (tenant_id, id),
  CONSTRAINT fk_article_answers_article_id FOREIGN KEY (tenant_id, article_id)
    REFERENCES after_sales.articles (tenant_id, id),
  CONSTRAINT ck_article_answers_confidence CHECK (confidence BETWEEN 0 AND 1)
)"""
    )
    protect("after_sales.article_answers")
    op.execute(
        "CREATE INDEX ix_article_answers_article_id ON after_sales.article_answers (tenant_id, article_id)"
    )
