"""Withdrawn offers, how orders are paid, and where a company is paid to.

Revision ID: 0190
Revises: 0181
"""

from __future__ import annotations

from alembic import op

from migrations.support import refresh_read_view

revision = "0190"
down_revision = "0181"
branch_labels = None
depends_on = None

_STATUSES = (
    "'draft', 'in_approval', 'approved', 'sent', 'viewed', 'accepted', 'declined', 'expired', 'superseded',"
    " 'withdrawn'"
)


def upgrade() -> None:
    """Widen the states of quotes; add orders.orders.payment_status and tenants.tenants.bank_details."""
    op.execute(
        "-- squawk-ignore ban-drop-constraint\n"  # a wider one follows
        "ALTER TABLE quotes.quotes DROP CONSTRAINT ck_quotes_status"
    )
    op.execute(
        f"ALTER TABLE quotes.quotes ADD CONSTRAINT ck_quotes_status CHECK (status IN ({_STATUSES})) NOT VALID"
    )
    op.execute("ALTER TABLE orders.orders ADD COLUMN payment_status text NOT NULL DEFAULT 'unpaid'")
    op.execute(
        "ALTER TABLE orders.orders ADD CONSTRAINT ck_orders_payment_status"
        " CHECK (payment_status IN ('unpaid', 'partly_paid', 'paid')) NOT VALID"
    )
    refresh_read_view("orders.orders")
    op.execute("ALTER TABLE tenants.tenants ADD COLUMN bank_details text")
    _follow_payments()


def _follow_payments() -> None:
    """An order's payment status follows its invoices, what is left to invoice, and what came back for its money.

    It is computed once all has been written, with the order held, so that payments at once do not miss each other.
    """
    op.execute(
        """
CREATE FUNCTION orders.payment_status_of(tenant uuid, order_id uuid) RETURNS text LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
  SELECT CASE
    WHEN i.issued > 0 AND i.still_open = 0 AND NOT EXISTS (
      SELECT 1 FROM orders.order_lines l
      LEFT JOIN LATERAL (
        SELECT coalesce(sum(b.quantity), 0) AS quantity FROM orders.returns r
        JOIN orders.return_lines b ON b.tenant_id = r.tenant_id AND b.return_id = r.id
        WHERE r.tenant_id = l.tenant_id AND r.order_id = l.order_id AND r.status = 'refunded'
          AND r.deleted_at IS NULL AND b.order_line_id = l.id
      ) back ON true
      WHERE l.tenant_id = $1 AND l.order_id = $2 AND l.quantity - l.cancelled - back.quantity > l.invoiced
      HAVING sum(
        round(l.total * (l.quantity - l.cancelled - back.quantity) / (l.quantity - l.cancelled)) - l.invoiced_total
      ) > 0
    ) THEN 'paid'
    WHEN i.paid <> 0 THEN 'partly_paid'
    ELSE 'unpaid' END
  FROM (
    SELECT count(*) AS issued, coalesce(sum(open_amount), 0) AS still_open, coalesce(sum(paid), 0) AS paid
    FROM orders.invoices
    WHERE tenant_id = $1 AND order_id = $2 AND kind = 'invoice' AND number IS NOT NULL AND deleted_at IS NULL
  ) i
$$"""
    )
    op.execute(
        """
CREATE FUNCTION orders.follow_payments() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  subject uuid := CASE WHEN TG_TABLE_NAME = 'orders' THEN NEW.id ELSE (to_jsonb(NEW) ->> 'order_id')::uuid END;
  reached text;
BEGIN
  PERFORM 1 FROM orders.orders o WHERE o.tenant_id = NEW.tenant_id AND o.id = subject FOR NO KEY UPDATE;
  reached := orders.payment_status_of(NEW.tenant_id, subject);
  UPDATE orders.orders o SET payment_status = reached
  WHERE o.tenant_id = NEW.tenant_id AND o.id = subject AND o.payment_status <> reached;
  RETURN NULL;
END $$"""
    )
    for table, event, when in (
        (
            "invoices",
            "INSERT OR UPDATE OF number, paid, open_amount, deleted_at",
            "NEW.order_id IS NOT NULL AND NEW.number IS NOT NULL",
        ),
        ("orders", "UPDATE OF total", "NEW.total <> OLD.total"),
        (
            "returns",
            "UPDATE OF status",
            "NEW.order_id IS NOT NULL AND NEW.status <> OLD.status AND NEW.status = 'refunded'",
        ),
    ):
        op.execute(
            f"CREATE CONSTRAINT TRIGGER follow_payments AFTER {event} ON orders.{table}"
            f" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION orders.follow_payments()"
        )
