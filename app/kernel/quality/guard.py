"""Keeping the rules on writing: what breaks a blocking rule is refused, and nothing is changed.

A record that breaks a rule already can still be edited elsewhere: a change is held to the rules that it touches,
by their field or one of their conditions, and to all of them when it moves the record to another stage.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from app.kernel.conditions import all_fields, answers
from app.kernel.errors import FieldError, Invalid
from app.kernel.listing import Bindings
from app.kernel.quality.rules import BLOCKING, Rule, compile_rules

if TYPE_CHECKING:
    from app.kernel.imports.rules import ImportRow
    from app.kernel.records import RecordType
    from app.kernel.uow import UnitOfWork

STAGES: Final = frozenset({"status", "stage", "lifecycle_stage"})
CODE: Final = "data_quality"


class DataQualityRefused(Invalid):
    """What was to be written breaks rules of data quality; `errors` say which field and which rule."""

    code = "data_quality"
    title = "The record would break a rule of data quality"


async def guard_create(uow: UnitOfWork, record: RecordType[Any], values: Mapping[str, Any]) -> None:
    """Hold a new record's columns to every blocking rule. Raises `DataQualityRefused`."""
    await _guard(uow, record, values, None)


async def guard_change(
    uow: UnitOfWork, record: RecordType[Any], before: Mapping[str, Any], changes: Mapping[str, Any]
) -> None:
    """Hold changed columns to the blocking rules that they touch. Raises `DataQualityRefused`."""
    await _guard(uow, record, {**before, **changes}, touched(before, changes))


async def _guard(
    uow: UnitOfWork, record: RecordType[Any], values: Mapping[str, Any], fields: Collection[str] | None
) -> None:
    rules = [rule for rule in await _rules(uow, record) if _concerns(rule, fields)]
    if not rules:
        return
    broken = (await _broken(uow, record, rules, [values]))[0]
    if broken:
        errors = [FieldError(pointer_of(rule), CODE, _says(uow, rule)) for rule in broken]
        raise DataQualityRefused(errors[0].detail, errors=errors)


async def guard_rows(uow: UnitOfWork, record: RecordType[Any], rows: Sequence[ImportRow]) -> None:
    """The same for rows of a file, new records and changes alike, in one statement; those at fault are refused."""
    rules = await _rules(uow, record)
    rows = [row for row in rows if not row.faults]
    if not rules or not rows:
        return
    before = [row.existing.__dict__ if row.existing is not None else {} for row in rows]
    after = [{**old, **row.values} for old, row in zip(before, rows, strict=True)]
    found = await _broken(uow, record, rules, after)
    for row, old, broken in zip(rows, before, found, strict=True):
        fields = touched(old, row.values) if row.existing is not None else None
        for rule in broken:
            if _concerns(rule, fields):
                row.refuse(rule.field, CODE, _says(uow, rule))


def touched(before: Mapping[str, Any], changes: Mapping[str, Any]) -> frozenset[str]:
    """The fields that differ, custom ones as `custom.<key>`."""
    names = {name for name, value in changes.items() if name != "custom" and before.get(name) != value}
    if "custom" in changes:
        old, new = before.get("custom") or {}, changes["custom"] or {}
        names |= {f"custom.{key}" for key in {*old, *new} if old.get(key) != new.get(key)}
    return frozenset(names)


def pointer_of(rule: Rule) -> str:
    """Where the rule's field stands in a body."""
    return "/" + rule.field.replace(".", "/")


async def _rules(uow: UnitOfWork, record: RecordType[Any]) -> tuple[Rule, ...]:
    return (await uow.kernel.memory.of(uow, BLOCKING)).get(record.object, ())


def _concerns(rule: Rule, fields: Collection[str] | None) -> bool:
    return fields is None or not STAGES.isdisjoint(fields) or not rule.fields.isdisjoint(fields)


async def _broken(
    uow: UnitOfWork, record: RecordType[Any], rules: Sequence[Rule], rows: Sequence[Mapping[str, Any]]
) -> list[list[Rule]]:
    bind = Bindings()
    tests = compile_rules(rules, await all_fields(uow, record), uow, bind)
    found = await answers(uow, record, rows, [sql for _, sql in tests], bind)
    return [[rule for (rule, _), bad in zip(tests, row, strict=True) if bad] for row in found]


def _says(uow: UnitOfWork, rule: Rule) -> str:
    return f"This breaks the rule “{rule.name(uow.actor.tenant.language)}”."
