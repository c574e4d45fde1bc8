"""API calls: each process writes what it counted once a minute and when it stops, and learns what all counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

import asyncpg
import structlog

from app.kernel.allowances import METRICS, LimitName
from app.kernel.calls import FLUSH_SECONDS

if TYPE_CHECKING:
    from app.kernel.runtime import Kernel

log = structlog.get_logger(__name__)
GATHER_SECONDS: Final = 1.0
METRIC: Final = METRICS[LimitName.API_CALLS]

# Calls of a company that is gone are not written; what slips past at that moment `sweep_erased` deletes.
_WRITE: Final = """
INSERT INTO kernel.usage_records (tenant_id, id, at, metric, quantity)
SELECT c.tenant_id, gen_random_uuid(), $1, $2, c.calls FROM unnest($3::uuid[], $4::bigint[]) AS c(tenant_id, calls)
WHERE EXISTS (SELECT 1 FROM tenants.tenants t WHERE t.id = c.tenant_id)"""

_LEARN: Final = """
SELECT a.tenant_id, a.period_start,
  (coalesce((SELECT sum(h.sum) FROM tenants.usage_hours h WHERE h.tenant_id = a.tenant_id AND h.metric = $1
     AND h.hour >= a.period_start AND h.hour < a.period_end), 0)
   + coalesce((SELECT sum(u.quantity) FROM kernel.usage_records u WHERE u.tenant_id = a.tenant_id AND u.metric = $1
     AND u.at >= a.period_start AND u.at < a.period_end), 0))::bigint AS calls
FROM kernel.allowances a WHERE a.tenant_id = ANY($2::uuid[])"""


async def flush(kernel: Kernel) -> None:
    """Write what was counted, and learn how many calls the companies have made whose calls are limited.

    Calls lie where the first of them was made; what cannot be written is counted on. One statement for all companies.
    """
    counted = kernel.calls.take()
    if counted is None:
        return
    calls, limited = counted.by_tenant, list(counted.limited)
    try:
        async with kernel.database.control() as connection:
            await connection.execute(_WRITE, counted.since, METRIC, list(calls), list(calls.values()))
            known = await connection.fetch(_LEARN, METRIC, limited) if limited else []
    except BaseException:
        kernel.calls.give_back(counted)
        raise
    for row in known:
        kernel.calls.learn(row["tenant_id"], row["period_start"], row["calls"])


async def _flush_until(kernel: Kernel, stop: asyncio.Event) -> None:
    """Flush each minute, sooner for those who are new here, and when it stops."""
    while not stop.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(kernel.calls.asked.wait(), FLUSH_SECONDS)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), GATHER_SECONDS)
        kernel.calls.asked.clear()
        try:
            await flush(kernel)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("api_calls_not_written", error=str(error))


@asynccontextmanager
async def flushing(kernel: Kernel) -> AsyncIterator[None]:
    """Flush every minute while this lasts, and once more at its end."""
    stop = asyncio.Event()
    loop = asyncio.create_task(_flush_until(kernel, stop), name="api-calls")
    try:
        yield
    finally:
        stop.set()
        kernel.calls.asked.set()
        await loop
