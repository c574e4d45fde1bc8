"""Look at what 0291 added.

Revision ID: 0292
Revises: 0291
"""

from __future__ import annotations

from alembic import op

revision = "0292"
down_revision = "0291"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Validate the check without holding up those who write."""
    op.execute("ALTER TABLE orders.orders VALIDATE CONSTRAINT ck_orders_held_for")
