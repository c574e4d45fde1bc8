"""How a company shows itself to others: legal name, address, tax number, colour and logo; and PDFs by their hash.

Revision ID: 0161
Revises: 0160
"""

from __future__ import annotations

from alembic import op

from migrations.support import protect

revision = "0161"
down_revision = "0160"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns to tenants.tenants; create tenants.logos and kernel.documents."""
    op.execute(
        "ALTER TABLE tenants.tenants ADD COLUMN legal_name text, ADD COLUMN address text, ADD COLUMN tax_number text,"
        " ADD COLUMN brand_color text, ADD COLUMN logo_hash bytea"
    )
    op.execute(
        """
CREATE TABLE tenants.logos (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  media_type text NOT NULL,
  content bytea NOT NULL,
  CONSTRAINT pk_logos PRIMARY KEY (tenant_id, id),
  CONSTRAINT ck_logos_own_row CHECK (id = tenant_id),
  CONSTRAINT ck_logos_media_type CHECK (media_type IN ('image/png', 'image/jpeg'))
)"""
    )
    protect("tenants.logos")
    op.execute(
        """
CREATE TABLE kernel.documents (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  object text NOT NULL,
  record_id uuid NOT NULL,
  language text NOT NULL,
  sha256 text NOT NULL,
  size bigint NOT NULL,
  created_at timestamptz NOT NULL,
  CONSTRAINT pk_documents PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_documents_record_id UNIQUE (tenant_id, object, record_id, language),
  CONSTRAINT ck_documents_language CHECK (language IN ('en', 'zh'))
)"""
    )
    protect("kernel.documents")
