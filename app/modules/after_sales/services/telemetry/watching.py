"""What follows from telemetry: cases, what is missing, and what is forgotten."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from pydantic import BaseModel

from app.kernel.retention import STEP, delete_rows
from app.kernel.schedules import ScheduledRun
from app.kernel.uow import UnitOfWork
from app.modules.after_sales.interface import AssetBreached, CaseChannel, CasePriority, Cases, NewCase
from app.modules.after_sales.models.assets import Asset
from app.modules.after_sales.models.telemetry import TelemetryRule, TelemetryRuleKind

KEEP_READINGS: Final = timedelta(days=400)
EVERY: Final = timedelta(minutes=1)
FORGET_EVERY: Final = timedelta(days=1)
BATCH: Final = 500


class Breached(BaseModel):
    """What we need of our own `after_sales.asset.breached.v1`."""

    id: UUID
    rule_id: UUID
    metric: str
    at: datetime
    value: float | None


async def open_case(uow: UnitOfWork, event: Breached) -> None:
    """Open the case that a rule calls for; while one about the same is not resolved, it is that one."""
    rule = await uow.find(TelemetryRule, event.rule_id)
    asset = await uow.find(Asset, event.id)
    if rule is None or asset is None:
        return
    case = await uow.of(Cases).open(
        NewCase(
            subject=f"{rule.name}: {asset.name}"[:200],
            description=_told(uow, rule, event),
            channel=CaseChannel.DEVICE,
            type=rule.case_type,
            priority=CasePriority(rule.case_priority),
            asset_id=asset.id,
            owner_id=asset.owner_id,
            team_id=asset.team_id,
            dedupe=f"telemetry:{rule.id}:{asset.id}",
        )
    )
    await uow.fetch(
        "UPDATE after_sales.telemetry_states s SET case_id = $4 FROM after_sales.meters m"
        " WHERE s.tenant_id = $1 AND s.rule_id = $2 AND m.tenant_id = $1 AND m.id = s.meter_id AND m.asset_id = $3",
        uow.tenant_id,
        rule.id,
        asset.id,
        case.id,
    )


def _told(uow: UnitOfWork, rule: TelemetryRule, event: Breached) -> str:
    at = event.at.astimezone(uow.actor.tenant.zone).isoformat(timespec="seconds")
    chinese = uow.actor.tenant.language == "zh"
    if rule.kind == TelemetryRuleKind.ABSENT:
        return (
            f"{event.metric}：自 {at} 起没有读数" if chinese else f"No reading of {event.metric} since {at}"
        )
    return (
        f"{event.metric} = {event.value:g}（{at}）"
        if chinese
        else f"{event.metric} was {event.value:g} at {at}"
    )


async def watch_absence(run: ScheduledRun) -> None:
    """Call for a case where a meter has been silent for too long; once, until it speaks again.

    A meter counts from its first reading. The statement that says so decides among workers.
    """
    found = BATCH
    while found == BATCH:
        async with run.transaction() as uow:
            rows = await uow.fetch(_SILENT, uow.tenant_id, uow.now, BATCH)
            found = len(rows)
            for row in rows:
                uow.publish(
                    AssetBreached(
                        id=row["asset_id"],
                        rule_id=row["rule_id"],
                        kind=TelemetryRuleKind.ABSENT.value,
                        metric=row["metric"],
                        at=row["last_at"],
                        value=None,
                    )
                )


_SILENT: Final = """
WITH silent AS (
  SELECT r.id AS rule_id, m.id AS meter_id, m.asset_id, m.metric, m.last_at
  FROM after_sales.telemetry_rules r
  JOIN after_sales.meters m ON m.tenant_id = r.tenant_id AND m.metric = r.metric
    AND m.last_at <= $2::timestamptz - make_interval(secs => r.for_seconds)
  JOIN after_sales.assets a ON a.tenant_id = m.tenant_id AND a.id = m.asset_id AND a.deleted_at IS NULL
    AND a.status NOT IN ('returned', 'retired')
  LEFT JOIN after_sales.telemetry_states s ON s.tenant_id = r.tenant_id AND s.rule_id = r.id AND s.meter_id = m.id
  WHERE r.tenant_id = $1 AND r.kind = 'absent' AND r.is_active AND r.deleted_at IS NULL
    AND (r.asset_id IS NULL OR r.asset_id = m.asset_id) AND (r.product_id IS NULL OR r.product_id = a.product_id)
    AND s.raised IS NOT TRUE
  ORDER BY r.id, m.id LIMIT $3
), called AS (
  INSERT INTO after_sales.telemetry_states AS s (tenant_id, rule_id, meter_id, since, readings, raised)
  SELECT $1, rule_id, meter_id, last_at, 0, true FROM silent
  ON CONFLICT (tenant_id, rule_id, meter_id)
    DO UPDATE SET since = excluded.since, raised = true, case_id = NULL WHERE NOT s.raised
  RETURNING rule_id, meter_id
)
SELECT silent.* FROM silent JOIN called USING (rule_id, meter_id)"""


async def forget_readings(run: ScheduledRun) -> None:
    """Drop readings of `KEEP_READINGS` ago; what the meters show last stays."""
    before = run.kernel.clock.now() - KEEP_READINGS
    await delete_rows(run.kernel, "after_sales.readings", _OLD, before)


# By meter, whose readings lie in the order of their moments: nothing else leads to the old ones of all companies.
_OLD: Final = f"""ctid = ANY(ARRAY(
  SELECT r.ctid FROM after_sales.meters m CROSS JOIN LATERAL (
    SELECT x.ctid FROM after_sales.readings x
    WHERE x.tenant_id = m.tenant_id AND x.meter_id = m.id AND x.at < $1 ORDER BY x.at LIMIT {STEP}
  ) r LIMIT {STEP}))"""
