"""Rows as sets: with their audit entries and events they go into the tables in one statement.

They travel by COPY into a temporary table: row-level security allows no COPY into a guarded one, and this way a
conflict costs one row. A column that holds the same in all rows of a set travels once, as an argument. New rows
go in slices, and while the server writes one, the next is made ready in a thread.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import Any
from uuid import UUID

import asyncpg
import orjson
from sqlalchemy.dialects.postgresql import JSONB

from app.kernel import db
from app.kernel.ids import new_id
from app.kernel.imports.rules import ImportRow
from app.kernel.models import RecordTable
from app.kernel.outbox import nobody_hears
from app.kernel.records import RecordType, to_json
from app.kernel.statements import BETWEEN_TOKENS, audited_columns, entity, split_tokens
from app.kernel.statements import columns_of as _columns_of
from app.kernel.uow import UnitOfWork

SLICE = 250
_numbers = count(1)

_SIDE_COLUMNS = "audit_id_ uuid, audit_ text, event_id_ uuid, event_ text"
_SIDE_NAMES = ("audit_id_", "audit_", "event_id_", "event_")
# A row lives for a moment: compressing it costs more than its pages.
_UNCOMPRESSED = "WITH (toast_tuple_target = 8160) ON COMMIT DROP"
_FIRST_SHARED = 10

_BESIDE = """, audit AS (
  INSERT INTO kernel.audit_entries
    (tenant_id, id, at, actor_kind, actor_id, actor_name, request_id, object, record_id, action, changes)
  SELECT $1, s.audit_id_, $2, $3, $4, $5, $6, $7, s.id, $8, s.audit_::jsonb FROM {source} s JOIN done USING (id)
), events AS (
  INSERT INTO kernel.outbox
    (tenant_id, id, at, actor_kind, actor_id, request_id, type, object, record_id, data, published_at)
  SELECT $1, s.event_id_, $2, $3, $4, $6, $9, $7, s.id, s.event_::jsonb, {published}
  FROM {source} s JOIN done USING (id)
)
SELECT id FROM done"""
_WAITING = "NULL::timestamptz"


@dataclass
class Shape:
    """What is asked of the catalogue once per import: the columns to write and what the table puts by default."""

    record: RecordType[Any]
    defaults: dict[str, Any]

    @classmethod
    async def of(cls, uow: UnitOfWork, record: RecordType[Any]) -> Shape:
        """Read the table's column defaults; constants all of them."""
        rows = await uow.fetch(
            "SELECT a.attname AS name, pg_get_expr(d.adbin, d.adrelid) AS sql FROM pg_attrdef d"
            " JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum"
            " WHERE d.adrelid = $1::text::regclass AND a.attgenerated = ''",
            record.table,
        )
        defaults: dict[str, Any] = {}
        if rows:
            picked = ", ".join(f"{row['sql']} AS {row['name']}" for row in rows)
            found = await uow.fetchrow(f"SELECT {picked}")
            defaults = dict(found.items()) if found is not None else {}
        return cls(record, defaults)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns that are written: all but those the database computes."""
        table = self.record.model.__table__
        return tuple(name for name in columns_of(self.record) if table.c[name].computed is None)

    @cached_property
    def untold(self) -> dict[str, Any]:
        """What every column holds where a row says nothing."""
        return {name: self.defaults.get(name) for name in self.columns}

    @cached_property
    def types(self) -> dict[str, str]:
        """SQL types by column."""
        table = self.record.model.__table__
        return {name: str(table.c[name].type.compile(dialect=db.DIALECT)) for name in columns_of(self.record)}

    @cached_property
    def json_columns(self) -> frozenset[str]:
        """Columns that travel as text and are cast on arrival: COPY knows no text form of our JSON codec."""
        table = self.record.model.__table__
        return frozenset(name for name in self.columns if isinstance(table.c[name].type, JSONB))

    @cached_property
    def audited(self) -> tuple[str, ...]:
        """Columns whose values the audit log keeps."""
        model: type[RecordTable] = self.record.model
        kept = audited_columns(model)
        return tuple(name for name in columns_of(self.record) if name in kept)

    def cast(self, name: str) -> str:
        """A column of the temporary table as the table wants it."""
        if name == "tokens":
            return split_tokens("s.tokens")
        return f"s.{name}::jsonb" if name in self.json_columns else f"s.{name}"

    def temporary(self, table: str, names: Iterable[str]) -> str:
        """CREATE of the table that COPY fills."""
        as_text = {"tokens", *self.json_columns}
        kinds = ", ".join(f"{name} {'text' if name in as_text else self.types[name]}" for name in names)
        return f"CREATE TEMPORARY TABLE {table} ({kinds}, {_SIDE_COLUMNS}) {_UNCOMPRESSED}"


@dataclass(frozen=True, slots=True)
class _Ready:
    """A set made ready: what to copy, by column, and the columns that hold one value in all of its rows."""

    names: tuple[str, ...]
    records: list[tuple[Any, ...]]
    shared: Mapping[str, Any]


class SetWriter:
    """Writes sets of rows of one record type in the transaction at hand.

    `calm` is set while the server works: who waits for it has the interpreter for themselves.
    """

    def __init__(self, uow: UnitOfWork, shape: Shape, calm: threading.Event) -> None:
        self.uow = uow
        self.shape = shape
        self.record = shape.record
        self._calm = calm

    async def insert(self, rows: Sequence[ImportRow]) -> set[UUID]:
        """Insert new rows; the ids of those that no unique key kept out."""
        slices = [rows[start : start + SLICE] for start in range(0, len(rows), SLICE)]
        # What nobody waits for need not be found, claimed and marked by the relay.
        published = "$2" if await nobody_hears(self.uow, self.record.created.type) else _WAITING
        made: set[UUID] = set()
        building = asyncio.create_task(asyncio.to_thread(self._new, slices[0]))
        try:
            for following in [*slices[1:], None]:
                ready = await building
                if following is not None:
                    building = asyncio.create_task(asyncio.to_thread(self._new, following))
                made |= await self._insert(ready, published)
        finally:
            if not building.done():
                await asyncio.wait([building])  # a thread cannot be stopped
        return made

    async def _insert(self, ready: _Ready, published: str) -> set[UUID]:
        record = self.record
        arguments = [value for value in ready.shared.values() if value is not None]
        numbers = iter(range(_FIRST_SHARED, _FIRST_SHARED + len(arguments)))
        picked = [self.shape.cast(name) for name in ready.names]
        picked += [
            "NULL" if value is None else f"${next(numbers)}::{self.shape.types[name]}"
            for name, value in ready.shared.items()
        ]
        async with self._copied(ready.names, ready.records) as source:
            done = await self._run(
                f"WITH done AS (INSERT INTO {record.table} ({', '.join([*ready.names, *ready.shared])})"
                f" SELECT {', '.join(picked)} FROM {source} s"
                f" ON CONFLICT DO NOTHING RETURNING id){_BESIDE.format(source=source, published=published)}",
                "created",
                record.created.type,
                arguments,
            )
        return {row["id"] for row in done}

    def _new(self, rows: Sequence[ImportRow]) -> _Ready:
        """Complete the columns of new rows, and make audit entries and events of them."""
        untold = self.shape.untold
        for row in rows:
            row.values = untold | row.values
            row.values["tokens"] = row.search_tokens(self.record)
        columns = {name: [row.values[name] for row in rows] for name in self.shape.columns}
        shared = {name: held[0] for name, held in columns.items() if self._is_shared(name, held)}
        names = tuple(name for name in self.shape.columns if name not in shared)
        told = [name for name in self.shape.audited if shared.get(name, name) is not None]
        audit: list[str] = []
        events: list[str] = []
        for row in rows:
            values = row.values
            audit.append(_json({name: [None, values[name]] for name in told if values[name] is not None}))
            events.append(_wire(self._event(values, [])))
        copied = [self._wire_column(name, columns[name]) for name in names]
        return _Ready(names, list(zip(*copied, *self._beside(audit, events), strict=True)), shared)

    def _is_shared(self, name: str, held: list[Any]) -> bool:
        """Whether a column holds one value; in JSON, where 1 equals true, only nothing counts as the same."""
        if name in ("id", "tokens") or (name in self.shape.json_columns and held[0]):
            return False
        return held.count(held[0]) == len(held)

    async def update(self, rows: Sequence[ImportRow]) -> None:
        """Write changes; rows that change other columns keep what they have."""
        shape, record = self.shape, self.record
        touched = {name for row in rows for name in row.values} | {"tokens"}
        names = tuple(name for name in shape.columns if name in touched)
        changed = [self._changed(row) for row in rows]
        copied = [
            self._wire_column(name, [after[name] for after, _, _ in changed]) for name in ("id", *names)
        ]
        beside = self._beside([audit for _, audit, _ in changed], [event for _, _, event in changed])
        async with self._copied(("id", *names), list(zip(*copied, *beside, strict=True))) as source:
            sets = ", ".join(f"{name} = {shape.cast(name)}" for name in names)
            await self._run(
                f"WITH done AS (UPDATE {record.table} t SET {sets}, version = t.version + 1, updated_at = $2"
                f" FROM {source} s WHERE t.tenant_id = $1 AND t.id = s.id RETURNING t.id)"
                f"{_BESIDE.format(source=source, published=_WAITING)}",
                "updated",
                record.updated.type,
            )

    def _changed(self, row: ImportRow) -> tuple[dict[str, Any], str, str]:
        """A changed row's columns, audit entry and event."""
        record, before = self.record, row.existing.__dict__
        after = {**before, **row.values, "version": before["version"] + 1, "updated_at": self.uow.now}
        searched = any(name in row.values for name in record.search.columns)
        after["tokens"] = BETWEEN_TOKENS.join(record.search.tokens(after) if searched else before["tokens"])
        changes = {n: [before[n], after[n]] for n in self.shape.audited if before[n] != after[n]}
        fields = [name for name in record.fields if before[name] != after[name]]
        fields = [name for name in fields if name not in ("version", "updated_at")]
        return after, _json(changes), _wire(self._event(after, fields))

    def _event(self, values: dict[str, Any], changed: list[str]) -> dict[str, Any]:
        row: RecordTable = entity(self.record.model, values)
        return {
            "id": values["id"],
            "version": values["version"],
            "changed": changed,
            "record": self.record.render(row),
        }

    def _wire_column(self, name: str, held: list[Any]) -> list[Any]:
        if name in self.shape.json_columns:
            return [None if value is None else _json(value) for value in held]
        return held

    @staticmethod
    def _beside(audit: list[str], events: list[str]) -> Iterator[list[Any]]:
        """The side columns, in the order of `_SIDE_NAMES`."""
        yield [new_id() for _ in audit]
        yield audit
        yield [new_id() for _ in events]
        yield events

    @asynccontextmanager
    async def _copied(self, names: Sequence[str], records: Sequence[Any]) -> AsyncIterator[str]:
        source = f"import_{next(_numbers) % 64}"
        connection = self.uow.connection
        await connection.execute(self.shape.temporary(source, names))
        await connection.copy_records_to_table(source, records=records, columns=[*names, *_SIDE_NAMES])
        self.uow.statements += 2
        yield source
        await connection.execute(f"DROP TABLE {source}")

    async def _run(self, sql: str, action: str, event: str, more: Sequence[Any] = ()) -> list[asyncpg.Record]:
        uow, actor = self.uow, self.uow.actor
        who = (uow.tenant_id, uow.now, actor.kind, actor.id, actor.name, uow.request_id)
        self._calm.set()
        try:
            return await uow.fetch(sql, *who, self.record.object, action, event, *more)
        finally:
            self._calm.clear()


def columns_of(record: RecordType[Any]) -> tuple[str, ...]:
    """The columns of a record type's table."""
    model: type[RecordTable] = record.model
    return _columns_of(model)


def _json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS, default=str).decode()


def _wire(value: Any) -> str:
    return to_json(value).decode()
