"""What came in by a form, page by page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from uuid import UUID

from app.kernel.listing import Bindings
from app.kernel.log_pages import NEWEST_BY_TIME, fetch_page
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
    bind = Bindings(uow.tenant_id, form_id)
    where = f" AND status = {bind(status)}" if status else ""
    found = await fetch_page(
        uow,
        f"SELECT {', '.join(columns)} FROM {table} WHERE tenant_id = $1 AND form_id = $2{where}",
        bind,
        NEWEST_BY_TIME,
        name=f"form-submissions:{form_id}:{status}",
        limit=limit,
        cursor=cursor,
    )
    return found.page(show)
