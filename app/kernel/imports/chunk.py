"""Writing one chunk of an import: every rule of a single write, in a handful of statements for all rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from uuid import UUID

import asyncpg

from app.kernel.access import visible_rows
from app.kernel.allowances import LimitName, PlanLimitReached
from app.kernel.constraints import problem_of
from app.kernel.custom_fields.keys import compared_or_none, unique_field
from app.kernel.custom_fields.store import Definition, already_taken
from app.kernel.custom_fields.values import CUSTOM, ValueRefused, from_text
from app.kernel.duplicate_imports import hold_forms
from app.kernel.duplicates import DuplicateAware
from app.kernel.errors import Invalid, Problem
from app.kernel.holding import taken_over
from app.kernel.imports.new_rows import NewRows
from app.kernel.imports.owners import Owners
from app.kernel.imports.rules import Form, ImportOptions, ImportRow, rules_of
from app.kernel.imports.sets import SetWriter
from app.kernel.imports.shape import columns_of
from app.kernel.imports.targets import Plan
from app.kernel.listing import Bindings
from app.kernel.locks import all_upserts, lock_name
from app.kernel.quality.guard import guard_rows
from app.kernel.statements import BETWEEN_TOKENS, entity, entity_over
from app.kernel.tabular import Fault

_ROW_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, TypeError, ValueError, OverflowError)
_numbers = count(1)


@dataclass
class Outcome:
    """What became of the rows of a chunk.

    `again` would change a record that the dry run has made and taken back: whether they differ from it, and whether
    this person may change it, is not known.
    """

    created: list[ImportRow] = field(default_factory=list)
    updated: list[tuple[ImportRow, int, dict[str, Any]]] = field(default_factory=list)  # row, version, before
    unchanged: list[ImportRow] = field(default_factory=list)
    again: list[ImportRow] = field(default_factory=list)
    failed: list[ImportRow] = field(default_factory=list)


class ChunkWriter:
    """Writes the rows of one chunk in the transaction at hand."""

    def __init__(
        self, sets: SetWriter, options: ImportOptions, *, key: str, owners: Owners, plan: Plan
    ) -> None:
        self.sets = sets
        self.uow = sets.uow
        self.shape = sets.shape
        self.plan = plan
        self.record = sets.record
        self.options = options
        self.key = key
        self.owners = owners
        self.unique: Definition | None = None
        self.service = self.record.service(sets.uow)
        self.rules = rules_of(self.service)
        self.new_rows = NewRows(self.shape, self.service, owners)
        self._taken: dict[Form, int] = {}  # unique values of this chunk, for a dry run

    async def write(self, rows: Sequence[ImportRow]) -> Outcome:
        """Apply every rule and write what passes. Rows keep their order; later ones see earlier ones."""
        outcome = Outcome()
        if self.options.mode != "create" and not self.options.dry_run:
            # Before the chunk holds anything else: what is not there now, nobody else makes meanwhile by its key.
            await lock_name(self.uow, all_upserts(self.record.object))
        if isinstance(self.service, DuplicateAware):
            await hold_forms(self.service, self.options)
        sound = [row for row in rows if not row.faults]
        await self.owners.resolve(self.uow, self.record.object, sound)
        await self.owners.resolve_custom(self.uow, self.plan.member_keys, sound)
        await self._read_keys(sound)
        for batch in self._passes([row for row in sound if not row.faults]):
            await self._write_distinct(batch, outcome)
        for row in sound:  # what the rules said of fields is told in the file's own words
            if row.faults:
                row.faults = self._in_words_of_file(row.faults)
            if row.warnings:
                row.warnings = self._in_words_of_file(row.warnings)
        outcome.failed = [row for row in rows if row.faults]
        if self.options.dry_run:
            given = [row for row in outcome.created if row.key is not None]
            self.options.earlier.lines.update((self._key_form(row), row.line) for row in given)
            self.options.earlier.lines.update(self._taken)
            self.options.earlier.forget({row.line for row in outcome.failed}, since=rows[0].line)
            self.options.earlier.trim()
        return outcome

    async def _read_keys(self, rows: Sequence[ImportRow]) -> None:
        """What each row is found by: a column's value, or what is compared of a unique custom field's."""
        if not self.key.startswith(CUSTOM):
            for row in rows:
                row.key = row.values.get(self.key)
            return
        self.unique = await unique_field(self.uow, self.record, self.key)
        for row in rows:
            row.key = compared_or_none(self.uow, self.unique, (row.custom or {}).get(self.unique.key))

    def _in_words_of_file(self, faults: Sequence[Fault]) -> list[Fault]:
        return [Fault(code, reason, self.plan.column_of(column)) for code, reason, column in faults]

    def _passes(self, rows: list[ImportRow]) -> Iterable[list[ImportRow]]:
        """Rows in passes without a repeated key, so that the second row of a key finds what the first made."""
        while rows:
            seen: set[Any] = set()
            batch: list[ImportRow] = []
            rest: list[ImportRow] = []
            for row in rows:
                if row.key is None:
                    batch.append(row)
                elif row.key in seen:
                    rest.append(row)
                else:
                    seen.add(row.key)
                    batch.append(row)
            yield batch
            rows = rest

    async def _write_distinct(self, rows: list[ImportRow], outcome: Outcome) -> None:
        """Rows without a repeated key. Those that only create ask for existing ones when one is in the way."""
        existing = {} if self.options.mode == "create" else await self._existing(rows)
        new: list[ImportRow] = []
        changes: list[ImportRow] = []
        for row in rows:
            self._route(row, existing.get(row.key), new=new, changes=changes, again=outcome.again)
        await self._create([row for row in new if not row.faults], outcome)
        await self._change([row for row in changes if not row.faults], outcome)

    def _route(
        self,
        row: ImportRow,
        found: Any,
        *,
        new: list[ImportRow],
        changes: list[ImportRow],
        again: list[ImportRow],
    ) -> None:
        """Decide whether a row makes a record or changes one, be it one that a dry run has taken back (`again`)."""
        mode = self.options.mode
        if mode == "update" and row.key is None:
            row.refuse(self.key, "required", f"An update needs {self.key}, which says what to update.")
        elif found is None:
            if mode == "update":
                row.refuse(self.key, "not_found", f"There is no record with this {self.key}.")
            elif self._was_before(row):
                if mode == "create":
                    self._refuse_key(row)
                else:
                    again.append(row)
            elif row.missing:
                row.faults += row.missing
            else:
                new.append(row)
        elif not found["allowed"]:
            row.refuse(self.key, "forbidden", "You may not change the record that has this value.")
        else:
            values = dict(found.items())
            del values["allowed"], values["found_by"]
            row.existing = entity(self.record.model, values)
            changes.append(row)

    def _refuse_key(self, row: ImportRow) -> None:
        row.refuse(self.key, "duplicate_value", f"Another record already has this {self.key}.")

    def _was_before(self, row: ImportRow) -> bool:
        """Whether a dry run has taken back a new record with this key."""
        if not self.options.dry_run or row.key is None:
            return False
        return self._key_form(row) in self.options.earlier.lines

    def _key_form(self, row: ImportRow) -> Form:
        return (f"key {self.key}", str(row.key))

    async def _existing(self, rows: Sequence[ImportRow]) -> dict[Any, Any]:
        """The live records that have one of the keys, locked in a fixed order."""
        keys = sorted({row.key for row in rows if row.key is not None})
        if not keys:
            return {}
        bind = Bindings(self.uow.tenant_id, keys)
        allowed: str | None = "false"
        lock = ""
        if self.options.mode != "create":
            allowed = visible_rows(self.uow.actor, self.record.object, "update", bind)
            lock = " FOR NO KEY UPDATE OF t"
        columns = ", ".join(f"t.{name}" for name in columns_of(self.record))
        if self.unique is None:
            kind, source, found_by = self.shape.types[self.key], "", f"t.{self.key} = k.value"
        else:
            kind, source = "text", "kernel.custom_values v, "
            found_by = (
                f"v.tenant_id = $1 AND v.field_id = {bind(self.unique.id)}::uuid AND v.unique_key = k.value"
                " AND t.id = v.record_id"
            )
        # One index probe per key: with `= ANY` a planner without statistics reads the whole tenant.
        found = await self.uow.fetch(
            f"SELECT r.*, k.value AS found_by FROM unnest($2::{kind}[]) k(value) CROSS JOIN LATERAL ("
            f"SELECT {columns}, {allowed or 'true'} AS allowed FROM {source}{self.record.table} t"
            f" WHERE t.tenant_id = $1 AND {found_by} AND t.deleted_at IS NULL LIMIT 1{lock}) r",
            *bind.values,
        )
        return {row["found_by"]: row for row in found}

    # -- new records ---------------------------------------------------------------------------------------

    async def _create(self, rows: list[ImportRow], outcome: Outcome) -> None:
        if not rows:
            return
        for row in rows:
            if not row.completed:
                self.new_rows.complete(row)
        await self._clean_custom(rows)
        sound = [row for row in rows if not row.faults]
        await self.rules.prepare_import(sound, self.options)
        await guard_rows(self.uow, self.record, sound)
        await self._keep_limit([row for row in sound if not row.faults])
        await self._index([(row.id, row) for row in sound if row.id is not None])
        made = await self._insert([row for row in sound if not row.faults])
        await self._unindex(sound)
        if not made:
            return
        self.uow.meter("records.created", len(made))
        await self.rules.after_import([entity_over(self.record.model, row.values) for row in made])
        outcome.created += made

    async def _keep_limit(self, rows: Sequence[ImportRow]) -> None:
        """Refuse the rows that the plan has no room for: the last ones, which can be imported later."""
        room = await self.uow.kernel.limits.room_for_records(self.uow, len(rows))
        if room < len(rows):
            allowance = self.uow.actor.tenant.allowance
            used = allowance.limits[LimitName.RECORDS].value
            refusal = PlanLimitReached.of(LimitName.RECORDS, used=used, allowance=allowance)
            for row in rows[room:]:
                row.refuse_by(refusal)

    async def _clean_custom(self, rows: Sequence[ImportRow]) -> None:
        """Check the custom fields of new rows; the values of unique ones are taken before the rows are made."""
        fields, uow = self.uow.kernel.custom_fields, self.uow
        if not any(row.custom for row in rows) and not (await fields.of(uow, self.record.object)).by_key:
            for row in rows:
                row.values["custom"] = {}
            return
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
        if self.options.dry_run:
            for id, row in rows:
                self._compare_unique(id, row)
        wanted = [(id, row.indexed) for id, row in rows if row.indexed is not None and not row.faults]
        if not wanted:
            return
        refused = await self.uow.kernel.custom_fields.index_many(self.uow, self.record.object, wanted)
        for id, row in rows:
            if id in refused:
                row.refuse_by(refused[id])

    def _compare_unique(self, id: UUID, row: ImportRow) -> None:
        """Refuse a unique value that another record had in a chunk before, which the dry run has taken back."""
        values = row.indexed.indexed if row.indexed is not None and not row.faults else ()
        lines, forms = self.options.earlier.lines, []
        for value in values:
            if value.unique_key is None:
                continue
            whole, own = (f"unique {value.field_id}", value.unique_key), (f"unique {id}", value.unique_key)
            if whole in lines and own not in lines:
                row.refuse_by(already_taken(value.key))
                return
            forms += [whole, own] if row.existing is not None else [whole]
        self._taken.update((form, row.line) for form in forms)

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
                left_out = await self.sets.insert(rows)
        except _ROW_ERRORS as error:
            if not _blames_a_row(error):
                raise
            if len(rows) == 1:
                rows[0].refuse_by(_row_problem(error))
                return []
            middle = len(rows) // 2
            return await self._insert(rows[:middle]) + await self._insert(rows[middle:])
        if not left_out:
            return rows
        await self._explain_conflicts([row for row in rows if row.id in left_out])
        return [row for row in rows if row.id not in left_out]

    async def _explain_conflicts(self, rows: Sequence[ImportRow]) -> None:
        """Say which unique value stands in the way of each row that ON CONFLICT left out."""
        existing = await self._existing(rows)
        for row in rows:
            if row.key in existing:
                self._refuse_key(row)
        rows = [row for row in rows if not row.faults]
        for row in rows:
            try:
                async with self.uow.savepoint():
                    tokens = row.values["tokens"].split(BETWEEN_TOKENS)
                    values = {name: row.values[name] for name in self.shape.columns}
                    await self.uow.insert(self.record.model, **values | {"tokens": tokens})
                    raise _Unexplained
            except asyncpg.PostgresError as error:
                row.refuse_by(problem_of(error))
            except _Unexplained:  # whoever stood in the way is gone; the next import of the row succeeds
                row.refuse(None, "duplicate_value", "Another record had the same unique value.")

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
            before = row.existing.__dict__  # what only says how to make a record is no column of it
            row.values = {n: value for n, value in row.values.items() if n in before and before[n] != value}
            (changed if row.values else outcome.unchanged).append(row)
        await guard_rows(self.uow, self.record, changed)
        changed = [row for row in changed if not row.faults]
        await self.rules.complete_import_updates(changed)
        await self._index([(row.existing.id, row) for row in changed])
        updated = await self._update([row for row in changed if not row.faults])
        if updated:
            await self.rules.after_import_updates(updated)
        for row in updated:
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
                await self.sets.update(rows)
        except _ROW_ERRORS as error:
            if not _blames_a_row(error):
                raise
            if len(rows) == 1:
                rows[0].refuse_by(_row_problem(error))
                return []
            middle = len(rows) // 2
            return await self._update(rows[:middle]) + await self._update(rows[middle:])
        return rows


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
