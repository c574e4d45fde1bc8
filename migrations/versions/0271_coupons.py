"""Coupons of whoever runs the product, and which company redeemed which.

Revision ID: 0271
Revises: 0270
"""

from __future__ import annotations

from alembic import op

from migrations.support import protect

revision = "0271"
down_revision = "0270"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create `tenants.coupons`, which belong to no company, and `tenants.coupon_redemptions`."""
    terms = """
  kind text NOT NULL,
  value numeric NOT NULL,
  currency text,
  duration text NOT NULL,
  months bigint"""

    def checks(table: str) -> str:
        return f"""
  CONSTRAINT ck_{table}_kind CHECK (kind IN ('percent', 'amount') AND (kind = 'amount') = (currency IS NOT NULL)),
  CONSTRAINT ck_{table}_value CHECK (value > 0 AND (kind = 'amount' OR value <= 100)),
  CONSTRAINT ck_{table}_duration CHECK (duration IN ('once', 'repeating', 'forever')
    AND (duration = 'repeating') = (months IS NOT NULL) AND months > 0)"""

    op.execute(
        f"""
CREATE TABLE tenants.coupons (
  code text NOT NULL,
  {terms},
  max_redemptions bigint,
  redeemed bigint NOT NULL,
  valid_until timestamptz,
  created_at timestamptz NOT NULL,
  CONSTRAINT pk_coupons PRIMARY KEY (code),
  {checks("coupons")},
  CONSTRAINT ck_coupons_redeemed CHECK (redeemed BETWEEN 0 AND coalesce(max_redemptions, redeemed))
)"""
    )
    op.execute("ALTER TABLE tenants.coupons ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE tenants.coupons FORCE ROW LEVEL SECURITY")
    op.execute("CREATE POLICY control ON tenants.coupons TO rapport_control USING (true) WITH CHECK (true)")
    op.execute("GRANT SELECT, INSERT, UPDATE ON tenants.coupons TO rapport_control")
    # With the coupon as it was: what a company was promised does not change.
    op.execute(
        f"""
CREATE TABLE tenants.coupon_redemptions (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  code text NOT NULL,
  {terms},
  redeemed_at timestamptz NOT NULL,
  redeemed_by uuid,
  CONSTRAINT pk_coupon_redemptions PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_coupon_redemptions_code UNIQUE (tenant_id, code),
  {checks("coupon_redemptions")}
)"""
    )
    protect("tenants.coupon_redemptions", append_only=True, control="SELECT, INSERT")
    op.execute("REVOKE INSERT ON tenants.coupon_redemptions FROM rapport_app")
