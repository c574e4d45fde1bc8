"""What silent agents were given, and what they said, is found without reading everything.

Revision ID: 0299
Revises: 0298
"""

from __future__ import annotations

from typing import Final

from alembic import op

revision = "0299"
down_revision = "0298"
branch_labels = None
depends_on = None

INDEXES: Final = {
    "ix_cases_routed": (
        "after_sales.cases (tenant_id, owner_id, id) WHERE deleted_at IS NULL AND status = 'new'"
        " AND queue_id IS NOT NULL AND routed_at IS NOT NULL"
    ),
    "ix_case_comments_member_id": (
        "after_sales.case_comments (tenant_id, member_id, at) WHERE member_id IS NOT NULL"
    ),
}


def upgrade() -> None:
    """Validate the check of 0298 and build the indexes beside the writers; what was cut off is made anew."""
    op.execute(
        "ALTER TABLE after_sales.desk_settings VALIDATE CONSTRAINT ck_desk_settings_away_after_minutes"
    )
    with op.get_context().autocommit_block():
        for name, keys in INDEXES.items():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS after_sales.{name}")
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON {keys}")
