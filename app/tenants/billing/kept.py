"""What is kept (records, storage): counted anew by night, and storage metered by the hour.

Triggers keep the sums (migration 0280). Counting anew gives the first sum to companies that are older than the
triggers, and mends whatever a repair by hand has put wrong.
"""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Final

from app.kernel.registry import Registry
from app.tenants.billing.metering import ROLLING
from app.tenants.billing.periods import whole_hour

if TYPE_CHECKING:
    from app.kernel.schedules import ScheduledRun

RECOUNT_EVERY: Final = timedelta(days=1)
HOURLY: Final = timedelta(minutes=10)
BYTE_HOURS: Final = "storage.byte_hours"
_LONGEST_GAP: Final = timedelta(days=2)

# Each hour that is over is metered once, with what was kept when that was noticed.
_METER_HOURS: Final = """
INSERT INTO tenants.usage_hours
  (tenant_id, metric, hour, count, sum, max, latest, latest_at, moment, own_count, own_sum)
SELECT t.tenant_id, $1, h.hour, 1, t.total, t.total, t.total, h.hour, t.total * extract(epoch FROM h.hour), 1, t.total
FROM kernel.usage_totals t
CROSS JOIN LATERAL (SELECT max(u.hour) AS hour FROM tenants.usage_hours u
  WHERE u.tenant_id = t.tenant_id AND u.metric = $1) last
CROSS JOIN LATERAL generate_series(
  greatest(coalesce(last.hour + interval '1 hour', $2), $3), $2::timestamptz, interval '1 hour') AS h(hour)
WHERE t.metric = 'storage.kept' AND t.total > 0
ORDER BY t.tenant_id, h.hour
ON CONFLICT DO NOTHING"""


@cache
def _recount(registry: Registry) -> str:
    """Set both sums to what there is, less what is still to be added to them; all seen by one statement."""
    tables = sorted({record.table for record in registry.records.values()})
    counts = " + ".join(
        f"(SELECT count(*) FROM {table} WHERE tenant_id = $1 AND deleted_at IS NULL)" for table in tables
    )
    sizes = " + ".join(
        f"(SELECT coalesce(sum(size), 0)::bigint FROM kernel.{table} WHERE tenant_id = $1)"
        for table in ("files", "documents")
    )
    return f"""
INSERT INTO kernel.usage_totals AS t (tenant_id, metric, total)
SELECT $1, f.metric, f.total - coalesce((SELECT sum(quantity)::bigint FROM kernel.usage_records u
  WHERE u.tenant_id = $1 AND u.metric = f.metric), 0)
FROM (SELECT 'records.kept' AS metric, {counts or "0"} AS total UNION ALL SELECT 'storage.kept', {sizes}) f
ON CONFLICT (tenant_id, metric) DO UPDATE SET total = EXCLUDED.total WHERE t.total <> EXCLUDED.total"""


async def recount(run: ScheduledRun) -> None:
    """Count what a company keeps anew; sums are added to by nobody else meanwhile."""
    async with run.transaction() as uow:
        await uow.fetch("SELECT pg_advisory_xact_lock($1)", ROLLING)
        await uow.fetch(_recount(uow.kernel.registry), uow.tenant_id)


async def meter_storage(run: ScheduledRun) -> None:
    """Count the bytes that every company kept in each hour that is over, once."""
    over = whole_hour(run.kernel.clock.now()) - timedelta(hours=1)
    async with run.kernel.database.control() as connection:
        await connection.execute(_METER_HOURS, BYTE_HOURS, over, over - _LONGEST_GAP)
