"""Conditions that need no database: texts, ids and yes-or-no compared with what a row at hand says.

Whether two of these are the same is the same question here and in SQL, whose collation compares byte by byte. So
most rules of a company are decided without a round trip. Whatever else a tree asks (an order, a pattern, a number, a
date, a field of the company's own) is for SQL to say, and whatever is wrong with a tree too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Boolean, String, Uuid

from app.kernel.errors import InvalidFilter
from app.kernel.listing import Condition, Field, Kind
from app.kernel.listing.filters import MAX_CONDITIONS, MAX_GROUPS, plain_value
from app.kernel.models import Base

Test = tuple[tuple[tuple[str, type, Callable[[Any, Any], bool], Any], ...], ...]
"""Groups of which one must hold whole: column, type of its values, comparison, what it is compared with."""

_COLUMN: Final = re.compile(r"t\.([a-z_][a-z0-9_]*)")
_KINDS: Final[Mapping[Kind, tuple[type, type]]] = {
    Kind.TEXT: (String, str),
    Kind.UUID: (Uuid, UUID),
    Kind.BOOLEAN: (Boolean, bool),
}
_COMPARISONS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "eq": lambda value, given: value is not None and value == given,
    "ne": lambda value, given: value is None or value != given,
    "in": lambda value, given: value is not None and value in given,
    "not_in": lambda value, given: value is None or value not in given,
    "is_null": lambda value, given: (value is None) == given,
}


def plain_test(
    model: type[Base], fields: Mapping[str, Field], groups: Sequence[Sequence[Condition]]
) -> Test | None:
    """A tree as comparisons of columns of a table; None where it is for SQL to say.

    `fields` are those that are declared: what a company adds itself may change, and is for SQL to say.
    """
    if len(groups) > MAX_GROUPS or any(len(group) > MAX_CONDITIONS for group in groups):
        return None
    found = []
    for group in groups:
        comparisons = []
        for condition in group:
            field = fields.get(condition.field)
            column = None if field is None else _column(model, field)
            if field is None or column is None or condition.op not in _COMPARISONS:
                return None
            try:
                given = plain_value(field, condition)
            except InvalidFilter:
                return None
            comparisons.append((column, _KINDS[field.kind][1], _COMPARISONS[condition.op], given))
        if comparisons:
            found.append(tuple(comparisons))
    return tuple(found)


def passes(test: Test, row: Mapping[str, Any]) -> bool | None:
    """Whether a row, columns by name, absent ones null, passes; None where a value is not of its column's type."""
    holds = not test
    for group in test:
        whole = True
        for column, kind, compare, given in group:
            value = row.get(column)
            if value is not None and not isinstance(value, kind):
                return None
            whole = whole and compare(value, given)
        holds = holds or whole
    return holds


def _column(model: type[Base], field: Field) -> str | None:
    """The column that a field is, if its values can be compared here."""
    named = _COLUMN.fullmatch(field.sql)
    if named is None or field.condition is not None or field.kind not in _KINDS:
        return None
    column = model.__table__.columns.get(named[1])
    return named[1] if column is not None and isinstance(column.type, _KINDS[field.kind][0]) else None
