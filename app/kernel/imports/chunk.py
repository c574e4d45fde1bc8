"""Writing one chunk of an import: every rule of a single write, in a handful of statements for all rows.

Rows go by COPY into a temporary table and from there, with their audit entries and events, into the tables in
one statement. Row-level security allows no COPY into a guarded table, and this way a conflict costs one row.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from typing import Any
from uuid import UUID

import asyncpg
import orjson
from sqlalchemy.dialects.postgresql import JSONB

from app.kernel import db
from app.kernel.access import visible_rows
from app.kernel.bulk import RECORDED
from app.kernel.constraints import problem_of
from app.kernel.custom_fields.values import ValueRefused, from_text
from app.kernel.errors import Invalid, Problem
from app.kernel.holding import received, taken_over
from app.kernel.ids import new_id
from app.kernel.imports.owners import Owners
from app.kernel.imports.rules import ImportOptions, ImportRow, rules_of
from app.kernel.imports.targets import Plan
from app.kernel.listing import Bindings
from app.kernel.models import RecordTable
from app.kernel.quality.guard import guard_rows
from app.kernel.records import RecordType, to_json
from app.kernel.statements import NOT_AUDITED, entity
from app.kernel.statements import columns_of as _columns_of
from app.kernel.uow import UnitOfWork

_ROW_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, TypeError, ValueError, OverflowError)
_numbers = count(1)


@dataclass
class Outcome:
    """What became of the rows of a chunk."""

    created: list[ImportRow] = field(default_factory=list)
    updated: list[tuple[ImportRow, int, dict[str, Any]]] = field(default_factory=list)  # row, version, before
    unchanged: list[ImportRow] = field(default_factory=list)
    failed: list[ImportRow] = field(default_factory=list)


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
        table = self.record.model.__table__
        return tuple(
            name
            for name in columns_of(self.record)
            if name not in NOT_AUDITED and not table.c[name].info.get("secret", False)
        )

    def cast(self, name: str) -> str:
        """A column of the temporary table as the table wants it."""
        if name == "tokens":
            return f"string_to_array(s.tokens, {_BETWEEN_TOKENS_SQL})"
        return f"s.{name}::jsonb" if name in self.json_columns else f"s.{name}"

    def _kind(self, name: str) -> str:
        return "text" if name in self.json_columns or name == "tokens" else self.types[name]

    def temporary(self, table: str, names: Iterable[str]) -> str:
        """CREATE of the table that COPY fills."""
        kinds = ", ".join(f"{name} {self._kind(name)}" for name in names)
        return f"CREATE TEMPORARY TABLE {table} ({kinds}, {_SIDE_COLUMNS}) ON COMMIT DROP"


# Tokens travel joined: the driver takes longer over an array's items than the server over splitting them.
_BETWEEN_TOKENS = "\x1f"
_BETWEEN_TOKENS_SQL = "E'\\x1f'"
_SIDE_COLUMNS = "n_ int, audit_id_ uuid, audit_ text, event_id_ uuid, event_ text"
_SIDE_NAMES = ("n_", "audit_id_", "audit_", "event_id_", "event_")


class ChunkWriter:
    """Writes the rows of one chunk in the transaction at hand."""

    def __init__(
        self, uow: UnitOfWork, shape: Shape, options: ImportOptions, *, key: str, owners: Owners, plan: Plan
    ) -> None:
        self.uow = uow
        self.shape = shape
        self.plan = plan
        self.record = shape.record
        self.options = options
        self.key = key
        self.owners = owners
        self.service = self.record.service(uow)
        self.rules = rules_of(self.service)

    async def write(self, rows: Sequence[ImportRow]) -> Outcome:
        """Apply every rule and write what passes. Rows keep their order; later ones see earlier ones."""
        outcome = Outcome()
        sound = [row for row in rows if not row.faults]
        await self.owners.resolve(self.uow, self.record.object, sound)
        for batch in self._passes([row for row in sound if not row.faults]):
            await self._write_distinct(batch, outcome)
        for row in sound:  # what the rules said of fields is told in the file's own words
            row.faults = [fault._replace(column=self.plan.column_of(fault.column)) for fault in row.faults]
            row.warnings = [
                fault._replace(column=self.plan.column_of(fault.column)) for fault in row.warnings
            ]
        outcome.failed = [row for row in rows if row.faults]
        return outcome

    def _passes(self, rows: list[ImportRow]) -> Iterable[list[ImportRow]]:
        """Rows in passes without a repeated key, so that the second row of a key finds what the first made."""
        while rows:
            seen: set[Any] = set()
            batch: list[ImportRow] = []
            rest: list[ImportRow] = []
            for row in rows:
                value = row.values.get(self.key)
                if value is None:
                    batch.append(row)
                elif value in seen:
                    rest.append(row)
                else:
                    seen.add(value)
                    batch.append(row)
            yield batch
            rows = rest

    async def _write_distinct(self, rows: list[ImportRow], outcome: Outcome) -> None:
        """Rows without a repeated key. Those that only create ask for existing ones when one is in the way."""
        existing = {} if self.options.mode == "create" else await self._existing(rows)
        new: list[ImportRow] = []
        changes: list[ImportRow] = []
        for row in rows:
            self._route(row, existing.get(row.values.get(self.key)), new, changes)
        await self._create([row for row in new if not row.faults], outcome)
        await self._change([row for row in changes if not row.faults], outcome)

    def _route(self, row: ImportRow, found: Any, new: list[ImportRow], changes: list[ImportRow]) -> None:
        """Decide whether a row makes a record or changes one."""
        mode = self.options.mode
        if mode == "update" and row.values.get(self.key) is None:
            row.refuse(self.key, "required", f"An update needs {self.key}, which says what to update.")
        elif found is None:
            if mode == "update":
                row.refuse(self.key, "not_found", f"There is no record with this {self.key}.")
            elif row.missing:
                row.faults += row.missing
            else:
                new.append(row)
        elif not found["allowed"]:
            row.refuse(self.key, "forbidden", "You may not change the record that has this value.")
        else:
            values = dict(found.items())
            values.pop("allowed")
            row.existing = entity(self.record.model, values)
            changes.append(row)

    async def _existing(self, rows: Sequence[ImportRow]) -> dict[Any, Any]:
        """The live records that have one of the keys, locked in a fixed order."""
        keys = sorted({row.values[self.key] for row in rows if row.values.get(self.key) is not None})
        if not keys:
            return {}
        bind = Bindings(self.uow.tenant_id, keys)
        allowed: str | None = "false"
        lock = ""
        if self.options.mode != "create":
            allowed = visible_rows(self.uow.actor, self.record.object, "update", bind)
            lock = " FOR NO KEY UPDATE OF t"
        columns = ", ".join(f"t.{name}" for name in columns_of(self.record))
        # One index probe per key: with `= ANY` a planner without statistics reads the whole tenant.
        found = await self.uow.fetch(
            f"SELECT r.* FROM unnest($2::{self.shape.types[self.key]}[]) k(value) CROSS JOIN LATERAL ("
            f"SELECT {columns}, {allowed or 'true'} AS allowed FROM {self.record.table} t"
            f" WHERE t.tenant_id = $1 AND t.{self.key} = k.value AND t.deleted_at IS NULL LIMIT 1{lock}) r",
            *bind.values,
        )
        return {row[self.key]: row for row in found}

    # -- new records ---------------------------------------------------------------------------------------

    async def _create(self, rows: list[ImportRow], outcome: Outcome) -> None:
        if not rows:
            return
        actor, now = self.uow.actor, self.uow.now
        for row in rows:
            row.id = new_id()
            self.owners.complete(row, actor)
            row.values |= {
                "tenant_id": self.uow.tenant_id,
                "id": row.id,
                "version": 1,
                "created_at": row.values.get("created_at") or now,
                "updated_at": now,
                "created_by": actor.member_id,
            }
            if self.record.held:
                row.values |= received(row.values["owner_id"], now)
        await self._clean_custom(rows)
        sound = [row for row in rows if not row.faults]
        await self.rules.prepare_import(sound, self.options)
        await guard_rows(self.uow, self.record, sound)
        await self._index([(row.id, row) for row in sound if row.id is not None])
        made = await self._insert([row for row in sound if not row.faults])
        await self._unindex(sound)
        if not made:
            return
        self.uow.meter("records.created", len(made))
        await self.rules.after_import([entity(self.record.model, row.values) for row in made])
        outcome.created += made

    async def _clean_custom(self, rows: Sequence[ImportRow]) -> None:
        """Check the custom fields of new rows; the values of unique ones are taken before the rows are made."""
        fields, uow = self.uow.kernel.custom_fields, self.uow
        found = await fields.clean_many(
            uow, self.record.object, [row.custom or {} for row in rows], texts=True
        )
        for row, cleaned in zip(rows, found, strict=True):
            if isinstance(cleaned, Problem):
                row.refuse_by(cleaned)
            else:
                row.values["custom"] = cleaned.stored
                row.indexed = cleaned if cleaned.indexed else None

    async def _index(self, rows: Sequence[tuple[UUID, ImportRow]]) -> None:
        """Write the index rows of custom fields; a row whose unique value is taken is refused."""
        wanted = [(id, row.indexed) for id, row in rows if row.indexed is not None and not row.faults]
        if not wanted:
            return
        refused = await self.uow.kernel.custom_fields.index_many(self.uow, self.record.object, wanted)
        for id, row in rows:
            if id in refused:
                row.refuse_by(refused[id])

    async def _unindex(self, rows: Sequence[ImportRow]) -> None:
        """Give back what rows took that were not made after all."""
        ids = [row.id for row in rows if row.indexed is not None and row.faults]
        if ids:
            await self.uow.fetch(
                "DELETE FROM kernel.custom_values WHERE tenant_id = $1 AND record_id = ANY($2::uuid[])",
                self.uow.tenant_id,
                ids,
            )

    async def _insert(self, rows: list[ImportRow]) -> list[ImportRow]:
        """Insert all; where the database refuses the set, halve it until the rows at fault stand alone."""
        if not rows:
            return []
        try:
            async with self.uow.savepoint():
                made = await self._insert_set(rows)
        except _ROW_ERRORS as error:
            if not _blames_a_row(error):
                raise
            if len(rows) == 1:
                rows[0].refuse_by(_row_problem(error))
                return []
            middle = len(rows) // 2
            return await self._insert(rows[:middle]) + await self._insert(rows[middle:])
        if len(made) < len(rows):
            await self._explain_conflicts([row for row in rows if row.id not in made])
        return [row for row in rows if row.id in made]

    async def _explain_conflicts(self, rows: Sequence[ImportRow]) -> None:
        """Say which unique value stands in the way of each row that ON CONFLICT left out."""
        existing = await self._existing(rows)
        for row in rows:
            if row.values.get(self.key) in existing:
                row.refuse(self.key, "duplicate_value", f"Another record already has this {self.key}.")
        rows = [row for row in rows if not row.faults]
        for row in rows:
            try:
                async with self.uow.savepoint():
                    await self.uow.insert(self.record.model, **{n: row.values[n] for n in self.shape.columns})
                    raise _Unexplained
            except asyncpg.PostgresError as error:
                row.refuse_by(problem_of(error))
            except _Unexplained:  # whoever stood in the way is gone; the next import of the row succeeds
                row.refuse(None, "duplicate_value", "Another record had the same unique value.")

    async def _insert_set(self, rows: Sequence[ImportRow]) -> set[UUID]:
        shape, record = self.shape, self.record
        names, defaults = shape.columns, shape.defaults
        records = []
        for n, row in enumerate(rows):
            values = row.values
            for name in names:
                if name not in values:
                    values[name] = defaults.get(name)
            values["tokens"] = row.search_tokens(record)
            changes = {name: [None, values[name]] for name in shape.audited if values.get(name) is not None}
            event: dict[str, Any] = {
                "id": row.id,
                "version": 1,
                "changed": [],
                "record": self._rendered(values),
            }
            records.append(
                (*self._copied(values, names), n, new_id(), _json(changes), new_id(), _wire(event))
            )
        columns = ", ".join(names)
        async with self._copied_table(names, records) as source:
            picked = ", ".join(shape.cast(name) for name in names)
            done = await self._run(
                f"WITH done AS (INSERT INTO {record.table} ({columns}) SELECT {picked} FROM {source} s"
                f" ORDER BY s.n_ ON CONFLICT DO NOTHING RETURNING id){RECORDED.format(source=source)}",
                "created",
                record.created.type,
            )
        return {row["id"] for row in done}

    def _rendered(self, values: dict[str, Any]) -> dict[str, Any]:
        row: RecordTable = entity(self.record.model, values)
        return self.record.render(row)

    def _copied(self, values: dict[str, Any], names: Sequence[str]) -> list[Any]:
        json_columns = self.shape.json_columns
        found = [values[name] for name in names]
        for place, name in enumerate(names):
            if name == "tokens":
                found[place] = _BETWEEN_TOKENS.join(found[place])
            elif name in json_columns and found[place] is not None:
                found[place] = _json(found[place])
        return found

    @asynccontextmanager
    async def _copied_table(self, names: Sequence[str], records: Sequence[Any]) -> AsyncIterator[str]:
        source = f"import_{next(_numbers) % 64}"
        connection = self.uow.connection
        await connection.execute(self.shape.temporary(source, names))
        await connection.copy_records_to_table(source, records=records, columns=[*names, *_SIDE_NAMES])
        self.uow.statements += 2
        yield source
        await connection.execute(f"DROP TABLE {source}")

    async def _run(self, sql: str, action: str, event: str) -> list[asyncpg.Record]:
        uow, actor = self.uow, self.uow.actor
        return await uow.fetch(
            sql,
            uow.tenant_id,
            uow.now,
            actor.kind,
            actor.id,
            actor.name,
            uow.request_id,
            self.record.object,
            action,
            event,
        )

    # -- changes of records --------------------------------------------------------------------------------

    async def _change(self, rows: list[ImportRow], outcome: Outcome) -> None:
        changed: list[ImportRow] = []
        for row in rows:
            row.values = {name: row.values[name] for name in row.values if self._was_given(row, name)}
            row.values.pop(self.key, None)
            self.owners.complete_change(row, self.uow.actor, self.record.object)
            if self.record.held:
                row.values |= taken_over(row.existing.__dict__, row.values, self.uow.now)
        rows = [row for row in rows if not row.faults]
        await self.rules.prepare_import_updates(rows, self.options)
        for row in rows:
            await self._clean_changed_custom(row)
            if row.faults:
                continue
            before = row.existing.__dict__
            row.values = {name: value for name, value in row.values.items() if before[name] != value}
            (changed if row.values else outcome.unchanged).append(row)
        await guard_rows(self.uow, self.record, changed)
        changed = [row for row in changed if not row.faults]
        await self.rules.complete_import_updates(changed)
        await self._index([(row.existing.id, row) for row in changed])
        for row in await self._update([row for row in changed if not row.faults]):
            before = {name: row.existing.__dict__[name] for name in row.values}
            outcome.updated.append((row, row.existing.version + 1, before))

    def _was_given(self, row: ImportRow, name: str) -> bool:
        """Whether the file names this column, itself or as the currency of an amount it names."""
        if name in row.given:
            return True
        return any(
            field_name in row.given and currency == name
            for field_name, currency in self.record.currencies.items()
        ) or (name == "currency" and name not in self.record.create.model_fields)

    async def _clean_changed_custom(self, row: ImportRow) -> None:
        if not row.custom or row.faults:
            return
        uow, object_name = self.uow, self.record.object
        fields = uow.kernel.custom_fields
        known = (await fields.of(uow, object_name)).by_key
        given: dict[str, Any] = {}
        for key, value in row.custom.items():
            given[key] = value
            if key in known and isinstance(value, str):
                try:
                    given[key] = from_text(
                        known[key].type, value, known[key].option_names, uow.actor.tenant.currency
                    )
                except ValueRefused as refusal:
                    row.refuse(f"custom.{key}", refusal.code, refusal.detail)
        try:
            cleaned = await fields.clean(
                uow, object_name, given, current=row.existing.custom, record_id=row.existing.id
            )
        except Problem as problem:
            row.refuse_by(problem)
            return
        row.values["custom"] = cleaned.stored
        if cleaned.indexed:
            row.indexed = cleaned

    async def _update(self, rows: list[ImportRow]) -> list[ImportRow]:
        if not rows:
            return []
        try:
            async with self.uow.savepoint():
                await self._update_set(rows)
        except _ROW_ERRORS as error:
            if not _blames_a_row(error):
                raise
            if len(rows) == 1:
                rows[0].refuse_by(_row_problem(error))
                return []
            middle = len(rows) // 2
            return await self._update(rows[:middle]) + await self._update(rows[middle:])
        return rows

    async def _update_set(self, rows: Sequence[ImportRow]) -> None:
        shape, record = self.shape, self.record
        touched = {name for row in rows for name in row.values} | {"tokens"}
        names = [name for name in shape.columns if name in touched]
        records = []
        for n, row in enumerate(rows):
            before = row.existing.__dict__
            after = {**before, **row.values, "version": before["version"] + 1, "updated_at": self.uow.now}
            if any(name in row.values for name in record.search.columns):
                after["tokens"] = record.search.tokens(after)
            changes = {n_: [before[n_], after[n_]] for n_ in shape.audited if before[n_] != after[n_]}
            changed = [name for name in record.fields if before[name] != after[name]]
            event = {
                "id": after["id"],
                "version": after["version"],
                "changed": [name for name in changed if name not in ("version", "updated_at")],
                "record": self._rendered(after),
            }
            copied = self._copied(after, ["id", *names])
            records.append((*copied, n, new_id(), _json(changes), new_id(), _wire(event)))
        async with self._copied_table(["id", *names], records) as source:
            sets = ", ".join(f"{name} = {shape.cast(name)}" for name in names)
            await self._run(
                f"WITH done AS (UPDATE {record.table} t SET {sets}, version = t.version + 1, updated_at = $2"
                f" FROM {source} s WHERE t.tenant_id = $1 AND t.id = s.id RETURNING t.id)"
                f"{RECORDED.format(source=source)}",
                "updated",
                record.updated.type,
            )


def columns_of(record: RecordType[Any]) -> tuple[str, ...]:
    """The columns of a record type's table."""
    model: type[RecordTable] = record.model
    return _columns_of(model)


class _Unexplained(Exception):
    """An insert that was to fail did not."""


def _blames_a_row(error: BaseException) -> bool:
    """Whether the values are at fault, and not the server or the moment."""
    if isinstance(error, asyncpg.PostgresError):
        return problem_of(error).status < 500
    return not isinstance(error, asyncpg.InterfaceError) or isinstance(error, ValueError)


def _row_problem(error: BaseException) -> Problem:
    if isinstance(error, asyncpg.PostgresError):
        return problem_of(error)
    return Invalid("A value of this row cannot be stored.")


def _json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS, default=str).decode()


def _wire(value: Any) -> str:
    return to_json(value).decode()
