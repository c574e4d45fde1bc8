"""One timeline for anything."""

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from app.kernel.models import Json
from app.kernel.registry import Module
from app.kernel.uow import UnitOfWork
from app.modules.activities.interface import Position, Subject, TimelineEntry, TimelineSource
from app.modules.activities.services.timeline import Timeline
from tests.modules.support import acting, actor_of, make, subject_id
from tests.support.api import Client, Company, running, sign_up


def about(record: Json) -> list[Json]:
    return [{"object": "account", "record_id": record["id"]}]


async def a_life(owner: Client) -> Json:
    """An account with a note, a call of last year and a change."""
    acme = await make(owner, "accounts", name="Acme")
    await make(owner, "activities", kind="note", body="They like tea.", about=about(acme))
    past = "2025-01-01T00:00:00Z"
    await make(owner, "activities", kind="call", subject="First call", happened_at=past, about=about(acme))
    await owner.ok("PATCH", f"/v1/accounts/{acme['id']}", json={"rating": "hot", "city": "Leeds"}, if_match=1)
    return acme


async def test_a_timeline_merges_activities_and_changes_newest_first(owner: Client):
    acme = await a_life(owner)
    lines = (await owner.ok("GET", f"/v1/timeline?object=account&record_id={acme['id']}"))["data"]
    assert [(line["kind"], line["title"]) for line in lines] == [
        ("change", "Changed: city, completeness, rating"),
        ("note", "They like tea."),
        ("change", "Created"),
        ("call", "First call"),
    ]
    assert lines[0]["data"]["changes"]["rating"] == [None, "hot"]
    assert (lines[0]["actor_name"], lines[1]["object"]) == ("Olivia Owner", "activity")
    assert (await owner.ok("GET", f"/v1/accounts/{acme['id']}/timeline"))["data"] == lines


async def test_a_timeline_is_filtered_by_kind_and_read_page_by_page(owner: Client):
    acme = await a_life(owner)
    path = f"/v1/accounts/{acme['id']}/timeline"
    only = await owner.ok("GET", f"{path}?kind=note,call")
    assert [line["kind"] for line in only["data"]] == ["note", "call"]
    read, cursor = [], ""
    while True:
        page = await owner.ok("GET", f"{path}?limit=1{cursor}")
        read += [line["title"] for line in page["data"]]
        if not page["has_more"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert read == ["Changed: city, completeness, rating", "They like tea.", "Created", "First call"]
    other = await owner.get(f"{path}?kind=note{cursor}")
    assert (other.status_code, other.json()["code"]) == (400, "invalid_cursor")


async def test_nobody_reads_the_timeline_of_what_they_may_not_see(owner: Client, rival: Company):
    acme = await a_life(owner)
    for path in (
        f"/v1/accounts/{acme['id']}/timeline",
        f"/v1/timeline?object=account&record_id={acme['id']}",
        f"/v1/timeline?object=ghost&record_id={acme['id']}",
        f"/v1/ghosts/{acme['id']}/timeline",
    ):
        assert (await rival.owner.get(path)).status_code == 404


async def test_a_deleted_activity_leaves_the_timeline(owner: Client):
    acme = await make(owner, "accounts", name="Acme")
    note = await make(owner, "activities", kind="note", body="Wrong", about=about(acme))
    await owner.ok("DELETE", f"/v1/activities/{note['id']}", if_match=1)
    assert (await owner.ok("GET", f"/v1/accounts/{acme['id']}/timeline?kind=note"))["data"] == []


async def test_a_moved_date_moves_the_line(owner: Client):
    acme = await make(owner, "accounts", name="Acme")
    note = await make(owner, "activities", kind="note", body="Older", about=about(acme))
    await make(owner, "activities", kind="note", body="Newer", about=about(acme))
    await owner.ok(
        "PATCH", f"/v1/activities/{note['id']}", json={"happened_at": "2031-01-01T00:00:00Z"}, if_match=1
    )
    lines = (await owner.ok("GET", f"/v1/accounts/{acme['id']}/timeline?kind=note"))["data"]
    assert [line["title"] for line in lines] == ["Older", "Newer"]


async def test_changes_of_hidden_fields_are_not_told(owner: Client, company: Company):
    acme = await a_life(owner)
    blind = dataclasses.replace(
        await actor_of(company), hidden_fields={"account": frozenset({"rating", "completeness"})}
    )
    async with acting(company, blind) as uow:
        lines = await Timeline(uow).entries(Subject("account", subject_id(acme)), kinds=["change"])
    assert lines[0].title == "Changed: city"
    assert set(lines[0].data["changes"]) == {"city"}


class Visits:
    """A source of a module that exists in this test only."""

    kinds = frozenset({"visit"})

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def entries(
        self, subject: Subject, *, before: Position | None, limit: int
    ) -> Sequence[TimelineEntry]:
        at = datetime(2030, 1, 1, tzinfo=UTC)
        entry = TimelineEntry(UUID(int=7), at, "visit", "At the fair")
        return [entry] if before is None or (at, entry.id) < (before.at, before.id) else []


async def test_other_modules_add_lines_of_their_own_kinds(worker_database: str, tmp_path: Path):
    module = Module(name="visits", ports=((TimelineSource, Visits),))
    async with running(worker_database, tmp_path, (module,)) as app:
        company = await sign_up(app)
        acme = await make(company.owner, "accounts", name="Acme")
        path = f"/v1/accounts/{acme['id']}/timeline"
        lines = (await company.owner.ok("GET", path))["data"]
        assert [line["title"] for line in lines] == ["At the fair", "Created"]
        assert [line["kind"] for line in (await company.owner.ok("GET", f"{path}?kind=change"))["data"]] == [
            "change"
        ]
        await company.owner.http.aclose()
