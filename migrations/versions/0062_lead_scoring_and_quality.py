"""Scoring models, behaviours, a lead's grade, stage and completeness; rules of data quality.

Revision ID: 0062
Revises: 0061b
"""

from __future__ import annotations

from alembic import op

from migrations.support import protect, refresh_read_view

revision = "0062"
down_revision = "0061b"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what scores are made of, and kernel.quality_rules.

    The completeness of leads that are there already is filled in by a job.
    """
    _leads()
    _behaviours()
    _scoring_models()
    _stage_lists()
    _quality_rules()


def _leads() -> None:
    op.execute(
        """
ALTER TABLE leads.leads
  ADD COLUMN grade text,
  ADD COLUMN scored_at timestamptz,
  ADD COLUMN stage text,
  ADD COLUMN completeness bigint"""
    )
    refresh_read_view("leads.leads")


def _behaviours() -> None:
    op.execute(
        """
CREATE TABLE leads.behaviours (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  lead_id uuid NOT NULL,
  kind text NOT NULL,
  detail text,
  occurred_at timestamptz NOT NULL,
  source_id text,
  created_at timestamptz NOT NULL,
  CONSTRAINT pk_behaviours PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_behaviours_source_id UNIQUE (tenant_id, lead_id, source_id),
  CONSTRAINT fk_behaviours_lead_id FOREIGN KEY (tenant_id, lead_id)
    REFERENCES leads.leads (tenant_id, id) ON DELETE CASCADE,
  CONSTRAINT ck_behaviours_kind CHECK (kind ~ '^[a-z][a-z0-9_]{0,59}$')
)"""
    )
    op.execute("CREATE INDEX ix_behaviours_lead_id ON leads.behaviours (tenant_id, lead_id, occurred_at, id)")
    op.execute(
        "CREATE INDEX ix_behaviours_source_id ON leads.behaviours (tenant_id, source_id)"
        " WHERE source_id IS NOT NULL"
    )
    protect("leads.behaviours")


def _scoring_models() -> None:
    op.execute(
        """
CREATE TABLE leads.scoring_models (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  name_en text NOT NULL,
  name_zh text,
  is_active boolean NOT NULL DEFAULT false,
  min_score bigint NOT NULL,
  max_score bigint NOT NULL,
  fit_cap bigint,
  behaviour_cap bigint,
  fit_rules jsonb NOT NULL,
  behaviour_rules jsonb NOT NULL,
  grades jsonb NOT NULL,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT pk_scoring_models PRIMARY KEY (tenant_id, id),
  CONSTRAINT ck_scoring_models_max_score CHECK (min_score < max_score)
)"""
    )
    op.execute(
        "CREATE UNIQUE INDEX uq_scoring_models_is_active ON leads.scoring_models (tenant_id) WHERE is_active"
    )
    protect("leads.scoring_models")


def _stage_lists() -> None:
    op.execute(
        """
CREATE TABLE leads.stage_lists (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  stages jsonb NOT NULL,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT pk_stage_lists PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_stage_lists_tenant_id UNIQUE (tenant_id)
)"""
    )
    protect("leads.stage_lists")


def _quality_rules() -> None:
    op.execute(
        """
CREATE TABLE kernel.quality_rules (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  object text NOT NULL,
  field text NOT NULL,
  name_en text NOT NULL,
  name_zh text,
  severity text NOT NULL,
  requirement jsonb NOT NULL,
  condition jsonb,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT pk_quality_rules PRIMARY KEY (tenant_id, id),
  CONSTRAINT ck_quality_rules_severity CHECK (severity IN ('warn', 'block'))
)"""
    )
    protect("kernel.quality_rules")
