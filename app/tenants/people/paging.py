"""Keyset pages over the small tables of people: a sort key and the id, in a signed cursor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import orjson
from sqlalchemy import Select, String, literal, tuple_
from sqlalchemy.sql.expression import SQLColumnExpression

from app.kernel.models import TenantOwned
from app.kernel.positions import MAX_LIMIT, read_position, sign_position
from app.kernel.uow import UnitOfWork

M = TypeVar("M", bound=TenantOwned)


@dataclass(frozen=True, slots=True)
class Slice(Generic[M]):
    rows: list[M]
    next_cursor: str | None


async def page(
    uow: UnitOfWork,
    statement: Select[M],
    *,
    name: str,
    order: Sequence[tuple[str, SQLColumnExpression[str]]],
    filters: Sequence[object],
    limit: int,
    cursor: str | None,
) -> Slice[M]:
    """The rows after `cursor`, ascending by the `order` columns (attribute name and text expression).

    The cursor is bound to tenant, list and filters. Raises: InvalidCursor.
    """
    columns = tuple_(*(column for _, column in order))
    list_name = orjson.dumps([name, *map(str, filters)]).decode()
    after = read_position(uow, list_name, cursor)
    if after:
        statement = statement.where(columns > tuple_(*(literal(value, String) for value in after)))
    limit = min(limit, MAX_LIMIT)
    rows = await uow.all(statement.order_by(*(column for _, column in order)).limit(limit + 1))
    if len(rows) <= limit:
        return Slice(rows, None)
    rows = rows[:limit]
    last = [rows[-1].__dict__[attribute] for attribute, _ in order]
    return Slice(rows, sign_position(uow, list_name, last))
