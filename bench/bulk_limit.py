"""What an import is compared with: a bare client that writes leads made ready before, by the recipe for bulk work.

Each set is one transaction of `rapport_app`, with row-level security, all indexes and no rule: COPY to temporary
tables, and from there the rows, their audit entries and their events.
"""

from __future__ import annotations

import os
import time
from typing import Any, Final
from uuid import UUID

import asyncpg

from app.kernel.db import Connection
from app.kernel.ids import new_id
from app.kernel.imports.run import CHUNK
from bench.house import API_CORE, CORES, House, pin
from bench.raw_server import COLUMNS

ROWS: Final = 20_000
"""Leads that are made ready, at most; they are held in memory."""

_LEADS: Final = "leads.leads"
_BESIDE: Final = {
    "kernel.audit_entries": "action = 'created'",
    "kernel.outbox": "type = 'leads.lead.created.v1'",
}
"""The tables that tell of a lead, and which of their rows tell that it was made."""
_BEGIN: Final = (
    "BEGIN; SET LOCAL app.tenant_id = '{}'; SET LOCAL synchronous_commit = off; SET LOCAL work_mem = '32MB'"
)

Ready = dict[str, tuple[list[str], list[tuple[Any, ...]]]]
"""Table → its columns and rows."""


async def limit(house: House, tenant_id: UUID) -> float:
    """Rows a second at which leads of a tenant are written once more, under ids of their own."""
    connection: Connection = await asyncpg.connect(house.url, server_settings={"jit": "off"})
    pin(os.getpid(), [API_CORE])
    try:
        ready = await _ready(connection, tenant_id)
        count = len(ready[_LEADS][1])
        await connection.execute("SET ROLE rapport_app")
        for table, (names, _) in ready.items():
            empty = f"SELECT {', '.join(names)} FROM {table} LIMIT 0"
            await connection.execute(f"CREATE TEMP TABLE {_copy(table)} ON COMMIT DELETE ROWS AS {empty}")
        started = time.perf_counter()
        for first in range(0, count, CHUNK):
            await connection.execute(_BEGIN.format(tenant_id))
            for table, (names, rows) in ready.items():
                part = rows[first : first + CHUNK]
                await connection.copy_records_to_table(_copy(table), columns=names, records=part)
                columns = ", ".join(names)
                copied = f"SELECT {columns} FROM {_copy(table)}"
                await connection.execute(f"INSERT INTO {table} ({columns}) {copied} ON CONFLICT DO NOTHING")
            await connection.execute("COMMIT")
        seconds = time.perf_counter() - started
        await connection.execute("RESET ROLE")
        written = await connection.fetchval(f"SELECT count(*) FROM {_LEADS} WHERE external_id LIKE 'again-%'")
        if written != count:
            raise RuntimeError(f"{written:,} rows were written, not {count:,}")
        return count / seconds
    finally:
        pin(os.getpid(), CORES)
        await connection.close()


def _copy(table: str) -> str:
    return f"ready_{table.partition('.')[2]}"


async def _ready(connection: Connection, tenant_id: UUID) -> Ready:
    ids: dict[UUID, UUID] = {}
    ready = {_LEADS: await _rows(connection, _LEADS, ids, f"ORDER BY id LIMIT {ROWS}", tenant_id)}
    of_leads = list(ids)
    for table, made in _BESIDE.items():
        which = f"AND record_id = ANY($2::uuid[]) AND {made}"
        ready[table] = await _rows(connection, table, ids, which, tenant_id, of_leads)
        if len(ready[table][1]) != len(of_leads):
            raise RuntimeError(f"{table} does not tell of each lead once")
    return ready


async def _rows(
    connection: Connection, table: str, ids: dict[UUID, UUID], which: str, *arguments: Any
) -> tuple[list[str], list[tuple[Any, ...]]]:
    columns = await connection.fetchval(COLUMNS, table)
    found = await connection.fetch(f"SELECT {columns} FROM {table} WHERE tenant_id = $1 {which}", *arguments)
    return columns.split(", "), [tuple(_again(row, ids).values()) for row in found]


def _again(row: asyncpg.Record, ids: dict[UUID, UUID]) -> dict[str, Any]:
    """The same under a new id; what tells of a lead tells of its new one."""
    values = dict(row.items())
    values["id"] = ids[row["id"]] = new_id()
    if "record_id" in values:
        values["record_id"] = ids[row["record_id"]]
    if "external_id" in values:
        values["external_id"] = f"again-{row['external_id']}"
    return values
