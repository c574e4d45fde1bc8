"""Indexes for lists of leads by score, grade and stage.

Revision ID: 0063
Revises: 0062
"""

from __future__ import annotations

from alembic import op

revision = "0063"
down_revision = "0062"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Build them beside the writers; each by itself, so that a broken run can be repeated.

    None of them holds a lead that has no such value: a whole index on the tenant is one that a planner without
    statistics takes for any look-up, and imports into a fresh table then read it from end to end.
    """
    live = "WHERE deleted_at IS NULL"
    with op.get_context().autocommit_block():
        _index("score", "(tenant_id, score, id)", f"{live} AND score IS NOT NULL")
        for column in ("grade", "stage"):
            _index(column, f"(tenant_id, {column}, created_at, id)", f"{live} AND {column} IS NOT NULL")
        _index("completeness", "(tenant_id, id)", f"{live} AND completeness IS NULL")


def _index(name: str, columns: str, where: str) -> None:
    op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS leads.ix_leads_{name}")
    op.execute(f"CREATE INDEX CONCURRENTLY ix_leads_{name} ON leads.leads {columns} {where}")
