"""Forms by which customers open cases, what was submitted, and how often.

Revision ID: 0325
Revises: 0315
"""

from __future__ import annotations

from alembic import op

from migrations.support import protect

revision = "0325"
down_revision = "0315"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables of case forms in schema `after_sales`."""
    op.execute(
        """
CREATE TABLE after_sales.case_forms (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  name_en text NOT NULL,
  name_zh text,
  public_key text NOT NULL,
  enabled boolean NOT NULL,
  fields jsonb NOT NULL,
  allowed_origins text[] NOT NULL,
  redirect_url text,
  thanks_en text,
  thanks_zh text,
  honeypot text NOT NULL,
  min_seconds bigint NOT NULL,
  limit_per_address bigint NOT NULL,
  limit_per_form bigint NOT NULL,
  type text,
  priority text NOT NULL,
  queue_id uuid,
  owner_id uuid,
  product_ids uuid[] NOT NULL,
  acknowledge boolean NOT NULL,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT pk_case_forms PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_case_forms_public_key UNIQUE (tenant_id, public_key),
  CONSTRAINT fk_case_forms_queue_id FOREIGN KEY (tenant_id, queue_id)
    REFERENCES after_sales.queues (tenant_id, id),
  CONSTRAINT ck_case_forms_priority CHECK (priority IN ('low', 'normal', 'high', 'urgent')),
  CONSTRAINT ck_case_forms_min_seconds CHECK (min_seconds BETWEEN 0 AND 3600),
  CONSTRAINT ck_case_forms_limit_per_address CHECK (limit_per_address > 0),
  CONSTRAINT ck_case_forms_limit_per_form CHECK (limit_per_form > 0)
)"""
    )
    op.execute("CREATE INDEX ix_case_forms_queue_id ON after_sales.case_forms (tenant_id, queue_id)")
    protect("after_sales.case_forms")
    op.execute(
        """
CREATE TABLE after_sales.case_form_submissions (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  form_id uuid NOT NULL,
  status text NOT NULL,
  reason text,
  case_id uuid,
  token text,
  answers jsonb NOT NULL,
  language text NOT NULL,
  created_at timestamptz NOT NULL,
  CONSTRAINT pk_case_form_submissions PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_case_form_submissions_form_id FOREIGN KEY (tenant_id, form_id)
    REFERENCES after_sales.case_forms (tenant_id, id) ON DELETE CASCADE,
  CONSTRAINT fk_case_form_submissions_case_id FOREIGN KEY (tenant_id, case_id)
    REFERENCES after_sales.cases (tenant_id, id),
  CONSTRAINT uq_case_form_submissions_token UNIQUE (tenant_id, form_id, token),
  CONSTRAINT ck_case_form_submissions_status CHECK (status IN ('created', 'spam', 'refused')),
  CONSTRAINT ck_case_form_submissions_case_id CHECK (case_id IS NULL OR status = 'created'),
  CONSTRAINT ck_case_form_submissions_reason CHECK ((status = 'created') = (reason IS NULL))
)"""
    )
    op.execute(
        "CREATE INDEX ix_case_form_submissions_form_id"
        " ON after_sales.case_form_submissions (tenant_id, form_id, created_at, id)"
    )
    op.execute(
        "CREATE INDEX ix_case_form_submissions_case_id ON after_sales.case_form_submissions (tenant_id, case_id)"
    )
    protect("after_sales.case_form_submissions")
    op.execute(
        """
CREATE TABLE after_sales.case_form_attempts (
  tenant_id uuid NOT NULL,
  key bytea NOT NULL,
  window_started_at timestamptz NOT NULL,
  count bigint NOT NULL,
  CONSTRAINT pk_case_form_attempts PRIMARY KEY (tenant_id, key)
)"""
    )
    op.execute(
        "CREATE INDEX ix_case_form_attempts_window_started_at"
        " ON after_sales.case_form_attempts (tenant_id, window_started_at)"
    )
    protect("after_sales.case_form_attempts")
