"""Referrals, and benefits on birthdays and anniversaries.

Revision ID: 0296
Revises: 0295
"""

from __future__ import annotations

from alembic import op

from migrations.support import protect, refresh_read_view

revision = "0296"
down_revision = "0295"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Members have birthdays, time zones and codes that they pass on; programmes say what that brings."""
    op.execute("ALTER TABLE membership.loyalty_members ADD COLUMN birthday date")
    op.execute("ALTER TABLE membership.loyalty_members ADD COLUMN time_zone text")
    refresh_read_view("membership.loyalty_members")
    op.execute("ALTER TABLE membership.reward_settings ADD COLUMN referral jsonb")
    op.execute("ALTER TABLE membership.reward_settings ADD COLUMN occasions jsonb NOT NULL DEFAULT '[]'")
    op.execute("ALTER TABLE membership.ledger_transactions DROP CONSTRAINT ck_ledger_transactions_kind")
    op.execute(
        "ALTER TABLE membership.ledger_transactions ADD CONSTRAINT ck_ledger_transactions_kind CHECK (kind IN"
        " ('earn', 'mature', 'expire', 'reserve', 'release', 'commit', 'burn', 'return', 'cancel', 'transfer',"
        " 'adjust', 'benefit', 'opening')) NOT VALID"
    )
    _referrals()
    _grants()


def _referrals() -> None:
    op.execute(
        """
CREATE TABLE membership.referral_codes (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  code text NOT NULL,
  CONSTRAINT pk_referral_codes PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_referral_codes_code UNIQUE (tenant_id, code),
  CONSTRAINT fk_referral_codes_id FOREIGN KEY (tenant_id, id)
    REFERENCES membership.loyalty_members (tenant_id, id),
  CONSTRAINT ck_referral_codes_code CHECK (code ~ '[A-Z]')
)"""
    )
    protect("membership.referral_codes")
    op.execute(
        """
CREATE TABLE membership.referrals (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  programme_id uuid NOT NULL,
  referrer_id uuid NOT NULL,
  referred_id uuid NOT NULL,
  referred_holder uuid NOT NULL,
  status text NOT NULL,
  reason text,
  made_on date NOT NULL,
  minimum_spend bigint NOT NULL,
  rewards jsonb NOT NULL,
  order_id uuid,
  due_on date,
  created_at timestamptz NOT NULL,
  decided_at timestamptz,
  CONSTRAINT pk_referrals PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_referrals_programme_id FOREIGN KEY (tenant_id, programme_id)
    REFERENCES membership.programmes (tenant_id, id),
  CONSTRAINT fk_referrals_referrer_id FOREIGN KEY (tenant_id, referrer_id)
    REFERENCES membership.loyalty_members (tenant_id, id),
  CONSTRAINT fk_referrals_referred_id FOREIGN KEY (tenant_id, referred_id)
    REFERENCES membership.loyalty_members (tenant_id, id),
  CONSTRAINT ck_referrals_status CHECK (status IN ('pending', 'qualified', 'rewarded', 'rejected')),
  CONSTRAINT ck_referrals_reason CHECK ((status = 'rejected') = (reason IS NOT NULL)),
  CONSTRAINT ck_referrals_decided_at CHECK ((status IN ('rewarded', 'rejected')) = (decided_at IS NOT NULL)),
  CONSTRAINT ck_referrals_due_on CHECK (status NOT IN ('qualified', 'rewarded')
    OR (due_on IS NOT NULL AND order_id IS NOT NULL)),
  CONSTRAINT ck_referrals_self CHECK (referrer_id <> referred_id)
)"""
    )
    protect("membership.referrals")
    op.execute(
        "CREATE UNIQUE INDEX uq_referrals_referred_id ON membership.referrals (tenant_id, referred_id)"
    )
    op.execute(
        "CREATE UNIQUE INDEX uq_referrals_referred_holder ON membership.referrals"
        " (tenant_id, programme_id, referred_holder) WHERE status <> 'rejected'"
    )
    op.execute("CREATE INDEX ix_referrals_referrer_id ON membership.referrals (tenant_id, referrer_id, id)")
    op.execute(
        "CREATE INDEX ix_referrals_due_on ON membership.referrals (tenant_id, due_on, id) WHERE status = 'qualified'"
    )


def _grants() -> None:
    op.execute(
        """
CREATE TABLE membership.benefit_grants (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  member_id uuid NOT NULL,
  occasion text NOT NULL,
  year bigint NOT NULL,
  day date NOT NULL,
  rewards jsonb NOT NULL,
  granted_at timestamptz NOT NULL,
  CONSTRAINT pk_benefit_grants PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_benefit_grants_year UNIQUE (tenant_id, member_id, occasion, year),
  CONSTRAINT fk_benefit_grants_member_id FOREIGN KEY (tenant_id, member_id)
    REFERENCES membership.loyalty_members (tenant_id, id),
  CONSTRAINT ck_benefit_grants_occasion CHECK (occasion IN ('birthday', 'anniversary')),
  CONSTRAINT ck_benefit_grants_day CHECK (extract(year FROM day) = year)
)"""
    )
    protect("membership.benefit_grants", append_only=True)
