"""Comments and files on cases, how cases end, promises to customers and the clocks that watch them.

Revision ID: 0211
Revises: 0210
"""

from __future__ import annotations

from alembic import op

from migrations.support import protect, refresh_read_view

revision = "0211"
down_revision = "0210"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create what hangs on cases."""
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("ALTER TABLE after_sales.cases ADD COLUMN split_from_id uuid")
    refresh_read_view("after_sales.cases")
    _comments()
    _attachments()
    _settings()
    _policies()
    _clocks()


def _comments() -> None:
    op.execute(
        """
CREATE TABLE after_sales.case_comments (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  case_id uuid NOT NULL,
  author text NOT NULL,
  public boolean NOT NULL,
  member_id uuid,
  contact_id uuid,
  body text NOT NULL,
  at timestamptz NOT NULL,
  CONSTRAINT pk_case_comments PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_case_comments_case_id FOREIGN KEY (tenant_id, case_id)
    REFERENCES after_sales.cases (tenant_id, id) ON DELETE CASCADE,
  CONSTRAINT ck_case_comments_author CHECK (author IN ('member', 'customer')),
  CONSTRAINT ck_case_comments_public CHECK (public OR author = 'member')
)"""
    )
    protect("after_sales.case_comments")
    op.execute("CREATE INDEX ix_case_comments_case ON after_sales.case_comments (tenant_id, case_id, at, id)")
    op.execute(
        "CREATE INDEX ix_case_comments_contact_id ON after_sales.case_comments (tenant_id, contact_id)"
        " WHERE contact_id IS NOT NULL"
    )


def _attachments() -> None:
    op.execute(
        """
CREATE TABLE after_sales.case_attachments (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  case_id uuid NOT NULL,
  file_id uuid NOT NULL,
  name text NOT NULL,
  media_type text NOT NULL,
  size bigint NOT NULL,
  public boolean NOT NULL,
  created_at timestamptz NOT NULL,
  created_by uuid,
  CONSTRAINT pk_case_attachments PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_case_attachments_file_id UNIQUE (tenant_id, case_id, file_id),
  CONSTRAINT fk_case_attachments_case_id FOREIGN KEY (tenant_id, case_id)
    REFERENCES after_sales.cases (tenant_id, id) ON DELETE CASCADE
)"""
    )
    protect("after_sales.case_attachments")


def _settings() -> None:
    op.execute(
        """
CREATE TABLE after_sales.case_settings (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  reopen_days bigint NOT NULL,
  close_after_days bigint,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT pk_case_settings PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_case_settings_tenant UNIQUE (tenant_id),
  CONSTRAINT ck_case_settings_reopen_days CHECK (reopen_days BETWEEN 0 AND 3650),
  CONSTRAINT ck_case_settings_close_after_days CHECK (close_after_days BETWEEN 0 AND 3650)
)"""
    )
    protect("after_sales.case_settings")


def _policies() -> None:
    op.execute(
        """
CREATE TABLE after_sales.sla_policies (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  name text NOT NULL,
  position bigint NOT NULL,
  enabled boolean NOT NULL,
  conditions jsonb,
  first_response_minutes bigint,
  next_response_minutes bigint,
  resolution_minutes bigint,
  calendar_id uuid,
  warn_percent bigint NOT NULL,
  escalations jsonb NOT NULL,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT pk_sla_policies PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_sla_policies_name UNIQUE (tenant_id, name),
  CONSTRAINT ck_sla_policies_warn_percent CHECK (warn_percent BETWEEN 1 AND 99),
  CONSTRAINT ck_sla_policies_targets CHECK (
    first_response_minutes > 0 OR next_response_minutes > 0 OR resolution_minutes > 0)
)"""
    )
    protect("after_sales.sla_policies")


def _clocks() -> None:
    op.execute(
        """
CREATE TABLE after_sales.case_clocks (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  case_id uuid NOT NULL,
  target text NOT NULL,
  policy_id uuid NOT NULL,
  calendar_id uuid,
  goal_seconds bigint NOT NULL,
  started_at timestamptz NOT NULL,
  holds jsonb NOT NULL,
  paused_at timestamptz,
  due_at timestamptz,
  warn_at timestamptz,
  warned_at timestamptz,
  breached_at timestamptz,
  escalate_at timestamptz,
  escalated bigint NOT NULL,
  ended_at timestamptz,
  CONSTRAINT pk_case_clocks PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_case_clocks_case_id FOREIGN KEY (tenant_id, case_id)
    REFERENCES after_sales.cases (tenant_id, id) ON DELETE CASCADE,
  CONSTRAINT ck_case_clocks_target CHECK (target IN ('first_response', 'next_response', 'resolution')),
  CONSTRAINT ck_case_clocks_goal CHECK (goal_seconds > 0),
  CONSTRAINT ck_case_clocks_ended CHECK (ended_at IS NULL OR paused_at IS NULL),
  CONSTRAINT ck_case_clocks_due CHECK (
    (due_at IS NULL) = (paused_at IS NOT NULL AND breached_at IS NULL) OR ended_at IS NOT NULL)
)"""
    )
    protect("after_sales.case_clocks")
    running = "WHERE ended_at IS NULL AND paused_at IS NULL"
    op.execute(
        "CREATE UNIQUE INDEX uq_case_clocks_target ON after_sales.case_clocks (tenant_id, case_id, target)"
        " WHERE ended_at IS NULL"
    )
    op.execute("CREATE INDEX ix_case_clocks_case ON after_sales.case_clocks (tenant_id, case_id, started_at)")
    op.execute(
        "CREATE INDEX ix_case_clocks_warn_at ON after_sales.case_clocks (tenant_id, warn_at, id)"
        f" {running} AND warned_at IS NULL AND breached_at IS NULL"
    )
    op.execute(
        "CREATE INDEX ix_case_clocks_due_at ON after_sales.case_clocks (tenant_id, due_at, id)"
        f" {running} AND breached_at IS NULL"
    )
    op.execute(
        "CREATE INDEX ix_case_clocks_escalate_at ON after_sales.case_clocks (tenant_id, escalate_at, id)"
        f" {running} AND escalate_at IS NOT NULL"
    )
