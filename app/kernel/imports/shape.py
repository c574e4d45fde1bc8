"""What imported rows become for the statement that writes them: columns, audit entries and events, as they travel.

They travel as one text per column, its values joined: row-level security allows no COPY into a guarded table, making
a temporary one costs more than its rows, the driver looks at each item of an array several times, and this way a
conflict costs one row. A column that holds the same in all rows of a slice travels once, as one value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson
from sqlalchemy import ARRAY
from sqlalchemy.dialects.postgresql import JSONB

from app.kernel import db
from app.kernel.imports.rules import ImportRow, Told
from app.kernel.models import RecordTable
from app.kernel.records import RecordType, to_json
from app.kernel.statements import audited_columns, joined, picker, split, split_tokens
from app.kernel.statements import columns_of as _columns_of
from app.kernel.uow import UnitOfWork

Wire = str | Sequence[Any]
"""A column as the driver takes it: one joined text, or a list."""

_SIDE_COLUMNS = {"audit_id_": "uuid", "audit_": "text", "event_id_": "uuid", "event_": "text"}
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


@dataclass
class Shape:
    """New rows of a record type: their columns, the table's defaults, what is told of them, and how they travel.

    Made once per import.
    """

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
        """Columns of JSON, which travel as text and are cast on arrival."""
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
        return Told(columns, as_json(changes), as_wire(event))

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

    def sendable(self, columns: Mapping[str, Sequence[Any]]) -> tuple[dict[str, Wire], dict[str, Any]]:
        """The columns that travel value by value, and what the others hold throughout."""
        shared = {name: held[0] for name, held in columns.items() if self._is_shared(name, held)}
        return {n: self.wire_column(n, held) for n, held in columns.items() if n not in shared}, shared

    def _is_shared(self, name: str, held: Sequence[Any]) -> bool:
        """Whether a column holds one value; in JSON, where 1 equals true, only nothing counts as the same."""
        if name in ("id", "tokens") or (name in self.json_columns and held[0]):
            return False
        return held.count(held[0]) == len(held)

    def wire_column(self, name: str, held: Sequence[Any]) -> Wire:
        """A column's values: one joined text, or a list where PostgreSQL cannot read them back from `str`."""
        if name in self.json_columns:
            return joined([None if value is None else as_json(value) for value in held])
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


def columns_of(record: RecordType[Any]) -> tuple[str, ...]:
    """The columns of a record type's table."""
    model: type[RecordTable] = record.model
    return _columns_of(model)


def _array(items: Sequence[Any]) -> str:
    """An array as PostgreSQL reads it (manual, 8.15.6); of texts or of what needs no other text than its own."""
    quoted = (str(item).replace("\\", "\\\\").replace('"', '\\"') for item in items)
    return "{" + ",".join([f'"{item}"' for item in quoted]) + "}"


def as_json(value: Any) -> str:
    """What the audit log and columns of JSON keep."""
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS, default=str).decode()


def as_wire(value: Any) -> str:
    """What the API shows and events carry."""
    return to_json(value).decode()
