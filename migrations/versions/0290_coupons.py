"""Coupons: definitions, their codes, and what was granted on them.

Revision ID: 0290
Revises: 0285
"""

from __future__ import annotations

from alembic import op

from migrations.support import protect, record_columns, record_indexes

revision = "0290"
down_revision = "0285"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create coupons, batches of codes, codes, and uses in schema `membership`."""
    _coupons()
    _codes()
    _uses()


def _coupons() -> None:
    op.execute(
        f"""
CREATE TABLE membership.coupons (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  name text NOT NULL,
  name_zh text,
  status text NOT NULL,
  distribution text NOT NULL,
  code text,
  benefit text NOT NULL,
  currency text NOT NULL,
  percent numeric,
  amount bigint,
  free_quantity bigint,
  maximum_discount bigint,
  minimum_spend bigint,
  valid_from date,
  valid_until date,
  valid_days bigint,
  product_ids uuid[] NOT NULL DEFAULT '{{}}',
  category_ids uuid[] NOT NULL DEFAULT '{{}}',
  programme_id uuid,
  tiers text[] NOT NULL DEFAULT '{{}}',
  first_order_only boolean NOT NULL,
  exclusive boolean NOT NULL,
  stacking_group text,
  priority bigint NOT NULL,
  customer_limit bigint,
  total_limit bigint,
  budget bigint,
  on_return text NOT NULL,
  codes bigint NOT NULL DEFAULT 0,
  uses bigint NOT NULL DEFAULT 0,
  spent bigint NOT NULL DEFAULT 0,
  used_at timestamptz NOT NULL,
  {record_columns()},
  CONSTRAINT pk_coupons PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_coupons_programme_id FOREIGN KEY (tenant_id, programme_id)
    REFERENCES membership.programmes (tenant_id, id),
  CONSTRAINT ck_coupons_status CHECK (status IN ('draft', 'active', 'paused', 'ended')),
  CONSTRAINT ck_coupons_distribution CHECK (distribution IN ('shared', 'batch', 'personal')),
  CONSTRAINT ck_coupons_code CHECK ((distribution = 'shared') = (code IS NOT NULL)),
  CONSTRAINT ck_coupons_benefit CHECK (
    CASE benefit WHEN 'percent' THEN percent > 0 AND percent <= 100 AND amount IS NULL
    WHEN 'amount' THEN amount > 0 AND percent IS NULL
    WHEN 'fixed_price' THEN amount >= 0 AND percent IS NULL
    WHEN 'free_product' THEN amount IS NULL AND percent IS NULL AND free_quantity > 0 ELSE false END),
  CONSTRAINT ck_coupons_validity CHECK (valid_until >= valid_from),
  CONSTRAINT ck_coupons_valid_days CHECK (valid_days > 0),
  CONSTRAINT ck_coupons_amounts CHECK (maximum_discount > 0 AND minimum_spend >= 0),
  CONSTRAINT ck_coupons_customer_limit CHECK (customer_limit > 0),
  CONSTRAINT ck_coupons_total_limit CHECK (uses >= 0 AND (total_limit IS NULL OR uses <= total_limit)),
  CONSTRAINT ck_coupons_budget CHECK (spent >= 0 AND (budget IS NULL OR spent <= budget)),
  CONSTRAINT ck_coupons_on_return CHECK (on_return IN ('keep', 'give_back'))
)"""
    )
    protect("membership.coupons", record=True)
    record_indexes("membership.coupons", ["name"])
    op.execute(
        "CREATE INDEX ix_coupons_programme_id ON membership.coupons (tenant_id, programme_id)"
        " WHERE programme_id IS NOT NULL"
    )


def _codes() -> None:
    """A code has a letter, so that it is never a card's number, which has none."""
    op.execute(
        """
CREATE TABLE membership.coupon_batches (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  coupon_id uuid NOT NULL,
  prefix text NOT NULL,
  wanted bigint NOT NULL,
  made bigint NOT NULL,
  job_id uuid NOT NULL,
  made_by uuid,
  created_at timestamptz NOT NULL,
  CONSTRAINT pk_coupon_batches PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_coupon_batches_coupon_id FOREIGN KEY (tenant_id, coupon_id)
    REFERENCES membership.coupons (tenant_id, id),
  CONSTRAINT ck_coupon_batches_made CHECK (made BETWEEN 0 AND wanted)
)"""
    )
    protect("membership.coupon_batches")
    op.execute(
        "CREATE INDEX ix_coupon_batches_coupon_id ON membership.coupon_batches (tenant_id, coupon_id, id)"
    )
    op.execute(
        """
CREATE TABLE membership.coupon_codes (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  coupon_id uuid NOT NULL,
  batch_id uuid,
  member_id uuid,
  code text NOT NULL,
  reference text,
  valid_until date,
  use_limit bigint,
  uses bigint NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL,
  CONSTRAINT pk_coupon_codes PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_coupon_codes_code UNIQUE (tenant_id, code),
  CONSTRAINT fk_coupon_codes_coupon_id FOREIGN KEY (tenant_id, coupon_id)
    REFERENCES membership.coupons (tenant_id, id),
  CONSTRAINT fk_coupon_codes_batch_id FOREIGN KEY (tenant_id, batch_id)
    REFERENCES membership.coupon_batches (tenant_id, id),
  CONSTRAINT fk_coupon_codes_member_id FOREIGN KEY (tenant_id, member_id)
    REFERENCES membership.loyalty_members (tenant_id, id),
  CONSTRAINT ck_coupon_codes_code CHECK (code ~ '^[A-Z0-9-]{3,40}$' AND code ~ '[A-Z]'),
  CONSTRAINT ck_coupon_codes_uses CHECK (uses >= 0 AND (use_limit IS NULL OR uses <= use_limit))
)"""
    )
    protect("membership.coupon_codes")
    op.execute("CREATE INDEX ix_coupon_codes_coupon_id ON membership.coupon_codes (tenant_id, coupon_id, id)")
    op.execute(
        "CREATE INDEX ix_coupon_codes_batch_id ON membership.coupon_codes (tenant_id, batch_id, id)"
        " WHERE batch_id IS NOT NULL"
    )
    op.execute(
        "CREATE INDEX ix_coupon_codes_member_id ON membership.coupon_codes (tenant_id, member_id, id)"
        " WHERE member_id IS NOT NULL"
    )
    op.execute(
        "CREATE UNIQUE INDEX uq_coupon_codes_reference ON membership.coupon_codes"
        " (tenant_id, member_id, coupon_id, reference) WHERE reference IS NOT NULL"
    )


def _uses() -> None:
    op.execute(
        """
CREATE TABLE membership.coupon_uses (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  coupon_id uuid NOT NULL,
  code_id uuid NOT NULL,
  order_id uuid NOT NULL,
  account_id uuid NOT NULL,
  status text NOT NULL,
  amount bigint NOT NULL,
  currency text NOT NULL,
  made_by uuid,
  created_at timestamptz NOT NULL,
  settled_at timestamptz,
  CONSTRAINT pk_coupon_uses PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_coupon_uses_coupon_id FOREIGN KEY (tenant_id, coupon_id)
    REFERENCES membership.coupons (tenant_id, id),
  CONSTRAINT fk_coupon_uses_code_id FOREIGN KEY (tenant_id, code_id)
    REFERENCES membership.coupon_codes (tenant_id, id),
  CONSTRAINT ck_coupon_uses_status CHECK (status IN ('reserved', 'redeemed', 'released', 'returned')),
  CONSTRAINT ck_coupon_uses_amount CHECK (amount > 0)
)"""
    )
    protect("membership.coupon_uses")
    op.execute(
        "CREATE UNIQUE INDEX uq_coupon_uses_order_id ON membership.coupon_uses (tenant_id, order_id, coupon_id)"
        " WHERE status IN ('reserved', 'redeemed')"
    )
    op.execute("CREATE INDEX ix_coupon_uses_coupon_id ON membership.coupon_uses (tenant_id, coupon_id, id)")
    op.execute(
        "CREATE INDEX ix_coupon_uses_account_id ON membership.coupon_uses (tenant_id, account_id, coupon_id)"
        " WHERE status IN ('reserved', 'redeemed')"
    )
    op.execute(
        "CREATE INDEX ix_coupon_uses_reserved ON membership.coupon_uses (tenant_id, created_at, id)"
        " WHERE status = 'reserved'"
    )
