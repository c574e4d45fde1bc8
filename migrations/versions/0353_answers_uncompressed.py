"""Remembered answers are kept as they are.

Revision ID: 0353
Revises: 0340
"""

from __future__ import annotations

from alembic import op

revision = "0353"
down_revision = "0340"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Keep `kernel.idempotency_keys` uncompressed, and answers within the row where they fit a page.

    Each is written once, hardly ever read and gone within a day; compressing it took longer than writing it.
    """
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("ALTER TABLE kernel.idempotency_keys SET (toast_tuple_target = 8160)")
    op.execute("ALTER TABLE kernel.idempotency_keys ALTER COLUMN body SET STORAGE EXTERNAL")
