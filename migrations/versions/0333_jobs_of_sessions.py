"""Jobs that an operator began in a member's place know the session that they belong to.

Revision ID: 0333
Revises: 0332
"""

from __future__ import annotations

from alembic import op

revision = "0333"
down_revision = "0332"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add `kernel.jobs.session_id`, empty for everybody else's."""
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("ALTER TABLE kernel.jobs ADD COLUMN session_id uuid")
