"""What assets report about themselves, and the rules that watch it.

Revision ID: 0232
Revises: 0231
"""

from __future__ import annotations

from alembic import op

from migrations.support import protect, record_columns, record_indexes

revision = "0232"
down_revision = "0231"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables of telemetry in schema `after_sales`."""
    _meters()
    _rules()


def _meters() -> None:
    op.execute(
        """
CREATE TABLE after_sales.meters (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  asset_id uuid NOT NULL,
  metric text NOT NULL,
  last_at timestamptz,
  last_value double precision,
  CONSTRAINT pk_meters PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_meters_metric UNIQUE (tenant_id, asset_id, metric),
  CONSTRAINT fk_meters_asset_id FOREIGN KEY (tenant_id, asset_id) REFERENCES after_sales.assets (tenant_id, id)
)"""
    )
    protect("after_sales.meters", control="SELECT")
    op.execute("CREATE INDEX ix_meters_last_at ON after_sales.meters (tenant_id, metric, last_at)")
    # A reading is its meter, its moment and its value, and nothing else: there are many of them.
    op.execute(
        """
CREATE TABLE after_sales.readings (
  tenant_id uuid NOT NULL,
  meter_id uuid NOT NULL,
  at timestamptz NOT NULL,
  value double precision NOT NULL,
  CONSTRAINT pk_readings PRIMARY KEY (tenant_id, meter_id, at),
  CONSTRAINT fk_readings_meter_id FOREIGN KEY (tenant_id, meter_id)
    REFERENCES after_sales.meters (tenant_id, id) ON DELETE CASCADE
)"""
    )
    protect("after_sales.readings", control="SELECT, DELETE")


def _rules() -> None:
    op.execute(
        f"""
CREATE TABLE after_sales.telemetry_rules (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  name text NOT NULL,
  is_active boolean NOT NULL,
  kind text NOT NULL,
  metric text NOT NULL,
  threshold numeric,
  clear_at numeric,
  for_seconds bigint NOT NULL,
  for_readings bigint NOT NULL,
  product_id uuid,
  asset_id uuid,
  case_priority text NOT NULL,
  case_type text,
{record_columns()},
  CONSTRAINT pk_telemetry_rules PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_telemetry_rules_asset_id FOREIGN KEY (tenant_id, asset_id)
    REFERENCES after_sales.assets (tenant_id, id),
  CONSTRAINT ck_telemetry_rules_kind CHECK (kind IN ('above', 'below', 'absent')),
  CONSTRAINT ck_telemetry_rules_case_priority CHECK (case_priority IN ('low', 'normal', 'high', 'urgent')),
  CONSTRAINT ck_telemetry_rules_threshold CHECK ((kind = 'absent') = (threshold IS NULL)),
  CONSTRAINT ck_telemetry_rules_clear_at CHECK ((kind = 'absent') = (clear_at IS NULL)),
  CONSTRAINT ck_telemetry_rules_for_seconds CHECK (for_seconds BETWEEN 0 AND 31622400),
  CONSTRAINT ck_telemetry_rules_for_readings CHECK (for_readings BETWEEN 1 AND 10000),
  CONSTRAINT ck_telemetry_rules_hysteresis CHECK (
    (kind <> 'above' OR clear_at <= threshold) AND (kind <> 'below' OR clear_at >= threshold))
)"""
    )
    protect("after_sales.telemetry_rules", record=True)
    record_indexes("after_sales.telemetry_rules", ("name",))
    op.execute(
        "CREATE INDEX ix_telemetry_rules_metric ON after_sales.telemetry_rules (tenant_id, metric)"
        " WHERE deleted_at IS NULL AND is_active"
    )
    op.execute(
        """
CREATE TABLE after_sales.telemetry_states (
  tenant_id uuid NOT NULL,
  rule_id uuid NOT NULL,
  meter_id uuid NOT NULL,
  since timestamptz,
  readings bigint NOT NULL,
  raised boolean NOT NULL,
  case_id uuid,
  CONSTRAINT pk_telemetry_states PRIMARY KEY (tenant_id, rule_id, meter_id),
  CONSTRAINT fk_telemetry_states_rule_id FOREIGN KEY (tenant_id, rule_id)
    REFERENCES after_sales.telemetry_rules (tenant_id, id) ON DELETE CASCADE,
  CONSTRAINT fk_telemetry_states_meter_id FOREIGN KEY (tenant_id, meter_id)
    REFERENCES after_sales.meters (tenant_id, id) ON DELETE CASCADE,
  CONSTRAINT fk_telemetry_states_case_id FOREIGN KEY (tenant_id, case_id)
    REFERENCES after_sales.cases (tenant_id, id)
)"""
    )
    protect("after_sales.telemetry_states")
    op.execute(
        "CREATE INDEX ix_telemetry_states_meter_id ON after_sales.telemetry_states (tenant_id, meter_id)"
    )
