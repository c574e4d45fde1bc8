"""Look at what 0140 added to order lines.

Revision ID: 0141
Revises: 0140
"""

from __future__ import annotations

from alembic import op

revision = "0141"
down_revision = "0140"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Validate the check, without holding up those who write."""
    op.execute("ALTER TABLE orders.order_lines VALIDATE CONSTRAINT ck_order_lines_invoiced")
