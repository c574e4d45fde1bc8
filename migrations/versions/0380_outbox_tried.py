"""Of events that were tried, those of one record are found by an index that says nothing else.

Revision ID: 0380
Revises: 0360
"""

from __future__ import annotations

from alembic import op

revision = "0380"
down_revision = "0360"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Replace the index beside the writers; dropped first so that a broken run can be repeated.

    An event that was passed on or given up has no next attempt, so both hold the same rows.
    """
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS kernel.ix_outbox_tried")
        op.execute(
            "CREATE INDEX CONCURRENTLY ix_outbox_tried ON kernel.outbox (tenant_id, record_id, id)"
            " WHERE next_attempt_at IS NOT NULL"
        )
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS kernel.ix_outbox_waiting")
