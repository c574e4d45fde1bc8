"""A second company made of the rows of a first: as many tables are filled as with the first, in a moment."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from app.kernel.catalogue import TenantTable, tenant_tables
from app.kernel.db import Connection


async def copy_company(connection: Connection, source: UUID, target: UUID) -> None:
    """Every row that the application may read, under another tenant's id; as superuser, past keys and triggers."""
    async with connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        for table in await tenant_tables(connection):
            if table.readable:
                await connection.execute(_copying(table), source, target)


def _copying(table: TenantTable) -> str:
    changes = "jsonb_build_object('tenant_id', $2::uuid)"
    if table.name in ("tenants.tenants", "tenants.logos"):
        changes += " || jsonb_build_object('id', $2::uuid)"
    if table.name == "tenants.tenants":
        changes += " || jsonb_build_object('slug', 'copy-' || $2::uuid, 'sign_up_key', NULL)"
    columns = ", ".join(f'"{column.name}"' for column in table.columns)
    return (
        f"INSERT INTO {table.name} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {table.name} t,"
        f" jsonb_populate_record(NULL::{table.name}, to_jsonb(t) || {changes}) r WHERE t.tenant_id = $1"
    ).replace(f"SELECT {columns}", "SELECT " + ", ".join(f'r."{column.name}"' for column in table.columns))


async def rows_of(connection: Connection, tenant_id: UUID) -> dict[str, int]:
    """How many rows each table of the catalogue holds of a company, those that only the installation reads too."""
    found: dict[str, int] = {}
    for table in await tenant_tables(connection):
        count = await connection.fetchval(
            f"SELECT count(*) FROM {table.name} WHERE tenant_id = $1", tenant_id
        )
        if count:
            found[table.name] = count
    return found


async def kept_aside(connection: Connection, tenant_id: UUID) -> dict[str, list[Any]]:
    """All rows of a company, as a backup holds them."""
    return {
        table.name: [
            row[0]
            for row in await connection.fetch(
                f"SELECT to_jsonb(t)::text FROM {table.name} t WHERE tenant_id = $1", tenant_id
            )
        ]
        for table in await tenant_tables(connection)
    }


async def put_back(connection: Connection, rows: dict[str, list[Any]]) -> None:
    """As a restore of the backup would: rows and nothing else."""
    async with connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        for table in await tenant_tables(connection):
            columns = ", ".join(f'"{column.name}"' for column in table.columns)
            for row in rows.get(table.name, ()):
                await connection.execute(
                    f"INSERT INTO {table.name} ({columns}) OVERRIDING SYSTEM VALUE"
                    f" SELECT {columns} FROM jsonb_populate_record(NULL::{table.name}, $1::jsonb)"
                    " ON CONFLICT DO NOTHING",
                    row,
                )
