"""The filter compiler: conditions become SQL text whose only inputs are bound."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from app.kernel.access import TenantProfile
from app.kernel.errors import FieldError, InvalidFilter
from app.kernel.listing.fields import OPERATORS, PG_TYPES, Bindings, Field, FieldSet, Kind
from app.kernel.listing.queries import Condition
from app.kernel.money import Money
from app.kernel.relative_dates import resolve_date, resolve_datetime

MAX_GROUPS = 5
MAX_CONDITIONS = 10
MAX_VALUES = 200
_COMPARISONS = {"eq": "=", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}


def compile_filter(
    groups: Sequence[Sequence[Condition]],
    fields: FieldSet,
    tenant: TenantProfile,
    now: datetime,
    bind: Bindings,
) -> str | None:
    """SQL over alias `t` that is true where any group holds whole; None without conditions."""
    if len(groups) > MAX_GROUPS or any(len(group) > MAX_CONDITIONS for group in groups):
        raise InvalidFilter(f"A filter has at most {MAX_GROUPS} groups of {MAX_CONDITIONS} conditions.")
    context = _Context(tenant, now, bind)
    compiled = [
        " AND ".join(_condition(fields.get(c.field, c.pointer or c.field), c, context) for c in group)
        for group in groups
        if group
    ]
    if not compiled:
        return None
    return compiled[0] if len(compiled) == 1 else "(" + " OR ".join(f"({part})" for part in compiled) + ")"


@dataclass(frozen=True, slots=True)
class _Context:
    tenant: TenantProfile
    now: datetime
    bind: Bindings


_ANYWHERE = _Context(TenantProfile(id=UUID(int=0)), datetime.min.replace(tzinfo=UTC), Bindings())


def _condition(field: Field, c: Condition, context: _Context) -> str:
    value = _checked(field, c, context)
    if c.op == "is_null":
        return f"{field.sql} IS {'' if value else 'NOT '}NULL"
    if field.condition is not None:
        special = field.condition(c.op, value, context.bind)
        if special is not None:
            return special
    return _plain_condition(field, c.op, value, context.bind)


def _checked(field: Field, c: Condition, context: _Context) -> Any:
    """What the field is compared with. Raises `InvalidFilter`."""
    if not field.filterable or c.op not in OPERATORS[field.kind]:
        allowed = ", ".join(sorted(OPERATORS[field.kind])) if field.filterable else "none"
        raise _bad(c, "unknown_operator", f"{field.name} takes these operators: {allowed}.")
    return _boolean(c, c.value) if c.op == "is_null" else _coerced(field, c, context)


def plain_value(field: Field, c: Condition) -> Any:
    """The value that `compile_filter` binds for a condition; of `is_null` whether. Raises `InvalidFilter`.

    Of texts, ids and yes-or-no only: those are the same in each company and at any time.
    """
    if field.kind not in (Kind.TEXT, Kind.UUID, Kind.BOOLEAN):
        raise TypeError(f"{field.name}: what {field.kind} is compared with depends on company and time")
    return _checked(field, c, _ANYWHERE)


def _plain_condition(field: Field, op: str, value: Any, bind: Bindings) -> str:
    sql, kind = field.sql, PG_TYPES[field.kind]
    if op in _COMPARISONS:
        return f"{sql} {_COMPARISONS[op]} {bind(value)}::{kind}"
    if op == "ne":
        return f"{sql} IS DISTINCT FROM {bind(value)}::{kind}"
    if op == "in":
        return f"{sql} = ANY({bind(value)}::{kind}[])"
    if op == "not_in":
        return f"({sql} IS NULL OR {sql} <> ALL({bind(value)}::{kind}[]))"
    if op == "between":
        return f"{sql} BETWEEN {bind(value[0])}::{kind} AND {bind(value[1])}::{kind}"
    if op == "has_any":
        return f"({sql} && {bind(value)}::{kind}[] AND {sql} <> '{{}}')"  # as the index of tags is told
    if op == "has_all":
        return f"({sql} @> {bind(value)}::{kind}[] AND {sql} <> '{{}}')"
    pattern = re.sub(r"([\\%_])", r"\\\1", value)
    pattern = f"%{pattern}%" if op == "contains" else f"{pattern}%"
    return f"{sql} ILIKE {bind(pattern)}"


def _coerced(field: Field, c: Condition, context: _Context) -> Any:
    if c.op in ("in", "not_in", "has_any", "has_all", "between"):
        if not isinstance(c.value, list) or not c.value or len(c.value) > MAX_VALUES:
            raise _bad(c, "invalid_value", f"{c.op} takes a list of 1 to {MAX_VALUES} values.")
        if c.op == "between" and len(c.value) != 2:
            raise _bad(c, "invalid_value", "between takes two values.")
        return [_scalar(field, c, value, context) for value in c.value]
    return _scalar(field, c, c.value, context)


def _scalar(field: Field, c: Condition, value: Any, context: _Context) -> Any:
    try:
        found = _SCALARS[field.kind](value, context)
    except (ValueError, TypeError, InvalidOperation, OverflowError):
        raise _bad(c, "invalid_value", f"{value!r} is no {field.kind.value} value.") from None
    if isinstance(found, str) and field.choices and found not in field.choices:
        raise _bad(c, "invalid_value", f"{field.name} is one of: {', '.join(field.choices)}.")
    return found


def _text(value: Any, _: _Context) -> str:
    if not isinstance(value, str) or "\0" in value or len(value) > 1_000:
        raise ValueError
    value.encode()  # a lone surrogate cannot be stored, so nothing equals it
    return value


def _integer(value: Any, _: _Context) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError
    if isinstance(value, str) and re.fullmatch("-?[0-9]{1,19}", value) is None:
        raise ValueError
    number = int(value)
    if not -(2**63) <= number < 2**63:
        raise ValueError
    return number


def _decimal(value: Any, _: _Context) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | str) or len(str(value)) > 40:
        raise ValueError
    number = Decimal(str(value))
    if not number.is_finite() or abs(number.adjusted()) > 100:
        raise ValueError
    return number


def _money(value: Any, context: _Context) -> int:
    """Major units in the tenant's currency: filters compare amounts, not currencies."""
    return Money.from_major(f"{_decimal(value, context):f}", context.tenant.currency).amount_minor


def _boolean_value(value: Any, _: _Context) -> bool:
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}[value] if value in ("true", "false") else _fail()


def _fail() -> bool:
    raise ValueError


def _uuid(value: Any, _: _Context) -> UUID:
    if not isinstance(value, str):
        raise TypeError
    return UUID(value)


def _date(value: Any, context: _Context) -> date:
    return resolve_date(value, context.now, context.tenant)


def _datetime(value: Any, context: _Context) -> datetime:
    return resolve_datetime(value, context.now, context.tenant)


_SCALARS: dict[Kind, Callable[[Any, _Context], Any]] = {
    Kind.TEXT: _text,
    Kind.INTEGER: _integer,
    Kind.DECIMAL: _decimal,
    Kind.MONEY: _money,
    Kind.DATE: _date,
    Kind.DATETIME: _datetime,
    Kind.BOOLEAN: _boolean_value,
    Kind.UUID: _uuid,
    Kind.TEXT_LIST: _text,
    Kind.UUID_LIST: _uuid,
}


def _boolean(c: Condition, value: Any) -> bool:
    if value in (True, "true", None):
        return True
    if value in (False, "false"):
        return False
    raise _bad(c, "invalid_value", "is_null takes true or false.")


def _bad(c: Condition, code: str, detail: str) -> InvalidFilter:
    return InvalidFilter(detail, errors=[FieldError(c.pointer or c.field, code, detail)])
