"""What waits for me, from every module in one order; files on activities; a timeline for every record type."""

from uuid import UUID

import pytest

from app.modules.activities.services.to_dos import ToDos
from tests.modules.activities.planned import START, meeting
from tests.modules.support import acting, make


async def everything(client, limit=50, query=""):
    found, cursor = [], ""
    while True:
        page = await client.ok("GET", f"/v1/to-dos?limit={limit}{query}{cursor}")
        found += page["data"]
        if not page["has_more"]:
            return found
        cursor = f"&cursor={page['next_cursor']}"


async def fill(owner, mate):
    """One of each kind that waits for `mate`."""
    mate_id = mate.facts["member_id"]
    await make(mate, "activities", kind="task", subject="Dated", due_at="2031-03-02T09:00:00Z")
    await make(mate, "activities", kind="task", subject="Some day")
    await make(mate, "activities", kind="task", subject="Done", status="done")
    await make(mate, "activities", kind="visit", subject="Plant", starts_at="2031-03-05T09:00:00Z")
    await meeting(owner, subject="Answer me", attendees=[{"member_id": mate_id}])
    await make(owner, "activities", kind="note", body=f"Look, @[{mate_id}]")
    await make(mate, "leads", name="Fresh", company="Acme", source="web")
    await make(mate, "leads", name="Taken up", status="working")
    await make(mate, "opportunities", name="Late", expected_close_on="2020-01-31", next_step="Call")
    await make(
        mate, "opportunities", name="Going on", expected_close_on="2031-03-03", next_step="Send the offer"
    )
    await make(mate, "opportunities", name="Quiet", expected_close_on="2031-03-03")


async def test_all_that_waits_is_in_one_list_by_due_time(owner, hire):
    mate = await hire("salesperson")
    await fill(owner, mate)
    found = await everything(mate)
    assert [(one["kind"], one["title"].rpartition(": ")[2]) for one in found] == [
        ("overdue_opportunity", "Late"),
        ("new_lead", "Fresh"),
        ("task", "Dated"),
        ("rsvp", "Answer me"),
        ("next_step", "Going on"),
        ("visit", "Plant"),
        *[(one["kind"], one["title"].rpartition(": ")[2]) for one in found[6:]],
    ]
    assert sorted(one["kind"] for one in found[6:]) == ["mention", "task"]
    assert [one["due_at"] for one in found[6:]] == [None, None]
    assert found[1]["data"] == {"company": "Acme", "source": "web", "rating": None}
    assert (found[4]["due_at"], found[4]["data"]["next_step"]) == ("2031-03-04T00:00:00Z", "Send the offer")
    for limit in (1, 3):
        assert await everything(mate, limit) == found
    narrow = await everything(mate, query="&kind=rsvp,mention")
    assert [one["kind"] for one in narrow] == ["rsvp", "mention"]
    counts = await mate.ok("GET", "/v1/to-dos/counts")
    assert {one["kind"]: one["count"] for one in counts["data"]} == {
        "approval": 0, "call": 0, "case": 0, "contract_renewal": 0, "meeting": 0, "mention": 1, "new_lead": 1,
        "next_step": 1, "work_order": 0,
        "order_held": 0, "overdue_instalment": 0, "overdue_opportunity": 1, "quote_expiring": 0,
        "quote_price_changed": 0, "quote_to_send": 0, "rsvp": 1, "task": 2, "visit": 1,
    }  # fmt: skip
    assert counts["total"] == 8
    own = {one["kind"] for one in await everything(owner)}
    assert own == {"meeting"}


async def test_a_list_of_much_takes_as_many_statements_as_one_of_little(owner, company):
    counted = []
    for _ in range(2):
        async with acting(company) as uow:
            before = uow.statements
            await ToDos(uow).page(kinds=(), after=None, limit=50)
            await ToDos(uow).counts()
            counted.append(uow.statements - before)
        for number in range(8):
            await make(owner, "leads", name=f"Lead {number}")
            await make(owner, "activities", kind="task", subject=f"T{number}")
    assert counted == [2, 2]


@pytest.mark.parametrize("query", ["kind=no_such", "kind=", "cursor=x", "limit=0"])
async def test_what_is_not_understood_is_refused(owner, query):
    assert (await owner.get(f"/v1/to-dos?{query}")).status_code in (400, 422)


async def test_without_rights_nothing_waits_but_mentions(owner, hire):
    mate = await hire({"account:read": "own"})
    await meeting(owner, attendees=[{"member_id": mate.facts["member_id"]}])
    await make(owner, "activities", kind="note", body=f"Look, @[{mate.facts['member_id']}]")
    assert [one["kind"] for one in await everything(mate)] == ["mention"]
    assert (await mate.ok("GET", "/v1/to-dos/counts"))["total"] == 1


# -- files ---------------------------------------------------------------------------------------------------------


async def upload(client, content=b"Dear Ada", name="letter.txt"):
    headers = {"Content-Type": "application/octet-stream"}
    return await client.ok("POST", f"/v1/files?filename={name}", content=content, headers=headers)


async def test_a_file_on_an_activity_is_open_to_whoever_reads_the_activity(owner, company, hire, look):
    mate, other = await hire("salesperson", team_ids=[]), await hire("salesperson", team_ids=[])
    note = await make(owner, "activities", kind="note", body=f"For @[{mate.facts['member_id']}]")
    file = await upload(owner)
    path = f"/v1/activities/{note['id']}/attachments"
    made = await owner.ok("POST", path, json={"file_id": file["id"]})
    assert (made["name"], made["size"], made["media_type"]) == ("letter.txt", 8, "text/plain")
    again = await owner.post(path, {"file_id": file["id"]})
    assert (again.status_code, again.json()["code"]) == (409, "duplicate_value")
    listed = await mate.ok("GET", path)
    assert [one["id"] for one in listed["data"]] == [made["id"]]
    content = await mate.get(f"{path}/{made['id']}/content")
    assert (content.content, content.headers["content-disposition"].split(";")[0]) == (
        b"Dear Ada",
        "attachment",
    )
    assert (await mate.get(f"/v1/files/{file['id']}")).status_code == 404  # by way of the activity only
    for address in (path, f"{path}/{made['id']}/content"):
        assert (await other.get(address)).status_code == 404
    assert (await mate.delete(f"{path}/{made['id']}")).status_code == 403
    assert (await owner.delete(f"{path}/{made['id']}")).status_code == 204
    assert (await mate.ok("GET", path))["data"] == []
    assert [
        len(await look.audit(company.tenant_id, f"attachment_{what}")) for what in ("added", "removed")
    ] == [1, 1]


async def test_nobody_attaches_a_file_that_is_not_theirs(owner, hire, unchanged):
    mate = await hire("salesperson")
    note = await make(mate, "activities", kind="note", body="x")
    file = await upload(owner)
    async with unchanged():
        answer = await mate.post(f"/v1/activities/{note['id']}/attachments", {"file_id": file["id"]})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "unknown_file")


# -- timelines -----------------------------------------------------------------------------------------------------


SMALLEST = {
    "accounts": {"name": "Acme"},
    "contacts": {"name": "Ada"},
    "leads": {"name": "Lea"},
    "opportunities": {"name": "Deal"},
    "toys": {"name": "Kite"},
}


@pytest.mark.parametrize("plural", SMALLEST)
async def test_every_record_type_has_a_timeline_with_visits_too(app, owner, plural):
    record = await make(owner, plural, **SMALLEST[plural])
    about = [{"object": app.registry.record(plural).object, "record_id": record["id"]}]
    await make(owner, "activities", kind="visit", subject="Plant", starts_at=START, about=about)
    await make(owner, "activities", kind="note", body="Friendly", about=about)
    lines = (await owner.ok("GET", f"/v1/{plural}/{record['id']}/timeline"))["data"]
    assert [line["kind"] for line in lines][:2] == ["note", "visit"]
    assert lines[-1]["title"] in ("Created", "Opened: Deal")
    only = await owner.ok("GET", f"/v1/{plural}/{record['id']}/timeline?kind=visit")
    assert [line["title"] for line in only["data"]] == ["Plant"]


def test_no_record_type_is_without_a_timeline(app):
    from app.kernel.routing import PathIndex

    index: PathIndex = app.index
    for record in app.registry.records.values():
        found = index.find(f"/v1/{record.path}/{UUID(int=1)}/timeline")
        assert found is not None, record.object
        assert "GET" in found[0], record.object
