"""Leads, and how a tenant's lead fields are carried over when one is converted.

Revision ID: 0040
Revises: 0030
"""

from __future__ import annotations

from alembic import op

from migrations.duplicates import duplicate_columns, duplicate_indexes
from migrations.support import create_schema, protect, record_columns, record_indexes

revision = "0040"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create schema `leads`."""
    create_schema("leads")
    _leads()
    _conversion_mappings()


def _leads() -> None:
    # The status has no list of values: tenants may add states of their own between the built-in ones.
    op.execute(
        f"""
CREATE TABLE leads.leads (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  name text NOT NULL,
  company text,
  title text,
  email text,
  phone text,
  website text,
  source text,
  channel text,
  campaign text,
  medium text,
  referrer text,
  landing_page text,
  utm_source text,
  utm_medium text,
  utm_campaign text,
  utm_term text,
  utm_content text,
  first_touch_at timestamptz NOT NULL,
  last_touch_at timestamptz NOT NULL,
  last_source text,
  last_channel text,
  last_campaign text,
  last_medium text,
  last_touch jsonb NOT NULL DEFAULT '{{}}',
  status text NOT NULL,
  disqualified_reason text,
  disqualified_note text,
  rating text,
  score bigint,
  industry text,
  country text,
  region text,
  city text,
  address text,
  description text,
  first_response_at timestamptz,
  qualified_at timestamptz,
  disqualified_at timestamptz,
  converted_at timestamptz,
  converted_account_id uuid,
  converted_contact_id uuid,
  converted_opportunity_id uuid,
  conversion jsonb,
  {duplicate_columns()},
  {record_columns()},
  CONSTRAINT pk_leads PRIMARY KEY (tenant_id, id),
  CONSTRAINT ck_leads_status CHECK (status ~ '^[a-z][a-z0-9_]{{0,39}}$'),
  CONSTRAINT ck_leads_rating CHECK (rating IS NULL OR rating IN ('hot', 'warm', 'cold')),
  CONSTRAINT ck_leads_disqualified_reason CHECK (status <> 'disqualified' OR disqualified_reason IS NOT NULL),
  CONSTRAINT ck_leads_converted_at CHECK ((status = 'converted') = (converted_at IS NOT NULL)),
  CONSTRAINT ck_leads_conversion CHECK ((status = 'converted') = (conversion IS NOT NULL)),
  CONSTRAINT ck_leads_converted_account_id CHECK ((status = 'converted') = (converted_account_id IS NOT NULL))
)"""
    )
    protect("leads.leads", record=True)
    record_indexes("leads.leads", ["status", "source", "name"])
    live = "WHERE deleted_at IS NULL"
    for column in ("converted_account_id", "converted_contact_id"):
        op.execute(
            f"CREATE INDEX ix_leads_{column} ON leads.leads (tenant_id, {column}, id) {live}"
            f" AND {column} IS NOT NULL"
        )
    duplicate_indexes("leads.leads")


def _conversion_mappings() -> None:
    op.execute(
        """
CREATE TABLE leads.conversion_mappings (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  fields jsonb NOT NULL,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT pk_conversion_mappings PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_conversion_mappings_tenant_id UNIQUE (tenant_id)
)"""
    )
    protect("leads.conversion_mappings")
