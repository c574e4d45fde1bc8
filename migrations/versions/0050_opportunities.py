"""Pipelines, stages, opportunities and their way through the stages.

Revision ID: 0050
Revises: 0040
"""

from __future__ import annotations

from alembic import op

from migrations.support import create_schema, protect, record_columns, record_indexes

revision = "0050"
down_revision = "0040"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create schema `opportunities`."""
    create_schema("opportunities")
    _pipelines()
    _opportunities()
    _stage_history()


def _pipelines() -> None:
    op.execute(
        """
CREATE TABLE opportunities.pipelines (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  key text NOT NULL,
  name_en text NOT NULL,
  name_zh text,
  is_default boolean NOT NULL DEFAULT false,
  position bigint NOT NULL DEFAULT 0,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT pk_pipelines PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_pipelines_key UNIQUE (tenant_id, key)
)"""
    )
    op.execute(
        "CREATE UNIQUE INDEX uq_pipelines_is_default ON opportunities.pipelines (tenant_id) WHERE is_default"
    )
    protect("opportunities.pipelines")
    op.execute(
        """
CREATE TABLE opportunities.stages (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  pipeline_id uuid NOT NULL,
  key text NOT NULL,
  name_en text NOT NULL,
  name_zh text,
  probability bigint NOT NULL,
  forecast_category text NOT NULL,
  is_closed boolean NOT NULL DEFAULT false,
  is_won boolean NOT NULL DEFAULT false,
  position bigint NOT NULL,
  CONSTRAINT pk_stages PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_stages_key UNIQUE (tenant_id, pipeline_id, key),
  CONSTRAINT fk_stages_pipeline_id FOREIGN KEY (tenant_id, pipeline_id)
    REFERENCES opportunities.pipelines (tenant_id, id) ON DELETE CASCADE,
  CONSTRAINT ck_stages_probability CHECK (probability BETWEEN 0 AND 100),
  CONSTRAINT ck_stages_forecast_category
    CHECK (forecast_category IN ('pipeline', 'best_case', 'commit', 'closed')),
  CONSTRAINT ck_stages_is_won CHECK (is_closed OR NOT is_won)
)"""
    )
    protect("opportunities.stages")


def _opportunities() -> None:
    op.execute(
        f"""
CREATE TABLE opportunities.opportunities (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  name text NOT NULL,
  account_id uuid,
  contact_id uuid,
  pipeline_id uuid NOT NULL,
  stage text NOT NULL,
  last_open_stage text,
  status text NOT NULL,
  probability bigint NOT NULL,
  amount bigint,
  currency text,
  expected_close_on date,
  opened_on date NOT NULL,
  closed_on date,
  product_name text,
  win_reason text,
  loss_reason text,
  outcome_note text,
  source text,
  lead_id uuid,
  next_step text,
  description text,
  {record_columns()},
  CONSTRAINT pk_opportunities PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_opportunities_pipeline_id FOREIGN KEY (tenant_id, pipeline_id)
    REFERENCES opportunities.pipelines (tenant_id, id),
  CONSTRAINT ck_opportunities_status CHECK (status IN ('open', 'won', 'lost')),
  CONSTRAINT ck_opportunities_probability CHECK (probability BETWEEN 0 AND 100),
  CONSTRAINT ck_opportunities_amount CHECK ((amount IS NULL) = (currency IS NULL)),
  CONSTRAINT ck_opportunities_closed_on CHECK ((status = 'open') = (closed_on IS NULL)),
  CONSTRAINT ck_opportunities_closed_after_opened CHECK (closed_on >= opened_on),
  CONSTRAINT ck_opportunities_loss_reason CHECK (status <> 'lost' OR loss_reason IS NOT NULL)
)"""
    )
    protect("opportunities.opportunities", record=True)
    record_indexes("opportunities.opportunities", ["name", "expected_close_on", "closed_on", "status"])
    live = "WHERE deleted_at IS NULL"
    for column in ("account_id", "contact_id", "lead_id"):
        op.execute(
            f"CREATE INDEX ix_opportunities_{column} ON opportunities.opportunities (tenant_id, {column}, id) {live}"
        )
    op.execute(
        "CREATE INDEX ix_opportunities_stage ON opportunities.opportunities"
        f" (tenant_id, pipeline_id, stage, created_at, id) {live}"
    )


def _stage_history() -> None:
    op.execute(
        """
CREATE TABLE opportunities.stage_history (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  opportunity_id uuid NOT NULL,
  from_stage text,
  to_stage text NOT NULL,
  status text NOT NULL,
  entered_at timestamptz NOT NULL,
  left_at timestamptz,
  duration_seconds bigint,
  changed_by uuid,
  amount bigint,
  currency text,
  expected_close_on date,
  probability bigint NOT NULL,
  CONSTRAINT pk_stage_history PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_stage_history_opportunity_id FOREIGN KEY (tenant_id, opportunity_id)
    REFERENCES opportunities.opportunities (tenant_id, id) ON DELETE CASCADE,
  CONSTRAINT ck_stage_history_left_at CHECK ((left_at IS NULL) = (duration_seconds IS NULL))
)"""
    )
    op.execute(
        "CREATE INDEX ix_stage_history_opportunity_id ON opportunities.stage_history"
        " (tenant_id, opportunity_id, entered_at, id)"
    )
    protect("opportunities.stage_history")
