"""Events that a reaction failed on for good: seen, and handed out again when the cause is mended."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from app.kernel.errors import NotFound
from app.kernel.positions import read_position, sign_position
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
        uow = self.uow
        after = read_position(uow, "dead-letters", cursor)
        rows = await uow.fetch(
            f"SELECT {_COLUMNS} FROM kernel.outbox WHERE tenant_id = $1 AND dead_at IS NOT NULL"
            f"{' AND id < $2' if after else ''} ORDER BY id DESC LIMIT {limit + 1}",
            *[uow.tenant_id, *(UUID(id) for id in after or ())],
        )
        more = len(rows) > limit
        return Page(
            data=[_answer(dict(row)) for row in rows[:limit]],
            next_cursor=sign_position(uow, "dead-letters", [rows[limit - 1]["id"]]) if more else None,
            has_more=more,
            total=None,
            total_is_estimate=None,
        )

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
        return _answer(dict(row))


def _answer(row: Mapping[str, Any]) -> DeadLetter:
    return DeadLetter(**row)
