"""What coupons and points take off orders and quotes.

Revision ID: 0291
Revises: 0290
"""

from __future__ import annotations

from alembic import op

from migrations.support import refresh_read_view

revision = "0291"
down_revision = "0290"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns to orders.orders, orders.order_lines, quotes.quotes and quotes.quote_lines; hold for coupons."""
    op.execute(
        "ALTER TABLE orders.orders ADD COLUMN coupon_codes text[] NOT NULL DEFAULT '{}',"
        " ADD COLUMN points bigint NOT NULL DEFAULT 0, ADD COLUMN benefit_discount bigint NOT NULL DEFAULT 0,"
        " ADD COLUMN benefits jsonb NOT NULL DEFAULT '[]'"
    )
    op.execute("ALTER TABLE orders.order_lines ADD COLUMN benefit_discount bigint NOT NULL DEFAULT 0")
    op.execute(
        "-- squawk-ignore ban-drop-constraint\n"  # a wider one follows
        "ALTER TABLE orders.orders DROP CONSTRAINT ck_orders_held_for"
    )
    op.execute(
        "ALTER TABLE orders.orders ADD CONSTRAINT ck_orders_held_for"
        " CHECK (held_for IN ('stock', 'credit', 'contract', 'coupon')) NOT VALID"
    )
    refresh_read_view("orders.orders")
    op.execute(
        "ALTER TABLE quotes.quotes ADD COLUMN coupon_codes text[] NOT NULL DEFAULT '{}',"
        " ADD COLUMN benefit_discount bigint NOT NULL DEFAULT 0,"
        " ADD COLUMN benefits jsonb NOT NULL DEFAULT '[]'"
    )
    op.execute("ALTER TABLE quotes.quote_lines ADD COLUMN benefit_discount bigint NOT NULL DEFAULT 0")
    refresh_read_view("quotes.quotes")
    # As the rest of what a customer may have seen (0150).
    op.execute(
        """
CREATE FUNCTION quotes.keep_benefits() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF OLD.status NOT IN ('draft', 'in_approval') AND ROW(NEW.coupon_codes, NEW.benefit_discount, NEW.benefits)
    IS DISTINCT FROM ROW(OLD.coupon_codes, OLD.benefit_discount, OLD.benefits) THEN
    RAISE EXCEPTION 'quote % revision % is % and does not change', OLD.number, OLD.revision, OLD.status
      USING ERRCODE = 'check_violation', CONSTRAINT = 'ck_quotes_immutable', TABLE = 'quotes', SCHEMA = 'quotes';
  END IF;
  RETURN NEW;
END $$"""
    )
    op.execute(
        "CREATE TRIGGER keep_benefits BEFORE UPDATE OF coupon_codes, benefit_discount, benefits ON quotes.quotes"
        " FOR EACH ROW EXECUTE FUNCTION quotes.keep_benefits()"
    )
