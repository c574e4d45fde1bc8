"""What keeps the figures right in the background: sums built and folded, weeks snapshot, amounts converted again."""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from uuid import UUID

from pydantic import BaseModel

from app.kernel.jobs import JobContext, JobPaused
from app.kernel.registry import JobKind, Schedule, Subscription
from app.kernel.schedules import ScheduledRun
from app.kernel.uow import UnitOfWork
from app.modules.opportunities.reading.snapshots import SnapshotService
from app.modules.opportunities.reading.sums import KeptSums
from app.modules.opportunities.services.home_amounts import HomeAmounts
from app.tenants.interface import ExchangeRates

BUILD: Final = "opportunities.build_sums"
CONVERT: Final = "opportunities.convert_amounts"


class Build(BaseModel):
    """`again` also where they were built before."""

    again: bool = False


class Convert(BaseModel):
    """Opportunities of one currency, or all of them."""

    currency: str | None = None


class RateChanged(BaseModel):
    """What we need of `tenants.exchange_rate.changed.v1`."""

    currency: str


class SettingsChanged(BaseModel):
    """What we need of `tenants.tenant.settings_changed.v1`."""

    changed: list[str]


async def build(context: JobContext, order: Build) -> dict[str, int]:
    """Passages batch by batch, then the sums at once. Started again, it begins anew: batches change nothing twice."""
    async with context.transaction() as uow:
        if await KeptSums(uow).is_built() and not order.again:
            return {"batches": 0}
    after: UUID | None = None
    batches = 0
    while True:
        if context.stopping.is_set():
            raise JobPaused
        async with context.transaction() as uow:
            after = await KeptSums(uow).keep_passages(after)
        batches += 1
        if after is None:
            break
    async with context.transaction() as uow:
        await KeptSums(uow).build()
    return {"batches": batches}


async def convert(context: JobContext, order: Convert) -> dict[str, int]:
    """Convert amounts again, a batch per transaction, after everybody who used the older rates is done."""
    async with context.transaction() as uow:
        # Released before any row is touched: whoever holds a row may be waiting for this very lock.
        await uow.of(ExchangeRates).settled()
    after: UUID | None = None
    changed = 0
    while True:
        if context.stopping.is_set():
            raise JobPaused
        async with context.transaction() as uow:
            count, after = await HomeAmounts(uow).convert_batch(order.currency, after)
        changed += count
        if after is None:
            return {"changed": changed}


async def look_after(run: ScheduledRun) -> None:
    """Fold the sums and take the week's snapshot; sums that were never built are built by a job first."""
    async with run.transaction() as uow:
        if not await KeptSums(uow).is_built():
            uow.enqueue(CONVERT, {})
            uow.enqueue(BUILD, {})
            return
        await KeptSums(uow).fold()
        await SnapshotService(uow).take()


async def on_rate_changed(uow: UnitOfWork, event: RateChanged) -> None:
    uow.enqueue(CONVERT, {"currency": event.currency})


async def on_settings_changed(uow: UnitOfWork, event: SettingsChanged) -> None:
    if "currency" in event.changed:
        uow.enqueue(CONVERT, {})
    if "time_zone" in event.changed:
        uow.enqueue(BUILD, {"again": True})


JOBS: Final = (JobKind(BUILD, Build, build), JobKind(CONVERT, Convert, convert))
SCHEDULES: Final[tuple[Schedule, ...]] = (
    Schedule("opportunities.look_after_figures", timedelta(minutes=10), look_after, per_tenant=True),
)
SUBSCRIPTIONS: Final[tuple[Subscription, ...]] = (
    Subscription(
        "tenants.exchange_rate.changed.v1", RateChanged, on_rate_changed, name="opportunities.rate_changed"
    ),
    Subscription(
        "tenants.tenant.settings_changed.v1",
        SettingsChanged,
        on_settings_changed,
        name="opportunities.settings_changed",
    ),
)
