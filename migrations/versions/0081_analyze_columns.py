"""Let an import tell the planner of the columns that it looks up, not of all.

Revision ID: 0081
Revises: 0080

Statistics of search tokens and JSON are most of the work, and no look-up of an import needs them. Autovacuum still
gathers them: an analysis of some columns does not count for it.
"""

from __future__ import annotations

from alembic import op

revision = "0081"
down_revision = "0080"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add kernel.analyze_table(name, columns); the one without columns stays for processes of the version before."""
    op.execute(
        """
CREATE FUNCTION kernel.analyze_table(name text, columns text[]) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog SET lock_timeout = '500ms' AS $$
BEGIN
  EXECUTE format('ANALYZE %I.%I (%s)', split_part(name, '.', 1), split_part(name, '.', 2),
    (SELECT string_agg(format('%I', c), ', ') FROM unnest(columns) AS c));
EXCEPTION WHEN lock_not_available THEN
  NULL;
END $$"""
    )
    op.execute("REVOKE ALL ON FUNCTION kernel.analyze_table(text, text[]) FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION kernel.analyze_table(text, text[]) TO rapport_control")
