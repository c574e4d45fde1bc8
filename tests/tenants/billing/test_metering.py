"""Usage: each event once for ever, exact sums by the hour, and seats that follow members."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.kernel.schedules import ScheduledRun
from app.tenants.billing.aggregation import Aggregation, Usage, aggregate
from app.tenants.billing.metering import roll
from app.tenants.billing.periods import Period
from tests.kernel.conftest import refusal
from tests.tenants.people import colleague, role_id

Json = dict[str, Any]


def event(id: str, value: str = "1", *, ago: timedelta = timedelta(0), **more: Any) -> Json:
    moment = datetime.now(UTC) - ago
    return {
        "id": id, "source": "/render", "type": "pages.rendered", "time": moment.isoformat(), "data": {"value": value},
    } | more  # fmt: skip


async def report(client: Any, *events: Json) -> Any:
    return await client.post("/v1/billing/usage-events", {"events": list(events)})


async def used(client: Any, metric: str = "pages.rendered", **period: str) -> Json | None:
    answer = await client.ok("GET", "/v1/billing/usage", params=period)
    return next((row for row in answer["metrics"] if row["metric"] == metric), None)


def around() -> dict[str, str]:
    """The hours that events of this test lie in."""
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    return {
        "start": (hour - timedelta(hours=40)).isoformat(), "end": (hour + timedelta(hours=2)).isoformat(),
    }  # fmt: skip


async def test_an_event_counts_once_for_ever(owner):
    first, second = event("a", "2.5"), event("b", "4")
    answer = await report(owner, first, second, first)
    assert answer.status_code == 202
    assert [row["status"] for row in answer.json()["results"]] == ["accepted", "accepted", "duplicate"]
    again = await report(owner, second)
    assert (again.status_code, again.json()["results"][0]["duplicate"], again.json()["accepted"]) == (
        202,
        True,
        0,
    )
    row = await used(owner, **around())
    assert row is not None
    assert (row["count"], row["sum"], row["max"], row["latest"]) == (2, "6.5", "4", "4")


async def test_an_event_without_a_time_is_the_same_when_it_is_sent_again(owner):
    untimed = event("a")
    del untimed["time"]
    assert [(await report(owner, untimed)).json()["results"][0]["status"] for _ in range(2)] == [
        "accepted", "duplicate",
    ]  # fmt: skip


async def test_another_event_of_the_same_name_is_refused_and_changes_nothing(owner, unchanged):
    await report(owner, event("a", "1"))
    async with unchanged():
        assert refusal(await report(owner, event("a", "2"))) == (409, "usage_conflict")
    answer = await report(owner, event("a", "2"), event("b", "8"), event("b", "9"))
    assert answer.status_code == 207
    assert [row["status"] for row in answer.json()["results"]] == ["conflict", "accepted", "conflict"]
    row = await used(owner, **around())
    assert row is not None
    assert (row["count"], row["sum"]) == (2, "9")


@pytest.mark.parametrize("ago", [timedelta(days=35, minutes=1), timedelta(minutes=-6)])
async def test_what_is_too_late_or_too_early_is_refused(owner, unchanged, ago):
    async with unchanged():
        assert refusal(await report(owner, event("a", ago=ago))) == (400, "usage_out_of_time")
    answer = await report(owner, event("a", ago=ago), event("b"))
    assert [row["status"] for row in answer.json()["results"]] == ["out_of_time", "accepted"]


async def test_late_and_slightly_early_events_are_taken(owner):
    late, early = event("a", ago=timedelta(days=34, hours=23)), event("b", ago=timedelta(minutes=-4))
    assert (await report(owner, late, early)).json()["accepted"] == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"data": {"value": "1e3"}}, {"data": {"value": 1}}, {"data": {"value": "NaN"}}, {"type": "Pages"},
        {"id": ""}, {"specversion": "0.3"}, {"time": "yesterday"}, {"time": "2026-01-01T00:00:00"}, {"extra": 1},
    ],
)  # fmt: skip
async def test_a_malformed_event_refuses_the_batch_and_says_where(owner, unchanged, wrong):
    async with unchanged():
        answer = await report(owner, event("a"), event("b") | wrong)
        assert answer.status_code == 422
    assert all(error["pointer"].startswith("/events/1/") for error in answer.json()["errors"])


async def test_a_batch_has_a_thousand_events_at_most(owner, unchanged):
    events = [event(f"e{number}") for number in range(1_001)]
    async with unchanged():
        assert (await report(owner, *events)).status_code == 422
    assert (await report(owner, *events[:1_000])).json()["accepted"] == 1_000


async def test_hundreds_of_batches_of_the_same_events_at_once_count_each_once(owner):
    events = [event(f"e{number}", str(number), subject=f"page {number % 7}") for number in range(50)]
    batches = [events[turn % 50 :] + events[: turn % 50] for turn in range(200)]
    answers = await asyncio.gather(*(report(owner, *batch) for batch in batches))
    assert {answer.status_code for answer in answers} == {202}
    assert sum(answer.json()["accepted"] for answer in answers) == 50
    row = await used(owner, **around())
    assert row is not None
    assert (row["count"], row["sum"], row["max"], row["unique"]) == (50, str(sum(range(50))), "49", 7)


async def test_neighbours_share_no_event_and_no_figure(owner, rival):
    assert (await report(owner, event("a", "3"))).json()["accepted"] == 1
    assert (await report(rival.owner, event("a", "5"))).json()["accepted"] == 1
    assert [(await used(who, **around()) or {})["sum"] for who in (owner, rival.owner)] == ["3", "5"]
    listed = await rival.owner.ok("GET", "/v1/billing/usage-events?metric=pages.rendered")
    assert [row["value"] for row in listed["data"]] == ["5"]


async def test_only_those_who_run_the_company_see_and_report_usage(company, look, unchanged):
    seller = await colleague(company, look)
    async with unchanged():
        for answer in (
            await report(seller, event("a")), await seller.get("/v1/billing/usage"),
            await seller.get("/v1/billing/seats"), await seller.get("/v1/billing/usage-events?metric=a"),
        ):  # fmt: skip
            assert refusal(answer) == (403, "forbidden")


async def test_the_events_behind_a_figure_are_listed_in_pages(owner):
    await report(owner, *(event(f"e{number}", ago=timedelta(minutes=number)) for number in range(5)))
    await report(owner, event("other", type="other.metric"))
    found, cursor = [], ""
    while True:
        page = await owner.ok("GET", f"/v1/billing/usage-events?metric=pages.rendered&limit=2{cursor}")
        found += [row["event_id"] for row in page["data"]]
        if not page["has_more"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert found == ["e4", "e3", "e2", "e1", "e0"]


@pytest.mark.parametrize(
    "query",
    [
        "start=2026-01-01T00:30:00Z", "start=2026-01-02T00:00:00Z&end=2026-01-01T00:00:00Z",
        "start=2024-01-01T00:00:00Z&end=2026-01-01T00:00:00Z",
    ],
)  # fmt: skip
async def test_a_period_is_of_whole_hours(owner, query):
    for path in ("usage", "seats"):
        answer = await owner.get(f"/v1/billing/{path}?{query.replace('+', '%2B')}")
        assert refusal(answer) == (400, "no_such_period")


async def test_what_the_product_counts_of_itself_is_added_up_once(app, owner, company, look):
    for number in range(3):
        await owner.ok("POST", "/v1/leads", json={"name": f"Lead {number}"})
    await asyncio.gather(*(roll(ScheduledRun(app.kernel)) for _ in range(5)))
    row = await used(owner, "records.created", **around())
    assert row is not None
    assert (row["count"], row["sum"]) == (3, "3")
    left = await look.value(
        "SELECT count(*) FROM kernel.usage_records WHERE tenant_id = $1", company.tenant_id
    )
    assert left == 0


START = datetime(2026, 3, 1, tzinfo=UTC)
HISTORY = st.lists(
    st.tuples(st.integers(0, 47 * 3600), st.integers(-50, 50), st.sampled_from("abc")),
    min_size=1,
    max_size=30,
    unique_by=lambda row: row[0],
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(HISTORY)
async def test_the_hours_say_what_the_events_say(app, company, rows):
    """Each example has a metric of its own, reported in two halves, against the aggregation of the events."""
    from app.kernel.access import system_actor
    from app.kernel.clock import FixedClock
    from app.kernel.uow import transaction
    from app.tenants.billing.metering import Meter, UsageEvent

    metric = f"m{abs(hash(tuple(rows)))}"
    period = Period(START, START + timedelta(days=2))
    events = [
        UsageEvent(
            "/s", f"{metric}-{n}", metric, at := START + timedelta(seconds=second), at, Decimal(value), who
        )
        for n, (second, value, who) in enumerate(rows)
    ]
    profile = next(t for t in await app.kernel.authenticator.active_tenants() if t.id == company.tenant_id)
    kept, app.kernel.clock = app.kernel.clock, FixedClock(START + timedelta(days=2))
    try:
        for half in (events[::2], events[1::2]):
            async with transaction(app.kernel, system_actor(profile)) as uow:
                assert set(await Meter(uow).take(half)) <= {"accepted"}
        async with transaction(app.kernel, system_actor(profile), read_only=True) as uow:
            [found] = [row for row in await Meter(uow).of_period(period) if row.metric == metric]
            assert uow.statements == 1
    finally:
        app.kernel.clock = kept
    plain = [Usage(event.at, event.value, event.subject) for event in events]
    assert {
        Aggregation.COUNT: found.count, Aggregation.SUM: found.sum, Aggregation.MAX: found.max,
        Aggregation.LATEST: found.latest, Aggregation.UNIQUE: found.unique,
        Aggregation.WEIGHTED_SUM: found.weighted_sum,
    } == {
        how: (max(row.value for row in plain) if how == Aggregation.MAX else aggregate(how, plain, period))
        for how in Aggregation
    }  # fmt: skip


# -- seats ----------------------------------------------------------------------------------------------------


async def seats(client: Any) -> Json:
    found: Json = await client.ok("GET", "/v1/billing/seats")
    return found


async def test_seats_follow_members_to_the_second(app, company, owner, look):
    begin = app.kernel.clock.now()
    mate = await colleague(company, look)
    onlooker = await colleague(company, look, "viewer")

    async def change(who: Any, how: str, **body: Any) -> None:
        path = f"/v1/members/{who.facts['member_id']}"
        version = (await owner.ok("GET", path))["version"]
        method = "PATCH" if how == "" else "POST"
        await owner.ok(method, f"{path}{how}", json=body, if_match=version)

    await change(mate, "", title="No seat moves")
    await change(mate, "/deactivate")
    await change(mate, "/reactivate")
    await change(mate, "", role_ids=[await role_id(company, "viewer")])
    await change(onlooker, "", role_ids=[await role_id(company, "manager")])
    found = await seats(owner)
    members = [str(company.member_id), *([mate.facts["member_id"]] * 4), onlooker.facts["member_id"]]
    assert [(row["member_id"], row["change"], row["occupied"]) for row in found["changes"]] == list(
        zip(members, [1, 1, -1, 1, -1, 1], [1, 2, 1, 2, 1, 2], strict=True)
    )
    assert (found["opening"], found["occupied"]) == (0, 2)
    at = [datetime.fromisoformat(row["at"]) for row in found["changes"]]
    assert all(begin - timedelta(seconds=5) <= moment for moment in at)
    assert at == sorted(at)


async def test_a_refused_change_of_a_member_moves_no_seat(company, owner, look, unchanged):
    path = f"/v1/members/{company.member_id}"
    row = await owner.ok("GET", path)
    async with unchanged():
        answer = await owner.post(f"{path}/deactivate", {}, if_match=row["version"])
        assert answer.status_code == 409
    assert (await seats(owner))["occupied"] == 1


async def test_the_seats_of_a_later_period_open_with_what_was_taken(owner):
    found = await owner.ok("GET", "/v1/billing/seats?start=2100-01-01T00:00:00Z")
    assert (found["opening"], found["changes"], found["seat_seconds"]) == (1, [], 0)


async def test_any_number_of_members_at_once_are_counted_right(company, owner, look):
    mates = [await colleague(company, look) for _ in range(4)]

    async def leave_and_come_back(who: Any) -> None:
        path = f"/v1/members/{who.facts['member_id']}"
        for step in ("deactivate", "reactivate") * 5:
            version = (await owner.ok("GET", path))["version"]
            await owner.ok("POST", f"{path}/{step}", json={}, if_match=version)

    await asyncio.gather(*(leave_and_come_back(who) for who in mates))
    found = await seats(owner)
    assert (found["occupied"], len(found["changes"])) == (5, 5 + 4 * 10)


@pytest.mark.parametrize("metric", ["api.calls", "messages.sent", "records.created", "leads.captured"])
async def test_nobody_takes_back_what_the_product_counted(company, unchanged, metric):
    event = {"id": "less", "source": "/s", "type": metric, "data": {"value": "-1000000"}}
    async with unchanged():
        answer = await report(company.owner, {"id": "more", "source": "/s", "type": "pages.rendered"}, event)
        assert refusal(answer)[:2] == (422, "invalid")
        assert answer.json()["errors"][0]["pointer"] == "/events/1/data/value"
