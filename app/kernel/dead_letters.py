"""Events that a reaction failed on for good: seen, and handed out again when the cause is mended."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from app.kernel.errors import NotFound
from app.kernel.listing import Bindings
from app.kernel.log_pages import NEWEST, fetch_page
from app.kernel.schemas import Output, Page
from app.kernel.uow import UnitOfWork

_COLUMNS = "id, at, type, object, record_id, attempts, dead_at, last_error"


class DeadLetter(Output):
    """An event that was tried until there was no point in it any more."""

    id: UUID
    at: datetime
    type: str
    object: str
    record_id: UUID
    attempts: int
    dead_at: datetime | None
    last_error: str | None


class DeadLetters:
    """The dead letters of the tenant at hand. The route has checked `event:manage`."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow

    async def page(self, *, limit: int, cursor: str | None) -> Page[DeadLetter]:
        """Newest first. Raises `InvalidCursor`."""
        found = await fetch_page(
            self.uow,
            f"SELECT {_COLUMNS} FROM kernel.outbox WHERE tenant_id = $1 AND dead_at IS NOT NULL",
            Bindings(self.uow.tenant_id),
            NEWEST,
            name="dead-letters",
            limit=limit,
            cursor=cursor,
        )
        return found.page(_answer)

    async def retry(self, id: UUID) -> DeadLetter:
        """Hand a dead letter out again, with all its attempts. Raises `NotFound`."""
        uow = self.uow
        row = await uow.fetchrow(
            "UPDATE kernel.outbox SET dead_at = NULL, next_attempt_at = NULL, attempts = 0"
            f" WHERE tenant_id = $1 AND id = $2 AND dead_at IS NOT NULL RETURNING {_COLUMNS}",
            uow.tenant_id,
            id,
        )
        if row is None:
            raise NotFound
        uow.record_audit("event", id, "retried", {"type": [None, row["type"]]})
        return _answer(row)


def _answer(row: Any) -> DeadLetter:
    return DeadLetter(**row)
