"""Accounts, contacts, their roles and their consent.

Revision ID: 0030
Revises: 0020
"""

from __future__ import annotations

from alembic import op

from migrations.duplicates import duplicate_columns, duplicate_indexes
from migrations.support import create_schema, protect, record_columns, record_indexes

revision = "0030"
down_revision = "0020"
branch_labels = None
depends_on = None

ROLES = "('decision_maker', 'influencer', 'user', 'gatekeeper', 'champion', 'blocker')"
STAGES = "('subscriber', 'lead', 'qualified', 'opportunity', 'customer', 'evangelist', 'lost')"
CHANNELS = "('email', 'phone', 'sms', 'wechat', 'post')"


def upgrade() -> None:
    """Create schema `customers`."""
    create_schema("customers")
    _accounts()
    _contacts()
    _contact_roles()
    _consents()


def _accounts() -> None:
    op.execute(
        f"""
CREATE TABLE customers.accounts (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  name text NOT NULL,
  kind text NOT NULL,
  parent_id uuid,
  industry text,
  size text,
  country text,
  region text,
  city text,
  address text,
  postal_code text,
  website text,
  phone text,
  phones text[] NOT NULL DEFAULT '{{}}',
  email text,
  emails text[] NOT NULL DEFAULT '{{}}',
  registration_number text,
  source text,
  lifecycle_stage text NOT NULL,
  rating text,
  credit_limit bigint,
  credit_currency text,
  payment_terms_days bigint,
  preferred_channel text,
  language text,
  description text,
  consents jsonb NOT NULL DEFAULT '{{}}',
  completeness bigint NOT NULL DEFAULT 0,
  {duplicate_columns()},
  {record_columns()},
  CONSTRAINT pk_accounts PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_accounts_parent_id FOREIGN KEY (tenant_id, parent_id) REFERENCES customers.accounts (tenant_id, id),
  CONSTRAINT ck_accounts_kind CHECK (kind IN ('company', 'person')),
  CONSTRAINT ck_accounts_lifecycle_stage CHECK (lifecycle_stage IN {STAGES}),
  CONSTRAINT ck_accounts_rating CHECK (rating IS NULL OR rating IN ('hot', 'warm', 'cold')),
  CONSTRAINT ck_accounts_preferred_channel CHECK (preferred_channel IS NULL OR preferred_channel IN {CHANNELS}),
  CONSTRAINT ck_accounts_parent_id CHECK (parent_id <> id),
  CONSTRAINT ck_accounts_credit_limit CHECK (credit_limit >= 0 AND num_nonnulls(credit_limit, credit_currency) <> 1),
  CONSTRAINT ck_accounts_payment_terms_days CHECK (payment_terms_days BETWEEN 0 AND 3650),
  CONSTRAINT ck_accounts_completeness CHECK (completeness BETWEEN 0 AND 100)
)"""
    )
    protect("customers.accounts", record=True)
    record_indexes("customers.accounts", ["lifecycle_stage", "name"])
    op.execute(
        "CREATE INDEX ix_accounts_parent_id ON customers.accounts (tenant_id, parent_id, id)"
        " WHERE deleted_at IS NULL"
    )
    duplicate_indexes("customers.accounts", ["registration_number"], both_ends=True)


def _contacts() -> None:
    op.execute(
        f"""
CREATE TABLE customers.contacts (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  name text NOT NULL,
  family_name text,
  given_name text,
  title text,
  department text,
  account_id uuid,
  role text,
  reports_to_id uuid,
  email text,
  emails text[] NOT NULL DEFAULT '{{}}',
  phone text,
  mobile text,
  country text,
  region text,
  city text,
  address text,
  source text,
  preferred_channel text,
  language text,
  time_zone text,
  description text,
  consents jsonb NOT NULL DEFAULT '{{}}',
  completeness bigint NOT NULL DEFAULT 0,
  {duplicate_columns()},
  {record_columns()},
  CONSTRAINT pk_contacts PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_contacts_account_id FOREIGN KEY (tenant_id, account_id) REFERENCES customers.accounts (tenant_id, id),
  CONSTRAINT fk_contacts_reports_to_id FOREIGN KEY (tenant_id, reports_to_id)
    REFERENCES customers.contacts (tenant_id, id),
  CONSTRAINT ck_contacts_role CHECK (role IS NULL OR role IN {ROLES}),
  CONSTRAINT ck_contacts_preferred_channel CHECK (preferred_channel IS NULL OR preferred_channel IN {CHANNELS}),
  CONSTRAINT ck_contacts_reports_to_id CHECK (reports_to_id <> id),
  CONSTRAINT ck_contacts_completeness CHECK (completeness BETWEEN 0 AND 100)
)"""
    )
    protect("customers.contacts", record=True)
    record_indexes("customers.contacts", ["name"])
    for column in ("account_id", "reports_to_id"):
        op.execute(
            f"CREATE INDEX ix_contacts_{column} ON customers.contacts (tenant_id, {column}, id)"
            " WHERE deleted_at IS NULL"
        )
    duplicate_indexes("customers.contacts")


def _contact_roles() -> None:
    op.execute(
        f"""
CREATE TABLE customers.contact_roles (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  contact_id uuid NOT NULL,
  account_id uuid NOT NULL,
  role text,
  created_at timestamptz NOT NULL,
  created_by uuid,
  CONSTRAINT pk_contact_roles PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_contact_roles_account_id UNIQUE (tenant_id, account_id, contact_id),
  CONSTRAINT fk_contact_roles_contact_id FOREIGN KEY (tenant_id, contact_id)
    REFERENCES customers.contacts (tenant_id, id),
  CONSTRAINT fk_contact_roles_account_id FOREIGN KEY (tenant_id, account_id)
    REFERENCES customers.accounts (tenant_id, id),
  CONSTRAINT ck_contact_roles_role CHECK (role IS NULL OR role IN {ROLES})
)"""
    )
    op.execute(
        "CREATE INDEX ix_contact_roles_contact_id ON customers.contact_roles (tenant_id, contact_id, account_id)"
    )
    protect("customers.contact_roles")


def _consents() -> None:
    op.execute(
        f"""
CREATE TABLE customers.consents (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  object text NOT NULL,
  record_id uuid NOT NULL,
  channel text NOT NULL,
  status text NOT NULL,
  source text NOT NULL,
  note text,
  given_at timestamptz NOT NULL,
  created_at timestamptz NOT NULL,
  created_by uuid,
  CONSTRAINT pk_consents PRIMARY KEY (tenant_id, id),
  CONSTRAINT ck_consents_object CHECK (object IN ('account', 'contact')),
  CONSTRAINT ck_consents_channel CHECK (channel IN {CHANNELS}),
  CONSTRAINT ck_consents_status CHECK (status IN ('granted', 'denied', 'unknown'))
)"""
    )
    op.execute("CREATE INDEX ix_consents_record ON customers.consents (tenant_id, object, record_id, id)")
    protect("customers.consents", append_only=True)
