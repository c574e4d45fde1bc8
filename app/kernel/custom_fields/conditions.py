"""Custom fields in lists: the SQL behind `custom.<key>` in filters, sorts and `fields=`.

A field whose index is complete is asked through `kernel.custom_values`, whose statistics also tell PostgreSQL how
many rows to expect. Equality of the others asks the record's JSON by containment (`@>`), which its GIN index
serves. Everything else, and every sort, reads the JSON value, cast to its type.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from app.kernel.custom_fields.models import FieldType
from app.kernel.custom_fields.values import INDEX_COLUMNS, decimal_text
from app.kernel.listing import PG_TYPES, Bindings, Field, Kind
from app.kernel.money import EXPONENTS

KINDS: Final[dict[FieldType, Kind]] = {
    FieldType.TEXT: Kind.TEXT,
    FieldType.LONG_TEXT: Kind.TEXT,
    FieldType.URL: Kind.TEXT,
    FieldType.EMAIL: Kind.TEXT,
    FieldType.PHONE: Kind.TEXT,
    FieldType.SELECT: Kind.TEXT,
    FieldType.INTEGER: Kind.INTEGER,
    FieldType.DECIMAL: Kind.DECIMAL,
    FieldType.MONEY: Kind.MONEY,
    FieldType.DATE: Kind.DATE,
    FieldType.DATETIME: Kind.DATETIME,
    FieldType.BOOLEAN: Kind.BOOLEAN,
    FieldType.MEMBER: Kind.UUID,
    FieldType.RECORD: Kind.UUID,
    FieldType.MULTI_SELECT: Kind.TEXT_LIST,
}
_COMPARISONS: Final = {"eq": "=", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
_UNSORTABLE: Final = frozenset({FieldType.MULTI_SELECT, FieldType.LONG_TEXT})


def listing_field(
    key: str, kind: FieldType, field_id: UUID, *, indexed: bool, choices: tuple[str, ...] = ()
) -> Field:
    """The field `custom.<key>`; `indexed` only when its index is complete. `key` is a checked identifier."""
    return Field(
        name=f"custom.{key}",
        kind=KINDS[kind],
        sql=_expression(key, kind),
        nullable=True,
        sortable=kind not in _UNSORTABLE,
        choices=choices,
        currency=f"(t.custom->'{key}'->>'currency')" if kind is FieldType.MONEY else None,
        condition=_condition(key, kind, field_id if indexed else None),
    )


def _expression(key: str, kind: FieldType) -> str:
    value = f"(t.custom->>'{key}')"
    if kind is FieldType.MULTI_SELECT:
        elements = f"ARRAY(SELECT jsonb_array_elements_text(t.custom->'{key}'))"
        return f"(CASE WHEN t.custom ? '{key}' THEN {elements} END)"
    if kind is FieldType.MONEY:
        return _minor_units(key)
    sql_type = PG_TYPES[KINDS[kind]]
    return value if sql_type == "text" else f"{value}::{sql_type}"


def _minor_units(key: str) -> str:
    amount, currency = f"t.custom->'{key}'->>'amount'", f"t.custom->'{key}'->>'currency'"
    cases = " ".join(
        f"WHEN {currency} IN ({', '.join(repr(c) for c, e in EXPONENTS.items() if e == exponent)})"
        f" THEN {10**exponent}"
        for exponent in sorted(set(EXPONENTS.values()) - {2})
    )
    return f"(({amount})::numeric * (CASE {cases} ELSE 100 END))::bigint"


def _condition(
    key: str, kind: FieldType, field_id: UUID | None
) -> Callable[[str, Any, Bindings], str | None]:
    def contains(value: Any, bind: Bindings) -> str:
        return f"(t.custom @> {bind({key: value})}::jsonb AND t.custom <> '{{}}')"  # as its index is told

    def compile_condition(op: str, value: Any, bind: Bindings) -> str | None:
        if field_id is not None and op in (*_COMPARISONS, "between", "in"):
            return _indexed(field_id, kind, op, value, bind)
        if kind is FieldType.MONEY:
            return None  # a filter names an amount, the value has a currency too
        if op == "eq":
            return contains(_stored(value), bind)
        if op == "in":
            return "(" + " OR ".join(contains(_stored(item), bind) for item in value) + ")"
        if op == "has_all":
            return contains(value, bind)
        if op == "has_any":
            return "(" + " OR ".join(contains([item], bind) for item in value) + ")"
        return None

    return compile_condition


def _indexed(field_id: UUID, kind: FieldType, op: str, value: Any, bind: Bindings) -> str:
    column, sql_type = f"v.{INDEX_COLUMNS[kind]}", PG_TYPES[KINDS[kind]]
    if kind in (FieldType.MEMBER, FieldType.RECORD):  # ids, which are indexed as text
        sql_type, value = "text", [str(one) for one in value] if isinstance(value, list) else str(value)
    if op == "between":
        test = f"{column} BETWEEN {bind(value[0])}::{sql_type} AND {bind(value[1])}::{sql_type}"
    elif op == "in":
        test = f"{column} = ANY({bind(value)}::{sql_type}[])"
    else:
        test = f"{column} {_COMPARISONS[op]} {bind(value)}::{sql_type}"
    return (
        "t.id IN (SELECT v.record_id FROM kernel.custom_values_read v"
        f" WHERE v.tenant_id = t.tenant_id AND v.field_id = {bind(field_id)}::uuid AND {test})"
    )


def _stored(value: Any) -> Any:
    """A filter's value in the form that `values` stores."""
    if isinstance(value, Decimal):
        return decimal_text(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return str(value) if isinstance(value, date | UUID) else value
