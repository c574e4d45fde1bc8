"""Look at what 0190 added, say how orders of before were paid, and find orders by it; find opportunities by product.

Revision ID: 0191
Revises: 0190
"""

from __future__ import annotations

from alembic import op

revision = "0191"
down_revision = "0190"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Validate and fill without holding up those who write; index beside them."""
    op.execute(
        "UPDATE orders.orders o SET payment_status = orders.payment_status_of(o.tenant_id, o.id)"
        " WHERE EXISTS (SELECT 1 FROM orders.invoices i WHERE i.tenant_id = o.tenant_id AND i.order_id = o.id"
        "  AND i.number IS NOT NULL)"
    )
    op.execute("ALTER TABLE quotes.quotes VALIDATE CONSTRAINT ck_quotes_status")
    op.execute("ALTER TABLE orders.orders VALIDATE CONSTRAINT ck_orders_payment_status")
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS orders.ix_orders_payment_status")  # if cut off
        op.execute(
            "CREATE INDEX CONCURRENTLY ix_orders_payment_status"
            " ON orders.orders (tenant_id, payment_status, created_at, id) WHERE deleted_at IS NULL"
        )
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS opportunities.ix_lines_product_id")  # if cut off
        op.execute(
            "CREATE INDEX CONCURRENTLY ix_lines_product_id"
            " ON opportunities.lines (tenant_id, product_id, opportunity_id)"
            " WHERE product_id IS NOT NULL"
        )
