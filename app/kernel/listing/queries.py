"""What a list was asked for, however that arrived: as parameters of GET or as the body of `POST …/search`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.kernel.errors import InvalidFilter
from app.kernel.listing.fields import unknown_field

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
COUNT_CAP = 10_000


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
            raise unknown_field(name, name)
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
