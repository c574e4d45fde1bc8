"""Warnings: those who run a company hear at 80 and at 100 % of each limit, once in each month of its plan.

What is due is found for all companies in one statement and kept under a unique key; telling is a transaction of each
company's own, so that a worker that is killed in between leaves nobody untold and nobody told twice.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from app.kernel.access import system_actor
from app.kernel.allowances import KEPT, METRICS, LimitName
from app.kernel.errors import NotFound
from app.kernel.notifications import Notice, Notifications
from app.kernel.uow import UnitOfWork, transaction
from app.tenants.billing.readers import readers
from app.tenants.interface import UsageWarning

if TYPE_CHECKING:
    from app.kernel.schedules import ScheduledRun

EVERY: Final = timedelta(minutes=5)
KIND: Final = "billing.usage_warning"
THRESHOLDS: Final = (80, 100)
STEP: Final = 500

_NOTICE: Final = """
WITH limits AS (
  SELECT a.tenant_id, a.period_start, a.period_end, l.key AS name, (l.value->>'value')::bigint AS allowed
  FROM kernel.allowances a CROSS JOIN LATERAL jsonb_each(a.limits) l
  JOIN tenants.tenants t ON t.tenant_id = a.tenant_id AND t.status = ANY('{trialing,active,past_due}'::text[])
  WHERE a.period_start <= $1 AND a.period_end > $1
), used AS (
  SELECT l.*, CASE
    WHEN l.name = 'seats' THEN (SELECT count(*) FROM tenants.members m
      WHERE m.tenant_id = l.tenant_id AND tenants.takes_seat(m.tenant_id, m.status, m.role_ids))::numeric
    WHEN m.kept THEN (SELECT t.total FROM kernel.usage_totals t
      WHERE t.tenant_id = l.tenant_id AND t.metric = m.metric)::numeric
    ELSE (SELECT sum(h.sum) FROM tenants.usage_hours h
      WHERE h.tenant_id = l.tenant_id AND h.metric = m.metric AND h.hour >= l.period_start
        AND h.hour < l.period_end) END AS used
  FROM limits l LEFT JOIN unnest($2::text[], $3::text[], $4::bool[]) AS m(name, metric, kept) ON m.name = l.name
)
INSERT INTO tenants.usage_warnings (tenant_id, id, limit_name, threshold, period_start, used, allowed, noticed_at)
SELECT u.tenant_id, gen_random_uuid(), u.name, s.threshold, u.period_start, u.used, u.allowed, $1
FROM used u CROSS JOIN unnest($5::bigint[]) AS s(threshold)
WHERE u.used * 100 >= u.allowed::numeric * s.threshold AND u.used > 0
ORDER BY u.tenant_id, u.name, s.threshold
ON CONFLICT DO NOTHING"""

_UNTOLD: Final = f"""
SELECT DISTINCT tenant_id FROM tenants.usage_warnings WHERE told_at IS NULL AND tenant_id > $1
ORDER BY tenant_id LIMIT {STEP}"""

_TOLD: Final = """
UPDATE tenants.usage_warnings w SET told_at = $2 WHERE w.tenant_id = $1 AND w.id = ANY(ARRAY(
  SELECT id FROM tenants.usage_warnings WHERE tenant_id = $1 AND told_at IS NULL ORDER BY id FOR UPDATE))
  AND w.told_at IS NULL
RETURNING w.id, w.limit_name, w.threshold, w.used, w.allowed, w.period_start"""

_NAMES: Final[dict[str, dict[LimitName, str]]] = {
    "en": {
        LimitName.RECORDS: "records",
        LimitName.SEATS: "seats",
        LimitName.STORAGE_BYTES: "storage",
        LimitName.API_CALLS: "API calls",
        LimitName.MESSAGES: "messages",
    },
    "zh": {
        LimitName.RECORDS: "记录数",
        LimitName.SEATS: "席位",
        LimitName.STORAGE_BYTES: "存储空间",
        LimitName.API_CALLS: "API 调用",
        LimitName.MESSAGES: "消息数",
    },
}
_TITLE: Final = {"en": "{share} % of the plan's {name} are used", "zh": "套餐的{name}已使用 {share}%"}
_BODY: Final = {
    "en": "{used} of {allowed} are used. The page of the plan says which one allows more.",
    "zh": "已使用 {used}，上限为 {allowed}。套餐页面会说明哪个套餐的上限更高。",
}


async def warn(run: ScheduledRun) -> None:
    """Find what has crossed a threshold, in all companies, and tell those who run them."""
    kernel = run.kernel
    now = kernel.clock.now()
    names = list(METRICS)
    async with kernel.database.control() as connection:
        await connection.execute(
            _NOTICE,
            now,
            [name.value for name in names],
            [METRICS[name] for name in names],
            [METRICS[name] in KEPT for name in names],
            list(THRESHOLDS),
        )
    after, more = UUID(int=0), True
    while more:
        async with kernel.database.control() as connection:
            rows = await connection.fetch(_UNTOLD, after)
        for row in rows:
            await _tell(run, row["tenant_id"])
            after = row["tenant_id"]
        more = len(rows) == STEP


async def _tell(run: ScheduledRun, tenant_id: UUID) -> None:
    """Publish and tell what is untold in one company; of several thresholds of one limit the highest."""
    try:
        tenant = await run.kernel.authenticator.tenant_profile(tenant_id)
    except NotFound:
        return
    async with transaction(run.kernel, system_actor(tenant)) as uow:
        rows = await uow.fetch(_TOLD, tenant_id, uow.now)
        highest: dict[str, Any] = {}
        for row in sorted(rows, key=lambda row: row["threshold"]):
            highest[row["limit_name"]] = row
        for name in sorted(highest):
            await _tell_one(uow, highest[name])


async def _tell_one(uow: UnitOfWork, row: Any) -> None:
    name, language = LimitName(row["limit_name"]), uow.actor.tenant.language
    uow.publish(
        UsageWarning(
            id=row["id"],
            limit=name.value,
            threshold=row["threshold"],
            used=int(row["used"]),
            allowed=row["allowed"],
            period_start=row["period_start"],
        )
    )
    share = int(row["used"]) * 100 // row["allowed"] if row["allowed"] else 100
    notice = Notice(
        KIND,
        _TITLE[language].format(share=share, name=_NAMES[language][name]),
        body=_BODY[language].format(used=f"{int(row['used']):,}", allowed=f"{row['allowed']:,}"),
    )
    await Notifications(uow).tell_each([(member["id"], notice) for member in await readers(uow)])
