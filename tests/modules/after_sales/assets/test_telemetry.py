"""Telemetry: readings are kept once, and what breaks a rule opens one case, not a hundred."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kernel.clock import FixedClock
from app.kernel.schedules import ScheduledRun
from app.modules.after_sales.schemas.telemetry import TelemetryBatch
from app.modules.after_sales.services.telemetry.breaches import CALM, Limits, Watch, step
from app.modules.after_sales.services.telemetry.readings import TelemetryService
from app.modules.after_sales.services.telemetry.watching import forget_readings, watch_absence
from tests.modules.after_sales.assets.things import Worker, asset_of, listed, now, send
from tests.modules.after_sales.cases.cases import case_of, stepped
from tests.modules.after_sales.conftest import Hire
from tests.modules.orders.orders import product
from tests.modules.support import acting, count
from tests.support.api import Client, Company

Json = dict[str, Any]
START = datetime(2026, 3, 1, tzinfo=UTC)


def at(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).isoformat()


async def rule_of(owner: Client, **fields: Any) -> Json:
    body = {"name": "Too hot", "kind": "above", "metric": "temperature", "threshold": "80", "clear_at": "70"}
    made: Json = await owner.ok("POST", "/v1/telemetry-rules", json=body | fields)
    return made


async def readings(company: Company) -> int:
    async with acting(company) as uow:
        rows = await uow.fetch(
            "SELECT count(*) FROM after_sales.readings WHERE tenant_id = $1", uow.tenant_id
        )
        return int(rows[0][0])


async def test_a_reading_is_kept_once_however_often_it_is_sent(company: Company, owner: Client) -> None:
    asset = await asset_of(owner)
    batch = [(at(n), float(n)) for n in range(1_000)]
    answers = await asyncio.gather(*(send(owner, asset, *batch) for _ in range(5)))
    assert sorted(answer["stored"] for answer in answers) == [0, 0, 0, 0, 1_000]
    assert sorted(answer["known"] for answer in answers) == [0, 1_000, 1_000, 1_000, 1_000]
    assert await readings(company) == 1_000
    assert await send(owner, asset, (at(5), 99.0), (at(5), 98.0)) == {"stored": 0, "known": 2, "breached": 0}
    assert (await send(owner, asset, (at(5), 1.0), metric="pressure"))["stored"] == 1
    meters = await listed(owner, f"assets/{asset['id']}/meters")
    assert [(one["metric"], one["value"]) for one in meters] == [("pressure", 1.0), ("temperature", 999.0)]
    late = await send(owner, asset, (at(0.5), 7.0))
    assert late["stored"] == 1
    assert (await listed(owner, f"assets/{asset['id']}/meters"))[1]["value"] == 999.0
    path = f"assets/{asset['id']}/telemetry?metric=temperature&until=2026-03-01T00:00:02Z"
    assert [one["value"] for one in await listed(owner, path)] == [1.0, 7.0, 0.0]
    page = await owner.ok("GET", f"/v1/{path}&limit=2")
    rest = await owner.ok("GET", f"/v1/{path}&limit=2&cursor={page['next_cursor']}")
    assert ([one["value"] for one in rest["data"]], rest["has_more"]) == ([0.0], False)


@pytest.mark.parametrize(
    ("reading", "pointer"),
    [
        ({"at": "2999-01-01T00:00:00Z"}, "/readings/1/at"),
        ({"metric": "Not A Name"}, "/readings/1/metric"),
        ({"value": 1e16}, "/readings/1/value"),
        ({"at": "2026-03-01T00:00:00"}, "/readings/1/at"),
    ],
)
async def test_a_batch_with_a_wrong_reading_is_refused_whole(
    company: Company, owner: Client, reading: Json, pointer: str
) -> None:
    asset = await asset_of(owner)
    good = {"metric": "temperature", "at": at(0), "value": 1.0}
    answer = await owner.post(
        f"/v1/assets/{asset['id']}/telemetry", json={"readings": [good, good | reading]}
    )
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
    many = await owner.post(f"/v1/assets/{asset['id']}/telemetry", json={"readings": [good] * 1_001})
    assert many.status_code == 422
    assert await readings(company) == 0


async def test_an_asset_has_so_many_metrics_and_no_more(company: Company, owner: Client) -> None:
    asset = await asset_of(owner)
    body = [{"metric": f"m{n}", "at": at(0), "value": 1.0} for n in range(501)]
    path = f"/v1/assets/{asset['id']}/telemetry"
    answer = await owner.post(path, json={"readings": body})
    assert [e["code"] for e in answer.json()["errors"]] == ["too_many_metrics"]
    assert await readings(company) == 0
    assert (await owner.ok("POST", path, json={"readings": body[:500]}))["stored"] == 500


async def test_who_may_not_send_readings_leaves_none(company: Company, owner: Client, hire: Hire) -> None:
    asset = await asset_of(owner)
    viewer = await hire("viewer")
    body = {"readings": [{"metric": "temperature", "at": at(0), "value": 1.0}]}
    assert (await viewer.post(f"/v1/assets/{asset['id']}/telemetry", json=body)).status_code == 403
    assert (await owner.post(f"/v1/assets/{uuid4()}/telemetry", json=body)).status_code == 404
    assert await readings(company) == 0


async def test_200_batches_over_the_threshold_at_once_open_one_case(
    company: Company, owner: Client, account: Json, worker: Worker
) -> None:
    asset = await asset_of(owner, account_id=account["id"])
    rule = await rule_of(owner, for_readings=3, case_priority="urgent", case_type="fault")
    batches = [[(at(n * 10 + i), 90.0 + i) for i in range(5)] for n in range(200)]
    answers = await asyncio.gather(*(send(owner, asset, *batch) for batch in batches))
    assert sum(answer["stored"] for answer in answers) == 1_000
    assert sum(answer["breached"] for answer in answers) == 1
    await asyncio.gather(*(worker.relay() for _ in range(4)))
    (case,) = await listed(owner, "cases")
    assert (case["subject"], case["channel"], case["priority"], case["type"]) == (
        "Too hot: Pump 7",
        "device",
        "urgent",
        "fault",
    )
    assert (case["asset_id"], case["account_id"], case["owner_id"]) == (
        asset["id"],
        account["id"],
        asset["owner_id"],
    )
    assert case["dedupe"] == f"telemetry:{rule['id']}:{asset['id']}"
    assert case["description"].startswith("temperature was 9")


async def test_a_breach_ends_only_when_it_is_clear_and_the_next_one_opens_another_case(
    owner: Client, worker: Worker
) -> None:
    asset = await asset_of(owner)
    await rule_of(owner)
    taken = [
        (await send(owner, asset, (at(n), value)))["breached"] for n, value in enumerate((81.0, 75.0, 82.0))
    ]
    assert taken == [1, 0, 0]
    await worker.relay()
    (first,) = await listed(owner, "cases")
    # Clear, and again while the case is not resolved: the same case.
    assert [(await send(owner, asset, (at(n), v)))["breached"] for n, v in ((10, 70.0), (11, 81.0))] == [0, 1]
    await worker.relay()
    assert [one["id"] for one in await listed(owner, "cases")] == [first["id"]]
    await stepped(owner, first, "resolve")
    assert (await send(owner, asset, (at(20), 75.0)))["breached"] == 0
    assert (await send(owner, asset, (at(21), 60.0), (at(22), 90.0)))["breached"] == 1
    await worker.relay()
    found = await listed(owner, "cases?sort=opened_at")
    assert [one["status"] for one in found] == ["resolved", "new"]


async def test_a_case_that_was_merged_away_keeps_its_rule_quiet(
    company: Company, owner: Client, worker: Worker
) -> None:
    asset = await asset_of(owner)
    await rule_of(owner, for_readings=1)
    await send(owner, asset, (at(0), 90.0))
    await worker.relay()
    (opened,) = await listed(owner, "cases")
    kept = await case_of(owner)
    both = [{"id": one["id"], "version": one["version"]} for one in (kept, opened)]
    merge = (await owner.ok("POST", "/v1/cases/merge", json={"records": both, "master_id": kept["id"]}))[
        "merge"
    ]
    await send(owner, asset, (at(60), 91.0))
    await worker.relay()
    assert [one["id"] for one in await listed(owner, "cases")] == [kept["id"]]
    await owner.ok("POST", f"/v1/merges/{merge['id']}/undo", if_match=merge["version"])
    await stepped(owner, kept, "resolve")
    await send(owner, asset, (at(120), 92.0))
    await worker.relay()
    assert len(await listed(owner, "cases")) == 2
    await stepped(owner, opened, "resolve")
    await send(owner, asset, (at(180), 93.0))
    await worker.relay()
    assert len(await listed(owner, "cases")) == 3


async def test_what_goes_on_after_its_case_was_resolved_opens_another_one(
    owner: Client, worker: Worker
) -> None:
    asset = await asset_of(owner)
    await rule_of(owner, for_readings=2)
    assert (await send(owner, asset, (at(0), 90.0), (at(1), 90.0)))["breached"] == 1
    await worker.relay()
    (first,) = await listed(owner, "cases")
    await stepped(owner, first, "resolve")
    assert [(await send(owner, asset, (at(n), 90.0)))["breached"] for n in (2, 3, 4)] == [0, 1, 0]
    await worker.relay()
    assert len(await listed(owner, "cases")) == 2


async def test_a_rule_waits_for_so_long_and_is_for_whom_it_says(owner: Client, worker: Worker) -> None:
    goods = await product(owner)
    mine, other = await asset_of(owner, product_id=goods["id"]), await asset_of(owner)
    await rule_of(owner, product_id=goods["id"], for_seconds=60)
    await rule_of(owner, asset_id=other["id"], kind="below", threshold="5", clear_at=None)
    await rule_of(owner, is_active=False)
    assert [(await send(owner, mine, (at(n), 90.0)))["breached"] for n in (0, 59, 60, 61)] == [0, 0, 1, 0]
    assert [
        (await send(owner, other, (at(n), v)))["breached"] for n, v in ((0, 90.0), (1, 5.0), (2, 4.9))
    ] == [
        0,
        0,
        1,
    ]
    await worker.relay()
    assert {one["asset_id"] for one in await listed(owner, "cases")} == {mine["id"], other["id"]}


async def test_a_rule_that_changes_begins_anew(owner: Client) -> None:
    asset = await asset_of(owner)
    rule = await rule_of(owner, clear_at=None)
    assert rule["clear_at"] == "80"
    assert (await send(owner, asset, (at(0), 90.0)))["breached"] == 1
    path = f"/v1/telemetry-rules/{rule['id']}"
    changed = await owner.ok("PATCH", path, json={"threshold": "85"}, if_match=1)
    assert changed["clear_at"] == "85"
    assert (await send(owner, asset, (at(1), 90.0)))["breached"] == 1
    assert (await owner.request("DELETE", path, headers={"If-Match": '"2"'})).status_code == 204
    assert (await send(owner, asset, (at(2), 1.0), (at(3), 90.0)))["breached"] == 0


async def test_silence_opens_one_case_until_the_asset_speaks_again(
    owner: Client, worker: Worker, clock: FixedClock
) -> None:
    asset = await asset_of(owner)
    await rule_of(owner, name="Silent", kind="absent", threshold=None, clear_at=None, for_seconds=900)
    await send(owner, asset, ("2026-03-02T12:00:00Z", 20.0))
    clock.advance(seconds=899)
    await worker.run(watch_absence)
    await worker.relay()
    assert await listed(owner, "cases") == []
    clock.advance(seconds=1)
    await asyncio.gather(*(worker.run(watch_absence) for _ in range(8)))
    await worker.relay()
    (first,) = await listed(owner, "cases")
    assert (first["subject"], first["channel"]) == ("Silent: Pump 7", "device")
    assert first["description"].startswith("No reading of temperature since 2026-03-0")
    await stepped(owner, first, "resolve")
    clock.advance(hours=1)
    await worker.run(watch_absence)
    await worker.relay()
    assert len(await listed(owner, "cases")) == 1
    await send(owner, asset, (clock.now().isoformat(), 20.0))
    clock.advance(hours=1)
    await worker.run(watch_absence)
    await worker.relay()
    assert len(await listed(owner, "cases")) == 2


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"threshold": None, "clear_at": None}, "/threshold"),
        ({"clear_at": "81"}, "/clear_at"),
        ({"kind": "below", "clear_at": "79"}, "/clear_at"),
        ({"kind": "absent", "clear_at": None}, "/threshold"),
        ({"kind": "absent", "clear_at": None, "threshold": None, "for_seconds": 59}, "/for_seconds"),
        ({"asset_id": str(UUID(int=1))}, "/asset_id"),
        ({"product_id": str(UUID(int=1))}, "/product_id"),
    ],
)
async def test_a_rule_must_make_sense(company: Company, owner: Client, fields: Json, pointer: str) -> None:
    body = {"name": "x", "kind": "above", "metric": "temperature", "threshold": "80", "clear_at": "70"}
    answer = await owner.post("/v1/telemetry-rules", json=body | fields)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
    assert await count(company, "after_sales.telemetry_rules") == 0


async def test_old_readings_are_forgotten_and_the_meter_still_shows_the_last(
    company: Company, owner: Client, worker: Worker, clock: FixedClock
) -> None:
    asset = await asset_of(owner)
    day = clock.now() - timedelta(days=400)
    await send(owner, asset, ((day - timedelta(seconds=1)).isoformat(), 1.0), (day.isoformat(), 2.0))
    await forget_readings(ScheduledRun(worker.kernel))
    assert await readings(company) == 1
    clock.advance(days=1)
    await forget_readings(ScheduledRun(worker.kernel))
    assert await readings(company) == 0
    assert [one["value"] for one in await listed(owner, f"assets/{asset['id']}/meters")] == [2.0]
    assert (await now(owner, "assets", asset)) == asset


async def test_a_batch_takes_the_same_number_of_statements_whatever_its_size(
    company: Company, owner: Client
) -> None:
    asset = await asset_of(owner)
    for n in range(20):
        await rule_of(owner, threshold=str(80 + n), clear_at=None)
    await send(owner, asset, (at(0), 1.0))
    taken = []
    for first, size in ((1, 1), (10, 900)):
        batch = TelemetryBatch.model_validate(
            {"readings": [{"metric": "temperature", "at": at(first + n), "value": 50.0} for n in range(size)]}
        )
        async with acting(company) as uow:
            await TelemetryService(uow).take(UUID(asset["id"]), batch)
            taken.append(uow.statements)
    assert taken[0] == taken[1] <= 6


# -- the arithmetic ------------------------------------------------------------------------------------------------


def called_at(limits: Limits, values: list[tuple[int, float]]) -> list[int]:
    watch, found = CALM, []
    for second, value in values:
        watch, calls = step(limits, watch, START + timedelta(seconds=second), value)
        if calls:
            found.append(second)
    return found


def reference(limits: Limits, values: list[tuple[int, float]]) -> list[int]:
    """By looking back over all readings from each one."""
    found: list[int] = []
    armed_from: int | None = 0
    for place, (second, value) in enumerate(values):
        if found and armed_from is None and limits.clear(value):
            armed_from = place + 1
        if armed_from is None or place < armed_from:
            continue
        run = place
        while run >= armed_from and limits.beyond(values[run][1]):
            run -= 1
        run += 1
        enough = run <= place and place - run + 1 >= limits.for_readings
        if enough and second - values[run][0] >= limits.for_seconds:
            found.append(second)
            armed_from = None
    return found


@given(
    st.booleans(),
    st.integers(0, 4),
    st.integers(0, 6),
    st.integers(1, 4),
    st.lists(st.tuples(st.integers(1, 4), st.integers(-9, 9)), max_size=60),
)
def test_a_rule_calls_where_looking_back_over_all_readings_would(
    above: bool, gap: int, seconds: int, count: int, steps: list[tuple[int, int]]
) -> None:
    limits = Limits(above, 3.0, 3.0 - gap if above else 3.0 + gap, seconds, count)
    values, second = [], 0
    for pause, value in steps:
        second += pause
        values.append((second, float(value)))
    assert called_at(limits, values) == reference(limits, values)


def test_once_it_has_called_a_rule_keeps_still_between_its_thresholds() -> None:
    limits = Limits(True, 80, 70, 0, 1)
    assert called_at(limits, [(n, value) for n, value in enumerate([81, 79, 81, 71, 90, 70, 81])]) == [0, 6]
    assert step(limits, Watch(raised=True), START, 70.5) == (Watch(raised=True), False)
