"""Service contracts and what is drawn on them, maintenance plans, and work orders.

Revision ID: 0231
Revises: 0230
"""

from __future__ import annotations

from alembic import op

from migrations.support import protect, record_columns, record_indexes

revision = "0231"
down_revision = "0230"
branch_labels = None
depends_on = None

LIVE = "WHERE deleted_at IS NULL"


def upgrade() -> None:
    """Create the tables of service in schema `after_sales`."""
    _contracts()
    _plans()
    _work_orders()
    _parts()


def _contracts() -> None:
    op.execute(
        f"""
CREATE TABLE after_sales.service_contracts (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  number text NOT NULL,
  name text NOT NULL,
  account_id uuid NOT NULL,
  contract_id uuid,
  asset_id uuid,
  response_class text,
  starts_on date NOT NULL,
  ends_on date NOT NULL,
  minutes_included bigint NOT NULL,
  minutes_used bigint NOT NULL,
  visits_included bigint NOT NULL,
  visits_used bigint NOT NULL,
  cancelled_on date,
{record_columns()},
  CONSTRAINT pk_service_contracts PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_service_contracts_number UNIQUE (tenant_id, number),
  CONSTRAINT fk_service_contracts_asset_id FOREIGN KEY (tenant_id, asset_id)
    REFERENCES after_sales.assets (tenant_id, id),
  CONSTRAINT ck_service_contracts_ends_on CHECK (ends_on >= starts_on),
  CONSTRAINT ck_service_contracts_minutes_used CHECK (minutes_used BETWEEN 0 AND minutes_included),
  CONSTRAINT ck_service_contracts_visits_used CHECK (visits_used BETWEEN 0 AND visits_included)
)"""
    )
    protect("after_sales.service_contracts", record=True)
    record_indexes("after_sales.service_contracts", ("number", "name", "starts_on", "ends_on"))
    for column in ("account_id", "asset_id"):
        op.execute(
            f"CREATE INDEX ix_service_contracts_{column}"
            f" ON after_sales.service_contracts (tenant_id, {column}, ends_on, id) {LIVE}"
        )


def _plans() -> None:
    op.execute(
        f"""
CREATE TABLE after_sales.maintenance_plans (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  name text NOT NULL,
  asset_id uuid NOT NULL,
  service_contract_id uuid,
  is_active boolean NOT NULL,
  every_months bigint,
  starts_on date,
  lead_days bigint NOT NULL,
  next_due_on date,
  metric text,
  every_reading numeric,
  next_reading numeric,
  instructions text,
{record_columns()},
  CONSTRAINT pk_maintenance_plans PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_maintenance_plans_asset_id FOREIGN KEY (tenant_id, asset_id)
    REFERENCES after_sales.assets (tenant_id, id),
  CONSTRAINT fk_maintenance_plans_service_contract_id FOREIGN KEY (tenant_id, service_contract_id)
    REFERENCES after_sales.service_contracts (tenant_id, id),
  CONSTRAINT ck_maintenance_plans_months CHECK (every_months BETWEEN 1 AND 1200),
  CONSTRAINT ck_maintenance_plans_lead_days CHECK (lead_days BETWEEN 0 AND 365),
  CONSTRAINT ck_maintenance_plans_reading CHECK (every_reading > 0),
  CONSTRAINT ck_maintenance_plans_by_date CHECK (
    (every_months IS NULL) = (starts_on IS NULL) AND (every_months IS NULL) = (next_due_on IS NULL)),
  CONSTRAINT ck_maintenance_plans_by_meter CHECK (
    (every_reading IS NULL) = (metric IS NULL) AND (every_reading IS NULL) = (next_reading IS NULL)),
  CONSTRAINT ck_maintenance_plans_rhythm CHECK (every_months IS NOT NULL OR every_reading IS NOT NULL)
)"""
    )
    protect("after_sales.maintenance_plans", record=True)
    record_indexes("after_sales.maintenance_plans", ("name", "next_due_on"))
    op.execute(
        "CREATE INDEX ix_maintenance_plans_asset_id"
        f" ON after_sales.maintenance_plans (tenant_id, asset_id, id) {LIVE}"
    )
    op.execute(
        "CREATE INDEX ix_maintenance_plans_due ON after_sales.maintenance_plans"
        f" (tenant_id, (next_due_on - lead_days::integer), id) {LIVE} AND is_active"
    )


def _work_orders() -> None:
    op.execute(
        f"""
CREATE TABLE after_sales.work_orders (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  number text NOT NULL,
  subject text NOT NULL,
  description text,
  status text NOT NULL,
  account_id uuid,
  contact_id uuid,
  asset_id uuid,
  case_id uuid,
  service_contract_id uuid,
  maintenance_plan_id uuid,
  due_on date,
  planned_on date,
  due_reading numeric,
  window_starts_at timestamptz,
  window_ends_at timestamptz,
  started_at timestamptz,
  done_at timestamptz,
  report text,
  minutes_worked bigint NOT NULL,
  signed_by text,
  signed_at timestamptz,
  signature_file_id uuid,
  cancel_reason text,
{record_columns()},
  CONSTRAINT pk_work_orders PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_work_orders_number UNIQUE (tenant_id, number),
  CONSTRAINT fk_work_orders_asset_id FOREIGN KEY (tenant_id, asset_id) REFERENCES after_sales.assets (tenant_id, id),
  CONSTRAINT fk_work_orders_case_id FOREIGN KEY (tenant_id, case_id) REFERENCES after_sales.cases (tenant_id, id),
  CONSTRAINT fk_work_orders_service_contract_id FOREIGN KEY (tenant_id, service_contract_id)
    REFERENCES after_sales.service_contracts (tenant_id, id),
  CONSTRAINT fk_work_orders_maintenance_plan_id FOREIGN KEY (tenant_id, maintenance_plan_id)
    REFERENCES after_sales.maintenance_plans (tenant_id, id),
  CONSTRAINT ck_work_orders_status CHECK (
    status IN ('draft', 'scheduled', 'in_progress', 'done', 'signed_off', 'cancelled')),
  CONSTRAINT ck_work_orders_window CHECK (window_ends_at > window_starts_at),
  CONSTRAINT ck_work_orders_window_whole CHECK ((window_starts_at IS NULL) = (window_ends_at IS NULL)),
  CONSTRAINT ck_work_orders_scheduled CHECK (status <> 'scheduled' OR window_starts_at IS NOT NULL),
  CONSTRAINT ck_work_orders_signed CHECK (
    (status = 'signed_off') = (signed_at IS NOT NULL) AND (signed_at IS NULL) = (signed_by IS NULL)),
  CONSTRAINT ck_work_orders_minutes_worked CHECK (minutes_worked >= 0)
)"""
    )
    protect("after_sales.work_orders", record=True)
    record_indexes("after_sales.work_orders", ("number", "subject", "status", "due_on", "window_starts_at"))
    for column in ("account_id", "contact_id", "asset_id", "case_id", "service_contract_id"):
        op.execute(
            f"CREATE INDEX ix_work_orders_{column} ON after_sales.work_orders (tenant_id, {column}, id)"
            f" {LIVE} AND {column} IS NOT NULL"
        )
    for column in ("planned_on", "due_reading"):
        op.execute(
            f"CREATE UNIQUE INDEX uq_work_orders_plan_{column}"
            f" ON after_sales.work_orders (tenant_id, maintenance_plan_id, {column})"
            f" WHERE maintenance_plan_id IS NOT NULL AND {column} IS NOT NULL"
        )


def _parts() -> None:
    op.execute(
        """
CREATE TABLE after_sales.work_order_parts (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  work_order_id uuid NOT NULL,
  product_id uuid,
  description text NOT NULL,
  quantity numeric NOT NULL,
  serial_numbers jsonb NOT NULL,
  created_at timestamptz NOT NULL,
  created_by uuid,
  CONSTRAINT pk_work_order_parts PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_work_order_parts_work_order_id FOREIGN KEY (tenant_id, work_order_id)
    REFERENCES after_sales.work_orders (tenant_id, id) ON DELETE CASCADE,
  CONSTRAINT ck_work_order_parts_quantity CHECK (quantity > 0)
)"""
    )
    protect("after_sales.work_order_parts")
    op.execute(
        """
CREATE TABLE after_sales.work_order_times (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  work_order_id uuid NOT NULL,
  member_id uuid NOT NULL,
  started_at timestamptz NOT NULL,
  minutes bigint NOT NULL,
  note text,
  draw_id uuid,
  created_at timestamptz NOT NULL,
  created_by uuid,
  CONSTRAINT pk_work_order_times PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_work_order_times_work_order_id FOREIGN KEY (tenant_id, work_order_id)
    REFERENCES after_sales.work_orders (tenant_id, id) ON DELETE CASCADE,
  CONSTRAINT ck_work_order_times_minutes CHECK (minutes BETWEEN 1 AND 10080)
)"""
    )
    protect("after_sales.work_order_times")
    for name in ("parts", "times"):
        op.execute(
            f"CREATE INDEX ix_work_order_{name}_work_order_id"
            f" ON after_sales.work_order_{name} (tenant_id, work_order_id, id)"
        )
    op.execute(
        "CREATE INDEX ix_work_order_parts_product_id ON after_sales.work_order_parts (tenant_id, product_id)"
        " WHERE product_id IS NOT NULL"
    )
    op.execute(
        """
CREATE TABLE after_sales.entitlement_draws (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  service_contract_id uuid NOT NULL,
  kind text NOT NULL,
  quantity bigint NOT NULL,
  work_order_id uuid,
  note text,
  drawn_at timestamptz NOT NULL,
  drawn_by uuid,
  CONSTRAINT pk_entitlement_draws PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_entitlement_draws_service_contract_id FOREIGN KEY (tenant_id, service_contract_id)
    REFERENCES after_sales.service_contracts (tenant_id, id) ON DELETE CASCADE,
  CONSTRAINT fk_entitlement_draws_work_order_id FOREIGN KEY (tenant_id, work_order_id)
    REFERENCES after_sales.work_orders (tenant_id, id),
  CONSTRAINT ck_entitlement_draws_kind CHECK (kind IN ('minutes', 'visits')),
  CONSTRAINT ck_entitlement_draws_quantity CHECK (quantity > 0)
)"""
    )
    protect("after_sales.entitlement_draws", append_only=True)
    for column in ("service_contract_id", "work_order_id"):
        op.execute(
            f"CREATE INDEX ix_entitlement_draws_{column} ON after_sales.entitlement_draws (tenant_id, {column}, id)"
        )
