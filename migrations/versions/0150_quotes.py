"""Quotes in revisions, their lines, steps and answers, and what their owners are told of prices.

Revision ID: 0150
Revises: 0141
"""

from __future__ import annotations

from alembic import op

from migrations.support import create_schema, protect, record_columns, record_indexes

revision = "0150"
down_revision = "0141"
branch_labels = None
depends_on = None

_STATUSES = (
    "'draft', 'in_approval', 'approved', 'sent', 'viewed', 'accepted', 'declined', 'expired', 'superseded'"
)
_CONTENT = (
    "number", "revision", "name", "currency", "tax_included", "tax_country", "segment", "channel", "partner_id",
    "issued_on", "valid_until", "discount_percent", "discount_amount", "gross", "discount", "header_discount", "net",
    "tax", "total", "one_time_total", "monthly_total", "yearly_total", "cost", "margin_amount", "margin_percent",
    "total_discount_percent", "line_count", "content_hash", "terms", "language", "becomes", "term_months",
    "signature_required", "payment_required", "prepayment_percent",
)  # fmt: skip


def upgrade() -> None:
    """Create schema `quotes`."""
    create_schema("quotes")
    _quotes()
    _lines()
    _steps()
    _answers()
    _price_notices()
    _immutable()


def _quotes() -> None:
    op.execute(
        f"""
CREATE TABLE quotes.quotes (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  number text NOT NULL,
  revision bigint NOT NULL,
  name text NOT NULL,
  status text NOT NULL,
  account_id uuid NOT NULL,
  contact_id uuid,
  opportunity_id uuid,
  contract_id uuid,
  partner_id uuid,
  segment text,
  channel text,
  currency text NOT NULL,
  tax_included boolean NOT NULL,
  tax_country text NOT NULL,
  issued_on date NOT NULL,
  valid_until date,
  discount_percent numeric NOT NULL,
  discount_amount bigint,
  gross bigint NOT NULL,
  discount bigint NOT NULL,
  header_discount bigint NOT NULL,
  net bigint NOT NULL,
  tax bigint NOT NULL,
  total bigint NOT NULL,
  one_time_total bigint NOT NULL,
  monthly_total bigint NOT NULL,
  yearly_total bigint NOT NULL,
  cost bigint,
  margin_amount bigint,
  margin_percent numeric,
  total_discount_percent numeric,
  line_count bigint NOT NULL,
  content_hash text NOT NULL,
  terms text,
  language text NOT NULL,
  becomes text NOT NULL,
  term_months bigint,
  signature_required boolean NOT NULL,
  payment_required boolean NOT NULL,
  prepayment_percent numeric,
  sent_at timestamptz,
  first_viewed_at timestamptz,
  answered_at timestamptz,
  accepted_total bigint,
  decline_reason text,
  order_id uuid,
  made_contract_id uuid,
{record_columns()},
  CONSTRAINT pk_quotes PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_quotes_number UNIQUE (tenant_id, number, revision),
  CONSTRAINT ck_quotes_status CHECK (status IN ({_STATUSES})),
  CONSTRAINT ck_quotes_revision CHECK (revision >= 1),
  CONSTRAINT ck_quotes_valid_until CHECK (valid_until >= issued_on),
  CONSTRAINT ck_quotes_discount_percent CHECK (discount_percent BETWEEN 0 AND 100 AND scale(discount_percent) <= 4),
  CONSTRAINT ck_quotes_discount_amount CHECK (discount_amount >= 0),
  CONSTRAINT ck_quotes_prepayment_percent CHECK (
    prepayment_percent > 0 AND prepayment_percent <= 100 AND scale(prepayment_percent) <= 4),
  CONSTRAINT ck_quotes_total CHECK (total = net + tax),
  CONSTRAINT ck_quotes_charges CHECK (total = one_time_total + monthly_total + yearly_total),
  CONSTRAINT ck_quotes_language CHECK (language IN ('en', 'zh')),
  CONSTRAINT ck_quotes_becomes CHECK (becomes IN ('order', 'contract')),
  CONSTRAINT ck_quotes_term_months CHECK (term_months BETWEEN 1 AND 600),
  CONSTRAINT ck_quotes_accepted CHECK ((status = 'accepted') = (accepted_total IS NOT NULL)),
  CONSTRAINT ck_quotes_became CHECK ((status = 'accepted') = (num_nonnulls(order_id, made_contract_id) = 1))
)"""
    )
    protect("quotes.quotes", record=True)
    record_indexes("quotes.quotes", ("number", "name", "issued_on", "total"))
    live = "WHERE deleted_at IS NULL"
    for column in ("account_id", "contact_id", "opportunity_id", "order_id"):
        op.execute(f"CREATE INDEX ix_quotes_{column} ON quotes.quotes (tenant_id, {column}, id) {live}")
    op.execute(f"CREATE INDEX ix_quotes_status ON quotes.quotes (tenant_id, status, created_at, id) {live}")
    op.execute(
        "CREATE INDEX ix_quotes_valid_until ON quotes.quotes (tenant_id, valid_until, id)"
        " WHERE status IN ('sent', 'viewed') AND deleted_at IS NULL"
    )


def _lines() -> None:
    op.execute(
        """
CREATE TABLE quotes.quote_lines (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  quote_id uuid NOT NULL,
  position bigint NOT NULL,
  component_of bigint,
  product_id uuid,
  description text NOT NULL,
  detail text,
  unit text NOT NULL,
  quantity numeric NOT NULL,
  price_source text NOT NULL,
  price_book_id uuid,
  list_price numeric,
  unit_price numeric NOT NULL,
  exact_gross numeric,
  discount_percent numeric NOT NULL,
  discount_amount bigint NOT NULL,
  tax_rate numeric NOT NULL,
  tax_entered boolean NOT NULL,
  charge text NOT NULL,
  optional boolean NOT NULL,
  unit_cost numeric,
  cost_entered boolean NOT NULL,
  gross bigint NOT NULL,
  discount bigint NOT NULL,
  subtotal bigint NOT NULL,
  header_discount bigint NOT NULL,
  net bigint NOT NULL,
  tax bigint NOT NULL,
  total bigint NOT NULL,
  CONSTRAINT pk_quote_lines PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_quote_lines_position UNIQUE (tenant_id, quote_id, position),
  CONSTRAINT fk_quote_lines_quote_id FOREIGN KEY (tenant_id, quote_id)
    REFERENCES quotes.quotes (tenant_id, id) ON DELETE CASCADE,
  CONSTRAINT ck_quote_lines_component_of CHECK (component_of < position),
  CONSTRAINT ck_quote_lines_quantity CHECK (quantity > 0 AND scale(quantity) <= 4),
  CONSTRAINT ck_quote_lines_unit_price CHECK (scale(unit_price) <= 8),
  CONSTRAINT ck_quote_lines_price_source CHECK (price_source IN ('list', 'agreed', 'price_book', 'entered')),
  CONSTRAINT ck_quote_lines_charge CHECK (charge IN ('one_time', 'monthly', 'yearly')),
  CONSTRAINT ck_quote_lines_subtotal CHECK (subtotal = gross - discount),
  CONSTRAINT ck_quote_lines_total CHECK (total = net + tax)
)"""
    )
    protect("quotes.quote_lines")
    op.execute(
        "CREATE INDEX ix_quote_lines_product_id ON quotes.quote_lines (tenant_id, product_id, quote_id)"
        " WHERE product_id IS NOT NULL"
    )


def _steps() -> None:
    op.execute(
        """
CREATE TABLE quotes.quote_steps (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  quote_id uuid NOT NULL,
  action text NOT NULL,
  from_status text,
  to_status text NOT NULL,
  at timestamptz NOT NULL,
  actor_id uuid,
  note text,
  CONSTRAINT pk_quote_steps PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_quote_steps_quote_id FOREIGN KEY (tenant_id, quote_id)
    REFERENCES quotes.quotes (tenant_id, id) ON DELETE CASCADE
)"""
    )
    op.execute("CREATE INDEX ix_quote_steps_quote_id ON quotes.quote_steps (tenant_id, quote_id, at, id)")
    protect("quotes.quote_steps")


def _answers() -> None:
    op.execute(
        """
CREATE TABLE quotes.quote_answers (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  quote_id uuid NOT NULL,
  kind text NOT NULL,
  name text,
  job_title text,
  note text,
  agreed boolean NOT NULL,
  signature text,
  payment_reference text,
  address text,
  member_id uuid,
  link_id uuid,
  at timestamptz NOT NULL,
  chosen_line_ids uuid[] NOT NULL,
  total bigint,
  currency text NOT NULL,
  prepayment bigint,
  order_id uuid,
  contract_id uuid,
  CONSTRAINT pk_quote_answers PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_quote_answers_quote_id UNIQUE (tenant_id, quote_id),
  CONSTRAINT fk_quote_answers_quote_id FOREIGN KEY (tenant_id, quote_id)
    REFERENCES quotes.quotes (tenant_id, id) ON DELETE CASCADE,
  CONSTRAINT ck_quote_answers_kind CHECK (kind IN ('accepted', 'declined')),
  CONSTRAINT ck_quote_answers_accepted CHECK (
    (kind = 'accepted') = (total IS NOT NULL AND name IS NOT NULL AND agreed)),
  CONSTRAINT ck_quote_answers_became CHECK ((kind = 'accepted') = (num_nonnulls(order_id, contract_id) = 1)),
  CONSTRAINT ck_quote_answers_who CHECK (num_nonnulls(member_id, link_id) <= 1)
)"""
    )
    protect("quotes.quote_answers")


def _price_notices() -> None:
    op.execute(
        """
CREATE TABLE quotes.price_notices (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  quote_id uuid NOT NULL,
  product_id uuid NOT NULL,
  former text,
  price text,
  changed_at timestamptz NOT NULL,
  CONSTRAINT pk_price_notices PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_price_notices_product_id UNIQUE (tenant_id, quote_id, product_id),
  CONSTRAINT fk_price_notices_quote_id FOREIGN KEY (tenant_id, quote_id)
    REFERENCES quotes.quotes (tenant_id, id) ON DELETE CASCADE
)"""
    )
    protect("quotes.price_notices")


def _immutable() -> None:
    """What a customer may have seen does not change, whoever tries; nor does what somebody approved."""
    old = ", ".join(f"OLD.{name}" for name in _CONTENT)
    new = ", ".join(f"NEW.{name}" for name in _CONTENT)
    op.execute(
        f"""
CREATE FUNCTION quotes.keep_quote() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF OLD.status NOT IN ('draft', 'in_approval') AND ROW({new}) IS DISTINCT FROM ROW({old}) THEN
    RAISE EXCEPTION 'quote % revision % is % and does not change', OLD.number, OLD.revision, OLD.status
      USING ERRCODE = 'check_violation', CONSTRAINT = 'ck_quotes_immutable', TABLE = 'quotes', SCHEMA = 'quotes';
  END IF;
  IF OLD.status NOT IN ('draft', 'in_approval', 'approved')
    AND NEW.status IN ('draft', 'in_approval', 'approved') THEN
    RAISE EXCEPTION 'quote % revision % is % and does not go back', OLD.number, OLD.revision, OLD.status
      USING ERRCODE = 'check_violation', CONSTRAINT = 'ck_quotes_immutable', TABLE = 'quotes', SCHEMA = 'quotes';
  END IF;
  RETURN NEW;
END $$"""
    )
    op.execute(
        "CREATE TRIGGER keep_quote BEFORE UPDATE ON quotes.quotes"
        " FOR EACH ROW EXECUTE FUNCTION quotes.keep_quote()"
    )
    # A line whose quote is gone goes with it: then nobody is there to be asked.
    op.execute(
        """
CREATE FUNCTION quotes.keep_lines() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  locked record;
BEGIN
  SELECT q.number, q.revision, q.status INTO locked FROM quotes.quotes q
  WHERE q.status NOT IN ('draft', 'in_approval')
    AND ((TG_OP <> 'INSERT' AND q.tenant_id = OLD.tenant_id AND q.id = OLD.quote_id)
      OR (TG_OP <> 'DELETE' AND q.tenant_id = NEW.tenant_id AND q.id = NEW.quote_id))
  LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'quote % revision % is % and does not change', locked.number, locked.revision, locked.status
      USING ERRCODE = 'check_violation', CONSTRAINT = 'ck_quote_lines_immutable', TABLE = 'quote_lines',
        SCHEMA = 'quotes';
  END IF;
  RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$"""
    )
    op.execute(
        "CREATE TRIGGER keep_lines BEFORE INSERT OR UPDATE OR DELETE ON quotes.quote_lines"
        " FOR EACH ROW EXECUTE FUNCTION quotes.keep_lines()"
    )
