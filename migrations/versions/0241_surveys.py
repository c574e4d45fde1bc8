"""Surveys after cases: definitions, invitations with their answers.

Revision ID: 0241
Revises: 0240
"""

from __future__ import annotations

from alembic import op

from migrations.support import protect

revision = "0241"
down_revision = "0240"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables of surveys."""
    op.execute(
        """
CREATE TABLE after_sales.surveys (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  name text NOT NULL,
  kind text NOT NULL,
  question_en text,
  question_zh text,
  is_active boolean NOT NULL,
  position bigint NOT NULL,
  delay_minutes bigint NOT NULL,
  quiet_days bigint NOT NULL,
  expires_days bigint NOT NULL,
  alert_at bigint NOT NULL,
  care_plan jsonb NOT NULL,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT pk_surveys PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_surveys_name UNIQUE (tenant_id, name),
  CONSTRAINT ck_surveys_kind CHECK (kind IN ('csat', 'nps', 'ces')),
  CONSTRAINT ck_surveys_delay_minutes CHECK (delay_minutes BETWEEN 0 AND 43200),
  CONSTRAINT ck_surveys_quiet_days CHECK (quiet_days BETWEEN 0 AND 730),
  CONSTRAINT ck_surveys_expires_days CHECK (expires_days BETWEEN 1 AND 365)
)"""
    )
    protect("after_sales.surveys")
    op.execute(
        """
CREATE TABLE after_sales.survey_invitations (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  survey_id uuid NOT NULL,
  case_id uuid NOT NULL,
  kind text NOT NULL,
  contact_id uuid,
  agent_id uuid,
  product_id uuid,
  status text NOT NULL,
  send_at timestamptz NOT NULL,
  sent_at timestamptz,
  expires_at timestamptz,
  answered_at timestamptz,
  score bigint,
  comment text,
  complaint boolean NOT NULL DEFAULT false,
  alerted boolean NOT NULL DEFAULT false,
  created_at timestamptz NOT NULL,
  CONSTRAINT pk_survey_invitations PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_survey_invitations_case_id UNIQUE (tenant_id, case_id, survey_id),
  CONSTRAINT fk_survey_invitations_survey_id FOREIGN KEY (tenant_id, survey_id)
    REFERENCES after_sales.surveys (tenant_id, id),
  CONSTRAINT fk_survey_invitations_case_id FOREIGN KEY (tenant_id, case_id)
    REFERENCES after_sales.cases (tenant_id, id),
  CONSTRAINT ck_survey_invitations_kind CHECK (kind IN ('csat', 'nps', 'ces')),
  CONSTRAINT ck_survey_invitations_status
    CHECK (status IN ('scheduled', 'sent', 'answered', 'withdrawn', 'skipped')),
  CONSTRAINT ck_survey_invitations_sent_at
    CHECK ((sent_at IS NULL) = (expires_at IS NULL) AND (status NOT IN ('sent', 'answered') OR sent_at IS NOT NULL)),
  CONSTRAINT ck_survey_invitations_answered_at
    CHECK ((status = 'answered') = (answered_at IS NOT NULL) AND (status = 'answered') = (score IS NOT NULL)),
  CONSTRAINT ck_survey_invitations_score CHECK (CASE kind WHEN 'csat' THEN score BETWEEN 1 AND 5
    WHEN 'ces' THEN score BETWEEN 1 AND 7 ELSE score BETWEEN 0 AND 10 END)
)"""
    )
    protect("after_sales.survey_invitations")
    for name, keys, where in (
        ("survey_id", "survey_id, id", ""),
        ("contact_id", "contact_id, send_at", " WHERE contact_id IS NOT NULL"),
        ("answered_at", "answered_at, id", " WHERE status = 'answered'"),
    ):
        op.execute(
            f"CREATE INDEX ix_survey_invitations_{name} ON after_sales.survey_invitations (tenant_id, {keys}){where}"
        )
