"""What cases add up to: exact figures over days of one's own, and a bounded number of statements."""

from __future__ import annotations

from typing import Any

from app.kernel.clock import FixedClock
from app.modules.after_sales.schemas.case_statistics import CaseQuestion
from app.modules.after_sales.services.cases.statistics import CaseStatisticsService
from tests.modules.after_sales.cases.cases import case_of, stepped
from tests.modules.after_sales.desk.desk import queue_of
from tests.modules.after_sales.sla.sla import MONDAY_NINE, calendar_of, policy_of, sweep
from tests.modules.orders.orders import product
from tests.modules.support import acting
from tests.support.api import Client, Company

Json = dict[str, Any]
HOURS = 3_600


async def answer_case(owner: Client, case: Json) -> None:
    await owner.ok("POST", f"/v1/cases/{case['id']}/comments", json={"body": "Hello", "public": True})


async def test_figures_of_ten_cases(company: Company, clock: FixedClock) -> None:
    owner = company.owner
    clock.set(MONDAY_NINE)
    always = {day: [["00:00", "24:00"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}
    await calendar_of(owner, days=always, is_default=True)
    await policy_of(owner, resolution_minutes=330)
    pump = await product(owner, name="Pump")
    old = await case_of(owner, opened_at="2027-02-01T09:00:00Z", channel="email")  # long due
    cases = [
        await case_of(owner, channel="phone" if n % 2 else "web", product_id=pump["id"] if n < 4 else None)
        for n in range(10)
    ]
    await sweep(company)
    for case in cases:  # answered after 1 … 10 hours, resolved with it
        clock.advance(hours=1)
        await answer_case(owner, case)
        await stepped(owner, case, "resolve")
    await stepped(owner, cases[0], "reopen")
    asked = "from_day=2027-03-01&to_day=2027-03-01"
    found = await owner.ok("GET", f"/v1/cases/statistics?group_by=channel&{asked}")
    assert found["total"] == {
        "opened": 10, "resolved": 9, "backlog": 2, "first_response_median": 5 * HOURS,
        "first_response_p90": 9 * HOURS, "resolution_median": 6 * HOURS, "resolution_p90": 10 * HOURS, "sla_met": 4,
        "sla_failed": 5, "sla_attainment": "0.4444", "reopened": 1, "reopen_rate": "0.1",
    }  # fmt: skip
    by_channel = {group["key"]: group for group in found["data"]}
    assert {key: (one["opened"], one["backlog"]) for key, one in by_channel.items()} == {
        "web": (5, 1),
        "phone": (5, 0),
        "email": (0, 1),
    }
    assert by_channel["phone"]["resolution_median"] == 6 * HOURS
    products = await owner.ok("GET", f"/v1/cases/statistics?group_by=product&{asked}&limit=1")
    assert [(one["key"], one["label"], one["opened"]) for one in products["data"]] == [(None, None, 6)]
    assert products["has_more"] is True
    agents = await owner.ok(
        "GET", "/v1/cases/statistics?group_by=agent&from_day=2027-02-01&to_day=2027-02-01"
    )
    assert [(one["key"], one["opened"], one["sla_failed"]) for one in agents["data"]] == [
        (old["owner_id"], 1, 1)
    ]
    assert agents["data"][0]["label"] is not None
    nobody = await owner.ok("GET", f"/v1/cases/statistics?{asked}&channel=chat")
    assert (nobody["data"], nobody["total"]["opened"], nobody["total"]["sla_attainment"]) == ([], 0, None)


async def test_figures_by_queue(company: Company, clock: FixedClock) -> None:
    owner = company.owner
    clock.set(MONDAY_NINE)
    first, second = [await queue_of(owner, owner, name=name) for name in ("Repairs", "Invoices")]
    cases = [await case_of(owner, queue_id=queue["id"]) for queue in (first, first, second)]
    clock.advance(hours=2)
    await answer_case(owner, cases[0])
    await stepped(owner, cases[0], "resolve")
    found = await owner.ok("GET", "/v1/cases/statistics?group_by=queue&from_day=2027-03-01&to_day=2027-03-01")
    assert {
        one["label"]: (one["opened"], one["resolved"], one["backlog"], one["resolution_p90"])
        for one in found["data"]
    } == {"Repairs": (2, 1, 1, 2 * HOURS), "Invoices": (1, 0, 1, None)}


async def test_a_question_takes_the_same_statements_however_many_cases(company: Company) -> None:
    counts = []
    await case_of(company.owner)
    await company.owner.ok("GET", "/v1/cases/statistics")  # custom fields are known from here on
    for _ in range(2):
        async with acting(company) as uow:
            await CaseStatisticsService(uow).answer(CaseQuestion(group_by="channel"))
            counts.append(uow.statements)
        for channel in ("phone", "web", "email"):
            await case_of(company.owner, channel=channel)
    assert counts[0] == counts[1] <= 4


async def test_the_last_day_is_not_before_the_first(company: Company) -> None:
    answer = await company.owner.get("/v1/cases/statistics?from_day=2027-03-02&to_day=2027-03-01")
    assert answer.status_code in (400, 422)
