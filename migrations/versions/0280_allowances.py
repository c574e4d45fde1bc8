"""Allowances: what each company's plan lets it use, and what it keeps at this moment.

Revision ID: 0280
Revises: 0277
"""

from __future__ import annotations

from alembic import op

from migrations.support import protect

revision = "0280"
down_revision = "0277"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create `kernel.allowances` and `kernel.usage_totals`, and let both kept sums follow their rows."""
    _allowances()
    _kept()
    _warnings()
    # Whoever works out allowances reads the subscriptions of all companies.
    op.execute("GRANT SELECT ON tenants.subscription_changes TO rapport_control")
    op.execute(
        "CREATE POLICY allowances ON tenants.subscription_changes FOR SELECT TO rapport_control USING (true)"
    )


def _allowances() -> None:
    op.execute(
        """
CREATE TABLE kernel.allowances (
  tenant_id uuid NOT NULL,
  source text NOT NULL,
  plan text NOT NULL,
  weight bigint NOT NULL,
  requests_per_minute bigint,
  limits jsonb NOT NULL,
  missing jsonb NOT NULL,
  near_records boolean NOT NULL,
  period_start timestamptz NOT NULL,
  period_end timestamptz NOT NULL,
  CONSTRAINT pk_allowances PRIMARY KEY (tenant_id),
  CONSTRAINT ck_allowances_weight CHECK (weight BETWEEN 1 AND 100),
  CONSTRAINT ck_allowances_period_end CHECK (period_end > period_start)
)"""
    )
    protect("kernel.allowances", control="SELECT, INSERT, UPDATE")


def _kept() -> None:
    op.execute(
        """
CREATE TABLE kernel.usage_totals (
  tenant_id uuid NOT NULL,
  metric text NOT NULL,
  total bigint NOT NULL,
  CONSTRAINT pk_usage_totals PRIMARY KEY (tenant_id, metric)
)"""
    )
    protect("kernel.usage_totals", control="SELECT, INSERT, UPDATE")
    # Triggers, so that no way of making or deleting a record can forget it; rows of their own, so that nobody waits.
    op.execute(
        """
CREATE FUNCTION kernel.records_made() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO kernel.usage_records (tenant_id, id, at, metric, quantity)
  SELECT n.tenant_id, gen_random_uuid(), now(), 'records.kept', count(*) FROM made n WHERE n.deleted_at IS NULL
  GROUP BY n.tenant_id;
  RETURN NULL;
END $$"""
    )
    op.execute(
        """
CREATE FUNCTION kernel.record_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO kernel.usage_records (tenant_id, id, at, metric, quantity)
  VALUES (OLD.tenant_id, gen_random_uuid(), now(), 'records.kept',
    CASE WHEN TG_OP = 'UPDATE' AND OLD.deleted_at IS NOT NULL THEN 1 ELSE -1 END);
  RETURN NULL;
END $$"""
    )
    op.execute(
        """
CREATE FUNCTION kernel.count_records(counted regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  -- What has a read view and is never deleted is no record type.
  IF NOT EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = counted AND attname = 'deleted_at') THEN
    RETURN;
  END IF;
  EXECUTE format('CREATE TRIGGER records_made AFTER INSERT ON %s REFERENCING NEW TABLE AS made'
    ' FOR EACH STATEMENT EXECUTE FUNCTION kernel.records_made()', counted);
  EXECUTE format('CREATE TRIGGER record_deleted AFTER UPDATE OF deleted_at ON %s FOR EACH ROW'
    ' WHEN ((OLD.deleted_at IS NULL) <> (NEW.deleted_at IS NULL)) EXECUTE FUNCTION kernel.record_deleted()', counted);
  EXECUTE format('CREATE TRIGGER record_gone AFTER DELETE ON %s FOR EACH ROW'
    ' WHEN (OLD.deleted_at IS NULL) EXECUTE FUNCTION kernel.record_deleted()', counted);
END $$"""
    )
    op.execute("REVOKE ALL ON FUNCTION kernel.count_records(regclass) FROM PUBLIC")
    op.execute(
        """
DO $$ DECLARE counted regclass; BEGIN
  FOR counted IN SELECT polrelid::regclass FROM pg_policy WHERE polname = 'reader' ORDER BY 1 LOOP
    PERFORM kernel.count_records(counted);
  END LOOP;
END $$"""
    )
    op.execute(
        """
CREATE FUNCTION kernel.follow_storage() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO kernel.usage_records (tenant_id, id, at, metric, quantity)
    VALUES (NEW.tenant_id, gen_random_uuid(), now(), 'storage.kept', NEW.size);
  ELSE
    INSERT INTO kernel.usage_records (tenant_id, id, at, metric, quantity)
    VALUES (OLD.tenant_id, gen_random_uuid(), now(), 'storage.kept', -OLD.size);
  END IF;
  RETURN NULL;
END $$"""
    )
    for table in ("files", "documents"):
        op.execute(
            f"CREATE TRIGGER follow_storage AFTER INSERT OR DELETE ON kernel.{table}"
            " FOR EACH ROW EXECUTE FUNCTION kernel.follow_storage()"
        )


def _warnings() -> None:
    op.execute(
        """
CREATE TABLE tenants.usage_warnings (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  limit_name text NOT NULL,
  threshold bigint NOT NULL,
  period_start timestamptz NOT NULL,
  used numeric NOT NULL,
  allowed bigint NOT NULL,
  noticed_at timestamptz NOT NULL,
  told_at timestamptz,
  CONSTRAINT pk_usage_warnings PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_usage_warnings_limit_name UNIQUE (tenant_id, limit_name, threshold, period_start),
  CONSTRAINT ck_usage_warnings_threshold CHECK (threshold IN (80, 100))
)"""
    )
    op.execute(
        "CREATE INDEX ix_usage_warnings_told_at ON tenants.usage_warnings (tenant_id) WHERE told_at IS NULL"
    )
    protect("tenants.usage_warnings", control="SELECT, INSERT")
