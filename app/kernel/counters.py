"""Counters that are counted up in a moment of their own: callers of one process who meet share a statement.

The first caller asks the database at once. Those who come while it answers wait, and are served together by the next
statement, so that a counter that everybody wants costs one statement at a time and nobody queues for its row. Where
several met, as many numbers again are taken ahead for those who come within a second, and twice as many the next time
if they are used up within it; what is left of them goes back with the next statement, unless another process has
counted on meanwhile.

A server that crashes may lose the latest of a counter, and with it that numbers were taken ahead: another process is
given them then. A crash closes all connections; so numbers are handed out, and given back, only on connections that
are older than they are.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING
from uuid import UUID

from app.kernel.db import made_at

if TYPE_CHECKING:
    from app.kernel.db import Database

Counter = tuple[UUID, str, int]
"""Tenant, series, and year or 0."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """Who waits for `count` numbers, on a connection made at `since`."""

    count: int
    since: float
    turn: asyncio.Future[int]


COUNT_UP = """
INSERT INTO kernel.numbers AS n (tenant_id, series, year, last_number) VALUES ($1, $2, $3, $4)
ON CONFLICT (tenant_id, series, year) DO UPDATE SET last_number = n.last_number + $4
RETURNING last_number
"""
# The counter need not be on disk when its own transaction ends, while others wait for its row: the log is written in
# order, so whoever commits with the number brings its counter there first. `$6` numbers up to `$5` come back.
_COUNT_UP_ALONE = COUNT_UP.replace(
    "VALUES ($1, $2, $3, $4)",
    "SELECT $1::uuid, $2::text, $3::integer, $4::bigint FROM set_config('synchronous_commit', 'off', true)",
).replace(
    "n.last_number + $4",
    "n.last_number + $4 - CASE WHEN n.last_number = $5::bigint THEN $6::bigint ELSE 0 END",
)
_FRESH = 1.0
_MOST_AHEAD = 64
_MOST_KEPT = 10_000


@dataclass(slots=True)
class _Ahead:
    """Numbers that nobody has yet: the last `left` up to `end`, of `size` that were taken at a time.

    `at` is when they were asked for: where a connection is older, the database has not crashed since.
    """

    end: int
    left: int
    size: int
    at: float


class Counters:
    """The counters of one process. A number that a caller does not live to take is a gap."""

    def __init__(self) -> None:
        self._waiting: dict[
            Counter, list[_Waiting]
        ] = {}  # there is a key while a statement for it is under way
        self._ahead: OrderedDict[Counter, _Ahead] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()

    async def take(self, database: Database, counter: Counter, count: int, *, since: float = 0.0) -> int:
        """Count up by `count`; the last of the numbers that are the caller's now.

        `since` is when the connection was made on which the caller commits with them.
        """
        waiting = self._waiting.get(counter)
        if waiting is not None:
            turn: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            waiting.append(_Waiting(count, since, turn))
            return await turn
        last = self._of_ahead(counter, count, since)
        if last is not None:
            return last
        self._waiting[counter] = []
        try:
            return await self._count_up(database, counter, count, self._wanted_ahead(counter))
        finally:
            self._next(database, counter)

    def _fresh(self, counter: Counter) -> _Ahead | None:
        ahead = self._ahead.get(counter)
        return ahead if ahead is not None and monotonic() - ahead.at < _FRESH else None

    def _of_ahead(self, counter: Counter, count: int, since: float) -> int | None:
        """The last of `count` numbers that were taken ahead, if there are as many for this connection."""
        ahead = self._fresh(counter)
        if ahead is None or ahead.left < count or since > ahead.at:
            return None
        ahead.left -= count
        return ahead.end - ahead.left

    def _wanted_ahead(self, counter: Counter) -> int:
        """How many to take ahead where a statement is due."""
        ahead = self._fresh(counter)
        return 0 if ahead is None else min(2 * ahead.size, _MOST_AHEAD)

    async def _count_up(self, database: Database, counter: Counter, count: int, more: int) -> int:
        """Count up by `count`, and by `more` for those who will come; the last of the caller's numbers."""
        back = self._ahead.pop(counter, None)
        at = monotonic()
        # The control pool: a second connection of the pool that our caller holds one of could wait for itself.
        async with database.control_session() as connection:
            left = (back.end, back.left) if back and made_at(connection) <= back.at else (0, 0)
            end = int(await connection.fetchval(_COUNT_UP_ALONE, *counter, count + more, *left))
        if more:
            self._ahead[counter] = _Ahead(end, more, more, at)
            if len(self._ahead) > _MOST_KEPT:
                self._ahead.popitem(last=False)
        return end - more

    def _next(self, database: Database, counter: Counter) -> None:
        """Serve those who came meanwhile, and still want it."""
        group: list[_Waiting] = []
        for one in self._waiting.pop(counter):
            if one.turn.done():
                continue
            last = None if group else self._of_ahead(counter, one.count, one.since)
            if last is None:
                group.append(one)
            else:
                one.turn.set_result(last)
        if group:
            self._waiting[counter] = []
            task = asyncio.create_task(self._serve(database, counter, group))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, database: Database, counter: Counter, group: list[_Waiting]) -> None:
        try:
            wanted = sum(one.count for one in group)
            more = max(min(len(group), _MOST_AHEAD), self._wanted_ahead(counter))
            last = await self._count_up(database, counter, wanted, more)
        except Exception as error:  # noqa: BLE001 - it is everybody's who waits
            for one in group:
                if not one.turn.done():
                    one.turn.set_exception(error)
        except BaseException:
            for one in group:
                one.turn.cancel()
            raise
        else:
            for one in reversed(group):
                if not one.turn.done():
                    one.turn.set_result(last)
                last -= one.count
        finally:
            self._next(database, counter)
