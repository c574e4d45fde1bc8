"""Calendars of members and teams, free time, and the address for other programs."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from icalendar import Calendar

from app.modules.activities.services.calendar import Calendars, merged, without
from tests.modules.activities.planned import START, meeting
from tests.modules.support import acting, make
from tests.support.api import stranger
from tests.tenants.people import stranger_from

WEEK = "from=2031-03-03T00:00:00Z&to=2031-03-10T00:00:00Z"
DAY0 = datetime(2031, 3, 3, tzinfo=UTC)
SPANS = st.lists(
    st.tuples(st.integers(0, 200), st.integers(0, 30)).map(
        lambda pair: (DAY0 + timedelta(hours=pair[0]), DAY0 + timedelta(hours=pair[0] + pair[1]))
    ),
    max_size=25,
)


def hours(spans):
    return {
        start + timedelta(hours=n)
        for start, end in spans
        for n in range(int((end - start) / timedelta(hours=1)))
    }


@given(SPANS)
def test_merged_spans_cover_the_same_time_and_do_not_touch(spans):
    found = merged(spans)
    assert hours(found) == hours(spans)
    assert all(left[1] < right[0] for left, right in pairwise(found))


@given(SPANS, SPANS)
def test_what_is_left_is_what_is_not_taken(spans, taken):
    assert hours(without(merged(spans), merged(taken))) == hours(spans) - hours(taken)


def short(entries):
    return [(one["starts_at"][8:16], one["subject"]) for one in entries["data"]]


async def test_a_calendar_expands_what_recurs_in_order(owner):
    await meeting(owner, subject="Stand-up", recurrence="FREQ=DAILY;BYDAY=MO,WE,FR", time_zone="UTC")
    await meeting(owner, subject="Lunch", starts_at="2031-03-04T12:00:00Z", ends_at="2031-03-04T13:00:00Z")
    await meeting(owner, subject="Off", starts_at="2031-03-04T12:00:00Z", status="cancelled")
    await make(owner, "activities", kind="task", subject="No time", due_at=START)
    found = await owner.ok("GET", f"/v1/calendar?{WEEK}")
    assert short(found) == [
        ("03T09:00", "Stand-up"), ("04T12:00", "Lunch"), ("05T09:00", "Stand-up"), ("07T09:00", "Stand-up"),
    ]  # fmt: skip
    partly = await owner.ok("GET", "/v1/calendar?from=2031-03-03T09:30:00Z&to=2031-03-03T09:40:00Z")
    assert short(partly) == [("03T09:00", "Stand-up")]
    after = await owner.ok("GET", "/v1/calendar?from=2031-03-03T10:00:00Z&to=2031-03-03T11:00:00Z")
    assert after["data"] == []


async def test_what_one_may_not_read_or_is_private_is_only_busy(owner, company, hire):
    mate = await hire("salesperson", team_ids=[])
    await meeting(owner, subject="Secret of the house")
    await meeting(
        owner,
        subject="With you",
        starts_at="2031-03-04T09:00:00Z",
        attendees=[{"member_id": mate.facts["member_id"]}],
    )
    found = await mate.ok("GET", f"/v1/calendar?members={company.member_id}&{WEEK}")
    assert short(found) == [("03T09:00", None), ("04T09:00", "With you")]
    assert found["data"][0]["activity_id"] is None
    await meeting(mate, subject="Dentist", private=True, starts_at="2031-03-05T09:00:00Z")
    mine = f"/v1/calendar?members={mate.facts['member_id']}&{WEEK}"
    assert short(await mate.ok("GET", mine)) == [("04T09:00", "With you"), ("05T09:00", "Dentist")]
    assert short(await owner.ok("GET", mine)) == [("04T09:00", "With you"), ("05T09:00", None)]


async def test_a_declined_meeting_takes_no_time(owner, hire):
    mate = await hire("salesperson")
    made = await meeting(owner, attendees=[{"member_id": mate.facts["member_id"]}])
    busy = f"/v1/calendar/free-busy?members={mate.facts['member_id']}&{WEEK}"
    (one,) = (await owner.ok("GET", busy))["data"]
    assert one["busy"] == [{"starts_at": "2031-03-03T09:00:00Z", "ends_at": "2031-03-03T10:00:00Z"}]
    await mate.ok("POST", f"/v1/activities/{made['id']}/rsvp", json={"response": "declined"})
    (one,) = (await owner.ok("GET", busy))["data"]
    assert one["busy"] == []


async def test_busy_times_are_merged_and_cut_to_the_window(owner):
    for start, end in (("09:00", "10:00"), ("09:30", "10:30"), ("10:30", "11:00"), ("12:00", "13:00")):
        await meeting(owner, starts_at=f"2031-03-03T{start}:00Z", ends_at=f"2031-03-03T{end}:00Z")
    window = "from=2031-03-03T09:15:00Z&to=2031-03-03T12:30:00Z"
    (one,) = (await owner.ok("GET", f"/v1/calendar/free-busy?{window}"))["data"]
    assert [(b["starts_at"][11:16], b["ends_at"][11:16]) for b in one["busy"]] == [
        ("09:15", "11:00"),
        ("12:00", "12:30"),
    ]


async def test_free_slots_are_when_all_are_free_in_business_hours(owner, company, hire):
    mate = await hire("salesperson")
    await meeting(owner, starts_at="2031-03-03T09:00:00Z", ends_at="2031-03-03T11:00:00Z")
    await meeting(mate, starts_at="2031-03-03T11:30:00Z", ends_at="2031-03-03T17:00:00Z")
    members = f"members={company.member_id},{mate.facts['member_id']}"
    day = "from=2031-03-03T00:00:00Z&to=2031-03-04T00:00:00Z"
    found = await owner.ok("GET", f"/v1/calendar/free-slots?{members}&{day}&minutes=30")
    slots = [(s["starts_at"][11:16], s["ends_at"][11:16]) for s in found["data"]]
    assert slots == [("11:00", "11:30"), ("17:00", "18:00")]
    longer = await owner.ok("GET", f"/v1/calendar/free-slots?{members}&{day}&minutes=45")
    assert [s["starts_at"][11:16] for s in longer["data"]] == ["17:00"]
    any_time = await owner.ok(
        "GET", f"/v1/calendar/free-slots?{members}&{day}&minutes=60&business_hours=false"
    )
    assert [s["starts_at"][11:16] for s in any_time["data"]] == ["00:00", "17:00"]


async def test_a_team_is_all_its_members(owner, company, hire):
    team = await owner.ok("POST", "/v1/teams", json={"name": "North"})
    for _ in range(2):
        await meeting(await hire("salesperson", team_ids=[team["id"]]))
    found = await owner.ok("GET", f"/v1/calendar/free-busy?team={team['id']}&{WEEK}")
    assert [len(one["busy"]) for one in found["data"]] == [1, 1]


async def test_a_window_has_its_limits(owner, rival):
    for query, status in (
        ("from=2031-03-03T00:00:00Z&to=2031-09-03T00:00:00Z", 400),
        ("from=2031-03-03T00:00:00Z&to=2031-03-03T00:00:00Z", 400),
        (f"{WEEK}&members=x", 400),
        (f"{WEEK}&members={rival.member_id}", 422),
        (f"{WEEK}&team={rival.member_id}", 422),
        ("from=9999-12-31T00:00:00Z&to=9999-12-31T01:00:00Z", 400),
    ):
        assert (await owner.get(f"/v1/calendar?{query}")).status_code == status, query


async def test_a_calendar_of_many_takes_as_many_statements_as_that_of_one(owner, company, hire):
    mates = [await hire("salesperson") for _ in range(3)]
    for mate in mates:
        await meeting(mate, recurrence="FREQ=DAILY", time_zone="UTC")
        await meeting(mate)
    counted = []
    for people in (mates[:1], mates):
        async with acting(company) as uow:
            calendars = Calendars(uow)
            ids = [mate.facts["member_id"] for mate in people]
            before = uow.statements
            window = await calendars.window([UUID(id) for id in ids], None, DAY0, DAY0 + timedelta(days=7))
            assert len(await calendars.entries(window)) == 8 * len(people)
            counted.append(uow.statements - before)
    assert counted == [2, 2]


# -- the address ---------------------------------------------------------------------------------------------------


async def test_a_calendar_address_shows_what_is_ones_own_and_visible(app, owner, hire):
    mate = await hire("salesperson")
    await meeting(owner, subject="Not yours")
    invited = await meeting(owner, subject="Invited", attendees=[{"member_id": mate.facts["member_id"]}])
    series = await meeting(
        mate, subject="Weekly", recurrence="FREQ=WEEKLY;COUNT=4", time_zone="Europe/Berlin"
    )
    for verb, at, changes in (
        ("change", "2031-03-10T09:00:00Z", {"changes": {"subject": "Special"}}),
        ("cancel", "2031-03-17T09:00:00Z", {}),
    ):
        version = (await mate.ok("GET", f"/v1/activities/{series['id']}"))["version"]
        body = {"occurrence_at": at} | changes
        await mate.ok(
            "POST", f"/v1/activities/{series['id']}/occurrences/{verb}", json=body, if_match=version
        )
    await make(mate, "activities", kind="task", subject="Report", due_at=_soon())
    assert (await mate.ok("GET", "/v1/me/calendar-feed"))["active"] is False
    url = (await mate.ok("POST", "/v1/me/calendar-feed"))["url"]
    path = "/" + url.split("/", 3)[3]
    program = stranger(app)
    answer = await program.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/calendar; charset=utf-8")
    calendar = Calendar.from_ical(answer.content)
    events = {str(event["summary"]): event for event in calendar.walk("VEVENT")}
    assert set(events) == {"Invited", "Weekly", "Special"} if _within(START) else set(events) <= {"Weekly"}
    assert [str(todo["summary"]) for todo in calendar.walk("VTODO")] == ["Report"]
    assert invited["id"]


def _soon() -> str:
    return (datetime.now(UTC) + timedelta(days=7)).isoformat()


def _within(moment: str) -> bool:
    return datetime.fromisoformat(moment) < datetime.now(UTC) + timedelta(days=366)


async def test_a_feed_parses_and_holds_series_with_their_exceptions(app, owner):
    first = (datetime.now(UTC) + timedelta(days=3)).replace(hour=9, minute=0, second=0, microsecond=0)
    series = await meeting(
        owner,
        subject="Daily",
        starts_at=first.isoformat(),
        ends_at=None,
        recurrence="FREQ=DAILY;COUNT=4",
        time_zone="UTC",
        body="Notes",
        place="Room 5",
    )
    path = f"/v1/activities/{series['id']}/occurrences"
    moved, gone = first + timedelta(days=1), first + timedelta(days=2)
    body = {"occurrence_at": moved.isoformat(), "changes": {"subject": "Special"}}
    await owner.ok("POST", f"{path}/change", json=body, if_match=1)
    await owner.ok("POST", f"{path}/cancel", json={"occurrence_at": gone.isoformat()}, if_match=2)
    url = "/" + (await owner.ok("POST", "/v1/me/calendar-feed"))["url"].split("/", 3)[3]
    calendar = Calendar.from_ical((await stranger(app).get(url)).content)
    events = {str(event["summary"]): event for event in calendar.walk("VEVENT")}
    assert set(events) == {"Daily", "Special"}
    daily, special = events["Daily"], events["Special"]
    assert daily["rrule"].to_ical() == b"FREQ=DAILY;COUNT=4"
    assert [one.dt for one in daily["exdate"].dts] == [gone]
    assert special["recurrence-id"].dt == moved
    assert special["uid"] == daily["uid"]
    assert (str(daily["location"]), str(daily["description"])) == ("Room 5", "Notes")


async def test_a_feed_is_not_sent_again_when_nothing_changed(app, owner):
    first = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    made = await meeting(owner, starts_at=first, ends_at=None)
    url = "/" + (await owner.ok("POST", "/v1/me/calendar-feed"))["url"].split("/", 3)[3]
    program = stranger(app)
    tag = (await program.get(url)).headers["etag"]
    same = await program.get(url, headers={"If-None-Match": f'"x", {tag}'})
    assert (same.status_code, same.content) == (304, b"")
    await owner.ok("PATCH", f"/v1/activities/{made['id']}", json={"subject": "Other"}, if_match=1)
    assert (await program.get(url, headers={"If-None-Match": tag})).status_code == 200


async def test_an_address_is_rotated_and_revoked(app, owner, company, look):
    old = "/" + (await owner.ok("POST", "/v1/me/calendar-feed"))["url"].split("/", 3)[3]
    new = "/" + (await owner.ok("POST", "/v1/me/calendar-feed"))["url"].split("/", 3)[3]
    program = stranger(app)
    assert [(await program.get(path)).status_code for path in (old, new)] == [404, 200]
    assert (await owner.delete("/v1/me/calendar-feed")).status_code == 204
    assert (await program.get(new)).status_code == 404
    assert (await owner.delete("/v1/me/calendar-feed")).status_code == 404
    assert [
        len(await look.audit(company.tenant_id, f"calendar_feed_{what}")) for what in ("made", "revoked")
    ] == [2, 1]


async def test_the_address_of_somebody_who_left_does_not_work(app, owner, hire):
    mate = await hire("salesperson")
    url = "/" + (await mate.ok("POST", "/v1/me/calendar-feed"))["url"].split("/", 3)[3]
    assert (await stranger_from(app).get(url)).status_code == 200
    member = await owner.ok("GET", f"/v1/members/{mate.facts['member_id']}")
    await owner.ok("POST", f"/v1/members/{member['id']}/deactivate", json={}, if_match=member["version"])
    assert (await stranger_from(app).get(url)).status_code == 404
    for wrong in ("x.ics", url.rpartition("/")[2].removesuffix(".ics"), "rl_" + "A" * 60 + ".ics"):
        assert (await stranger_from(app).get(f"/public/calendars/{wrong}")).status_code == 404
