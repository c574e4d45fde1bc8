"""Lists: one filter compiler and one keyset pager for GET, `POST …/search`, saved views, exports and rules.

Fields are declared (`Field`); filters name fields, operators and values, and become SQL text whose only inputs
are bound. Whatever is unknown, a field, an operator, a cursor of another list, is an error: a filter that is
silently ignored returns everything. Reading goes through the table's read view, where PostgreSQL may use every
index (ARCHITECTURE, tenancy).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any
from uuid import UUID

import orjson

from app.kernel.access import TenantProfile
from app.kernel.errors import FieldError, InvalidCursor, InvalidFilter
from app.kernel.money import Money
from app.kernel.relative_dates import resolve_date, resolve_datetime
from app.kernel.secrets import KeyRing, SignatureInvalid

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
MAX_GROUPS = 5
MAX_CONDITIONS = 10
MAX_VALUES = 200
COUNT_CAP = 10_000


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
_COMPARISONS = {"eq": "=", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}


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


@dataclass(frozen=True, slots=True)
class Condition:
    field: str
    op: str
    value: Any
    pointer: str = ""


@dataclass(frozen=True, slots=True)
class Query:
    """A list request, independent of how it arrived. `groups` are OR-ed; conditions in a group are AND-ed."""

    groups: tuple[tuple[Condition, ...], ...] = ()
    text: str | None = None
    sort: tuple[tuple[str, bool], ...] = ()  # (field, descending)
    limit: int = DEFAULT_LIMIT
    cursor: str | None = None
    fields: tuple[str, ...] | None = None
    total: bool = False

    @property
    def shape(self) -> str:
        """What a cursor is bound to besides the tenant: filters, text and sort."""
        groups = [[(c.field, c.op, c.value) for c in group] for group in self.groups]
        return json.dumps([groups, self.text, self.sort], default=str)  # orjson refuses integers over 64 bits


_PARAMETER = re.compile(r"([a-z0-9_.]+)(?:\[([a-z_]+)\])?$")
RESERVED = frozenset({"sort", "limit", "cursor", "fields", "include", "q", "view"})


def query_from_parameters(parameters: Sequence[tuple[str, str]]) -> Query:
    """`status=new&created_at[gte]=…&sort=-created_at&limit=50&fields=…&include=total&q=…`."""
    conditions: list[Condition] = []
    query = Query()
    seen: set[str] = set()
    for name, value in parameters:
        if name in seen:
            hint = "" if name in RESERVED else " For one value or another, write field[in]=a,b."
            raise InvalidFilter(f"The parameter {name!r} is given twice.{hint}", parameter=name)
        seen.add(name)
        if name in RESERVED:
            query = _reserved(query, name, value)
            continue
        match = _PARAMETER.fullmatch(name)
        if match is None:
            raise _unknown_field(name, name)
        field_name, op = match[1], match[2] or "eq"
        parsed: Any = value
        if op in ("in", "not_in", "between", "has_any", "has_all"):
            parsed = value.split(",")
        conditions.append(Condition(field_name, op, parsed, name))
    return replace(query, groups=(tuple(conditions),) if conditions else ())


def _reserved(query: Query, name: str, value: str) -> Query:
    if name == "limit":
        if re.fullmatch("[0-9]{1,9}", value) is None or int(value) < 1:
            raise InvalidFilter("limit is a whole number from 1 to 200.", parameter="limit")
        return replace(query, limit=min(int(value), MAX_LIMIT))
    if name == "include":
        if value != "total":
            raise InvalidFilter("include takes only `total`.", parameter="include")
        return replace(query, total=True)
    if name == "sort":
        return replace(query, sort=parse_sort(value.split(",")))
    if name == "fields":
        return replace(query, fields=tuple(value.split(",")))
    if name == "q":
        return replace(query, text=value)
    if name == "view":
        return query  # `saved_views.apply_view` adds it: views live in the database
    return replace(query, cursor=value)


def parse_sort(names: Sequence[str]) -> tuple[tuple[str, bool], ...]:
    """`-created_at` means descending; at most three keys."""
    found = tuple((name.removeprefix("-"), name.startswith("-")) for name in names)
    if len(found) > 3 or len({name for name, _ in found}) != len(found):
        raise InvalidFilter("Sort by at most three different fields.", parameter="sort")
    return found


def query_from_body(body: Mapping[str, Any]) -> Query:
    """The validated body of `POST …/search` (schemas.SearchRequest as a dict)."""
    groups: list[tuple[Condition, ...]] = []
    tree = body.get("filter") or {}
    for g, group in enumerate(tree.get("or", [])):
        pointer = f"/filter/or/{g}/and"
        groups.append(
            tuple(
                Condition(c["field"], c["op"], c.get("value"), f"{pointer}/{i}")
                for i, c in enumerate(group["and"])
            )
        )
    return Query(
        groups=tuple(groups),
        text=body.get("query"),
        sort=parse_sort(body.get("sort") or ()),
        limit=min(body.get("limit") or DEFAULT_LIMIT, MAX_LIMIT),
        cursor=body.get("cursor"),
        fields=tuple(body["fields"]) if body.get("fields") else None,
        total="total" in (body.get("include") or ()),
    )


@dataclass(frozen=True, slots=True)
class FieldSet:
    """The fields an actor may use: declared ones and the tenant's custom ones, hidden ones left out."""

    fields: Mapping[str, Field]

    def get(self, name: str, pointer: str) -> Field:
        found = self.fields.get(name)
        if found is None:
            raise _unknown_field(name, pointer)
        return found


def _unknown_field(name: str, pointer: str) -> InvalidFilter:
    return InvalidFilter(
        f"There is no field {name!r} to filter or sort by.",
        errors=[FieldError(pointer, "unknown_field", f"There is no field {name!r} here.")],
    )


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


# -- keyset pages --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Keyset:
    """The order of a list: its sort fields and then the id, which makes it total."""

    keys: tuple[tuple[Field, bool], ...]

    @classmethod
    def of(
        cls, sort: Sequence[tuple[str, bool]], default: Sequence[tuple[str, bool]], fields: FieldSet
    ) -> Keyset:
        keys: list[tuple[Field, bool]] = []
        for name, descending in sort or default:
            found = fields.get(name, "sort")
            if not found.sortable:
                raise InvalidFilter(f"{name!r} cannot be sorted by.", parameter="sort")
            keys.append((found, descending))
        if not any(found.name == "id" for found, _ in keys):
            keys.append((fields.fields.get("id", ID_FIELD), keys[-1][1] if keys else False))
        return cls(tuple(keys))

    @property
    def order_by(self) -> str:
        return ", ".join(f"{key.sql}{' DESC' if descending else ''}" for key, descending in self.keys)

    @property
    def named(self) -> str:
        """The keys as columns `k0` and so on, for an order of what was selected: `order_of_named`."""
        return ", ".join(f"{key.sql} AS k{place}" for place, (key, _) in enumerate(self.keys))

    @property
    def order_of_named(self) -> str:
        return ", ".join(
            f"k{place}{' DESC' if falling else ''}" for place, (_, falling) in enumerate(self.keys)
        )

    @property
    def columns(self) -> str:
        """The values a cursor holds, as one JSON array of texts."""
        return "jsonb_build_array(" + ", ".join(f"({key.sql})::text" for key, _ in self.keys) + ")::text"

    def after(self, values: Sequence[str | None], bind: Bindings) -> str:
        """SQL that is true for the rows behind a position."""
        if len(values) != len(self.keys):
            raise InvalidCursor
        directions = {descending for _, descending in self.keys}
        if len(directions) == 1 and all(not key.nullable for key, _ in self.keys):
            left = ", ".join(key.sql for key, _ in self.keys)
            right = ", ".join(
                self._bound(key, value, bind) for (key, _), value in zip(self.keys, values, strict=True)
            )
            return f"({left}) {'<' if directions.pop() else '>'} ({right})"
        return self._expanded(values, bind)

    def _expanded(self, values: Sequence[str | None], bind: Bindings) -> str:
        """The same for mixed directions and NULLs (first when descending, last when ascending)."""
        alternatives: list[str] = []
        equal: list[str] = []
        for (key, descending), value in zip(self.keys, values, strict=True):
            if value is None:
                beyond = f"{key.sql} IS NOT NULL" if descending else "false"
                same = f"{key.sql} IS NULL"
            else:
                bound = self._bound(key, value, bind)
                beyond = f"{key.sql} {'<' if descending else '>'} {bound}"
                if key.nullable and not descending:
                    beyond = f"({beyond} OR {key.sql} IS NULL)"
                same = f"{key.sql} = {bound}"
            alternatives.append(" AND ".join([*equal, beyond]))
            equal.append(same)
        return "(" + " OR ".join(f"({part})" for part in alternatives) + ")"

    @staticmethod
    def _bound(key: Field, value: str | None, bind: Bindings) -> str:
        return f"{bind(value)}::text::{PG_TYPES[key.kind]}"


ID_FIELD = Field("id", Kind.UUID, "t.id", nullable=False)


def sign_cursor(keys: KeyRing, tenant_id: UUID, list_name: str, query: Query, values: str) -> str:
    """An opaque position, bound to tenant, list, filters and sort."""
    return keys.sign(_binding(tenant_id, list_name, query) + values.encode(), purpose="cursor")


def read_cursor(keys: KeyRing, tenant_id: UUID, list_name: str, query: Query) -> list[str | None]:
    """The position in a cursor. Raises `InvalidCursor`: forged, of another tenant, or of other filters."""
    bound_to = _binding(tenant_id, list_name, query)
    try:
        payload = keys.unsign(query.cursor or "", purpose="cursor")
    except SignatureInvalid:
        payload = b""
    if not payload.startswith(bound_to):
        raise InvalidCursor("The cursor belongs to another list, filter or sort; start again without it.")
    values: list[str | None] = orjson.loads(payload[len(bound_to) :])
    return values


def _binding(tenant_id: UUID, list_name: str, query: Query) -> bytes:
    return hashlib.blake2b(f"{tenant_id}{list_name}{query.shape}".encode(), digest_size=12).digest()
