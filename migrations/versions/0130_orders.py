"""Orders, their lines, shipments, what is on hand, and returns.

Revision ID: 0130
Revises: 0120
"""

from __future__ import annotations

from alembic import op

from migrations.support import create_schema, protect, record_columns, record_indexes

revision = "0130"
down_revision = "0120"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables of orders in schema `orders`."""
    create_schema("orders")
    _orders()
    _lines()
    _shipments()
    _stock()


def _orders() -> None:
    op.execute(
        f"""
CREATE TABLE orders.orders (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  number text NOT NULL,
  status text NOT NULL,
  account_id uuid NOT NULL,
  contact_id uuid,
  opportunity_id uuid,
  quote_id uuid,
  contract_id uuid,
  return_id uuid,
  partner_id uuid,
  partner_name text,
  customer_reference text,
  content_hash text,
  currency text NOT NULL,
  tax_included boolean NOT NULL,
  discount_percent numeric NOT NULL,
  discount_amount bigint NOT NULL,
  gross bigint NOT NULL,
  discount bigint NOT NULL,
  subtotal bigint NOT NULL,
  header_discount bigint NOT NULL,
  net bigint NOT NULL,
  tax bigint NOT NULL,
  total bigint NOT NULL,
  exact_value numeric NOT NULL,
  cost bigint,
  margin bigint,
  commission_percent numeric,
  commission bigint,
  line_count bigint NOT NULL,
  ordered_on date NOT NULL,
  requested_on date,
  source text,
  channel text,
  country text,
  shipping_address jsonb,
  billing_address jsonb,
  confirmed_at timestamptz,
  fulfilled_at timestamptz,
  closed_at timestamptz,
  cancelled_at timestamptz,
  cancel_reason text,
  {record_columns()},
  CONSTRAINT pk_orders PRIMARY KEY (tenant_id, id),
  CONSTRAINT ck_orders_status
    CHECK (status IN ('draft', 'confirmed', 'in_fulfilment', 'fulfilled', 'closed', 'cancelled')),
  CONSTRAINT ck_orders_discount_percent CHECK (discount_percent BETWEEN 0 AND 100),
  CONSTRAINT ck_orders_discount_amount CHECK (discount_amount >= 0),
  CONSTRAINT ck_orders_total CHECK (net + tax = total),
  CONSTRAINT ck_orders_subtotal CHECK (gross - discount = subtotal),
  CONSTRAINT ck_orders_header_discount
    CHECK (subtotal - header_discount = CASE WHEN tax_included THEN total ELSE net END),
  CONSTRAINT ck_orders_margin CHECK (margin = net - cost),
  CONSTRAINT ck_orders_commission CHECK ((commission IS NULL) = (commission_percent IS NULL)),
  CONSTRAINT ck_orders_commission_percent CHECK (commission_percent BETWEEN 0 AND 100),
  CONSTRAINT ck_orders_cancelled_at CHECK ((status = 'cancelled') = (cancelled_at IS NOT NULL))
)"""
    )
    protect("orders.orders", record=True)
    record_indexes("orders.orders", ["number", "ordered_on", "status", "total"])
    live = "WHERE deleted_at IS NULL"
    op.execute("CREATE UNIQUE INDEX uq_orders_number ON orders.orders (tenant_id, number)")
    for column in ("quote_id", "return_id"):
        op.execute(
            f"CREATE UNIQUE INDEX uq_orders_{column} ON orders.orders (tenant_id, {column})"
            f" {live} AND {column} IS NOT NULL"
        )
    op.execute(
        "CREATE UNIQUE INDEX uq_orders_customer_reference ON orders.orders"
        f" (tenant_id, account_id, customer_reference) {live} AND customer_reference IS NOT NULL"
    )
    for column in ("account_id", "contact_id", "opportunity_id", "contract_id", "partner_id"):
        op.execute(f"CREATE INDEX ix_orders_{column} ON orders.orders (tenant_id, {column}, id) {live}")


def _lines() -> None:
    # What was cancelled or shipped never exceeds what was ordered, and nothing comes back that did not go out.
    op.execute(
        """
CREATE TABLE orders.order_lines (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  order_id uuid NOT NULL,
  position bigint NOT NULL,
  product_id uuid,
  description text NOT NULL,
  unit text NOT NULL,
  quantity numeric NOT NULL,
  unit_price numeric NOT NULL,
  exact_gross numeric,
  discount_percent numeric NOT NULL,
  discount_amount bigint NOT NULL,
  tax_rate numeric NOT NULL,
  gross bigint NOT NULL,
  discount bigint NOT NULL,
  subtotal bigint NOT NULL,
  header_discount bigint NOT NULL,
  net bigint NOT NULL,
  tax bigint NOT NULL,
  total bigint NOT NULL,
  charge text NOT NULL,
  unit_cost numeric,
  cost bigint,
  component_of bigint,
  quote_line_id uuid,
  external_id text,
  fulfilled numeric NOT NULL DEFAULT 0,
  cancelled numeric NOT NULL DEFAULT 0,
  return_claimed numeric NOT NULL DEFAULT 0,
  returned numeric NOT NULL DEFAULT 0,
  returned_net bigint NOT NULL DEFAULT 0,
  returned_tax bigint NOT NULL DEFAULT 0,
  CONSTRAINT pk_order_lines PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_order_lines_position UNIQUE (tenant_id, order_id, position),
  CONSTRAINT fk_order_lines_order_id FOREIGN KEY (tenant_id, order_id)
    REFERENCES orders.orders (tenant_id, id) ON DELETE CASCADE,
  CONSTRAINT ck_order_lines_quantity CHECK (quantity > 0 AND scale(quantity) <= 4),
  CONSTRAINT ck_order_lines_unit_price CHECK (scale(unit_price) <= 8),
  CONSTRAINT ck_order_lines_charge CHECK (charge IN ('one_time', 'monthly', 'yearly')),
  CONSTRAINT ck_order_lines_total CHECK (net + tax = total),
  CONSTRAINT ck_order_lines_subtotal CHECK (gross - discount = subtotal),
  CONSTRAINT ck_order_lines_fulfilled
    CHECK (fulfilled >= 0 AND cancelled >= 0 AND fulfilled + cancelled <= quantity),
  CONSTRAINT ck_order_lines_returned
    CHECK (returned >= 0 AND returned <= return_claimed AND return_claimed <= fulfilled)
)"""
    )
    protect("orders.order_lines")
    op.execute(
        "CREATE INDEX ix_order_lines_product_id ON orders.order_lines (tenant_id, product_id, order_id)"
        " WHERE product_id IS NOT NULL"
    )
    op.execute(
        "CREATE UNIQUE INDEX uq_order_lines_external_id ON orders.order_lines (tenant_id, external_id)"
        " WHERE external_id IS NOT NULL"
    )


def _shipments() -> None:
    op.execute(
        """
CREATE TABLE orders.shipments (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  order_id uuid NOT NULL,
  carrier text,
  tracking_number text,
  note text,
  shipped_at timestamptz NOT NULL,
  shipped_by uuid,
  CONSTRAINT pk_shipments PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_shipments_order_id FOREIGN KEY (tenant_id, order_id)
    REFERENCES orders.orders (tenant_id, id) ON DELETE CASCADE
)"""
    )
    protect("orders.shipments")
    op.execute("CREATE INDEX ix_shipments_order_id ON orders.shipments (tenant_id, order_id, shipped_at, id)")
    op.execute(
        """
CREATE TABLE orders.shipment_lines (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  shipment_id uuid NOT NULL,
  order_line_id uuid NOT NULL,
  quantity numeric NOT NULL,
  serial_numbers jsonb NOT NULL,
  CONSTRAINT pk_shipment_lines PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_shipment_lines_order_line_id UNIQUE (tenant_id, shipment_id, order_line_id),
  CONSTRAINT fk_shipment_lines_shipment_id FOREIGN KEY (tenant_id, shipment_id)
    REFERENCES orders.shipments (tenant_id, id) ON DELETE CASCADE,
  CONSTRAINT fk_shipment_lines_order_line_id FOREIGN KEY (tenant_id, order_line_id)
    REFERENCES orders.order_lines (tenant_id, id) ON DELETE CASCADE,
  CONSTRAINT ck_shipment_lines_quantity CHECK (quantity > 0)
)"""
    )
    protect("orders.shipment_lines")
    op.execute(
        "CREATE INDEX ix_shipment_lines_order_line_id ON orders.shipment_lines (tenant_id, order_line_id)"
    )


def _stock() -> None:
    op.execute(
        """
CREATE TABLE orders.stock_levels (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  product_id uuid NOT NULL,
  on_hand numeric NOT NULL,
  reserved numeric NOT NULL,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT pk_stock_levels PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_stock_levels_product_id UNIQUE (tenant_id, product_id),
  CONSTRAINT ck_stock_levels_reserved CHECK (on_hand >= reserved AND reserved >= 0)
)"""
    )
    protect("orders.stock_levels")
    op.execute(
        """
CREATE TABLE orders.stock_reservations (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  order_id uuid NOT NULL,
  product_id uuid NOT NULL,
  quantity numeric NOT NULL,
  CONSTRAINT pk_stock_reservations PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_stock_reservations_id FOREIGN KEY (tenant_id, id)
    REFERENCES orders.order_lines (tenant_id, id) ON DELETE CASCADE,
  CONSTRAINT fk_stock_reservations_product_id FOREIGN KEY (tenant_id, product_id)
    REFERENCES orders.stock_levels (tenant_id, product_id),
  CONSTRAINT ck_stock_reservations_quantity CHECK (quantity >= 0)
)"""
    )
    protect("orders.stock_reservations")
    op.execute(
        "CREATE INDEX ix_stock_reservations_product_id ON orders.stock_reservations (tenant_id, product_id)"
    )
    op.execute(
        """
CREATE TABLE orders.stock_movements (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  product_id uuid NOT NULL,
  kind text NOT NULL,
  quantity numeric NOT NULL,
  on_hand_after numeric NOT NULL,
  reason text,
  order_id uuid,
  order_line_id uuid,
  moved_by uuid,
  moved_at timestamptz NOT NULL,
  CONSTRAINT pk_stock_movements PRIMARY KEY (tenant_id, id),
  CONSTRAINT ck_stock_movements_kind CHECK (kind IN ('adjusted', 'shipped', 'taken_back')),
  CONSTRAINT ck_stock_movements_quantity CHECK (quantity <> 0),
  CONSTRAINT ck_stock_movements_reason CHECK (kind <> 'adjusted' OR reason IS NOT NULL)
)"""
    )
    protect("orders.stock_movements", append_only=True)
    op.execute(
        "CREATE INDEX ix_stock_movements_product_id ON orders.stock_movements (tenant_id, product_id, id)"
    )
