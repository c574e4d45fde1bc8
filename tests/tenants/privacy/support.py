"""People who ask."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import asyncpg

from app.kernel.jobs import JobRunner
from app.kernel.runtime import Kernel
from tests.support.api import Client

REASON = "Asked by mail; their address was confirmed"
TABLES = """
SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
  AND EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id')
ORDER BY 1
"""


async def asked(client: Client, kind: str, *subjects: tuple[str, Any], reason: str = REASON) -> Any:
    """A draft."""
    named = [{"object": object_name, "record_id": str(id)} for object_name, id in subjects]
    body = {"kind": kind, "subjects": named, "reason": reason}
    return await client.ok("POST", "/v1/privacy/requests", json=body)


async def answered(client: Client, kernel: Kernel, request_id: str) -> Any:
    """The request, confirmed and run to its end."""
    path = f"/v1/privacy/requests/{request_id}"
    await client.ok("POST", f"{path}/confirm")
    await JobRunner(kernel).run_due()
    found = await client.ok("GET", path)
    if found["state"] != "completed":
        job = await client.ok("GET", f"/v1/jobs/{found['job_id']}")
        raise AssertionError(job)
    return found


async def erased(client: Client, kernel: Kernel, *subjects: tuple[str, Any]) -> Any:
    """An erasure that is over."""
    return await answered(client, kernel, (await asked(client, "erasure", *subjects))["id"])


def held(request: Any) -> dict[str, tuple[int, str]]:
    """Rows and what becomes of them, by table."""
    found: dict[str, tuple[int, str]] = {}
    for one in request["held"]:
        found[one["table"]] = (one["rows"], one["action"])
    return found


async def tables_with(
    connection: asyncpg.Connection[asyncpg.Record], tenant_id: UUID, text: str
) -> dict[str, list[str]]:
    """Every row of a company whose text form has a text in it, in any table; bytes are looked into as well."""
    found: dict[str, list[str]] = {}
    hexadecimal = text.encode().hex()
    for table in await connection.fetch(TABLES):
        rows = await connection.fetch(
            f"SELECT to_jsonb(t)::text AS row FROM {table['name']} t WHERE tenant_id = $1"
            " AND (strpos(lower(to_jsonb(t)::text), lower($2)) > 0 OR strpos(to_jsonb(t)::text, $3) > 0)",
            tenant_id,
            text,
            hexadecimal,
        )
        if rows:
            found[table["name"]] = [row["row"] for row in rows]
    return found


async def files_with(kernel: Kernel, tenant_id: UUID, text: str) -> list[str]:
    """The keys of a company's files that have a text in them."""
    keys = []
    async for file in kernel.files.of_tenant(tenant_id):
        content = b"".join([piece async for piece in await kernel.files.get_stream(file.key)])
        if text.lower().encode() in content.lower() or text in file.key:
            keys.append(file.key)
    return keys
