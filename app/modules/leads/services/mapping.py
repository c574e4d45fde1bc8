"""Where a tenant's lead fields go when a lead is converted: what it set, and equal keys for the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.kernel.errors import FieldError, Invalid, require_version
from app.kernel.listing import Kind
from app.kernel.records import kind_of
from app.kernel.uow import UnitOfWork
from app.modules.leads.models import ConversionMapping
from app.modules.leads.schemas import (
    ConversionMappingInput,
    ConversionMappingRead,
    MappedFieldRead,
    MappingTargetRead,
    TargetObject,
)

TARGETS: tuple[TargetObject, ...] = ("account", "contact", "opportunity")
_CUSTOM = "custom."
# What conversion itself decides, or what belongs to one record only.
_NEVER = frozenset(
    {"external_id", "owner_id", "team_id", "tags", "custom", "status", "stage", "name", "allow_duplicates",
     "account_id", "contact_id", "pipeline_id", "parent_id", "created_at", "lifecycle_stage"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Carry:
    """One field of the lead goes to one field of a target."""

    lead_field: str
    object: TargetObject
    field: str
    by_default: bool = False


class ConversionMappings:
    """Reads and sets the tenant's mapping."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def read(self) -> ConversionMappingRead:
        """What the tenant set, and after it what equal keys decide."""
        stored = await self._stored()
        fields = [
            MappedFieldRead(
                lead_field=entry["lead_field"],
                targets=[MappingTargetRead(**target) for target in entry["targets"]],
                by_default=False,
            )
            for entry in (stored.fields if stored else ())
        ]
        defaults: dict[str, list[MappingTargetRead]] = {}
        for carry in await self._defaults(stored):
            target = MappingTargetRead(object=carry.object, field=carry.field)
            defaults.setdefault(carry.lead_field, []).append(target)
        fields += [
            MappedFieldRead(lead_field=name, targets=targets, by_default=True)
            for name, targets in defaults.items()
        ]
        return ConversionMappingRead(version=stored.version if stored else 0, fields=fields)

    async def carries(self) -> list[Carry]:
        """Every way that a field takes, the tenant's own first."""
        stored = await self._stored()
        own = [
            Carry(entry["lead_field"], target["object"], target["field"])
            for entry in (stored.fields if stored else ())
            for target in entry["targets"]
        ]
        return own + await self._defaults(stored)

    async def replace(self, body: ConversionMappingInput, *, expected_version: int) -> ConversionMappingRead:
        """Set the whole mapping. Raises `StaleVersion`, `Invalid` for fields that are unknown or do not fit."""
        stored = await self._stored(lock=True)
        version = stored.version if stored else 0
        require_version(version, expected=expected_version)
        await self._check(body)
        fields = body.model_dump(mode="json")["fields"]
        if stored is None:
            await self._uow.insert(ConversionMapping, audit="conversion_mapping", fields=fields)
        else:
            await self._uow.update(stored, audit="conversion_mapping", fields=fields)
        return await self.read()

    async def _stored(self, *, lock: bool = False) -> ConversionMapping | None:
        statement = self._uow.select(ConversionMapping)
        return await self._uow.first(statement.with_for_update() if lock else statement)

    async def _defaults(self, stored: ConversionMapping | None) -> list[Carry]:
        named = {entry["lead_field"] for entry in (stored.fields if stored else ())}
        mine = await self._custom("lead")
        found: list[Carry] = []
        for target in TARGETS if mine else ():
            theirs = await self._custom(target)
            found += [
                Carry(name, target, name, by_default=True)
                for name, kind in mine.items()
                if name not in named and theirs.get(name) == kind
            ]
        return found

    async def _custom(self, object_name: str) -> dict[str, Kind]:
        """Custom fields by `custom.key`, with their kinds."""
        fields = await self._uow.kernel.custom_fields.listing_fields(self._uow, object_name)
        return {name: field.kind for name, field in fields.items()}

    async def _fields(self, object_name: str) -> dict[str, Kind]:
        """All fields that may be carried from or to a record type, with their kinds."""
        record = self._uow.kernel.registry.records[object_name]
        plain = {
            name: kind_of(info.annotation)[0]
            for name, info in record.create.model_fields.items()
            if name not in _NEVER
        }
        return plain | await self._custom(object_name)

    async def _check(self, body: ConversionMappingInput) -> None:
        known: dict[str, dict[str, Kind]] = {name: await self._fields(name) for name in ("lead", *TARGETS)}
        errors: list[FieldError] = []
        for number, field in enumerate(body.fields):
            kind = known["lead"].get(field.lead_field)
            if kind is None:
                errors.append(_unknown(f"/fields/{number}/lead_field", "lead", field.lead_field))
                continue
            for place, target in enumerate(field.targets):
                pointer = f"/fields/{number}/targets/{place}/field"
                wanted = known[target.object].get(target.field)
                if wanted is None:
                    errors.append(_unknown(pointer, target.object, target.field))
                elif wanted != kind:
                    detail = f"{field.lead_field} holds {kind.value}, {target.field} holds {wanted.value}."
                    errors.append(FieldError(pointer, "kinds_differ", detail))
        if errors:
            raise Invalid(errors[0].detail, errors=errors)


def carried(
    carries: Sequence[Carry], target: TargetObject, row: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    """(fields, field → the lead's field) for one target, with custom ones under `custom`; empty values left out."""
    fields: dict[str, Any] = {}
    custom: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for carry in carries:
        if carry.object != target:
            continue
        value = _value(row, carry.lead_field)
        if value is None or value in ("", []):
            continue
        if carry.field.startswith(_CUSTOM):
            custom[carry.field.removeprefix(_CUSTOM)] = value
        else:
            fields[carry.field] = value
        origin[carry.field] = carry.lead_field
    if custom:
        fields["custom"] = custom
    return fields, origin


def _value(row: Mapping[str, Any], name: str) -> Any:
    if name.startswith(_CUSTOM):
        return row["custom"].get(name.removeprefix(_CUSTOM))
    return row[name]


def _unknown(pointer: str, object_name: str, name: str) -> FieldError:
    return FieldError(
        pointer, "unknown_field", f"A {object_name} has no field {name!r} that can be carried over."
    )
