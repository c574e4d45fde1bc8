"""Unpublished events are found company by company, so that a flood of one keeps nobody waiting.

Revision ID: 0281
Revises: 0280
"""

from __future__ import annotations

from alembic import op

revision = "0281"
down_revision = "0280"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Replace the index of unpublished events by one that begins with the tenant, without holding up writers."""
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS kernel.ix_outbox_unpublished_of_tenant")
        op.execute(
            "CREATE INDEX CONCURRENTLY ix_outbox_unpublished_of_tenant ON kernel.outbox (tenant_id, id)"
            " WHERE published_at IS NULL AND dead_at IS NULL"
        )
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS kernel.ix_outbox_unpublished")
