"""Telemetry rules as records."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar

from app.kernel.errors import Invalid
from app.kernel.records import RecordService, RecordType, Search
from app.modules.after_sales.models.telemetry import TelemetryRule, TelemetryRuleKind
from app.modules.after_sales.schemas.telemetry import (
    TelemetryRuleCreate,
    TelemetryRuleRead,
    TelemetryRuleUpdate,
)
from app.modules.after_sales.services.assets.references import References
from app.modules.after_sales.services.assets.scopes import KEPT_BY_MANAGERS


class TelemetryRuleService(RecordService[TelemetryRule]):
    """Rules. One that changes begins to watch anew."""

    record: ClassVar[RecordType[Any]]

    async def before_create(self, values: dict[str, Any]) -> None:
        await self._settle(values, {"product_id", "asset_id"})

    async def before_update(self, row: TelemetryRule, changes: dict[str, Any]) -> None:
        told = {name for name, value in changes.items() if getattr(row, name) != value}
        values = {**row.__dict__, **changes}
        if "threshold" in told and "clear_at" not in changes and row.clear_at == row.threshold:
            values["clear_at"] = None
        await self._settle(values, told)
        changes |= {name: values[name] for name in ("threshold", "clear_at")}

    async def after_update(self, before: TelemetryRule, after: TelemetryRule) -> None:
        watched = ("is_active", "kind", "metric", "threshold", "clear_at", "product_id", "asset_id")
        if any(getattr(before, name) != getattr(after, name) for name in watched):
            await self._forget(after)

    async def before_delete(self, row: TelemetryRule) -> None:
        await self._forget(row)

    async def _forget(self, row: TelemetryRule) -> None:
        await self.uow.fetch(
            "DELETE FROM after_sales.telemetry_states WHERE tenant_id = $1 AND rule_id = $2",
            row.tenant_id,
            row.id,
        )

    async def _settle(self, values: dict[str, Any], told: set[str]) -> None:
        """Numbers as they are stored, and what does not go together. Raises `Invalid`."""
        for name in ("threshold", "clear_at"):
            if isinstance(values[name], str):
                values[name] = Decimal(values[name])
        if values["kind"] == TelemetryRuleKind.ABSENT:
            _check_absence(values)
        else:
            _check_threshold(values)
        references = References(self.uow)
        if "product_id" in told:
            await references.product(values["product_id"])
        if "asset_id" in told and values["asset_id"] is not None:
            await references.own("asset_id", values["asset_id"])


def _check_absence(values: dict[str, Any]) -> None:
    for name in ("threshold", "clear_at"):
        if values[name] is not None:
            raise Invalid.at(f"/{name}", "not_applicable", "A rule about absence has no threshold.")
    if values["for_seconds"] < 60:
        raise Invalid.at("/for_seconds", "too_short", "Nothing is missing within a minute.")


def _check_threshold(values: dict[str, Any]) -> None:
    threshold = values["threshold"]
    if threshold is None:
        raise Invalid.at("/threshold", "required", "Say what is too much, or too little.")
    if values["clear_at"] is None:
        values["clear_at"] = threshold
    above = values["kind"] == TelemetryRuleKind.ABOVE
    if (values["clear_at"] > threshold) if above else (values["clear_at"] < threshold):
        raise Invalid.at("/clear_at", "wrong_side", "It is over on the good side of the threshold.")


TELEMETRY_RULE: RecordType[TelemetryRule] = RecordType(
    object="telemetry_rule",
    plural="telemetry_rules",
    module="after_sales",
    model=TelemetryRule,
    read=TelemetryRuleRead,
    create=TelemetryRuleCreate,
    update=TelemetryRuleUpdate,
    service=TelemetryRuleService,
    search=Search(names=("name", "metric")),
    importable=False,
    labels={"name": ("rule", "规则"), "metric": ("metric", "指标"), "threshold": ("threshold", "阈值")},
    default_scopes=KEPT_BY_MANAGERS,
)
TelemetryRuleService.record = TELEMETRY_RULE
