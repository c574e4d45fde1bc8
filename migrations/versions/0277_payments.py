"""Payments: who a company is to the provider, what it stored there, and each attempt to take what is due.

Revision ID: 0277
Revises: 0276
"""

from __future__ import annotations

from alembic import op

from migrations.support import protect

revision = "0277"
down_revision = "0276"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables of payments in schema `tenants`."""
    _stored()
    _attempts()
    _notices()


def _stored() -> None:
    op.execute(
        """
CREATE TABLE tenants.payment_customers (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  provider text NOT NULL,
  reference text NOT NULL,
  CONSTRAINT pk_payment_customers PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_payment_customers_provider UNIQUE (tenant_id, provider)
)"""
    )
    protect("tenants.payment_customers")
    op.execute(
        """
CREATE TABLE tenants.payment_methods (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  provider text NOT NULL,
  reference text NOT NULL,
  kind text NOT NULL,
  brand text,
  last4 text,
  exp_month bigint,
  exp_year bigint,
  is_default boolean NOT NULL,
  stored_at timestamptz NOT NULL,
  CONSTRAINT pk_payment_methods PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_payment_methods_reference UNIQUE (tenant_id, provider, reference)
)"""
    )
    protect("tenants.payment_methods")


def _attempts() -> None:
    op.execute(
        """
CREATE TABLE tenants.payment_attempts (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  bill_id uuid NOT NULL,
  step bigint,
  provider text NOT NULL,
  customer text NOT NULL,
  method text NOT NULL,
  currency text NOT NULL,
  amount bigint NOT NULL,
  status text NOT NULL,
  reference text,
  failure_code text,
  failure_message text,
  started_at timestamptz NOT NULL,
  claimed_until timestamptz NOT NULL,
  ended_at timestamptz,
  CONSTRAINT pk_payment_attempts PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_payment_attempts_step UNIQUE (tenant_id, bill_id, step),
  CONSTRAINT fk_payment_attempts_bill_id FOREIGN KEY (tenant_id, bill_id) REFERENCES tenants.bills (tenant_id, id),
  CONSTRAINT ck_payment_attempts_status CHECK (status IN ('started', 'pending', 'succeeded', 'failed')),
  CONSTRAINT ck_payment_attempts_ended CHECK ((ended_at IS NULL) = (status IN ('started', 'pending'))),
  CONSTRAINT ck_payment_attempts_amount CHECK (amount > 0)
)"""
    )
    # Of a bill one attempt at a time: whoever would begin another one meets this.
    op.execute(
        "CREATE UNIQUE INDEX uq_payment_attempts_under_way ON tenants.payment_attempts (tenant_id, bill_id)"
        " WHERE status IN ('started', 'pending')"
    )
    op.execute(
        "CREATE INDEX ix_payment_attempts_bill_id ON tenants.payment_attempts (tenant_id, bill_id, started_at)"
    )
    protect("tenants.payment_attempts", control="SELECT")
    op.execute(
        """
CREATE TABLE tenants.payment_refunds (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  note_id uuid NOT NULL,
  payment_id uuid NOT NULL,
  amount bigint NOT NULL,
  reference text,
  refunded_at timestamptz,
  CONSTRAINT pk_payment_refunds PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_payment_refunds_note UNIQUE (tenant_id, note_id, payment_id),
  CONSTRAINT fk_payment_refunds_note_id FOREIGN KEY (tenant_id, note_id)
    REFERENCES tenants.bill_credit_notes (tenant_id, id),
  CONSTRAINT fk_payment_refunds_payment_id FOREIGN KEY (tenant_id, payment_id)
    REFERENCES tenants.bill_payments (tenant_id, id),
  CONSTRAINT ck_payment_refunds_amount CHECK (amount > 0)
)"""
    )
    op.execute(
        "CREATE INDEX ix_payment_refunds_payment_id ON tenants.payment_refunds (tenant_id, payment_id)"
    )
    protect("tenants.payment_refunds")


def _notices() -> None:
    op.execute(
        """
CREATE TABLE tenants.payment_notices (
  provider text NOT NULL,
  event_id text NOT NULL,
  type text NOT NULL,
  received_at timestamptz NOT NULL,
  handled_at timestamptz,
  outcome text,
  CONSTRAINT pk_payment_notices PRIMARY KEY (provider, event_id)
)"""
    )
    op.execute("ALTER TABLE tenants.payment_notices ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE tenants.payment_notices FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY control ON tenants.payment_notices TO rapport_control USING (true) WITH CHECK (true)"
    )
    op.execute("GRANT SELECT, INSERT, UPDATE ON tenants.payment_notices TO rapport_control")
