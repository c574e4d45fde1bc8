"""Tenancy in the catalogue: a new table is covered by existing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from app.product import build_registry
from tests.architecture.catalogue import (
    CONTROL_INDEXES,
    CONTROL_TABLES,
    FOREIGN_KEYS,
    INDEXES,
    POLICIES,
    TABLES,
    VIEWS,
    module_schemas,
)

TENANT_ONLY = "(tenant_id = kernel.tenant())"


def named(rows: Iterable[Any], column: str = "qualified") -> list[str]:
    return [row[column] for row in rows]


async def test_every_table_lies_in_the_schema_of_a_module(superuser):
    strays = [
        row["qualified"] for row in await superuser.fetch(TABLES) if row["schema"] not in module_schemas()
    ]
    assert strays == []
    public = await superuser.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
    )
    assert {row["relname"] for row in public} <= {"alembic_version"}


async def test_every_table_but_the_declared_control_tables_is_led_by_its_tenant(superuser):
    keys = {
        row["on_table"]: row["first_column"] for row in await superuser.fetch(INDEXES) if row["is_primary"]
    }
    tables = set(named(await superuser.fetch(TABLES)))
    assert tables - set(keys) == set(), "tables without a primary key"
    assert {name for name in tables if keys[name] != "tenant_id"} == set(CONTROL_TABLES)


async def test_every_index_of_a_tenants_table_begins_with_the_tenant(superuser):
    exceptions = {
        row["name"]
        for row in await superuser.fetch(INDEXES)
        if row["on_table"] not in CONTROL_TABLES and row["first_column"] != "tenant_id"
    }
    assert exceptions == set(CONTROL_INDEXES)


async def test_every_table_with_search_tokens_has_the_index_that_searches_go_through(superuser):
    rows = await superuser.fetch(
        "SELECT a.attrelid::regclass::text AS name, count(*) FILTER (WHERE pg_get_indexdef(x.indexrelid) LIKE"
        " '%gin (kernel.search_keys(tenant_id, tokens)) WHERE (deleted_at IS NULL)') AS indexes"
        " FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_index x ON x.indrelid = c.oid"
        " WHERE a.attname = 'tokens' AND a.atttypid = 'text[]'::regtype AND c.relkind = 'r' GROUP BY 1"
    )
    assert rows
    assert {row["name"]: row["indexes"] for row in rows if row["indexes"] != 1} == {}


async def test_no_unique_index_of_a_module_reaches_across_tenants(superuser):
    wide = [
        row["name"]
        for row in await superuser.fetch(INDEXES)
        if row["is_unique"]
        and row["first_column"] != "tenant_id"
        and not row["on_table"].startswith("tenants.")
    ]
    assert wide == []


async def test_row_level_security_is_enabled_and_forced_on_every_table(superuser):
    open_tables = [
        row["qualified"] for row in await superuser.fetch(TABLES) if not (row["secured"] and row["forced"])
    ]
    assert open_tables == []


async def test_the_application_role_reaches_rows_of_the_current_tenant_only(superuser):
    policies = await superuser.fetch(POLICIES)
    for_app = {
        row["on_table"]: (row["qual"], row["with_check"])
        for row in policies
        if "rapport_app" in row["roles"] or "public" in row["roles"]
    }
    expected = set(named(await superuser.fetch(TABLES))) - set(CONTROL_TABLES)
    assert set(for_app) == expected
    assert set(for_app.values()) == {(TENANT_ONLY, TENANT_ONLY)}
    assert len([row for row in policies if "rapport_app" in row["roles"]]) == len(expected), "one policy each"


async def test_no_policy_is_for_everybody(superuser):
    assert [row["on_table"] for row in await superuser.fetch(POLICIES) if "public" in row["roles"]] == []


async def test_tenant_ids_are_never_null(superuser):
    nullable = await superuser.fetch(
        "SELECT format('%s.%s', table_schema, table_name) AS qualified FROM information_schema.columns"
        " WHERE column_name = 'tenant_id' AND is_nullable = 'YES' AND table_schema = ANY($1)"
        " AND (table_schema, table_name) IN (SELECT schemaname, tablename FROM pg_tables)",
        sorted(module_schemas()),
    )
    assert set(named(nullable)) <= set(CONTROL_TABLES)


async def test_no_foreign_key_leaves_its_schema(superuser):
    leaving = [
        row["name"] for row in await superuser.fetch(FOREIGN_KEYS) if row["schema"] != row["target_schema"]
    ]
    assert leaving == []


async def test_foreign_keys_between_tenants_rows_carry_the_tenant(superuser):
    # Foreign keys ignore row-level security, so only the key itself can keep them inside a tenant.
    loose = [
        row["name"]
        for row in await superuser.fetch(FOREIGN_KEYS)
        if row["target"] not in CONTROL_TABLES and row["columns"][0] != "tenant_id"
    ]
    assert loose == []


async def test_no_foreign_key_sets_null_on_delete(superuser):
    # It would null tenant_id with the rest of the key.
    assert [
        row["name"] for row in await superuser.fetch(FOREIGN_KEYS) if row["on_delete"] in ("n", "d")
    ] == []


async def test_application_roles_own_nothing_and_cannot_truncate(superuser):
    assert {row["owner"] for row in await superuser.fetch(TABLES)}.isdisjoint(
        {"rapport_app", "rapport_control", "rapport_reader"}
    )
    rights = await superuser.fetch(
        "SELECT grantee, format('%s.%s', table_schema, table_name) AS qualified, privilege_type"
        " FROM information_schema.role_table_grants WHERE grantee IN ('rapport_app', 'rapport_control', 'PUBLIC')"
        " AND privilege_type IN ('TRUNCATE', 'TRIGGER', 'REFERENCES') AND table_schema = ANY($1)",
        sorted(module_schemas()),
    )
    assert [tuple(row) for row in rights] == []


async def test_application_roles_are_bound_by_row_level_security(superuser):
    rows = await superuser.fetch(
        "SELECT rolname, rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb AS strong, rolcanlogin"
        " FROM pg_roles WHERE rolname IN ('rapport_app', 'rapport_control', 'rapport_reader')"
    )
    assert {row["rolname"]: row["strong"] for row in rows} == {
        "rapport_app": False, "rapport_control": False, "rapport_reader": False,
    }  # fmt: skip
    assert {row["rolname"]: row["rolcanlogin"] for row in rows}["rapport_reader"] is False
    members = await superuser.fetch(
        "SELECT pg_get_userbyid(member) AS member, pg_get_userbyid(roleid) AS role FROM pg_auth_members"
        " WHERE pg_get_userbyid(member) LIKE 'rapport_%' AND pg_get_userbyid(roleid) NOT LIKE 'pg_%'"
        " AND NOT pg_get_userbyid(member) = 'rapport_owner'"
    )
    assert [tuple(row) for row in members] == []


async def test_nobody_but_the_owner_may_create_in_a_schema(superuser):
    rows = await superuser.fetch(
        "SELECT n.nspname, r.rolname FROM pg_namespace n CROSS JOIN pg_roles r"
        " WHERE n.nspname = ANY($1) AND r.rolname IN ('rapport_app', 'rapport_control', 'rapport_reader')"
        " AND has_schema_privilege(r.oid, n.oid, 'CREATE')",
        sorted(module_schemas()),
    )
    assert [tuple(row) for row in rows] == []


async def test_views_either_select_the_current_tenant_for_the_reader_or_run_as_their_caller(superuser):
    for view in await superuser.fetch(VIEWS):
        assert view["schema"] in module_schemas(), view["name"]
        assert view["kind"] == "v", f"{view['name']}: a materialised view would hold every tenant's rows"
        if not view["invoker"]:
            assert view["owner"] == "rapport_reader", view["name"]
            assert "tenant_id = kernel.tenant()" in view["definition"], view["name"]


async def test_read_views_show_every_column_of_their_table_in_its_order(superuser):
    columns = await superuser.fetch(
        "SELECT table_schema || '.' || table_name AS name,"
        " array_agg(column_name::text ORDER BY ordinal_position) AS columns"
        " FROM information_schema.columns WHERE table_schema = ANY($1) GROUP BY 1",
        sorted(module_schemas()),
    )
    by_name = {row["name"]: row["columns"] for row in columns}
    views = {row["name"] for row in await superuser.fetch(VIEWS) if row["name"].endswith("_read")}
    assert {name for name in views if by_name[name] != by_name[name.removesuffix("_read")]} == set()


async def test_functions_run_as_their_caller_but_the_declared_one(superuser):
    rows = await superuser.fetch(
        "SELECT p.oid::regprocedure::text AS name, p.proconfig::text[] AS settings,"
        " has_function_privilege('rapport_app', p.oid, 'EXECUTE') AS for_app"
        " FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = ANY($1) AND p.prosecdef",
        sorted(module_schemas()),
    )
    # Only a table's owner may ANALYZE it, which a large import needs before it goes on.
    assert sorted(row["name"] for row in rows) == [
        "kernel.analyze_table(text)",
        "kernel.analyze_table(text,text[])",
        # Only their owner deletes rows that are otherwise only added to: those of a tenant that is being erased.
        "tenants.erase_rows(uuid,text,integer)",
        # Only their owner redacts such rows: for the erasure of a person that was confirmed and is under way.
        "tenants.redact_rows(uuid,uuid,text,uuid[],jsonb[])",
    ]
    # Named last, the temporary schema gives no types: else it is looked into first, for whoever calls.
    path = "search_path=pg_catalog, pg_temp"
    assert all(path in row["settings"] and row["for_app"] is False for row in rows)


async def test_every_table_with_a_tenant_can_be_erased_with_it(superuser):
    reached = {row["on_table"] for row in await superuser.fetch(POLICIES) if row["name"] == "erasure"}
    owned = await superuser.fetch(
        "SELECT format('%s.%s', c.table_schema, c.table_name) AS qualified FROM information_schema.columns c"
        " JOIN pg_tables t ON t.schemaname = c.table_schema AND t.tablename = c.table_name"
        " WHERE c.column_name = 'tenant_id' AND c.table_schema = ANY($1)",
        sorted(module_schemas()),
    )
    assert set(named(owned)) - reached == {"tenants.erasures"}, "what is left is the tombstone"
    keeping = await superuser.fetch(
        "SELECT pg_get_triggerdef(oid) AS qualified FROM pg_trigger WHERE NOT tgisinternal AND tgtype & 11 = 11"
    )
    assert [text for text in named(keeping) if "CURRENT_USER <> 'rapport_owner'" not in text] == []


async def test_enumerations_are_text_and_money_is_bigint(superuser):
    # Comparing enums and numerics is not leakproof, so under row-level security they never reach an index.
    rows = await superuser.fetch(
        "SELECT table_schema || '.' || table_name || '.' || column_name AS name FROM information_schema.columns"
        " WHERE table_schema = ANY($1) AND (data_type = 'money' OR data_type LIKE 'timestamp without%'"
        " OR (data_type = 'USER-DEFINED' AND udt_schema NOT LIKE 'pg\\_%'))",
        sorted(module_schemas()),
    )
    assert [row["name"] for row in rows] == []


async def test_records_of_every_type_and_no_others_are_counted(superuser):
    rows = await superuser.fetch(
        "SELECT format('%s.%s', n.nspname, c.relname) AS qualified, count(*) AS triggers FROM pg_trigger g"
        " JOIN pg_class c ON c.oid = g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE g.tgname IN ('records_made', 'record_deleted', 'record_gone') AND n.nspname = ANY($1) GROUP BY 1",
        sorted(module_schemas()),
    )
    counted = {row["qualified"]: row["triggers"] for row in rows if row["qualified"] != "toys.toys"}
    assert counted == {record.table: 3 for record in build_registry().records.values()}
