"""Rules of data quality.

Revision ID: 0063
Revises: 0062
"""

from __future__ import annotations

from alembic import op

from migrations.support import protect

revision = "0063"
down_revision = "0062"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create kernel.quality_rules; a company without any pays nothing."""
    op.execute(
        """
CREATE TABLE kernel.quality_rules (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  object text NOT NULL,
  field text NOT NULL,
  name_en text NOT NULL,
  name_zh text,
  severity text NOT NULL,
  requirement jsonb NOT NULL,
  condition jsonb,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT pk_quality_rules PRIMARY KEY (tenant_id, id),
  CONSTRAINT ck_quality_rules_severity CHECK (severity IN ('warn', 'block'))
)"""
    )
    protect("kernel.quality_rules")
