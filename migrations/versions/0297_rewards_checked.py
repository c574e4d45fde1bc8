"""What became wider is checked, and birthdays and first days are found.

Revision ID: 0297
Revises: 0296
"""

from __future__ import annotations

from alembic import op

revision = "0297"
down_revision = "0296"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Validate the check without holding up those who write; index the days beside them."""
    op.execute("ALTER TABLE membership.ledger_transactions VALIDATE CONSTRAINT ck_ledger_transactions_kind")
    with op.get_context().autocommit_block():
        for column in ("birthday", "since"):
            name = f"ix_loyalty_members_{column}"
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS membership.{name}")  # if cut off
            op.execute(
                f"CREATE INDEX CONCURRENTLY {name} ON membership.loyalty_members (tenant_id, {column}, id)"
                f" WHERE deleted_at IS NULL AND {column} IS NOT NULL"
            )
