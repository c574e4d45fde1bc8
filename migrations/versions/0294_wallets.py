"""Stored value: wallets of members, and their ledger of money.

Revision ID: 0294
Revises: 0292
"""

from __future__ import annotations

from alembic import op

from migrations.support import protect

revision = "0294"
down_revision = "0292"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create wallets; let payments be made with stored value, and money be adjusted as points are."""
    _wallets()
    _ledger()
    _guards()
    op.execute("ALTER TABLE orders.payments DROP CONSTRAINT ck_payments_method")
    op.execute(
        "ALTER TABLE orders.payments ADD CONSTRAINT ck_payments_method CHECK (method IN ('cash', 'bank_transfer',"
        " 'card', 'alipay', 'wechat_pay', 'cheque', 'direct_debit', 'stored_value', 'other')) NOT VALID"
    )
    op.execute("ALTER TABLE membership.adjustments ADD COLUMN amount bigint")
    op.execute("ALTER TABLE membership.adjustments ADD COLUMN currency text")
    op.execute("ALTER TABLE membership.adjustments DROP CONSTRAINT ck_adjustments_points")
    op.execute(
        "ALTER TABLE membership.adjustments ADD CONSTRAINT ck_adjustments_points CHECK ("
        "CASE WHEN currency IS NULL THEN amount IS NULL AND (points <> 0 OR qualifying_points <> 0)"
        " ELSE amount IS NOT NULL AND amount <> 0 AND points = 0 AND qualifying_points = 0 END) NOT VALID"
    )


def _wallets() -> None:
    op.execute(
        """
CREATE TABLE membership.wallets (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  member_id uuid NOT NULL,
  currency text NOT NULL,
  status text NOT NULL,
  reason text,
  principal bigint NOT NULL,
  bonus bigint NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT pk_wallets PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_wallets_currency UNIQUE (tenant_id, member_id, currency),
  CONSTRAINT fk_wallets_member_id FOREIGN KEY (tenant_id, member_id)
    REFERENCES membership.loyalty_members (tenant_id, id),
  CONSTRAINT ck_wallets_status CHECK (status IN ('active', 'frozen')),
  CONSTRAINT ck_wallets_reason CHECK ((status = 'frozen') = (reason IS NOT NULL)),
  CONSTRAINT ck_wallets_principal CHECK (principal >= 0),
  CONSTRAINT ck_wallets_bonus CHECK (bonus >= 0)
)"""
    )
    protect("membership.wallets")
    op.execute(
        """
CREATE TABLE membership.wallet_lots (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  wallet_id uuid NOT NULL,
  expires_on date,
  amount bigint NOT NULL,
  remaining bigint NOT NULL,
  expired bigint NOT NULL,
  CONSTRAINT pk_wallet_lots PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_wallet_lots_wallet_id FOREIGN KEY (tenant_id, wallet_id)
    REFERENCES membership.wallets (tenant_id, id),
  CONSTRAINT ck_wallet_lots_amount CHECK (amount > 0 AND remaining >= 0 AND expired >= 0
    AND remaining + expired <= amount)
)"""
    )
    protect("membership.wallet_lots")
    op.execute(
        "CREATE INDEX ix_wallet_lots_open ON membership.wallet_lots (tenant_id, wallet_id) WHERE remaining > 0"
    )
    op.execute(
        "CREATE INDEX ix_wallet_lots_expires_on ON membership.wallet_lots (tenant_id, expires_on, wallet_id)"
        " WHERE remaining > 0 AND expires_on IS NOT NULL"
    )


def _ledger() -> None:
    op.execute(
        """
CREATE TABLE membership.wallet_transactions (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  wallet_id uuid NOT NULL,
  kind text NOT NULL,
  amount bigint NOT NULL,
  balance bigint NOT NULL,
  source text,
  reference text,
  order_id uuid,
  invoice_id uuid,
  refunds_id uuid,
  note text,
  made_by uuid,
  at timestamptz NOT NULL,
  CONSTRAINT pk_wallet_transactions PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_wallet_transactions_wallet_id FOREIGN KEY (tenant_id, wallet_id)
    REFERENCES membership.wallets (tenant_id, id),
  CONSTRAINT ck_wallet_transactions_kind CHECK (kind IN
    ('top_up', 'pay', 'refund', 'withdraw', 'adjust', 'benefit', 'expire')),
  CONSTRAINT ck_wallet_transactions_balance CHECK (balance >= 0),
  CONSTRAINT ck_wallet_transactions_reference CHECK ((source IS NULL) = (reference IS NULL))
)"""
    )
    protect("membership.wallet_transactions", append_only=True)
    op.execute(
        "CREATE INDEX ix_wallet_transactions_wallet_id ON membership.wallet_transactions (tenant_id, wallet_id, id)"
    )
    op.execute(
        "CREATE UNIQUE INDEX uq_wallet_transactions_reference ON membership.wallet_transactions"
        " (tenant_id, source, reference) WHERE source IS NOT NULL"
    )
    op.execute(
        """
CREATE TABLE membership.wallet_entries (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  transaction_id uuid NOT NULL,
  wallet_id uuid,
  account text NOT NULL,
  amount bigint NOT NULL,
  CONSTRAINT pk_wallet_entries PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_wallet_entries_transaction_id FOREIGN KEY (tenant_id, transaction_id)
    REFERENCES membership.wallet_transactions (tenant_id, id),
  CONSTRAINT fk_wallet_entries_wallet_id FOREIGN KEY (tenant_id, wallet_id)
    REFERENCES membership.wallets (tenant_id, id),
  CONSTRAINT ck_wallet_entries_account CHECK (
    CASE WHEN wallet_id IS NULL THEN account IN ('cash', 'payments', 'granted', 'expired', 'adjusted')
    ELSE account IN ('principal', 'bonus') END),
  CONSTRAINT ck_wallet_entries_amount CHECK (amount <> 0)
)"""
    )
    protect("membership.wallet_entries", append_only=True)
    op.execute(
        "CREATE INDEX ix_wallet_entries_transaction_id ON membership.wallet_entries (tenant_id, transaction_id)"
    )
    op.execute(
        "CREATE INDEX ix_wallet_entries_wallet_id ON membership.wallet_entries (tenant_id, wallet_id, account)"
        " INCLUDE (amount) WHERE wallet_id IS NOT NULL"
    )
    _payments()


def _payments() -> None:
    op.execute(
        """
CREATE TABLE membership.wallet_payments (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  wallet_id uuid NOT NULL,
  payment_id uuid NOT NULL,
  order_id uuid,
  invoice_id uuid,
  amount bigint NOT NULL,
  refunded bigint NOT NULL,
  CONSTRAINT pk_wallet_payments PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_wallet_payments_id FOREIGN KEY (tenant_id, id)
    REFERENCES membership.wallet_transactions (tenant_id, id),
  CONSTRAINT fk_wallet_payments_wallet_id FOREIGN KEY (tenant_id, wallet_id)
    REFERENCES membership.wallets (tenant_id, id),
  CONSTRAINT ck_wallet_payments_amount CHECK (amount > 0 AND refunded BETWEEN 0 AND amount),
  CONSTRAINT ck_wallet_payments_what CHECK (order_id IS NOT NULL OR invoice_id IS NOT NULL)
)"""
    )
    protect("membership.wallet_payments")
    for column in ("order_id", "invoice_id"):
        op.execute(
            f"CREATE INDEX ix_wallet_payments_{column} ON membership.wallet_payments (tenant_id, {column}, id)"
            f" WHERE {column} IS NOT NULL"
        )
    op.execute(
        """
CREATE TABLE membership.wallet_parts (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  payment_id uuid NOT NULL,
  position bigint NOT NULL,
  lot_id uuid,
  amount bigint NOT NULL,
  restored bigint NOT NULL,
  CONSTRAINT pk_wallet_parts PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_wallet_parts_position UNIQUE (tenant_id, payment_id, position),
  CONSTRAINT fk_wallet_parts_payment_id FOREIGN KEY (tenant_id, payment_id)
    REFERENCES membership.wallet_payments (tenant_id, id),
  CONSTRAINT fk_wallet_parts_lot_id FOREIGN KEY (tenant_id, lot_id)
    REFERENCES membership.wallet_lots (tenant_id, id),
  CONSTRAINT ck_wallet_parts_amount CHECK (amount > 0 AND restored BETWEEN 0 AND amount)
)"""
    )
    protect("membership.wallet_parts")
    op.execute(
        """
CREATE TABLE membership.reward_settings (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  wallet_limit bigint,
  version bigint NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT pk_reward_settings PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_reward_settings_id FOREIGN KEY (tenant_id, id)
    REFERENCES membership.programmes (tenant_id, id) ON DELETE CASCADE,
  CONSTRAINT ck_reward_settings_wallet_limit CHECK (wallet_limit >= 0)
)"""
    )
    protect("membership.reward_settings")


def _guards() -> None:
    """The ledger is written once, and at the commit the entries of each transaction sum to zero."""
    for table in ("wallet_transactions", "wallet_entries"):
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON membership.{table}"
            " FOR EACH ROW EXECUTE FUNCTION membership.refuse_change()"
        )
    op.execute(
        """
CREATE FUNCTION membership.require_wallet_balance() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (SELECT sum(amount) FROM membership.wallet_entries
      WHERE tenant_id = NEW.tenant_id AND transaction_id = NEW.transaction_id) <> 0 THEN
    RAISE EXCEPTION 'the entries of a transaction of money sum to zero' USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$"""
    )
    op.execute(
        "CREATE CONSTRAINT TRIGGER balanced AFTER INSERT ON membership.wallet_entries"
        " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION membership.require_wallet_balance()"
    )
