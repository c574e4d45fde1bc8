"""What of an order's line was entered, and what the catalogue said.

Revision ID: 0315
Revises: 0310
"""

from __future__ import annotations

from alembic import op

revision = "0315"
down_revision = "0310"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns to orders.order_lines; of lines that are there, nobody knows, and nothing changes by itself."""
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute(
        "ALTER TABLE orders.order_lines ADD COLUMN price_entered boolean NOT NULL DEFAULT true,"
        " ADD COLUMN tax_entered boolean NOT NULL DEFAULT true,"
        " ADD COLUMN cost_entered boolean NOT NULL DEFAULT true"
    )
