"""The catalogue: units, tax classes with dated rates, categories, and products with their options and variants.

Revision ID: 0100
Revises: 0081
"""

from __future__ import annotations

from alembic import op

from migrations.support import create_schema, protect, record_columns, record_indexes

revision = "0100"
down_revision = "0081"
branch_labels = None
depends_on = None

_VERSIONED = """
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL"""


def upgrade() -> None:
    """Create schema `catalog` and what every product names."""
    create_schema("catalog")
    _units_and_taxes()
    _categories()
    _products()


def _units_and_taxes() -> None:
    for table in ("units", "tax_classes"):
        decimals = "\n  decimals bigint NOT NULL," if table == "units" else ""
        check = ",\n  CONSTRAINT ck_units_decimals CHECK (decimals BETWEEN 0 AND 6)" if decimals else ""
        op.execute(
            f"""
CREATE TABLE catalog.{table} (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  code text NOT NULL,
  name_en text NOT NULL,
  name_zh text,{decimals}{_VERSIONED},
  CONSTRAINT pk_{table} PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_{table}_code UNIQUE (tenant_id, code){check}
)"""
        )
        protect(f"catalog.{table}")
    op.execute(
        """
CREATE TABLE catalog.tax_rates (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  tax_class text NOT NULL,
  country text NOT NULL,
  valid_from date NOT NULL,
  rate numeric NOT NULL,
  CONSTRAINT pk_tax_rates PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_tax_rates_valid_from UNIQUE (tenant_id, tax_class, country, valid_from),
  CONSTRAINT fk_tax_rates_tax_class FOREIGN KEY (tenant_id, tax_class)
    REFERENCES catalog.tax_classes (tenant_id, code) ON DELETE CASCADE,
  CONSTRAINT ck_tax_rates_rate CHECK (rate BETWEEN 0 AND 100)
)"""
    )
    protect("catalog.tax_rates")


def _categories() -> None:
    op.execute(
        f"""
CREATE TABLE catalog.categories (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  name text NOT NULL,
  name_en text,
  parent_id uuid,
  position bigint NOT NULL,
{record_columns()},
  CONSTRAINT pk_categories PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_categories_parent_id FOREIGN KEY (tenant_id, parent_id)
    REFERENCES catalog.categories (tenant_id, id),
  CONSTRAINT ck_categories_parent_id CHECK (parent_id IS DISTINCT FROM id)
)"""
    )
    protect("catalog.categories", record=True)
    record_indexes("catalog.categories", sorts=("name", "position"))
    op.execute("CREATE INDEX ix_categories_parent_id ON catalog.categories (tenant_id, parent_id)")


def _products() -> None:
    op.execute(
        f"""
CREATE TABLE catalog.products (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  code text NOT NULL,
  name text NOT NULL,
  name_en text,
  description text,
  unit text NOT NULL,
  category_id uuid,
  tax_class text,
  charge text NOT NULL,
  stocked boolean NOT NULL,
  status text NOT NULL,
  prices jsonb NOT NULL,
  costs jsonb NOT NULL,
  warranty_months bigint,
  is_bundle boolean NOT NULL,
  options jsonb NOT NULL,
  parent_id uuid,
  option_values jsonb NOT NULL,
{record_columns()},
  CONSTRAINT pk_products PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_products_unit FOREIGN KEY (tenant_id, unit) REFERENCES catalog.units (tenant_id, code),
  CONSTRAINT fk_products_category_id FOREIGN KEY (tenant_id, category_id)
    REFERENCES catalog.categories (tenant_id, id),
  CONSTRAINT fk_products_tax_class FOREIGN KEY (tenant_id, tax_class)
    REFERENCES catalog.tax_classes (tenant_id, code),
  CONSTRAINT fk_products_parent_id FOREIGN KEY (tenant_id, parent_id) REFERENCES catalog.products (tenant_id, id),
  CONSTRAINT ck_products_charge CHECK (charge IN ('one_time', 'monthly', 'yearly')),
  CONSTRAINT ck_products_status CHECK (status IN ('draft', 'active', 'end_of_sale')),
  CONSTRAINT ck_products_warranty_months CHECK (warranty_months BETWEEN 0 AND 1200),
  CONSTRAINT ck_products_option_values CHECK ((parent_id IS NULL) = (option_values = '{{}}'::jsonb)),
  CONSTRAINT ck_products_options CHECK (options = '[]'::jsonb OR (parent_id IS NULL AND NOT is_bundle))
)"""
    )
    protect("catalog.products", record=True)
    record_indexes("catalog.products", sorts=("name", "code"))
    for name, columns in {
        "uq_products_code": "code",
        "uq_products_option_values": "parent_id, option_values",
    }.items():
        op.execute(
            f"CREATE UNIQUE INDEX {name} ON catalog.products (tenant_id, {columns}) WHERE deleted_at IS NULL"
        )
    for column in ("category_id", "unit", "tax_class"):
        op.execute(f"CREATE INDEX ix_products_{column} ON catalog.products (tenant_id, {column})")
