"""Links to records that strangers open: they expire, can be revoked, and count their views.

Revision ID: 0160
Revises: 0150
"""

from __future__ import annotations

from alembic import op

from migrations.support import protect

revision = "0160"
down_revision = "0150"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create `kernel.links`."""
    op.execute(
        """
CREATE TABLE kernel.links (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  purpose text NOT NULL,
  record_id uuid NOT NULL,
  token_hash bytea NOT NULL,
  expires_at timestamptz NOT NULL,
  revoked_at timestamptz,
  created_at timestamptz NOT NULL,
  created_by uuid,
  first_viewed_at timestamptz,
  last_viewed_at timestamptz,
  views bigint NOT NULL DEFAULT 0,
  CONSTRAINT pk_links PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_links_token_hash UNIQUE (tenant_id, token_hash),
  CONSTRAINT ck_links_views CHECK (views >= 0 AND (views > 0) = (first_viewed_at IS NOT NULL)
    AND (views > 0) = (last_viewed_at IS NOT NULL))
)"""
    )
    protect("kernel.links")
    op.execute("CREATE INDEX ix_links_record_id ON kernel.links (tenant_id, purpose, record_id, id)")
