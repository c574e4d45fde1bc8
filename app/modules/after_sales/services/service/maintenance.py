"""Maintenance plans: what is due when, and the work orders that are opened for it, one for each.

A plan that is due is held while its work order is made, and it moves on in the same transaction; a unique index says
besides that no day and no reading of a plan has two.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import ROUND_FLOOR, Decimal
from typing import Any, ClassVar, Final
from uuid import UUID

import structlog

from app.kernel.errors import Invalid, Problem
from app.kernel.periods import add_months
from app.kernel.records import RecordService, RecordType, Search
from app.kernel.schedules import ScheduledRun
from app.kernel.statements import entity
from app.modules.after_sales.models.assets import Asset
from app.modules.after_sales.models.service import MaintenancePlan
from app.modules.after_sales.schemas.service import (
    MaintenancePlanCreate,
    MaintenancePlanRead,
    MaintenancePlanUpdate,
    decimal_of,
)
from app.modules.after_sales.services.assets.references import References
from app.modules.after_sales.services.service.work_orders import WorkOrderService

log = structlog.get_logger(__name__)

EVERY: Final = timedelta(minutes=15)
BATCH: Final = 500
_RHYTHM: Final = frozenset({"every_months", "starts_on", "metric", "every_reading", "asset_id"})


def due_after(starts_on: date, every_months: int, day: date) -> date:
    """The first day of the rhythm that is later than `day`; months are counted from the start, so no day drifts."""
    passed = (day.year - starts_on.year) * 12 + day.month - starts_on.month
    steps = max(0, passed // every_months)
    while add_months(starts_on, steps * every_months) <= day:
        steps += 1
    return add_months(starts_on, steps * every_months)


def reading_after(every: Decimal, reading: Decimal) -> Decimal:
    """The first multiple of `every` that is more than `reading`."""
    return ((reading / every).to_integral_value(ROUND_FLOOR) + 1) * every


class MaintenancePlanService(RecordService[MaintenancePlan]):
    """Plans. A change of the rhythm counts from the day on which it is made."""

    record: ClassVar[RecordType[Any]]

    async def before_create(self, values: dict[str, Any]) -> None:
        values["every_reading"] = decimal_of(values.get("every_reading"))
        values |= {"next_due_on": None, "next_reading": None}
        if values["every_months"] is not None and values["starts_on"] is None:
            values["starts_on"] = self._today
        await self._check(values)
        values["next_due_on"] = values["starts_on"]
        await self._count_from_here(values)

    async def before_update(self, row: MaintenancePlan, changes: dict[str, Any]) -> None:
        if "every_reading" in changes:
            changes["every_reading"] = decimal_of(changes["every_reading"])
        told = {name for name, value in changes.items() if getattr(row, name) != value}
        values = {**row.__dict__, **changes}
        if values["every_months"] is None:
            values["starts_on"] = None
        if {"asset_id", "service_contract_id"} & told or _RHYTHM & told:
            await self._check(values)
        if _RHYTHM & told:
            every, starts = values["every_months"], values["starts_on"]
            values["next_due_on"] = None if every is None else max(starts, self._from_today(starts, every))
            await self._count_from_here(values)
            changes |= {name: values[name] for name in ("starts_on", "next_due_on", "next_reading")}

    @property
    def _today(self) -> date:
        return self.actor.tenant.day_of(self.uow.now)

    def _from_today(self, starts_on: date, every_months: int) -> date:
        return due_after(starts_on, every_months, self._today - timedelta(days=1))

    async def _check(self, values: dict[str, Any]) -> None:
        if (values["every_months"] is None) != (values["starts_on"] is None):
            raise Invalid.at("/starts_on", "required", "A plan by the calendar starts on a day.")
        if (values["every_reading"] is None) != (values["metric"] is None):
            raise Invalid.at("/metric", "required", "A plan by a meter names the meter and how far it goes.")
        if values["every_months"] is None and values["every_reading"] is None:
            raise Invalid.at("/every_months", "required", "Say when it comes again.")
        if values["every_reading"] is not None and not values["every_reading"]:
            raise Invalid.at("/every_reading", "not_positive", "The meter has to go some way.")
        references = References(self.uow)
        asset = await references.own("asset_id", values["asset_id"])
        if values["service_contract_id"] is not None:
            contract = await references.own("service_contract_id", values["service_contract_id"])
            if contract["account_id"] != asset["account_id"]:
                raise Invalid.at("/service_contract_id", "other_account", "It is another account's.")
            if contract["asset_id"] not in (None, values["asset_id"]):
                raise Invalid.at("/service_contract_id", "other_asset", "It is for another asset.")

    async def _count_from_here(self, values: dict[str, Any]) -> None:
        """The next reading is a multiple beyond what the meter shows."""
        values["next_reading"] = None
        if values["metric"] is None:
            return
        row = await self.uow.fetchrow(
            "SELECT last_value::numeric FROM after_sales.meters"
            " WHERE tenant_id = $1 AND asset_id = $2 AND metric = $3",
            self.uow.tenant_id,
            values["asset_id"],
            values["metric"],
        )
        shown = Decimal(0) if row is None or row[0] is None else row[0]
        values["next_reading"] = reading_after(values["every_reading"], shown)

    # -- opening -------------------------------------------------------------------------------------------

    async def open_due(self, id: UUID) -> bool:
        """Open one work order that a plan calls for, if it does; whether it did.

        What somebody else has opened meanwhile is not due any more: the row is read again when it is held.
        """
        row = await self.uow.fetchrow(
            f"{_DUE} AND p.id = $3 FOR NO KEY UPDATE OF p", self.uow.tenant_id, self._today, id
        )
        if row is None:
            return False
        values = dict(row)
        shown = values.pop("shown")
        plan = entity(MaintenancePlan, values)
        by_date = plan.next_due_on is not None and self._is_due(plan.next_due_on, plan.lead_days)
        planned = {
            "maintenance_plan_id": plan.id,
            "planned_on": plan.next_due_on if by_date else None,
            "due_reading": None if by_date else plan.next_reading,
        }
        if not await self._opened(planned):
            await self._open(plan, planned)
        await self.write(plan, _moved(plan, shown, by_date=by_date), action="opened")
        return True

    async def _opened(self, planned: Mapping[str, Any]) -> bool:
        """Whether the day or reading has its work order: a plan that was set back comes by it again."""
        row = await self.uow.fetchrow(
            "SELECT 1 FROM after_sales.work_orders WHERE tenant_id = $1 AND maintenance_plan_id = $2"
            " AND (planned_on = $3 OR due_reading = $4)",
            self.uow.tenant_id,
            *planned.values(),
        )
        return row is not None

    async def _open(self, plan: MaintenancePlan, planned: Mapping[str, Any]) -> None:
        asset = await self.uow.get(Asset, plan.asset_id)
        await WorkOrderService(self.uow).create_planned(
            {
                "subject": plan.name,
                "description": plan.instructions,
                "account_id": asset.account_id,
                "contact_id": asset.contact_id,
                "asset_id": plan.asset_id,
                "service_contract_id": plan.service_contract_id,
                "owner_id": plan.owner_id,
                "team_id": plan.team_id,
                "due_on": planned["planned_on"] or self._today,
            },
            **planned,
        )

    def _is_due(self, due_on: date, lead_days: int) -> bool:
        return due_on - timedelta(days=lead_days) <= self._today


def _moved(plan: MaintenancePlan, shown: Decimal | None, *, by_date: bool) -> dict[str, Any]:
    """What the plan is due for next."""
    if by_date and plan.every_months and plan.starts_on and plan.next_due_on:
        return {"next_due_on": due_after(plan.starts_on, plan.every_months, plan.next_due_on)}
    if plan.every_reading is None or shown is None:
        raise RuntimeError("a plan that is due by neither day nor reading")
    return {"next_reading": reading_after(plan.every_reading, max(shown, plan.next_reading or shown))}


_DUE: Final = """
SELECT p.*, m.last_value::numeric AS shown FROM after_sales.maintenance_plans p
JOIN after_sales.assets a ON a.tenant_id = p.tenant_id AND a.id = p.asset_id AND a.deleted_at IS NULL
LEFT JOIN after_sales.meters m ON m.tenant_id = p.tenant_id AND m.asset_id = p.asset_id AND m.metric = p.metric
WHERE p.tenant_id = $1 AND p.deleted_at IS NULL AND p.is_active AND a.status NOT IN ('returned', 'retired')
  AND (p.next_due_on - p.lead_days::integer <= $2 OR m.last_value >= p.next_reading)"""


async def open_due_work(run: ScheduledRun) -> None:
    """Open every work order that plans call for, each in a transaction of its own."""
    more = True
    while more:
        more = False
        for id in await _due_plans(run):
            more = await _open_one(run, id) or more


async def _open_one(run: ScheduledRun, id: UUID) -> bool:
    """A plan that cannot be followed keeps no other from it."""
    try:
        async with run.transaction() as uow:
            return await MaintenancePlanService(uow).open_due(id)
    except Problem as problem:
        log.error("maintenance plan failed", plan_id=str(id), code=problem.code, detail=problem.detail)
        return False


async def _due_plans(run: ScheduledRun) -> list[UUID]:
    async with run.transaction() as uow:
        today = uow.actor.tenant.day_of(uow.now)
        rows = await uow.fetch(f"{_DUE} ORDER BY p.id LIMIT {BATCH}", uow.tenant_id, today)
        return [row["id"] for row in rows]


MAINTENANCE_PLAN: RecordType[MaintenancePlan] = RecordType(
    object="maintenance_plan",
    plural="maintenance_plans",
    module="after_sales",
    model=MaintenancePlan,
    read=MaintenancePlanRead,
    create=MaintenancePlanCreate,
    update=MaintenancePlanUpdate,
    service=MaintenancePlanService,
    search=Search(names=("name",)),
    importable=False,
    labels={"name": ("maintenance plan", "保养计划"), "next_due_on": ("next due date", "下次到期日")},
)
MaintenancePlanService.record = MAINTENANCE_PLAN
