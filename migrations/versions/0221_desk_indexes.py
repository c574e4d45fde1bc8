"""Cases wait in queues that are there; what waits and what occupies agents; numbers of accounts by their ends.

Revision ID: 0221
Revises: 0220
"""

from __future__ import annotations

from typing import Final

from alembic import op

revision = "0221"
down_revision = "0220"
branch_labels = None
depends_on = None

INDEXES: Final = {
    "after_sales.ix_cases_queued": (
        "after_sales.cases (tenant_id,"
        " array_position(ARRAY['urgent', 'high', 'normal', 'low'], priority), opened_at, id, queue_id)"
        " WHERE deleted_at IS NULL AND owner_id IS NULL AND queue_id IS NOT NULL"
        " AND status NOT IN ('resolved', 'closed')"
    ),
    "after_sales.ix_cases_occupying": (
        "after_sales.cases (tenant_id, owner_id, channel)"
        " WHERE deleted_at IS NULL AND owner_id IS NOT NULL AND status IN ('new', 'open', 'pending_internal')"
    ),
    "customers.ix_accounts_phones": (
        "customers.accounts USING gin (tenant_id, customers.phone_endings(phones))"
        " WHERE deleted_at IS NULL AND phones <> '{}'"
    ),
}


def upgrade() -> None:
    """Validate the foreign key of 0220 and make the indexes without holding up those who write."""
    op.execute("ALTER TABLE after_sales.cases VALIDATE CONSTRAINT fk_cases_queue_id")
    with op.get_context().autocommit_block():
        for name, keys in INDEXES.items():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")  # if cut off
            op.execute(f"CREATE INDEX CONCURRENTLY {name.partition('.')[2]} ON {keys}")
