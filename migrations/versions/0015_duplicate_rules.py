"""What each tenant does about records that look like one another.

Revision ID: 0015
Revises: 0010
"""

from __future__ import annotations

from alembic import op

from migrations.support import protect

revision = "0015"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create kernel.duplicate_rules; an object without a row is warned about."""
    op.execute(
        """
CREATE TABLE kernel.duplicate_rules (
  tenant_id uuid NOT NULL,
  object text NOT NULL,
  action text NOT NULL,
  version bigint NOT NULL DEFAULT 1,
  updated_at timestamptz NOT NULL,
  updated_by uuid,
  CONSTRAINT pk_duplicate_rules PRIMARY KEY (tenant_id, object),
  CONSTRAINT ck_duplicate_rules_action CHECK (action IN ('block', 'warn', 'allow'))
)"""
    )
    protect("kernel.duplicate_rules")
