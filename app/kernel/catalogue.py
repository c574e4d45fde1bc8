"""The tables that hold tenants' rows, as the database itself lists them: a new module is covered by existing.

Whoever must miss no table (the export of a whole tenant, its erasure) walks this catalogue instead of a list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from app.kernel.db import Connection
from app.kernel.models import Base

SECRETS: Final[Mapping[str, frozenset[str]]] = {
    "kernel.idempotency_keys": frozenset({"request_hash", "headers", "body"}),
    "kernel.jobs": frozenset({"payload"}),
}
"""Columns of tables without a mapped class that may hold secrets: answers and mails with links shown once."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column, and its type as PostgreSQL spells it."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class TenantTable:
    """A table with a `tenant_id`; `readable` unless only `rapport_control` reads it."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    readable: bool


_TABLES: Final = """
SELECT format('%I.%I', n.nspname, c.relname) AS name,
  (SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute a
   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS names,
  (SELECT array_agg(format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum) FROM pg_attribute a
   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS types,
  (SELECT array_agg(a.attname::text ORDER BY k.n) FROM pg_index x
   CROSS JOIN LATERAL unnest(x.indkey::smallint[]) WITH ORDINALITY k(attnum, n)
   JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
   WHERE x.indrelid = c.oid AND x.indisprimary) AS key,
  has_table_privilege('rapport_app', c.oid, 'SELECT') AS readable
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
  AND EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id'
    AND NOT a.attisdropped)
ORDER BY 1
"""

_REFERENCES: Final = """
SELECT DISTINCT format('%I.%I', n.nspname, c.relname) AS child, format('%I.%I', pn.nspname, p.relname) AS parent
FROM pg_constraint f JOIN pg_class c ON c.oid = f.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class p ON p.oid = f.confrelid JOIN pg_namespace pn ON pn.oid = p.relnamespace
WHERE f.contype = 'f' AND f.conrelid <> f.confrelid
"""


async def tenant_tables(connection: Connection) -> list[TenantTable]:
    """Every table with a `tenant_id`, by name. Any role may ask."""
    return [
        TenantTable(
            row["name"],
            tuple(Column(name, kind) for name, kind in zip(row["names"], row["types"], strict=True)),
            tuple(row["key"] or ()),
            row["readable"],
        )
        for row in await connection.fetch(_TABLES)
    ]


async def references(connection: Connection) -> dict[str, set[str]]:
    """Which tables each table's foreign keys point to, itself left out."""
    found: dict[str, set[str]] = {}
    for row in await connection.fetch(_REFERENCES):
        found.setdefault(row["child"], set()).add(row["parent"])
    return found


def children_first(names: Sequence[str], parents: Mapping[str, set[str]]) -> list[str]:
    """Tables in an order in which rows can be deleted: what refers before what is referred to.

    Tables outside of any reference, such as kept sums, come last, since deleting others may add to them. Tables that
    refer to each other come in the order given.
    """
    involved = set(parents) | {parent for found in parents.values() for parent in found}
    waiting = [name for name in names if name in involved]
    order: list[str] = []
    while waiting:
        referred = {parent for name in waiting for parent in parents.get(name, ())}
        free = [name for name in waiting if name not in referred] or waiting[:1]
        order += free
        waiting = [name for name in waiting if name not in free]
    return [*order, *(name for name in names if name not in involved)]


def secret_columns() -> dict[str, frozenset[str]]:
    """Columns that are never shown or exported: marked `info={"secret": True}`, or declared in `SECRETS`."""
    found: dict[str, frozenset[str]] = dict(SECRETS)
    for mapper in Base.registry.mappers:
        table = mapper.class_.__table__
        marked = {column.name for column in table.columns if column.info.get("secret")}
        name = f"{table.schema}.{table.name}"
        if marked:
            found[name] = found.get(name, frozenset()) | marked
    return found
