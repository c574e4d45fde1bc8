"""Defining custom fields: create, change, archive, restore, and filling the index of a field that gets one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import func, select

from app.kernel.custom_fields.models import CustomField, FieldType, IndexState
from app.kernel.custom_fields.schemas import (
    CustomFieldCreate,
    CustomFieldRead,
    CustomFieldUpdate,
    FieldOption,
    FieldOptionRead,
    FieldRuleRead,
)
from app.kernel.custom_fields.store import STALE_SECONDS, Cleaned, Definition
from app.kernel.custom_fields.values import INDEXABLE, UNIQUE, Rule, ValueRefused, check_of
from app.kernel.errors import Conflict, Invalid, StaleVersion
from app.kernel.registry import JobKind
from app.kernel.uow import UnitOfWork

MAX_FIELDS: Final = 200
_BATCH: Final = 2_000
# Every process knows of the change by then, so that no write passes the index by.
_BACKFILL_DELAY: Final = timedelta(seconds=2 * STALE_SECONDS)


class TooManyCustomFields(Conflict):
    code = "too_many_custom_fields"
    title = "This record type has as many custom fields as it may have"


class Definitions:
    """The tenant's custom fields, as the settings screen edits them."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow

    async def list(self, object_name: str | None, *, archived: bool) -> list[CustomField]:
        """All definitions, of one record type if named, in the order of the form."""
        statement = self.uow.select(CustomField)
        if object_name is not None:
            statement = statement.where(CustomField.object == self._object(object_name, "object"))
        if not archived:
            statement = statement.where(CustomField.archived_at.is_(None))
        return await self.uow.all(
            statement.order_by(CustomField.object, CustomField.position, CustomField.key)
        )

    async def get(self, id: UUID) -> CustomField:
        return await self.uow.get(CustomField, id)

    async def create(self, body: CustomFieldCreate) -> CustomField:
        """Add a field. Raises: Invalid, DuplicateValue at `/key`, TooManyCustomFields."""
        object_name = self._object(body.object, "/object")
        await self._room_for_one(object_name)
        columns = {
            "object": object_name,
            "key": body.key,
            "type": body.type.value,
            "labels": body.labels,
            "help": body.help,
            "required": body.required,
            "is_unique": body.unique,
            "is_indexed": body.indexed,
            # Nothing has a value yet, so an index is complete from the start.
            "index_state": (IndexState.READY if body.unique or body.indexed else IndexState.NONE).value,
            "conflicts": 0,
            "default_value": body.default,
            "rule": body.rule.model_dump(),
            "options": _options(body.options),
            "reference": self._reference(body),
            "position": body.position,
        }
        columns["default_value"] = _checked(columns)
        made = await self.uow.insert(CustomField, audit="custom_field", archived_at=None, **columns)
        self.uow.kernel.custom_fields.forget(self.uow.tenant_id)
        return made

    async def update(self, id: UUID, body: CustomFieldUpdate, *, expected_version: int) -> CustomField:
        """Change a field; values that records have stay. Raises: Invalid, StaleVersion."""
        row = await self._locked(id, expected_version)
        given = {name: getattr(body, name) for name in body.model_fields_set}
        for name, value in given.items():
            if value is None and name != "default":
                raise Invalid.at(f"/{name}", "required", f"{name} may not be null.")
        changes = {_COLUMNS.get(name, name): value for name, value in given.items()}
        if body.rule is not None:
            changes["rule"] = body.rule.model_dump()
        if body.options is not None:
            changes["options"] = _options(_kept(row, body.options))
        planned = {**row.__dict__, **changes}
        planned["default_value"] = _checked(planned)
        changes["default_value"] = planned["default_value"]
        return await self._store(row, changes | self._index_plan(row, planned))

    def _index_plan(self, row: CustomField, planned: dict[str, Any]) -> dict[str, Any]:
        wanted = planned["is_unique"] or planned["is_indexed"]
        if not wanted:
            return {"index_state": IndexState.NONE.value, "conflicts": 0}
        has_it = row.is_unique or row.is_indexed
        if has_it and planned["is_unique"] == row.is_unique:
            return {}
        run_at = self.uow.now + _BACKFILL_DELAY
        self.uow.enqueue("custom_fields.index", {"field_id": str(row.id)}, run_at=run_at)
        return {"index_state": IndexState.BUILDING.value, "conflicts": 0}

    async def archive(self, id: UUID, *, expected_version: int) -> CustomField:
        """Take a field out of use: no longer written, filtered or required; records keep their values."""
        row = await self._locked(id, expected_version)
        return await self._store(row, {"archived_at": row.archived_at or self.uow.now})

    async def restore(self, id: UUID, *, expected_version: int) -> CustomField:
        """Bring an archived field back, with the values that records kept. Raises: TooManyCustomFields."""
        row = await self._locked(id, expected_version)
        if row.archived_at is not None:
            await self._room_for_one(row.object)
        return await self._store(row, {"archived_at": None})

    async def _store(self, row: CustomField, changes: dict[str, Any]) -> CustomField:
        after = await self.uow.update(row, audit="custom_field", **changes)
        self.uow.kernel.custom_fields.forget(self.uow.tenant_id)
        return after

    async def _locked(self, id: UUID, expected_version: int) -> CustomField:
        row = await self.uow.get(CustomField, id, lock="update")
        if row.version != expected_version:
            raise StaleVersion(current_version=row.version)
        return row

    async def _room_for_one(self, object_name: str) -> None:
        count = await self.uow.scalar(
            select(func.count())
            .select_from(CustomField)
            .where(
                CustomField.tenant_id == self.uow.tenant_id,
                CustomField.object == object_name,
                CustomField.archived_at.is_(None),
            )
        )
        if count >= MAX_FIELDS:
            raise TooManyCustomFields(f"{object_name} has {MAX_FIELDS} custom fields.", limit=MAX_FIELDS)

    def _object(self, name: str, pointer: str) -> str:
        record = self.uow.kernel.registry.record(name)
        if record is None:
            raise Invalid.at(pointer, "unknown_object", f"There is no record type {name!r}.")
        return record.object

    def _reference(self, body: CustomFieldCreate) -> str | None:
        if body.type is not FieldType.RECORD:
            if body.reference is not None:
                raise Invalid.at("/reference", "unfit", "Only a field of type record refers to records.")
            return None
        if body.reference is None:
            raise Invalid.at("/reference", "required", "Name the record type that the field refers to.")
        return self._object(body.reference, "/reference")


_COLUMNS: Final = {"unique": "is_unique", "indexed": "is_indexed", "default": "default_value"}


def _options(options: list[FieldOption]) -> list[dict[str, Any]]:
    return [option.model_dump() for option in options]


def _kept(row: CustomField, options: list[FieldOption]) -> list[FieldOption]:
    """The new options, and those left out as archived: records may have them."""
    named = {option.key for option in options}
    gone = [FieldOption(**{**old, "archived": True}) for old in row.options if old["key"] not in named]
    return [*options, *gone]


def _checked(columns: dict[str, Any]) -> Any:
    """Refuse a definition that contradicts itself; returns the default in its stored form. Raises: Invalid."""
    kind = FieldType(columns["type"])
    keys = [option["key"] for option in columns["options"]]
    selecting = kind in (FieldType.SELECT, FieldType.MULTI_SELECT)
    if bool(keys) != selecting:
        raise Invalid.at(
            "/options",
            "unfit",
            f"A select has options, {kind} has none." if keys else "A select needs options.",
        )
    if len(set(keys)) != len(keys):
        raise Invalid.at("/options", "duplicate", "Two options have the same key.")
    if columns["is_unique"] and kind not in UNIQUE:
        raise Invalid.at("/unique", "unfit", f"A {kind} field cannot be unique.")
    if columns["is_indexed"] and kind not in INDEXABLE:
        raise Invalid.at("/indexed", "unfit", f"A {kind} field cannot be indexed.")
    try:
        live = [option["key"] for option in columns["options"] if not option["archived"]]
        check = check_of(kind, Rule(**columns["rule"]), live)
    except ValueRefused as refusal:
        raise Invalid.at("/rule", refusal.code, refusal.detail) from None
    if columns["default_value"] is None:
        return None
    if columns["is_unique"] or kind in (FieldType.MEMBER, FieldType.RECORD):
        raise Invalid.at("/default", "unfit", "A unique field, a member or a record has no default.")
    try:
        return check(columns["default_value"])
    except ValueRefused as refusal:
        raise Invalid.at("/default", refusal.code, refusal.detail) from None


def answer(row: CustomField) -> CustomFieldRead:
    """A definition as the API shows it."""
    values = {name: row.__dict__[name] for name in CustomFieldRead.model_fields if name in row.__dict__}
    values |= {"unique": row.is_unique, "indexed": row.is_indexed, "default": row.default_value}
    values["rule"] = FieldRuleRead.model_validate(row.rule)
    values["options"] = [FieldOptionRead.model_validate(option) for option in row.options]
    return CustomFieldRead.model_validate(values)


# -- JSON Schema -----------------------------------------------------------------------------------------------

_SHAPES: Final[dict[FieldType, dict[str, Any]]] = {
    FieldType.TEXT: {"type": "string", "minLength": 1, "maxLength": 500},
    FieldType.LONG_TEXT: {"type": "string", "minLength": 1, "maxLength": 50_000},
    FieldType.INTEGER: {"type": "integer"},
    FieldType.DECIMAL: {"type": ["string", "number"], "pattern": r"^-?[0-9]+(\.[0-9]+)?$"},
    FieldType.MONEY: {
        "type": "object",
        "properties": {"amount": {"type": "string"}, "currency": {"type": "string", "pattern": "^[A-Z]{3}$"}},
        "required": ["amount", "currency"],
        "additionalProperties": False,
    },
    FieldType.DATE: {"type": "string", "format": "date"},
    FieldType.DATETIME: {"type": "string", "format": "date-time"},
    FieldType.BOOLEAN: {"type": "boolean"},
    FieldType.URL: {"type": "string", "format": "uri", "maxLength": 500},
    FieldType.EMAIL: {"type": "string", "format": "email"},
    FieldType.PHONE: {"type": "string"},
    FieldType.MEMBER: {"type": "string", "format": "uuid"},
    FieldType.RECORD: {"type": "string", "format": "uuid"},
}


def json_schema(object_name: str, rows: list[CustomField], language: str) -> dict[str, Any]:
    """The `custom` object of a new record as JSON Schema 2020-12, for forms and for checks before sending."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Custom fields of {object_name}",
        "type": "object",
        "properties": {row.key: _property(row, language) for row in rows},
        "required": [row.key for row in rows if row.required and row.default_value is None],
        "additionalProperties": False,
    }


def _property(row: CustomField, language: str) -> dict[str, Any]:
    kind = FieldType(row.type)
    live = [option["key"] for option in row.options if not option["archived"]]
    if kind is FieldType.SELECT:
        shape: dict[str, Any] = {"type": "string", "enum": live}
    elif kind is FieldType.MULTI_SELECT:
        shape = {
            "type": "array",
            "items": {"type": "string", "enum": live},
            "minItems": 1,
            "uniqueItems": True,
        }
    else:
        shape = dict(_SHAPES[kind])
    shape["title"] = row.labels.get(language) or next(iter(row.labels.values()))
    if row.help:
        shape["description"] = row.help.get(language) or next(iter(row.help.values()))
    if row.default_value is not None:
        shape["default"] = row.default_value
    rule = row.rule
    for name, keyword in (("min_length", "minLength"), ("max_length", "maxLength")):
        if rule.get(name) is not None:
            shape[keyword] = rule[name]
    if rule.get("pattern") is not None:
        shape["pattern"] = f"^(?:{rule['pattern']})$"
    if kind is FieldType.INTEGER:
        shape |= {
            keyword: float(rule[name])
            for name, keyword in (("min", "minimum"), ("max", "maximum"))
            if rule.get(name) is not None
        }
    return shape


# -- the index of a field that gets one ------------------------------------------------------------------------


class IndexField(BaseModel):
    """Payload of `custom_fields.index`."""

    field_id: UUID


async def _fill_index(context: Any, payload: IndexField) -> dict[str, int]:
    """Put the values that records have into the index, batch by batch; safe to run again."""
    last, written, conflicts = UUID(int=0), 0, 0
    while True:
        async with context.transaction() as uow:
            row = await uow.find(CustomField, payload.field_id)
            if row is None or row.index_state != IndexState.BUILDING:
                return {"written": written, "conflicts": conflicts}
            batch = await _batch(uow, row, last)
            if not batch:
                await uow.update(row, index_state=IndexState.READY.value, conflicts=conflicts)
                uow.kernel.custom_fields.forget(uow.tenant_id)
                return {"written": written, "conflicts": conflicts}
            refused = await _write(uow, row, batch)
            last, written, conflicts = batch[-1][0], written + len(batch), conflicts + refused
        await context.progress(written)


async def _batch(uow: UnitOfWork, row: CustomField, last: UUID) -> list[tuple[UUID, Any]]:
    record = uow.kernel.registry.record(row.object)
    if record is None:
        return []
    # Locked, so that a value that is being cleared does not come back through the index.
    found = await uow.fetch(
        f"SELECT id, custom->'{row.key}' AS value FROM {record.table} WHERE tenant_id = $1 AND id > $2"
        f" AND custom ? '{row.key}' AND deleted_at IS NULL ORDER BY id LIMIT {_BATCH} FOR SHARE",
        uow.tenant_id,
        last,
    )
    return [(item["id"], item["value"]) for item in found]


async def _write(uow: UnitOfWork, row: CustomField, batch: list[tuple[UUID, Any]]) -> int:
    """Index a batch; values that another record has already go in without their claim to be unique."""
    fields = uow.kernel.custom_fields
    definition = Definition(row)
    refused = await fields.index_many(
        uow, row.object, [(id, Cleaned({}, [definition.index_row(value)])) for id, value in batch]
    )
    if refused:
        definition.unique = False
        await fields.index_many(
            uow,
            row.object,
            [(id, Cleaned({}, [definition.index_row(value)])) for id, value in batch if id in refused],
        )
    return len(refused)


INDEX_JOB = JobKind("custom_fields.index", IndexField, _fill_index)
