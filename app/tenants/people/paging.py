"""Keyset pages over the small tables of people: a sort key and the id, in a signed cursor."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import orjson
from sqlalchemy import Select, String, literal, tuple_
from sqlalchemy.sql.expression import SQLColumnExpression

from app.kernel.errors import InvalidCursor
from app.kernel.models import TenantOwned
from app.kernel.secrets import SignatureInvalid
from app.kernel.uow import UnitOfWork

M = TypeVar("M", bound=TenantOwned)
MAX_LIMIT = 200


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
    binding = hashlib.sha256(orjson.dumps([str(uow.tenant_id), name, [str(f) for f in filters]])).digest()[
        :12
    ]
    if cursor is not None:
        after = _read(uow, cursor, binding, len(order))
        statement = statement.where(columns > tuple_(*(literal(value, String) for value in after)))
    limit = min(limit, MAX_LIMIT)
    rows = await uow.all(statement.order_by(*(column for _, column in order)).limit(limit + 1))
    if len(rows) <= limit:
        return Slice(rows, None)
    rows = rows[:limit]
    last = [str(rows[-1].__dict__[attribute]) for attribute, _ in order]
    return Slice(rows, uow.kernel.secrets.sign(binding + orjson.dumps(last), purpose="cursor"))


def _read(uow: UnitOfWork, cursor: str, binding: bytes, width: int) -> list[str]:
    try:
        payload = uow.kernel.secrets.unsign(cursor, purpose="cursor")
    except SignatureInvalid:
        raise InvalidCursor from None
    if payload[:12] != binding:
        raise InvalidCursor
    try:
        values = orjson.loads(payload[12:])
    except orjson.JSONDecodeError:
        raise InvalidCursor from None
    if not isinstance(values, list) or len(values) != width:
        raise InvalidCursor
    return [str(value) for value in values]
