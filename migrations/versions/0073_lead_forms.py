"""Forms that capture leads, what was submitted, consents that leads gave, and mail that was taken in.

Revision ID: 0073
Revises: 0072
"""

from __future__ import annotations

from alembic import op

from migrations.support import protect

revision = "0073"
down_revision = "0072"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables of capture in schema `leads`."""
    _forms()
    _submissions()
    _attempts()
    _consents()
    _mails()


def _forms() -> None:
    # The public key begins with the tenant's id, so that it leads to its row through the tenant's own index.
    op.execute(
        """
CREATE TABLE leads.forms (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  name_en text NOT NULL,
  name_zh text,
  public_key text NOT NULL,
  enabled boolean NOT NULL,
  fields jsonb NOT NULL,
  consents jsonb NOT NULL,
  allowed_origins text[] NOT NULL,
  redirect_url text,
  thanks_en text,
  thanks_zh text,
  owner_id uuid,
  team_id uuid,
  source text,
  channel text,
  campaign text,
  honeypot text NOT NULL,
  min_seconds bigint NOT NULL,
  double_opt_in boolean NOT NULL,
  touch_open_leads boolean NOT NULL,
  limit_per_address bigint NOT NULL,
  limit_per_form bigint NOT NULL,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT pk_forms PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_forms_public_key UNIQUE (tenant_id, public_key),
  CONSTRAINT ck_forms_min_seconds CHECK (min_seconds BETWEEN 0 AND 3600),
  CONSTRAINT ck_forms_limit_per_address CHECK (limit_per_address > 0),
  CONSTRAINT ck_forms_limit_per_form CHECK (limit_per_form > 0)
)"""
    )
    protect("leads.forms")


def _submissions() -> None:
    op.execute(
        """
CREATE TABLE leads.form_submissions (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  form_id uuid NOT NULL,
  status text NOT NULL,
  reason text,
  lead_id uuid,
  token text,
  answers jsonb NOT NULL,
  language text NOT NULL,
  confirmation_hash bytea,
  expires_at timestamptz,
  confirmed_at timestamptz,
  created_at timestamptz NOT NULL,
  CONSTRAINT pk_form_submissions PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_form_submissions_form_id FOREIGN KEY (tenant_id, form_id)
    REFERENCES leads.forms (tenant_id, id) ON DELETE CASCADE,
  CONSTRAINT uq_form_submissions_token UNIQUE (tenant_id, form_id, token),
  CONSTRAINT uq_form_submissions_confirmation_hash UNIQUE (tenant_id, confirmation_hash),
  CONSTRAINT ck_form_submissions_status
    CHECK (status IN ('created', 'touched', 'pending', 'spam', 'refused')),
  CONSTRAINT ck_form_submissions_lead_id CHECK ((status IN ('created', 'touched')) = (lead_id IS NOT NULL)),
  CONSTRAINT ck_form_submissions_reason CHECK ((status IN ('spam', 'refused')) = (reason IS NOT NULL)),
  CONSTRAINT ck_form_submissions_expires_at CHECK ((confirmation_hash IS NULL) = (expires_at IS NULL))
)"""
    )
    protect("leads.form_submissions")
    op.execute(
        "CREATE INDEX ix_form_submissions_form_id ON leads.form_submissions (tenant_id, form_id, created_at, id)"
    )
    op.execute(
        "CREATE INDEX ix_form_submissions_expires_at ON leads.form_submissions (tenant_id, expires_at)"
        " WHERE status = 'pending'"
    )


def _attempts() -> None:
    op.execute(
        """
CREATE TABLE leads.form_attempts (
  tenant_id uuid NOT NULL,
  key bytea NOT NULL,
  window_started_at timestamptz NOT NULL,
  count bigint NOT NULL,
  CONSTRAINT pk_form_attempts PRIMARY KEY (tenant_id, key)
)"""
    )
    protect("leads.form_attempts")
    op.execute(
        "CREATE INDEX ix_form_attempts_window_started_at ON leads.form_attempts (tenant_id, window_started_at)"
    )


def _consents() -> None:
    op.execute(
        """
CREATE TABLE leads.consents (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  lead_id uuid NOT NULL,
  channel text NOT NULL,
  text text NOT NULL,
  text_version text NOT NULL,
  language text NOT NULL,
  source text NOT NULL,
  given_at timestamptz NOT NULL,
  CONSTRAINT pk_consents PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_consents_lead_id FOREIGN KEY (tenant_id, lead_id)
    REFERENCES leads.leads (tenant_id, id) ON DELETE CASCADE,
  CONSTRAINT ck_consents_channel CHECK (channel IN ('email', 'phone', 'sms', 'wechat', 'post'))
)"""
    )
    protect("leads.consents")
    op.execute("CREATE INDEX ix_consents_lead_id ON leads.consents (tenant_id, lead_id, given_at, id)")


def _mails() -> None:
    op.execute(
        """
CREATE TABLE leads.captured_mails (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  message_hash bytea NOT NULL,
  status text NOT NULL,
  lead_id uuid NOT NULL,
  created_at timestamptz NOT NULL,
  CONSTRAINT pk_captured_mails PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_captured_mails_message_hash UNIQUE (tenant_id, message_hash),
  CONSTRAINT ck_captured_mails_status CHECK (status IN ('created', 'touched'))
)"""
    )
    protect("leads.captured_mails")
