"""Promises over HTTP: which hold, how their clocks run, stop and fail, and what happens then."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from app.kernel.clock import FixedClock
from tests.modules.after_sales.cases.cases import again, case_of, step, stepped
from tests.modules.after_sales.sla.sla import (
    MONDAY_NINE,
    calendar_of,
    clock_of,
    close,
    policy_of,
    sweep,
    told,
    work_off,
    z,
)
from tests.support.api import Client, Company
from tests.tenants.people import Look

Json = dict[str, Any]


@pytest.fixture
async def office(company: Company, clock: FixedClock) -> Json:
    """The company works from nine to five; it is Monday, nine o'clock."""
    clock.set(MONDAY_NINE)
    return await calendar_of(company.owner, is_default=True)


async def say(owner: Client, case: Json, body: str, **more: Any) -> Json:
    said: Json = await owner.ok("POST", f"/v1/cases/{case['id']}/comments", json={"body": body} | more)
    return said


async def test_the_earliest_deadline_shows_and_the_list_goes_by_it(company: Company, office: Json) -> None:
    owner = company.owner
    await policy_of(owner, first_response_minutes=120, resolution_minutes=600)
    case = await case_of(owner)
    assert (case["due_at"], case["due_target"]) == (z("01T11:00"), "first_response")
    assert clock_of(case, "resolution")["due_at"] == z("02T11:00")
    assert [clock["state"] for clock in case["clocks"]] == ["running", "running"]
    await say(owner, case, "Please send a photo", public=True)
    case = await again(owner, case)
    assert (case["due_at"], case["due_target"], case["status"]) == (z("02T11:00"), "resolution", "open")
    assert clock_of(case, "first_response")["state"] == "met"
    urgent = await case_of(owner, subject="Fire")
    listed = await owner.ok("GET", f"/v1/cases?sort=due_at&due_at[lt]={z('02T00:00')}")
    assert [one["id"] for one in listed["data"]] == [urgent["id"]]


async def test_of_each_target_the_first_policy_that_holds_counts(company: Company, office: Json) -> None:
    owner = company.owner
    india = await calendar_of(owner, name="Pune", time_zone="Asia/Kolkata")
    urgent = {"or": [{"and": [{"field": "priority", "op": "eq", "value": "urgent"}]}]}
    await policy_of(owner, name="Everybody", position=2, first_response_minutes=240, resolution_minutes=960)
    await policy_of(
        owner,
        name="Urgent",
        position=1,
        conditions=urgent,
        first_response_minutes=60,
        calendar_id=india["id"],
    )
    usual, fast = await case_of(owner), await case_of(owner, priority="urgent")
    assert clock_of(usual, "first_response")["due_at"] == z("01T13:00")
    assert clock_of(fast, "first_response")["due_at"] == z("01T10:00")
    assert clock_of(fast, "resolution")["due_at"] == z("02T17:00")
    raised = await owner.ok(
        "PATCH", f"/v1/cases/{usual['id']}", json={"priority": "urgent"}, if_match=usual["version"]
    )
    assert (raised["due_at"], raised["due_target"]) == (z("01T10:00"), "first_response")


async def test_waiting_for_the_customer_holds_the_clock_and_clears_the_deadline(
    company: Company, office: Json, clock: FixedClock
) -> None:
    owner = company.owner
    await policy_of(owner, resolution_minutes=480)
    case = await case_of(owner)
    clock.advance(hours=2)
    held = await stepped(owner, case, "wait-for-customer")
    assert (held["due_at"], held["due_target"], held["clocks"][0]["state"]) == (None, None, "paused")
    clock.advance(hours=27, seconds=7)  # until Tuesday, 14:00:07: 11 working hours and 7 seconds
    resumed = await stepped(owner, case, "start")
    assert resumed["due_at"] == "2027-03-03T12:00:07Z"
    assert resumed["customer_status"] == "in_progress"


async def test_each_word_of_the_customer_asks_again(
    company: Company, office: Json, clock: FixedClock
) -> None:
    owner = company.owner
    await policy_of(owner, first_response_minutes=60, next_response_minutes=30)
    case = await case_of(owner)
    await say(owner, case, "And it smells", author="customer")
    assert [one["target"] for one in (await again(owner, case))["clocks"]] == ["first_response"]
    await say(owner, case, "Look at this", public=False)
    assert clock_of(await again(owner, case), "first_response")["state"] == "running"
    await say(owner, case, "We are on it", public=True)
    answered = await again(owner, case)
    assert (answered["first_response_at"], answered["due_at"]) == (z("01T09:00"), None)
    clock.advance(hours=1)
    await say(owner, case, "When?", author="customer")
    clock.advance(minutes=10)
    await say(owner, case, "Well?", author="customer")
    assert (await again(owner, case))["due_at"] == z("01T10:30")
    await stepped(owner, case, "wait-for-customer")
    clock.advance(minutes=5)
    await say(owner, case, "Here is the photo", author="customer")
    back = await again(owner, case)
    assert (back["status"], back["due_at"]) == ("open", z("01T10:35"))
    await say(owner, case, "Tomorrow", public=True)
    await say(owner, case, "Thanks", author="customer")
    assert (await again(owner, case))["due_at"] == z("01T10:45")
    assert len((await again(owner, case))["clocks"]) == 3
    public = await owner.ok("GET", f"/v1/cases/{case['id']}/comments?public=true&limit=2")
    assert ([one["body"] for one in public["data"]], public["has_more"]) == (
        ["And it smells", "We are on it"],
        True,
    )
    rest = await owner.ok(
        "GET", f"/v1/cases/{case['id']}/comments?public=true&cursor={public['next_cursor']}"
    )
    assert [one["body"] for one in rest["data"]] == [
        "When?",
        "Well?",
        "Here is the photo",
        "Tomorrow",
        "Thanks",
    ]


async def test_warnings_and_breaches_are_told_once_and_failing_is_for_good(
    company: Company, office: Json, clock: FixedClock, look: Look
) -> None:
    owner = company.owner
    await policy_of(owner, resolution_minutes=100)
    case = await case_of(owner)
    clock.advance(minutes=79, seconds=59)
    await sweep(company)
    assert await told(look, company, "sla_warned") == 0
    clock.advance(seconds=1)
    await asyncio.gather(*[sweep(company) for _ in range(20)])
    assert (await told(look, company, "sla_warned"), await told(look, company, "sla_breached")) == (1, 0)
    clock.advance(minutes=20)
    await sweep(company)
    assert (await again(owner, case))["sla_failed"] is False  # at the deadline it is in time
    clock.advance(seconds=1)
    await asyncio.gather(*[sweep(company) for _ in range(20)])
    failed = await again(owner, case)
    assert (failed["sla_failed"], failed["due_at"]) == (True, z("01T10:40"))
    assert clock_of(failed, "resolution")["breached_at"] == z("01T10:40")
    assert (await told(look, company, "sla_warned"), await told(look, company, "sla_breached")) == (1, 1)
    await stepped(owner, case, "resolve")
    await stepped(owner, case, "reopen")
    clock.advance(days=3)
    await sweep(company)
    still = await again(owner, case)
    assert (still["clocks"][0]["state"], still["sla_failed"]) == ("failed", True)
    assert await told(look, company, "sla_breached") == 1
    kinds = Counter(one["kind"] for one in (await owner.ok("GET", "/v1/notifications"))["data"])
    assert kinds == {"case.sla_warned": 1, "case.sla_breached": 1}


async def test_a_step_after_the_deadline_finds_it_missed(
    company: Company, office: Json, clock: FixedClock, look: Look
) -> None:
    owner = company.owner
    await policy_of(owner, resolution_minutes=60)
    case = await case_of(owner)
    clock.advance(hours=1, seconds=1)
    solved = await stepped(owner, case, "resolve")
    assert (solved["sla_failed"], solved["due_at"]) == (True, None)
    assert clock_of(solved, "resolution")["state"] == "failed"
    await sweep(company)
    assert await told(look, company, "sla_breached") == 1


async def test_opening_again_goes_on_where_it_stopped(
    company: Company, office: Json, clock: FixedClock
) -> None:
    owner = company.owner
    await policy_of(owner, resolution_minutes=120, next_response_minutes=45)
    case = await case_of(owner)
    clock.advance(minutes=90)
    await stepped(owner, case, "resolve")
    clock.advance(minutes=60)
    await say(owner, case, "It leaks again", author="customer")
    opened = await again(owner, case)
    assert (opened["status"], opened["reopened_count"]) == ("open", 1)
    assert clock_of(opened, "resolution")["due_at"] == z("01T12:00")
    assert (opened["due_at"], opened["due_target"]) == (z("01T12:00"), "resolution")
    assert clock_of(opened, "next_response")["due_at"] == z("01T12:15")


async def test_the_chain_tells_and_reassigns_one_level_at_a_time(
    company: Company, office: Json, clock: FixedClock, look: Look, hire: Any
) -> None:
    owner = company.owner
    helper = await hire("salesperson")
    helper_id = (await helper.ok("GET", "/v1/me"))["member_id"]
    me = (await owner.ok("GET", "/v1/me"))["member_id"]
    chain = [
        {"after_minutes": 0, "to": "owner"},
        {"after_minutes": 30, "to": "member", "member_id": helper_id, "action": "reassign"},
        {"after_minutes": 60, "to": "manager", "target": "first_response"},
    ]
    await policy_of(owner, resolution_minutes=60, escalations=chain)
    case = await case_of(owner)
    clock.advance(hours=1, seconds=1)
    await asyncio.gather(*[sweep(company) for _ in range(10)])
    first = await again(owner, case)
    assert (first["escalation_level"], first["owner_id"]) == (1, me)
    clock.advance(minutes=29, seconds=58)
    await sweep(company)
    assert (await again(owner, case))["escalation_level"] == 1
    clock.advance(seconds=1)
    await asyncio.gather(*[sweep(company) for _ in range(10)])
    second = await again(owner, case)
    assert (second["escalation_level"], second["owner_id"]) == (2, helper_id)
    clock.advance(days=10)
    await sweep(company)
    assert (await again(owner, case))["escalation_level"] == 2
    assert (await told(look, company, "escalated"), await told(look, company, "assigned")) == (2, 1)
    kinds = [one["kind"] for one in (await helper.ok("GET", "/v1/notifications"))["data"]]
    assert kinds == ["case.escalated"]


async def test_a_chain_that_is_set_later_has_all_that_it_does_not_say(company: Company) -> None:
    policy = await policy_of(company.owner, resolution_minutes=60)
    changes = {"escalations": [{"after_minutes": 5}]}
    path = f"/v1/sla-policies/{policy['id']}"
    changed = await company.owner.ok("PATCH", path, json=changes, if_match=policy["version"])
    created = await policy_of(company.owner, name="Same", resolution_minutes=60, **changes)
    assert changed["escalations"] == created["escalations"]
    assert (changed["escalations"][0]["to"], changed["resolution_minutes"]) == ("manager", 60)


async def test_another_promise_measures_running_clocks_anew(
    company: Company, office: Json, clock: FixedClock
) -> None:
    owner = company.owner
    policy = await policy_of(owner, first_response_minutes=60, resolution_minutes=480)
    failed = await case_of(owner, subject="Late")
    clock.advance(hours=1, seconds=1)
    await sweep(company)
    case, held, solved = [await case_of(owner, subject=name) for name in ("Runs", "Held", "Solved")]
    await stepped(owner, held, "wait-for-customer")
    solved = await stepped(owner, solved, "resolve")
    await owner.ok(
        "PATCH",
        f"/v1/sla-policies/{policy['id']}",
        json={"resolution_minutes": 240, "first_response_minutes": 120},
        if_match=policy["version"],
    )
    await work_off(company)
    assert (await again(owner, case))["due_at"] == "2027-03-01T12:00:01Z"
    assert clock_of(await again(owner, case), "resolution")["due_at"] == "2027-03-01T14:00:01Z"
    assert clock_of(await again(owner, failed), "first_response")["breached_at"] == z("01T10:00")
    assert await again(owner, solved) == solved
    assert (await again(owner, held))["due_at"] is None
    clock.advance(hours=1)
    assert (await stepped(owner, held, "start"))["due_at"] == "2027-03-01T13:00:01Z"
    hours = {"tue": [["10:00", "20:00"]]}
    await owner.ok("PATCH", f"/v1/calendars/{office['id']}", json={"days": hours}, if_match=office["version"])
    await work_off(company)
    assert (await again(owner, case))["due_at"] == z("02T12:00")
    refused = await owner.delete(f"/v1/calendars/{office['id']}", if_match=office["version"] + 1)
    assert (refused.status_code, refused.json()["code"]) == (409, "calendar_in_use")
    version = (await owner.ok("GET", f"/v1/sla-policies/{policy['id']}"))["version"]
    await owner.ok("DELETE", f"/v1/sla-policies/{policy['id']}", if_match=version)
    await work_off(company)
    gone = await again(owner, case)
    assert (gone["due_at"], gone["clocks"]) == (None, [])
    assert [c["state"] for c in (await again(owner, failed))["clocks"]] == ["failed"]


async def test_a_policy_promises_something_and_names_what_is_there(company: Company) -> None:
    owner = company.owner
    bad: list[Json] = [
        {"resolution_minutes": None},
        {"conditions": {"or": [{"and": [{"field": "moon", "op": "eq", "value": 1}]}]}},
        {"calendar_id": "00000000-0000-4000-8000-000000000000"},
        {"escalations": [{"to": "member"}]},
        {"escalations": [{"to": "member", "member_id": "00000000-0000-4000-8000-000000000000"}]},
        {"escalations": [{"to": "owner", "action": "reassign"}]},
    ]
    for fields in bad:
        answer = await owner.post("/v1/sla-policies", json={"name": "Bad"} | fields)
        assert answer.status_code in (400, 422), answer.text
    assert (await owner.ok("GET", "/v1/sla-policies"))["data"] == []


async def test_only_who_configures_may_promise(company: Company, hire: Any) -> None:
    policy = await policy_of(company.owner, resolution_minutes=60)
    seller = await hire("salesperson")
    for answer in (
        await seller.post("/v1/sla-policies", json={"name": "Mine", "resolution_minutes": 1}),
        await seller.patch(f"/v1/sla-policies/{policy['id']}", json={"position": 1}, if_match=1),
        await seller.delete(f"/v1/sla-policies/{policy['id']}", if_match=1),
        await seller.put("/v1/case-settings", json={"reopen_days": 1, "close_after_days": None}, if_match=0),
    ):
        assert (answer.status_code, answer.json()["permission"]) == (403, "case:configure")
    assert (await seller.ok("GET", "/v1/sla-policies"))["data"] == [policy]
    assert (await seller.ok("GET", "/v1/case-settings"))["version"] == 0


async def test_the_window_for_opening_again_and_closing_by_itself(
    company: Company, clock: FixedClock, look: Look
) -> None:
    owner = company.owner
    clock.set(MONDAY_NINE)
    set_to = {"reopen_days": 7, "close_after_days": 3}
    assert (await owner.ok("PUT", "/v1/case-settings", json=set_to, if_match=0))["version"] == 1
    case = await stepped(owner, await case_of(owner), "resolve")
    assert case["reopenable_until"] == z("08T09:00")
    clock.advance(days=2, hours=23)
    await close(company)
    assert (await again(owner, case))["status"] == "resolved"
    clock.advance(hours=1)
    await asyncio.gather(*[close(company) for _ in range(5)])
    closed = await again(owner, case)
    assert (closed["status"], closed["closed_at"]) == ("closed", z("04T09:00"))
    assert await told(look, company, "closed") == 1
    clock.advance(days=4)
    assert (await stepped(owner, case, "reopen"))["status"] == "open"
    await stepped(owner, case, "resolve")
    clock.advance(days=7, seconds=1)
    for answer in (
        await step(owner, case, "reopen"),
        await owner.post(f"/v1/cases/{case['id']}/comments", json={"body": "Hm", "author": "customer"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "reopen_window_over")
    assert (await again(owner, case))["status"] == "resolved"
    assert (await owner.ok("GET", f"/v1/cases/{case['id']}/comments"))["data"] == []


async def test_cases_of_the_past_are_measured_as_if_they_had_been_here(
    company: Company, office: Json, look: Look
) -> None:
    owner = company.owner
    await policy_of(owner, first_response_minutes=60, resolution_minutes=480)
    past = {"external_id": "Z-1", "opened_at": "2027-02-01T09:00:00Z", "resolution": "New seal"}
    times = {"first_response_at": "2027-02-01T10:00:00Z", "resolved_at": "2027-02-02T09:00:01Z"}
    case = await case_of(owner, **past, **times, closed_at="2027-02-09T09:00:00Z")
    assert (case["status"], case["resolution"], case["due_at"], case["sla_failed"]) == (
        "closed",
        "New seal",
        None,
        True,
    )
    assert [(one["target"], one["state"], one["due_at"]) for one in case["clocks"]] == [
        ("first_response", "met", "2027-02-01T10:00:00Z"),
        ("resolution", "failed", "2027-02-01T17:00:00Z"),
    ]
    await sweep(company)
    assert await told(look, company, "opened") == await told(look, company, "sla_breached") == 0
    again_sent = {"items": [{"record": {"subject": case["subject"]} | past | times}]}
    results = (await owner.ok("POST", "/v1/cases/batch/upsert", json=again_sent))["results"]
    assert [one["id"] for one in results] == [case["id"]]
    for wrong, where in (
        ({"resolved_at": "2027-01-31T00:00:00Z"}, "/resolved_at"),
        ({"closed_at": "2027-02-02T00:00:00Z"}, "/closed_at"),
        ({"first_response_at": "2999-01-01T00:00:00Z"}, "/first_response_at"),
    ):
        answer = await owner.post("/v1/cases", json={"subject": "X", "opened_at": past["opened_at"]} | wrong)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, where)
