"""Lots of a member are read in the order in which they are spent, and those that are due without the others.

Revision ID: 0360
Revises: 0358
"""

from __future__ import annotations

from alembic import op

revision = "0360"
down_revision = "0358"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Build the index beside the writers, dropped first so that a broken run can be repeated; drop the lesser one."""
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS membership.ix_lots_in_order")
        op.execute(
            "CREATE INDEX CONCURRENTLY ix_lots_in_order"
            " ON membership.lots (tenant_id, member_id, matures_on, expires_on, earned_on, id) WHERE remaining > 0"
        )
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS membership.ix_lots_open")
