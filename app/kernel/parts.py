"""Parts of a record, such as the lines of an order, as JSON that the database writes (docs/adr/0016).

One more column of the statement that reads the record: no model and no object per line. `Parts.rendered` writes the
same from rows that a request has just made, for answers that need not read them again.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Any
from uuid import UUID

import orjson
from pydantic import BaseModel

from app.kernel.decimals import decimal_text
from app.kernel.money import EXPONENTS, Money, UnitPrice, money_dict

_ZERO = Decimal(0)
_Render = Callable[[Any, str], Any]


@dataclass(frozen=True, eq=False)
class Parts:
    """What one record answers with under `name`: a list of `read`, whose fields are columns of `rows`.

    `rows` is a SELECT of the record `t` as far as it matters: it has no order, `order_by` has. Money and unit prices
    are in the record's `currency`. A field of the record that is hidden from the actor makes those that it `hides`
    null; the one named by `hidden_by` leaves an empty list.
    """

    name: str
    read: type[BaseModel]
    rows: str
    order_by: str = "position"
    hides: Mapping[str, Collection[str]] = field(default_factory=dict)
    hidden_by: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)  # field → SQL of its JSON text, of the row `l`

    def column(self, hidden: Collection[str]) -> str:
        """SQL of the JSON array, of the record `t`, for somebody from whom these fields of it are hidden."""
        if self.hidden_by in hidden:
            return "'[]'"
        absent = self._absent(hidden)
        texts, before = [], "{"
        for name, cell in self._cells.items():
            before += f'"{name}":'
            texts += [f"'{before}'", "'null'" if name in absent else self.columns.get(name, cell.sql)]
            before = ","
        return (
            f"(SELECT coalesce('[' || string_agg(concat({', '.join(texts)}, '}}'), ',' ORDER BY l.{self.order_by})"
            f" || ']', '[]') FROM (SELECT {_UNIT} AS unit, {_DECIMALS} AS decimals,"
            """ '","currency":"' || t.currency || '"}' AS tail OFFSET 0) c,"""
            f" ({self.rows}) l)"
        )

    def rendered(
        self, rows: Iterable[Mapping[str, Any]], currency: str, hidden: Collection[str]
    ) -> list[dict[str, Any]]:
        """Rows in their order as `column` would answer them; `to_json` writes what is not text yet."""
        if self.hidden_by in hidden:
            return []
        absent = self._absent(hidden)
        shown = [(name, cell.render) for name, cell in self._cells.items() if name not in absent]
        empty: dict[str, Any] = dict.fromkeys(self._cells)
        found = []
        for row in rows:
            found.append(one := empty.copy())
            for name, render in shown:
                value = row[name]
                one[name] = value if value is None or render is None else render(value, currency)
        return found

    def _absent(self, hidden: Collection[str]) -> frozenset[str]:
        return frozenset(name for by, names in self.hides.items() if by in hidden for name in names)

    @cached_property
    def _cells(self) -> dict[str, _Cell]:
        return {name: _cell(name, info.annotation) for name, info in self.read.model_fields.items()}


@dataclass(frozen=True, slots=True)
class Fact:
    """One more value that a record answers with under `name`: `sql` is its JSON text, of the record `t`.

    It is `absent` for somebody from whom the field `hidden_by` is hidden.
    """

    name: str
    sql: str
    hidden_by: str | None = None
    absent: str = "'null'"

    def column(self, hidden: Collection[str]) -> str:
        """SQL of the JSON, for somebody from whom these fields of the record are hidden."""
        return self.absent if self.hidden_by in hidden else self.sql

    def rendered(self, value: Any, currency: str, hidden: Collection[str]) -> Any:  # noqa: ARG002 - as `Parts`
        """A known value as `column` would answer it."""
        return orjson.Fragment(self.absent.strip("'")) if self.hidden_by in hidden else value


def utc_text_sql(sql: str) -> str:
    """SQL of a moment as answers write it, without quotes; null stays null."""
    return f"(to_json({sql} AT TIME ZONE 'UTC') #>> '{{}}') || 'Z'"


def utc_text(moment: datetime | None) -> str | None:
    """The text that `utc_text_sql` gives of a moment: as many digits of a second as it takes."""
    if moment is None:
        return None
    text = moment.astimezone(UTC).isoformat()[: -len("+00:00")]
    return f"{text.rstrip('0') if moment.microsecond else text}Z"


@lru_cache(maxsize=1_000)
def select_list(parts: tuple[Parts | Fact, ...], hidden: frozenset[str]) -> str:
    """A select list of parts, which begins with a comma; made once per choice of what is hidden."""
    return "".join(f", {part.column(hidden)}" for part in parts)


@dataclass(frozen=True, slots=True)
class _Cell:
    """A field: the SQL of its JSON text, of the row `l` and the currency `c`, and the same of a value."""

    sql: str
    render: _Render | None  # None: as it is


def _by_exponent(texts: Mapping[int, str]) -> str:
    """SQL of a text by the decimal places of the record's currency; two is what most have."""
    cases = []
    for exponent in sorted({*EXPONENTS.values()} - {2}):
        codes = ",".join(sorted(code for code, places in EXPONENTS.items() if places == exponent))
        cases.append(f"WHEN t.currency = ANY('{{{codes}}}'::text[]) THEN {texts[exponent]}")
    return f"CASE {' '.join(cases)} ELSE {texts[2]} END"


# A whole number times 0.01 is a numeric with two decimals, whatever the number: no division, no rounding.
_UNIT = _by_exponent({0: "1::numeric", 2: "0.01", 3: "0.001", 4: "0.0001"})
_DECIMALS = _by_exponent({0: "0", 2: "2", 3: "3", 4: "4"})


def _cell(name: str, annotation: Any) -> _Cell:
    """Raises `TypeError` for a type that no part has had so far."""
    kind, optional = _inner(annotation)
    at = f"l.{name}"
    if kind is Money:
        return _Cell(_or_null(f"""'{{"amount":"' || ({at} * c.unit)::text || c.tail""", optional), _money)
    if kind is UnitPrice:
        shown = f"round({at}, greatest(min_scale({at}), c.decimals))::text"
        return _Cell(_or_null(f"""'{{"amount":"' || {shown} || c.tail""", optional), _unit_price)
    if kind is Decimal:
        return _Cell(_or_null(f"'\"' || trim_scale({at})::text || '\"'", optional), _decimal)
    if kind in (bool, int):
        text = f"{at}::text"
    elif isinstance(kind, type) and issubclass(kind, StrEnum | UUID | date):
        text = f"'\"' || {at}::text || '\"'"
    elif kind is str:
        text = f"to_json({at})::text"
    elif kind is list:
        text = f"array_to_json({at})::text"
    else:
        raise TypeError(f"{name}: {annotation} as a field of a part")
    return _Cell(_or_null(text, optional), None)


def _or_null(text: str, optional: bool) -> str:
    return f"coalesce({text}, 'null')" if optional else text


def _inner(annotation: Any) -> tuple[Any, bool]:
    """The type that an annotation names, and whether it may be null."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _inner(typing.get_args(annotation)[0])
    if origin is list:
        return list, False
    inner = [one for one in typing.get_args(annotation) if one is not type(None)]
    if inner:
        return _inner(inner[0])[0], True
    return annotation, False


@lru_cache(maxsize=1_024)
def _money(value: int, currency: str) -> Any:
    """Amounts of a line are often the same, or nothing."""
    return money_dict(value, currency)


@lru_cache(maxsize=1_024)
def _decimal(value: Decimal, _: str) -> str:
    return decimal_text(value or _ZERO)  # what is equal has one text: there is no -0


@lru_cache(maxsize=1_024)
def _unit_price(value: Decimal, currency: str) -> Any:
    return UnitPrice(value, currency).to_wire()
