"""What an update moved is found by comparing sets, whatever plan the session has kept.

Revision ID: 0386
Revises: 0380

A statement of a trigger without parameters keeps the plan of its first run in a session. The join of new with old
rows, planned for one deal, went through all pairs when a stage's patience changed for 15,000: half a minute, and the
request ended as 503.
"""

from __future__ import annotations

from alembic import op

revision = "0386"
down_revision = "0380"
branch_labels = None
depends_on = None

_COLUMNS = ("pipeline_id", "stage", "status", "last_open_stage", "owner_id", "team_id", "deleted_at")
_JOINED = (
    "new_rows n JOIN old_rows o USING (tenant_id, id)"
    f" WHERE ({', '.join(f'n.{name}' for name in _COLUMNS)}) IS DISTINCT FROM"
    f" ({', '.join(f'o.{name}' for name in _COLUMNS)})"
)
_PLACE = f"tenant_id, id, {', '.join(_COLUMNS)}"
_COMPARED = f"(SELECT {_PLACE} FROM new_rows EXCEPT SELECT {_PLACE} FROM old_rows) moved"


def upgrade() -> None:
    """Replace the join in opportunities.count_opportunities; the rest of it stays as 0070 made it."""
    op.execute(
        f"""
DO $do$
DECLARE
  was text := pg_get_functiondef('opportunities.count_opportunities()'::regprocedure);
BEGIN
  IF strpos(was, '{_JOINED}') = 0 THEN
    RAISE EXCEPTION 'opportunities.count_opportunities is not what 0070 made it';
  END IF;
  EXECUTE replace(was, '{_JOINED}', '{_COMPARED}');
END $do$"""
    )
