"""Leaving: erasing a tenant table by table, its tombstone, and the operators who look after tenants.

Revision ID: 0285
Revises: 0281
"""

from __future__ import annotations

from alembic import op

from migrations.support import ERASED_TENANT, OWNER, protect

revision = "0285"
down_revision = "0281"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create `tenants.erasures`, `operator_keys`, `operator_acts` and the function that deletes rows."""
    _erasures()
    _erase_rows()
    _admit_erasure()
    _operators()
    _impersonation()
    op.execute("SELECT tenants.admit_erasure()")


def _control_table(name: str, privileges: str) -> None:
    op.execute(f"ALTER TABLE tenants.{name} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE tenants.{name} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY control ON tenants.{name} TO rapport_control USING (true) WITH CHECK (true)")
    op.execute(f"GRANT {privileges} ON tenants.{name} TO rapport_control")


def _erasures() -> None:
    # What is left of a tenant: no word of its own, only who erased it when, and how much of what there was.
    op.execute(
        """
CREATE TABLE tenants.erasures (
  id uuid NOT NULL,
  tenant_id uuid NOT NULL,
  requested_at timestamptz NOT NULL,
  requested_by text NOT NULL,
  reason text NOT NULL,
  not_before timestamptz NOT NULL,
  listed_at timestamptz,
  audit_sequence bigint,
  audit_hash bytea,
  users bigint NOT NULL DEFAULT 0,
  files bigint,
  file_bytes bigint,
  counts jsonb NOT NULL DEFAULT '{}',
  completed_at timestamptz,
  certificate jsonb,
  key_id text,
  signature bytea,
  CONSTRAINT pk_erasures PRIMARY KEY (id),
  CONSTRAINT uq_erasures_tenant_id UNIQUE (tenant_id),
  CONSTRAINT ck_erasures_certified CHECK ((completed_at IS NULL) = (certificate IS NULL)
    AND (certificate IS NULL) = (key_id IS NULL) AND (key_id IS NULL) = (signature IS NULL))
)"""
    )
    _control_table("erasures", "SELECT, INSERT, UPDATE")
    op.execute(f"CREATE POLICY owner ON tenants.erasures FOR SELECT TO {OWNER} USING (true)")
    op.execute("CREATE INDEX ix_erasures_open ON tenants.erasures (requested_at) WHERE completed_at IS NULL")


def _erase_rows() -> None:
    """Rows are deleted by the owner of the tables, for a tenant that has a tombstone only.

    The application's roles may not delete what is only added to (audit, ledgers); triggers that keep such rows let
    the owner pass. Of rows that refer to rows of the same table, those that nobody refers to go first.
    """
    op.execute(
        """
CREATE FUNCTION tenants.erase_rows(tenant uuid, name text, most integer) RETURNS bigint LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  gone bigint;
  relation oid := format('%I.%I', split_part(name, '.', 1), split_part(name, '.', 2))::regclass;
  leaves text;
BEGIN
  IF NOT EXISTS (SELECT 1 FROM tenants.erasures e WHERE e.tenant_id = tenant) THEN
    RAISE EXCEPTION 'no erasure of this tenant is under way' USING ERRCODE = 'insufficient_privilege';
  END IF;
  PERFORM set_config('app.erasing', tenant::text, true);
  SELECT coalesce(string_agg(format(
    ' AND NOT EXISTS (SELECT 1 FROM %s c WHERE c.ctid <> t.ctid AND %s)', relation::regclass, k.pairs), ''), '')
  INTO leaves
  FROM pg_constraint f CROSS JOIN LATERAL (
    SELECT string_agg(format('c.%I = t.%I', own.attname, other.attname), ' AND ' ORDER BY p.n) AS pairs
    FROM unnest(f.conkey, f.confkey) WITH ORDINALITY p(here, there, n)
    JOIN pg_attribute own ON own.attrelid = f.conrelid AND own.attnum = p.here
    JOIN pg_attribute other ON other.attrelid = f.conrelid AND other.attnum = p.there
  ) k
  WHERE f.contype = 'f' AND f.conrelid = relation AND f.confrelid = relation;
  EXECUTE format('DELETE FROM %s WHERE ctid = ANY (ARRAY(SELECT t.ctid FROM %s t WHERE t.tenant_id = $1%s LIMIT $2))',
    relation::regclass, relation::regclass, leaves) USING tenant, most;
  GET DIAGNOSTICS gone = ROW_COUNT;
  IF gone = 0 AND leaves <> '' THEN
    EXECUTE format('DELETE FROM %s WHERE tenant_id = $1', relation::regclass) USING tenant;
    GET DIAGNOSTICS gone = ROW_COUNT;
  END IF;
  PERFORM set_config('app.erasing', '', true);
  RETURN gone;
END $$"""
    )
    op.execute("REVOKE ALL ON FUNCTION tenants.erase_rows(uuid, text, integer) FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION tenants.erase_rows(uuid, text, integer) TO rapport_control")


def _admit_erasure() -> None:
    """What every table with a `tenant_id` needs to be erased; called after each migration, so that none is forgotten.

    Triggers that keep rows from being deleted are told to leave the owner alone, who sees rows in erasures only.
    """
    op.execute(
        f"""
CREATE FUNCTION tenants.admit_erasure() RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
  one record;
BEGIN
  FOR one IN
    SELECT c.oid::regclass AS name FROM pg_class c
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND n.nspname NOT LIKE 'pg\\_%' AND c.oid <> 'tenants.erasures'::regclass
      AND pg_get_userbyid(c.relowner) = '{OWNER}'
      AND NOT EXISTS (SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'erasure')
  LOOP
    EXECUTE format($f$CREATE POLICY erasure ON %s TO {OWNER} USING ({ERASED_TENANT})$f$, one.name);
  END LOOP;
  FOR one IN
    SELECT pg_get_triggerdef(t.oid) AS told FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE NOT t.tgisinternal AND t.tgqual IS NULL AND t.tgtype & 11 = 11 AND t.tgconstraint = 0
      AND pg_get_userbyid(c.relowner) = '{OWNER}'
  LOOP
    EXECUTE replace(replace(one.told, 'CREATE TRIGGER', 'CREATE OR REPLACE TRIGGER'),
      ' EXECUTE FUNCTION', $f$ WHEN (current_user <> '{OWNER}') EXECUTE FUNCTION$f$);
  END LOOP;
END $$"""
    )
    op.execute("REVOKE ALL ON FUNCTION tenants.admit_erasure() FROM PUBLIC")


def _operators() -> None:
    op.execute(
        """
CREATE TABLE tenants.operator_keys (
  id uuid NOT NULL,
  name text NOT NULL,
  hint text NOT NULL,
  key_hash bytea NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz,
  last_used_at timestamptz,
  revoked_at timestamptz,
  CONSTRAINT pk_operator_keys PRIMARY KEY (id),
  CONSTRAINT uq_operator_keys_key_hash UNIQUE (key_hash)
)"""
    )
    _control_table("operator_keys", "SELECT, INSERT, UPDATE")
    # Of no company where it concerns the installation: then the tenant is the zero id.
    op.execute(
        """
CREATE TABLE tenants.operator_acts (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  at timestamptz NOT NULL,
  operator_id uuid NOT NULL,
  operator_name text NOT NULL,
  action text NOT NULL,
  reason text,
  details jsonb NOT NULL,
  request_id text NOT NULL,
  CONSTRAINT pk_operator_acts PRIMARY KEY (tenant_id, id)
)"""
    )
    protect("tenants.operator_acts", append_only=True, control="SELECT, INSERT")
    op.execute("CREATE INDEX ix_operator_acts_id ON tenants.operator_acts (id)")


def _impersonation() -> None:
    op.execute(
        "ALTER TABLE tenants.sessions ADD COLUMN operator_id uuid, ADD COLUMN operator_name text,"
        " ADD COLUMN purpose text, ADD COLUMN may_write boolean"
    )
