"""Let an import look at a tenth of the rows when it tells the planner that a table has grown.

Revision ID: 0310
Revises: 0302

An analysis of some columns weighs each sampled row against the condition of each partial index: with the usual
sample of 30,000 rows that took a tenth of an import. What the look-ups of an import need is whether values repeat;
autovacuum gathers the finer picture.
"""

from __future__ import annotations

from alembic import op

revision = "0310"
down_revision = "0302"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Only the setting is new; whoever calls it waits for nothing."""
    op.execute("ALTER FUNCTION kernel.analyze_table(text, text[]) SET default_statistics_target = 10")
