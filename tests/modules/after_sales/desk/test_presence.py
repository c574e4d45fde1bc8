"""Agents who fall silent are away, and what they had not begun goes back."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from app.kernel.clock import FixedClock
from app.modules.after_sales.services.desk.presence import expire
from app.modules.after_sales.services.desk.routing import distribute
from tests.modules.after_sales.cases.cases import again, case_of, stepped
from tests.modules.after_sales.conftest import Hire
from tests.modules.after_sales.desk.desk import member_id, online, queue_of, relayed, waiting
from tests.modules.leads.shares import events
from tests.modules.opportunities.conftest import clock
from tests.modules.support import acting
from tests.support.api import Client, Company

__all__ = ["clock"]

Json = dict[str, Any]


async def expired(company: Company) -> int:
    async with acting(company) as uow:
        return await expire(uow)


async def status(company: Company, agent: Client) -> str:
    found = await company.owner.ok("GET", f"/v1/agents/{await member_id(agent)}")
    return str(found["status"])


async def test_whoever_says_nothing_is_away_and_gives_back_what_they_had_not_begun(
    company: Company, hire: Hire, clock: FixedClock
) -> None:
    owner, agent = company.owner, await hire()
    me = await member_id(agent)
    queue = await queue_of(owner, agent, routing="push")
    await online(agent)
    untouched, begun, given = await waiting(owner, queue, 3)
    await relayed(company)
    await stepped(agent, begun, "start")
    now = await again(owner, given)
    freed = await owner.ok(
        "PATCH", f"/v1/cases/{given['id']}", json={"owner_id": None}, if_match=now["version"]
    )
    await owner.ok("PATCH", f"/v1/cases/{given['id']}", json={"owner_id": me}, if_match=freed["version"])
    clock.set(clock.now() + timedelta(minutes=30) - timedelta(seconds=1))
    assert (await expired(company), await status(company, agent)) == (0, "online")
    clock.set(clock.now() + timedelta(seconds=1))
    assert (await expired(company), await status(company, agent)) == (1, "away")
    back = await again(owner, untouched)
    assert (back["owner_id"], back["routed_at"], back["queue_id"]) == (None, None, queue["id"])
    assert {(await again(owner, one))["owner_id"] for one in (begun, given)} == {me}
    told = await events(company, "after_sales.agent.presence_changed.v1")
    assert [one["status"] for one in told] == ["online", "away"]
    assert await expired(company) == 0


async def test_routing_passes_over_the_silent_before_anybody_says_that_they_are_away(
    company: Company, hire: Hire, clock: FixedClock
) -> None:
    silent, there = await hire(), await hire()
    queue = await queue_of(company.owner, silent, there, routing="push")
    await online(silent)
    clock.set(clock.now() + timedelta(minutes=31))
    case = await case_of(company.owner, queue_id=queue["id"])
    async with acting(company) as uow:
        assert await distribute(uow) == 0
    assert await status(company, silent) == "online"
    await online(there)
    async with acting(company) as uow:
        assert await distribute(uow) == 1
    assert (await again(company.owner, case))["owner_id"] == await member_id(there)


async def test_saying_it_again_a_call_or_a_word_about_a_case_keeps_somebody_there(
    company: Company, hire: Hire, clock: FixedClock
) -> None:
    says, calls, writes, asks = [await hire() for _ in range(4)]
    queue = await queue_of(company.owner, asks)
    await online(says, calls, writes, asks)
    call = await calls.ok("POST", "/v1/calls", json={"direction": "inbound"})
    case = await case_of(writes)
    clock.set(clock.now() + timedelta(minutes=20))
    await online(says)
    await writes.ok("POST", f"/v1/cases/{case['id']}/comments", json={"body": "I am looking at it"})
    await asks.ok("POST", f"/v1/queues/{queue['id']}/pull")
    clock.set(clock.now() + timedelta(minutes=20))
    assert await expired(company) == 0
    await calls.ok("POST", f"/v1/calls/{call['id']}/end")
    clock.set(clock.now() + timedelta(minutes=15))
    assert await expired(company) == 3
    assert await status(company, calls) == "online"


async def test_the_company_says_after_how_long_or_never(
    company: Company, hire: Hire, clock: FixedClock
) -> None:
    agent = await hire()
    await online(agent)
    found = await company.owner.ok("GET", "/v1/desk-settings")
    assert (found["version"], found["away_after_minutes"]) == (0, 30)
    body = {"capacity": 6, "away_after_minutes": None}
    never = await company.owner.ok("PUT", "/v1/desk-settings", json=body, if_match=0)
    assert never["away_after_minutes"] is None
    clock.set(clock.now() + timedelta(days=1))
    assert await expired(company) == 0
    body["away_after_minutes"] = 5
    await company.owner.ok("PUT", "/v1/desk-settings", json=body, if_match=never["version"])
    assert await expired(company) == 1


async def test_whoever_goes_offline_gives_back_and_a_coffee_does_not(company: Company, hire: Hire) -> None:
    agent = await hire()
    queue = await queue_of(company.owner, agent)
    await online(agent)
    [case] = await waiting(company.owner, queue)
    await agent.ok("POST", "/v1/desk/next")
    await agent.ok("POST", "/v1/desk/presence", json={"status": "away"})
    assert (await again(company.owner, case))["owner_id"] == await member_id(agent)
    await agent.ok("POST", "/v1/desk/presence", json={"status": "offline"})
    assert (await again(company.owner, case))["owner_id"] is None


async def test_many_who_look_at_once_take_an_agent_away_once(
    company: Company, hire: Hire, clock: FixedClock
) -> None:
    agents = [await hire() for _ in range(3)]
    queue = await queue_of(company.owner, *agents, routing="push")
    await online(*agents)
    cases = await waiting(company.owner, queue, 6)
    await relayed(company)
    clock.set(clock.now() + timedelta(hours=1))
    assert sum(await asyncio.gather(*(expired(company) for _ in range(20)))) == 3
    assert {(await again(company.owner, case))["owner_id"] for case in cases} == {None}
    told = await events(company, "after_sales.case.assigned.v1")
    assert sorted(one["id"] for one in told if one["owner_id"] is None) == sorted(
        case["id"] for case in cases
    )
