"""Rotting: what nobody touches as long as its stage allows, told once per visit; and corrections of the history."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest

from app.kernel.access import TenantProfile
from app.kernel.clock import FixedClock
from app.kernel.outbox import Relay
from app.kernel.schedules import ScheduledRun
from app.main import Application
from app.modules.opportunities.services.rotting import mark_rotting
from tests.modules.opportunities.deals import again, deal_in, money, move, pipeline_of, pointers, stage
from tests.modules.support import actor_of, make
from tests.support.api import Client, Company
from tests.tenants.people import Look, code_of

ROTTING = "opportunities.opportunity.rotting.v1"


@pytest.fixture
async def tenant(company: Company) -> TenantProfile:
    return (await actor_of(company)).tenant


async def sweep(app: Application, tenant: TenantProfile) -> None:
    assert app.kernel is not None
    await mark_rotting(ScheduledRun(app.kernel, tenant))


async def told(look: Look, company: Company) -> int:
    return int(
        await look.value(
            "SELECT count(*) FROM kernel.outbox WHERE tenant_id = $1 AND type = $2",
            company.tenant_id,
            ROTTING,
        )
    )


async def relay(app: Application) -> None:
    assert app.kernel is not None
    while await Relay(app.kernel).run_once():
        pass


async def test_what_nobody_touches_rots_on_time_and_is_told_once_per_visit(
    app: Application, company: Company, owner: Client, tenant: TenantProfile, clock: FixedClock, look: Look
) -> None:
    pipeline = await pipeline_of(
        owner, stage("first", 10, rotting_days=7), stage("second", 50, rotting_days=3)
    )
    deal = await deal_in(owner, pipeline)
    began = clock.now()
    clock.advance(days=6, hours=23)
    await sweep(app, tenant)
    assert await again(owner, deal) == deal
    clock.advance(hours=1)
    await sweep(app, tenant)
    rotten = await again(owner, deal)
    since = (began + timedelta(days=7)).isoformat().replace("+00:00", "Z")
    assert (rotten["is_rotting"], rotten["rotting_since"], rotten["version"]) == (True, since, 2)
    listed = await owner.ok("GET", "/v1/opportunities?is_rotting=true")
    assert [one["id"] for one in listed["data"]] == [deal["id"]]
    await sweep(app, tenant)
    assert (await again(owner, deal), await told(look, company)) == (rotten, 1)
    fresh = await move(owner, deal, next_step="Call")
    assert (fresh["is_rotting"], fresh["rotting_since"]) == (False, None)
    clock.advance(days=7)
    await sweep(app, tenant)
    assert (await again(owner, deal))["is_rotting"] is True
    assert await told(look, company) == 1  # the same visit
    moved = await move(owner, deal, stage="second")
    assert moved["is_rotting"] is False
    clock.advance(days=3)
    await sweep(app, tenant)
    assert await told(look, company) == 2
    visits = await owner.ok("GET", f"/v1/opportunities/{deal['id']}/stage-history")
    assert [visit["rotted_at"] is not None for visit in visits] == [True, True]


async def test_what_is_closed_or_stands_in_a_patient_stage_does_not_rot(
    app: Application, company: Company, owner: Client, tenant: TenantProfile, clock: FixedClock, look: Look
) -> None:
    pipeline = await pipeline_of(owner, stage("first", 10, rotting_days=1), stage("second", 50))
    won, lost, patient, gone = [await deal_in(owner, pipeline, name=name) for name in "ABCD"]
    await owner.ok("POST", f"/v1/opportunities/{won['id']}/win", if_match=1)
    await owner.ok("POST", f"/v1/opportunities/{lost['id']}/lose", json={"loss_reason": "price"}, if_match=1)
    await move(owner, patient, stage="second")
    await owner.ok("DELETE", f"/v1/opportunities/{gone['id']}", if_match=1)
    clock.advance(days=30)
    await sweep(app, tenant)
    assert (await owner.ok("GET", "/v1/opportunities?is_rotting=true"))["data"] == []
    assert await told(look, company) == 0


async def test_an_activity_that_happened_keeps_it_fresh_and_a_planned_one_does_not(
    app: Application, company: Company, owner: Client, tenant: TenantProfile, clock: FixedClock
) -> None:
    pipeline = await pipeline_of(owner, stage("first", 10, rotting_days=7))
    deal = await deal_in(owner, pipeline)
    about = [{"object": "opportunity", "record_id": deal["id"]}]
    clock.advance(days=5)
    await make(owner, "activities", kind="note", body="They liked it", about=about)
    await relay(app)
    assert await again(owner, deal) == deal  # nobody's version is spoiled by a note
    clock.advance(days=6)
    await sweep(app, tenant)
    assert (await again(owner, deal))["is_rotting"] is False
    task = await make(owner, "activities", kind="task", subject="Call", about=about)
    await relay(app)
    clock.advance(days=1)
    await sweep(app, tenant)
    assert (await again(owner, deal))["is_rotting"] is True
    await owner.ok("POST", f"/v1/activities/{task['id']}/complete", json={}, if_match=1)
    await relay(app)
    fresh = await again(owner, deal)
    assert (fresh["is_rotting"], fresh["version"]) == (False, 3)


async def test_another_patience_counts_from_the_last_touch(
    app: Application, company: Company, owner: Client, tenant: TenantProfile, clock: FixedClock
) -> None:
    pipeline = await pipeline_of(owner, stage("first", 10))
    deal = await deal_in(owner, pipeline)
    clock.advance(days=4)
    stages = [
        {name: value for name, value in one.items() if name != "guidance"} for one in pipeline["stages"]
    ]
    stages[0]["rotting_days"] = 3
    path = f"/v1/pipelines/{pipeline['id']}"
    await owner.ok("PATCH", path, json={"stages": stages}, if_match=1)
    await sweep(app, tenant)
    assert (await again(owner, deal))["is_rotting"] is True
    stages[0]["rotting_days"] = 5
    await owner.ok("PATCH", path, json={"stages": stages}, if_match=2)
    assert (await again(owner, deal))["is_rotting"] is False
    clock.advance(days=1)
    await sweep(app, tenant)
    assert (await again(owner, deal))["is_rotting"] is True


async def test_many_deals_change_as_quickly_in_a_session_that_changed_one_before(
    owner: Client, look: Look
) -> None:
    deal = await deal_in(owner, await pipeline_of(owner, stage("first", 10, rotting_days=7)))
    await look.run(
        "INSERT INTO opportunities.opportunities SELECT (jsonb_populate_record(t, jsonb_build_object("
        "'id', gen_random_uuid()))).* FROM opportunities.opportunities t, generate_series(1, 8000) WHERE t.id = $1",
        deal["id"],
    )
    late = "UPDATE opportunities.opportunities SET rots_at = rots_at + interval '1 day' WHERE tenant_id ="
    tenant = await look.value("SELECT tenant_id FROM opportunities.opportunities WHERE id = $1", deal["id"])

    async def seconds() -> float:
        begun = time.perf_counter()
        await look.run(f"{late} $1", tenant)
        return time.perf_counter() - begun

    await look.run("DISCARD PLANS")
    await look.run(f"{late} $1 AND id = $2", tenant, deal["id"])
    as_planned_for_one = await seconds()
    await look.run("DISCARD PLANS")
    assert as_planned_for_one < 4 * await seconds()


# -- history -------------------------------------------------------------------------------------------------


async def history(owner: Client, deal: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = await owner.ok("GET", f"/v1/opportunities/{deal['id']}/stage-history")
    return found


async def test_moved_back_and_reopened_each_visit_keeps_its_own_time(
    owner: Client, clock: FixedClock
) -> None:
    pipeline = await pipeline_of(owner, stage("first", 10), stage("second", 50, forecast_category="commit"))
    deal = await deal_in(owner, pipeline, amount=money("5.00"), expected_close_on="2030-01-01")
    clock.advance(days=2)
    await move(owner, deal, stage="second", amount=money("8.00"))
    clock.advance(days=3)
    await move(owner, deal, stage="first", probability=33, expected_close_on="2030-02-01")
    clock.advance(days=1)
    lost = await owner.ok(
        "POST", f"/v1/opportunities/{deal['id']}/lose", json={"loss_reason": "price"}, if_match=3
    )
    clock.advance(hours=1)
    await owner.ok("POST", f"/v1/opportunities/{deal['id']}/reopen", if_match=lost["version"])
    day = 86_400
    visits = await history(owner, deal)
    assert [(v["from_stage"], v["to_stage"], v["status"]) for v in visits] == [
        (None, "first", "open"), ("first", "second", "open"), ("second", "first", "open"),
        ("first", "first", "lost"), ("first", "first", "open"),
    ]  # fmt: skip
    assert [v["left_at"] for v in visits[:-1]] == [v["entered_at"] for v in visits[1:]]
    assert [v["probability"] for v in visits] == [10, 50, 33, 0, 10]
    assert [v["amount"]["amount"] for v in visits] == ["5.00", "8.00", "8.00", "8.00", "8.00"]
    assert [v["expected_close_on"] for v in visits] == ["2030-01-01"] * 2 + ["2030-02-01"] * 3
    assert [v["forecast_category"] for v in visits] == [
        "pipeline",
        "commit",
        "pipeline",
        "closed",
        "pipeline",
    ]
    assert {v["pipeline_id"] for v in visits} == {pipeline["id"]}
    assert {v["changed_by"] for v in visits} == {deal["created_by"]}
    assert [v["duration_seconds"] for v in visits[:2]] == [2 * day, 3 * day]
    # It closed on a day, not at a moment: today's closing is now.
    assert (visits[2]["duration_seconds"], visits[4]["duration_seconds"]) == (day, None)


async def test_a_corrected_day_of_closing_corrects_the_last_visit(owner: Client, clock: FixedClock) -> None:
    deal = await make(owner, "opportunities", name="A", opened_on="2025-01-01")
    won = await owner.ok(
        "POST", f"/v1/opportunities/{deal['id']}/win", json={"closed_on": "2025-03-01"}, if_match=1
    )
    before = await history(owner, deal)
    assert (before[0]["left_at"], before[1]["entered_at"]) == ("2025-03-01T00:00:00Z",) * 2
    await owner.ok(
        "PATCH", f"/v1/opportunities/{deal['id']}", json={"closed_on": "2025-02-01"}, if_match=won["version"]
    )
    after = await history(owner, deal)
    assert (after[0]["left_at"], after[1]["entered_at"]) == ("2025-02-01T00:00:00Z",) * 2
    assert (after[0]["duration_seconds"], after[1]["duration_seconds"]) == (31 * 86_400, None)


async def test_a_visit_is_corrected_between_its_neighbours_only(owner: Client, clock: FixedClock) -> None:
    pipeline = await pipeline_of(owner, stage("first", 10), stage("second", 50))
    deal = await deal_in(owner, pipeline)
    began = clock.now()
    clock.advance(days=4)
    await move(owner, deal, stage="second")
    first, second = await history(owner, deal)
    path = f"/v1/opportunities/{deal['id']}/stage-history"

    def at(days: int) -> dict[str, str]:
        return {"entered_at": (began + timedelta(days=days)).isoformat()}

    for place, days, code in (
        (second, -1, "before_the_last"),
        (second, 5, "after_leaving"),
        (first, 5, "after_leaving"),
    ):
        refused = await owner.patch(f"{path}/{place['id']}", at(days), if_match=2)
        assert pointers(refused) == [("/entered_at", code)]
    assert code_of(await owner.patch(f"{path}/{second['id']}", at(3), if_match=1)) == (412, "stale_version")
    assert code_of(await owner.patch(f"{path}/{pipeline['id']}", at(3), if_match=2)) == (404, "not_found")
    assert await history(owner, deal) == [first, second]
    corrected = await owner.ok("PATCH", f"{path}/{second['id']}", json=at(1), if_match=2)
    visits = await history(owner, deal)
    assert visits[1] == corrected
    assert visits[0]["left_at"] == visits[1]["entered_at"]
    assert (visits[0]["duration_seconds"], visits[1]["duration_seconds"]) == (86_400, None)
    audit = await owner.ok("GET", f"/v1/opportunities/{deal['id']}/history")
    assert audit["data"][0]["action"] == "stage_history_corrected"
