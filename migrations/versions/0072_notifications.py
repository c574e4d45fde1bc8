"""What members are told, and how each wants to be told; checks and indexes of what 0071 added.

Revision ID: 0072
Revises: 0071
"""

from __future__ import annotations

from alembic import op

from migrations.support import protect

revision = "0072"
down_revision = "0071"
branch_labels = None
depends_on = None

_TABLE = "activities.activities"


def upgrade() -> None:
    """Create kernel.notifications and kernel.notification_preferences; validate and index activities."""
    for name in ("kind", "ends_at", "latitude", "longitude", "checked_out_at", "occurrence_at", "recurrence"):
        op.execute(f"ALTER TABLE {_TABLE} VALIDATE CONSTRAINT ck_activities_{name}")
    _notifications()
    _indexes()


def _notifications() -> None:
    op.execute(
        """
CREATE TABLE kernel.notifications (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  member_id uuid NOT NULL,
  kind text NOT NULL,
  title text NOT NULL,
  body text,
  object text,
  record_id uuid,
  actor_id uuid,
  created_at timestamptz NOT NULL,
  read_at timestamptz,
  CONSTRAINT pk_notifications PRIMARY KEY (tenant_id, id),
  CONSTRAINT ck_notifications_record_id CHECK ((object IS NULL) = (record_id IS NULL))
)"""
    )
    op.execute("CREATE INDEX ix_notifications_member_id ON kernel.notifications (tenant_id, member_id, id)")
    op.execute(
        "CREATE INDEX ix_notifications_unread ON kernel.notifications (tenant_id, member_id, kind, id)"
        " WHERE read_at IS NULL"
    )
    protect("kernel.notifications")
    op.execute(
        """
CREATE TABLE kernel.notification_preferences (
  tenant_id uuid NOT NULL,
  member_id uuid NOT NULL,
  kind text NOT NULL,
  live boolean NOT NULL,
  mail boolean NOT NULL,
  CONSTRAINT pk_notification_preferences PRIMARY KEY (tenant_id, member_id, kind)
)"""
    )
    protect("kernel.notification_preferences")


def _indexes() -> None:
    live = "WHERE deleted_at IS NULL"
    table = f"ON {_TABLE}"
    with op.get_context().autocommit_block():
        for statement in (
            (
                f"INDEX CONCURRENTLY ix_activities_calendar {table} (tenant_id, owner_id, ends_at, id)"
                f" {live} AND starts_at IS NOT NULL"
            ),
            (
                f"INDEX CONCURRENTLY ix_activities_recurring {table} (tenant_id, owner_id, id)"
                f" {live} AND recurrence IS NOT NULL"
            ),
            (
                f"UNIQUE INDEX CONCURRENTLY uq_activities_occurrence_at {table} (tenant_id, series_id, occurrence_at)"
                f" {live} AND occurrence_at IS NOT NULL"
            ),
            (
                f"INDEX CONCURRENTLY ix_activities_remind_at {table} (tenant_id, remind_at, id)"
                f" {live} AND remind_at IS NOT NULL"
            ),
            f"INDEX CONCURRENTLY ix_activities_mentions {table} USING gin (tenant_id, mentions) {live}",
        ):
            op.execute(f"CREATE {statement}")
