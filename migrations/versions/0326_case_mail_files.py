"""Files of cases say with which words they came or went.

Revision ID: 0326
Revises: 0325
"""

from __future__ import annotations

from alembic import op

revision = "0326"
down_revision = "0325"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add after_sales.case_attachments.comment_id."""
    op.execute("ALTER TABLE after_sales.case_attachments ADD COLUMN comment_id uuid")
    op.execute(
        "ALTER TABLE after_sales.case_attachments ADD CONSTRAINT fk_case_attachments_comment_id"
        " FOREIGN KEY (tenant_id, comment_id) REFERENCES after_sales.case_comments (tenant_id, id) NOT VALID"
    )
