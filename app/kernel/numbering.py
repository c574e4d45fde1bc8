"""Numbers that people read: `Q-2026-00042`, counted per tenant, series and year.

Two ways, because they cost differently. The usual one takes its number in a moment of its own: a transaction
that rolls back leaves a gap, and nobody waits for anybody. The gap-free one locks the counter until the caller
commits: for invoices and whatever else the law wants without gaps; take it last in the transaction.
"""

from __future__ import annotations

import re
from functools import lru_cache
from string import Formatter

from app.kernel.counters import COUNT_UP
from app.kernel.db import made_at
from app.kernel.uow import UnitOfWork

_SERIES = re.compile(r"[a-z][a-z0-9_.-]{0,62}")


async def next_number(
    uow: UnitOfWork, series: str, pattern: str = "Q-{year}-{number:05d}", *, gap_free: bool = False
) -> str:
    """The next number of a series, unique in the tenant.

    `{year}` is the year in the tenant's zone, and each year counts from 1; a pattern without it counts on for
    ever. With `gap_free` a rolled back transaction gives its number back, and others wait until this one ends.
    Raises: ValueError for a pattern or series that is not well-formed.
    """
    return (await next_numbers(uow, series, 1, pattern, gap_free=gap_free))[0]


async def next_numbers(
    uow: UnitOfWork,
    series: str,
    count: int,
    pattern: str = "Q-{year}-{number:05d}",
    *,
    gap_free: bool = False,
) -> list[str]:
    """`count` consecutive numbers at once, for bulk work."""
    if _SERIES.fullmatch(series) is None or count < 1:
        raise ValueError(f"{series!r} is no series, or {count} no count")
    current = uow.now.astimezone(uow.actor.tenant.zone).year
    year = current if _counts_by_year(pattern) else 0
    last = await _take(uow, series, year, count, gap_free=gap_free)
    return [pattern.format(year=current, number=number) for number in range(last - count + 1, last + 1)]


async def _take(uow: UnitOfWork, series: str, year: int, count: int, *, gap_free: bool) -> int:
    counter = (uow.tenant_id, series, year)
    if gap_free:
        row = await uow.fetchrow(COUNT_UP, *counter, count)
        return int(row["last_number"]) if row else 0
    uow.statements += 1
    return await uow.kernel.counters.take(uow.kernel.database, counter, count, since=made_at(uow.connection))


@lru_cache(maxsize=1_000)
def _counts_by_year(pattern: str) -> bool:
    names = {name for _, name, _, _ in Formatter().parse(pattern) if name is not None}
    if not names <= {"year", "number"} or "number" not in names:
        raise ValueError(
            f"{pattern!r}: a pattern holds {{number}} and, if wanted, {{year}}, and nothing else"
        )
    pattern.format(year=2026, number=1)
    return "year" in names
