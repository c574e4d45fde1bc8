"""Rows are redacted that an erasure has found, and no others; functions of the owner take no type from a caller.

Revision ID: 0340
Revises: 0335
"""

from __future__ import annotations

from alembic import op

revision = "0340"
down_revision = "0335"
branch_labels = None
depends_on = None

_OF_THE_OWNER = (
    "kernel.analyze_table(text)",
    "kernel.analyze_table(text, text[])",
    "tenants.erase_rows(uuid, text, integer)",
    "tenants.redact_rows(uuid, uuid, text, uuid[], jsonb[])",
)


def upgrade() -> None:
    """Narrow `tenants.redact_rows`, and look for names in the temporary schema last, in all that the owner runs."""
    _redact_rows()
    for function in _OF_THE_OWNER:
        op.execute(f"ALTER FUNCTION {function} SET search_path = pg_catalog, pg_temp")


def _redact_rows() -> None:
    # The audit log has no declarations: of its entries only the words may be changed.
    op.execute(
        """
CREATE OR REPLACE FUNCTION tenants.redact_rows(tenant uuid, request uuid, name text, ids uuid[], changes jsonb[])
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  relation oid := format('%I.%I', split_part(name, '.', 1), split_part(name, '.', 2))::regclass;
  audit boolean := relation = 'kernel.audit_entries'::regclass;
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
  IF changes[1] ?| ARRAY['tenant_id', 'id'] OR (audit AND changes[1] - ARRAY['changes', 'reason'] <> '{}') THEN
    RAISE EXCEPTION 'words are redacted, nothing else' USING ERRCODE = 'insufficient_privilege';
  END IF;
  SELECT string_agg(format('%I', key), ', '), string_agg(format('r.%I', key), ', ') INTO targets, sources
  FROM jsonb_object_keys(changes[1]) key;
  EXECUTE format('UPDATE %s t SET (%s) = ROW(%s) FROM unnest($1, $2) v(id, change)'
    ' CROSS JOIN LATERAL jsonb_populate_record(NULL::%s, v.change) r WHERE t.tenant_id = $3 AND t.id = v.id'
    ' AND ($5 OR EXISTS (SELECT 1 FROM tenants.privacy_rows f WHERE f.tenant_id = $3 AND f.request_id = $4'
    ' AND f.table_name = $6 AND f.row_id = v.id))',
    relation::regclass, targets, sources, relation::regclass) USING ids, changes, tenant, request, audit, name;
  GET DIAGNOSTICS changed = ROW_COUNT;
  PERFORM set_config('app.erasing', '', true);
  RETURN changed;
END $$"""
    )
