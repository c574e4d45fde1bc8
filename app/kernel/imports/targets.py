"""What the columns of a file may mean: the fields of a record type as its import sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from zoneinfo import ZoneInfo

from app.kernel.custom_fields.models import FieldType
from app.kernel.custom_fields.store import ObjectFields
from app.kernel.custom_fields.values import CUSTOM, currency_of
from app.kernel.errors import FieldError, Invalid
from app.kernel.imports.cells import Read, custom_reader_for, reader_for
from app.kernel.imports.rules import ImportRules
from app.kernel.listing import Kind
from app.kernel.records import RecordType, kind_of
from app.kernel.tabular import Guess, Target, guess_mapping
from app.kernel.uow import UnitOfWork

Sort = Literal["field", "currency", "custom", "extra"]
COMMON_LABELS: Mapping[str, tuple[str, ...]] = {
    "external_id": ("External ID", "外部编号"),
    "owner_id": ("Owner", "负责人"),
    "team_id": ("Team", "团队"),
    "tags": ("Tags", "标签"),
    "currency": ("Currency", "币种"),
    "id": ("ID", "编号"),
    "version": ("Version", "版本"),
    "created_at": ("Created at", "创建时间"),
    "created_by": ("Created by", "创建人"),
    "updated_at": ("Updated at", "更新时间"),
}


@dataclass(frozen=True, slots=True)
class ImportTarget:
    """One thing that a column may fill. `sort` says where its value goes."""

    name: str
    sort: Sort
    kind: Kind
    labels: tuple[str, ...] = ()
    synonyms: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    required: bool = False
    member: bool = False

    def describe(self) -> dict[str, Any]:
        """For the person who maps columns."""
        return {
            "field": self.name,
            "kind": "member" if self.member or self.name == "owner_id" else self.kind.value,
            "labels": list(self.labels),
            "required": self.required,
            "choices": list(self.choices),
        }


async def targets_of(uow: UnitOfWork, record: RecordType[Any]) -> dict[str, ImportTarget]:
    """Everything that the actor may import into this record type, by name."""
    refused = uow.actor.readonly(record.object)
    found: dict[str, ImportTarget] = {}
    currencies: set[str] = set()
    for name, info in record.create.model_fields.items():
        if name == "custom" or name in refused:
            continue
        kind, _, choices = kind_of(info.annotation)
        found[name] = ImportTarget(
            name, "field", kind, _labels(record, name), choices=choices, required=info.is_required()
        )
        if kind is Kind.MONEY:
            currencies.add(record.currencies.get(name, "currency"))
    for name in sorted(currencies - found.keys()):
        found[name] = ImportTarget(name, "currency", Kind.TEXT, _labels(record, name))
    if "custom" not in refused:
        found |= _custom_targets(await uow.kernel.custom_fields.of(uow, record.object))
    extras: tuple[Any, ...] = getattr(record.service, "import_columns", ImportRules.import_columns)
    for column in extras:
        found[column.name] = ImportTarget(column.name, "extra", Kind.TEXT, column.labels, column.synonyms)
    return found


def _custom_targets(fields: ObjectFields) -> dict[str, ImportTarget]:
    """Custom fields by their own labels, and beside each amount its currency, as exports write it."""
    found: dict[str, ImportTarget] = {}
    for name, field in fields.listing.items():
        definition = fields.by_key[name.removeprefix(CUSTOM)]
        labels = tuple(dict.fromkeys(definition.labels.values()))
        member = definition.type is FieldType.MEMBER
        found[name] = ImportTarget(name, "custom", field.kind, labels, choices=field.choices, member=member)
        if field.kind is Kind.MONEY:
            beside = tuple(f"{label} {word}" for label in labels for word in COMMON_LABELS["currency"])
            found[currency_of(name)] = ImportTarget(currency_of(name), "currency", Kind.TEXT, beside)
    return found


def _labels(record: RecordType[Any], name: str) -> tuple[str, ...]:
    own = tuple(record.labels.get(name, ()))
    return own or COMMON_LABELS.get(name, ()) or (name.replace("_", " ").title(),)


def guess(columns: Sequence[str], targets: Mapping[str, ImportTarget]) -> list[Guess]:
    """Which column probably means what."""
    known = [Target(t.name, t.labels, t.kind.value, t.synonyms) for t in targets.values()]
    return guess_mapping(columns, known)


def check_mapping(
    mapping: Mapping[str, str | None], columns: Sequence[str], targets: Mapping[str, ImportTarget]
) -> None:
    """Raises `Invalid` for unknown columns and fields, and for a field that two columns claim."""
    errors: list[FieldError] = []
    taken: set[str] = set()
    for column, name in mapping.items():
        pointer = f"/mapping/{column.replace('~', '~0').replace('/', '~1')}"
        if column not in columns:
            errors.append(FieldError(pointer, "unknown_column", f"The file has no column {column!r}."))
        elif name is not None and name not in targets:
            errors.append(FieldError(pointer, "unknown_field", f"{name!r} cannot be imported here."))
        elif name is not None and name in taken:
            errors.append(FieldError(pointer, "field_taken", f"Two columns are mapped to {name!r}."))
        elif name is not None:
            taken.add(name)
    if errors:
        raise Invalid(errors[0].detail, errors=errors)


@dataclass(frozen=True, slots=True)
class Step:
    """Take the cell at `index` and put it, read, where `target` says."""

    index: int
    target: ImportTarget
    read: Read | None


@dataclass(frozen=True)
class Plan:
    """A mapping made ready to run: steps by cell, and which column each field came from, for error messages."""

    steps: tuple[Step, ...]
    columns: Mapping[str, str]
    defaults: Mapping[str, Any]
    money: Mapping[str, str]  # amount field → its currency target
    currency: str

    @property
    def member_keys(self) -> list[str]:
        """The custom fields that hold members and have a column."""
        return [step.target.name.removeprefix(CUSTOM) for step in self.steps if step.target.member]

    def column_of(self, name: str | None) -> str | None:
        """The header above the cells of a field, for error messages; the field itself where it has no column."""
        if name is None:
            return None
        found = self.columns.get(name)
        return found if found is not None else self.columns.get(name.partition(".")[0], name)


def plan_of(
    record: RecordType[Any],
    columns: Sequence[str],
    mapping: Mapping[str, str | None],
    targets: Mapping[str, ImportTarget],
    *,
    defaults: Mapping[str, Any],
    order: str,
    zone: ZoneInfo,
    currency: str,
) -> Plan:
    """Make a checked mapping ready to run."""
    steps: list[Step] = []
    places = {column: index for index, column in enumerate(columns)}
    for column, name in mapping.items():
        if name is None:
            continue
        target = targets[name]
        choices = _choice_names(record, target)
        read = None
        if target.sort == "custom":
            read = custom_reader_for(target.kind, order=order, zone=zone)
        elif target.sort in ("field", "currency") and target.kind is not Kind.UUID:
            read = reader_for(target.kind, choices, order=order, zone=zone)
        steps.append(Step(places[column], target, read))
    money = {
        target.name: record.currencies.get(target.name, "currency")
        for target in targets.values()
        if target.kind is Kind.MONEY and target.sort == "field"
    }
    return Plan(
        steps=tuple(steps),
        columns={name: column for column, name in mapping.items() if name is not None},
        defaults=dict(defaults),
        money=money,
        currency=currency,
    )


def _choice_names(record: RecordType[Any], target: ImportTarget) -> dict[str, str]:
    """Every way in which a file may name a choice: its value in any case, and its labels."""
    names: dict[str, str] = {}
    for choice in target.choices:
        names[choice] = choice
        names.setdefault(choice.casefold(), choice)
        for label in record.labels.get(f"{target.name}.{choice}", ()):
            names.setdefault(label, choice)
            names.setdefault(label.casefold(), choice)
    return names
