"""The fields that lists are filtered and sorted by: what they hold, and the SQL behind them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.kernel.errors import FieldError, InvalidFilter


class Kind(StrEnum):
    """What a field holds; decides operators, coercion and the SQL type of bound values."""

    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    MONEY = "money"
    DATE = "date"
    DATETIME = "datetime"
    BOOLEAN = "boolean"
    UUID = "uuid"
    TEXT_LIST = "text_list"
    UUID_LIST = "uuid_list"
    JSON = "json"


PG_TYPES = {
    Kind.TEXT: "text",
    Kind.INTEGER: "bigint",
    Kind.DECIMAL: "numeric",
    Kind.MONEY: "bigint",
    Kind.DATE: "date",
    Kind.DATETIME: "timestamptz",
    Kind.BOOLEAN: "boolean",
    Kind.UUID: "uuid",
    Kind.TEXT_LIST: "text",
    Kind.UUID_LIST: "uuid",
}
_ORDERED = frozenset({"eq", "ne", "lt", "lte", "gt", "gte", "in", "not_in", "is_null", "between"})
OPERATORS: dict[Kind, frozenset[str]] = {
    Kind.TEXT: _ORDERED | {"contains", "starts_with"},
    Kind.INTEGER: _ORDERED,
    Kind.DECIMAL: _ORDERED,
    Kind.MONEY: _ORDERED,
    Kind.DATE: _ORDERED,
    Kind.DATETIME: _ORDERED,
    Kind.BOOLEAN: frozenset({"eq", "ne", "is_null"}),
    Kind.UUID: frozenset({"eq", "ne", "in", "not_in", "is_null"}),
    Kind.TEXT_LIST: frozenset({"has_any", "has_all", "is_null"}),
    Kind.UUID_LIST: frozenset({"has_any", "has_all", "is_null"}),
    Kind.JSON: frozenset({"is_null"}),
}


@dataclass(frozen=True, slots=True)
class Field:
    """One readable field of a record type and the SQL expression (over alias `t`) behind it.

    `condition`, when given, compiles a condition itself: custom fields use it to reach their index table.
    """

    name: str
    kind: Kind
    sql: str
    nullable: bool = True
    sortable: bool = True
    filterable: bool = True
    choices: tuple[str, ...] = ()
    currency: str | None = None  # SQL of the currency column, for MONEY
    condition: Callable[[str, Any, Bindings], str | None] | None = None


class Bindings:
    """Arguments of a statement under construction."""

    def __init__(self, *initial: Any) -> None:
        self.values: list[Any] = list(initial)

    def __call__(self, value: object) -> str:
        self.values.append(value)
        return f"${len(self.values)}"


Ask = Callable[[Bindings], str]
"""SQL of one value over the tenant (`$1`) and what it binds: a question that another statement takes along."""


@dataclass(frozen=True, slots=True)
class FieldSet:
    """The fields an actor may use: declared ones and the tenant's custom ones, hidden ones left out."""

    fields: Mapping[str, Field]

    def get(self, name: str, pointer: str) -> Field:
        found = self.fields.get(name)
        if found is None:
            raise unknown_field(name, pointer)
        return found


def unknown_field(name: str, pointer: str) -> InvalidFilter:
    return InvalidFilter(
        f"There is no field {name!r} to filter or sort by.",
        errors=[FieldError(pointer, "unknown_field", f"There is no field {name!r} here.")],
    )
