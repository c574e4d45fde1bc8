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
    """Validate what 0061 declared; index pooled records by when they came, owned ones by when they were received."""
    with op.get_context().autocommit_block():
        for table in RECORDS:
            name = table.partition(".")[2]
            for constraint in ("pool_id", "pooled_at"):
                op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT ck_{name}_{constraint}")
            schema = table.partition(".")[0]
            for index in ("pool_id", "waiting"):  # an attempt that was cut off leaves an invalid one
                op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {schema}.ix_{name}_{index}")
            op.execute(
                f"CREATE INDEX CONCURRENTLY ix_{name}_pool_id ON {table} (tenant_id, pool_id, pooled_at, id)"
                " WHERE deleted_at IS NULL AND pool_id IS NOT NULL"
            )
            op.execute(
                f"CREATE INDEX CONCURRENTLY ix_{name}_waiting ON {table}"
                " (tenant_id, coalesce(received_at, created_at), id)"
                " WHERE deleted_at IS NULL AND owner_id IS NOT NULL AND pool_id IS NULL AND NOT is_locked"
            )
