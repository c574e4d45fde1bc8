"""Bills: what each period came to, its numbers without gaps, and the double-entry ledger behind them.

Revision ID: 0270
Revises: 0261
"""

from __future__ import annotations

from alembic import op

from migrations.support import protect

revision = "0270"
down_revision = "0261"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create bills, credit notes, payments, accounts, numbers and the ledger in schema `tenants`."""
    _accounts()
    _bills()
    _bill_parts()
    _ledger()
    _guards()
    _arrivals()


def _accounts() -> None:
    # One row per company that is billed: where its bills have got to, and when the next one is due.
    op.execute(
        """
CREATE TABLE tenants.billing_accounts (
  tenant_id uuid NOT NULL,
  begins_at timestamptz NOT NULL,
  billed_until timestamptz,
  next_bill_at timestamptz NOT NULL,
  claimed_until timestamptz,
  CONSTRAINT pk_billing_accounts PRIMARY KEY (tenant_id)
)"""
    )
    protect("tenants.billing_accounts", control="SELECT, INSERT, UPDATE")
    op.execute("REVOKE INSERT, UPDATE, DELETE ON tenants.billing_accounts FROM rapport_app")
    op.execute(
        "CREATE INDEX ix_billing_accounts_next_bill_at ON tenants.billing_accounts (next_bill_at, tenant_id)"
    )
    # Who was here before there were bills owes nothing for the past: theirs begin with the period at hand.
    op.execute(
        "INSERT INTO tenants.billing_accounts (tenant_id, begins_at, next_bill_at)"
        " SELECT id, now(), now() FROM tenants.tenants"
    )
    # Numbers are the seller's, across all companies: only the billing run, which works across them, takes one.
    op.execute(
        """
CREATE TABLE tenants.bill_numbers (
  series text NOT NULL,
  year bigint NOT NULL,
  last_number bigint NOT NULL,
  last_at timestamptz NOT NULL,
  CONSTRAINT pk_bill_numbers PRIMARY KEY (series, year),
  CONSTRAINT ck_bill_numbers_last_number CHECK (last_number > 0)
)"""
    )
    op.execute("ALTER TABLE tenants.bill_numbers ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE tenants.bill_numbers FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY control ON tenants.bill_numbers TO rapport_control USING (true) WITH CHECK (true)"
    )
    op.execute("GRANT SELECT, INSERT, UPDATE ON tenants.bill_numbers TO rapport_control")


def _bills() -> None:
    op.execute(
        """
CREATE TABLE tenants.bills (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  number text,
  status text NOT NULL,
  period_start timestamptz NOT NULL,
  period_end timestamptz NOT NULL,
  following_start timestamptz NOT NULL,
  following_end timestamptz NOT NULL,
  currency text NOT NULL,
  lines jsonb NOT NULL,
  discounts jsonb NOT NULL,
  tax_rate text NOT NULL,
  reverse_charge boolean NOT NULL,
  seller jsonb NOT NULL,
  buyer jsonb NOT NULL,
  subtotal bigint NOT NULL,
  discount bigint NOT NULL,
  tax bigint NOT NULL,
  total bigint NOT NULL,
  balance_applied bigint NOT NULL,
  paid bigint NOT NULL,
  credited bigint NOT NULL,
  credited_tax bigint NOT NULL,
  due bigint NOT NULL,
  usage_until timestamptz NOT NULL,
  issued_at timestamptz,
  due_at timestamptz,
  paid_at timestamptz,
  provider text,
  provider_reference text,
  attempts bigint NOT NULL,
  next_attempt_at timestamptz,
  version bigint NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT pk_bills PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_bills_period UNIQUE (tenant_id, period_end),
  CONSTRAINT uq_bills_number UNIQUE (tenant_id, number),
  CONSTRAINT ck_bills_status CHECK (status IN ('draft', 'open', 'paid', 'void', 'uncollectible')),
  CONSTRAINT ck_bills_issued CHECK ((status = 'draft') = (number IS NULL) AND (number IS NULL) = (issued_at IS NULL)),
  CONSTRAINT ck_bills_period CHECK (period_end >= period_start AND following_start = period_end
    AND following_end > following_start),
  CONSTRAINT ck_bills_total CHECK (total = subtotal - discount + tax),
  CONSTRAINT ck_bills_due CHECK (due >= 0 AND paid >= 0 AND balance_applied >= 0
    AND credited BETWEEN 0 AND greatest(total, 0) AND (status <> 'paid' OR due = 0)
    AND (status NOT IN ('open', 'uncollectible') OR due > 0))
)"""
    )
    protect("tenants.bills", control="SELECT, INSERT, UPDATE")
    op.execute("REVOKE INSERT, DELETE ON tenants.bills FROM rapport_app")
    op.execute(
        "CREATE INDEX ix_bills_next_attempt_at ON tenants.bills (tenant_id, next_attempt_at)"
        " WHERE next_attempt_at IS NOT NULL AND status IN ('open', 'uncollectible')"
    )
    op.execute(
        "CREATE INDEX ix_bills_provider_reference ON tenants.bills (tenant_id, provider, provider_reference)"
        " WHERE provider_reference IS NOT NULL"
    )


def _bill_parts() -> None:
    op.execute(
        """
CREATE TABLE tenants.bill_payments (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  bill_id uuid NOT NULL,
  provider text NOT NULL,
  reference text NOT NULL,
  currency text NOT NULL,
  amount bigint NOT NULL,
  applied bigint NOT NULL,
  at timestamptz NOT NULL,
  CONSTRAINT pk_bill_payments PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_bill_payments_reference UNIQUE (tenant_id, provider, reference),
  CONSTRAINT fk_bill_payments_bill_id FOREIGN KEY (tenant_id, bill_id) REFERENCES tenants.bills (tenant_id, id),
  CONSTRAINT ck_bill_payments_amount CHECK (amount > 0 AND applied BETWEEN 0 AND amount)
)"""
    )
    protect("tenants.bill_payments", append_only=True, control="SELECT, INSERT")
    op.execute("CREATE INDEX ix_bill_payments_bill_id ON tenants.bill_payments (tenant_id, bill_id, id)")
    op.execute(
        """
CREATE TABLE tenants.bill_credit_notes (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  bill_id uuid NOT NULL,
  number text NOT NULL,
  currency text NOT NULL,
  lines jsonb NOT NULL,
  reason text NOT NULL,
  tax bigint NOT NULL,
  total bigint NOT NULL,
  applied bigint NOT NULL,
  to_balance bigint NOT NULL,
  refunded bigint NOT NULL,
  issued_at timestamptz NOT NULL,
  CONSTRAINT pk_bill_credit_notes PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_bill_credit_notes_number UNIQUE (tenant_id, number),
  CONSTRAINT fk_bill_credit_notes_bill_id FOREIGN KEY (tenant_id, bill_id)
    REFERENCES tenants.bills (tenant_id, id),
  CONSTRAINT ck_bill_credit_notes_total CHECK (total > 0 AND applied >= 0
    AND to_balance >= 0 AND refunded >= 0 AND total = applied + to_balance + refunded)
)"""
    )
    protect("tenants.bill_credit_notes", append_only=True, control="SELECT, INSERT")
    op.execute("REVOKE INSERT ON tenants.bill_credit_notes FROM rapport_app")
    op.execute(
        "CREATE INDEX ix_bill_credit_notes_bill_id ON tenants.bill_credit_notes (tenant_id, bill_id, id)"
    )


def _ledger() -> None:
    op.execute(
        """
CREATE TABLE tenants.billing_transactions (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  kind text NOT NULL,
  bill_id uuid,
  reference text,
  note text,
  at timestamptz NOT NULL,
  CONSTRAINT pk_billing_transactions PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_billing_transactions_bill_id FOREIGN KEY (tenant_id, bill_id)
    REFERENCES tenants.bills (tenant_id, id),
  CONSTRAINT ck_billing_transactions_kind CHECK (kind IN ('issue', 'payment', 'credit_note', 'void', 'uncollectible',
    'adjustment'))
)"""
    )
    protect("tenants.billing_transactions", append_only=True, control="SELECT, INSERT")
    op.execute(
        "CREATE INDEX ix_billing_transactions_bill_id ON tenants.billing_transactions (tenant_id, bill_id)"
    )
    op.execute(
        """
CREATE TABLE tenants.billing_entries (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  transaction_id uuid NOT NULL,
  account text NOT NULL,
  currency text NOT NULL,
  amount bigint NOT NULL,
  CONSTRAINT pk_billing_entries PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_billing_entries_transaction_id FOREIGN KEY (tenant_id, transaction_id)
    REFERENCES tenants.billing_transactions (tenant_id, id),
  CONSTRAINT ck_billing_entries_account CHECK (account IN ('receivable', 'revenue', 'tax', 'cash',
    'customer_balance', 'credit', 'bad_debt')),
  CONSTRAINT ck_billing_entries_amount CHECK (amount <> 0)
)"""
    )
    protect("tenants.billing_entries", append_only=True, control="SELECT, INSERT")
    op.execute(
        "CREATE INDEX ix_billing_entries_transaction_id ON tenants.billing_entries (tenant_id, transaction_id)"
    )
    op.execute(
        "CREATE INDEX ix_billing_entries_balance ON tenants.billing_entries (tenant_id, currency, id)"
        " WHERE account = 'customer_balance'"
    )


def _guards() -> None:
    op.execute(
        """
CREATE FUNCTION tenants.refuse_billing_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'what was billed is only added to' USING ERRCODE = 'restrict_violation';
END $$"""
    )
    for table in ("bill_payments", "bill_credit_notes", "billing_transactions", "billing_entries"):
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON tenants.{table}"
            " FOR EACH ROW EXECUTE FUNCTION tenants.refuse_billing_change()"
        )
    # What an issued bill says stays; what becomes of it follows the states of `BillStatus`.
    op.execute(
        """
CREATE FUNCTION tenants.guard_bill() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  settled constant text[] := ARRAY['status', 'paid', 'credited', 'credited_tax', 'due', 'paid_at', 'provider',
    'provider_reference', 'attempts', 'next_attempt_at', 'version', 'updated_at'];
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
    op.execute(
        "CREATE TRIGGER guard_bill BEFORE UPDATE OR DELETE ON tenants.bills"
        " FOR EACH ROW EXECUTE FUNCTION tenants.guard_bill()"
    )
    op.execute(
        """
CREATE FUNCTION tenants.require_billing_balance() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM tenants.billing_entries e
      WHERE e.tenant_id = NEW.tenant_id AND e.transaction_id = NEW.transaction_id
      GROUP BY e.currency HAVING sum(e.amount) <> 0) THEN
    RAISE EXCEPTION 'the entries of a billing transaction sum to zero' USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$"""
    )
    op.execute(
        "CREATE CONSTRAINT TRIGGER balanced AFTER INSERT ON tenants.billing_entries"
        " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION tenants.require_billing_balance()"
    )


def _arrivals() -> None:
    """Let it be known of each event of usage whether a bill was made before or after it came.

    A bill takes the lock for itself, usage shares it. Volatile, so that the last bill is seen that was committed
    while usage waited for the lock.
    """
    op.execute(
        """
CREATE FUNCTION tenants.usage_arrival(tenant uuid, at timestamptz) RETURNS timestamptz
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  PERFORM pg_advisory_xact_lock_shared(hashtextextended(tenant::text || '\\:usage', 0));
  RETURN (SELECT greatest(at, max(b.usage_until) + interval '1 microsecond')
    FROM tenants.bills b WHERE b.tenant_id = tenant);
END $$"""
    )
    # What the product counted of itself has no events; so much of an hour's sums is of that kind.
    op.execute(
        "ALTER TABLE tenants.usage_hours ADD COLUMN own_count bigint NOT NULL DEFAULT 0,"
        " ADD COLUMN own_sum numeric NOT NULL DEFAULT 0"
    )
    op.execute(
        """
UPDATE tenants.usage_hours h SET own_count = h.count - e.count, own_sum = h.sum - e.sum
FROM (SELECT h.tenant_id, h.metric, h.hour, count(e.*) AS count, coalesce(sum(e.value), 0) AS sum
  FROM tenants.usage_hours h LEFT JOIN tenants.usage_events e ON e.tenant_id = h.tenant_id AND e.metric = h.metric
    AND e.at >= h.hour AND e.at < h.hour + interval '1 hour'
  GROUP BY 1, 2, 3) e
WHERE e.tenant_id = h.tenant_id AND e.metric = h.metric AND e.hour = h.hour AND e.count < h.count"""
    )
    op.execute(
        "CREATE POLICY control ON tenants.usage_subjects TO rapport_control USING (true) WITH CHECK (true)"
    )
    op.execute("GRANT SELECT ON tenants.usage_subjects TO rapport_control")
    op.execute(
        "CREATE POLICY control ON tenants.subscription_changes TO rapport_control USING (true) WITH CHECK (true)"
    )
    op.execute("GRANT SELECT, INSERT ON tenants.subscription_changes TO rapport_control")
