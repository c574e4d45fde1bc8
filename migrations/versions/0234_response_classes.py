"""Cases know the response class that was agreed with their customer.

Revision ID: 0234
Revises: 0233
"""

from __future__ import annotations

from alembic import op

from migrations.support import refresh_read_view

revision = "0234"
down_revision = "0233"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add after_sales.cases.response_class, empty for all that are there."""
    op.execute("ALTER TABLE after_sales.cases ADD COLUMN response_class text")
    refresh_read_view("after_sales.cases")
