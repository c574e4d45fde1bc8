"""Contracts: parties, lines, payment plan, clauses and their library, amendments, revisions, drawings.

Revision ID: 0120
Revises: 0110
"""

from __future__ import annotations

from alembic import op

from migrations.support import create_schema, protect, record_columns, record_indexes

revision = "0120"
down_revision = "0110"
branch_labels = None
depends_on = None

_VERSIONED = """
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL"""


def upgrade() -> None:
    """Create schema `contracts`."""
    create_schema("contracts")
    _contracts()
    _clause_templates()
    _parts()
    _instalments()
    _amendments()
    _drawings()


def _contracts() -> None:
    op.execute(
        f"""
CREATE TABLE contracts.contracts (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  number text NOT NULL,
  title text NOT NULL,
  kind text NOT NULL,
  status text NOT NULL,
  account_id uuid NOT NULL,
  contact_id uuid,
  opportunity_id uuid,
  quote_id uuid,
  value bigint NOT NULL,
  currency text NOT NULL,
  drawn bigint NOT NULL DEFAULT 0,
  starts_on date NOT NULL,
  ends_on date,
  signed_on date,
  signed_by text,
  activated_at timestamptz,
  ended_at timestamptz,
  revision bigint NOT NULL DEFAULT 0,
  language text NOT NULL,
  description text,
  notice_days bigint NOT NULL DEFAULT 0,
  notice_given_on date,
  terminates_on date,
  termination_reason text,
  void_reason text,
  auto_renew boolean NOT NULL DEFAULT false,
  renewal_months bigint,
  renewal_uplift_percent numeric NOT NULL DEFAULT 0,
  renewal_status text NOT NULL,
  renewal_reminder_days bigint,
  renewal_reminded_for date,
  predecessor_id uuid,
  successor_id uuid,
  plan jsonb NOT NULL DEFAULT '[]',
{record_columns()},
  CONSTRAINT pk_contracts PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_contracts_number UNIQUE (tenant_id, number),
  CONSTRAINT fk_contracts_predecessor_id FOREIGN KEY (tenant_id, predecessor_id)
    REFERENCES contracts.contracts (tenant_id, id),
  CONSTRAINT fk_contracts_successor_id FOREIGN KEY (tenant_id, successor_id)
    REFERENCES contracts.contracts (tenant_id, id),
  CONSTRAINT ck_contracts_kind CHECK (kind IN ('sale', 'frame', 'service', 'subscription', 'other')),
  CONSTRAINT ck_contracts_status CHECK (status IN
    ('draft', 'in_approval', 'approved', 'active', 'expired', 'terminated', 'renewed', 'voided')),
  CONSTRAINT ck_contracts_renewal_status CHECK (renewal_status IN ('draft', 'active')),
  CONSTRAINT ck_contracts_language CHECK (language IN ('en', 'zh')),
  CONSTRAINT ck_contracts_value CHECK (value >= 0),
  CONSTRAINT ck_contracts_drawn CHECK (drawn BETWEEN 0 AND value),
  CONSTRAINT ck_contracts_ends_on CHECK (ends_on >= starts_on),
  CONSTRAINT ck_contracts_revision CHECK (revision >= 0),
  CONSTRAINT ck_contracts_notice_days CHECK (notice_days BETWEEN 0 AND 3650),
  CONSTRAINT ck_contracts_auto_renew CHECK (NOT auto_renew OR (ends_on IS NOT NULL AND renewal_months IS NOT NULL)),
  CONSTRAINT ck_contracts_renewal_months CHECK (renewal_months BETWEEN 1 AND 1200),
  CONSTRAINT ck_contracts_renewal_reminder_days CHECK (renewal_reminder_days BETWEEN 0 AND 3650),
  CONSTRAINT ck_contracts_terminates_on CHECK ((terminates_on IS NULL) = (termination_reason IS NULL)),
  CONSTRAINT ck_contracts_terminated CHECK (status <> 'terminated' OR terminates_on IS NOT NULL),
  CONSTRAINT ck_contracts_renewed CHECK (status <> 'renewed' OR successor_id IS NOT NULL),
  CONSTRAINT ck_contracts_active CHECK
    (status NOT IN ('active', 'expired', 'terminated', 'renewed') OR (revision > 0 AND activated_at IS NOT NULL))
)"""
    )
    protect("contracts.contracts", record=True)
    record_indexes("contracts.contracts", ["title", "starts_on", "ends_on", "status"])
    live = "WHERE deleted_at IS NULL"
    for column in ("account_id", "contact_id", "opportunity_id"):
        op.execute(
            f"CREATE INDEX ix_contracts_{column} ON contracts.contracts (tenant_id, {column}, id) {live}"
        )
    for column in ("quote_id", "predecessor_id"):
        op.execute(
            f"CREATE UNIQUE INDEX uq_contracts_{column} ON contracts.contracts (tenant_id, {column})"
            f" {live} AND {column} IS NOT NULL"
        )
    running = f"{live} AND status = 'active'"
    for column in ("ends_on", "terminates_on"):
        op.execute(
            f"CREATE INDEX ix_contracts_running_{column} ON contracts.contracts (tenant_id, {column}, id) {running}"
        )


def _clause_templates() -> None:
    op.execute(
        f"""
CREATE TABLE contracts.clause_templates (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  key text NOT NULL,
  category text,
  is_active boolean NOT NULL DEFAULT true,
  current_version bigint NOT NULL DEFAULT 1,
{_VERSIONED},
  CONSTRAINT pk_clause_templates PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_clause_templates_key UNIQUE (tenant_id, key)
)"""
    )
    protect("contracts.clause_templates")
    op.execute(
        """
CREATE TABLE contracts.clause_template_versions (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  template_id uuid NOT NULL,
  number bigint NOT NULL,
  title_en text NOT NULL,
  title_zh text,
  body_en text NOT NULL,
  body_zh text,
  created_at timestamptz NOT NULL,
  created_by uuid,
  CONSTRAINT pk_clause_template_versions PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_clause_template_versions_number UNIQUE (tenant_id, template_id, number),
  CONSTRAINT fk_clause_template_versions_template_id FOREIGN KEY (tenant_id, template_id)
    REFERENCES contracts.clause_templates (tenant_id, id) ON DELETE CASCADE,
  CONSTRAINT ck_clause_template_versions_zh CHECK ((title_zh IS NULL) = (body_zh IS NULL))
)"""
    )
    protect("contracts.clause_template_versions")


def _child(name: str, columns: str, *constraints: str) -> None:
    """A table whose rows belong to one contract and go with it, in an order."""
    own = "".join(f",\n  CONSTRAINT {constraint}" for constraint in constraints)
    op.execute(
        f"""
CREATE TABLE contracts.{name} (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  contract_id uuid NOT NULL,
{columns},
  CONSTRAINT pk_{name} PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_{name}_contract_id FOREIGN KEY (tenant_id, contract_id)
    REFERENCES contracts.contracts (tenant_id, id) ON DELETE CASCADE{own}
)"""
    )
    protect(f"contracts.{name}")


def _parts() -> None:
    _child(
        "parties",
        """  position bigint NOT NULL,
  role text NOT NULL,
  account_id uuid,
  contact_id uuid,
  name text NOT NULL,
  title text""",
        "ck_parties_role CHECK (role IN ('customer', 'supplier', 'guarantor', 'signatory'))",
    )
    _child(
        "lines",
        """  position bigint NOT NULL,
  product_id uuid,
  description text NOT NULL,
  quantity numeric NOT NULL,
  unit_price numeric NOT NULL,
  charge text NOT NULL,
  amount bigint NOT NULL""",
        "ck_lines_charge CHECK (charge IN ('one_time', 'monthly', 'yearly'))",
        "ck_lines_quantity CHECK (quantity > 0)",
    )
    _child(
        "clauses",
        """  position bigint NOT NULL,
  template_id uuid,
  template_version bigint,
  title text NOT NULL,
  body text NOT NULL,
  merged text""",
        "ck_clauses_template CHECK ((template_id IS NULL) = (template_version IS NULL))",
    )
    for name in ("parties", "lines", "clauses"):
        op.execute(
            f"CREATE INDEX ix_{name}_contract_id ON contracts.{name} (tenant_id, contract_id, position, id)"
        )
    for column in ("account_id", "contact_id"):
        op.execute(
            f"CREATE INDEX ix_parties_{column} ON contracts.parties (tenant_id, {column}, contract_id)"
            f" WHERE {column} IS NOT NULL"
        )
    op.execute(
        "CREATE INDEX ix_clauses_template_id ON contracts.clauses (tenant_id, template_id)"
        " WHERE template_id IS NOT NULL"
    )


def _instalments() -> None:
    _child(
        "instalments",
        """  position bigint NOT NULL,
  label text NOT NULL,
  amount bigint NOT NULL,
  currency text NOT NULL,
  invoiced bigint NOT NULL DEFAULT 0,
  paid bigint NOT NULL DEFAULT 0,
  due_after text,
  due_days bigint,
  due_on date,
  status text NOT NULL""",
        "ck_instalments_status CHECK (status IN"
        " ('not_yet_effective', 'pending', 'due', 'partly_paid', 'paid', 'overdue', 'void'))",
        "ck_instalments_amount CHECK (amount >= 0)",
        "ck_instalments_invoiced CHECK (invoiced BETWEEN 0 AND amount)",
        "ck_instalments_paid CHECK (paid BETWEEN 0 AND amount)",
        "ck_instalments_due_after CHECK (due_after IN ('signing', 'activation'))",
        "ck_instalments_due_days CHECK ((due_after IS NULL) = (due_days IS NULL))",
        "ck_instalments_due_on CHECK (due_on IS NOT NULL OR status IN ('not_yet_effective', 'void'))",
    )
    op.execute(
        "CREATE INDEX ix_instalments_contract_id ON contracts.instalments (tenant_id, contract_id, position, id)"
    )
    op.execute(
        "CREATE INDEX ix_instalments_open ON contracts.instalments (tenant_id, due_on, id)"
        " WHERE status IN ('pending', 'due', 'partly_paid', 'overdue')"
    )


def _amendments() -> None:
    _child(
        "amendments",
        f"""  number bigint NOT NULL,
  title text NOT NULL,
  reason text,
  status text NOT NULL,
  effective_on date,
  changes jsonb NOT NULL,
  in_force_at timestamptz,
  created_by uuid,
{_VERSIONED}""",
        "uq_amendments_number UNIQUE (tenant_id, contract_id, number)",
        "ck_amendments_status CHECK (status IN ('draft', 'in_approval', 'approved', 'in_force', 'withdrawn'))",
        "ck_amendments_in_force_at CHECK ((status = 'in_force') = (in_force_at IS NOT NULL))",
    )
    op.execute(
        "CREATE UNIQUE INDEX uq_amendments_open ON contracts.amendments (tenant_id, contract_id)"
        " WHERE status IN ('draft', 'in_approval', 'approved')"
    )
    op.execute(
        "CREATE INDEX ix_amendments_approved ON contracts.amendments (tenant_id, effective_on, id)"
        " WHERE status = 'approved'"
    )
    _child(
        "revisions",
        """  number bigint NOT NULL,
  content jsonb NOT NULL,
  amendment_id uuid,
  in_force_from date NOT NULL,
  created_at timestamptz NOT NULL,
  created_by uuid""",
        "uq_revisions_number UNIQUE (tenant_id, contract_id, number)",
        "fk_revisions_amendment_id FOREIGN KEY (tenant_id, amendment_id)"
        " REFERENCES contracts.amendments (tenant_id, id)",
    )


def _drawings() -> None:
    _child(
        "drawings",
        """  order_id uuid NOT NULL,
  amount bigint NOT NULL,
  currency text NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL""",
        "uq_drawings_order_id UNIQUE (tenant_id, order_id)",
        "ck_drawings_amount CHECK (amount >= 0)",
    )
    op.execute("CREATE INDEX ix_drawings_contract_id ON contracts.drawings (tenant_id, contract_id, id)")
