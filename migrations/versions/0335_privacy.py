"""What one person may ask: requests, what was found of them, and redactions of the sealed audit log.

Revision ID: 0335
Revises: 0333
"""

from __future__ import annotations

from alembic import op

from migrations.support import OWNER, protect

revision = "0335"
down_revision = "0333"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create `tenants.privacy_*`, `kernel.audit_redactions` and the function that redacts guarded rows."""
    _requests()
    _found()
    _refusals()
    _redactions()
    _redact_rows()
    _admit()


def _requests() -> None:
    # `sought` are the person's names and addresses, encrypted, and only while an erasure is under way.
    op.execute(
        """
CREATE TABLE tenants.privacy_requests (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  kind text NOT NULL,
  state text NOT NULL,
  subjects jsonb NOT NULL,
  reason text,
  held jsonb NOT NULL,
  candidates jsonb NOT NULL,
  job_id uuid,
  sought bytea,
  listed_at timestamptz,
  confirmed_at timestamptz,
  confirmed_by uuid,
  completed_at timestamptz,
  file_key text,
  file_size bigint,
  file_sha256 text,
  expires_at timestamptz,
  certificate jsonb,
  key_id text,
  signature bytea,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  created_by uuid,
  CONSTRAINT pk_privacy_requests PRIMARY KEY (tenant_id, id),
  CONSTRAINT ck_privacy_requests_kind CHECK (kind IN ('export', 'erasure')),
  CONSTRAINT ck_privacy_requests_state CHECK (state IN ('draft', 'running', 'completed', 'cancelled')),
  CONSTRAINT ck_privacy_requests_completed CHECK ((state = 'completed') = (completed_at IS NOT NULL)),
  CONSTRAINT ck_privacy_requests_certified CHECK (
    (kind = 'erasure' AND state = 'completed') = (certificate IS NOT NULL)
    AND (certificate IS NULL) = (signature IS NULL) AND (certificate IS NULL) = (key_id IS NULL)),
  CONSTRAINT ck_privacy_requests_forgotten CHECK (sought IS NULL OR state = 'running')
)"""
    )
    protect("tenants.privacy_requests", control="SELECT, INSERT, UPDATE")


def _found() -> None:
    op.execute(
        """
CREATE TABLE tenants.privacy_rows (
  tenant_id uuid NOT NULL,
  request_id uuid NOT NULL,
  holding text NOT NULL,
  row_id uuid NOT NULL,
  table_name text NOT NULL,
  done boolean NOT NULL DEFAULT false,
  CONSTRAINT pk_privacy_rows PRIMARY KEY (tenant_id, request_id, holding, row_id),
  CONSTRAINT fk_privacy_rows_request FOREIGN KEY (tenant_id, request_id)
    REFERENCES tenants.privacy_requests (tenant_id, id)
)"""
    )
    protect("tenants.privacy_rows", control="SELECT, UPDATE, DELETE")
    op.execute(
        "CREATE INDEX ix_privacy_rows_table_name ON tenants.privacy_rows (tenant_id, request_id, table_name, row_id)"
    )


def _refusals() -> None:
    # Who said no stays known by a keyed hash, so that a later import of the same address can be recognised.
    op.execute(
        """
CREATE TABLE tenants.privacy_refusals (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  channel text NOT NULL,
  key_hash bytea NOT NULL,
  refused_at timestamptz NOT NULL,
  CONSTRAINT pk_privacy_refusals PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_privacy_refusals_key_hash UNIQUE (tenant_id, key_hash, channel)
)"""
    )
    protect("tenants.privacy_refusals")


def _redactions() -> None:
    # Of a sealed entry that was redacted: the hashes it had in the chain, and what it is now, signed together.
    op.execute(
        """
CREATE TABLE kernel.audit_redactions (
  tenant_id uuid NOT NULL,
  entry_id uuid NOT NULL,
  sequence bigint NOT NULL,
  previous bytea NOT NULL,
  hash bytea NOT NULL,
  content bytea NOT NULL,
  request_id uuid NOT NULL,
  redacted_at timestamptz NOT NULL,
  key_id text NOT NULL,
  signature bytea NOT NULL,
  CONSTRAINT pk_audit_redactions PRIMARY KEY (tenant_id, entry_id)
)"""
    )
    protect("kernel.audit_redactions", append_only=True, control="SELECT, INSERT, UPDATE")


def _redact_rows() -> None:
    """Rows that the application may only add to are changed by their owner, for a confirmed erasure only."""
    op.execute(
        """
CREATE FUNCTION tenants.redact_rows(tenant uuid, request uuid, name text, ids uuid[], changes jsonb[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  relation oid := format('%I.%I', split_part(name, '.', 1), split_part(name, '.', 2))::regclass;
  targets text;
  sources text;
  changed bigint;
BEGIN
  PERFORM set_config('app.erasing', tenant::text, true);
  IF NOT EXISTS (SELECT 1 FROM tenants.privacy_requests r WHERE r.tenant_id = tenant AND r.id = request
      AND r.kind = 'erasure' AND r.state = 'running') THEN
    PERFORM set_config('app.erasing', '', true);
    RAISE EXCEPTION 'no erasure of a person is under way' USING ERRCODE = 'insufficient_privilege';
  END IF;
  SELECT string_agg(format('%I', key), ', '), string_agg(format('r.%I', key), ', ') INTO targets, sources
  FROM jsonb_object_keys(changes[1]) key;
  EXECUTE format('UPDATE %s t SET (%s) = ROW(%s) FROM unnest($1, $2) v(id, change)'
    ' CROSS JOIN LATERAL jsonb_populate_record(NULL::%s, v.change) r WHERE t.tenant_id = $3 AND t.id = v.id',
    relation::regclass, targets, sources, relation::regclass) USING ids, changes, tenant;
  GET DIAGNOSTICS changed = ROW_COUNT;
  PERFORM set_config('app.erasing', '', true);
  RETURN changed;
END $$"""
    )
    op.execute("REVOKE ALL ON FUNCTION tenants.redact_rows(uuid, uuid, text, uuid[], jsonb[]) FROM PUBLIC")
    op.execute(
        "GRANT EXECUTE ON FUNCTION tenants.redact_rows(uuid, uuid, text, uuid[], jsonb[]) TO rapport_control"
    )


def _admit() -> None:
    """Triggers that keep sent quotes as they are let the owner redact them, as those that keep rows let it delete."""
    op.execute(
        f"""
DO $$
DECLARE
  one record;
BEGIN
  FOR one IN
    SELECT pg_get_triggerdef(t.oid) AS told FROM pg_trigger t
    WHERE t.tgrelid = 'quotes.quotes'::regclass AND t.tgname IN ('keep_quote', 'keep_benefits') AND t.tgqual IS NULL
  LOOP
    EXECUTE replace(replace(one.told, 'CREATE TRIGGER', 'CREATE OR REPLACE TRIGGER'),
      ' EXECUTE FUNCTION', $f$ WHEN (current_user <> '{OWNER}') EXECUTE FUNCTION$f$);
  END LOOP;
END $$"""
    )
