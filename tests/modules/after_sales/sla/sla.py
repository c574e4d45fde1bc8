"""What the tests of promises share: policies, and letting the clock do its work."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app.kernel.jobs import JobRunner
from app.kernel.outbox import Relay
from app.kernel.schedules import ScheduledRun
from app.modules.after_sales.services.cases.closing import close_resolved
from app.modules.after_sales.services.sla.watch import watch
from tests.modules.support import actor_of
from tests.support.api import Client, Company
from tests.tenants.people import Look

Json = dict[str, Any]
OFFICE = {day: [["09:00", "17:00"]] for day in ("mon", "tue", "wed", "thu", "fri")}
MONDAY_NINE = datetime.fromisoformat("2027-03-01T09:00:00+00:00")


def z(text: str) -> str:
    """A moment of March 2027, `01T10:00`, as answers show it."""
    return f"2027-03-{text}:00Z"


async def calendar_of(owner: Client, **fields: Any) -> Json:
    made: Json = await owner.ok(
        "POST", "/v1/calendars", json={"name": "Office", "time_zone": "UTC", "days": OFFICE} | fields
    )
    return made


async def policy_of(owner: Client, **fields: Any) -> Json:
    made: Json = await owner.ok(
        "POST", "/v1/sla-policies", json={"name": "All", "resolution_minutes": None} | fields
    )
    return made


async def sweep(company: Company) -> None:
    await watch(ScheduledRun(company.kernel, (await actor_of(company)).tenant))


async def close(company: Company) -> None:
    await close_resolved(ScheduledRun(company.kernel, (await actor_of(company)).tenant))


async def work_off(company: Company) -> None:
    """Deliver events and run the jobs that are due."""
    while await Relay(company.kernel).run_once():
        pass
    await JobRunner(company.kernel).run_due()


async def told(look: Look, company: Company, kind: str) -> int:
    return int(
        await look.value(
            "SELECT count(*) FROM kernel.outbox WHERE tenant_id = $1 AND type = $2",
            company.tenant_id,
            f"after_sales.case.{kind}.v1",
        )
    )


def clock_of(case: Json, target: str) -> Json:
    """The newest clock of a target."""
    found: Json = next(clock for clock in case["clocks"] if clock["target"] == target)
    return found
