"""Rows as sets: with their audit entries and events they go into the tables in one statement.

They travel as one text per column, its values joined: row-level security allows no COPY into a guarded table, making
a temporary one costs more than its rows, the driver looks at each item of an array several times, and this way a
conflict costs one row. A column that holds the same in all rows of a set travels once, as one value. New rows go in
slices, which the reader packs ahead; while the server writes one, the next is compared with what was packed, or made
ready anew, in a thread.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import is_
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import orjson
from sqlalchemy import ARRAY
from sqlalchemy.dialects.postgresql import JSONB

from app.kernel import db
from app.kernel.ids import new_ids
from app.kernel.imports.rules import Calm, ImportRow, Told
from app.kernel.models import RecordTable
from app.kernel.outbox import nobody_hears
from app.kernel.records import RecordType, to_json
from app.kernel.statements import BETWEEN_TOKENS, audited_columns, joined, picker, split, split_tokens
from app.kernel.statements import columns_of as _columns_of
from app.kernel.uow import UnitOfWork

T = TypeVar("T")
FIRST_SLICE = 100  # the server waits while it is made ready
SLICE = 400

_TEXT_LIKE = (
    "TEXT",
    "VARCHAR",
    "UUID",
    "BIGINT",
    "INTEGER",
    "SMALLINT",
    "BOOLEAN",
    "NUMERIC",
    "TIMESTAMP",
    "DATE",
)
_SIDE_COLUMNS = {"audit_id_": "uuid", "audit_": "text", "event_id_": "uuid", "event_": "text"}
_FIRST_FREE = 10  # arguments before are who, what and when

_BESIDE = """, audit AS (
  INSERT INTO kernel.audit_entries
    (tenant_id, id, at, actor_kind, actor_id, actor_name, request_id, object, record_id, action, changes)
  SELECT $1, s.audit_id_, $2, $3, $4, $5, $6, $7, s.id, $8, s.audit_::jsonb FROM s JOIN done USING (id)
), events AS (
  INSERT INTO kernel.outbox
    (tenant_id, id, at, actor_kind, actor_id, request_id, type, object, record_id, data, published_at)
  SELECT $1, s.event_id_, $2, $3, $4, $6, $9, $7, s.id, s.event_::jsonb, {published}
  FROM s JOIN done USING (id)
)
SELECT id FROM s WHERE id NOT IN (SELECT id FROM done)"""
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
        """What every column holds where a row says nothing, the columns as `jsonb` orders keys.

        Rows keep this order, and what is told of them but for the late columns: keys out of order cost the server a
        sort for each event and entry (docs/adr/0012).
        """
        ordered = sorted(self.columns, key=lambda name: (len(name), name))
        return {name: self.defaults.get(name) for name in ordered}

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

    @cached_property
    def late(self) -> tuple[str, ...]:
        """Columns of numbers that rules put last (`info={"late": True}`), which are told last, too."""
        table = self.record.model.__table__
        return tuple(name for name in self.columns if table.c[name].info.get("late"))

    @cached_property
    def early(self) -> tuple[str, ...]:
        """All columns but the late ones."""
        return tuple(name for name in self.columns if name not in self.late)

    _picked = cached_property(lambda self: picker(self.early))
    _audited = cached_property(lambda self: frozenset(self.audited))

    def told_of(self, row: ImportRow) -> Told:
        """What is told of a new row with all its columns: what was made ready, unless a rule changed one since."""
        if row.told is None:
            row.values = self.untold | row.values
        values = row.values
        values["tokens"] = row.search_tokens(self.record)
        columns = self._picked(values)
        if row.told is not None and row.told.columns == columns:
            return row.told
        known = self._audited
        changes = {
            name: [None, value] for name, value in values.items() if value is not None and name in known
        }
        event = self.event_of(values, [])
        for name in self.late:
            event["record"].pop(name, None)
        return Told(columns, _json(changes), _wire(event))

    def told_last(self, row: ImportRow, event: str) -> str:
        """A new row's event with the late columns, which close its record."""
        for name in self.late:
            if name in self.record.fields:
                event = f'{event[:-2]},"{name}":{row.values[name]}}}}}'
        return event

    def event_of(self, values: Mapping[str, Any], changed: Sequence[str]) -> dict[str, Any]:
        """The data of a record's event, from its columns."""
        record = dict(values)  # a copy without some costs a sixth of picking all the others one by one
        for name in self._no_fields:
            record.pop(name, None)
        if len(record) != len(self.record.fields):
            record = self.record.rendered(values)
        else:
            record = self.record.with_money(record, values)
        return {"id": values["id"], "version": values["version"], "changed": changed, "record": record}

    @cached_property
    def _no_fields(self) -> tuple[str, ...]:
        """What a row in hand holds beside the fields of its record."""
        return tuple({*self.columns, *self.record.create.model_fields} - self.record.fields.keys())

    def cast(self, name: str) -> str:
        """A column that travelled as the table wants it."""
        if name == "tokens":
            return split_tokens("s.tokens")
        if name in self.array_columns:
            return f"s.{name}::{self.types[name]}"
        return f"s.{name}::jsonb" if name in self.json_columns else f"s.{name}"

    @cached_property
    def array_columns(self) -> frozenset[str]:
        """Columns of arrays, which travel as text: arrays of several lengths make no array."""
        table = self.record.model.__table__
        return frozenset(
            name for name in self.columns if isinstance(table.c[name].type, ARRAY) and name != "tokens"
        )

    @cached_property
    def text_like(self) -> frozenset[str]:
        """Columns whose values PostgreSQL reads back from what `str` makes of them."""
        as_text = {"tokens", *self.json_columns, *self.array_columns}
        return frozenset(n for n in self.columns if n in as_text or self.types[n].startswith(_TEXT_LIKE))

    def packed(self, told: Sequence[Told]) -> Packed:
        """The columns of new rows but the late ones, as they travel."""
        columns = zip(*[one.columns for one in told], strict=True)
        return Packed(told, *self.sendable(dict(zip(self.early, columns, strict=True))))

    def sendable(self, columns: Mapping[str, Sequence[Any]]) -> tuple[dict[str, Wire], dict[str, Any]]:
        """Columns as they travel, and those of them that travel once: what all rows have there."""
        shared = {name: held[0] for name, held in columns.items() if self._is_shared(name, held)}
        return {n: self.wire_column(n, held) for n, held in columns.items() if n not in shared}, shared

    def _is_shared(self, name: str, held: Sequence[Any]) -> bool:
        """Whether a column holds one value; in JSON, where 1 equals true, only nothing counts as the same."""
        if name in ("id", "tokens") or (name in self.json_columns and held[0]):
            return False
        return held.count(held[0]) == len(held)

    def wire_column(self, name: str, held: Sequence[Any]) -> Wire:
        """A column's values as they travel: as one text where that says the same."""
        if name in self.json_columns:
            return joined([None if value is None else _json(value) for value in held])
        if name in self.array_columns:
            return joined([None if value is None else _array(value) for value in held])
        return joined(held) if name in self.text_like else held

    def travelling(self, names: Iterable[str], values: Sequence[Any], first: int) -> str:
        """The CTE `s` of the rows that arguments from number `first` on carry, joined or as an array."""
        as_text = {"tokens", *self.json_columns, *self.array_columns}
        kinds = {name: "text" if name in as_text else self.types[name] for name in names} | _SIDE_COLUMNS
        arrays = [
            split(number, kind, value)
            for number, (kind, value) in enumerate(zip(kinds.values(), values, strict=True), first)
        ]
        rows = f"unnest({', '.join(arrays)}) AS s({', '.join(kinds)})"
        return f"WITH s AS MATERIALIZED (SELECT * FROM {rows})"


Wire = str | Sequence[Any]


@dataclass(frozen=True, slots=True)
class Packed:
    """New rows on the guess that nothing changes what is `told` of them: the columns that travel, and the shared."""

    told: Sequence[Told]
    sent: dict[str, Wire]
    shared: dict[str, Any]

    def holds(self, told: Sequence[Told]) -> bool:
        """Whether it is of these rows."""
        return len(told) == len(self.told) and all(map(is_, told, self.told))


@dataclass(frozen=True, slots=True)
class _Ready:
    """A set made ready: the columns that travel, the side columns, and those of one value in all rows."""

    sent: dict[str, Wire]
    beside: list[Wire]
    shared: dict[str, Any]


def slices(rows: Sequence[T]) -> list[Sequence[T]]:
    """New rows as they are written one after the other."""
    return [rows[:FIRST_SLICE], *(rows[n : n + SLICE] for n in range(FIRST_SLICE, len(rows), SLICE))]


class SetWriter:
    """Writes sets of rows of one record type in the transaction at hand."""

    def __init__(self, uow: UnitOfWork, shape: Shape, calm: Calm, packed: deque[Packed]) -> None:
        self.uow = uow
        self.shape = shape
        self.record = shape.record
        self._calm = calm
        self._packed = packed

    async def insert(self, rows: Sequence[ImportRow]) -> set[UUID]:
        """Insert new rows; the ids of those that a unique key kept out."""
        parts = deque(slices(rows))
        # What nobody waits for need not be found, claimed and marked by the relay.
        published = "$2" if await nobody_hears(self.uow, self.record.created.type) else _WAITING
        left_out: set[UUID] = set()
        building: asyncio.Task[_Ready] | None = self._built(parts)
        try:
            while building is not None:
                ready = await building
                building = self._built(parts) if parts else None
                left_out |= await self._insert(ready, published)
        finally:
            if building is not None and not building.done():
                await asyncio.wait([building])  # a thread cannot be stopped
        return left_out

    def _built(self, parts: deque[Sequence[ImportRow]]) -> asyncio.Task[_Ready]:
        """The next part made ready in a thread. What was packed of it goes with it, as soon as it is written."""
        packed = self._packed.popleft() if self._packed else None
        return asyncio.create_task(asyncio.to_thread(self._new, parts.popleft(), packed))

    async def _insert(self, ready: _Ready, published: str) -> set[UUID]:
        record = self.record
        shared = [value for value in ready.shared.values() if value is not None]
        values = [*ready.sent.values(), *ready.beside]
        first = _FIRST_FREE + len(shared)
        numbers = iter(range(_FIRST_FREE, first))
        picked = [self.shape.cast(name) for name in ready.sent]
        picked += [
            "NULL" if value is None else f"${next(numbers)}::{self.shape.types[name]}"
            for name, value in ready.shared.items()
        ]
        left_out = await self._run(
            f"{self.shape.travelling(ready.sent, values, first)}"
            f", done AS (INSERT INTO {record.table} ({', '.join([*ready.sent, *ready.shared])})"
            f" SELECT {', '.join(picked)} FROM s"
            f" ON CONFLICT DO NOTHING RETURNING id){_BESIDE.format(published=published)}",
            "created",
            record.created.type,
            *shared,
            *values,
        )
        return {row["id"] for row in left_out}

    def _new(self, rows: Sequence[ImportRow], packed: Packed | None) -> _Ready:
        """The columns of new rows with their audit entries and events."""
        told = [self.shape.told_of(row) for row in rows]
        for row in rows:
            row.told = None  # the larger part of a row: what is made of it now takes its place
        if packed is None or not packed.holds(told):
            packed = self.shape.packed(told)
        sent, shared = self.shape.sendable({n: [row.values[n] for row in rows] for n in self.shape.late})
        events = [self.shape.told_last(row, one.event) for row, one in zip(rows, told, strict=True)]
        beside = list(self._beside([one.audit for one in told], events))
        return _Ready(packed.sent | sent, beside, packed.shared | shared)

    async def update(self, rows: Sequence[ImportRow]) -> None:
        """Write changes; rows that change other columns keep what they have."""
        shape, record = self.shape, self.record
        touched = {name for row in rows for name in row.values} | {"tokens"}
        names = tuple(name for name in shape.columns if name in touched)
        changed = [self._changed(row) for row in rows]
        copied = [
            self.shape.wire_column(name, [after[name] for after, _, _ in changed]) for name in ("id", *names)
        ]
        beside = self._beside([audit for _, audit, _ in changed], [event for _, _, event in changed])
        sets = ", ".join(f"{name} = {shape.cast(name)}" for name in names)
        values = [*copied, *beside]
        await self._run(
            f"{shape.travelling(('id', *names), values, _FIRST_FREE)}"
            f", done AS (UPDATE {record.table} t SET {sets}, version = t.version + 1, updated_at = $2"
            f" FROM s WHERE t.tenant_id = $1 AND t.id = s.id RETURNING t.id)"
            f"{_BESIDE.format(published=_WAITING)}",
            "updated",
            record.updated.type,
            *values,
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
        return after, _json(changes), _wire(self.shape.event_of(after, fields))

    @staticmethod
    def _beside(audit: list[str], events: list[str]) -> Iterator[Wire]:
        """The side columns, in the order of `_SIDE_COLUMNS`."""
        yield joined(new_ids(len(audit)))
        yield audit  # long texts, which the server would have to search for what stands between them
        yield joined(new_ids(len(events)))
        yield events

    async def _run(self, sql: str, action: str, event: str, *more: Any) -> list[asyncpg.Record]:
        uow, actor = self.uow, self.uow.actor
        who = (uow.tenant_id, uow.now, actor.kind, actor.id, actor.name, uow.request_id)
        with self._calm.during():
            return await uow.fetch(sql, *who, self.record.object, action, event, *more)


def columns_of(record: RecordType[Any]) -> tuple[str, ...]:
    """The columns of a record type's table."""
    model: type[RecordTable] = record.model
    return _columns_of(model)


def _array(items: Sequence[Any]) -> str:
    """An array as PostgreSQL reads it (manual, 8.15.6); of texts or of what needs no other text than its own."""
    quoted = (str(item).replace("\\", "\\\\").replace('"', '\\"') for item in items)
    return "{" + ",".join([f'"{item}"' for item in quoted]) + "}"


def _json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS, default=str).decode()


def _wire(value: Any) -> str:
    return to_json(value).decode()
