"""Returns of goods, and what is on them.

Revision ID: 0131
Revises: 0130
"""

from __future__ import annotations

from alembic import op

from migrations.support import protect, record_columns, record_indexes

revision = "0131"
down_revision = "0130"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables of returns in schema `orders`."""
    _returns()
    _lines()


def _returns() -> None:
    op.execute(
        f"""
CREATE TABLE orders.returns (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  number text NOT NULL,
  status text NOT NULL,
  order_id uuid,
  account_id uuid NOT NULL,
  contact_id uuid,
  partner_id uuid,
  reason text NOT NULL,
  currency text NOT NULL,
  tax_included boolean NOT NULL,
  net bigint NOT NULL,
  tax bigint NOT NULL,
  total bigint NOT NULL,
  exact_value numeric NOT NULL,
  line_count bigint NOT NULL,
  requested_on date NOT NULL,
  country text,
  source text,
  replacement_order_id uuid,
  decision_note text,
  resolved_at timestamptz,
  {record_columns()},
  CONSTRAINT pk_returns PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_returns_order_id FOREIGN KEY (tenant_id, order_id) REFERENCES orders.orders (tenant_id, id),
  CONSTRAINT fk_returns_replacement_order_id FOREIGN KEY (tenant_id, replacement_order_id)
    REFERENCES orders.orders (tenant_id, id),
  CONSTRAINT ck_returns_status CHECK (status IN ('requested', 'approved', 'received', 'inspected', 'refunded',
    'replaced', 'repaired', 'rejected')),
  CONSTRAINT ck_returns_total CHECK (net + tax = total),
  CONSTRAINT ck_returns_resolved_at CHECK (
    (status IN ('refunded', 'replaced', 'repaired', 'rejected')) = (resolved_at IS NOT NULL)),
  CONSTRAINT ck_returns_replacement_order_id CHECK (replacement_order_id IS NULL OR status = 'replaced')
)"""
    )
    protect("orders.returns", record=True)
    record_indexes("orders.returns", ["number", "requested_on", "status"])
    op.execute("CREATE UNIQUE INDEX uq_returns_number ON orders.returns (tenant_id, number)")
    for column in ("order_id", "account_id", "contact_id", "replacement_order_id"):
        op.execute(
            f"CREATE INDEX ix_returns_{column} ON orders.returns (tenant_id, {column}, id)"
            " WHERE deleted_at IS NULL"
        )


def _lines() -> None:
    op.execute(
        """
CREATE TABLE orders.return_lines (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  return_id uuid NOT NULL,
  position bigint NOT NULL,
  order_line_id uuid,
  product_id uuid,
  description text NOT NULL,
  unit text NOT NULL,
  quantity numeric NOT NULL,
  unit_price numeric NOT NULL,
  net bigint NOT NULL,
  tax bigint NOT NULL,
  total bigint NOT NULL,
  reason text,
  condition text,
  restock boolean NOT NULL,
  serial_numbers jsonb NOT NULL,
  external_id text,
  CONSTRAINT pk_return_lines PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_return_lines_position UNIQUE (tenant_id, return_id, position),
  CONSTRAINT fk_return_lines_return_id FOREIGN KEY (tenant_id, return_id)
    REFERENCES orders.returns (tenant_id, id) ON DELETE CASCADE,
  CONSTRAINT fk_return_lines_order_line_id FOREIGN KEY (tenant_id, order_line_id)
    REFERENCES orders.order_lines (tenant_id, id),
  CONSTRAINT ck_return_lines_quantity CHECK (quantity > 0 AND scale(quantity) <= 4),
  CONSTRAINT ck_return_lines_total CHECK (net + tax = total),
  CONSTRAINT ck_return_lines_condition
    CHECK (condition IN ('new', 'opened', 'used', 'damaged', 'defective'))
)"""
    )
    protect("orders.return_lines")
    op.execute(
        "CREATE INDEX ix_return_lines_order_line_id ON orders.return_lines (tenant_id, order_line_id)"
        " WHERE order_line_id IS NOT NULL"
    )
    op.execute(
        "CREATE INDEX ix_return_lines_product_id ON orders.return_lines (tenant_id, product_id, return_id)"
        " WHERE product_id IS NOT NULL"
    )
    op.execute(
        "CREATE UNIQUE INDEX uq_return_lines_external_id ON orders.return_lines (tenant_id, external_id)"
        " WHERE external_id IS NOT NULL"
    )
