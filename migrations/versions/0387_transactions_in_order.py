"""Transactions are numbered by functions of ours, so that numbers go on where a restored dump left off.

Revision ID: 0387
Revises: 0386

Entries of the audit log and events stand in the order of their transactions. Another server, on which a dump was
restored, may have counted fewer: what was new stood before what was old, was never sealed, and stayed unseen by those
who read events by a cursor. `rapport db upgrade` gives these functions a distance then (app/kernel/restored.py).
"""

from __future__ import annotations

from alembic import op

revision = "0387"
down_revision = "0386"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add kernel.tx and kernel.tx_horizon, and number entries and events by the first."""
    op.execute(
        "CREATE OR REPLACE FUNCTION kernel.tx() RETURNS xid8 LANGUAGE sql STABLE PARALLEL RESTRICTED AS"
        " $$ SELECT pg_current_xact_id() $$"
    )
    op.execute(
        "CREATE OR REPLACE FUNCTION kernel.tx_horizon() RETURNS xid8 LANGUAGE sql STABLE PARALLEL SAFE AS"
        " $$ SELECT pg_snapshot_xmin(pg_current_snapshot()) $$"
    )
    for table in ("kernel.audit_entries", "kernel.outbox"):
        op.execute(f"ALTER TABLE {table} ALTER COLUMN tx SET DEFAULT kernel.tx()")
