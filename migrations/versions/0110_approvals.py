"""Approvals: processes, requests, the decisions that they wait for, their history, and who decides for whom.

Revision ID: 0110
Revises: 0102
"""

from __future__ import annotations

from alembic import op

from migrations.support import create_schema, protect

revision = "0110"
down_revision = "0102"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create schema `automation` with the tables of approvals."""
    create_schema("automation")
    _processes()
    _approvals()
    _decisions()
    _history()
    _delegations()


def _processes() -> None:
    op.execute(
        """
CREATE TABLE automation.approval_processes (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  name_en text NOT NULL,
  name_zh text,
  object text NOT NULL,
  priority bigint NOT NULL,
  enabled boolean NOT NULL,
  condition jsonb,
  steps jsonb NOT NULL,
  requester_may_approve boolean NOT NULL,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  deleted_at timestamptz,
  CONSTRAINT pk_approval_processes PRIMARY KEY (tenant_id, id),
  CONSTRAINT ck_approval_processes_priority CHECK (priority BETWEEN 0 AND 1000000)
)"""
    )
    protect("automation.approval_processes")
    op.execute(
        "CREATE INDEX ix_approval_processes_object ON automation.approval_processes (tenant_id, object, priority, id)"
        " WHERE deleted_at IS NULL"
    )


def _approvals() -> None:
    # `steps` is what the process asked when the request was made: a later change of the process leaves it alone.
    op.execute(
        """
CREATE TABLE automation.approvals (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  process_id uuid NOT NULL,
  process_name_en text NOT NULL,
  process_name_zh text,
  requester_may_approve boolean NOT NULL,
  object text NOT NULL,
  record_id uuid NOT NULL,
  label text NOT NULL,
  fingerprint text NOT NULL,
  status text NOT NULL,
  steps jsonb NOT NULL,
  step bigint NOT NULL,
  carried text[] NOT NULL,
  requested_by uuid,
  owner_id uuid,
  note text,
  requested_at timestamptz NOT NULL,
  decided_at timestamptz,
  decided_by uuid,
  decision_note text,
  CONSTRAINT pk_approvals PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_approvals_process_id FOREIGN KEY (tenant_id, process_id)
    REFERENCES automation.approval_processes (tenant_id, id),
  CONSTRAINT ck_approvals_status CHECK (status IN ('pending', 'approved', 'refused', 'recalled')),
  CONSTRAINT ck_approvals_decided_at CHECK ((status = 'pending') = (decided_at IS NULL)),
  CONSTRAINT ck_approvals_step CHECK (step >= 0 AND step < jsonb_array_length(steps))
)"""
    )
    protect("automation.approvals")
    op.execute(
        "CREATE UNIQUE INDEX uq_approvals_pending ON automation.approvals (tenant_id, object, record_id)"
        " WHERE status = 'pending'"
    )
    for name, columns in (
        ("process_id", "process_id"),
        ("record_id", "object, record_id, requested_at, id"),
        ("requested_at", "requested_at, id"),
        ("requested_by", "requested_by, requested_at, id"),
        ("owner_id", "owner_id, requested_at, id"),
    ):
        op.execute(f"CREATE INDEX ix_approvals_{name} ON automation.approvals (tenant_id, {columns})")


def _decisions() -> None:
    # One row for each member that a step asks. It goes with whoever has to decide; the first one stays named.
    op.execute(
        """
CREATE TABLE automation.approval_decisions (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  approval_id uuid NOT NULL,
  step bigint NOT NULL,
  approver_id uuid NOT NULL,
  first_approver_id uuid NOT NULL,
  state text NOT NULL,
  opened_at timestamptz,
  remind_at timestamptz,
  escalate_at timestamptz,
  decided_at timestamptz,
  decided_by uuid,
  note text,
  CONSTRAINT pk_approval_decisions PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_approval_decisions_approval_id FOREIGN KEY (tenant_id, approval_id)
    REFERENCES automation.approvals (tenant_id, id),
  CONSTRAINT uq_approval_decisions_approver_id UNIQUE (tenant_id, approval_id, step, approver_id),
  CONSTRAINT ck_approval_decisions_state CHECK (state IN ('waiting', 'open', 'approved', 'refused', 'closed')),
  CONSTRAINT ck_approval_decisions_decided_by CHECK
    ((state IN ('approved', 'refused')) = (decided_by IS NOT NULL AND decided_at IS NOT NULL)),
  CONSTRAINT ck_approval_decisions_remind_at CHECK (remind_at IS NULL OR state = 'open'),
  CONSTRAINT ck_approval_decisions_escalate_at CHECK (escalate_at IS NULL OR state = 'open')
)"""
    )
    protect("automation.approval_decisions")
    for name, columns, where in (
        ("approver_id", "approver_id, state", ""),
        ("first_approver_id", "first_approver_id", ""),
        ("decided_by", "decided_by", " WHERE decided_by IS NOT NULL"),
        ("remind_at", "remind_at, id", " WHERE remind_at IS NOT NULL"),
        ("escalate_at", "escalate_at, id", " WHERE escalate_at IS NOT NULL"),
    ):
        op.execute(
            f"CREATE INDEX ix_approval_decisions_{name} ON automation.approval_decisions"
            f" (tenant_id, {columns}){where}"
        )


def _history() -> None:
    op.execute(
        """
CREATE TABLE automation.approval_history (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  approval_id uuid NOT NULL,
  at timestamptz NOT NULL,
  action text NOT NULL,
  step text,
  actor_id uuid,
  on_behalf_of uuid,
  to_member_id uuid,
  note text,
  CONSTRAINT pk_approval_history PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_approval_history_approval_id FOREIGN KEY (tenant_id, approval_id)
    REFERENCES automation.approvals (tenant_id, id),
  CONSTRAINT ck_approval_history_action CHECK (action IN
    ('requested', 'approved', 'refused', 'delegated', 'handed_over', 'escalated', 'stayed', 'closed', 'recalled'))
)"""
    )
    protect("automation.approval_history", append_only=True)
    op.execute(
        "CREATE INDEX ix_approval_history_approval_id ON automation.approval_history (tenant_id, approval_id, id)"
    )


def _delegations() -> None:
    op.execute(
        """
CREATE TABLE automation.approval_delegations (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  member_id uuid NOT NULL,
  delegate_id uuid NOT NULL,
  starts_at timestamptz NOT NULL,
  ends_at timestamptz NOT NULL,
  note text,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT pk_approval_delegations PRIMARY KEY (tenant_id, id),
  CONSTRAINT ck_approval_delegations_ends_at CHECK (ends_at > starts_at),
  CONSTRAINT ck_approval_delegations_delegate_id CHECK (delegate_id <> member_id)
)"""
    )
    protect("automation.approval_delegations")
    for name in ("member_id", "delegate_id"):
        op.execute(
            f"CREATE INDEX ix_approval_delegations_{name} ON automation.approval_delegations"
            f" (tenant_id, {name}, ends_at)"
        )
