"""Returns know the case that they were opened from.

Revision ID: 0233
Revises: 0232
"""

from __future__ import annotations

from alembic import op

from migrations.support import refresh_read_view

revision = "0233"
down_revision = "0232"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add orders.returns.case_id, empty for all that are there."""
    op.execute("ALTER TABLE orders.returns ADD COLUMN case_id uuid")
    refresh_read_view("orders.returns")
