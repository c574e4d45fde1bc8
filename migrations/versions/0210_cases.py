"""Cases.

Revision ID: 0210
Revises: 0181
"""

from __future__ import annotations

from alembic import op

from migrations.support import create_schema, protect, record_columns, record_indexes

revision = "0210"
down_revision = "0181"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table of cases in schema `after_sales`."""
    create_schema("after_sales")
    op.execute(
        f"""
CREATE TABLE after_sales.cases (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  number text NOT NULL,
  subject text NOT NULL,
  description text,
  type text,
  priority text NOT NULL,
  severity text,
  status text NOT NULL,
  channel text NOT NULL,
  account_id uuid,
  contact_id uuid,
  product_id uuid,
  asset_id uuid,
  order_id uuid,
  order_line_id uuid,
  parent_id uuid,
  queue_id uuid,
  dedupe text,
  warranty jsonb,
  resolution text,
  opened_at timestamptz NOT NULL,
  first_response_at timestamptz,
  resolved_at timestamptz,
  closed_at timestamptz,
  reopened_at timestamptz,
  reopened_count bigint NOT NULL,
  reopenable_until timestamptz,
  escalation_level bigint NOT NULL,
  due_at timestamptz,
  due_target text,
  sla_failed boolean NOT NULL,
{record_columns()},
  CONSTRAINT pk_cases PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_cases_parent_id FOREIGN KEY (tenant_id, parent_id) REFERENCES after_sales.cases (tenant_id, id),
  CONSTRAINT ck_cases_status CHECK (
    status IN ('new', 'open', 'pending_customer', 'pending_internal', 'resolved', 'closed')),
  CONSTRAINT ck_cases_channel CHECK (channel IN ('email', 'web', 'phone', 'api', 'chat', 'device')),
  CONSTRAINT ck_cases_priority CHECK (priority IN ('low', 'normal', 'high', 'urgent')),
  CONSTRAINT ck_cases_severity CHECK (severity IS NULL OR severity IN ('minor', 'major', 'critical')),
  CONSTRAINT ck_cases_due_target CHECK (
    due_target IS NULL OR due_target IN ('first_response', 'next_response', 'resolution')),
  CONSTRAINT ck_cases_resolved CHECK ((status IN ('resolved', 'closed')) = (resolved_at IS NOT NULL)),
  CONSTRAINT ck_cases_closed CHECK ((status = 'closed') = (closed_at IS NOT NULL)),
  CONSTRAINT ck_cases_due CHECK ((due_at IS NULL) = (due_target IS NULL)),
  CONSTRAINT ck_cases_parent CHECK (parent_id IS DISTINCT FROM id)
)"""
    )
    protect("after_sales.cases", record=True)
    record_indexes("after_sales.cases", ("number", "subject", "opened_at", "status", "priority", "due_at"))
    live = "WHERE deleted_at IS NULL"
    op.execute(
        "CREATE UNIQUE INDEX uq_cases_dedupe ON after_sales.cases (tenant_id, dedupe)"
        f" {live} AND dedupe IS NOT NULL AND status NOT IN ('resolved', 'closed')"
    )
    op.execute("CREATE UNIQUE INDEX uq_cases_number ON after_sales.cases (tenant_id, number)")
    for column in ("account_id", "contact_id", "product_id", "asset_id", "order_id", "parent_id"):
        op.execute(
            f"CREATE INDEX ix_cases_{column} ON after_sales.cases (tenant_id, {column}, opened_at, id)"
            f" {live} AND {column} IS NOT NULL"
        )
    op.execute(
        "CREATE INDEX ix_cases_waiting ON after_sales.cases (tenant_id, queue_id, priority, opened_at, id)"
        f" {live} AND queue_id IS NOT NULL AND status NOT IN ('resolved', 'closed')"
    )
    op.execute(
        f"CREATE INDEX ix_cases_resolved_at ON after_sales.cases (tenant_id, resolved_at, id) {live}"
        " AND status = 'resolved'"
    )
