"""Counters that are counted up in a moment of their own: callers of one process who meet share a statement.

The first caller asks the database at once. Those who come while it answers wait, and are served together by the next
statement, so that a counter that everybody wants costs one statement at a time and nobody queues for its row.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from app.kernel.db import Database

Counter = tuple[UUID, str, int]
"""Tenant, series, and year or 0."""
_Waiting = list[tuple[int, "asyncio.Future[int]"]]

COUNT_UP = """
INSERT INTO kernel.numbers AS n (tenant_id, series, year, last_number) VALUES ($1, $2, $3, $4)
ON CONFLICT (tenant_id, series, year) DO UPDATE SET last_number = n.last_number + $4
RETURNING last_number
"""
# The counter need not be on disk when its own transaction ends, while others wait for its row: the log is written in
# order, so whoever commits with the number brings its counter there first.
_COUNT_UP_ALONE = COUNT_UP.replace(
    "VALUES ($1, $2, $3, $4)",
    "SELECT $1::uuid, $2::text, $3::integer, $4::bigint FROM set_config('synchronous_commit', 'off', true)",
)


class Counters:
    """The counters of one process. A number that a caller does not live to take is a gap."""

    def __init__(self) -> None:
        self._waiting: dict[Counter, _Waiting] = {}  # there is a key while a statement for it is under way
        self._tasks: set[asyncio.Task[None]] = set()

    async def take(self, database: Database, counter: Counter, count: int) -> int:
        """Count up by `count`; the last of the numbers that are the caller's now."""
        waiting = self._waiting.get(counter)
        if waiting is not None:
            turn: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            waiting.append((count, turn))
            return await turn
        self._waiting[counter] = []
        try:
            return await _count_up(database, counter, count)
        finally:
            self._next(database, counter)

    def _next(self, database: Database, counter: Counter) -> None:
        """Serve those who came meanwhile, and still want it."""
        group = [one for one in self._waiting.pop(counter) if not one[1].done()]
        if group:
            self._waiting[counter] = []
            task = asyncio.create_task(self._serve(database, counter, group))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, database: Database, counter: Counter, group: _Waiting) -> None:
        try:
            last = await _count_up(database, counter, sum(count for count, _ in group))
        except Exception as error:  # noqa: BLE001 - it is everybody's who waits
            for _, turn in group:
                if not turn.done():
                    turn.set_exception(error)
        except BaseException:
            for _, turn in group:
                turn.cancel()
            raise
        else:
            for count, turn in reversed(group):
                if not turn.done():
                    turn.set_result(last)
                last -= count
        finally:
            self._next(database, counter)


async def _count_up(database: Database, counter: Counter, count: int) -> int:
    # The control pool: a second connection of the pool that our caller holds one of could wait for itself.
    async with database.control_session() as connection:
        return int(await connection.fetchval(_COUNT_UP_ALONE, *counter, count))
