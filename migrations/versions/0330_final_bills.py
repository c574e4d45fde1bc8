"""When companies stopped subscribing and came back: the last bill before each end, and what it may say.

Revision ID: 0330
Revises: 0327
"""

from __future__ import annotations

from alembic import op

from migrations.support import protect

revision = "0330"
down_revision = "0327"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create `tenants.subscription_ends`; let bills end without a next period, and a balance pay open ones."""
    op.execute(
        """
CREATE TABLE tenants.subscription_ends (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  ended_at timestamptz NOT NULL,
  resumed_at timestamptz,
  settled_at timestamptz,
  CONSTRAINT pk_subscription_ends PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_subscription_ends_ended_at UNIQUE (tenant_id, ended_at),
  CONSTRAINT ck_subscription_ends_resumed_at CHECK (resumed_at > ended_at)
)"""
    )
    protect("tenants.subscription_ends", control="SELECT, INSERT, UPDATE")
    op.execute("CREATE UNIQUE INDEX uq_subscription_ends_open ON tenants.subscription_ends (tenant_id)"
               " WHERE resumed_at IS NULL")  # fmt: skip
    op.execute("CREATE INDEX ix_subscription_ends_unsettled ON tenants.subscription_ends (ended_at, tenant_id)"
               " WHERE settled_at IS NULL")  # fmt: skip
    _checks()
    _guard()


def _checks() -> None:
    """Wider than the ones before, which hold for all that is there."""
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute(
        "-- squawk-ignore ban-drop-constraint\n"  # a wider one follows
        "ALTER TABLE tenants.bills DROP CONSTRAINT ck_bills_period"
    )
    op.execute(
        "ALTER TABLE tenants.bills ADD CONSTRAINT ck_bills_period CHECK (period_end >= period_start"
        " AND following_start = period_end AND following_end >= following_start) NOT VALID"
    )
    op.execute(
        "-- squawk-ignore ban-drop-constraint\n"  # a wider one follows
        "ALTER TABLE tenants.billing_transactions DROP CONSTRAINT ck_billing_transactions_kind"
    )
    op.execute(
        "ALTER TABLE tenants.billing_transactions ADD CONSTRAINT ck_billing_transactions_kind CHECK (kind IN"
        " ('issue', 'payment', 'credit_note', 'void', 'uncollectible', 'adjustment', 'balance')) NOT VALID"
    )


def _guard() -> None:
    """What the balance pays of an issued bill is, like a payment, nothing that the bill says."""
    op.execute(
        """
CREATE OR REPLACE FUNCTION tenants.guard_bill() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  settled constant text[] := ARRAY['status', 'paid', 'credited', 'credited_tax', 'balance_applied', 'due', 'paid_at',
    'provider', 'provider_reference', 'attempts', 'next_attempt_at', 'version', 'updated_at'];
BEGIN
  IF TG_OP = 'DELETE' THEN
    RAISE EXCEPTION 'a bill is never deleted' USING ERRCODE = 'restrict_violation';
  END IF;
  IF OLD.status = 'draft' THEN
    RETURN NEW;
  END IF;
  IF to_jsonb(NEW) - settled IS DISTINCT FROM to_jsonb(OLD) - settled THEN
    RAISE EXCEPTION 'what an issued bill says does not change' USING ERRCODE = 'restrict_violation';
  END IF;
  IF NEW.status <> OLD.status AND (OLD.status, NEW.status) NOT IN (('open', 'paid'), ('open', 'void'),
      ('open', 'uncollectible'), ('uncollectible', 'paid'), ('uncollectible', 'void')) THEN
    RAISE EXCEPTION 'a bill that is % does not become %', OLD.status, NEW.status
      USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$"""
    )
