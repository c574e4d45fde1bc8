"""Files, imports and their chunks; jobs are in 0001, because every transaction may enqueue one.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

from alembic import op

from migrations.support import protect

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create kernel.files, kernel.imports and kernel.import_chunks."""
    _files()
    _imports()
    _chunks()
    _analyze()


def _analyze() -> None:
    # A planner without statistics takes any index that begins with the tenant, and reads all of the tenant per
    # key. The first large import cannot wait for autovacuum, and only the owner may analyze.
    op.execute(
        """
CREATE FUNCTION kernel.analyze_table(name text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog SET lock_timeout = '500ms' AS $$
BEGIN
  EXECUTE format('ANALYZE %I.%I', split_part(name, '.', 1), split_part(name, '.', 2));
EXCEPTION WHEN lock_not_available THEN
  NULL;
END $$"""
    )
    op.execute("REVOKE ALL ON FUNCTION kernel.analyze_table(text) FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION kernel.analyze_table(text) TO rapport_control")


def _files() -> None:
    op.execute(
        """
CREATE TABLE kernel.files (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  name text NOT NULL,
  media_type text NOT NULL,
  size bigint NOT NULL,
  sha256 text NOT NULL,
  key text NOT NULL,
  created_at timestamptz NOT NULL,
  created_by uuid,
  CONSTRAINT pk_files PRIMARY KEY (tenant_id, id)
)"""
    )
    protect("kernel.files")


def _imports() -> None:
    op.execute(
        """
CREATE TABLE kernel.imports (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  object text NOT NULL,
  mode text NOT NULL,
  key text NOT NULL,
  duplicate_rule text,
  dry_run boolean NOT NULL,
  state text NOT NULL,
  options jsonb NOT NULL,
  defaults jsonb NOT NULL,
  mapping jsonb NOT NULL,
  preview jsonb,
  file_id uuid,
  job_id uuid,
  position bigint NOT NULL DEFAULT 0,
  total bigint,
  created bigint NOT NULL DEFAULT 0,
  updated bigint NOT NULL DEFAULT 0,
  unchanged bigint NOT NULL DEFAULT 0,
  failed bigint NOT NULL DEFAULT 0,
  error jsonb,
  undo jsonb,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  created_by uuid,
  started_at timestamptz,
  finished_at timestamptz,
  CONSTRAINT pk_imports PRIMARY KEY (tenant_id, id),
  CONSTRAINT ck_imports_mode CHECK (mode IN ('create', 'update', 'upsert')),
  CONSTRAINT ck_imports_duplicate_rule CHECK (duplicate_rule IN ('block', 'warn', 'allow')),
  CONSTRAINT ck_imports_state CHECK (state IN ('open', 'uploaded', 'validating', 'in_progress', 'completed',
    'completed_with_errors', 'failed', 'cancelled'))
)"""
    )
    protect("kernel.imports")


def _chunks() -> None:
    # One row per committed chunk: the resume position, the results and the material for undo in one place,
    # written in the transaction of the records themselves; a chunk cannot take effect twice.
    op.execute(
        """
CREATE TABLE kernel.import_chunks (
  tenant_id uuid NOT NULL,
  import_id uuid NOT NULL,
  number bigint NOT NULL,
  rows int NOT NULL,
  created_lines int[] NOT NULL,
  created_ids uuid[] NOT NULL,
  updated jsonb NOT NULL,
  failures jsonb NOT NULL,
  warnings jsonb NOT NULL,
  undone_at timestamptz,
  not_undone jsonb,
  CONSTRAINT pk_import_chunks PRIMARY KEY (tenant_id, import_id, number)
)"""
    )
    protect("kernel.import_chunks")
