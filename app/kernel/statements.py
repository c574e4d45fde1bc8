"""SQL text of the unit of work, made from mapped classes once per shape: declared names only, values are bound."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache
from operator import itemgetter
from typing import Any, Literal, TypeVar

import asyncpg
from sqlalchemy import DateTime, LargeBinary
from sqlalchemy.orm import configure_mappers

from app.kernel.db import DIALECT
from app.kernel.models import Base, TenantOwned, Versioned, qualified

M = TypeVar("M", bound=TenantOwned)
Lock = Literal["update", "share", "exclusive"] | None
"""`share` keeps a row from going away, `update` from being changed, `exclusive` also from being referred to."""
LOCKING = {None: "", "update": " FOR NO KEY UPDATE", "share": " FOR KEY SHARE", "exclusive": " FOR UPDATE"}


@dataclass(frozen=True, slots=True)
class LateWrite:
    """A statement that travels with others: who builds it, of which table and columns, with how many arguments."""

    build: Callable[[type[Base], tuple[str, ...], int], str]  # its first argument has that number
    model: type[Base]
    names: tuple[str, ...]
    arguments: int

    @property
    def answers(self) -> bool:
        """Whether it answers one row if it did its work."""
        return self.build is not insert_many

    @property
    def inserts(self) -> bool:
        """Whether it makes new rows and touches no others."""
        return self.build in (insert_one, insert_many)


def entity(model: type[M], row: Mapping[str, Any] | asyncpg.Record) -> M:
    """A typed, read-only instance of a mapped class; assigning to it raises."""
    made = model.__new__(model)
    made.__dict__.update(row.items())
    return made


def picker(names: Sequence[str]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    """Takes the values of these names out of a mapping."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda values: tuple([values[name] for name in names])


def entity_over(model: type[M], row: dict[str, Any]) -> M:
    """As `entity`, without a copy: the row's columns are the dictionary itself, which nobody may change any more."""
    made = model.__new__(model)
    made.__dict__ = row
    return made


def entities(model: type[M], rows: Iterable[asyncpg.Record]) -> list[M]:
    return [entity(model, row) for row in rows]


@cache
def columns_of(model: type[Base]) -> tuple[str, ...]:
    """Column names of a mapped class, in table order."""
    configure_mappers()  # attributes of a mapped class read nothing before
    return tuple(column.name for column in model.__table__.columns)


@cache
def required_columns(model: type[Base]) -> frozenset[str]:
    """Columns that may not be null."""
    return frozenset(column.name for column in model.__table__.columns if not column.nullable)


@cache
def audited_columns(model: type[Base]) -> frozenset[str]:
    """Columns whose changes the audit log shows: not secrets, not what every change touches, not what only
    repeats another column in another form: that would show what a role hides."""
    columns = model.__table__.columns
    kept_out = ("secret", "derived")
    return frozenset(
        c.name for c in columns if not c.info.keys() & set(kept_out) and c.name not in NOT_AUDITED
    )


NOT_AUDITED = frozenset({"tenant_id", "id", "version", "created_at", "updated_at", "tokens", "created_by"})


@cache
def point_read(model: type[Base], lock: Lock, deleted: bool) -> str:
    tail = "" if deleted or "deleted_at" not in columns_of(model) else " AND deleted_at IS NULL"
    tail += LOCKING[lock]
    return f"SELECT {', '.join(columns_of(model))} FROM {qualified(model)} WHERE tenant_id = $1 AND id = $2{tail}"


@lru_cache(maxsize=1_000)
def rows_by_id(
    model: type[Base],
    readable: str | None,
    allowed: str | None,
    lock: Lock,
    names: tuple[str, ...] = (),
    *,
    one: bool = False,
) -> str:
    """Live rows of a tenant (`$1`) by their ids (`$2`) that satisfy `readable`, with whether they are `allowed`.

    Only the columns of these `names`, or all of them. With `one`, `$2` is the only id: to a planner that has seen a
    small table, several are as well found among all of the tenant's rows, and such a plan may be kept.
    """
    columns = ", ".join(f"t.{name}" for name in names or columns_of(model))
    wanted, order = ("$2", "") if one else ("ANY($2::uuid[])", " ORDER BY t.id")
    return (
        f"SELECT {columns}, {allowed or 'true'} AS allowed FROM {qualified(model)} t"
        f" WHERE t.tenant_id = $1 AND t.id = {wanted} AND t.deleted_at IS NULL"
        f"{f' AND {readable}' if readable else ''}"
        f"{f'{order}{LOCKING[lock]} OF t' if lock else ''}"
    )


@cache
def by_texts(table: str, column: str, columns: str, *, live: bool = True) -> str:
    """The tenant's (`$1`) row of each of many texts (`$2`) in a column that an index holds, one probe for each.

    `= ANY` compares each of the tenant's rows with each of the texts, where the plan is kept. A range of one text, in
    the column's order, makes even a planner that has seen an empty table take the index of this column.
    """
    alive = " AND t.deleted_at IS NULL" if live else ""
    return (
        f"SELECT k.value AS {column}, found.* FROM unnest($2::text[]) AS k(value) CROSS JOIN LATERAL"
        f" (SELECT {columns} FROM {table} t WHERE t.tenant_id = $1"
        f" AND t.{column} >= k.value AND t.{column} <= k.value{alive} ORDER BY t.{column} LIMIT 1) found"
    )


def rows_of(found: str, *columns: str) -> str:
    """The rows of a CTE, under its own name, for an UPDATE or DELETE that joins them with the table by its key.

    A planner that has seen no such rows takes a CTE for one row, and meets every row of it with every row of the
    company: all pairs, for as long as the plan is kept. Arrays it takes for ten, where a hash table costs less
    whatever it knows of the table, and the key less still where that is large. What else must be as it was found is
    compared by `IS NOT DISTINCT FROM`, which no index serves: one that does might be taken instead of the key's.
    A CTE that is read more than once is kept, so that the arrays agree by position.
    """
    arrays = ", ".join(f"ARRAY(SELECT {column} FROM {found})" for column in columns)
    return f"unnest({arrays}) AS {found}({', '.join(columns)})"


@lru_cache(maxsize=4_000)
def insert_returning(model: type[Base], names: tuple[str, ...]) -> str:
    places = ", ".join(f"${number}" for number in range(1, len(names) + 1))
    returning = ", ".join(columns_of(model))
    return f"INSERT INTO {qualified(model)} ({', '.join(names)}) VALUES ({places}) RETURNING {returning}"


@lru_cache(maxsize=1_000)
def insert_many(model: type[Base], names: tuple[str, ...], first: int = 1) -> str:
    """Rows of these columns from one JSON array.

    The driver takes longer over the items of arrays than the server over JSON.
    """
    kinds = [f"{name} {_kind_in_json(model, name)}" for name in names]
    listed = ", ".join(names)
    return (
        f"INSERT INTO {qualified(model)} ({listed})"
        f" SELECT {listed} FROM jsonb_to_recordset(${first}::jsonb) AS u({', '.join(kinds)})"
    )


@cache
def binary_columns(model: type[Base]) -> frozenset[str]:
    """Columns of bytes, which travel in JSON as the hexadecimal text that PostgreSQL reads."""
    return frozenset(c.name for c in model.__table__.columns if isinstance(c.type, LargeBinary))


def _kind_in_json(model: type[Base], name: str) -> str:
    """The SQL type of a column whose values JSON carries without loss. Raises `TypeError` for others."""
    kind: str = model.__table__.c[name].type.compile(dialect=DIALECT)
    if kind == "INTERVAL":
        raise TypeError(f"{name}: {kind} columns cannot go through insert_many")
    return kind


@lru_cache(maxsize=4_000)
def update_returning(model: type[Base], names: tuple[str, ...]) -> str:
    return f"{_update_statement(model, names, 1)} RETURNING {', '.join(columns_of(model))}"


def _update_statement(model: type[Base], names: tuple[str, ...], first: int) -> str:
    """Arguments from number `first`: tenant, id, the new values, then the version read and the time."""
    sets = [f"{name} = ${number}" for number, name in enumerate(names, first + 2)]
    where = f"tenant_id = ${first} AND id = ${first + 1}"
    if issubclass(model, Versioned):
        version = first + 2 + len(names)
        sets += ["version = version + 1", f"updated_at = ${version + 1}"]
        where += f" AND version = ${version}"
    return f"UPDATE {qualified(model)} SET {', '.join(sets)} WHERE {where}"


@cache
def moment_columns(model: type[Base]) -> tuple[str, ...]:
    """Columns that hold times."""
    return tuple(c.name for c in model.__table__.columns if isinstance(c.type, DateTime))


def in_utc(value: Any) -> Any:
    """Times as the database gives them back."""
    if isinstance(value, datetime) and value.tzinfo is not UTC:
        return value.astimezone(UTC)
    return value


@dataclass(frozen=True, slots=True)
class SideEffect:
    """A table that is written beside the rows: columns that the actor and the moment fill, and those of each row."""

    table: str
    shared: Mapping[str, str]  # column → argument that all side effects share
    columns: Mapping[str, str]  # column → SQL type, as JSON carries it

    def one(self, first: int) -> str:
        """One row, of arguments from number `first`: the server need not take it out of JSON."""
        values = [
            *self.shared.values(),
            *(f"${number}" for number in range(first, first + len(self.columns))),
        ]
        return f"INSERT INTO {self.table} ({self._names}) VALUES ({', '.join(values)})"

    def many(self, number: int) -> str:
        """The rows of one JSON array."""
        values = [*self.shared.values(), *(f"e.{name}" for name in self.columns)]
        kinds = ", ".join(f"{name} {kind}" for name, kind in self.columns.items())
        return (
            f"INSERT INTO {self.table} ({self._names}) SELECT {', '.join(values)}"
            f" FROM jsonb_to_recordset(${number}::jsonb) AS e({kinds})"
        )

    @property
    def _names(self) -> str:
        return ", ".join((*self.shared, *self.columns))


_WHO = "($1::uuid, $2::timestamptz, $3::text, $4::uuid, $5::text, $6::text)"
_ROW = {"tenant_id": "$1", "at": "$2", "actor_kind": "$3", "actor_id": "$4"}
SIDE_EFFECTS: Mapping[str, SideEffect] = {
    "audit": SideEffect(
        "kernel.audit_entries",
        {**_ROW, "actor_name": "$5", "request_id": "$6"},
        {
            "id": "uuid", "object": "text", "record_id": "uuid", "action": "text", "changes": "jsonb",
            "reason": "text",
        },
    ),
    "events": SideEffect(
        "kernel.outbox",
        {**_ROW, "request_id": "$6"},
        {"id": "uuid", "type": "text", "object": "text", "record_id": "uuid", "data": "jsonb"},
    ),
    "usage": SideEffect(
        "kernel.usage_records",
        {"tenant_id": "$1", "at": "$2"},
        {"id": "uuid", "metric": "text", "quantity": "bigint"},
    ),
    "answers": SideEffect(
        "kernel.idempotency_keys",
        {"tenant_id": "$1", "created_at": "$2"},
        {
            "principal_id": "uuid", "method": "text", "path": "text", "key": "text", "request_hash": "text",
            "status": "int", "headers": "jsonb", "body": "text",
        },
    ),
    "jobs": SideEffect(
        "kernel.jobs",
        {"tenant_id": "$1", "created_at": "$2", "actor_kind": "$3", "actor_id": "$4", "request_id": "$6"},
        {"id": "uuid", "name": "text", "payload": "jsonb", "run_at": "timestamptz", "session_id": "uuid"},
    ),
}  # fmt: skip


def side_arguments(name: str, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
    """The rows of one kind of side effect as `side_effects` takes them: one by its columns, several as JSON."""
    if len(rows) > 1:
        return [rows]
    return [rows[0].get(column) for column in SIDE_EFFECTS[name].columns]


@lru_cache(maxsize=1_000)
def side_effects(
    present: tuple[tuple[str, bool], ...], late: tuple[LateWrite, ...] = (), answer: str = "1"
) -> str:
    """One statement for the kinds of side effects at hand, each with whether it has one row, and for late writes.

    An absent kind costs nothing. It answers a row unless a late write that should have answered one did not: of the
    select list `answer`, which may be about the row `t` of the first late write, if that is an `update_whole`.
    """
    ctes: list[str] = []
    first = 1
    if present:
        # Nothing reads it: it gives the shared arguments their types.
        ctes.append(f"who (tenant, now, kind, actor, name, request) AS (VALUES {_WHO})")
        first = 7
    for name, alone in present:
        effect = SIDE_EFFECTS[name]
        ctes.append(f"{name} AS ({effect.one(first) if alone else effect.many(first)})")
        first += len(effect.columns) if alone else 1
    answering = ""
    for place, one in enumerate(late):
        ctes.append(f"late_{place} AS ({one.build(one.model, one.names, first)})")
        first += one.arguments
        if one.answers:
            answering += f", late_{place}" if answering else f" FROM late_{place} t"
    return f"WITH {', '.join(ctes)} SELECT {answer}{answering}"


@lru_cache(maxsize=1_000)
def insert_one(model: type[Base], names: tuple[str, ...], first: int) -> str:
    places = ", ".join(
        split_tokens(f"${number}") if name == "tokens" else f"${number}"
        for number, name in enumerate(names, first)
    )
    return f"INSERT INTO {qualified(model)} ({', '.join(names)}) VALUES ({places}) RETURNING 1"


# Search tokens travel joined: the driver takes longer over an array's items than the server over splitting them.
BETWEEN_TOKENS = "\x1f"


def split_tokens(sql: str) -> str:
    """SQL of joined tokens as the array that they are."""
    return f"string_to_array({sql}, E'\\x1f')"


_BETWEEN, _NOTHING = "\x1e", "\x1d"  # what stands between joined values, and for null


def joined(values: Sequence[Any]) -> str | Sequence[Any]:
    """Values as one text for `split`; as they are where the text would not say the same.

    The driver looks at each item of an array several times, which takes longer than all else about short ones.
    """
    texts = [_NOTHING if value is None else value if type(value) is str else str(value) for value in values]
    found = _BETWEEN.join(texts)
    clear = found and found.count(_BETWEEN) == len(texts) - 1 and _NOTHING not in values
    return found if clear else values


def split(number: int, kind: str, value: str | Sequence[Any]) -> str:
    """SQL of the array of some SQL type that argument `number` carries, as `joined` made it."""
    if not isinstance(value, str):
        return f"${number}::{kind}[]"
    cast = "" if kind == "text" else f"::{kind}[]"
    return f"string_to_array(${number}, E'\\x1e', E'\\x1d'){cast}"


def insert_arguments(values: Mapping[str, Any]) -> list[Any]:
    """The values of a row as `insert_one` takes them."""
    if "tokens" in values:
        values = {**values, "tokens": BETWEEN_TOKENS.join(values["tokens"])}
    return list(values.values())


@lru_cache(maxsize=4_000)
def update_one(model: type[Base], names: tuple[str, ...], first: int) -> str:
    return _update_statement(model, names, first) + " RETURNING 1"


@lru_cache(maxsize=1_000)
def update_whole(model: type[Base], names: tuple[str, ...], first: int) -> str:
    """As `update_one`, answering the row as it is then."""
    return _update_statement(model, names, first) + " RETURNING *"
