"""Notes, tasks, calls and meetings: what follows from the kind, how they end, and what they are about."""

import pytest

from app.kernel.models import Json
from app.modules.activities.interface import Activities, Subject
from tests.modules.support import acting, make, subject_id
from tests.support.api import Client, Company


def about(*records: tuple[str, Json]) -> list[Json]:
    return [{"object": name, "record_id": record["id"]} for name, record in records]


@pytest.fixture
async def acme(owner: Client) -> Json:
    return await make(owner, "accounts", name="Acme")


@pytest.mark.parametrize(
    ("fields", "status", "subject"),
    [
        ({"kind": "note", "body": "\n They like tea. \nMuch."}, "done", "They like tea."),
        ({"kind": "task", "subject": "Send the offer"}, "open", "Send the offer"),
        ({"kind": "task", "subject": "Sent", "completed_at": "2026-01-01T00:00:00Z"}, "done", "Sent"),
        (
            {"kind": "call", "subject": "Rang", "direction": "outbound", "duration_seconds": 65},
            "done",
            "Rang",
        ),
        ({"kind": "call", "subject": "Ring", "due_at": "2031-01-01T00:00:00Z"}, "open", "Ring"),
        ({"kind": "meeting", "subject": "Demo", "due_at": "2031-01-01T00:00:00Z"}, "open", "Demo"),
    ],
)
async def test_status_and_subject_follow_from_the_kind(owner: Client, acme, fields, status, subject):
    made = await make(owner, "activities", about=about(("account", acme)), **fields)
    assert (made["status"], made["subject"]) == (status, subject)
    assert (made["completed_at"] is not None) == (status == "done")
    assert made["about"] == about(("account", acme))


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"kind": "task"}, "subject_required"),
        ({"kind": "note", "body": "x", "status": "open"}, "note_is_done"),
        (
            {"kind": "task", "subject": "x", "status": "open", "completed_at": "2026-01-01T00:00:00Z"},
            "not_done",
        ),
        ({"kind": "task", "subject": "x", "due_at": "9999-12-31T23:59:59-05:00"}, "implausible_time"),
        ({"kind": "task", "subject": "x", "due_at": "2026-01-01T00:00:00"}, "timezone_aware"),
        ({"kind": "dance", "subject": "x"}, "enum"),
    ],
)
async def test_a_wrong_activity_is_refused_and_not_written(owner: Client, fields, code):
    answer = await owner.post("/v1/activities", json=fields)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, code)
    assert (await owner.ok("GET", "/v1/activities"))["data"] == []


@pytest.mark.parametrize("object_name", ["account", "ghost", "activity"])
async def test_an_activity_is_about_records_that_are_there(owner: Client, rival: Company, object_name):
    foreign = await make(rival.owner, "accounts", name="Foreign")
    answer = await owner.post(
        "/v1/activities", json={"kind": "note", "body": "x", "about": about((object_name, foreign))}
    )
    assert answer.status_code == 422
    assert [(e["pointer"], e["code"]) for e in answer.json()["errors"]] == [("/about/0", "unknown_reference")]
    assert (await owner.ok("GET", "/v1/activities"))["data"] == []


async def test_a_task_is_completed_once_and_reopened(owner: Client):
    task = await make(owner, "activities", kind="task", subject="Ring")
    path = f"/v1/activities/{task['id']}"
    assert (await owner.post(f"{path}/complete")).status_code == 428
    assert (await owner.post(f"{path}/complete", if_match=9)).status_code == 412
    done = await owner.ok("POST", f"{path}/complete", json={"outcome": "reached"}, if_match=1)
    assert (done["status"], done["outcome"], done["version"]) == ("done", "reached", 2)
    assert done["completed_at"] is not None
    again = await owner.post(f"{path}/complete", if_match=2)
    assert (again.status_code, again.json()["code"]) == (409, "invalid_transition")
    reopened = await owner.ok("POST", f"{path}/reopen", if_match=2)
    assert (reopened["status"], reopened["completed_at"]) == ("open", None)
    assert [entry["action"] for entry in (await owner.ok("GET", f"{path}/history"))["data"]] == [
        "reopened",
        "completed",
        "created",
    ]


async def test_a_patch_to_done_and_back_keeps_the_time_in_step(owner: Client):
    task = await make(owner, "activities", kind="task", subject="Ring")
    path = f"/v1/activities/{task['id']}"
    done = await owner.ok("PATCH", path, json={"status": "done"}, if_match=1)
    assert done["completed_at"] is not None
    cancelled = await owner.ok("PATCH", path, json={"status": "cancelled"}, if_match=2)
    assert cancelled["completed_at"] is None


async def test_my_tasks_are_open_and_mine_soonest_first(owner: Client, company: Company):
    for subject, due in (("Later", "2031-02-01"), ("Sooner", "2031-01-01")):
        await make(owner, "activities", kind="task", subject=subject, due_at=f"{due}T00:00:00Z")
    done = await make(owner, "activities", kind="task", subject="Done", due_at="2031-01-01T00:00:00Z")
    await owner.ok("POST", f"/v1/activities/{done['id']}/complete", if_match=1)
    await make(owner, "activities", kind="task", subject="Some day")
    foreign = await make(owner, "activities", kind="task", subject="Not mine")
    async with acting(company) as uow:
        await uow.fetch(
            "UPDATE activities.activities SET owner_id = gen_random_uuid() WHERE tenant_id = $1 AND id = $2",
            uow.tenant_id,
            subject_id(foreign),
        )
    page = await owner.ok("GET", "/v1/me/tasks?limit=2")
    assert [task["subject"] for task in page["data"]] == ["Sooner", "Later"]
    rest = await owner.ok("GET", f"/v1/me/tasks?limit=2&cursor={page['next_cursor']}")
    assert [task["subject"] for task in rest["data"]] == ["Some day"]
    narrow = await owner.ok("GET", "/v1/me/tasks?due_at[lt]=2031-01-15T00:00:00Z")
    assert [task["subject"] for task in narrow["data"]] == ["Sooner"]
    assert (await owner.get("/v1/me/tasks?nonsense=1")).status_code == 400


async def test_activities_move_to_other_records_in_a_fixed_number_of_statements(
    owner: Client, company: Company
):
    old, new = await make(owner, "contacts", name="Old"), await make(owner, "contacts", name="New")
    acme = await make(owner, "accounts", name="Acme")
    for number in range(5):
        await make(owner, "activities", kind="note", body=f"Note {number}", about=about(("contact", old)))
    both = await make(
        owner, "activities", kind="note", body="Both", about=about(("contact", old), ("account", acme))
    )
    async with acting(company) as uow:
        before = uow.statements
        moved = await uow.of(Activities).move(
            Subject("contact", subject_id(old)),
            [Subject("contact", subject_id(new)), Subject("account", subject_id(acme))],
        )
        assert (moved, uow.statements - before) == (6, 4)
    stored = await owner.ok("GET", f"/v1/activities/{both['id']}")
    assert stored["about"] == about(("account", acme), ("contact", new))
    assert stored["version"] == 2
    titles = [
        line["title"]
        for line in (await owner.ok("GET", f"/v1/contacts/{new['id']}/timeline?kind=note"))["data"]
    ]
    assert titles == ["Both", "Note 4", "Note 3", "Note 2", "Note 1", "Note 0"]
    assert (await owner.ok("GET", f"/v1/contacts/{old['id']}/timeline?kind=note"))["data"] == []


async def test_others_ask_for_the_newest_and_the_next_of_many_records_at_once(
    owner: Client, company: Company
):
    one, two = (
        await make(owner, "accounts", name="Acme One"),
        await make(owner, "accounts", name="Zenith Two"),
    )
    await make(owner, "activities", kind="note", body="First", about=about(("account", one)))
    await make(
        owner, "activities", kind="note", body="Second", about=about(("account", one), ("account", two))
    )
    await make(owner, "activities", kind="task", subject="No date", about=about(("account", one)))
    due = await make(
        owner,
        "activities",
        kind="task",
        subject="Due",
        due_at="2031-01-01T00:00:00Z",
        about=about(("account", one)),
    )
    ids = [subject_id(one), subject_id(two)]
    async with acting(company) as uow:
        activities = uow.of(Activities)
        newest = await activities.for_records("account", ids, limit=2)
        following = await activities.next_open("account", ids)
    assert [ref.subject for ref in newest[ids[0]]] == ["Due", "No date"]
    assert [ref.subject for ref in newest[ids[1]]] == ["Second"]
    assert {id: ref.id for id, ref in following.items()} == {ids[0]: subject_id(due)}


async def test_other_modules_write_notes_and_tasks(owner: Client, company: Company):
    acme = await make(owner, "accounts", name="Acme")
    subject = Subject("account", subject_id(acme))
    async with acting(company) as uow:
        note = await uow.of(Activities).add_note([subject], "Came by the web form.")
        task = await uow.of(Activities).add_task([subject], "Answer", owner_id=company.member_id)
    assert (note.kind, note.status, note.subject) == ("note", "done", "Came by the web form.")
    assert (await owner.ok("GET", f"/v1/activities/{task.id}"))["about"] == about(("account", acme))
