"""Webhook endpoints, what is to be delivered to them, and every attempt.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

from alembic import op

from migrations.support import protect

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the webhook tables."""
    _endpoints()
    _deliveries()


def _endpoints() -> None:
    op.execute(
        """
CREATE TABLE kernel.webhook_endpoints (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  url text NOT NULL,
  description text NOT NULL DEFAULT '',
  event_types text[] NOT NULL,
  enabled boolean NOT NULL DEFAULT true,
  disabled_reason text,
  disabled_at timestamptz,
  secret bytea NOT NULL,
  previous_secret bytea,
  previous_secret_expires_at timestamptz,
  failing_since timestamptz,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  created_by uuid,
  deleted_at timestamptz,
  CONSTRAINT pk_webhook_endpoints PRIMARY KEY (tenant_id, id),
  CONSTRAINT ck_webhook_endpoints_disabled_reason CHECK (
    disabled_reason IS NULL OR disabled_reason IN ('by_member', 'gone', 'failing')
  )
)"""
    )
    protect("kernel.webhook_endpoints", control="SELECT, UPDATE, DELETE")


def _deliveries() -> None:
    op.execute(
        """
CREATE TABLE kernel.webhook_deliveries (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  endpoint_id uuid NOT NULL,
  event_id uuid NOT NULL,
  event_type text NOT NULL,
  payload jsonb,
  state text NOT NULL DEFAULT 'pending',
  attempts int NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL,
  next_attempt_at timestamptz,
  finished_at timestamptz,
  CONSTRAINT pk_webhook_deliveries PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_webhook_deliveries_event_id UNIQUE (tenant_id, endpoint_id, event_id),
  CONSTRAINT fk_webhook_deliveries_endpoint_id FOREIGN KEY (tenant_id, endpoint_id)
    REFERENCES kernel.webhook_endpoints (tenant_id, id) ON DELETE CASCADE,
  CONSTRAINT ck_webhook_deliveries_state CHECK (state IN ('pending', 'succeeded', 'failed', 'cancelled'))
)"""
    )
    op.execute(
        "CREATE INDEX ix_webhook_deliveries_due ON kernel.webhook_deliveries (next_attempt_at, id)"
        " WHERE state = 'pending'"
    )
    op.execute(
        "CREATE INDEX ix_webhook_deliveries_endpoint ON kernel.webhook_deliveries"
        " (tenant_id, endpoint_id, created_at, id)"
    )
    op.execute(
        "CREATE INDEX ix_webhook_deliveries_created_at ON kernel.webhook_deliveries USING brin (created_at)"
    )
    protect("kernel.webhook_deliveries", control="SELECT, INSERT, UPDATE, DELETE")
    op.execute(
        """
CREATE TABLE kernel.webhook_attempts (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  delivery_id uuid NOT NULL,
  at timestamptz NOT NULL,
  status int,
  latency_ms int NOT NULL,
  error text,
  response_excerpt text,
  CONSTRAINT pk_webhook_attempts PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_webhook_attempts_delivery_id FOREIGN KEY (tenant_id, delivery_id)
    REFERENCES kernel.webhook_deliveries (tenant_id, id) ON DELETE CASCADE
)"""
    )
    op.execute(
        "CREATE INDEX ix_webhook_attempts_delivery ON kernel.webhook_attempts (tenant_id, delivery_id, id)"
    )
    protect("kernel.webhook_attempts", control="SELECT, INSERT, DELETE")
