"""Visits: checking in and out, each once, and how far from the plan."""

import asyncio
import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.modules.activities.services.visits import EARTH_RADIUS_METRES, distance_metres
from tests.modules.activities.planned import START
from tests.modules.support import make

LATITUDES, LONGITUDES = st.floats(-90, 90), st.floats(-180, 180)


async def visit(client, **fields):
    return await make(
        client, "activities", **{"kind": "visit", "subject": "Plant", "starts_at": START} | fields
    )


@pytest.mark.parametrize(
    ("places", "metres"),
    [
        ((31.2304, 121.4737, 31.2304, 121.4737), 0),
        ((0, 0, 0, 1), 111_195),
        ((0, 0, 90, 0), 10_007_557),
        ((0, 0, 0, 180), 20_015_115),
        ((0, 179.5, 0, -179.5), 111_195),
    ],
)
def test_distances_are_great_circles(places, metres):
    assert abs(distance_metres(*places) - metres) <= max(1, metres // 1000)


@given(LATITUDES, LONGITUDES, LATITUDES, LONGITUDES)
def test_a_distance_is_the_same_both_ways_and_never_more_than_half_around(a, b, c, d):
    there = distance_metres(a, b, c, d)
    assert there == distance_metres(c, d, a, b)
    assert 0 <= there <= math.ceil(math.pi * EARTH_RADIUS_METRES)


async def test_a_visit_is_checked_in_with_its_distance_and_out_with_its_duration(owner, company, look):
    made = await visit(owner, place="Gate 4", latitude=31.2304, longitude=121.4737)
    path = f"/v1/activities/{made['id']}"
    body = {"latitude": 31.2394, "longitude": 121.4737}
    assert (await owner.post(f"{path}/check-in", body)).status_code == 428
    there = await owner.ok("POST", f"{path}/check-in", json=body, if_match=1)
    assert (there["distance_metres"], there["status"], there["version"]) == (1001, "open", 2)
    assert (there["checked_in_latitude"], there["checked_in_longitude"]) == (31.2394, 121.4737)
    again = await owner.post(f"{path}/check-in", body, if_match=2)
    assert (again.status_code, again.json()["code"]) == (409, "already_checked_in")
    await look.run(
        "UPDATE activities.activities SET checked_in_at = checked_in_at - interval '47 minutes' WHERE id = $1::text::uuid",
        made["id"],
    )
    gone = await owner.ok(
        "POST", f"{path}/check-out", json={"outcome": "Interested", "note": "Wants samples."}, if_match=2
    )
    assert (gone["status"], gone["outcome"], gone["completion_note"]) == (
        "done",
        "Interested",
        "Wants samples.",
    )
    assert timedelta(minutes=47).seconds <= gone["duration_seconds"] < timedelta(minutes=48).seconds
    late = await owner.post(f"{path}/check-out", if_match=3)
    assert (late.status_code, late.json()["code"]) == (409, "not_checked_in")
    history = await owner.ok("GET", f"{path}/history")
    assert [entry["action"] for entry in history["data"]] == ["checked_out", "checked_in", "created"]


async def test_without_a_planned_place_there_is_no_distance(owner):
    made = await visit(owner)
    body = {"latitude": 0, "longitude": 0}
    there = await owner.ok("POST", f"/v1/activities/{made['id']}/check-in", json=body, if_match=1)
    assert there["distance_metres"] is None


async def test_of_many_check_ins_at_once_just_one_counts(owner, company, look):
    made = await visit(owner)
    answers = await asyncio.gather(
        *(
            owner.post(
                f"/v1/activities/{made['id']}/check-in",
                {"latitude": 0, "longitude": number / 100},
                if_match=1,
            )
            for number in range(100)
        )
    )
    codes = [answer.status_code for answer in answers]
    assert (codes.count(200), codes.count(412)) == (1, 99)
    assert len(await look.audit(company.tenant_id, "checked_in")) == 1


@pytest.mark.parametrize("action", ["check-in", "check-out"])
async def test_nobody_checks_in_on_a_task_or_a_visit_that_is_over(owner, unchanged, action):
    task = await make(owner, "activities", kind="task", subject="x")
    done = await visit(owner, status="done")
    body = {"latitude": 0, "longitude": 0} if action == "check-in" else {}
    async with unchanged():
        wrong = await owner.post(f"/v1/activities/{task['id']}/{action}", body, if_match=1)
        late = await owner.post(f"/v1/activities/{done['id']}/{action}", body, if_match=1)
    assert (wrong.status_code, wrong.json()["errors"][0]["code"]) == (422, "not_a_visit")
    assert late.status_code == 409


async def test_a_visit_of_somebody_else_is_not_checked_in(owner, hire, unchanged):
    mate = await hire("salesperson", team_ids=[])
    made = await visit(owner)
    async with unchanged():
        answer = await mate.post(
            f"/v1/activities/{made['id']}/check-in", {"latitude": 0, "longitude": 0}, if_match=1
        )
    assert answer.status_code == 404
