"""Dated exchange rates, and what opportunities are worth in the company's own currency.

Revision ID: 0069
Revises: 0068
"""

from __future__ import annotations

from alembic import op

from migrations.support import protect, refresh_read_view

revision = "0069"
down_revision = "0068"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create tenants.exchange_rates; add amount_home to opportunities, filled by a job (rates are known later)."""
    op.execute(
        """
CREATE TABLE tenants.exchange_rates (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  currency text NOT NULL,
  home_currency text NOT NULL,
  valid_from date NOT NULL,
  rate numeric NOT NULL,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT pk_exchange_rates PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_exchange_rates_valid_from UNIQUE (tenant_id, home_currency, currency, valid_from),
  CONSTRAINT ck_exchange_rates_rate CHECK (rate > 0),
  CONSTRAINT ck_exchange_rates_currency CHECK (currency <> home_currency)
)"""
    )
    protect("tenants.exchange_rates")
    op.execute(
        """
CREATE FUNCTION tenants.zone_of(tenant uuid) RETURNS text LANGUAGE sql STABLE AS
$$ SELECT coalesce(
  (SELECT t.time_zone FROM tenants.tenants t WHERE t.tenant_id = tenant AND t.id = tenant), 'UTC') $$"""
    )
    op.execute(
        "ALTER TABLE opportunities.opportunities ADD COLUMN amount_home bigint, ADD COLUMN home_currency text,"
        " ADD COLUMN rate_missing boolean NOT NULL DEFAULT false"
    )
    refresh_read_view("opportunities.opportunities")
