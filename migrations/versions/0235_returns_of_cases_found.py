"""The returns of a case are found without reading all returns.

Revision ID: 0235
Revises: 0234
"""

from __future__ import annotations

from alembic import op

revision = "0235"
down_revision = "0234"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Build the index beside the writers; dropped first, so that a broken run can be repeated."""
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS orders.ix_returns_case_id")
        op.execute(
            "CREATE INDEX CONCURRENTLY ix_returns_case_id ON orders.returns (tenant_id, case_id, id)"
            " WHERE deleted_at IS NULL AND case_id IS NOT NULL"
        )
