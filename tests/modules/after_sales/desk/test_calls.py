"""Screen pop: who is calling, what we know of them, and where the call goes when it ends."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.kernel.access import Scope
from app.kernel.stream import StreamedEvent, visible
from app.modules.after_sales.models.desk import CallDirection
from app.modules.after_sales.schemas.calls import CallCreate
from app.modules.after_sales.services.calls.calls import CallService
from tests.modules.after_sales.cases.cases import case_of, stepped
from tests.modules.after_sales.conftest import Hire
from tests.modules.after_sales.desk.desk import member_id
from tests.modules.leads.shares import events
from tests.modules.membership.points import adjust, enrol, programme
from tests.modules.orders.orders import line, order_of
from tests.modules.support import acting, actor_of, colleague, count, make
from tests.support.api import Client, Company

Json = dict[str, Any]
NUMBER = "+31 10 123 4567"
E164 = "+31101234567"


async def ring(agent: Client, number: str | None = NUMBER, **fields: Any) -> Json:
    made: Json = await agent.ok("POST", "/v1/calls", json={"number": number, "direction": "inbound"} | fields)
    return made


def shown(pop: Json) -> list[tuple[str, str]]:
    return [(caller["object"], caller["name"]) for caller in pop["callers"]]


async def test_a_call_shows_who_it_is_and_all_that_is_known(company: Company, account: Json) -> None:
    owner = company.owner
    contact = await make(owner, "contacts", name="Ada Byron", account_id=account["id"], mobile=NUMBER)
    order = await order_of(owner, account, line("2"))
    await owner.ok("POST", f"/v1/orders/{order['id']}/confirm", if_match=order["version"])
    await order_of(owner, account, line("1"))
    low = await case_of(owner, contact_id=contact["id"], priority="low")
    urgent = await case_of(owner, account_id=account["id"], priority="urgent", subject="It burns")
    await stepped(owner, await case_of(owner, account_id=account["id"]), "resolve")
    about = [{"object": "contact", "record_id": contact["id"]}]
    note = await make(owner, "activities", kind="note", subject="Likes tea", about=about)
    pop = await ring(owner)
    assert (pop["e164"], pop["number"], pop["new_lead"], pop["ended_at"]) == (E164, NUMBER, None, None)
    [caller] = pop["callers"]
    assert (caller["object"], caller["id"], caller["name"]) == ("contact", contact["id"], "Ada Byron")
    assert caller["account"] == {"id": account["id"], "name": "Harbour Pumps"}
    [purchase] = caller["purchases"]
    assert (purchase["id"], purchase["number"], purchase["total"]) == (
        order["id"],
        order["number"],
        order["total"],
    )
    assert purchase["items"] == [order["lines"][0]["description"]]
    assert [case["id"] for case in caller["open_cases"]] == [urgent["id"], low["id"]]
    assert [talk["id"] for talk in caller["conversations"]] == [note["id"]]
    assert (await owner.ok("GET", f"/v1/calls/{pop['id']}"))["callers"] == pop["callers"]


@pytest.mark.parametrize(
    ("plural", "fields"),
    [
        ("accounts", {"phone": NUMBER}),
        ("accounts", {"phone": "+31 20 555 0000", "phones": ["+31 10 999 9999", NUMBER]}),
        ("accounts", {"phone": "+31 20 555 0000", "phones": ["010 1234567"], "country": "NL"}),
        ("accounts", {"phones": ["+31 10 123 4567 ext. 12"]}),
        ("contacts", {"mobile": NUMBER}),
        ("contacts", {"mobile": "+31 6 5550 0000", "phone": NUMBER}),
        ("contacts", {"mobile": "+31 6 5550 0000", "phone": "(010) 123-4567", "country": "NL"}),
        ("leads", {"phone": "0031 10 123 45 67", "country": "NL"}),
    ],
)
async def test_every_number_of_a_record_is_found_however_it_is_written(
    company: Company, plural: str, fields: Json
) -> None:
    made = await make(company.owner, plural, name="Right", **fields)
    await make(company.owner, plural, name="Wrong", phone="+31 10 923 4567")
    await make(company.owner, "accounts", name="Wrong", phones=["+32 10 123 4567", "+31 11 123 4567"])
    for dialled in (NUMBER, "+31101234567", "+31-10-1234567"):
        pop = await ring(company.owner, dialled)
        assert [caller["id"] for caller in pop["callers"]] == [made["id"]]


async def test_several_are_all_shown_those_with_open_cases_first(company: Company) -> None:
    owner = company.owner
    quiet = await make(owner, "contacts", name="Quiet", phone=NUMBER)
    spoken = await make(owner, "contacts", name="Spoken", phone=NUMBER)
    firm = await make(owner, "accounts", name="Firm", phone=NUMBER)
    await make(owner, "leads", name="Lead", phone=NUMBER, company="Startup")
    await make(
        owner,
        "activities",
        kind="call",
        subject="Hello",
        about=[{"object": "contact", "record_id": spoken["id"]}],
    )
    await case_of(owner, account_id=firm["id"])
    pop = await ring(owner)
    assert shown(pop) == [("account", "Firm"), ("contact", "Spoken"), ("contact", "Quiet"), ("lead", "Lead")]
    assert pop["callers"][3]["company"] == "Startup"
    ended = await owner.ok("POST", f"/v1/calls/{pop['id']}/end", json={"outcome": "answered"})
    assert ended["about"] == []  # nobody said which of them it was
    chosen = await ring(owner)
    about = [{"object": "contact", "record_id": quiet["id"]}]
    ended = await owner.ok("POST", f"/v1/calls/{chosen['id']}/end", json={"about": about})
    assert ended["about"] == about


async def test_an_unknown_number_offers_a_lead(company: Company) -> None:
    pop = await ring(company.owner, "+86 138 0013 8000")
    assert (pop["e164"], pop["callers"]) == ("+8613800138000", [])
    lead = await company.owner.ok("POST", "/v1/leads", json=pop["new_lead"])
    assert (lead["name"], lead["phone"], lead["source"]) == (
        "+86 138 0013 8000",
        "+86 138 0013 8000",
        "phone",
    )
    again = await company.owner.ok("GET", f"/v1/calls/{pop['id']}")
    assert (shown(again), again["new_lead"]) == ([("lead", "+86 138 0013 8000")], None)


async def test_a_converted_lead_is_shown_as_what_it_became(company: Company) -> None:
    owner = company.owner
    lead = await make(owner, "leads", name="Ada", company="Engines", phone=NUMBER)
    await owner.ok("POST", f"/v1/leads/{lead['id']}/convert", json={}, if_match=lead["version"])
    assert {caller["object"] for caller in (await ring(owner))["callers"]} <= {"contact", "account"}


@pytest.mark.parametrize("number", [None, "4711"])
async def test_a_withheld_or_short_number_is_kept_too(company: Company, number: str | None) -> None:
    pop = await ring(company.owner, number)
    assert (pop["number"], pop["e164"], pop["callers"]) == (number, None, [])
    assert (pop["new_lead"] is None) == (number is None)
    ended = await company.owner.ok("POST", f"/v1/calls/{pop['id']}/end", json={"duration_seconds": 3})
    activity = await company.owner.ok("GET", f"/v1/activities/{ended['activity_id']}")
    assert activity["subject"] == ("Call from a withheld number" if number is None else "Call from 4711")
    assert (activity["kind"], activity["about"], activity["duration_seconds"]) == ("call", [], 3)


async def test_a_call_that_ends_stands_on_the_timeline(company: Company, account: Json, hire: Hire) -> None:
    owner, agent = company.owner, await hire()
    contact = await make(owner, "contacts", name="Ada Byron", account_id=account["id"], phone=NUMBER)
    id = await member_id(agent)
    pop = await ring(owner, agent_id=id, direction="outbound")
    body = {"duration_seconds": 95, "outcome": "answered", "note": "Wants a new seal"}
    ended = await owner.ok("POST", f"/v1/calls/{pop['id']}/end", json=body)
    assert (ended["duration_seconds"], ended["outcome"]) == (95, "answered")
    assert [one["record_id"] for one in ended["about"]] == [contact["id"], account["id"]]
    activity = await owner.ok("GET", f"/v1/activities/{ended['activity_id']}")
    assert (activity["subject"], activity["owner_id"], activity["status"]) == (
        "Call to Ada Byron",
        id,
        "done",
    )
    assert (activity["direction"], activity["outcome"], activity["body"]) == (
        "outbound", "answered", "Wants a new seal",
    )  # fmt: skip
    for path in (f"contacts/{contact['id']}", f"accounts/{account['id']}"):
        timeline = await owner.ok("GET", f"/v1/{path}/timeline?kind=call")
        assert [entry["id"] for entry in timeline["data"]] == [ended["activity_id"]]
    again = await owner.post(f"/v1/calls/{pop['id']}/end", json=body)
    assert (again.status_code, again.json()["code"]) == (409, "call_ended")


async def test_a_call_ends_once_however_many_say_so(company: Company) -> None:
    pop = await ring(company.owner)
    before = await count(company, "activities.activities")
    answers = await asyncio.gather(*(company.owner.post(f"/v1/calls/{pop['id']}/end") for _ in range(40)))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 39}
    assert await count(company, "activities.activities") == before + 1


async def test_the_agents_browser_hears_of_it_and_nobody_elses(company: Company, hire: Hire) -> None:
    agent = await hire()
    id = await member_id(agent)
    pop = await ring(company.owner, agent_id=id)
    [told] = await events(company, "after_sales.call.started.v1")
    assert told == {"id": pop["id"], "for_member_id": id, "direction": "inbound"}
    kernel = company.app.kernel
    assert kernel is not None
    event = StreamedEvent(
        (1, uuid4()),
        "after_sales.call.started.v1",
        "call",
        UUID(pop["id"]),
        None,
        (),
        None,
        uuid4(),
        UUID(id),
    )
    theirs = await kernel.authenticator.authenticate(f"Bearer {agent.token}", None)
    assert await visible(kernel, theirs, [event]) == [event]
    assert await visible(kernel, await actor_of(company), [event]) == []


async def test_calls_are_the_agents_own(company: Company, rival: Company, hire: Hire) -> None:
    agent, other, viewer = await hire(), await hire(), await hire("viewer")
    pop = await ring(agent)
    me, another = await member_id(agent), await member_id(other)
    path = f"/v1/calls/{pop['id']}"
    for stranger in (other, rival.owner):
        assert (await stranger.get(path)).status_code == 404
        assert (await stranger.post(f"{path}/end")).status_code == 404
    assert (await viewer.get(path)).status_code == 403
    body = {"direction": "inbound", "agent_id": another}
    assert (await agent.post("/v1/calls", json=body)).status_code == 403
    refused = await company.owner.post(
        "/v1/calls", json={"direction": "inbound", "agent_id": await member_id(rival.owner)}
    )
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/agent_id")
    assert (await other.get(f"/v1/calls?agent_id={me}")).status_code == 403
    assert (await other.ok("GET", "/v1/calls"))["data"] == []
    assert [call["id"] for call in (await agent.ok("GET", "/v1/calls"))["data"]] == [pop["id"]]
    assert [call["id"] for call in (await company.owner.ok("GET", "/v1/calls"))["data"]] == [pop["id"]]
    assert (await company.owner.ok("GET", path))["ended_at"] is None


async def test_calls_come_in_pages(company: Company) -> None:
    made = [(await ring(company.owner, f"+31 10 123 450{n}"))["id"] for n in range(5)]
    first = await company.owner.ok("GET", "/v1/calls?limit=3")
    rest = await company.owner.ok("GET", f"/v1/calls?limit=3&cursor={first['next_cursor']}")
    assert [call["id"] for page in (first, rest) for call in page["data"]] == made[::-1]
    assert (first["has_more"], rest["has_more"], rest["next_cursor"]) == (True, False, None)
    me = await member_id(company.owner)
    assert (
        await company.owner.get(f"/v1/calls?agent_id={me}&cursor={first['next_cursor']}")
    ).status_code == 400


async def test_what_one_may_not_see_does_not_ring(company: Company, rival: Company) -> None:
    owner = company.owner
    await make(owner, "accounts", name="Firm", phone=NUMBER)
    await make(owner, "leads", name="Lead", phone=NUMBER)
    await make(rival.owner, "accounts", name="Theirs", phone=NUMBER)
    assert [one[1] for one in shown(await ring(owner))] == ["Firm", "Lead"]
    assert [one[1] for one in shown(await ring(rival.owner))] == ["Theirs"]
    me = await actor_of(company)
    body = CallCreate(number=NUMBER, direction=CallDirection.INBOUND)
    for grants, expected in (
        ({}, []),
        ({"account_read": Scope.OWN, "lead_read": Scope.OWN}, []),
        ({"account_read": Scope.ALL}, ["Firm"]),
        ({"lead_read": Scope.ALL}, ["Lead"]),
    ):
        async with acting(company, colleague(me, desk_work=Scope.ALL, **grants)) as uow:
            pop = await CallService(uow).start(body)
        assert [caller.name for caller in pop.callers] == expected
        assert all(not caller.purchases and not caller.open_cases for caller in pop.callers)


@pytest.mark.parametrize(
    "body",
    [
        {"number": "no number"},
        {"number": "1" * 30},
        {"direction": "sideways"},
        {"started_at": "2999-01-01T00:00:00Z"},
        {"started_at": "2001-01-01T00:00:00Z"},
        {"agent_id": str(uuid4())},
        {"colour": "red"},
    ],
)
async def test_what_is_no_call_is_refused(company: Company, body: Json) -> None:
    answer = await company.owner.post("/v1/calls", json={"direction": "inbound"} | body)
    assert answer.status_code == 422
    assert (await company.owner.ok("GET", "/v1/calls"))["data"] == []


async def test_the_end_names_only_what_is_there(company: Company, rival: Company) -> None:
    theirs = await make(rival.owner, "accounts", name="Theirs")
    pop = await ring(company.owner)
    for body in (
        {"about": [{"object": "account", "record_id": theirs["id"]}]},
        {"about": [{"object": "order", "record_id": theirs["id"]}]},
        {"duration_seconds": -1},
        {"outcome": "x" * 300},
    ):
        answer = await company.owner.post(f"/v1/calls/{pop['id']}/end", json=body)
        assert answer.status_code == 422
    assert (await company.owner.ok("GET", f"/v1/calls/{pop['id']}"))["ended_at"] is None


async def test_memberships_of_the_contact_and_of_the_account_are_shown(
    company: Company, account: Json
) -> None:
    owner = company.owner
    contact = await make(owner, "contacts", name="Ada Byron", account_id=account["id"], phone=NUMBER)
    club = await programme(owner)
    member = await enrol(owner, club, account)
    await adjust(owner, member, 250)
    pop = await ring(owner)
    [caller] = pop["callers"]
    assert caller["id"] == contact["id"]
    [card] = caller["memberships"]
    assert (card["id"], card["number"], card["points"]) == (member["id"], member["number"], 250)


async def test_who_it_is_takes_one_statement_in_each_module(company: Company, account: Json) -> None:
    """However many have the number: a switchboard's stands on many."""
    owner = company.owner
    for number in range(6):
        contact = await make(
            owner, "contacts", name=f"Person {number}", account_id=account["id"], phone=NUMBER
        )
        await case_of(owner, contact_id=contact["id"])
    await order_of(owner, account, line("2"))
    await make(owner, "leads", name="Lead", phone=NUMBER)
    asked: list[str] = []
    async with acting(company) as uow:
        uow.connection.add_query_logger(lambda record: asked.append(record.query))
        pop = await CallService(uow).start(CallCreate(number=NUMBER, direction=CallDirection.INBOUND))
        await uow.flush()
    assert len(pop.callers) == 7
    names = ["customers", "leads", "orders", "activities", "after_sales", "membership"]
    seen = Counter(next((n for n in names if f" {n}." in sql), "other") for sql in asked)
    assert all(seen[name] <= 1 for name in names if name != "after_sales"), seen
    assert seen["after_sales"] <= 2, seen  # cases are read once, and the call is written once
    assert len(asked) <= 8, asked
