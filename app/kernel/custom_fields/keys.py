"""Custom fields that a company declared unique, as keys of upserts: `custom.<key>`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from app.kernel.custom_fields.store import Definition
from app.kernel.custom_fields.values import CUSTOM, ValueRefused, from_text
from app.kernel.errors import Invalid
from app.kernel.records import RecordType
from app.kernel.uow import UnitOfWork


async def unique_field(
    uow: UnitOfWork, record: RecordType[Any], name: str, *, pointer: str = "/key"
) -> Definition:
    """The field behind `custom.<key>`. Raises: Invalid for one that is unknown, not unique or not indexed yet."""
    fields = await uow.kernel.custom_fields.of(uow, record.object)
    found = fields.by_key.get(name.removeprefix(CUSTOM)) if name.startswith(CUSTOM) else None
    if found is None or not found.unique or "custom" in uow.actor.hidden(record.object):
        raise Invalid.at(
            pointer, "unknown_key", f"The key is one of: {', '.join(record.upsert_keys)}, or a unique field."
        )
    if not found.complete:
        raise Invalid.at(pointer, "index_building", f"The values of {name} are still being indexed.")
    return found


def compared(uow: UnitOfWork, definition: Definition, value: Any) -> str | None:
    """What is unique of a value, which may be the text of a cell. Raises: ValueRefused."""
    if isinstance(value, str):
        value = from_text(definition.type, value, definition.option_names, uow.actor.tenant.currency)
    return definition.index_row(definition.check(value)).unique_key


def compared_or_none(uow: UnitOfWork, definition: Definition, value: Any) -> str | None:
    """The same; None without a value, and for one that the field refuses when the record is written."""
    try:
        return None if value is None else compared(uow, definition, value)
    except ValueRefused:
        return None


async def holders(
    uow: UnitOfWork, record: RecordType[Any], definition: Definition, values: Collection[str]
) -> Mapping[str, UUID]:
    """The live records that have these values, by value."""
    rows = await uow.fetch(
        f"SELECT v.unique_key, v.record_id FROM kernel.custom_values v JOIN {record.table} t"
        " ON t.tenant_id = $1 AND t.id = v.record_id WHERE v.tenant_id = $1 AND v.field_id = $2"
        " AND v.unique_key = ANY($3::text[]) AND t.deleted_at IS NULL",
        uow.tenant_id,
        definition.id,
        sorted(values),
    )
    return {row["unique_key"]: row["record_id"] for row in rows}
