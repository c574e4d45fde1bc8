"""Conditions on rows at hand: the filter compiler's SQL over rows that are not in the table yet.

Scoring and data quality ask of a record, before it is written, what a list would ask of the table. There is one
language of conditions and one compiler (`listing`); here its SQL runs over the values themselves, sent as JSON
and typed as the table's columns, any number of rows and conditions in one statement. Plain comparisons, which are
most, are made without it (`plain_conditions`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from app.kernel import db
from app.kernel.errors import InvalidFilter
from app.kernel.listing import Bindings, Condition, FieldSet, compile_filter
from app.kernel.plain_conditions import Test, passes, plain_test
from app.kernel.statements import columns_of

if TYPE_CHECKING:
    from app.kernel.models import RecordTable
    from app.kernel.records import RecordType
    from app.kernel.uow import UnitOfWork

Groups = tuple[tuple[Condition, ...], ...]
_COLUMN = re.compile(r"\bt\.([a-z_][a-z0-9_]*)")


def groups_of(tree: Mapping[str, Any] | None, pointer: str = "/filter") -> Groups:
    """A stored or validated `FilterTree` as the compiler takes it; `pointer` is where it stands in the body."""
    return tuple(
        tuple(
            Condition(c["field"], c["op"], c.get("value"), f"{pointer}/or/{g}/and/{i}")
            for i, c in enumerate(group["and"])
        )
        for g, group in enumerate((tree or {}).get("or", ()))
    )


@dataclass(frozen=True, slots=True)
class Prepared:
    """A tree that is asked again and again, with what of it needs no database."""

    groups: Groups
    test: Test | None

    @classmethod
    def of(cls, record: RecordType[Any], groups: Groups) -> Prepared:
        return cls(groups, plain_test(record.model, record.fields, groups))


async def all_fields(uow: UnitOfWork, record: RecordType[Any]) -> FieldSet:
    """Every field of a record type, read from its columns alone: rules hold whatever an actor may see."""
    custom = await uow.kernel.custom_fields.plain_fields(uow, record.object)
    return FieldSet({**record.fields, **custom})


async def compile_each(
    uow: UnitOfWork,
    record: RecordType[Any],
    trees: Sequence[Groups],
    bind: Bindings,
    *,
    now: datetime | None = None,
) -> list[str]:
    """Each tree as SQL over alias `t` that is true or false; one whose fields are gone meanwhile is false."""
    fields = await all_fields(uow, record)
    found = []
    for groups in trees:
        try:
            sql = compile_filter(groups, fields, uow.actor.tenant, now or uow.now, bind)
        except InvalidFilter:
            sql = "false"
        found.append(f"({sql or 'true'}) IS TRUE")
    return found


async def check_tree(uow: UnitOfWork, record: RecordType[Any], groups: Groups) -> None:
    """Compile a tree as a list would. Raises `InvalidFilter` at the condition's place."""
    compile_filter(groups, await all_fields(uow, record), uow.actor.tenant, uow.now, Bindings())


async def answers(
    uow: UnitOfWork,
    record: RecordType[Any],
    rows: Sequence[Mapping[str, Any]],
    tests: Sequence[str],
    bind: Bindings,
) -> list[list[bool]]:
    """Row by row what each test says; `tests` are SQL over `t` with the arguments of `bind`. One statement."""
    if not rows or not tests:
        return [[] for _ in rows]
    names = used_columns(record, tests)
    table = record.model.__table__
    kinds = "".join(f", {name} {table.c[name].type.compile(dialect=db.DIALECT)}" for name in names)
    data = [{"n_": n} | {name: row.get(name) for name in names} for n, row in enumerate(rows)]
    found = await uow.fetch(
        f"SELECT {', '.join(tests)} FROM jsonb_to_recordset({bind(data)}::jsonb) AS t(n_ int{kinds})"
        " ORDER BY t.n_",
        *bind.values,
    )
    return [list(row) for row in found]


async def holding(
    uow: UnitOfWork,
    record: RecordType[Any],
    rows: Sequence[Mapping[str, Any]],
    trees: Sequence[Groups | Prepared],
    *,
    now: datetime | None = None,
) -> list[list[bool]]:
    """Row by row which of the trees hold; rows are columns by name, absent ones null.

    One statement for those trees that are more than plain comparisons, and none where there are no such trees.
    """
    if not rows or not trees:
        return [[False] * len(trees) for _ in rows]
    ready = [tree if isinstance(tree, Prepared) else Prepared.of(record, tree) for tree in trees]
    said = [[None if one.test is None else passes(one.test, row) for row in rows] for one in ready]
    asked = [place for place, held in enumerate(said) if None in held]
    if asked:
        bind = Bindings()
        tests = await compile_each(uow, record, [ready[place].groups for place in asked], bind, now=now)
        for row, told in enumerate(await answers(uow, record, rows, tests, bind)):
            for place, holds in zip(asked, told, strict=True):
                said[place][row] = holds
    return [[bool(held[row]) for held in said] for row in range(len(rows))]


def used_columns(record: RecordType[Any], tests: Sequence[str]) -> list[str]:
    """The columns that SQL over `t` reads."""
    named = {name for test in tests for name in _COLUMN.findall(test)}
    model: type[RecordTable] = record.model
    return [name for name in columns_of(model) if name in named]
