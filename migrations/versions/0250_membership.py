"""Loyalty programmes: members, tiers, and the ledger of points.

Revision ID: 0250
Revises: 0221
"""

from __future__ import annotations

from alembic import op

from migrations.support import create_schema, protect, record_columns, record_indexes

revision = "0250"
down_revision = "0221"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create schema `membership` with programmes, members and points."""
    create_schema("membership")
    _programmes()
    _members()
    _earnings()
    _burns()
    _ledger()
    _guards()


def _programmes() -> None:
    op.execute(
        """
CREATE TABLE membership.programmes (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  key text NOT NULL,
  name_en text NOT NULL,
  name_zh text,
  points_name_en text NOT NULL,
  points_name_zh text,
  active boolean NOT NULL,
  currency text NOT NULL,
  earn_basis text NOT NULL,
  return_window_days bigint NOT NULL,
  expiry_months bigint,
  burn_points bigint NOT NULL,
  burn_amount bigint NOT NULL,
  burn_minimum bigint NOT NULL,
  burn_step bigint NOT NULL,
  cap_order bigint,
  cap_day bigint,
  cap_member bigint,
  adjustment_limit bigint,
  earn_rules jsonb NOT NULL,
  version bigint NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT pk_programmes PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_programmes_key UNIQUE (tenant_id, key),
  CONSTRAINT ck_programmes_earn_basis CHECK (earn_basis IN ('net', 'total')),
  CONSTRAINT ck_programmes_return_window_days CHECK (return_window_days BETWEEN 0 AND 3650),
  CONSTRAINT ck_programmes_expiry_months CHECK (expiry_months BETWEEN 1 AND 600),
  CONSTRAINT ck_programmes_burn CHECK (burn_points > 0 AND burn_amount > 0 AND burn_minimum > 0 AND burn_step > 0),
  CONSTRAINT ck_programmes_caps CHECK (cap_order >= 0 AND cap_day >= 0 AND cap_member >= 0),
  CONSTRAINT ck_programmes_adjustment_limit CHECK (adjustment_limit >= 0)
)"""
    )
    protect("membership.programmes")
    op.execute(
        """
CREATE TABLE membership.tiers (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  programme_id uuid NOT NULL,
  position bigint NOT NULL,
  key text NOT NULL,
  name_en text NOT NULL,
  name_zh text,
  qualify_by text NOT NULL,
  threshold bigint NOT NULL,
  period text NOT NULL,
  period_months bigint,
  grace_days bigint NOT NULL,
  multiplier numeric NOT NULL,
  benefits jsonb NOT NULL,
  CONSTRAINT pk_tiers PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_tiers_key UNIQUE (tenant_id, programme_id, key),
  CONSTRAINT uq_tiers_position UNIQUE (tenant_id, programme_id, position),
  CONSTRAINT fk_tiers_programme_id FOREIGN KEY (tenant_id, programme_id)
    REFERENCES membership.programmes (tenant_id, id) ON DELETE CASCADE,
  CONSTRAINT ck_tiers_qualify_by CHECK (qualify_by IN ('amount', 'points', 'visits')),
  CONSTRAINT ck_tiers_period CHECK (period IN ('rolling', 'calendar_year')),
  CONSTRAINT ck_tiers_period_months CHECK ((period = 'rolling') = (period_months IS NOT NULL)),
  CONSTRAINT ck_tiers_threshold CHECK (threshold >= 0),
  CONSTRAINT ck_tiers_multiplier CHECK (multiplier > 0)
)"""
    )
    protect("membership.tiers")


def _members() -> None:
    op.execute(
        f"""
CREATE TABLE membership.loyalty_members (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  programme_id uuid NOT NULL,
  account_id uuid,
  contact_id uuid,
  number text NOT NULL,
  status text NOT NULL,
  since date NOT NULL,
  tier text,
  tier_since date,
  tier_until date,
  points bigint NOT NULL,
  points_pending bigint NOT NULL,
  points_reserved bigint NOT NULL,
  points_debt bigint NOT NULL,
  points_qualifying bigint NOT NULL,
  points_at timestamptz NOT NULL,
  rfm_class text,
  rfm_scores text,
  value_class text,
  rfm_explanation jsonb,
  rfm_at timestamptz,
  {record_columns()},
  CONSTRAINT pk_loyalty_members PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_loyalty_members_programme_id FOREIGN KEY (tenant_id, programme_id)
    REFERENCES membership.programmes (tenant_id, id),
  CONSTRAINT ck_loyalty_members_status CHECK (status IN ('active', 'suspended', 'closed', 'superseded')),
  CONSTRAINT ck_loyalty_members_holder CHECK ((account_id IS NULL) <> (contact_id IS NULL)),
  CONSTRAINT ck_loyalty_members_points
    CHECK (points >= 0 AND points_pending >= 0 AND points_reserved >= 0 AND points_debt >= 0),
  CONSTRAINT ck_loyalty_members_tier CHECK ((tier IS NULL) = (tier_since IS NULL))
)"""
    )
    protect("membership.loyalty_members", record=True)
    record_indexes("membership.loyalty_members", ["number", "points"])
    op.execute(
        "CREATE UNIQUE INDEX uq_loyalty_members_number ON membership.loyalty_members (tenant_id, number)"
    )
    for column in ("account_id", "contact_id"):
        op.execute(
            f"CREATE UNIQUE INDEX uq_loyalty_members_{column} ON membership.loyalty_members"
            f" (tenant_id, {column}, programme_id)"
            f" WHERE deleted_at IS NULL AND status <> 'superseded' AND {column} IS NOT NULL"
        )
        op.execute(
            f"CREATE INDEX ix_loyalty_members_{column} ON membership.loyalty_members"
            f" (tenant_id, {column}, id) WHERE deleted_at IS NULL"
        )
    op.execute(
        "CREATE INDEX ix_loyalty_members_programme_id ON membership.loyalty_members"
        " (tenant_id, programme_id, tier, id) WHERE deleted_at IS NULL"
    )
    op.execute(
        "CREATE INDEX ix_loyalty_members_tier_until ON membership.loyalty_members (tenant_id, tier_until, id)"
        " WHERE deleted_at IS NULL AND tier IS NOT NULL"
    )
    op.execute(
        """
CREATE TABLE membership.tier_changes (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  member_id uuid NOT NULL,
  from_tier text,
  to_tier text,
  reason text NOT NULL,
  until date,
  at timestamptz NOT NULL,
  CONSTRAINT pk_tier_changes PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_tier_changes_member_id FOREIGN KEY (tenant_id, member_id)
    REFERENCES membership.loyalty_members (tenant_id, id),
  CONSTRAINT ck_tier_changes_reason CHECK (reason IN ('qualified', 'renewed', 'period_ended'))
)"""
    )
    protect("membership.tier_changes", append_only=True)
    op.execute("CREATE INDEX ix_tier_changes_member_id ON membership.tier_changes (tenant_id, member_id, id)")


def _earnings() -> None:
    op.execute(
        """
CREATE TABLE membership.earnings (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  member_id uuid NOT NULL,
  order_id uuid,
  event text,
  reference text,
  earned_on date NOT NULL,
  visits bigint NOT NULL,
  amount bigint NOT NULL,
  amount_returned bigint NOT NULL,
  spendable bigint NOT NULL,
  spendable_reversed bigint NOT NULL,
  qualifying bigint NOT NULL,
  qualifying_reversed bigint NOT NULL,
  CONSTRAINT pk_earnings PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_earnings_order_id UNIQUE (tenant_id, member_id, order_id),
  CONSTRAINT uq_earnings_reference UNIQUE (tenant_id, member_id, event, reference),
  CONSTRAINT fk_earnings_member_id FOREIGN KEY (tenant_id, member_id)
    REFERENCES membership.loyalty_members (tenant_id, id),
  CONSTRAINT ck_earnings_reversed CHECK (
    spendable_reversed BETWEEN 0 AND spendable AND qualifying_reversed BETWEEN 0 AND greatest(qualifying, 0))
)"""
    )
    protect("membership.earnings")
    op.execute(
        "CREATE INDEX ix_earnings_earned_on ON membership.earnings (tenant_id, member_id, earned_on)"
        " INCLUDE (visits, amount, amount_returned, qualifying, qualifying_reversed, spendable)"
    )
    op.execute(
        """
CREATE TABLE membership.order_shares (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  member_id uuid NOT NULL,
  order_id uuid NOT NULL,
  order_line_id uuid NOT NULL,
  quantity numeric NOT NULL,
  returned numeric NOT NULL,
  amount bigint NOT NULL,
  spendable bigint NOT NULL,
  spendable_reversed bigint NOT NULL,
  qualifying bigint NOT NULL,
  qualifying_reversed bigint NOT NULL,
  burned bigint NOT NULL,
  burned_restored bigint NOT NULL,
  CONSTRAINT pk_order_shares PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_order_shares_order_line_id UNIQUE (tenant_id, order_id, member_id, order_line_id),
  CONSTRAINT fk_order_shares_member_id FOREIGN KEY (tenant_id, member_id)
    REFERENCES membership.loyalty_members (tenant_id, id),
  CONSTRAINT ck_order_shares_reversed CHECK (spendable_reversed BETWEEN 0 AND spendable
    AND qualifying_reversed BETWEEN 0 AND qualifying AND burned_restored BETWEEN 0 AND burned)
)"""
    )
    protect("membership.order_shares")
    op.execute(
        """
CREATE TABLE membership.returned_lines (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  return_id uuid NOT NULL,
  order_id uuid NOT NULL,
  order_line_id uuid NOT NULL,
  quantity numeric NOT NULL,
  at timestamptz NOT NULL,
  CONSTRAINT pk_returned_lines PRIMARY KEY (tenant_id, id),
  CONSTRAINT ck_returned_lines_quantity CHECK (quantity > 0)
)"""
    )
    protect("membership.returned_lines", append_only=True)
    op.execute("CREATE INDEX ix_returned_lines_order_id ON membership.returned_lines (tenant_id, order_id)")
    op.execute(
        """
CREATE TABLE membership.lots (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  member_id uuid NOT NULL,
  earning_id uuid,
  earned_on date NOT NULL,
  matures_on date,
  expires_on date,
  points bigint NOT NULL,
  remaining bigint NOT NULL,
  expired bigint NOT NULL,
  reversed bigint NOT NULL,
  CONSTRAINT pk_lots PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_lots_member_id FOREIGN KEY (tenant_id, member_id)
    REFERENCES membership.loyalty_members (tenant_id, id),
  CONSTRAINT fk_lots_earning_id FOREIGN KEY (tenant_id, earning_id)
    REFERENCES membership.earnings (tenant_id, id),
  CONSTRAINT ck_lots_points CHECK (points > 0 AND remaining >= 0 AND expired >= 0 AND reversed >= 0
    AND remaining + expired + reversed <= points)
)"""
    )
    protect("membership.lots")
    op.execute("CREATE INDEX ix_lots_open ON membership.lots (tenant_id, member_id) WHERE remaining > 0")
    op.execute(
        "CREATE INDEX ix_lots_matures_on ON membership.lots (tenant_id, matures_on, member_id)"
        " WHERE remaining > 0 AND matures_on IS NOT NULL"
    )
    op.execute(
        "CREATE INDEX ix_lots_expires_on ON membership.lots (tenant_id, expires_on, member_id)"
        " WHERE remaining > 0 AND expires_on IS NOT NULL"
    )
    op.execute(
        "CREATE INDEX ix_lots_earning_id ON membership.lots (tenant_id, earning_id) WHERE earning_id IS NOT NULL"
    )


def _burns() -> None:
    op.execute(
        """
CREATE TABLE membership.burns (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  member_id uuid NOT NULL,
  order_id uuid,
  status text NOT NULL,
  points bigint NOT NULL,
  restored bigint NOT NULL,
  amount bigint NOT NULL,
  currency text NOT NULL,
  note text,
  made_by uuid,
  created_at timestamptz NOT NULL,
  settled_at timestamptz,
  CONSTRAINT pk_burns PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_burns_member_id FOREIGN KEY (tenant_id, member_id)
    REFERENCES membership.loyalty_members (tenant_id, id),
  CONSTRAINT ck_burns_status CHECK (status IN ('reserved', 'committed', 'released')),
  CONSTRAINT ck_burns_points CHECK (points > 0 AND restored BETWEEN 0 AND points)
)"""
    )
    protect("membership.burns")
    op.execute("CREATE INDEX ix_burns_member_id ON membership.burns (tenant_id, member_id, id)")
    op.execute(
        "CREATE INDEX ix_burns_order_id ON membership.burns (tenant_id, order_id, member_id)"
        " WHERE order_id IS NOT NULL"
    )
    op.execute(
        """
CREATE TABLE membership.burn_takes (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  burn_id uuid NOT NULL,
  lot_id uuid NOT NULL,
  position bigint NOT NULL,
  points bigint NOT NULL,
  restored bigint NOT NULL,
  CONSTRAINT pk_burn_takes PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_burn_takes_position UNIQUE (tenant_id, burn_id, position),
  CONSTRAINT fk_burn_takes_burn_id FOREIGN KEY (tenant_id, burn_id) REFERENCES membership.burns (tenant_id, id),
  CONSTRAINT fk_burn_takes_lot_id FOREIGN KEY (tenant_id, lot_id) REFERENCES membership.lots (tenant_id, id),
  CONSTRAINT ck_burn_takes_points CHECK (points > 0 AND restored BETWEEN 0 AND points)
)"""
    )
    protect("membership.burn_takes")
    op.execute(
        """
CREATE TABLE membership.adjustments (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  member_id uuid NOT NULL,
  points bigint NOT NULL,
  qualifying_points bigint NOT NULL,
  reason text NOT NULL,
  status text NOT NULL,
  requested_by uuid,
  created_at timestamptz NOT NULL,
  decided_at timestamptz,
  CONSTRAINT pk_adjustments PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_adjustments_member_id FOREIGN KEY (tenant_id, member_id)
    REFERENCES membership.loyalty_members (tenant_id, id),
  CONSTRAINT ck_adjustments_status CHECK (status IN ('pending', 'applied', 'refused', 'recalled')),
  CONSTRAINT ck_adjustments_decided_at CHECK ((status = 'pending') = (decided_at IS NULL)),
  CONSTRAINT ck_adjustments_points CHECK (points <> 0 OR qualifying_points <> 0)
)"""
    )
    protect("membership.adjustments")
    op.execute("CREATE INDEX ix_adjustments_member_id ON membership.adjustments (tenant_id, member_id, id)")
    op.execute(
        "CREATE UNIQUE INDEX uq_adjustments_pending ON membership.adjustments (tenant_id, member_id)"
        " WHERE status = 'pending'"
    )


def _ledger() -> None:
    op.execute(
        """
CREATE TABLE membership.ledger_transactions (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  programme_id uuid NOT NULL,
  kind text NOT NULL,
  source_key text NOT NULL,
  order_id uuid,
  note text,
  made_by uuid,
  at timestamptz NOT NULL,
  CONSTRAINT pk_ledger_transactions PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_ledger_transactions_source_key UNIQUE (tenant_id, source_key, kind),
  CONSTRAINT fk_ledger_transactions_programme_id FOREIGN KEY (tenant_id, programme_id)
    REFERENCES membership.programmes (tenant_id, id),
  CONSTRAINT ck_ledger_transactions_kind CHECK (kind IN ('earn', 'mature', 'expire', 'reserve', 'release', 'commit',
    'burn', 'return', 'cancel', 'transfer', 'adjust'))
)"""
    )
    protect("membership.ledger_transactions", append_only=True)
    op.execute(
        """
CREATE TABLE membership.ledger_entries (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  transaction_id uuid NOT NULL,
  member_id uuid,
  account text NOT NULL,
  currency text NOT NULL,
  points bigint NOT NULL,
  CONSTRAINT pk_ledger_entries PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_ledger_entries_transaction_id FOREIGN KEY (tenant_id, transaction_id)
    REFERENCES membership.ledger_transactions (tenant_id, id),
  CONSTRAINT fk_ledger_entries_member_id FOREIGN KEY (tenant_id, member_id)
    REFERENCES membership.loyalty_members (tenant_id, id),
  CONSTRAINT ck_ledger_entries_account CHECK (
    CASE WHEN member_id IS NULL THEN account IN ('issued', 'redeemed', 'expired', 'adjusted')
    ELSE account IN ('available', 'pending', 'reserved', 'debt', 'qualifying') END),
  CONSTRAINT ck_ledger_entries_currency CHECK (currency IN ('spendable', 'qualifying')),
  CONSTRAINT ck_ledger_entries_points CHECK (points <> 0)
)"""
    )
    protect("membership.ledger_entries", append_only=True)
    op.execute(
        "CREATE INDEX ix_ledger_entries_transaction_id ON membership.ledger_entries (tenant_id, transaction_id)"
    )
    op.execute(
        "CREATE INDEX ix_ledger_entries_member_id ON membership.ledger_entries"
        " (tenant_id, member_id, transaction_id) WHERE member_id IS NOT NULL"
    )


def _guards() -> None:
    """The ledger is written once, and every transaction's entries come in one statement and sum to zero."""
    op.execute(
        """
CREATE FUNCTION membership.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the ledger of points is only added to' USING ERRCODE = 'restrict_violation';
END $$"""
    )
    for table in ("ledger_transactions", "ledger_entries"):
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON membership.{table}"
            " FOR EACH ROW EXECUTE FUNCTION membership.refuse_change()"
        )
    op.execute(
        """
CREATE FUNCTION membership.require_balance() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM added GROUP BY tenant_id, transaction_id, currency HAVING sum(points) <> 0) THEN
    RAISE EXCEPTION 'the entries of a transaction of points sum to zero' USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$"""
    )
    op.execute(
        "CREATE TRIGGER balanced AFTER INSERT ON membership.ledger_entries REFERENCING NEW TABLE AS added"
        " FOR EACH STATEMENT EXECUTE FUNCTION membership.require_balance()"
    )
