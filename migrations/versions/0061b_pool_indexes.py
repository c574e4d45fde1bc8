"""What may take its time on accounts and leads that are there: constraints are proved and indexes built meanwhile.

Revision ID: 0061b
Revises: 0061
"""

from __future__ import annotations

from alembic import op

revision = "0061b"
down_revision = "0061"
branch_labels = None
depends_on = None

RECORDS = ("customers.accounts", "leads.leads")


def upgrade() -> None:
    """Validate what 0061 declared, and index pooled records by the time that they came."""
    with op.get_context().autocommit_block():
        for table in RECORDS:
            name = table.partition(".")[2]
            for constraint in ("pool_id", "pooled_at"):
                op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT ck_{name}_{constraint}")
            schema = table.partition(".")[0]
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {schema}.ix_{name}_pool_id")
            op.execute(
                f"CREATE INDEX CONCURRENTLY ix_{name}_pool_id ON {table} (tenant_id, pool_id, pooled_at, id)"
                " WHERE deleted_at IS NULL AND pool_id IS NOT NULL"
            )
