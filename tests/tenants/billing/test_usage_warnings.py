"""Warnings at 80 and 100 %, messages that are held, and storage by the hour."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

from app.kernel.access import system_actor
from app.kernel.clock import FixedClock
from app.kernel.jobs import JobRunner
from app.kernel.mail import Message, post
from app.kernel.schedules import ScheduledRun
from app.kernel.uow import transaction
from app.tenants.billing import allowances, kept, metering, warnings
from tests.tenants.billing.plan import allow, entitlement
from tests.tenants.people import colleague

Json = dict[str, Any]


async def told(company: Any, look: Any) -> list[tuple[str, int, int, int]]:
    """Warnings as events, oldest first."""
    rows = await look.rows(
        "SELECT data->>'limit' AS name, (data->>'threshold')::int AS at, (data->>'used')::int AS used,"
        " (data->>'allowed')::int AS allowed FROM kernel.outbox WHERE tenant_id = $1"
        " AND type = 'tenants.usage.warned.v1' ORDER BY id",
        company.tenant_id,
    )
    return [tuple(row) for row in rows]


async def pass_by(company: Any) -> None:
    """What the schedules do: add up, look, warn; twice, as two workers would."""
    run = ScheduledRun(company.app.kernel)
    await metering.roll(run)
    await asyncio.gather(warnings.warn(run), warnings.warn(run))


async def make(company: Any, count: int) -> None:
    for _ in range(count):
        await company.owner.ok("POST", "/v1/toys", json={"name": "Ball"})


async def test_those_who_run_the_company_hear_of_each_threshold_once(company, look):
    await colleague(company, look, "admin")
    await colleague(company, look)
    await allow(company, look, records=5)
    await make(company, 3)
    await pass_by(company)
    assert await told(company, look) == []
    await make(company, 1)
    await pass_by(company)
    assert await told(company, look) == [("records", 80, 4, 5)]
    await make(company, 1)
    await pass_by(company)
    await pass_by(company)
    assert await told(company, look) == [("records", 80, 4, 5), ("records", 100, 5, 5)]
    mine = await company.owner.ok("GET", "/v1/notifications?kind=billing.usage_warning")
    assert [notice["title"] for notice in mine["data"]] == [
        "100 % of the plan's records are used", "80 % of the plan's records are used",
    ]  # fmt: skip
    count = (
        "SELECT count(*) FROM kernel.notifications WHERE tenant_id = $1 AND kind = 'billing.usage_warning'"
    )
    assert await look.value(count, company.tenant_id) == 4  # the owner and the admin, twice each
    subjects = [mail["subject"] for mail in await look.mails(company.email)]
    assert [s for s in subjects if "records" in s] == [
        "80 % of the plan's records are used", "100 % of the plan's records are used",
    ]  # fmt: skip


async def test_what_crosses_both_thresholds_at_once_is_told_once_and_again_in_the_next_month(
    company, look, app
):
    former = app.kernel.clock
    await allow(company, look, soft=True, seats=1)
    await pass_by(company)
    assert await told(company, look) == [("seats", 100, 1, 1)]
    app.kernel.clock = FixedClock(former.now() + timedelta(days=32))
    try:
        await allowances.refresh_all(ScheduledRun(app.kernel))
        await pass_by(company)
    finally:
        app.kernel.clock = former
    assert await told(company, look) == [("seats", 100, 1, 1)] * 2


async def test_messages_beyond_the_limit_are_held_with_a_reason_and_go_when_the_plan_allows(
    company, look, app
):
    await allow(company, look, messages=2)
    profile = await app.kernel.authenticator.tenant_profile(company.tenant_id)
    for number in range(3):
        async with transaction(app.kernel, system_actor(profile)) as uow:
            post(uow, Message(to=f"c{number}@example.com", subject="Hello", text="Hello"))
    await JobRunner(app.kernel).run_due()
    assert (await entitlement(company, "messages"))["used"] == 2
    held = "SELECT state, attempts, last_error, run_at FROM kernel.jobs WHERE tenant_id = $1 AND payload->>'to' = $2"
    [row] = await look.rows(held, company.tenant_id, "c2@example.com")
    assert (row["state"], row["attempts"]) == ("queued", 0)
    assert row["last_error"] == (
        "plan_limit_reached: The plan tiny allows 2 messages; 2 are used. starter allows more."
    )
    await allow(company, look, messages=3)
    await look.run(
        "UPDATE kernel.jobs SET run_at = created_at WHERE tenant_id = $1 AND state = 'queued'",
        company.tenant_id,
    )
    await JobRunner(app.kernel).run_due()
    assert (await entitlement(company, "messages"))["used"] == 3


async def test_storage_is_metered_once_for_each_hour_that_is_over(company, look, app):
    await company.owner.ok("POST", "/v1/files?filename=a.txt", content=b"12345")
    await metering.roll(ScheduledRun(app.kernel))
    former = app.kernel.clock
    app.kernel.clock = FixedClock(kept.whole_hour(former.now()) + timedelta(hours=3, minutes=1))
    hours = "SELECT hour, sum FROM tenants.usage_hours WHERE tenant_id = $1 AND metric = 'storage.byte_hours' ORDER BY 1"
    try:
        await kept.meter_storage(ScheduledRun(app.kernel))
        first = await look.rows(hours, company.tenant_id)
        app.kernel.clock.advance(hours=2)
        for _ in range(2):
            await kept.meter_storage(ScheduledRun(app.kernel))
        rows = await look.rows(hours, company.tenant_id)
    finally:
        app.kernel.clock = former
    assert [row["sum"] for row in first] == [Decimal(5)]
    assert [row["sum"] for row in rows] == [Decimal(5)] * 3
    assert rows[2]["hour"] - rows[0]["hour"] == timedelta(hours=2)
