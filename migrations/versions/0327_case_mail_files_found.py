"""Files of comments are found by index, and their reference has been checked.

Revision ID: 0327
Revises: 0326
"""

from __future__ import annotations

from alembic import op

revision = "0327"
down_revision = "0326"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Check what is there; build the index beside the writers, dropped first so that a broken run can be repeated."""
    op.execute("ALTER TABLE after_sales.case_attachments VALIDATE CONSTRAINT fk_case_attachments_comment_id")
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS after_sales.ix_case_attachments_comment_id")
        op.execute(
            "CREATE INDEX CONCURRENTLY ix_case_attachments_comment_id"
            " ON after_sales.case_attachments (tenant_id, comment_id) WHERE comment_id IS NOT NULL"
        )
