"""Taking in readings, and asking the rules about them.

Whoever brings readings of a meter holds its row, so that batches at the same time follow one another. A rule sees the
readings of a meter in the order of their moments: what comes later than a newer one is kept, but calls for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from app.kernel.errors import FieldError, Invalid
from app.kernel.ids import new_id
from app.kernel.listing import Bindings, Kind
from app.kernel.log_pages import fetch_page, order_by
from app.kernel.schemas import Page
from app.kernel.uow import UnitOfWork
from app.modules.after_sales.interface import AssetBreached
from app.modules.after_sales.models.assets import Asset
from app.modules.after_sales.models.telemetry import TelemetryRuleKind
from app.modules.after_sales.schemas.telemetry import (
    MeterRead,
    ReadingInput,
    ReadingRead,
    TelemetryAnswer,
    TelemetryBatch,
)
from app.modules.after_sales.services.assets.assets import AssetService
from app.modules.after_sales.services.cases.states import UNRESOLVED_SQL
from app.modules.after_sales.services.telemetry.breaches import CALM, Limits, Watch, step

AHEAD: Final = timedelta(minutes=5)
MOST_METERS: Final = 500
SEND: Final = "telemetry"
"""The action of `asset:telemetry`."""
_NEWEST: Final = order_by({"r.at": Kind.DATETIME}, falling=True)


@dataclass(frozen=True, slots=True)
class Meter:
    """A meter that this transaction holds."""

    id: UUID
    metric: str
    last_at: datetime | None


class TelemetryService:
    """What assets report."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._assets = AssetService(uow)

    async def take(self, asset_id: UUID, batch: TelemetryBatch) -> TelemetryAnswer:
        """Keep the readings that are not known yet, and call for cases. Raises: NotFound; Forbidden; Invalid."""
        asset = await self._assets.get(asset_id, action=SEND)
        latest = self._uow.now + AHEAD
        errors = [
            FieldError(f"/readings/{place}/at", "in_future", "It has not come yet.")
            for place, reading in enumerate(batch.readings)
            if reading.at > latest
        ]
        if errors:
            raise Invalid(errors[0].detail, errors=errors)
        meters = await self._meters(asset_id, {reading.metric for reading in batch.readings})
        stored = await self._store(meters, batch.readings)
        newer = _newer(meters, batch.readings)
        breached = 0
        if newer:
            await self._show(newer)
            breached = await self._watch(asset, meters, newer)
        return TelemetryAnswer(stored=stored, known=len(batch.readings) - stored, breached=breached)

    async def _meters(self, asset_id: UUID, metrics: set[str]) -> dict[str, Meter]:
        """The meters of these metrics, made where there are none, and held in the order of their ids."""
        names = sorted(metrics)
        read = (
            "SELECT id, metric, last_at FROM after_sales.meters"
            " WHERE tenant_id = $1 AND asset_id = $2 AND metric = ANY($3::text[]) ORDER BY id FOR NO KEY UPDATE"
        )
        rows = await self._uow.fetch(read, self._uow.tenant_id, asset_id, names)
        if len(rows) < len(names):
            await self._uow.fetch(
                "INSERT INTO after_sales.meters (tenant_id, id, asset_id, metric)"
                " SELECT $1, n.id, $2, n.metric FROM unnest($3::uuid[], $4::text[]) AS n(id, metric)"
                " ORDER BY n.metric ON CONFLICT DO NOTHING",
                self._uow.tenant_id,
                asset_id,
                [new_id() for _ in names],
                names,
            )
            rows = await self._uow.fetch(read, self._uow.tenant_id, asset_id, names)
            await self._check_meters(asset_id)
        return {row["metric"]: Meter(row["id"], row["metric"], row["last_at"]) for row in rows}

    async def _check_meters(self, asset_id: UUID) -> None:
        row = await self._uow.fetchrow(
            "SELECT count(*) FROM after_sales.meters WHERE tenant_id = $1 AND asset_id = $2",
            self._uow.tenant_id,
            asset_id,
        )
        if row is not None and row[0] > MOST_METERS:
            raise Invalid.at("/readings", "too_many_metrics", f"An asset has at most {MOST_METERS} metrics.")

    async def _store(self, meters: Mapping[str, Meter], readings: Sequence[ReadingInput]) -> int:
        rows = await self._uow.fetch(
            "WITH made AS (INSERT INTO after_sales.readings (tenant_id, meter_id, at, value)"
            " SELECT $1, n.meter_id, n.at, n.value"
            " FROM unnest($2::uuid[], $3::timestamptz[], $4::float8[]) AS n(meter_id, at, value)"
            " ON CONFLICT DO NOTHING RETURNING 1) SELECT count(*) FROM made",
            self._uow.tenant_id,
            [meters[reading.metric].id for reading in readings],
            [reading.at for reading in readings],
            [reading.value for reading in readings],
        )
        return int(rows[0][0])

    async def _show(self, newer: Mapping[UUID, Sequence[ReadingInput]]) -> None:
        """What the meters show is their newest reading."""
        await self._uow.fetch(
            "UPDATE after_sales.meters m SET last_at = n.at, last_value = n.value"
            " FROM unnest($2::uuid[], $3::timestamptz[], $4::float8[]) AS n(id, at, value)"
            " WHERE m.tenant_id = $1 AND m.id = n.id",
            self._uow.tenant_id,
            list(newer),
            [readings[-1].at for readings in newer.values()],
            [readings[-1].value for readings in newer.values()],
        )

    async def _watch(
        self,
        asset: Asset,
        meters: Mapping[str, Meter],
        newer: Mapping[UUID, Sequence[ReadingInput]],
    ) -> int:
        """Ask every rule about the new readings; how many call for a case."""
        uow = self._uow
        rules = await uow.fetch(
            _RULES,
            uow.tenant_id,
            [meter.id for meter in meters.values() if meter.id in newer],
            [meter.metric for meter in meters.values() if meter.id in newer],
            asset.id,
            asset.product_id,
        )
        changed: list[tuple[UUID, UUID, Watch]] = []
        fresh: list[tuple[UUID, UUID]] = []
        for rule in rules:
            before = Watch(rule["since"], rule["readings"] or 0, bool(rule["raised"]))
            watch, called = _after(rule, before, newer[rule["meter_id"]])
            if called is not None:
                fresh.append((rule["id"], rule["meter_id"]))
                uow.publish(_breached(rule, asset.id, called))
            if watch != before:
                changed.append((rule["id"], rule["meter_id"], watch))
        await self._keep(changed, fresh)
        return len(fresh)

    async def _keep(
        self, changed: Sequence[tuple[UUID, UUID, Watch]], fresh: Sequence[tuple[UUID, UUID]]
    ) -> None:
        """Where rules stand; those that call anew know no case until it is opened, whatever they knew before."""
        if changed:
            await self._uow.fetch(
                "INSERT INTO after_sales.telemetry_states"
                " (tenant_id, rule_id, meter_id, since, readings, raised)"
                " SELECT $1, * FROM unnest($2::uuid[], $3::uuid[], $4::timestamptz[], $5::bigint[], $6::boolean[])"
                " ON CONFLICT (tenant_id, rule_id, meter_id) DO UPDATE SET since = excluded.since,"
                " readings = excluded.readings, raised = excluded.raised",
                self._uow.tenant_id,
                [rule for rule, _, _ in changed],
                [meter for _, meter, _ in changed],
                [watch.since for _, _, watch in changed],
                [watch.readings for _, _, watch in changed],
                [watch.raised for _, _, watch in changed],
            )
        if fresh:
            await self._uow.fetch(
                "UPDATE after_sales.telemetry_states s SET case_id = NULL"
                " FROM unnest($2::uuid[], $3::uuid[]) AS n(rule_id, meter_id)"
                " WHERE s.tenant_id = $1 AND s.rule_id = n.rule_id AND s.meter_id = n.meter_id",
                self._uow.tenant_id,
                [rule for rule, _ in fresh],
                [meter for _, meter in fresh],
            )

    # -- reading -------------------------------------------------------------------------------------------

    async def meters(self, asset_id: UUID) -> list[MeterRead]:
        """The newest readings of a visible asset. Raises `NotFound`."""
        await self._assets.get(asset_id)
        rows = await self._uow.fetch(
            "SELECT metric, last_at, last_value FROM after_sales.meters"
            " WHERE tenant_id = $1 AND asset_id = $2 ORDER BY metric",
            self._uow.tenant_id,
            asset_id,
        )
        return [MeterRead(metric=row["metric"], at=row["last_at"], value=row["last_value"]) for row in rows]

    async def page(
        self,
        asset_id: UUID,
        metric: str,
        *,
        since: datetime | None,
        until: datetime | None,
        limit: int,
        cursor: str | None,
    ) -> Page[ReadingRead]:
        """Readings of one metric, newest first. Raises `NotFound`, `InvalidCursor`."""
        await self._assets.get(asset_id)
        found = await fetch_page(
            self._uow,
            "SELECT r.at, r.value FROM after_sales.meters m"
            " JOIN after_sales.readings r ON r.tenant_id = m.tenant_id AND r.meter_id = m.id"
            " WHERE m.tenant_id = $1 AND m.asset_id = $2 AND m.metric = $3"
            " AND ($4::timestamptz IS NULL OR r.at >= $4) AND ($5::timestamptz IS NULL OR r.at < $5)",
            Bindings(self._uow.tenant_id, asset_id, metric, since, until),
            _NEWEST,
            name=f"telemetry/{asset_id}/{metric}/{since}/{until}",
            limit=limit,
            cursor=cursor,
        )
        return found.page(lambda row: ReadingRead(at=row["at"], value=row["value"]))


def _newer(meters: Mapping[str, Meter], readings: Sequence[ReadingInput]) -> dict[UUID, list[ReadingInput]]:
    """The readings that are newer than what their meters showed, in order, one for each moment."""
    found: dict[UUID, dict[datetime, ReadingInput]] = {}
    for reading in readings:
        meter = meters[reading.metric]
        if meter.last_at is None or reading.at > meter.last_at:
            found.setdefault(meter.id, {}).setdefault(reading.at, reading)
    return {id: [of[at] for at in sorted(of)] for id, of in found.items()}


def _after(rule: Any, before: Watch, readings: Sequence[ReadingInput]) -> tuple[Watch, ReadingInput | None]:
    """Where a rule stands after some readings, and the one with which it called for a case."""
    if rule["kind"] == TelemetryRuleKind.ABSENT:
        return CALM, None
    limits = Limits(
        above=rule["kind"] == TelemetryRuleKind.ABOVE,
        threshold=float(rule["threshold"]),
        clear_at=float(rule["clear_at"]),
        for_seconds=rule["for_seconds"],
        for_readings=rule["for_readings"],
    )
    watch = CALM if before.raised and rule["case_over"] else before
    called = None
    for reading in readings:
        watch, calls = step(limits, watch, reading.at, reading.value)
        if calls:
            called = reading
    return watch, called


def _breached(rule: Any, asset_id: UUID, reading: ReadingInput) -> AssetBreached:
    return AssetBreached(
        id=asset_id,
        rule_id=rule["id"],
        kind=rule["kind"],
        metric=rule["metric"],
        at=reading.at,
        value=reading.value,
    )


# A case that was resolved, closed or deleted is over: what goes on calls for another one.
_RULES: Final = f"""
SELECT r.id, r.kind, r.metric, r.threshold, r.clear_at, r.for_seconds, r.for_readings, n.meter_id,
  s.since, s.readings, s.raised,
  s.case_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM after_sales.cases c WHERE c.tenant_id = $1
    AND c.id = s.case_id AND c.deleted_at IS NULL AND c.{UNRESOLVED_SQL}) AS case_over
FROM unnest($2::uuid[], $3::text[]) AS n(meter_id, metric)
JOIN after_sales.telemetry_rules r ON r.tenant_id = $1 AND r.metric = n.metric AND r.is_active
  AND r.deleted_at IS NULL AND (r.asset_id IS NULL OR r.asset_id = $4) AND (r.product_id IS NULL OR r.product_id = $5)
LEFT JOIN after_sales.telemetry_states s ON s.tenant_id = $1 AND s.rule_id = r.id AND s.meter_id = n.meter_id
ORDER BY r.id, n.meter_id"""
