"""Calendars, members' hours, absences and skills over HTTP, and what modules are told of them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from app.tenants.interface import Colleagues, WorkingTime
from tests.modules.support import acting
from tests.support.api import Client, Company
from tests.tenants.people import Look, code_of, colleague

DAYS = {"mon": [["09:00", "12:00"], ["13:00", "18:00"]], "tue": [["09:00", "17:00"]]}
MONDAY_TEN = datetime(2026, 6, 1, 10, tzinfo=UTC)


async def make_calendar(owner: Client, **fields: Any) -> dict[str, Any]:
    body = {"name": "Office", "time_zone": "UTC", "days": DAYS} | fields
    made: dict[str, Any] = await owner.ok("POST", "/v1/calendars", json=body)
    return made


async def test_a_calendar_is_kept_as_given(owner: Client) -> None:
    more = {
        "country": "CN",
        "days_off": [{"date": "2026-06-02", "name": "Founding day"}],
        "work_days": [{"date": "2026-06-06", "name": "Make-up", "hours": [["10:00", "12:00"]]}],
    }
    made = await make_calendar(owner, time_zone="Asia/Shanghai", **more)
    assert (made["version"], made["is_default"], made["days"]["mon"]) == (1, False, DAYS["mon"])
    assert made["days"]["wed"] == []
    assert {name: made[name] for name in more} == more
    assert await owner.ok("GET", f"/v1/calendars/{made['id']}") == made
    changed = await owner.ok(
        "PATCH", f"/v1/calendars/{made['id']}", json={"country": None, "days_off": []}, if_match=1
    )
    assert (changed["version"], changed["country"], changed["days_off"]) == (2, None, [])


async def test_what_makes_no_sense_is_refused_and_nothing_is_made(owner: Client) -> None:
    for fields, pointer in (
        ({"days": {}}, "/days"),
        ({"days": {"mon": [["12:00", "09:00"]]}}, "/days/mon"),
        ({"time_zone": "Mars/Base"}, "/time_zone"),
        ({"country": "DE", "subdivision": "XX"}, "/subdivision"),
        ({"subdivision": "BY"}, "/subdivision"),
        ({"work_days": [{"date": "2026-06-06", "name": "x", "hours": [["11:00", "10:00"]]}]}, "/work_days/0"),
    ):
        body: dict[str, Any] = {"name": "Office", "time_zone": "UTC", "days": DAYS, **fields}
        refused = await owner.post("/v1/calendars", body)
        assert refused.status_code == 422, refused.text
        assert refused.json()["errors"][0]["pointer"].startswith(pointer.rpartition("/mon")[0] or pointer)
    assert (await owner.ok("GET", "/v1/calendars"))["data"] == []


async def test_one_calendar_is_the_default_however_many_claim_it(owner: Client) -> None:
    made = [await make_calendar(owner, name=f"Office {n}") for n in range(20)]
    answers = await asyncio.gather(
        *(owner.patch(f"/v1/calendars/{row['id']}", {"is_default": True}, if_match=1) for row in made)
    )
    assert {answer.status_code for answer in answers} <= {200, 412}
    listed = (await owner.ok("GET", "/v1/calendars"))["data"]
    assert [row["is_default"] for row in listed] == [True] + [False] * 19


async def test_a_calendar_in_use_is_not_deleted(company: Company, owner: Client) -> None:
    made = await make_calendar(owner)
    me = await owner.ok("GET", f"/v1/members/{company.member_id}")
    await owner.ok(
        "PATCH", f"/v1/members/{me['id']}", json={"calendar_id": made["id"]}, if_match=me["version"]
    )
    refused = await owner.delete(f"/v1/calendars/{made['id']}", if_match=1)
    assert (*code_of(refused), refused.json()["members"]) == (409, "calendar_in_use", 1)
    assert await owner.ok("GET", f"/v1/calendars/{made['id']}") == made
    await owner.ok("PATCH", f"/v1/members/{me['id']}", json={"calendar_id": None}, if_match=me["version"] + 1)
    assert (await owner.delete(f"/v1/calendars/{made['id']}", if_match=1)).status_code == 204
    assert (await owner.get(f"/v1/calendars/{made['id']}")).status_code == 404


async def test_salespeople_see_calendars_and_change_none(company: Company, owner: Client, look: Look) -> None:
    made = await make_calendar(owner)
    seller = await colleague(company, look)
    assert await seller.ok("GET", f"/v1/calendars/{made['id']}") == made
    for answer in (
        await seller.post("/v1/calendars", {"name": "Mine", "time_zone": "UTC"}),
        await seller.patch(f"/v1/calendars/{made['id']}", {"name": "Mine"}, if_match=1),
        await seller.delete(f"/v1/calendars/{made['id']}", if_match=1),
    ):
        assert code_of(answer) == (403, "forbidden")
    assert (await owner.ok("GET", "/v1/calendars"))["data"] == [made]


async def test_a_foreign_calendar_is_unknown(company: Company, rival: Company, owner: Client) -> None:
    foreign = await make_calendar(rival.owner)
    me = await owner.ok("GET", f"/v1/members/{company.member_id}")
    refused = await owner.patch(
        f"/v1/members/{me['id']}", {"calendar_id": foreign["id"]}, if_match=me["version"]
    )
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/calendar_id")
    assert (await owner.get(f"/v1/calendars/{foreign['id']}")).status_code == 404
    assert await owner.ok("GET", f"/v1/members/{me['id']}") == me


async def test_a_member_works_by_their_own_calendar_else_their_teams_else_the_default(
    company: Company, owner: Client, look: Look
) -> None:
    names = ("default", "above", "team", "own")
    ids = {
        name: (await make_calendar(owner, name=name, days={"mon": [[f"0{n}:00", "20:00"]]}))["id"]
        for n, name in enumerate(names, 1)
    }
    above = await owner.ok("POST", "/v1/teams", json={"name": "EMEA", "calendar_id": ids["above"]})
    team = await owner.ok("POST", "/v1/teams", json={"name": "DACH", "parent_id": above["id"]})
    seller = await colleague(company, look, team_ids=[team["id"]])
    member = UUID(seller.facts["member_id"])
    monday = datetime(2026, 6, 1, tzinfo=UTC)

    async def opens() -> int:
        async with acting(company) as uow:
            found = await uow.of(WorkingTime).calendars_of([member])
            return found[member].next_open(monday).hour

    assert await opens() == 2
    await owner.ok("PATCH", f"/v1/teams/{above['id']}", json={"calendar_id": None}, if_match=1)
    assert await opens() == 9  # of the settings, while no calendar is the default
    await owner.ok("PATCH", f"/v1/calendars/{ids['default']}", json={"is_default": True}, if_match=1)
    assert await opens() == 1
    await owner.ok("PATCH", f"/v1/teams/{above['id']}", json={"calendar_id": ids["above"]}, if_match=2)
    assert await opens() == 2
    await owner.ok("PATCH", f"/v1/teams/{team['id']}", json={"calendar_id": ids["team"]}, if_match=1)
    assert await opens() == 3
    found = await owner.ok("GET", f"/v1/members/{member}")
    await owner.ok(
        "PATCH", f"/v1/members/{member}", json={"calendar_id": ids["own"]}, if_match=found["version"]
    )
    assert await opens() == 4


async def test_present_are_those_who_work_and_are_not_away(
    company: Company, owner: Client, look: Look
) -> None:
    first, second = await colleague(company, look), await colleague(company, look)
    one, two = UUID(first.facts["member_id"]), UUID(second.facts["member_id"])
    away = await second.ok(
        "POST",
        "/v1/absences",
        json={
            "starts_at": "2026-06-01T10:00:00Z",
            "ends_at": "2026-06-01T12:00:00Z",
            "reason": "Dentist",
            "stand_in_id": str(one),
        },
    )
    assert (away["member_id"], away["version"], away["reason"]) == (str(two), 1, "Dentist")
    async with acting(company) as uow:
        working = uow.of(WorkingTime)
        assert await working.present([one, two], MONDAY_TEN) == {one}
        assert await working.absent([one, two], MONDAY_TEN) == {two: one}
        assert await working.present([one, two], MONDAY_TEN.replace(hour=12)) == {one, two}
        assert await working.present([one, two], MONDAY_TEN.replace(hour=20)) == frozenset()
        before = uow.statements
        await working.present([one, two], MONDAY_TEN)
        assert uow.statements - before <= 3
    listed = await owner.ok("GET", "/v1/absences", params={"at": "2026-06-01T11:00:00Z"})
    assert [row["id"] for row in listed["data"]] == [away["id"]]
    assert (await owner.ok("GET", "/v1/absences?at=2026-06-01T12:00:00Z"))["data"] == []


async def test_people_enter_their_own_absences_and_managers_those_of_their_teams(
    company: Company, owner: Client, look: Look
) -> None:
    team = await owner.ok("POST", "/v1/teams", json={"name": "North"})
    seller = await colleague(company, look, team_ids=[team["id"]])
    other = await colleague(company, look)
    manager = await colleague(company, look, "manager", team_ids=[team["id"]])
    span = {"starts_at": "2026-06-01T00:00:00Z", "ends_at": "2026-06-08T00:00:00Z"}
    mine = await seller.ok("POST", "/v1/absences", json=span)
    for answer in (
        await other.post("/v1/absences", span | {"member_id": seller.facts["member_id"]}),
        await other.patch(f"/v1/absences/{mine['id']}", {"reason": "x"}, if_match=1),
        await other.delete(f"/v1/absences/{mine['id']}", if_match=1),
        await manager.post("/v1/absences", span | {"member_id": other.facts["member_id"]}),
    ):
        assert code_of(answer) == (403, "forbidden")
    assert (await owner.ok("GET", "/v1/absences"))["data"] == [mine]
    changed = await manager.ok(
        "PATCH", f"/v1/absences/{mine['id']}", json={"ends_at": "2026-06-05T00:00:00Z"}, if_match=1
    )
    assert (changed["ends_at"], changed["version"]) == ("2026-06-05T00:00:00Z", 2)
    for body, pointer in (
        ({"ends_at": "2026-05-05T00:00:00Z"}, "/ends_at"),
        ({"stand_in_id": seller.facts["member_id"]}, "/stand_in_id"),
    ):
        refused = await seller.patch(f"/v1/absences/{mine['id']}", body, if_match=2)
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer)
    assert (await seller.delete(f"/v1/absences/{mine['id']}", if_match=2)).status_code == 204
    assert (await owner.ok("GET", "/v1/absences"))["data"] == []


async def test_skills_stand_on_the_member(company: Company, owner: Client) -> None:
    me = await owner.ok("GET", f"/v1/members/{company.member_id}")
    assert (me["skills"], me["calendar_id"]) == ([], None)
    skills = [{"skill": "Chinese", "level": 5}, {"skill": "Pumps", "level": 2}]
    changed = await owner.ok(
        "PATCH", f"/v1/members/{me['id']}", json={"skills": skills}, if_match=me["version"]
    )
    assert changed["skills"] == skills
    for wrong in ([{"skill": "x", "level": 6}], [skills[0], {"skill": "chinese", "level": 1}]):
        refused = await owner.patch(f"/v1/members/{me['id']}", {"skills": wrong}, if_match=changed["version"])
        assert refused.status_code == 422
    assert await owner.ok("GET", f"/v1/members/{me['id']}") == changed
    async with acting(company) as uow:
        found = await uow.of(Colleagues).among([company.member_id])
        assert found[company.member_id].skills == {"chinese": 5, "pumps": 2}
