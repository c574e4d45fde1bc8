"""What rules have opened is found by its case, when cases become one.

Revision ID: 0302
Revises: 0301
"""

from __future__ import annotations

from alembic import op

revision = "0302"
down_revision = "0301"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Build the index beside the writers; dropped first, so that a broken run can be repeated."""
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS after_sales.ix_telemetry_states_case_id")
        op.execute(
            "CREATE INDEX CONCURRENTLY ix_telemetry_states_case_id"
            " ON after_sales.telemetry_states (tenant_id, case_id) WHERE case_id IS NOT NULL"
        )
