"""What recurs: series, their single occurrences, and tasks that come again."""

import asyncio

import pytest

from tests.modules.activities.planned import START, event_of, ics_of, meeting, meeting_mails
from tests.modules.support import make
from tests.tenants.people import unique_email

WINDOW = "from=2031-03-01T00:00:00Z&to=2031-05-01T00:00:00Z"


async def weekly(client, **fields):
    return await meeting(
        client, **{"recurrence": "FREQ=WEEKLY;COUNT=6", "time_zone": "Europe/Berlin", "starts_at": "2031-03-03T08:00:00Z", "ends_at": "2031-03-03T09:00:00Z"} | fields
    )  # fmt: skip


async def starts(client, series):
    found = await client.ok("GET", f"/v1/activities/{series['id']}/occurrences?{WINDOW}")
    return [one["starts_at"][5:16] for one in found["data"] if one["status"] != "cancelled"]


async def act(client, series, verb, occurrence, *, version, scope="this", **changes):
    body = {"occurrence_at": occurrence, "scope": scope} | ({"changes": changes} if verb == "change" else {})
    return await client.post(f"/v1/activities/{series['id']}/occurrences/{verb}", body, if_match=version)


async def test_a_meeting_stays_at_nine_across_the_change_of_clocks(owner):
    made = await weekly(owner)
    assert (made["recurrence"], made["time_zone"]) == ("FREQ=WEEKLY;COUNT=6", "Europe/Berlin")
    assert made["recurs_until"] == "2031-04-07T08:00:00Z"
    assert await starts(owner, made) == [
        "03-03T08:00", "03-10T08:00", "03-17T08:00", "03-24T08:00", "03-31T07:00", "04-07T07:00",
    ]  # fmt: skip


async def test_the_zone_of_a_series_is_its_makers(owner):
    body = {"time_zone": "Asia/Tokyo"}
    assert (await owner.patch("/v1/me/calendar-settings", body, if_match=3)).status_code == 412
    settings = await owner.ok("PATCH", "/v1/me/calendar-settings", json=body, if_match=0)
    assert settings == {"version": 1, "time_zone": "Asia/Tokyo", "own_time_zone": "Asia/Tokyo"}
    made = await meeting(owner, recurrence="FREQ=DAILY;COUNT=2")
    assert made["time_zone"] == "Asia/Tokyo"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"kind": "meeting", "subject": "x", "starts_at": START, "recurrence": "FREQ=HOURLY"}, "invalid_recurrence"),
        ({"kind": "meeting", "subject": "x", "starts_at": START, "recurrence": "FREQ=WEEKLY;BYDAY=TU"}, "start_off_rule"),
        ({"kind": "meeting", "subject": "x", "starts_at": START, "recurrence": "FREQ=DAILY;UNTIL=20300101"}, "until_before_start"),
        ({"kind": "task", "subject": "x", "recurrence": "FREQ=DAILY"}, "no_start"),
        ({"kind": "note", "body": "x", "due_at": START, "recurrence": "FREQ=DAILY"}, "note_is_done"),
    ],
)  # fmt: skip
async def test_a_rule_that_does_not_work_is_refused(owner, unchanged, fields, code):
    async with unchanged():
        answer = await owner.post("/v1/activities", fields)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["code"] in (code, "no_start")


async def test_one_occurrence_is_moved_and_another_cancelled(owner):
    made = await weekly(owner)
    moved = await act(
        owner, made, "change", "2031-03-10T08:00:00Z", version=1, starts_at="2031-03-11T12:00:00Z"
    )
    one = moved.json()
    assert (moved.status_code, one["series_id"], one["occurrence_at"]) == (
        200,
        made["id"],
        "2031-03-10T08:00:00Z",
    )
    assert (one["ends_at"], one["recurrence"]) == ("2031-03-11T13:00:00Z", None)
    again = await act(owner, made, "change", "2031-03-10T08:00:00Z", version=2, subject="Elsewhere")
    assert (again.json()["id"], again.json()["subject"]) == (one["id"], "Elsewhere")
    gone = await act(owner, made, "cancel", "2031-03-17T08:00:00Z", version=2)
    assert gone.json()["excluded"] == ["2031-03-10T08:00:00Z", "2031-03-17T08:00:00Z"]
    assert await starts(owner, made) == [
        "03-03T08:00",
        "03-11T12:00",
        "03-24T08:00",
        "03-31T07:00",
        "04-07T07:00",
    ]
    for at, status in (("2031-03-17T08:00:00Z", 404), ("2031-03-18T08:00:00Z", 404)):
        assert (await act(owner, made, "cancel", at, version=3)).status_code == status
    assert (await act(owner, made, "cancel", "2031-03-24T08:00:00Z", version=1)).status_code == 412


async def test_this_and_those_that_follow_become_a_series_of_their_own(owner):
    made = await weekly(owner)
    await act(owner, made, "change", "2031-03-31T07:00:00Z", version=1, subject="Kept")
    split = await act(
        owner, made, "change", "2031-03-24T08:00:00Z", version=2, scope="this_and_following", subject="New"
    )
    rest = split.json()
    assert (split.status_code, rest["subject"], rest["recurrence"]) == (200, "New", "FREQ=WEEKLY;COUNT=3")
    assert await starts(owner, made) == ["03-03T08:00", "03-10T08:00", "03-17T08:00"]
    assert await starts(owner, rest) == ["03-24T08:00", "03-31T07:00", "04-07T07:00"]
    old = await owner.ok("GET", f"/v1/activities/{made['id']}")
    assert (old["recurrence"], old["recurs_until"]) == (
        "FREQ=WEEKLY;UNTIL=20310324T075959Z",
        "2031-03-17T09:00:00Z",
    )
    changed = await owner.ok("GET", f"/v1/activities?series_id={rest['id']}")
    assert [(one["subject"], one["occurrence_at"]) for one in changed["data"]] == [
        ("Kept", "2031-03-31T07:00:00Z")
    ]


async def test_all_move_by_the_wall_clock(owner):
    made = await weekly(owner)
    await act(owner, made, "cancel", "2031-03-10T08:00:00Z", version=1)
    moved = await act(
        owner,
        made,
        "change",
        "2031-03-31T07:00:00Z",
        version=2,
        scope="all",
        starts_at="2031-03-31T08:00:00Z",
    )
    assert (moved.status_code, moved.json()["starts_at"]) == (200, "2031-03-03T09:00:00Z")
    assert (await starts(owner, made))[:2] == [
        "03-03T09:00",
        "03-10T09:00",
    ]  # afresh, so the cancelled one is back
    assert (await starts(owner, made))[-1] == "04-07T08:00"


@pytest.mark.parametrize(("scope", "left"), [("this_and_following", 2), ("all", 0)])
async def test_the_rest_or_all_of_a_series_is_cancelled(owner, scope, left):
    made = await weekly(owner)
    answer = await act(owner, made, "cancel", "2031-03-17T08:00:00Z", version=1, scope=scope)
    assert answer.status_code == 200
    assert len(await starts(owner, made)) == left


async def test_attendees_hear_of_a_single_occurrence(owner, look):
    zoe = unique_email("zoe")
    made = await weekly(owner, attendees=[{"email": zoe}])
    (first,) = await meeting_mails(look, zoe)
    event = event_of(ics_of(first))
    assert event["rrule"].to_ical() == b"FREQ=WEEKLY;COUNT=6"
    assert str(event["dtstart"].params["tzid"]) == "Europe/Berlin"
    assert len(ics_of(first).walk("VTIMEZONE")) == 1
    await act(owner, made, "change", "2031-03-10T08:00:00Z", version=1, starts_at="2031-03-11T12:00:00Z")
    moved = event_of(ics_of((await meeting_mails(look, zoe))[-1]))
    assert moved["uid"] == event["uid"]
    assert moved["recurrence-id"].dt.isoformat() == "2031-03-10T09:00:00+01:00"
    await act(owner, made, "cancel", "2031-03-17T08:00:00Z", version=2)
    mail = (await meeting_mails(look, zoe))[-1]
    assert (ics_of(mail)["method"], mail["subject"]) == ("CANCEL", "Cancelled: Demo")
    assert event_of(ics_of(mail))["recurrence-id"].dt.isoformat() == "2031-03-17T09:00:00+01:00"


async def test_what_does_not_recur_has_no_occurrences(owner, unchanged):
    made = await meeting(owner)
    async with unchanged():
        listed = await owner.get(f"/v1/activities/{made['id']}/occurrences?{WINDOW}")
        changed = await act(owner, made, "change", START, version=1, subject="x")
    assert [(one.status_code, one.json()["code"]) for one in (listed, changed)] == [
        (409, "not_recurring")
    ] * 2


async def test_completing_a_task_that_recurs_makes_the_next_one(owner):
    fields = {"recurrence": "FREQ=WEEKLY;COUNT=3", "due_at": START, "remind_minutes": 30, "priority": "high"}
    task = await make(owner, "activities", kind="task", subject="Report", **fields)
    assert task["remind_at"] == "2031-03-03T08:30:00Z"
    dues = []
    while True:
        dues.append(task["due_at"][:10])
        done = await owner.ok(
            "POST", f"/v1/activities/{task['id']}/complete", json={"note": "Sent"}, if_match=1
        )
        assert (done["status"], done["recurrence"], done["completion_note"]) == ("done", None, "Sent")
        following = (await owner.ok("GET", "/v1/me/tasks"))["data"]
        if not following:
            break
        (task,) = following
        assert (task["priority"], task["completion_note"]) == ("high", None)
    assert dues == ["2031-03-03", "2031-03-10", "2031-03-17"]
    reopened = await owner.ok("POST", f"/v1/activities/{task['id']}/reopen", if_match=2)
    await owner.ok("POST", f"/v1/activities/{task['id']}/complete", if_match=reopened["version"])
    assert (await owner.ok("GET", "/v1/me/tasks"))["data"] == []  # the rule is over


async def test_of_many_completions_at_once_one_counts_and_one_task_follows(owner):
    task = await make(
        owner, "activities", kind="task", subject="Report", due_at=START, recurrence="FREQ=DAILY"
    )
    answers = await asyncio.gather(
        *(owner.post(f"/v1/activities/{task['id']}/complete", if_match=1) for _ in range(50))
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 49
    (following,) = (await owner.ok("GET", "/v1/me/tasks"))["data"]
    assert (following["due_at"], following["series_id"]) == ("2031-03-04T09:00:00Z", task["id"])


async def test_many_tasks_are_completed_in_one_batch(owner):
    tasks = [
        await make(
            owner, "activities", kind="task", subject=f"T{n}", due_at=START, recurrence="FREQ=DAILY;COUNT=2"
        )
        for n in range(3)
    ]
    items = [{"id": task["id"], "version": 1, "record": {"status": "done"}} for task in tasks]
    answer = await owner.ok("POST", "/v1/activities/batch/update", json={"items": items})
    assert answer["succeeded"] == 3
    left = (await owner.ok("GET", "/v1/me/tasks"))["data"]
    assert sorted((task["subject"], task["due_at"]) for task in left) == [
        (f"T{n}", "2031-03-04T09:00:00Z") for n in range(3)
    ]


async def test_overdue_tasks_are_those_due_before_now(owner):
    for subject, due in (("Late", "2020-01-01T00:00:00Z"), ("Later", START)):
        await make(owner, "activities", kind="task", subject=subject, due_at=due)
    assert [t["subject"] for t in (await owner.ok("GET", "/v1/me/tasks?overdue=true"))["data"]] == ["Late"]
    listed = await owner.ok("GET", "/v1/activities?status=open&due_at[lt]=now")
    assert [t["subject"] for t in listed["data"]] == ["Late"]
    assert (await owner.get("/v1/me/tasks?overdue=perhaps")).status_code == 400
