"""Checking and indexing custom values, and the cache of definitions that makes it cheap.

A process keeps a tenant's definitions and asks after them at most once in `STALE_SECONDS`, by one number that
grows with every change. So a definition changed elsewhere is in force here within that time of its commit; the
process that made the change asks at every use until the change has settled. A tenant without custom fields pays
one small query in that time and nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from app.kernel.custom_fields.conditions import listing_field
from app.kernel.custom_fields.models import CustomField, FieldType, IndexState
from app.kernel.custom_fields.values import Indexed, Rule, ValueRefused, check_of, from_text, indexed
from app.kernel.errors import DuplicateValue, FieldError, Invalid
from app.kernel.listing import Field
from app.kernel.people import People
from app.kernel.statements import columns_of, entity
from app.kernel.uow import UnitOfWork

STALE_SECONDS: Final = 5.0
_SETTLING_SECONDS: Final = 2.0
_MAX_TENANTS: Final = 5_000
_MISSING: Final = object()


@dataclass(frozen=True)
class Cleaned:
    """Checked custom values: what to store as JSON, and the index rows that change with it."""

    stored: dict[str, Any]
    indexed: list[Indexed] = field(default_factory=list)


class Definition:
    """A field, ready to check values."""

    def __init__(self, row: CustomField) -> None:
        self.id = row.id
        self.key = row.key
        self.type = FieldType(row.type)
        self.required = row.required
        self.unique = row.is_unique
        self.default = row.default_value
        self.reference = row.reference
        self.indexed = row.is_indexed or row.is_unique
        self.complete = row.index_state == IndexState.READY
        self.labels: dict[str, str] = row.labels
        options = [option for option in row.options if not option.get("archived")]
        self.choices = tuple(option["key"] for option in row.options)
        self.option_names = {
            name.casefold(): option["key"]
            for option in options
            for name in (*option["labels"].values(), option["key"])
        }
        self.in_use = [option["key"] for option in options]
        self.check = check_of(self.type, Rule(**row.rule), self.in_use)

    def check_beside(self, value: Any, current: Any) -> Any:
        """As `check`; of a list, options that are out of use stay chosen where they are chosen."""
        if self.type is not FieldType.MULTI_SELECT or not isinstance(value, list) or not current:
            return self.check(value)
        kept = {one for one in current if one not in self.in_use and one in value}
        asked = [one for one in value if not (isinstance(one, str) and one in kept)]
        chosen = kept.union(self.check(asked) if asked or not kept else ())
        return [option for option in self.choices if option in chosen]

    def index_row(self, stored: Any) -> Indexed:
        return indexed(self.type, self.id, self.key, stored, unique=self.unique)


class ObjectFields:
    """The fields of one record type of one tenant that are in use."""

    def __init__(self, definitions: Sequence[Definition]) -> None:
        self.by_key = {definition.key: definition for definition in definitions}
        # What a new record must be asked for or given, besides what the caller sends.
        self.expected = [d for d in definitions if d.required or d.default is not None]
        self.listing: dict[str, Field] = {}
        self.plain: dict[str, Field] = {}  # without the index table: for rows that are not written yet
        for d in definitions:
            choices = d.choices if d.type is FieldType.SELECT else ()
            found = listing_field(d.key, d.type, d.id, indexed=d.indexed and d.complete, choices=choices)
            self.listing[found.name] = found
            self.plain[found.name] = listing_field(d.key, d.type, d.id, indexed=False, choices=choices)


_NO_FIELDS: Final = ObjectFields(())


@dataclass
class _TenantFields:
    stamp: int
    checked_at: float
    objects: dict[str, ObjectFields]


@dataclass
class _Draft:
    """One record's values on their way: checked by themselves, references still open."""

    stored: dict[str, Any]
    changed: dict[str, Any] = field(default_factory=dict)
    errors: list[FieldError] = field(default_factory=list)


class CustomFields:
    """Definitions of this process's tenants, and what follows from them for values."""

    def __init__(self, *, seconds: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._tenants: dict[UUID, _TenantFields] = {}
        self._unsettled: dict[UUID, float] = {}

    # -- definitions ---------------------------------------------------------------------------------------

    async def of(self, uow: UnitOfWork, object_name: str) -> ObjectFields:
        """The fields in use of a record type, at most `STALE_SECONDS` old."""
        tenant = self._tenants.get(uow.tenant_id)
        now = self._seconds()
        if tenant is None or now - tenant.checked_at > STALE_SECONDS or uow.tenant_id in self._unsettled:
            tenant = await self._refreshed(uow, tenant, now)
        return tenant.objects.get(object_name, _NO_FIELDS)

    async def reread(self, uow: UnitOfWork) -> None:
        """Know what is defined by now: for a job that another process has checked an order for."""
        await self._refreshed(uow, self._tenants.get(uow.tenant_id), self._seconds())

    def forget(self, tenant_id: UUID) -> None:
        """A definition is being changed by this process: ask the database until that has committed."""
        self._unsettled[tenant_id] = self._seconds() + _SETTLING_SECONDS

    async def _refreshed(self, uow: UnitOfWork, known: _TenantFields | None, now: float) -> _TenantFields:
        if self._unsettled.get(uow.tenant_id, now) < now:
            del self._unsettled[uow.tenant_id]
        row = await uow.fetchrow(
            "SELECT coalesce(sum(version), 0)::bigint AS stamp FROM kernel.custom_fields WHERE tenant_id = $1",
            uow.tenant_id,
        )
        stamp = int(row["stamp"]) if row else 0
        if known is None or known.stamp != stamp:
            known = _TenantFields(stamp, now, await self._load(uow) if stamp else {})
            if len(self._tenants) >= _MAX_TENANTS:
                self._tenants.clear()
            self._tenants[uow.tenant_id] = known
        known.checked_at = now
        return known

    async def _load(self, uow: UnitOfWork) -> dict[str, ObjectFields]:
        rows = await uow.fetch(
            f"SELECT {', '.join(columns_of(CustomField))} FROM kernel.custom_fields"
            " WHERE tenant_id = $1 AND archived_at IS NULL ORDER BY object, position, key",
            uow.tenant_id,
        )
        by_object: dict[str, list[Definition]] = {}
        for row in rows:
            by_object.setdefault(row["object"], []).append(Definition(entity(CustomField, row)))
        return {name: ObjectFields(definitions) for name, definitions in by_object.items()}

    async def listing_fields(self, uow: UnitOfWork, object_name: str) -> Mapping[str, Field]:
        """`custom.<key>` → how to filter, sort and select it."""
        return (await self.of(uow, object_name)).listing

    async def plain_fields(self, uow: UnitOfWork, object_name: str) -> Mapping[str, Field]:
        """As `listing_fields`, but asked of the record's own JSON only, never of the index table."""
        return (await self.of(uow, object_name)).plain

    # -- values --------------------------------------------------------------------------------------------

    async def clean(
        self,
        uow: UnitOfWork,
        object_name: str,
        given: Mapping[str, Any],
        *,
        current: Mapping[str, Any] | None = None,
        record_id: UUID | None = None,  # noqa: ARG002 - uniqueness is decided by `index`, without a race
    ) -> Cleaned:
        """Check what the caller gave and merge it into `current` (RFC 7396: null clears).

        Without `current` it is a new record: defaults are filled and required fields asked for. A value that
        stays as it is passes even if the definition became stricter. Raises: Invalid at `/custom/<key>`.
        """
        fields = await self.of(uow, object_name)
        if not given and (current is not None or not fields.expected):
            return Cleaned(dict(current or {}))
        draft = _draft(fields, given, current)
        await self._resolve(uow, fields, [draft])
        if draft.errors:
            raise _invalid(draft.errors)
        return _cleaned(fields, draft)

    async def as_stored(
        self, uow: UnitOfWork, object_name: str, stored: Mapping[str, Any], changed: Sequence[str]
    ) -> Cleaned:
        """Values that were checked when they were written first, and the index rows of the `changed` keys."""
        known = (await self.of(uow, object_name)).by_key
        if not known.keys() >= set(changed):
            # Fields that are archived keep their index, for when they come back.
            found = await uow.fetch(
                f"SELECT {', '.join(columns_of(CustomField))} FROM kernel.custom_fields"
                " WHERE tenant_id = $1 AND object = $2 AND key = ANY($3::text[])",
                uow.tenant_id,
                object_name,
                list(changed),
            )
            known = {row["key"]: Definition(entity(CustomField, row)) for row in found}
        rows = [
            known[key].index_row(stored.get(key)) for key in changed if key in known and known[key].indexed
        ]
        return Cleaned(dict(stored), rows)

    async def clean_many(
        self, uow: UnitOfWork, object_name: str, rows: Sequence[Mapping[str, Any]], *, texts: bool = False
    ) -> list[Cleaned | Invalid]:
        """The same for many new records, in the order given: each its values or what is wrong with it.

        With `texts` the values are cells of a file: numbers, yes and no, options by label are read from text;
        empty cells are absent. References are checked in one query per field.
        """
        fields = await self.of(uow, object_name)
        if not fields.by_key and not any(rows):
            return [Cleaned({}) for _ in rows]
        currency = uow.actor.tenant.currency
        drafts = [_draft(fields, _read_texts(fields, row, currency) if texts else row, None) for row in rows]
        await self._resolve(uow, fields, drafts)
        return [_invalid(draft.errors) if draft.errors else _cleaned(fields, draft) for draft in drafts]

    async def _resolve(self, uow: UnitOfWork, fields: ObjectFields, drafts: Sequence[_Draft]) -> None:
        """Look up the members and records that the values name."""
        for definition in fields.by_key.values():
            if definition.type not in (FieldType.MEMBER, FieldType.RECORD):
                continue
            named = [d for d in drafts if isinstance(d.changed.get(definition.key), str)]
            ids = {UUID(draft.changed[definition.key]) for draft in named}
            if not ids:
                continue
            if definition.type is FieldType.MEMBER:
                known = await _active_members(uow, ids)
                refusal = FieldError(
                    f"/custom/{definition.key}", "unknown_member", "This is no active member."
                )
            else:
                known = await _visible_records(uow, definition.reference or "", ids)
                refusal = FieldError(
                    f"/custom/{definition.key}",
                    "unknown_reference",
                    f"There is no such {definition.reference} that you may see.",
                )
            for draft in named:
                if UUID(draft.changed[definition.key]) not in known:
                    draft.errors.append(refusal)

    # -- the index -----------------------------------------------------------------------------------------

    async def index(self, uow: UnitOfWork, object_name: str, record_id: UUID, cleaned: Cleaned) -> None:
        """Write the index rows of a record's changed values. Raises: DuplicateValue at `/custom/<key>`."""
        refused = await self.index_many(uow, object_name, [(record_id, cleaned)])
        if refused:
            raise refused[record_id]

    async def index_many(
        self, uow: UnitOfWork, object_name: str, records: Sequence[tuple[UUID, Cleaned]]
    ) -> dict[UUID, DuplicateValue]:
        """Write the index rows of many records; those whose value another record has come back with the reason.

        The rows of a refused record that did not collide are written all the same: undo the record with it.
        """
        rows = [(record_id, value) for record_id, cleaned in records for value in cleaned.indexed]
        if not rows:
            return {}
        await uow.fetch(
            "DELETE FROM kernel.custom_values v USING unnest($2::uuid[], $3::uuid[]) AS g(field_id, record_id)"
            " WHERE v.tenant_id = $1 AND v.field_id = g.field_id AND v.record_id = g.record_id",
            uow.tenant_id,
            [value.field_id for _, value in rows],
            [record_id for record_id, _ in rows],
        )
        rows = [(record_id, value) for record_id, value in rows if not value.empty]
        missing = await _insert(uow, rows)
        if missing:
            await _release_deleted(uow, object_name, missing)
            missing = await _insert(uow, missing)
        return {record_id: already_taken(value.key) for record_id, value in missing}


def _draft(fields: ObjectFields, given: Mapping[str, Any], current: Mapping[str, Any] | None) -> _Draft:
    draft = _Draft(stored=dict(current or {}))
    for key, value in given.items():
        definition = fields.by_key.get(key)
        pointer = f"/custom/{key.replace('~', '~0').replace('/', '~1')}"
        if definition is None:
            draft.errors.append(FieldError(pointer, "unknown_field", "There is no such custom field here."))
        elif value is None and definition.required:
            draft.errors.append(FieldError(pointer, "required", "This is required and may not be cleared."))
        elif value is None:
            if draft.stored.pop(key, None) is not None:
                draft.changed[key] = None
        elif current is None or value != current.get(key, _MISSING):
            _set(draft, definition, value, pointer)
    if current is None:
        _complete(draft, fields)
    return draft


def _set(draft: _Draft, definition: Definition, value: Any, pointer: str) -> None:
    try:
        stored = definition.check_beside(value, draft.stored.get(definition.key))
    except ValueRefused as refusal:
        draft.errors.append(FieldError(pointer, refusal.code, refusal.detail))
    else:
        if draft.stored.get(definition.key, _MISSING) != stored:
            draft.stored[definition.key] = draft.changed[definition.key] = stored


def _complete(draft: _Draft, fields: ObjectFields) -> None:
    """Defaults and required fields of a new record."""
    refused = {error.pointer for error in draft.errors}
    for definition in fields.expected:
        pointer = f"/custom/{definition.key}"
        if definition.key in draft.stored or pointer in refused:
            continue
        if definition.default is not None:
            _set(draft, definition, definition.default, pointer)
        else:
            draft.errors.append(FieldError(pointer, "required", "This is required."))


def _cleaned(fields: ObjectFields, draft: _Draft) -> Cleaned:
    rows = [
        fields.by_key[key].index_row(stored)
        for key, stored in draft.changed.items()
        if fields.by_key[key].indexed
    ]
    return Cleaned(draft.stored, rows)


def _invalid(errors: Sequence[FieldError]) -> Invalid:
    return Invalid("; ".join(f"{e.pointer}: {e.detail}" for e in errors[:3]), errors=errors)


def already_taken(key: str) -> DuplicateValue:
    """The refusal of a value that another record has."""
    detail = f"Another record already has this {key}."
    return DuplicateValue(detail, errors=[FieldError(f"/custom/{key}", "duplicate_value", detail)])


def _read_texts(fields: ObjectFields, row: Mapping[str, Any], currency: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in row.items():
        definition = fields.by_key.get(key)
        if isinstance(value, str):
            if not value.strip():
                continue
            if definition is not None:
                value = from_text(definition.type, value, definition.option_names, currency)
        found[key] = value
    return found


async def _active_members(uow: UnitOfWork, ids: set[UUID]) -> set[UUID]:
    people = uow.of(People)
    try:
        return set(await people.require_members(ids, pointer="/custom"))
    except Invalid:
        # At least one is unknown; find out which, one by one: the slow path of a refused request.
        found: set[UUID] = set()
        for id in ids:
            try:
                found |= set(await people.require_members([id], pointer="/custom"))
            except Invalid:
                continue
        return found


async def _visible_records(uow: UnitOfWork, object_name: str, ids: set[UUID]) -> set[UUID]:
    record = uow.kernel.registry.record(object_name)
    if record is None or not uow.actor.may(f"{record.object}:read"):
        return set()
    # Held, so that none is deleted or merged away before the value that names it is there.
    return set(await record.service(uow).get_many(sorted(ids), lock=None if uow.read_only else "share"))


_INSERT = """
INSERT INTO kernel.custom_values (tenant_id, field_id, record_id, text_value, integer_value, decimal_value,
  date_value, moment_value, unique_key)
SELECT $1, * FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::bigint[], $6::numeric[], $7::date[],
  $8::timestamptz[], $9::text[])
ON CONFLICT DO NOTHING RETURNING field_id, record_id
"""


async def _insert(uow: UnitOfWork, rows: Sequence[tuple[UUID, Indexed]]) -> list[tuple[UUID, Indexed]]:
    """Insert index rows; those that met another record's unique value come back."""
    if not rows:
        return []
    values = [value for _, value in rows]
    written = await uow.fetch(
        _INSERT,
        uow.tenant_id,
        [value.field_id for value in values],
        [record_id for record_id, _ in rows],
        [value.text_value for value in values],
        [value.integer_value for value in values],
        [value.decimal_value for value in values],
        [value.date_value for value in values],
        [value.moment_value for value in values],
        [value.unique_key for value in values],
    )
    done = {(row["record_id"], row["field_id"]) for row in written}
    return [(record_id, value) for record_id, value in rows if (record_id, value.field_id) not in done]


async def _release_deleted(uow: UnitOfWork, object_name: str, rows: Sequence[tuple[UUID, Indexed]]) -> None:
    """Let go of unique values that only deleted records hold."""
    record = uow.kernel.registry.record(object_name)
    if record is None:
        return
    await uow.fetch(
        f"DELETE FROM kernel.custom_values v USING {record.table} t, unnest($2::uuid[], $3::text[])"
        " AS g(field_id, unique_key) WHERE v.tenant_id = $1 AND v.field_id = g.field_id"
        " AND v.unique_key = g.unique_key AND t.tenant_id = $1 AND t.id = v.record_id AND t.deleted_at IS NOT NULL",
        uow.tenant_id,
        [value.field_id for _, value in rows],
        [value.unique_key for _, value in rows],
    )
