"""Parts of work orders come from stock: kept for what is planned, taken out when it is signed off.

Revision ID: 0301
Revises: 0300
"""

from __future__ import annotations

from alembic import op

revision = "0301"
down_revision = "0300"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Goods are kept for more than lines of orders; a part says whether it comes from stock."""
    op.execute("ALTER TABLE orders.stock_reservations DROP CONSTRAINT fk_stock_reservations_id")
    op.execute(
        "ALTER TABLE after_sales.work_order_parts ADD COLUMN from_stock boolean NOT NULL DEFAULT false"
    )
