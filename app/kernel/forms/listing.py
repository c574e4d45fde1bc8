"""What came in by a form, page by page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from uuid import UUID

from app.kernel.listing import Bindings
from app.kernel.positions import MAX_LIMIT, read_position, sign_position
from app.kernel.schemas import Page
from app.kernel.uow import UnitOfWork

Shown = TypeVar("Shown")


async def page_of_submissions(
    uow: UnitOfWork,
    table: str,
    columns: Sequence[str],
    form_id: UUID,
    show: Callable[[Any], Shown],
    *,
    status: str | None,
    limit: int,
    cursor: str | None,
) -> Page[Shown]:
    """The submissions of a form that is there, the newest first. Raises `InvalidCursor`."""
    limit = min(limit, MAX_LIMIT)
    name = f"form-submissions:{form_id}:{status}"
    bind = Bindings(uow.tenant_id, form_id)
    where = f" AND status = {bind(status)}" if status else ""
    after = read_position(uow, name, cursor)
    if after:
        at, last_id = bind(after[0]), bind(after[1])
        where += f" AND (created_at, id) < ({at}::text::timestamptz, {last_id}::text::uuid)"
    rows = await uow.fetch(
        f"SELECT {', '.join(columns)} FROM {table} WHERE tenant_id = $1 AND form_id = $2{where}"
        f" ORDER BY created_at DESC, id DESC LIMIT {limit + 1}",
        *bind.values,
    )
    page, more = rows[:limit], len(rows) > limit
    last = [page[-1]["created_at"].isoformat(), page[-1]["id"]] if more else []
    return Page(
        data=[show(row) for row in page],
        next_cursor=sign_position(uow, name, last) if more else None,
        has_more=more,
        total=None,
        total_is_estimate=None,
    )
