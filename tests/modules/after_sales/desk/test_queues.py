"""Queues as settings, who may work them, skills, presence and capacity."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from app.kernel.clock import FixedClock
from app.modules.after_sales.services.desk.agents import AgentService
from tests.modules.after_sales.cases.cases import again, case_of, step, stepped
from tests.modules.after_sales.conftest import Hire
from tests.modules.after_sales.desk.desk import bear, member_id, online, queue_of, waiting
from tests.modules.opportunities.conftest import clock
from tests.modules.support import acting, count, make
from tests.support.api import Client, Company

__all__ = ["clock"]

Json = dict[str, Any]


async def pull(agent: Client, queue: Json) -> Json:
    found: Json = await agent.ok("POST", f"/v1/queues/{queue['id']}/pull")
    return found


async def test_a_queue_is_made_changed_and_deleted(company: Company) -> None:
    owner = company.owner
    queue = await queue_of(owner, owner, skills=[{"skill": "Pumps", "level": 2}])
    assert queue["skills"] == [{"skill": "Pumps", "level": 2, "required": True}]
    assert (queue["routing"], queue["waiting"], queue["optional_for_seconds"]) == ("pull", 0, 300)
    changed = await owner.ok(
        "PATCH",
        f"/v1/queues/{queue['id']}",
        json={"routing": "push", "skills": []},
        if_match=queue["version"],
    )
    assert (changed["routing"], changed["skills"], changed["member_ids"]) == ("push", [], queue["member_ids"])
    stale = await owner.patch(
        f"/v1/queues/{queue['id']}", json={"routing": "pull"}, if_match=queue["version"]
    )
    assert stale.status_code == 412
    taken = await owner.post("/v1/queues", json={"name": {"en": "Repairs"}})
    assert (taken.status_code, taken.json()["code"]) == (409, "duplicate_value")
    case = await case_of(owner, queue_id=queue["id"])
    used = await owner.delete(f"/v1/queues/{queue['id']}", if_match=changed["version"])
    assert (used.status_code, used.json()["code"], used.json()["cases"]) == (409, "queue_in_use", 1)
    assert (await again(owner, case))["queue_id"] == queue["id"]
    other = await queue_of(owner, name="Empty")
    assert (await owner.delete(f"/v1/queues/{other['id']}", if_match=1)).status_code == 204
    assert [one["name"]["en"] for one in (await owner.ok("GET", "/v1/queues"))["data"]] == ["Repairs"]


async def test_a_queue_refuses_what_is_not_there(company: Company, rival: Company) -> None:
    theirs = await member_id(rival.owner)
    for body in (
        {"member_ids": [theirs]},
        {"team_ids": [str(uuid4())]},
        {"skills": [{"skill": "Pumps"}, {"skill": "pumps"}]},
        {"skills": [{"skill": "Pumps", "level": 6}]},
        {"optional_for_seconds": -1},
        {"colour": "red"},
    ):
        answer = await company.owner.post("/v1/queues", json={"name": {"en": "Repairs"}} | body)
        assert answer.status_code == 422, body
    assert (await company.owner.ok("GET", "/v1/queues"))["data"] == []


async def test_another_company_reaches_nothing_of_the_desk(company: Company, rival: Company) -> None:
    queue = await queue_of(company.owner, company.owner)
    [case] = await waiting(company.owner, queue)
    await online(company.owner, rival.owner)
    me = await member_id(company.owner)
    them = rival.owner
    assert (await them.get(f"/v1/queues/{queue['id']}")).status_code == 404
    assert (await them.post(f"/v1/queues/{queue['id']}/pull")).status_code == 404
    assert (
        await them.patch(f"/v1/queues/{queue['id']}", json={"routing": "push"}, if_match=1)
    ).status_code == 404
    assert (await them.get(f"/v1/agents/{me}")).status_code == 404
    assert (await them.put(f"/v1/agents/{me}", json={"status": "offline"}, if_match=1)).status_code == 404
    assert (
        await them.post("/v1/cases", json={"subject": "Leak", "queue_id": queue["id"]})
    ).status_code == 422
    assert (await them.ok("POST", "/v1/desk/next"))["case"] is None
    assert (await again(company.owner, case))["owner_id"] is None
    assert (await company.owner.ok("GET", f"/v1/agents/{me}"))["status"] == "online"


async def test_the_most_urgent_and_then_the_oldest_comes_first(company: Company, hire: Hire) -> None:
    agent = await hire()
    queue = await queue_of(company.owner, agent)
    await bear(company.owner, agent, 100)
    made = [
        (await waiting(company.owner, queue, priority=priority))[0]["id"]
        for priority in ("low", "normal", "urgent", "high", "normal", "urgent")
    ]
    expected = [made[place] for place in (2, 5, 3, 1, 4, 0)]
    assert [(await pull(agent, queue))["case"]["id"] for _ in made] == expected
    assert (await pull(agent, queue)) == {"case": None, "load": 12, "capacity": 100}
    mine = await agent.ok("GET", f"/v1/cases/{made[2]}")
    assert (mine["owner_id"], mine["queue_id"], mine["status"]) == (
        await member_id(agent), queue["id"], "new",
    )  # fmt: skip


async def test_capacity_six_with_weight_two_holds_three(company: Company, hire: Hire) -> None:
    agent = await hire()
    queue = await queue_of(company.owner, agent)
    await online(agent)
    await waiting(company.owner, queue, 5)
    taken = [await pull(agent, queue) for _ in range(3)]
    assert [(one["load"], one["capacity"]) for one in taken] == [(2, 6), (4, 6), (6, 6)]
    full = await agent.post(f"/v1/queues/{queue['id']}/pull")
    assert (full.status_code, full.json()["code"], full.json()["load"]) == (409, "agent_at_capacity", 6)
    assert (await company.owner.ok("GET", f"/v1/queues/{queue['id']}"))["waiting"] == 2
    # The customer's turn frees the agent; going on with it does not push them over by itself.
    await stepped(agent, taken[0]["case"], "wait-for-customer")
    assert (await pull(agent, queue))["load"] == 6
    await stepped(agent, taken[0]["case"], "start")
    me = await company.owner.ok("GET", f"/v1/agents/{await member_id(agent)}")
    assert (me["load"], me["cases"]) == (8, 4)
    assert (await agent.post("/v1/desk/next")).json()["code"] == "agent_at_capacity"
    await stepped(agent, taken[0]["case"], "resolve")
    await stepped(agent, taken[1]["case"], "resolve")
    assert (await pull(agent, queue))["load"] == 6


async def test_channels_weigh_what_the_company_says(company: Company, hire: Hire) -> None:
    owner, agent = company.owner, await hire()
    await owner.ok(
        "PUT",
        "/v1/desk-settings",
        json={"capacity": 5, "weights": {"chat": 3, "email": 1, "phone": None}},
        if_match=0,
    )
    queue = await queue_of(owner, agent)
    await online(agent)
    for channel in ("email", "chat", "phone"):
        await waiting(owner, queue, channel=channel)
    assert (await pull(agent, queue))["load"] == 1
    assert (await pull(agent, queue))["load"] == 4
    # A case by telephone takes an agent whole: it waits until nothing else is on the desk.
    assert (await pull(agent, queue)) == {"case": None, "load": 4, "capacity": 5}
    for case in (await agent.ok("GET", f"/v1/cases?owner_id={await member_id(agent)}"))["data"]:
        await stepped(agent, case, "resolve")
    whole = await pull(agent, queue)
    assert (whole["case"]["channel"], whole["load"]) == ("phone", 5)
    await waiting(owner, queue, channel="email")
    assert (await agent.post("/v1/desk/next")).json()["code"] == "agent_at_capacity"


async def test_only_members_who_are_online_take_cases(company: Company, hire: Hire) -> None:
    owner, agent, stranger, viewer = company.owner, await hire(), await hire(), await hire("viewer")
    team = await make(owner, "teams", name="Service")
    mate = await hire(team_ids=[team["id"]])
    queue = await queue_of(owner, agent, team_ids=[team["id"]])
    await waiting(owner, queue, 2)
    path = f"/v1/queues/{queue['id']}/pull"
    offline = await agent.post(path)
    assert (offline.status_code, offline.json()["code"]) == (409, "agent_not_online")
    await online(agent, stranger, mate)
    assert (await viewer.post(path)).status_code == 403
    assert (await viewer.post("/v1/desk/presence", json={"status": "online"})).status_code == 403
    assert (await stranger.post(path)).status_code == 403
    assert (await stranger.ok("POST", "/v1/desk/next"))["case"] is None
    await agent.ok("POST", "/v1/desk/presence", json={"status": "away"})
    assert (await agent.post(path)).json()["code"] == "agent_not_online"
    assert (await owner.ok("GET", f"/v1/queues/{queue['id']}"))["waiting"] == 2
    taken = await mate.ok("POST", path)
    assert taken["case"]["team_id"] == team["id"]


async def test_lower_roles_manage_neither_queues_nor_others(company: Company, hire: Hire) -> None:
    agent, other = await hire(), await hire()
    queue = await queue_of(company.owner, agent)
    id = await member_id(other)
    answers = [
        await agent.post("/v1/queues", json={"name": {"en": "Mine"}}),
        await agent.patch(f"/v1/queues/{queue['id']}", json={"member_ids": []}, if_match=1),
        await agent.delete(f"/v1/queues/{queue['id']}", if_match=1),
        await agent.put(f"/v1/agents/{id}", json={"status": "online"}, if_match=0),
        await agent.put("/v1/desk-settings", json={"capacity": 900}, if_match=0),
    ]
    assert [answer.status_code for answer in answers] == [403] * 5
    assert (await company.owner.ok("GET", f"/v1/queues/{queue['id']}"))["version"] == 1
    assert (await company.owner.ok("GET", f"/v1/agents/{id}"))["version"] == 0
    assert (await company.owner.ok("GET", "/v1/desk-settings"))["capacity"] == 6


async def test_skills_are_asked_for_and_optional_ones_for_some_time(
    company: Company, hire: Hire, clock: FixedClock
) -> None:
    owner, novice, german = company.owner, await hire(), await hire()
    for agent, skills in ((novice, {"Pumps": 2}), (german, {"pumps": 3, "German": 4})):
        id = await member_id(agent)
        known = await owner.ok("GET", f"/v1/members/{id}")
        listed = [{"skill": name, "level": level} for name, level in skills.items()]
        await owner.ok("PATCH", f"/v1/members/{id}", json={"skills": listed}, if_match=known["version"])
    await online(novice, german)
    hard = await queue_of(owner, novice, german, name="Hard", skills=[{"skill": "pumps", "level": 3}])
    [case] = await waiting(owner, hard)
    assert (await pull(novice, hard))["case"] is None
    assert (await pull(german, hard))["case"]["id"] == case["id"]
    wanted = [{"skill": "pumps"}, {"skill": "german", "level": 3, "required": False}]
    soft = await queue_of(owner, novice, german, name="Soft", skills=wanted, optional_for_seconds=600)
    [first] = await waiting(owner, soft)
    clock.set(clock.now() + timedelta(seconds=599))
    [second] = await waiting(owner, soft)
    assert (await pull(novice, soft))["case"] is None
    clock.set(clock.now() + timedelta(seconds=1))
    assert (await pull(novice, soft))["case"]["id"] == first["id"]
    assert (await pull(novice, soft))["case"] is None
    assert (await pull(german, soft))["case"]["id"] == second["id"]


async def test_a_queue_can_be_named_by_any_case_of_the_company(company: Company) -> None:
    queue = await queue_of(company.owner)
    case = await case_of(company.owner, queue_id=queue["id"])
    assert (case["queue_id"], case["owner_id"]) == (queue["id"], None)
    resolved = await stepped(company.owner, case, "resolve")
    assert (await company.owner.ok("GET", f"/v1/queues/{queue['id']}"))["waiting"] == 0
    assert (await step(company.owner, resolved, "reopen")).status_code == 200
    assert (await company.owner.ok("GET", f"/v1/queues/{queue['id']}"))["waiting"] == 1
    assert await count(company, "after_sales.cases") == 1


async def test_a_pull_takes_as_many_statements_however_much_waits(company: Company) -> None:
    spent = []
    queue = await queue_of(company.owner, company.owner)
    await bear(company.owner, company.owner, 900)
    for more in (1, 30):
        await waiting(company.owner, queue, more)
        async with acting(company) as uow:
            given, _ = await AgentService(uow).pull(UUID(queue["id"]))
            assert given.case is not None
            await uow.flush()
            spent.append(uow.statements)
    # Queue, colleague, settings (asked once, then remembered), agent, case, time of the last one, row and effects.
    assert spent[1] <= 7
    assert spent[1] <= spent[0]
