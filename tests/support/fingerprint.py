"""What a tenant's rows amount to, taken past every policy: equal before and after means that nothing changed."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

import asyncpg

NOISE = frozenset(
    {
        "tenants.sessions",  # being used is not being changed
        "tenants.api_keys",
        "tenants.refresh_tokens",
        "tenants.attempts",
    }
)
NOISE_ROWS = {
    # Each process writes once a minute how often it was asked, denied requests too: being asked is no change either.
    "kernel.usage_records": "metric <> 'api.calls'",
}
_TABLES = """
SELECT format('%I.%I', table_schema, table_name) FROM information_schema.columns c
WHERE column_name = 'tenant_id' AND table_schema NOT IN ('information_schema', 'public')
  AND (table_schema, table_name) IN (SELECT schemaname, tablename FROM pg_tables)
"""
Fingerprint = dict[str, tuple[int, str]]


async def fingerprint(
    connection: asyncpg.Connection[asyncpg.Record], *tenant_ids: UUID, without: Collection[str] = ()
) -> Fingerprint:
    """Rows and their hash for each table that holds something of these tenants; `without` are columns left out."""
    text = "to_jsonb(t)" + "".join(f" - '{column}'" for column in without) if without else "t"
    tables = [row[0] for row in await connection.fetch(_TABLES)]
    parts = [
        f"SELECT '{table}' AS name, count(*) AS rows, md5(coalesce(string_agg(({text})::text, E'\\n' ORDER BY ({text})::text), ''))"
        f" AS hash FROM {table} t WHERE tenant_id = ANY($1::uuid[])"
        f" AND {NOISE_ROWS.get(table, 'true')}"
        for table in sorted(tables)
        if table not in NOISE
    ]
    rows = await connection.fetch(" UNION ALL ".join(parts), list(tenant_ids))
    return {row["name"]: (row["rows"], row["hash"]) for row in rows if row["rows"]}


def changes(before: Fingerprint, after: Fingerprint) -> dict[str, Any]:
    """The tables that differ, with their number of rows before and after."""
    return {
        name: (before.get(name, (0, ""))[0], after.get(name, (0, ""))[0])
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    }
