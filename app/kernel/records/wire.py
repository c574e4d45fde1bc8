"""How fields of records are read and become JSON: what kind each is, what to select, and how a row is rendered."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

import orjson
from pydantic import AwareDatetime

from app.kernel.listing import Field, Kind
from app.kernel.money import Money, money_dict
from app.kernel.veils import Veil


@dataclass(frozen=True)
class ReadPlan:
    """The select list of some fields and how a driver row becomes an answer."""

    names: tuple[str, ...]
    columns: str
    fixups: tuple[tuple[str, Callable[[Any, Any], Any], int], ...]  # (name, fix(value, row), extra column)
    width: int  # columns of a row
    veil: Veil | None = None

    @classmethod
    def of(cls, fields: Sequence[Field]) -> ReadPlan:
        columns: list[str] = []
        extras: list[str] = []
        fixups: list[tuple[str, Callable[[Any, Any], Any], int]] = []
        for found in fields:
            if found.kind is Kind.UUID:
                # Text from the server is cheaper than a UUID object that is written as text anyway.
                columns.append(f"({found.sql})::text")
            elif found.kind is Kind.JSON:
                columns.append(f"({found.sql})::text")
                fixups.append((found.name, _fragment, -1))
            elif found.kind is Kind.UUID_LIST:
                columns.append(f"({found.sql})::text[]")
            else:
                columns.append(found.sql)
                if found.kind is Kind.MONEY:
                    fixups.append((found.name, money_dict, len(fields) + len(extras)))
                    extras.append(found.currency or "NULL")
        selected = columns + extras
        return cls(tuple(f.name for f in fields), ", ".join(selected), tuple(fixups), len(selected))

    def veiled(self, names: Collection[str], column: str, ids: Collection[UUID]) -> ReadPlan:
        """This plan, with the texts of some fields shown in part only where `column` is one of `ids`."""
        places = tuple(place for place, name in enumerate(self.names) if name in names)
        if not places:
            return self
        veil = Veil(places, self.width, frozenset(ids))
        return replace(self, columns=f"{self.columns}, t.{column}", width=self.width + 1, veil=veil)

    def shown(self, row: Any) -> Any:
        """A driver row as it may be shown."""
        return row if self.veil is None else self.veil.over(row)

    def render(self, row: Any) -> dict[str, Any]:
        if self.veil is not None:
            row = self.veil.over(row)
        answer = dict(zip(self.names, row, strict=False))
        for name, fix, extra in self.fixups:
            value = answer[name]
            if value is not None:
                answer[name] = fix(value, row[extra])
        return answer


def _fragment(text: str, _: Any) -> orjson.Fragment:
    return orjson.Fragment(text)


def to_json(value: Any) -> bytes:
    """JSON bytes of an answer: times end in Z, ids and decimals are text."""
    return orjson.dumps(value, default=_text, option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS)


def _text(value: Any) -> str:
    """Decimals in plain notation: a hundred-millionth is no `1E-8` on the wire."""
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


_PLAIN_KINDS: dict[Any, Kind] = {
    str: Kind.TEXT,
    int: Kind.INTEGER,
    bool: Kind.BOOLEAN,
    float: Kind.DECIMAL,
    Decimal: Kind.DECIMAL,
    UUID: Kind.UUID,
    datetime: Kind.DATETIME,
    AwareDatetime: Kind.DATETIME,
    date: Kind.DATE,
    Money: Kind.MONEY,
}


def kind_of(annotation: Any) -> tuple[Kind, bool, tuple[str, ...]]:
    """(kind, nullable, choices) of a read field's annotation."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return kind_of(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        inner = [part for part in typing.get_args(annotation) if part is not type(None)]
        kind, _, choices = kind_of(inner[0])
        return kind, len(inner) < len(typing.get_args(annotation)), choices
    if origin is typing.Literal:
        return Kind.TEXT, False, tuple(map(str, typing.get_args(annotation)))
    if origin is list:
        inner_kind, _, _ = kind_of(typing.get_args(annotation)[0])
        lists = {Kind.TEXT: Kind.TEXT_LIST, Kind.UUID: Kind.UUID_LIST}
        return lists.get(inner_kind, Kind.JSON), False, ()
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return Kind.TEXT, False, tuple(kind.value for kind in annotation)
    return _PLAIN_KINDS.get(annotation, Kind.JSON), False, ()
