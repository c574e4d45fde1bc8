"""Pages of logs, histories and settings lists: a SELECT, its order, and what a row looks like.

Lists of records are paged by `app.kernel.record_reads`, with the filters and sorts of `app.kernel.listing`. Here the
list's name says all that a cursor is bound to: put what filters the list into it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import asyncpg
from sqlalchemy import Select

from app.kernel.db import compile_statement
from app.kernel.listing import Bindings, Field, Keyset, Kind
from app.kernel.models import TenantOwned
from app.kernel.positions import MAX_LIMIT, read_position, sign_position
from app.kernel.schemas import Page
from app.kernel.statements import entity
from app.kernel.uow import UnitOfWork

M = TypeVar("M", bound=TenantOwned)
Row = TypeVar("Row")
Shown = TypeVar("Shown")


def order_by(columns: Mapping[str, Kind], *, falling: bool = False) -> Keyset:
    """An order by columns that are never null, and that together tell each row from every other."""
    fields = [Field(sql.rpartition(".")[2], kind, sql, nullable=False) for sql, kind in columns.items()]
    return Keyset(tuple((field, falling) for field in fields))


NEWEST_BY_TIME: Final = order_by({"created_at": Kind.DATETIME, "id": Kind.UUID}, falling=True)
BY_ID: Final = order_by({"id": Kind.UUID})
NEWEST: Final = order_by({"id": Kind.UUID}, falling=True)
"""By ids that tell when they were made."""


@dataclass(frozen=True, slots=True)
class Slice(Generic[Row]):
    """The rows of a page, and the cursor of the next page; None behind the last row."""

    rows: list[Row]
    next_cursor: str | None

    @property
    def onward(self) -> dict[str, Any]:
        """What a page says besides its rows."""
        return {"next_cursor": self.next_cursor, "has_more": self.next_cursor is not None}

    def page(self, show: Callable[[Row], Shown]) -> Page[Shown]:
        """The answer, each row in its wire form."""
        return Page(data=[show(row) for row in self.rows], **self.onward)


async def fetch_page(
    uow: UnitOfWork, select: str, bind: Bindings, order: Keyset, *, name: str, limit: int, cursor: str | None
) -> Slice[asyncpg.Record]:
    """A page of a SELECT that ends in its conditions and shows the columns that it is ordered by.

    Raises: InvalidCursor.
    """
    limit = min(limit, MAX_LIMIT)
    position = read_position(uow, name, cursor)
    after = f" AND {order.after(position, bind)}" if position else ""
    rows = await uow.fetch(
        f"{select}{after} ORDER BY {order.order_by} LIMIT {limit + 1}",
        *bind.values,
    )
    if len(rows) <= limit:
        return Slice(rows, None)
    last = [rows[limit - 1][field.name] for field, _ in order.keys]
    return Slice(rows[:limit], sign_position(uow, name, last))


async def select_page(
    uow: UnitOfWork, statement: Select[M], order: Keyset, *, name: str, limit: int, cursor: str | None
) -> Slice[M]:
    """The same of a `uow.select(Model)`. Raises: InvalidCursor."""
    sql, arguments = compile_statement(statement)
    found = await fetch_page(uow, sql, Bindings(*arguments), order, name=name, limit=limit, cursor=cursor)
    model: type[M] = statement.column_descriptions[0]["entity"]
    return Slice([entity(model, row) for row in found.rows], found.next_cursor)
