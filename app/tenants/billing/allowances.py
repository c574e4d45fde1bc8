"""Allowances: what a company's plan comes to for the kernel, worked out when it changes and when a month begins."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from app.kernel.allowances import LimitName
from app.kernel.db import Connection
from app.kernel.statements import rows_of
from app.kernel.uow import UnitOfWork
from app.tenants.billing.periods import BillingInterval, Period, period_at, whole_hour
from app.tenants.billing.plans import Plan, PlanFeature, price_list

if TYPE_CHECKING:
    from app.kernel.runtime import Kernel
    from app.kernel.schedules import ScheduledRun

EVERY: Final = timedelta(minutes=1)
STEP: Final = 1_000

# Those whose plan has changed, whose month is over, or that have none yet. `source` says what it was made of.
_DUE: Final = f"""
SELECT t.id, t.created_at, s.anchor, s.plan, concat_ws(' ', s.id::text, $2::text) AS source
FROM tenants.tenants t
LEFT JOIN kernel.allowances a ON a.tenant_id = t.id
LEFT JOIN LATERAL (
  SELECT c.id, c.anchor, c.plan FROM tenants.subscription_changes c
  WHERE c.tenant_id = t.tenant_id AND c.effective_at <= $1 ORDER BY c.effective_at DESC LIMIT 1) s ON true
WHERE ($3::uuid IS NULL OR t.tenant_id = $3::uuid) AND t.status <> 'erased'
  AND (a.tenant_id IS NULL OR a.period_end <= $1 OR a.source <> concat_ws(' ', s.id::text, $2::text))
ORDER BY t.id LIMIT {STEP}"""

_KEEP: Final = """
INSERT INTO kernel.allowances AS a (tenant_id, source, plan, weight, requests_per_minute, limits, missing,
  near_records, period_start, period_end)
SELECT g.tenant_id, g.source, g.plan, g.weight, g.requests_per_minute, g.limits, g.missing, true, g.period_start,
  g.period_end
FROM jsonb_to_recordset($1::jsonb) AS g(tenant_id uuid, source text, plan text, weight bigint,
  requests_per_minute bigint, limits jsonb, missing jsonb, period_start timestamptz, period_end timestamptz)
ORDER BY g.tenant_id
ON CONFLICT (tenant_id) DO UPDATE SET source = EXCLUDED.source, plan = EXCLUDED.plan, weight = EXCLUDED.weight,
  requests_per_minute = EXCLUDED.requests_per_minute, limits = EXCLUDED.limits, missing = EXCLUDED.missing,
  near_records = true, period_start = EXCLUDED.period_start, period_end = EXCLUDED.period_end"""

# What a company can make in a minute through many processes at once stays within this distance; see kernel/limits.py.
_NEAR: Final = f"""
WITH found AS (
  SELECT a.tenant_id, a.near_records, l.value - coalesce(t.total, 0) <= greatest(l.value / 10, 20000) AS near
  FROM kernel.allowances a
  CROSS JOIN LATERAL (SELECT (a.limits->'records'->>'value')::bigint AS value) l
  LEFT JOIN kernel.usage_totals t ON t.tenant_id = a.tenant_id AND t.metric = 'records.kept'
  WHERE ($1::uuid IS NULL OR a.tenant_id = $1::uuid)
)
UPDATE kernel.allowances a SET near_records = coalesce(found.near, false)
FROM {rows_of("found", "tenant_id", "near")}
WHERE found.tenant_id = a.tenant_id AND a.near_records <> coalesce(found.near, false)
RETURNING a.tenant_id"""

_TELL: Final = (
    "SELECT count(pg_notify('rapport_access', id || ' allowance')) FROM unnest($1::text[]) AS t(id)"
)


@dataclass(frozen=True, slots=True)
class PriceList:
    """The plans on offer, and a name for exactly these."""

    plans: tuple[Plan, ...]
    digest: str

    def lifting(self, name: LimitName, value: int) -> str | None:
        """The cheapest plan that allows more than so much."""
        for plan in self.plans:
            limit = plan.limits.by_name().get(name)
            if limit is None or limit.limit > value:
                return plan.key
        return None

    def including(self, feature: PlanFeature) -> str | None:
        """The cheapest plan that has a feature."""
        return next((plan.key for plan in self.plans if plan.features.get(feature, True)), None)


def listed(kernel: Kernel) -> PriceList:
    """The price list of this installation."""
    return _listed(kernel.settings.price_list)


@lru_cache(maxsize=4)
def _listed(path: Path | None) -> PriceList:
    plans = price_list(path)
    digest = hashlib.sha256("\0".join(plan.model_dump_json() for plan in plans).encode())
    return PriceList(plans, digest.hexdigest()[:16])


def month_of(anchor: datetime, now: datetime) -> Period:
    """The month in which metered limits count, whatever the interval of the bills."""
    return period_at(anchor, BillingInterval.MONTHLY, now)


def row_of(tenant_id: UUID, source: str, plan: Plan, month: Period, prices: PriceList) -> dict[str, Any]:
    """A row of `kernel.allowances`."""
    limits = {
        name.value: {
            "value": limit.limit,
            "hard": limit.enforcement == "hard",
            "lifted_by": prices.lifting(name, limit.limit),
        }
        for name, limit in plan.limits.by_name().items()
    }
    missing = {name: prices.including(name) for name, included in plan.features.items() if not included}
    return {
        "tenant_id": tenant_id,
        "source": source,
        "plan": plan.key,
        "weight": plan.worker_share,
        "requests_per_minute": plan.requests_per_minute,
        "limits": limits,
        "missing": missing,
        "period_start": month.start,
        "period_end": month.end,
    }


async def work_out(
    connection: Connection, kernel: Kernel, now: datetime, tenant_id: UUID | None = None
) -> list[UUID]:
    """Bring the allowances of all tenants, or of one, up to date: those that were changed; `STEP` at most."""
    prices = listed(kernel)
    due = await connection.fetch(_DUE, now, prices.digest, tenant_id)
    if not due:
        return []
    rows = []
    for found in due:
        plan = prices.plans[0] if found["plan"] is None else Plan.model_validate(found["plan"])
        # The periods of a company that has chosen nothing yet are counted from the hour of its signing up.
        anchor = found["anchor"] or whole_hour(found["created_at"])
        rows.append(row_of(found["id"], found["source"], plan, month_of(anchor, now), prices))
    await connection.execute(_KEEP, rows)
    return [row["tenant_id"] for row in rows]


async def refresh(uow: UnitOfWork) -> None:
    """Bring the allowance of the tenant at hand up to date with the transaction."""
    await uow.settle()
    if await work_out(uow.connection, uow.kernel, uow.now, uow.tenant_id):
        await uow.connection.fetch(_NEAR, uow.tenant_id)


async def refresh_all(run: ScheduledRun) -> None:
    """Bring all allowances up to date, and say which companies are near their limit of records."""
    kernel, changed = run.kernel, list[UUID]()
    more = True
    while more:
        async with kernel.database.control() as connection:
            done = await work_out(connection, kernel, kernel.clock.now())
        more = len(done) == STEP
        changed += done
    async with kernel.database.control() as connection:
        near = await connection.fetch(_NEAR, None)
        changed += [row["tenant_id"] for row in near]
        # Notifications go out with the commit, when what they speak of can be read.
        await connection.execute(_TELL, [str(id) for id in dict.fromkeys(changed)])
