"""Fields of a tenant's own, their index, and saved views.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

from alembic import op

from migrations.support import protect, read_view

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TYPES = (
    "'text', 'long_text', 'integer', 'decimal', 'money', 'date', 'datetime', 'boolean', 'select', 'multi_select',"
    " 'url', 'email', 'phone', 'member', 'record'"
)
_VALUE_COLUMNS = ("text_value", "integer_value", "decimal_value", "date_value", "moment_value")


def upgrade() -> None:
    """Create kernel.custom_fields, kernel.custom_values and kernel.saved_views."""
    _definitions()
    _values()
    _views()
    # Numbers that may have gaps are taken outside the caller's transaction, on a control connection.
    op.execute("CREATE POLICY control ON kernel.numbers TO rapport_control USING (true) WITH CHECK (true)")
    op.execute("GRANT SELECT, INSERT, UPDATE ON kernel.numbers TO rapport_control")


def _definitions() -> None:
    op.execute(
        f"""
CREATE TABLE kernel.custom_fields (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  object text NOT NULL,
  key text NOT NULL,
  type text NOT NULL,
  labels jsonb NOT NULL,
  help jsonb NOT NULL DEFAULT '{{}}',
  required boolean NOT NULL DEFAULT false,
  is_unique boolean NOT NULL DEFAULT false,
  is_indexed boolean NOT NULL DEFAULT false,
  index_state text NOT NULL DEFAULT 'none',
  conflicts bigint NOT NULL DEFAULT 0,
  default_value jsonb,
  rule jsonb NOT NULL DEFAULT '{{}}',
  options jsonb NOT NULL DEFAULT '[]',
  reference text,
  position bigint NOT NULL DEFAULT 0,
  archived_at timestamptz,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT pk_custom_fields PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_custom_fields_key UNIQUE (tenant_id, object, key),
  CONSTRAINT ck_custom_fields_type CHECK (type IN ({_TYPES})),
  CONSTRAINT ck_custom_fields_key CHECK (key ~ '^[a-z][a-z0-9_]{{0,39}}$'),
  CONSTRAINT ck_custom_fields_index_state CHECK (index_state IN ('none', 'building', 'ready'))
)"""
    )
    protect("kernel.custom_fields")


def _values() -> None:
    op.execute(
        """
CREATE TABLE kernel.custom_values (
  tenant_id uuid NOT NULL,
  field_id uuid NOT NULL,
  record_id uuid NOT NULL,
  text_value text,
  integer_value bigint,
  decimal_value numeric,
  date_value date,
  moment_value timestamptz,
  unique_key text,
  CONSTRAINT pk_custom_values PRIMARY KEY (tenant_id, field_id, record_id),
  CONSTRAINT fk_custom_values_field_id FOREIGN KEY (tenant_id, field_id)
    REFERENCES kernel.custom_fields (tenant_id, id)
)"""
    )
    op.execute(
        "CREATE UNIQUE INDEX uq_custom_values_unique_key ON kernel.custom_values"
        " (tenant_id, field_id, unique_key) WHERE unique_key IS NOT NULL"
    )
    op.execute("CREATE INDEX ix_custom_values_record_id ON kernel.custom_values (tenant_id, record_id)")
    for column in _VALUE_COLUMNS:
        op.execute(
            f"CREATE INDEX ix_custom_values_{column} ON kernel.custom_values"
            f" (tenant_id, field_id, {column}, record_id) WHERE {column} IS NOT NULL"
        )
    protect("kernel.custom_values")
    read_view("kernel.custom_values")


def _views() -> None:
    op.execute(
        """
CREATE TABLE kernel.saved_views (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  object text NOT NULL,
  name text NOT NULL,
  owner_id uuid NOT NULL,
  shared_with text NOT NULL DEFAULT 'nobody',
  team_id uuid,
  filter jsonb,
  query text,
  sort text[] NOT NULL DEFAULT '{}',
  fields text[] NOT NULL DEFAULT '{}',
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT pk_saved_views PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_saved_views_name UNIQUE (tenant_id, object, owner_id, name),
  CONSTRAINT ck_saved_views_shared_with CHECK (shared_with IN ('nobody', 'team', 'everyone')),
  CONSTRAINT ck_saved_views_team_id CHECK ((shared_with = 'team') = (team_id IS NOT NULL))
)"""
    )
    protect("kernel.saved_views")
