"""Public pools: records that nobody owns, who may claim them, and every way in and out.

Revision ID: 0061
Revises: 0060
"""

from __future__ import annotations

from alembic import op

from migrations.support import protect, refresh_read_view

revision = "0061"
down_revision = "0060"
branch_labels = None
depends_on = None

RECORDS = ("customers.accounts", "leads.leads")


def upgrade() -> None:
    """Add pools to schema `customers`, and to accounts and leads who has had them since when."""
    _pools()
    _members()
    _counters()
    _movements()
    for table in RECORDS:
        _holding(table)


def _pools() -> None:
    op.execute(
        """
CREATE TABLE customers.pools (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  object text NOT NULL,
  name_en text NOT NULL,
  name_zh text,
  is_enabled boolean NOT NULL,
  open_to_all boolean NOT NULL,
  holding_limit bigint,
  holding_counts_won boolean NOT NULL,
  claim_limit_per_request bigint,
  claim_limit_per_day bigint,
  former_owner_ban_days bigint,
  embargo_hours bigint,
  view_limit_per_day bigint,
  mask_contacts boolean NOT NULL,
  recycle_enabled boolean NOT NULL,
  recycle_rules jsonb NOT NULL DEFAULT '[]',
  recycle_exemptions text[] NOT NULL DEFAULT '{}',
  recycle_exempt_tags text[] NOT NULL DEFAULT '{}',
  reminder_days bigint,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  deleted_at timestamptz,
  CONSTRAINT pk_pools PRIMARY KEY (tenant_id, id),
  CONSTRAINT ck_pools_holding_limit CHECK (holding_limit > 0),
  CONSTRAINT ck_pools_claim_limit_per_request CHECK (claim_limit_per_request > 0),
  CONSTRAINT ck_pools_claim_limit_per_day CHECK (claim_limit_per_day > 0),
  CONSTRAINT ck_pools_former_owner_ban_days CHECK (former_owner_ban_days > 0),
  CONSTRAINT ck_pools_embargo_hours CHECK (embargo_hours > 0),
  CONSTRAINT ck_pools_view_limit_per_day CHECK (view_limit_per_day > 0),
  CONSTRAINT ck_pools_reminder_days CHECK (reminder_days > 0)
)"""
    )
    protect("customers.pools", control="SELECT")


def _members() -> None:
    op.execute(
        """
CREATE TABLE customers.pool_members (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  pool_id uuid NOT NULL,
  is_admin boolean NOT NULL,
  member_id uuid,
  team_id uuid,
  CONSTRAINT pk_pool_members PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_pool_members_member_id UNIQUE (tenant_id, pool_id, member_id, is_admin),
  CONSTRAINT uq_pool_members_team_id UNIQUE (tenant_id, pool_id, team_id, is_admin),
  CONSTRAINT fk_pool_members_pool_id FOREIGN KEY (tenant_id, pool_id)
    REFERENCES customers.pools (tenant_id, id) ON DELETE CASCADE,
  CONSTRAINT ck_pool_members_one CHECK (num_nonnulls(member_id, team_id) = 1)
)"""
    )
    protect("customers.pool_members", control="SELECT")


def _counters() -> None:
    op.execute(
        """
CREATE TABLE customers.pool_uses (
  tenant_id uuid NOT NULL,
  pool_id uuid NOT NULL,
  member_id uuid NOT NULL,
  day date NOT NULL,
  claims bigint NOT NULL,
  views bigint NOT NULL,
  CONSTRAINT pk_pool_uses PRIMARY KEY (tenant_id, pool_id, member_id, day),
  CONSTRAINT fk_pool_uses_pool_id FOREIGN KEY (tenant_id, pool_id)
    REFERENCES customers.pools (tenant_id, id) ON DELETE CASCADE
)"""
    )
    protect("customers.pool_uses")
    op.execute(
        """
CREATE TABLE customers.pool_views (
  tenant_id uuid NOT NULL,
  member_id uuid NOT NULL,
  day date NOT NULL,
  record_id uuid NOT NULL,
  CONSTRAINT pk_pool_views PRIMARY KEY (tenant_id, member_id, day, record_id)
)"""
    )
    protect("customers.pool_views")


def _movements() -> None:
    op.execute(
        """
CREATE TABLE customers.pool_movements (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  pool_id uuid NOT NULL,
  object text NOT NULL,
  record_id uuid NOT NULL,
  kind text NOT NULL,
  at timestamptz NOT NULL,
  from_owner_id uuid,
  held_since timestamptz,
  to_owner_id uuid,
  reason text,
  rule text,
  actor_kind text NOT NULL,
  actor_id uuid NOT NULL,
  actor_name text NOT NULL,
  CONSTRAINT pk_pool_movements PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_pool_movements_pool_id FOREIGN KEY (tenant_id, pool_id)
    REFERENCES customers.pools (tenant_id, id),
  CONSTRAINT ck_pool_movements_kind
    CHECK (kind IN ('released', 'recycled', 'claimed', 'distributed', 'assigned'))
)"""
    )
    op.execute("CREATE INDEX ix_pool_movements_pool_id ON customers.pool_movements (tenant_id, pool_id, id)")
    op.execute(
        "CREATE INDEX ix_pool_movements_record_id ON customers.pool_movements (tenant_id, object, record_id, id)"
    )
    protect("customers.pool_movements", append_only=True)


def _holding(table: str) -> None:
    name = table.partition(".")[2]
    op.execute(
        f"ALTER TABLE {table}"
        " ADD COLUMN pool_id uuid,"
        " ADD COLUMN pooled_at timestamptz,"
        " ADD COLUMN former_owner_id uuid,"
        " ADD COLUMN received_at timestamptz,"
        " ADD COLUMN last_follow_up_at timestamptz,"
        " ADD COLUMN recycle_reminded_at timestamptz,"
        " ADD COLUMN is_locked boolean NOT NULL DEFAULT false"
    )
    for constraint, rule in (
        ("pool_id", "pool_id IS NULL OR owner_id IS NULL"),
        ("pooled_at", "(pool_id IS NULL) = (pooled_at IS NULL)"),
    ):
        op.execute(f"ALTER TABLE {table} ADD CONSTRAINT ck_{name}_{constraint} CHECK ({rule}) NOT VALID")
    refresh_read_view(table)
