"""The kernel's own tables: audit, outbox, inbox, usage, idempotency, jobs, shares, numbering.

Revision ID: 0001
Revises:
"""

from __future__ import annotations

from alembic import op

from migrations.support import create_schema, protect

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create schema `kernel`."""
    create_schema("kernel")
    op.execute("CREATE EXTENSION IF NOT EXISTS btree_gin")
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    # One inlinable expression; after a transaction the setting reads '' and not NULL, hence nullif.
    op.execute(
        "CREATE FUNCTION kernel.tenant() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE AS"
        " $$ SELECT nullif(current_setting('app.tenant_id', true), '')::uuid $$"
    )
    _audit()
    _events()
    _requests()
    _jobs()
    _sharing()


def _audit() -> None:
    op.execute(
        """
CREATE TABLE kernel.audit_entries (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  at timestamptz NOT NULL,
  actor_kind text NOT NULL,
  actor_id uuid NOT NULL,
  actor_name text NOT NULL,
  request_id text NOT NULL DEFAULT '',
  object text NOT NULL,
  record_id uuid NOT NULL,
  action text NOT NULL,
  changes jsonb NOT NULL DEFAULT '{}',
  reason text,
  tx xid8 NOT NULL DEFAULT pg_current_xact_id(),
  CONSTRAINT pk_audit_entries PRIMARY KEY (tenant_id, id)
)"""
    )
    op.execute(
        "CREATE INDEX ix_audit_entries_record ON kernel.audit_entries (tenant_id, object, record_id, id)"
    )
    protect("kernel.audit_entries", control="SELECT, INSERT", append_only=True)
    op.execute("CREATE INDEX ix_audit_entries_tx ON kernel.audit_entries (tenant_id, tx, id)")
    _audit_chain()


def _audit_chain() -> None:
    # Only the sealer, as rapport_control, writes the chain: what serves requests may look at it.
    op.execute(
        """
CREATE TABLE kernel.audit_seals (
  tenant_id uuid NOT NULL,
  sequence bigint NOT NULL,
  entry_id uuid NOT NULL,
  hash bytea NOT NULL,
  CONSTRAINT pk_audit_seals PRIMARY KEY (tenant_id, sequence)
)"""
    )
    op.execute(
        """
CREATE TABLE kernel.audit_heads (
  tenant_id uuid NOT NULL,
  sequence bigint NOT NULL,
  hash bytea NOT NULL,
  tx xid8 NOT NULL,
  entry_id uuid NOT NULL,
  checkpoint_sequence bigint NOT NULL DEFAULT 0,
  checkpoint_at timestamptz NOT NULL,
  CONSTRAINT pk_audit_heads PRIMARY KEY (tenant_id)
)"""
    )
    op.execute(
        """
CREATE TABLE kernel.audit_checkpoints (
  tenant_id uuid NOT NULL,
  sequence bigint NOT NULL,
  hash bytea NOT NULL,
  signed_at timestamptz NOT NULL,
  key_id text NOT NULL,
  signature bytea NOT NULL,
  CONSTRAINT pk_audit_checkpoints PRIMARY KEY (tenant_id, sequence)
)"""
    )
    for table in ("audit_seals", "audit_checkpoints", "audit_heads"):
        head = table == "audit_heads"
        protect(
            f"kernel.{table}",
            control="SELECT, INSERT, UPDATE" if head else "SELECT, INSERT",
            append_only=True,
        )
        op.execute(f"REVOKE INSERT ON kernel.{table} FROM rapport_app")


def _events() -> None:
    op.execute(
        """
CREATE TABLE kernel.outbox (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  tx xid8 NOT NULL DEFAULT pg_current_xact_id(),
  at timestamptz NOT NULL,
  actor_kind text NOT NULL,
  actor_id uuid NOT NULL,
  request_id text NOT NULL DEFAULT '',
  type text NOT NULL,
  object text NOT NULL,
  record_id uuid NOT NULL,
  data jsonb NOT NULL,
  published_at timestamptz,
  dead_at timestamptz,
  attempts int NOT NULL DEFAULT 0,
  next_attempt_at timestamptz,
  last_error text,
  CONSTRAINT pk_outbox PRIMARY KEY (tenant_id, id)
)"""
    )
    op.execute("CREATE INDEX ix_outbox_tx ON kernel.outbox (tenant_id, tx, id)")
    op.execute(
        "CREATE INDEX ix_outbox_unpublished ON kernel.outbox (id)"
        " WHERE published_at IS NULL AND dead_at IS NULL"
    )
    op.execute(
        # Only what has been tried: fresh events, of which an import makes thousands, are not entered here.
        "CREATE INDEX ix_outbox_waiting ON kernel.outbox (tenant_id, record_id, id)"
        " WHERE published_at IS NULL AND dead_at IS NULL AND next_attempt_at IS NOT NULL"
    )
    op.execute("CREATE INDEX ix_outbox_dead ON kernel.outbox (tenant_id, id) WHERE dead_at IS NOT NULL")
    op.execute("CREATE INDEX ix_outbox_at ON kernel.outbox USING brin (at)")
    protect("kernel.outbox", control="SELECT, INSERT, UPDATE, DELETE")
    op.execute(
        """
CREATE TABLE kernel.inbox (
  tenant_id uuid NOT NULL,
  handler text NOT NULL,
  event_id uuid NOT NULL,
  handled_at timestamptz NOT NULL,
  CONSTRAINT pk_inbox PRIMARY KEY (tenant_id, handler, event_id)
)"""
    )
    protect("kernel.inbox", control="SELECT, DELETE")


def _requests() -> None:
    op.execute(
        """
CREATE TABLE kernel.usage_records (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  at timestamptz NOT NULL,
  metric text NOT NULL,
  quantity bigint NOT NULL,
  CONSTRAINT pk_usage_records PRIMARY KEY (tenant_id, id)
)"""
    )
    protect("kernel.usage_records", control="SELECT, INSERT", append_only=True)
    op.execute(
        """
CREATE TABLE kernel.idempotency_keys (
  tenant_id uuid NOT NULL,
  principal_id uuid NOT NULL,
  method text NOT NULL,
  path text NOT NULL,
  key text NOT NULL,
  request_hash text NOT NULL,
  status int NOT NULL,
  headers jsonb NOT NULL,
  body text NOT NULL,
  created_at timestamptz NOT NULL,
  CONSTRAINT pk_idempotency_keys PRIMARY KEY (tenant_id, principal_id, method, path, key)
)"""
    )
    op.execute(
        "CREATE INDEX ix_idempotency_keys_created_at ON kernel.idempotency_keys USING brin (created_at)"
    )
    protect("kernel.idempotency_keys", control="SELECT, DELETE")
    # It travels with BEGIN, where nothing can be answered: so it is silent, or it fails.
    op.execute(
        """
CREATE FUNCTION kernel.guard_idempotency_key(held bigint, who uuid, verb text, place text, given text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF NOT pg_try_advisory_xact_lock(held) OR EXISTS (
    SELECT 1 FROM kernel.idempotency_keys k WHERE k.tenant_id = kernel.tenant() AND k.principal_id = who
    AND k.method = verb AND k.path = place AND k.key = given
  ) THEN
    RAISE EXCEPTION 'this idempotency key is taken' USING ERRCODE = 'RA001';
  END IF;
END $$"""
    )


def _jobs() -> None:
    op.execute(
        """
CREATE TABLE kernel.jobs (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  name text NOT NULL,
  payload jsonb NOT NULL,
  state text NOT NULL DEFAULT 'queued',
  run_at timestamptz NOT NULL,
  attempts int NOT NULL DEFAULT 0,
  locked_by text,
  locked_until timestamptz,
  progress jsonb NOT NULL DEFAULT '{}',
  result jsonb,
  last_error text,
  cancel_requested boolean NOT NULL DEFAULT false,
  actor_kind text NOT NULL,
  actor_id uuid NOT NULL,
  request_id text NOT NULL DEFAULT '',
  created_at timestamptz NOT NULL,
  started_at timestamptz,
  finished_at timestamptz,
  CONSTRAINT pk_jobs PRIMARY KEY (tenant_id, id),
  CONSTRAINT ck_jobs_state CHECK (state IN ('queued', 'running', 'completed', 'failed', 'cancelled'))
)"""
    )
    # By tenant first: the claim takes turns among tenants (docs/adr/0005-jobs-are-rows.md).
    op.execute(
        "CREATE INDEX ix_jobs_due ON kernel.jobs (tenant_id, run_at, id) WHERE state IN ('queued', 'running')"
    )
    op.execute("CREATE INDEX ix_jobs_recent ON kernel.jobs (tenant_id, created_at, id)")
    protect("kernel.jobs", control="SELECT, UPDATE, DELETE")
    op.execute(
        """
CREATE TABLE kernel.schedule_runs (
  tenant_id uuid NOT NULL,
  name text NOT NULL,
  last_run_at timestamptz NOT NULL,
  CONSTRAINT pk_schedule_runs PRIMARY KEY (tenant_id, name)
)"""
    )
    protect("kernel.schedule_runs", control="SELECT, INSERT, UPDATE")


def _sharing() -> None:
    op.execute(
        """
CREATE TABLE kernel.shares (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  object text NOT NULL,
  record_id uuid NOT NULL,
  member_id uuid,
  team_id uuid,
  access text NOT NULL,
  created_at timestamptz NOT NULL,
  created_by uuid,
  CONSTRAINT pk_shares PRIMARY KEY (tenant_id, id),
  CONSTRAINT ck_shares_access CHECK (access IN ('read', 'write')),
  CONSTRAINT ck_shares_with CHECK (num_nonnulls(member_id, team_id) = 1)
)"""
    )
    op.execute(
        "CREATE UNIQUE INDEX uq_shares_with ON kernel.shares"
        " (tenant_id, object, record_id, (coalesce(member_id, team_id)))"
    )
    protect("kernel.shares")
    op.execute(
        """
CREATE TABLE kernel.numbers (
  tenant_id uuid NOT NULL,
  series text NOT NULL,
  year int NOT NULL,
  last_number bigint NOT NULL,
  CONSTRAINT pk_numbers PRIMARY KEY (tenant_id, series, year)
)"""
    )
    protect("kernel.numbers")
