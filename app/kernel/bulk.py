"""Many rows in one statement: COPY into a temporary table, and from there into the tables with audit and events.

Row-level security allows no COPY into a guarded table. Files of any shape go through kernel/imports, which checks and
matches each row; this is for callers that have complete rows already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import count
from typing import Any
from uuid import UUID

from sqlalchemy.dialects.postgresql import JSONB

from app.kernel.db import DIALECT
from app.kernel.ids import new_id
from app.kernel.models import TenantOwned, qualified
from app.kernel.records import RecordType, to_json
from app.kernel.statements import audited_columns, columns_of, entity
from app.kernel.uow import UnitOfWork

_numbers = count(1)

RECORDED = """, audit AS (
  INSERT INTO kernel.audit_entries
    (tenant_id, id, at, actor_kind, actor_id, actor_name, request_id, object, record_id, action, changes)
  SELECT $1, s.audit_id_, $2, $3, $4, $5, $6, $7, s.id, $8, s.audit_::jsonb FROM {source} s JOIN done USING (id)
), events AS (
  INSERT INTO kernel.outbox (tenant_id, id, at, actor_kind, actor_id, request_id, type, object, record_id, data)
  SELECT $1, s.event_id_, $2, $3, $4, $6, $9, $7, s.id, s.event_::jsonb FROM {source} s JOIN done USING (id)
)
SELECT id FROM done"""
"""The audit entries and events of the rows `done`, from the columns that travel beside them.

Arguments: tenant, time, the actor's kind, id and name, request, object, action, type of the event.
"""
_WITH_EFFECTS = (
    "WITH done AS ({insert} SELECT {cast} FROM {source} s ON CONFLICT DO NOTHING RETURNING id)" + RECORDED
)


async def insert_rows(uow: UnitOfWork, model: type[TenantOwned], rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows of one shape, each with every column but the tenant's."""
    if rows:
        names = tuple(rows[0])
        await _copied(
            uow,
            model,
            names,
            [_values(model, names, row) for row in rows],
            "{insert} SELECT {cast} FROM {source} s",
        )


async def insert_records(
    uow: UnitOfWork, record: RecordType[Any], rows: Sequence[Mapping[str, Any]]
) -> set[UUID]:
    """Insert complete rows of a record type with their audit entries and events; the ids of those that were made.

    A row whose unique value is taken is left out.
    """
    if not rows:
        return set()
    model: type[TenantOwned] = record.model
    names = columns_of(model)
    audited = audited_columns(model)
    packed = []
    for row in rows:
        changes = {name: [None, row[name]] for name in audited if row[name] is not None}
        event = {"id": row["id"], "version": 1, "changed": [], "record": record.render(entity(model, row))}
        beside = (new_id(), to_json(changes).decode(), new_id(), to_json(event).decode())
        packed.append((*_values(model, names, row), *beside))
    actor = uow.actor
    made = await _copied(
        uow, model, names, packed, _WITH_EFFECTS, uow.now, actor.kind, actor.id, actor.name, uow.request_id,
        record.object, "created", record.created.type,
    )  # fmt: skip
    uow.meter("records.created", len(made))
    return {row["id"] for row in made}


async def _copied(
    uow: UnitOfWork,
    model: type[TenantOwned],
    names: tuple[str, ...],
    packed: Sequence[tuple[Any, ...]],
    sql: str,
    *arguments: Any,
) -> list[Any]:
    """COPY packed rows into a temporary table and run `sql` from there; `$1` is the tenant.

    Plans are made anew: the one that checks a foreign key may be from when the table was empty, when every index
    looked as good as the primary key, and would read all of the tenant's rows for each new one.
    """
    await uow.settle()
    source = f"bulk_{next(_numbers) % 64}"
    effects = sql is _WITH_EFFECTS
    kinds = [f"{name} {kind}" for name, kind in zip(names, _kinds(model, names), strict=True)]
    beside = ["audit_id_ uuid", "audit_ text", "event_id_ uuid", "event_ text"] if effects else []
    connection = uow.connection
    await connection.execute(
        f"DISCARD PLANS; CREATE TEMPORARY TABLE {source} ({', '.join(kinds + beside)}) ON COMMIT DROP"
    )
    columns = [*names, *(one.partition(" ")[0] for one in beside)]
    await connection.copy_records_to_table(source, records=packed, columns=columns)
    uow.statements += 2
    own = [name for name in names if name != "tenant_id"]
    cast = ", ".join(["$1::uuid", *(_cast(model, name) for name in own)])
    insert = f"INSERT INTO {qualified(model)} (tenant_id, {', '.join(own)})"
    found = await uow.fetch(sql.format(insert=insert, cast=cast, source=source), uow.tenant_id, *arguments)
    await connection.execute(f"DROP TABLE {source}")
    return found


@cache
def _kinds(model: type[TenantOwned], names: tuple[str, ...]) -> tuple[str, ...]:
    """SQL types of the temporary table: JSON travels as text, for COPY knows no text form of our codec."""
    table = model.__table__
    return tuple(
        "text" if isinstance(table.c[name].type, JSONB) else table.c[name].type.compile(dialect=DIALECT)
        for name in names
    )


@cache
def _json_places(model: type[TenantOwned], names: tuple[str, ...]) -> tuple[int, ...]:
    table = model.__table__
    return tuple(place for place, name in enumerate(names) if isinstance(table.c[name].type, JSONB))


def _cast(model: type[TenantOwned], name: str) -> str:
    return f"s.{name}::jsonb" if isinstance(model.__table__.c[name].type, JSONB) else f"s.{name}"


def _values(model: type[TenantOwned], names: tuple[str, ...], row: Mapping[str, Any]) -> tuple[Any, ...]:
    found = [row[name] for name in names]
    for place in _json_places(model, names):
        if found[place] is not None:
            found[place] = to_json(found[place]).decode()
    return tuple(found)
