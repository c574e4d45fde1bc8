"""Look at what 0180 added, and find the orders that wait for somebody.

Revision ID: 0181
Revises: 0180
"""

from __future__ import annotations

from alembic import op

revision = "0181"
down_revision = "0180"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Validate the checks without holding up those who write; index held orders beside them."""
    for name in ("held_for", "held", "credit_requested", "credit_approved"):
        op.execute(f"ALTER TABLE orders.orders VALIDATE CONSTRAINT ck_orders_{name}")
    op.execute("ALTER TABLE orders.credit_settings VALIDATE CONSTRAINT ck_credit_settings_mode")
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS orders.ix_orders_held")  # if cut off
        op.execute(
            "CREATE INDEX CONCURRENTLY ix_orders_held ON orders.orders (tenant_id, owner_id, created_at, id)"
            " WHERE held_for IS NOT NULL AND deleted_at IS NULL"
        )
