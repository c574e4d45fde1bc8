"""Assets that customers have, and what is promised for them.

Revision ID: 0230
Revises: 0221
"""

from __future__ import annotations

from alembic import op

from migrations.support import create_schema, protect, record_columns, record_indexes

revision = "0230"
down_revision = "0221"
branch_labels = None
depends_on = None

LIVE = "WHERE deleted_at IS NULL"


def upgrade() -> None:
    """Create the tables of assets and warranty terms in schema `after_sales`."""
    create_schema("after_sales")
    _terms()
    _assets()


def _terms() -> None:
    op.execute(
        f"""
CREATE TABLE after_sales.warranty_terms (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  product_id uuid NOT NULL,
  months bigint NOT NULL,
  coverage text NOT NULL,
{record_columns()},
  CONSTRAINT pk_warranty_terms PRIMARY KEY (tenant_id, id),
  CONSTRAINT ck_warranty_terms_months CHECK (months BETWEEN 1 AND 1200)
)"""
    )
    protect("after_sales.warranty_terms", record=True)
    record_indexes("after_sales.warranty_terms")
    op.execute(
        "CREATE UNIQUE INDEX uq_warranty_terms_product_id ON after_sales.warranty_terms (tenant_id, product_id)"
        f" {LIVE}"
    )


def _assets() -> None:
    op.execute(
        f"""
CREATE TABLE after_sales.assets (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  name text NOT NULL,
  serial_number text,
  status text NOT NULL,
  product_id uuid,
  account_id uuid,
  contact_id uuid,
  order_id uuid,
  order_line_id uuid,
  bought_on date,
  installed_on date,
  location text,
  warranty_starts_on date,
  warranty_ends_on date,
  warranty_terms text,
{record_columns()},
  CONSTRAINT pk_assets PRIMARY KEY (tenant_id, id),
  CONSTRAINT ck_assets_status CHECK (status IN ('in_stock', 'installed', 'out_of_order', 'returned', 'retired')),
  CONSTRAINT ck_assets_warranty CHECK (warranty_ends_on >= warranty_starts_on),
  CONSTRAINT ck_assets_warranty_starts_on CHECK (warranty_ends_on IS NULL OR warranty_starts_on IS NOT NULL)
)"""
    )
    protect("after_sales.assets", record=True)
    record_indexes("after_sales.assets", ("name", "serial_number", "status", "warranty_ends_on"))
    op.execute(
        "CREATE UNIQUE INDEX uq_assets_serial_number"
        f" ON after_sales.assets (tenant_id, product_id, serial_number) {LIVE} AND serial_number IS NOT NULL"
    )
    for column in ("account_id", "contact_id", "order_id"):
        op.execute(
            f"CREATE INDEX ix_assets_{column} ON after_sales.assets (tenant_id, {column}, id)"
            f" {LIVE} AND {column} IS NOT NULL"
        )
    op.execute(f"CREATE INDEX ix_assets_product_id ON after_sales.assets (tenant_id, product_id, id) {LIVE}")
