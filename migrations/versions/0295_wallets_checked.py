"""What became wider is checked.

Revision ID: 0295
Revises: 0294
"""

from __future__ import annotations

from alembic import op

revision = "0295"
down_revision = "0294"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Validate the checks without holding up those who write."""
    op.execute("ALTER TABLE orders.payments VALIDATE CONSTRAINT ck_payments_method")
    op.execute("ALTER TABLE membership.adjustments VALIDATE CONSTRAINT ck_adjustments_points")
