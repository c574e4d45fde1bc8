"""Notes, tasks, calls and meetings, and what they are about.

Revision ID: 0020
Revises: 0015
"""

from __future__ import annotations

from alembic import op

from migrations.support import create_schema, protect, record_columns, record_indexes

revision = "0020"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create schema `activities`."""
    create_schema("activities")
    op.execute(
        f"""
CREATE TABLE activities.activities (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  kind text NOT NULL,
  subject text NOT NULL,
  body text,
  about jsonb NOT NULL DEFAULT '[]',
  status text NOT NULL,
  priority text NOT NULL,
  due_at timestamptz,
  happened_at timestamptz NOT NULL,
  completed_at timestamptz,
  duration_seconds bigint,
  direction text,
  outcome text,
  {record_columns()},
  CONSTRAINT pk_activities PRIMARY KEY (tenant_id, id),
  CONSTRAINT ck_activities_kind CHECK (kind IN ('note', 'task', 'call', 'meeting')),
  CONSTRAINT ck_activities_status CHECK (status IN ('open', 'done', 'cancelled')),
  CONSTRAINT ck_activities_priority CHECK (priority IN ('low', 'normal', 'high')),
  CONSTRAINT ck_activities_direction CHECK (direction IS NULL OR direction IN ('inbound', 'outbound')),
  CONSTRAINT ck_activities_duration_seconds CHECK (duration_seconds >= 0),
  CONSTRAINT ck_activities_completed_at CHECK (status = 'done' OR completed_at IS NULL)
)"""
    )
    protect("activities.activities", record=True)
    record_indexes("activities.activities", ["happened_at"])
    op.execute(
        "CREATE INDEX ix_activities_open ON activities.activities (tenant_id, owner_id, due_at, id)"
        " WHERE deleted_at IS NULL AND status = 'open'"
    )
    op.execute(
        """
CREATE TABLE activities.links (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  activity_id uuid NOT NULL,
  object text NOT NULL,
  record_id uuid NOT NULL,
  at timestamptz NOT NULL,
  CONSTRAINT pk_links PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_links_activity_id UNIQUE (tenant_id, activity_id, object, record_id),
  CONSTRAINT fk_links_activity_id FOREIGN KEY (tenant_id, activity_id)
    REFERENCES activities.activities (tenant_id, id) ON DELETE CASCADE
)"""
    )
    op.execute(
        "CREATE INDEX ix_links_timeline ON activities.links (tenant_id, object, record_id, at, activity_id)"
    )
    protect("activities.links")
