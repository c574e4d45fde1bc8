"""Which value of which record survives a merge: pure rules over rows, without the database."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

from app.kernel.errors import FieldError, Invalid
from app.kernel.listing import Kind

if TYPE_CHECKING:
    from app.kernel.records import RecordType

Row = Mapping[str, Any]
CUSTOM = "custom."


@dataclass(frozen=True)
class Choosable:
    """The fields of a record type that a merge decides on.

    `columns` are a field's columns (money has two); `lists` the list fields with the most entries they may have.
    """

    columns: Mapping[str, tuple[str, ...]]
    groups: tuple[tuple[str, ...], ...] = ()
    lists: Mapping[str, int | None] = field(default_factory=dict)
    collects: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, record: RecordType[Any]) -> Choosable:
        """What may be written of a record may be chosen; what stands in a group goes along."""
        spec = record.merge
        assert spec is not None  # noqa: S101 - only types that can be merged come here
        writable = [name for name in record.update.model_fields if name in record.fields and name != "custom"]
        grouped = [name for group in spec.groups for name in group if name not in writable]
        columns: dict[str, tuple[str, ...]] = {}
        lists: dict[str, int | None] = {}
        for name in (*writable, *grouped):
            found = record.fields.get(name)
            columns[name] = (name,)
            if found is not None and found.kind is Kind.MONEY:
                columns[name] = (name, record.currencies.get(name, "currency"))
            if found is not None and found.kind is Kind.TEXT_LIST:
                lists[name] = _most(record.update.model_fields[name].metadata)
        return cls(columns, spec.groups, lists, spec.collects)

    def units(self) -> list[tuple[str, ...]]:
        """The fields in the parts that are decided on: groups, single ones, and lists, which take up what is left."""
        grouped = {name for group in self.groups for name in group}
        single = [name for name in self.columns if name not in grouped and name not in self.lists]
        return [*self.groups, *((name,) for name in (*single, *self.lists))]


@dataclass(frozen=True)
class Outcome:
    """What the first row becomes: the columns that change, its custom values, and where values came from.

    `taken` are the fields whose value is another record's; `united` the lists that took entries from others.
    """

    changes: dict[str, Any]
    custom: dict[str, Any]
    taken: dict[str, UUID]
    united: list[str]


def choose(
    what: Choosable,
    rows: Sequence[Row],
    *,
    chosen: Mapping[str, UUID],
    preferred: Mapping[str, UUID],
    fixed: Collection[str] = (),
) -> Outcome:
    """Decide every field. The first row's value stands; where it is empty, the first other one that is not.

    `chosen` names the record for a field (`custom.<key>` for custom ones) and goes before `preferred`, which goes
    before the rule. `fixed` fields stay the first row's. Raises: `Invalid` at `/fields/<name>` where a group is
    chosen from two records or a united list is too long.
    """
    by_id = {row["id"]: row for row in rows}
    outcome = Outcome({}, dict(rows[0]["custom"]), {}, [])
    for unit in what.units():
        if any(name in fixed for name in unit):
            continue
        source = _named(unit, chosen) or _named(unit, preferred)
        if source is None and unit[0] in what.lists:
            _unite(what, rows, unit[0], outcome)
            continue
        row = by_id[source] if source is not None else _first_filled(what, rows, unit)
        _take(what, rows[0], row, unit, outcome)
    if "custom" not in fixed:
        _choose_custom(rows, chosen, outcome)
    return outcome


def is_empty(value: Any) -> bool:
    """Whether nothing is said by a value: false and zero say something."""
    return value is None or (isinstance(value, str | list | dict) and not value)


def filled(what: Choosable, row: Row) -> int:
    """How many fields of a row say something, custom ones counted."""
    return sum(not is_empty(row[name]) for name in what.columns) + sum(
        not is_empty(value) for value in row["custom"].values()
    )


def _most(metadata: Iterable[Any]) -> int | None:
    return next((part.max_length for part in metadata if hasattr(part, "max_length")), None)


def _named(unit: tuple[str, ...], choices: Mapping[str, UUID]) -> UUID | None:
    found = {name: choices[name] for name in unit if name in choices}
    if len(set(found.values())) > 1:
        raise Invalid(
            f"{', '.join(found)} belong together: take them from one record.",
            errors=[
                FieldError(f"/fields/{name}", "contradiction", "These fields come from one record.")
                for name in found
            ],
        )
    return next(iter(found.values()), None)


def _first_filled(what: Choosable, rows: Sequence[Row], unit: tuple[str, ...]) -> Row:
    columns = [column for name in unit for column in what.columns[name]]
    return next((row for row in rows if not all(is_empty(row[c]) for c in columns)), rows[0])


def _take(what: Choosable, master: Row, row: Row, unit: tuple[str, ...], outcome: Outcome) -> None:
    for name in unit:
        differs = False
        for column in what.columns[name]:
            if row[column] != master[column]:
                outcome.changes[column] = row[column]
                differs = True
        if differs:
            outcome.taken[name] = row["id"]


def _unite(what: Choosable, rows: Sequence[Row], name: str, outcome: Outcome) -> None:
    """A list takes the entries of all, in the records' order, and the single values that did not win."""
    singles = what.collects.get(name, ())
    entries = [entry for row in rows for entry in row[name]]
    lost = [row[single] for single in singles for row in rows if not is_empty(row[single])]
    standing = {outcome.changes.get(single, rows[0][single]) for single in singles}
    kept = rows[0][name]
    more = [e for e in dict.fromkeys([*entries, *lost]) if e not in kept and e not in standing]
    if not more:
        return
    united = [*kept, *more]
    most = what.lists[name]
    if most is not None and len(united) > most:
        raise Invalid.at(
            f"/fields/{name}",
            "too_long",
            f"Together they have {len(united)}; at most {most} fit. Say whose {name} are kept.",
        )
    outcome.changes[name] = united
    outcome.united.append(name)


def _choose_custom(rows: Sequence[Row], chosen: Mapping[str, UUID], outcome: Outcome) -> None:
    by_id = {row["id"]: row["custom"] for row in rows}
    for key in dict.fromkeys(key for row in rows for key in row["custom"]):
        name, master = f"{CUSTOM}{key}", rows[0]["custom"].get(key)
        if name in chosen:
            source: UUID = chosen[name]
        else:
            values = [row["custom"].get(key) for row in rows]
            if all(isinstance(value, list) for value in values if value is not None):
                _unite_custom(key, values, outcome)
                continue
            source = next((row["id"] for row in rows if not is_empty(row["custom"].get(key))), rows[0]["id"])
        value = by_id[source].get(key)
        if value is None:
            outcome.custom.pop(key, None)
        else:
            outcome.custom[key] = value
        if value != master:
            outcome.taken[name] = source


def _unite_custom(key: str, values: Sequence[Any], outcome: Outcome) -> None:
    united = list(dict.fromkeys(entry for value in values for entry in value or ()))
    if united != (values[0] or []):
        outcome.custom[key] = united
        outcome.united.append(f"{CUSTOM}{key}")
