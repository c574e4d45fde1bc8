"""What members are told: mentions, delegated work, reminders; live, by mail and in the list."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from app.kernel.access import system_actor
from app.kernel.retention import forget_notifications
from app.kernel.schedules import ScheduledRun
from app.kernel.stream import StreamedEvent, visible
from app.kernel.uow import transaction
from app.modules.activities.services import reminders
from app.modules.activities.services.reminders import remind
from tests.modules.activities.planned import START, meeting
from tests.modules.support import actor_of, make


async def told(client, query=""):
    return (await client.ok("GET", f"/v1/notifications?{query}"))["data"]


async def due_now(look, activity, minutes=1):
    """Put a pending reminder into the past."""
    await look.run(
        "UPDATE activities.activities SET remind_at = now() - make_interval(mins => $2) WHERE id = $1",
        UUID(activity["id"]),
        minutes,
    )


async def run_of(company) -> ScheduledRun:
    kernel = company.app.kernel
    return ScheduledRun(kernel, await kernel.authenticator.tenant_profile(company.tenant_id))


# -- mentions ------------------------------------------------------------------------------------------------------


async def test_who_is_mentioned_is_told_once_and_may_read_it(owner, hire, look):
    mate, other = await hire("salesperson", team_ids=[]), await hire("salesperson", team_ids=[])
    mate_id, other_id = mate.facts["member_id"], other.facts["member_id"]
    note = await make(owner, "activities", kind="note", body=f"Ask @[{mate_id}] and @[{mate_id}].")
    assert note["mentions"] == [mate_id]
    (one,) = await told(mate)
    assert (one["kind"], one["title"]) == (
        "activity.mentioned",
        f"Olivia Owner mentions you: {note['subject']}",
    )
    assert (one["object"], one["record_id"], one["body"]) == ("activity", note["id"], note["body"])
    path = f"/v1/activities/{note['id']}"
    assert (await mate.get(path)).status_code == 200
    assert (await other.get(path)).status_code == 404
    changed = await owner.ok("PATCH", path, json={"mentions": [other_id]}, if_match=1)
    assert changed["mentions"] == [other_id, mate_id]  # the text still names the first
    assert (len(await told(mate)), len(await told(other))) == (1, 1)
    cleared = await owner.ok("PATCH", path, json={"body": "Never mind."}, if_match=2)
    assert cleared["mentions"] == [other_id]
    found = await owner.ok("GET", f"/v1/activities?mentions[has_any]={other_id}")
    assert [row["id"] for row in found["data"]] == [note["id"]]
    (mail,) = [m for m in await look.mails(mate.facts["email"]) if "mentions you" in m["subject"]]
    assert f"/app/activities/{note['id']}" in mail["text"]


async def test_nobody_unknown_is_mentioned(owner, rival, unchanged):
    async with unchanged():
        for fields in ({"body": f"@[{rival.member_id}]"}, {"body": "x", "mentions": [str(rival.member_id)]}):
            answer = await owner.post("/v1/activities", {"kind": "note"} | fields)
            assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/mentions")


async def test_one_is_not_told_of_what_one_does_oneself(owner, company):
    await make(owner, "activities", kind="note", body=f"I, @[{company.member_id}].")
    assert await told(owner) == []


async def test_whoever_is_given_work_is_told(owner, company, hire):
    mate = await hire("salesperson")
    mate_id = mate.facts["member_id"]
    await make(owner, "activities", kind="task", subject="First", owner_id=mate_id)
    second = await make(owner, "activities", kind="task", subject="Second")
    await owner.ok("PATCH", f"/v1/activities/{second['id']}", json={"owner_id": mate_id}, if_match=1)
    assert [one["title"] for one in await told(mate)] == [
        "Olivia Owner gave you: Second",
        "Olivia Owner gave you: First",
    ]
    assert await told(owner) == []


# -- the list ------------------------------------------------------------------------------------------------------


async def test_the_list_pages_and_is_read_one_by_one_or_all(owner, hire, unchanged):
    mate = await hire("salesperson")
    for number in range(5):
        await make(owner, "activities", kind="task", subject=f"T{number}", owner_id=mate.facts["member_id"])
    page = await mate.ok("GET", "/v1/notifications?limit=3")
    assert [one["title"][-2:] for one in page["data"]] == ["T4", "T3", "T2"]
    rest = await mate.ok("GET", f"/v1/notifications?limit=3&cursor={page['next_cursor']}")
    assert ([one["title"][-2:] for one in rest["data"]], rest["has_more"]) == (["T1", "T0"], False)
    assert (await mate.get(f"/v1/notifications?unread=true&cursor={page['next_cursor']}")).status_code == 400
    first = page["data"][0]["id"]
    async with unchanged():
        assert (await owner.post(f"/v1/notifications/{first}/read")).status_code == 404
    read = await mate.ok("POST", f"/v1/notifications/{first}/read")
    assert read["read_at"] is not None
    assert await mate.ok("POST", f"/v1/notifications/{first}/read") == read
    assert len(await told(mate, "unread=true")) == 4
    assert [await mate.ok("POST", "/v1/notifications/read-all") for _ in range(2)] == [
        {"read": 4},
        {"read": 0},
    ]
    assert (len(await told(mate, "unread=true")), len(await told(mate, "unread=false"))) == (0, 5)


async def test_preferences_decide_about_mail_and_the_live_stream(owner, hire, look):
    mate = await hire("salesperson")
    kinds = {
        one["kind"]: (one["live"], one["mail"])
        for one in (await mate.ok("GET", "/v1/notification-preferences"))["data"]
    }
    assert (kinds["activity.assigned"], kinds["activity.mentioned"]) == ((True, False), (True, True))
    path = "/v1/notification-preferences/activity.assigned"
    await mate.ok("PUT", path, json={"live": False, "mail": True})
    assert (
        await mate.put("/v1/notification-preferences/no.such", {"live": True, "mail": True})
    ).status_code == 404
    task = await make(owner, "activities", kind="task", subject="Ring", owner_id=mate.facts["member_id"])
    (mail,) = [m for m in await look.mails(mate.facts["email"]) if "gave you" in m["subject"]]
    assert mail["subject"] == "Olivia Owner gave you: Ring"
    (one,) = await told(mate)
    published = await look.value("SELECT count(*) FROM kernel.outbox WHERE record_id = $1", UUID(one["id"]))
    assert (published, one["record_id"]) == (0, task["id"])


async def test_only_the_member_concerned_hears_of_it_on_the_stream(app, owner, company, hire, look):
    mate = await hire("salesperson")
    await make(owner, "activities", kind="task", subject="Ring", owner_id=mate.facts["member_id"])
    (row,) = await look.rows(
        "SELECT * FROM kernel.outbox WHERE tenant_id = $1 AND type = 'kernel.notification.created.v1'",
        company.tenant_id,
    )
    event = StreamedEvent(
        position=(1, row["id"]),
        type=row["type"],
        object=row["object"],
        record_id=row["record_id"],
        version=None,
        changed=(),
        at=row["at"],
        actor_id=row["actor_id"],
        for_member_id=UUID(mate.facts["member_id"]),
    )
    mine = await app.kernel.authenticator.authenticate(f"Bearer {mate.token}", None)
    assert await visible(app.kernel, mine, [event]) == [event]
    assert await visible(app.kernel, await actor_of(company), [event]) == []
    assert "Ring" not in row["data"]  # the text is read by its id


# -- reminders -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "at"),
    [
        ({"kind": "meeting", "starts_at": START, "remind_minutes": 15}, "2031-03-03T08:45:00Z"),
        ({"kind": "task", "due_at": START, "remind_minutes": 0}, START),
        ({"kind": "task", "due_at": START}, None),
        ({"kind": "task", "due_at": "2020-01-01T00:00:00Z", "remind_minutes": 5}, None),
        ({"kind": "meeting", "starts_at": START, "remind_minutes": 5, "status": "cancelled"}, None),
    ],
)
async def test_a_reminder_goes_by_the_start_or_the_due_time(owner, fields, at):
    assert (await make(owner, "activities", subject="x", **fields))["remind_at"] == at


async def test_a_reminder_follows_the_time_and_ends_with_the_task(owner):
    task = await make(owner, "activities", kind="task", subject="x", due_at=START, remind_minutes=60)
    path = f"/v1/activities/{task['id']}"
    moved = await owner.ok("PATCH", path, json={"due_at": "2031-04-01T12:00:00Z"}, if_match=1)
    assert moved["remind_at"] == "2031-04-01T11:00:00Z"
    assert (await owner.ok("POST", f"{path}/complete", if_match=2))["remind_at"] is None
    assert (await owner.ok("POST", f"{path}/reopen", if_match=3))["remind_at"] == "2031-04-01T11:00:00Z"


async def test_many_workers_at_once_remind_each_just_once(owner, company, look, monkeypatch):
    monkeypatch.setattr(reminders, "STEP", 7)
    count = 40
    items = [
        {"record": {"kind": "task", "subject": f"T{n}", "due_at": START, "remind_minutes": 10}}
        for n in range(count)
    ]
    await owner.ok("POST", "/v1/activities/batch/create", json={"items": items})
    await look.run(
        "UPDATE activities.activities SET remind_at = now() - interval '1 minute' WHERE tenant_id = $1",
        company.tenant_id,
    )
    run = await run_of(company)
    await asyncio.gather(*(remind(run) for _ in range(12)))
    titles = [one["title"] for one in await told(owner, "kind=activity.reminder&limit=200")]
    assert sorted(title.rpartition(" ")[2] for title in titles) == sorted(f"T{n}" for n in range(count))
    await remind(run)
    assert len(await told(owner, "limit=200")) == count


async def test_owner_and_those_who_come_are_reminded_on_their_own_clock(owner, company, hire, look):
    mate, no = await hire("salesperson"), await hire("salesperson")
    await mate.ok("PATCH", "/v1/me/calendar-settings", json={"time_zone": "Asia/Shanghai"}, if_match=0)
    ids = [mate.facts["member_id"], no.facts["member_id"]]
    made = await meeting(
        owner, place="Room 5", remind_minutes=10, attendees=[{"member_id": id} for id in ids]
    )
    await no.ok("POST", f"/v1/activities/{made['id']}/rsvp", json={"response": "declined"})
    await look.run(
        "UPDATE activities.activities SET remind_at = $2 WHERE id = $1",
        UUID(made["id"]),
        _moment("2031-03-03T08:50:00+00:00"),
    )
    kernel = company.app.kernel
    tenant = await kernel.authenticator.tenant_profile(company.tenant_id)
    async with transaction(kernel, system_actor(tenant)) as uow:
        uow.now = _moment("2031-03-03T08:51:00+00:00")
        assert await reminders.remind_step(uow) == 1
    (mine,) = await told(owner, "kind=activity.reminder")
    (theirs,) = await told(mate, "kind=activity.reminder")
    assert (mine["title"], mine["body"]) == ("09:00: Demo", "Room 5")
    assert theirs["title"] == "17:00: Demo"
    assert await told(no, "kind=activity.reminder") == []


def _moment(text):
    return datetime.fromisoformat(text)


async def test_a_series_reminds_of_each_occurrence(owner, company, look):
    start = (datetime.now(UTC) + timedelta(minutes=5)).replace(microsecond=0)
    made = await meeting(
        owner,
        starts_at=start.isoformat(),
        ends_at=None,
        recurrence="FREQ=DAILY;COUNT=3",
        time_zone="UTC",
        remind_minutes=10,
    )
    run = await run_of(company)
    await remind(run)
    path = f"/v1/activities/{made['id']}"
    following = (start + timedelta(days=1, minutes=-10)).isoformat().replace("+00:00", "Z")
    assert (await owner.ok("GET", path))["remind_at"] == following
    await remind(run)
    assert len(await told(owner, "kind=activity.reminder")) == 1


async def test_a_reminder_that_fails_half_way_is_sent_later(owner, company, look, monkeypatch):
    made = await make(owner, "activities", kind="task", subject="x", due_at=START, remind_minutes=10)
    await due_now(look, made)
    run = await run_of(company)

    async def fail(*_):
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(reminders, "_notices", fail)
        with pytest.raises(RuntimeError):
            await remind(run)
    assert await told(owner) == []
    await remind(run)
    assert len(await told(owner)) == 1


async def test_read_notifications_are_forgotten_after_a_term(owner, company, hire, look):
    mate = await hire("salesperson")
    for subject in ("Old", "New"):
        await make(owner, "activities", kind="task", subject=subject, owner_id=mate.facts["member_id"])
    new, old = await told(mate)
    await mate.ok("POST", f"/v1/notifications/{old['id']}/read")
    await look.run(
        "UPDATE kernel.notifications SET read_at = now() - interval '91 days' WHERE id = $1", UUID(old["id"])
    )
    await forget_notifications(await run_of(company))
    assert [one["id"] for one in await told(mate)] == [new["id"]]
