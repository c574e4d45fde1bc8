"""Files on products: data sheets, pictures, manuals.

Revision ID: 0102
Revises: 0101
"""

from __future__ import annotations

from alembic import op

from migrations.support import protect

revision = "0102"
down_revision = "0101"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create catalog.product_attachments."""
    op.execute(
        """
CREATE TABLE catalog.product_attachments (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  product_id uuid NOT NULL,
  file_id uuid NOT NULL,
  name text NOT NULL,
  media_type text NOT NULL,
  size bigint NOT NULL,
  created_at timestamptz NOT NULL,
  created_by uuid,
  CONSTRAINT pk_product_attachments PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_product_attachments_file_id UNIQUE (tenant_id, product_id, file_id),
  CONSTRAINT fk_product_attachments_product_id FOREIGN KEY (tenant_id, product_id)
    REFERENCES catalog.products (tenant_id, id) ON DELETE CASCADE
)"""
    )
    protect("catalog.product_attachments")
