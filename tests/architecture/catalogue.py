"""The catalogue of a migrated database, and the few declared exceptions to its rules, each with its reason."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

CONTROL_TABLES: dict[str, str] = {
    "tenants.users": "a person may belong to several tenants, and signs in before any is known",
    "tenants.email_tokens": "a mailed link is opened before any tenant is known",
    "tenants.signing_keys": "access tokens of all tenants are signed by the installation",
    "tenants.attempts": "wrong passwords are counted per address, before any tenant is known",
    "tenants.refresh_tokens": "a refresh token names its session, and so its tenant",
    "tenants.api_key_hashes": "an API key names its tenant",
    "tenants.erasures": "what is left of a tenant when it is gone",
    "tenants.operator_keys": "operators look after every tenant and belong to none",
    "tenants.bill_numbers": "the numbers of bills are the seller's, without gaps over all tenants",
    "tenants.payment_notices": "a provider's events are counted once for ever, before it is known whom they are about",
    "tenants.coupons": "a coupon belongs to the installation, and is redeemed so many times by all tenants together",
}
"""Tables across tenants: no policy for `rapport_app`, so it sees nothing; `rapport_control` only."""

CONTROL_INDEXES: dict[str, str] = {
    "tenants.uq_tenants_slug": "a slug names one tenant of the installation",
    "tenants.uq_tenants_sign_up_key": "the same sign-up form sent twice makes one tenant, before there is one",
    "tenants.ix_members_user_id": "sign-in asks for the memberships of one person in every tenant",
    "tenants.ix_sessions_user_id": "a new password ends a person's sessions in every tenant",
    "tenants.ix_sessions_expires_at": "the nightly purge runs over all tenants",
    "tenants.ix_operator_acts_id": "operators read what they did across tenants",
    "tenants.ix_billing_accounts_next_bill_at": "the billing run takes the tenants whose bill is due in turn",
    "tenants.ix_subscription_ends_unsettled": "the billing run takes those who left and have no last bill yet in turn",
    "kernel.ix_outbox_at": "the purge of old events runs over all tenants",
    "kernel.ix_idempotency_keys_created_at": "the purge of old answers runs over all tenants",
    "kernel.ix_webhook_deliveries_due": "the sender takes due deliveries of all tenants in turn",
    "kernel.ix_webhook_deliveries_created_at": "the purge of old deliveries runs over all tenants",
}
"""Indexes of tenants' tables that do not begin with `tenant_id`: only `rapport_control` can profit from them."""

INSTALLATION_TABLES: dict[str, str] = {
    "kernel.schema_version": "which migrations were applied; nobody's data"
}
"""Tables that hold nothing of any tenant; the walks leave them out."""
_LEFT_OUT = ", ".join(f"'{name}'" for name in INSTALLATION_TABLES)

OWN_SCHEMAS = ("kernel", "tenants", "toys")


def module_schemas() -> set[str]:
    """One PostgreSQL schema per unit: the kernel, tenants, each module, and the tests' own toy module."""
    modules = {
        path.name
        for path in (ROOT / "app" / "modules").iterdir()
        if path.is_dir() and not path.name.startswith("__")
    }
    return modules | set(OWN_SCHEMAS)


TABLES = f"""
SELECT n.nspname AS schema, c.relname AS name, format('%s.%s', n.nspname, c.relname) AS qualified, c.oid,
  c.relrowsecurity AS secured, c.relforcerowsecurity AS forced, pg_get_userbyid(c.relowner) AS owner
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname NOT IN ('information_schema', 'public')
  AND format('%s.%s', n.nspname, c.relname) NOT IN ({_LEFT_OUT})
ORDER BY 1, 2
"""
INDEXES = f"""
SELECT format('%s.%s', n.nspname, i.relname) AS name, format('%s.%s', n.nspname, t.relname) AS on_table,
  x.indisprimary AS is_primary, x.indisunique AS is_unique,
  CASE WHEN pg_get_indexdef(i.oid, 1, false) LIKE 'kernel.search_keys(tenant\\_id, %' THEN 'tenant_id'
    ELSE (SELECT a.attname FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attnum = x.indkey[0]) END AS first_column
FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname NOT IN ('information_schema', 'public')
  AND format('%s.%s', n.nspname, t.relname) NOT IN ({_LEFT_OUT})
ORDER BY 1
"""
FOREIGN_KEYS = """
SELECT c.conname AS name, format('%s.%s', n.nspname, t.relname) AS on_table, n.nspname AS schema,
  rn.nspname AS target_schema, format('%s.%s', rn.nspname, r.relname) AS target, c.confdeltype::text AS on_delete,
  (SELECT array_agg(a.attname::text ORDER BY k.n) FROM unnest(c.conkey) WITH ORDINALITY k(attnum, n)
   JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.attnum) AS columns
FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
JOIN pg_class r ON r.oid = c.confrelid JOIN pg_namespace rn ON rn.oid = r.relnamespace
WHERE c.contype = 'f' AND n.nspname NOT LIKE 'pg\\_%' ORDER BY 1
"""
VIEWS = """
SELECT n.nspname AS schema, format('%s.%s', n.nspname, c.relname) AS name, pg_get_userbyid(c.relowner) AS owner,
  pg_get_viewdef(c.oid) AS definition, coalesce('security_invoker=true' = ANY(c.reloptions), false) AS invoker,
  c.relkind::text AS kind
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('v', 'm') AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' ORDER BY 2
"""
POLICIES = """
SELECT format('%s.%s', schemaname, tablename) AS on_table, policyname AS name, roles::text[] AS roles, cmd,
  qual, with_check FROM pg_policies ORDER BY 1, 2
"""
