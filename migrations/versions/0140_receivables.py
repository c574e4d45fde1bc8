"""Customers' invoices and payments, and what was paid with what.

Revision ID: 0140
Revises: 0131
"""

from __future__ import annotations

from alembic import op

from migrations.support import create_schema, protect, record_columns, record_indexes

revision = "0140"
down_revision = "0131"
branch_labels = None
depends_on = None

_LIVE = "WHERE deleted_at IS NULL"


def upgrade() -> None:
    """Create invoices, payments, allocations and the settings of credit."""
    create_schema("orders")
    _invoices()
    _lines()
    _payments()
    _allocations()
    _settings()
    _immutable()
    _counters()


def _invoices() -> None:
    op.execute(
        f"""
CREATE TABLE orders.invoices (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  number text,
  kind text NOT NULL,
  status text NOT NULL,
  account_id uuid NOT NULL,
  customer_name text,
  order_id uuid,
  contract_id uuid,
  instalment_id uuid,
  corrects_id uuid,
  reason text,
  reference text,
  note text,
  currency text NOT NULL,
  tax_included boolean NOT NULL,
  net bigint NOT NULL,
  tax bigint NOT NULL,
  total bigint NOT NULL,
  settled bigint NOT NULL DEFAULT 0,
  credited bigint NOT NULL DEFAULT 0,
  paid bigint NOT NULL DEFAULT 0,
  open_amount bigint NOT NULL,
  issued_on date,
  due_on date,
  settled_on date,
  overdue_since date,
{record_columns()},
  CONSTRAINT pk_invoices PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_invoices_currency UNIQUE (tenant_id, id, currency),
  CONSTRAINT uq_invoices_number UNIQUE (tenant_id, number),
  CONSTRAINT fk_invoices_order_id FOREIGN KEY (tenant_id, order_id)
    REFERENCES orders.orders (tenant_id, id),
  CONSTRAINT fk_invoices_corrects_id FOREIGN KEY (tenant_id, corrects_id, currency)
    REFERENCES orders.invoices (tenant_id, id, currency),
  CONSTRAINT ck_invoices_kind CHECK (kind IN ('invoice', 'credit_note')),
  CONSTRAINT ck_invoices_status
    CHECK (status IN ('draft', 'open', 'partly_paid', 'paid', 'credited', 'void')),
  CONSTRAINT ck_invoices_number
    CHECK ((number IS NULL) = (status IN ('draft', 'void')) AND (number IS NULL) = (issued_on IS NULL)),
  CONSTRAINT ck_invoices_due_on CHECK (issued_on IS NULL OR (due_on IS NOT NULL AND due_on >= issued_on)),
  CONSTRAINT ck_invoices_corrects_id CHECK ((kind = 'credit_note') = (corrects_id IS NOT NULL)),
  CONSTRAINT ck_invoices_instalment_id CHECK (instalment_id IS NULL OR contract_id IS NOT NULL),
  CONSTRAINT ck_invoices_total CHECK (total >= 0 AND total = net + tax),
  CONSTRAINT ck_invoices_settled CHECK (settled BETWEEN 0 AND total AND open_amount = total - settled),
  CONSTRAINT ck_invoices_credited CHECK (credited BETWEEN 0 AND total),
  CONSTRAINT ck_invoices_paid CHECK (paid >= 0 AND paid = settled - credited),
  CONSTRAINT ck_invoices_settled_on
    CHECK ((settled_on IS NOT NULL) = (status IN ('paid', 'credited') AND open_amount = 0)),
  CONSTRAINT ck_invoices_deleted_at CHECK (deleted_at IS NULL OR status = 'draft')
)"""
    )
    protect("orders.invoices", record=True)
    record_indexes("orders.invoices", ("number", "status", "issued_on", "due_on"))
    for column in ("account_id", "order_id", "contract_id", "instalment_id", "corrects_id"):
        op.execute(f"CREATE INDEX ix_invoices_{column} ON orders.invoices (tenant_id, {column}, id) {_LIVE}")
    op.execute(
        "CREATE INDEX ix_invoices_open ON orders.invoices (tenant_id, account_id, currency, due_on, id)"
        " WHERE status IN ('open', 'partly_paid')"
    )
    op.execute(
        "CREATE INDEX ix_invoices_overdue ON orders.invoices (tenant_id, due_on, id)"
        " WHERE kind = 'invoice' AND status IN ('open', 'partly_paid') AND overdue_since IS NULL"
    )


def _lines() -> None:
    op.execute(
        """
CREATE TABLE orders.invoice_lines (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  invoice_id uuid NOT NULL,
  position bigint NOT NULL,
  order_line_id uuid,
  corrects_line_id uuid,
  product_id uuid,
  description text NOT NULL,
  unit text,
  quantity numeric NOT NULL,
  unit_price numeric NOT NULL,
  tax_rate numeric NOT NULL,
  gross bigint NOT NULL,
  discount bigint NOT NULL,
  header_discount bigint NOT NULL,
  net bigint NOT NULL,
  tax bigint NOT NULL,
  total bigint NOT NULL,
  credited_quantity numeric NOT NULL DEFAULT 0,
  credited_total bigint NOT NULL DEFAULT 0,
  CONSTRAINT pk_invoice_lines PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_invoice_lines_position UNIQUE (tenant_id, invoice_id, position),
  CONSTRAINT fk_invoice_lines_invoice_id FOREIGN KEY (tenant_id, invoice_id)
    REFERENCES orders.invoices (tenant_id, id),
  CONSTRAINT fk_invoice_lines_order_line_id FOREIGN KEY (tenant_id, order_line_id)
    REFERENCES orders.order_lines (tenant_id, id),
  CONSTRAINT fk_invoice_lines_corrects_line_id FOREIGN KEY (tenant_id, corrects_line_id)
    REFERENCES orders.invoice_lines (tenant_id, id),
  CONSTRAINT ck_invoice_lines_quantity CHECK (quantity > 0),
  CONSTRAINT ck_invoice_lines_total CHECK (total = net + tax),
  CONSTRAINT ck_invoice_lines_credited_quantity CHECK (credited_quantity BETWEEN 0 AND quantity),
  CONSTRAINT ck_invoice_lines_credited_total CHECK (credited_total BETWEEN least(0, total) AND greatest(0, total))
)"""
    )
    protect("orders.invoice_lines")
    op.execute(
        "CREATE INDEX ix_invoice_lines_order_line_id ON orders.invoice_lines (tenant_id, order_line_id, id)"
        " WHERE order_line_id IS NOT NULL"
    )
    op.execute(
        "CREATE INDEX ix_invoice_lines_corrects_line_id ON orders.invoice_lines (tenant_id, corrects_line_id, id)"
        " WHERE corrects_line_id IS NOT NULL"
    )


def _payments() -> None:
    op.execute(
        f"""
CREATE TABLE orders.payments (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  number text NOT NULL,
  kind text NOT NULL,
  method text NOT NULL,
  account_id uuid NOT NULL,
  amount bigint NOT NULL,
  currency text NOT NULL,
  unallocated bigint NOT NULL,
  received_on date NOT NULL,
  reference text,
  reference_scope uuid NOT NULL,
  note text,
{record_columns()},
  CONSTRAINT pk_payments PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_payments_currency UNIQUE (tenant_id, id, currency),
  CONSTRAINT uq_payments_number UNIQUE (tenant_id, number),
  CONSTRAINT ck_payments_kind CHECK (kind IN ('payment', 'refund')),
  CONSTRAINT ck_payments_method CHECK (method IN
    ('cash', 'bank_transfer', 'card', 'alipay', 'wechat_pay', 'cheque', 'direct_debit', 'other')),
  CONSTRAINT ck_payments_amount CHECK (amount > 0),
  CONSTRAINT ck_payments_unallocated
    CHECK (unallocated BETWEEN 0 AND amount AND (kind = 'payment' OR unallocated = 0)),
  CONSTRAINT ck_payments_deleted_at
    CHECK (deleted_at IS NULL OR kind = 'refund' OR unallocated = amount)
)"""
    )
    protect("orders.payments", record=True)
    record_indexes("orders.payments", ("number", "received_on"))
    op.execute(
        "CREATE UNIQUE INDEX uq_payments_reference ON orders.payments (tenant_id, reference_scope, kind, reference)"
        f" {_LIVE} AND reference IS NOT NULL"
    )
    op.execute(f"CREATE INDEX ix_payments_account_id ON orders.payments (tenant_id, account_id, id) {_LIVE}")
    op.execute(
        "CREATE INDEX ix_payments_unallocated ON orders.payments (tenant_id, account_id, currency, received_on, id)"
        f" {_LIVE} AND unallocated > 0"
    )


def _allocations() -> None:
    op.execute(
        """
CREATE TABLE orders.allocations (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  payment_id uuid,
  credit_note_id uuid,
  invoice_id uuid,
  refund_id uuid,
  amount bigint NOT NULL,
  currency text NOT NULL,
  counts_on date NOT NULL,
  reverses_id uuid,
  created_at timestamptz NOT NULL,
  created_by uuid,
  CONSTRAINT pk_allocations PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_allocations_payment_id FOREIGN KEY (tenant_id, payment_id, currency)
    REFERENCES orders.payments (tenant_id, id, currency),
  CONSTRAINT fk_allocations_credit_note_id FOREIGN KEY (tenant_id, credit_note_id, currency)
    REFERENCES orders.invoices (tenant_id, id, currency),
  CONSTRAINT fk_allocations_invoice_id FOREIGN KEY (tenant_id, invoice_id, currency)
    REFERENCES orders.invoices (tenant_id, id, currency),
  CONSTRAINT fk_allocations_refund_id FOREIGN KEY (tenant_id, refund_id, currency)
    REFERENCES orders.payments (tenant_id, id, currency),
  CONSTRAINT fk_allocations_reverses_id FOREIGN KEY (tenant_id, reverses_id)
    REFERENCES orders.allocations (tenant_id, id),
  CONSTRAINT uq_allocations_reverses_id UNIQUE (tenant_id, reverses_id),
  CONSTRAINT ck_allocations_payment_id CHECK (num_nonnulls(payment_id, credit_note_id) = 1),
  CONSTRAINT ck_allocations_invoice_id CHECK (num_nonnulls(invoice_id, refund_id) = 1),
  CONSTRAINT ck_allocations_amount CHECK (amount <> 0 AND (amount < 0) = (reverses_id IS NOT NULL))
)"""
    )
    protect("orders.allocations", append_only=True)
    for column in ("payment_id", "credit_note_id", "invoice_id", "refund_id"):
        op.execute(
            f"CREATE INDEX ix_allocations_{column} ON orders.allocations (tenant_id, {column}, id)"
            f" WHERE {column} IS NOT NULL"
        )
    op.execute("CREATE INDEX ix_allocations_counts_on ON orders.allocations (tenant_id, counts_on, id)")


def _settings() -> None:
    op.execute(
        """
CREATE TABLE orders.credit_settings (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  mode text NOT NULL,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT pk_credit_settings PRIMARY KEY (tenant_id, id),
  CONSTRAINT ck_credit_settings_mode CHECK (mode IN ('block', 'warn'))
)"""
    )
    op.execute("CREATE UNIQUE INDEX uq_credit_settings_tenant ON orders.credit_settings (tenant_id)")
    protect("orders.credit_settings")


def _immutable() -> None:
    """What was issued stays as it was: only what is done with it may change, and whose it is."""
    op.execute(
        """
CREATE FUNCTION orders.keep_issued_invoice() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  free text[] := ARRAY['status', 'settled', 'credited', 'paid', 'open_amount', 'settled_on', 'overdue_since',
    'account_id', 'external_id', 'owner_id', 'team_id', 'tags', 'custom', 'tokens', 'version', 'updated_at'];
BEGIN
  IF OLD.status = 'draft' THEN
    IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
    RETURN NEW;
  END IF;
  IF TG_OP = 'DELETE' OR NEW.status IN ('draft', 'void') IS DISTINCT FROM (OLD.status = 'void')
    OR to_jsonb(NEW) - free IS DISTINCT FROM to_jsonb(OLD) - free THEN
    RAISE EXCEPTION 'an issued invoice is never changed; a credit note corrects it'
      USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$"""
    )
    op.execute(
        "CREATE TRIGGER keep_issued BEFORE UPDATE OR DELETE ON orders.invoices"
        " FOR EACH ROW EXECUTE FUNCTION orders.keep_issued_invoice()"
    )
    op.execute(
        """
CREATE FUNCTION orders.keep_issued_line() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  free text[] := ARRAY['credited_quantity', 'credited_total'];
  touched orders.invoice_lines := CASE WHEN TG_OP = 'INSERT' THEN NEW ELSE OLD END;
BEGIN
  IF TG_OP <> 'UPDATE' OR to_jsonb(NEW) - free IS DISTINCT FROM to_jsonb(OLD) - free THEN
    PERFORM 1 FROM orders.invoices i
      WHERE i.tenant_id = touched.tenant_id AND i.id = touched.invoice_id AND i.status = 'draft' FOR SHARE;
    IF NOT FOUND THEN
      RAISE EXCEPTION 'the lines of an issued invoice are never changed; a credit note corrects it'
        USING ERRCODE = 'restrict_violation';
    END IF;
  END IF;
  IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
  RETURN NEW;
END $$"""
    )
    op.execute(
        "CREATE TRIGGER keep_issued BEFORE INSERT OR UPDATE OR DELETE ON orders.invoice_lines"
        " FOR EACH ROW EXECUTE FUNCTION orders.keep_issued_line()"
    )


def _counters() -> None:
    """What of order lines is invoiced: never more than is wanted. The check is looked at by 0141."""
    op.execute(
        "ALTER TABLE orders.order_lines ADD COLUMN invoiced numeric NOT NULL DEFAULT 0,"
        " ADD COLUMN invoiced_total bigint NOT NULL DEFAULT 0, ADD COLUMN invoiced_tax bigint NOT NULL DEFAULT 0"
    )
    op.execute(
        "ALTER TABLE orders.order_lines ADD CONSTRAINT ck_order_lines_invoiced"
        " CHECK (invoiced >= 0 AND invoiced + cancelled <= quantity) NOT VALID"
    )
