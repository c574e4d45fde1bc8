"""Cases that are pushed, and hundreds of cases and agents at once: one owner each, none lost, nobody overburdened."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from app.kernel.clock import FixedClock
from app.kernel.jobs import JobRunner
from app.modules.after_sales.services.desk.queues import bearing
from app.modules.after_sales.services.desk.routing import AT_ONCE, distribute, route
from app.modules.after_sales.services.desk.taking import burdens
from tests.modules.after_sales.cases.cases import again, case_of, stepped
from tests.modules.after_sales.conftest import Hire
from tests.modules.after_sales.desk.desk import bear, member_id, online, queue_of, relayed, waiting
from tests.modules.leads.shares import events
from tests.modules.opportunities.conftest import clock
from tests.modules.support import acting
from tests.support.api import Client, Company
from tests.tenants.people import Look

__all__ = ["clock"]

Json = dict[str, Any]
ASSIGNED = "after_sales.case.assigned.v1"


async def owners(company: Company) -> Counter[str | None]:
    """How many cases each has; None: nobody."""
    async with acting(company) as uow:
        rows = await uow.fetch("SELECT owner_id FROM after_sales.cases WHERE tenant_id = $1", uow.tenant_id)
    return Counter(None if row["owner_id"] is None else str(row["owner_id"]) for row in rows)


async def poured(company: Company, queue: Json, number: int) -> None:
    """Many cases that wait, in one transaction's worth of statements."""
    async with acting(company) as uow:
        await uow.fetch(
            "INSERT INTO after_sales.cases (tenant_id, id, number, subject, priority, status, channel, queue_id,"
            " opened_at, reopened_count, escalation_level, sla_failed, created_at, updated_at)"
            " SELECT $1, gen_random_uuid(), 'N-' || n, 'Case ' || n, (ARRAY['low', 'normal', 'high', 'urgent'])[n % 4 + 1],"
            " 'new', 'web', $2, $3::timestamptz - make_interval(secs => $4 - n), 0, 0, false, $3, $3"
            " FROM generate_series(1, $4::int) n",
            uow.tenant_id,
            UUID(queue["id"]),
            uow.now,
            number,
        )


@pytest.mark.slow
async def test_two_hundred_cases_and_twenty_agents_pulling_at_once(company: Company, hire: Hire) -> None:
    agents = [await hire() for _ in range(20)]
    queue = await queue_of(company.owner, *agents)
    for agent in agents:
        await bear(company.owner, agent, 20)
    await poured(company, queue, 200)
    got: dict[str, list[str]] = {}

    async def work(agent: Client) -> None:
        mine = got.setdefault(await member_id(agent), [])
        while True:
            answer = await agent.post("/v1/desk/next")
            if answer.status_code == 409:
                assert answer.json()["code"] == "agent_at_capacity"
                return
            case = answer.json()["case"]
            if case is None:
                return
            assert answer.json()["load"] <= 20
            mine.append(case["id"])

    await asyncio.gather(*(work(agent) for agent in agents))
    taken = [id for ids in got.values() for id in ids]
    assert (len(taken), len(set(taken))) == (200, 200)
    assert await owners(company) == dict.fromkeys(got, 10)
    told = await events(company, ASSIGNED)
    assert Counter(event["id"] for event in told) == dict.fromkeys(taken, 1)


async def test_two_pulls_of_one_agent_at_capacity_for_one_give_one(company: Company, hire: Hire) -> None:
    agent = await hire()
    queue = await queue_of(company.owner, agent)
    await bear(company.owner, agent, 2)
    await poured(company, queue, 10)
    answers = await asyncio.gather(*(agent.post(f"/v1/queues/{queue['id']}/pull") for _ in range(30)))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 29}
    assert await owners(company) == {await member_id(agent): 1, None: 9}


async def test_pulls_and_pushes_at_once_overburden_nobody(company: Company, hire: Hire) -> None:
    agents = [await hire() for _ in range(5)]
    queue = await queue_of(company.owner, *agents, routing="push")
    await online(*agents)
    await poured(company, queue, 40)

    async def push() -> int:
        async with acting(company) as uow:
            return await distribute(uow)

    pulls = [agent.post("/v1/desk/next") for agent in agents for _ in range(4)]
    done = await asyncio.gather(push(), *pulls, push(), push())
    assert sum(one for one in done if isinstance(one, int)) <= 15
    await push()
    assert await owners(company) == {await member_id(agent): 3 for agent in agents} | {None: 25}


async def test_what_is_pushed_goes_to_whoever_has_most_room(company: Company, hire: Hire) -> None:
    small, large, away = await hire(), await hire(), await hire()
    queue = await queue_of(company.owner, small, large, away, routing="push")
    await bear(company.owner, small, 4)
    await bear(company.owner, large, 8)
    await away.ok("POST", "/v1/desk/presence", json={"status": "away"})
    cases = await waiting(company.owner, queue, 8)
    await relayed(company)
    assert await owners(company) == {await member_id(small): 2, await member_id(large): 4, None: 2}
    # Whoever has room again gets the next one by themselves.
    mine = [
        case for case in cases if (await again(company.owner, case))["owner_id"] == await member_id(small)
    ]
    await stepped(small, mine[0], "wait-for-customer")
    await relayed(company)
    assert (await owners(company))[None] == 1
    await online(away)
    await relayed(company)
    assert await owners(company) == {
        await member_id(small): 3, await member_id(large): 4, await member_id(away): 1,
    }  # fmt: skip


async def test_a_case_that_is_given_back_is_pushed_to_somebody_else(company: Company, hire: Hire) -> None:
    first, second = await hire(), await hire()
    queue = await queue_of(company.owner, first, second, routing="push")
    await online(first)
    [case] = await waiting(company.owner, queue)
    await relayed(company)
    assert (await again(company.owner, case))["owner_id"] == await member_id(first)
    await first.ok("POST", "/v1/desk/presence", json={"status": "offline"})
    await online(second)
    now = await again(company.owner, case)
    await company.owner.ok(
        "PATCH", f"/v1/cases/{case['id']}", json={"owner_id": None}, if_match=now["version"]
    )
    await relayed(company)
    assert (await again(company.owner, case))["owner_id"] == await member_id(second)


async def test_a_queue_of_pulling_is_left_alone(company: Company, hire: Hire) -> None:
    agent = await hire()
    queue = await queue_of(company.owner, agent)
    await online(agent)
    await waiting(company.owner, queue, 2)
    await relayed(company)
    async with acting(company) as uow:
        assert await distribute(uow) == 0
    assert await owners(company) == {None: 2}


async def test_nothing_is_pushed_to_somebody_on_the_telephone(company: Company, hire: Hire) -> None:
    agent = await hire()
    queue = await queue_of(company.owner, agent, routing="push")
    await online(agent)
    call = await agent.ok("POST", "/v1/calls", json={"direction": "inbound"})
    [case] = await waiting(company.owner, queue)
    await relayed(company)
    assert (await again(company.owner, case))["owner_id"] is None
    assert (await agent.post("/v1/desk/next")).json()["code"] == "agent_at_capacity"
    busy = await agent.ok("GET", f"/v1/agents/{await member_id(agent)}")
    assert (busy["load"], busy["on_call"], busy["cases"]) == (6, True, 0)
    await agent.ok("POST", f"/v1/calls/{call['id']}/end")
    await relayed(company)
    assert (await again(company.owner, case))["owner_id"] == await member_id(agent)


async def test_a_call_that_nobody_ends_keeps_an_agent_for_eight_hours(
    company: Company, hire: Hire, clock: FixedClock
) -> None:
    agent = await hire()
    queue = await queue_of(company.owner, agent)
    await online(agent)
    await waiting(company.owner, queue)
    await agent.ok("POST", "/v1/calls", json={"direction": "inbound"})
    me = UUID(await member_id(agent))

    async def load() -> int:
        async with acting(company) as uow:
            held = await bearing(uow)
            return (await burdens(uow, [(me, 6)], held))[me].load

    clock.set(clock.now() + timedelta(hours=8) - timedelta(seconds=1))
    assert await load() == 6
    clock.set(clock.now() + timedelta(seconds=1))
    assert await load() == 0


async def test_time_gives_what_optional_skills_held_back(
    company: Company, hire: Hire, clock: FixedClock
) -> None:
    agent = await hire()
    skills = [{"skill": "german", "required": False}]
    queue = await queue_of(company.owner, agent, routing="push", skills=skills, optional_for_seconds=120)
    await online(agent)
    [case] = await waiting(company.owner, queue)
    await relayed(company)
    async with acting(company) as uow:
        assert await distribute(uow) == 0
    clock.set(clock.now() + timedelta(seconds=120))
    async with acting(company) as uow:
        assert await distribute(uow) == 1
    assert (await again(company.owner, case))["owner_id"] == await member_id(agent)


async def test_more_than_one_transaction_should_do_goes_on_as_a_job(company: Company, look: Look) -> None:
    queue = await queue_of(company.owner, company.owner, routing="push")
    await bear(company.owner, company.owner, 1_000)
    await poured(company, queue, AT_ONCE + 30)
    async with acting(company) as uow:
        await route(uow)
    me = await member_id(company.owner)
    assert await owners(company) == {me: AT_ONCE, None: 30}
    await JobRunner(company.kernel).run_due()
    assert await owners(company) == {me: AT_ONCE + 30}


async def test_nothing_is_routed_to_somebody_who_left(company: Company, hire: Hire) -> None:
    agent = await hire()
    queue = await queue_of(company.owner, agent, routing="push")
    await online(agent)
    id = await member_id(agent)
    member = await company.owner.ok("GET", f"/v1/members/{id}")
    me = await member_id(company.owner)
    answer = await company.owner.post(
        f"/v1/members/{id}/deactivate", json={"hand_over_to": me}, if_match=member["version"]
    )
    assert answer.is_success, answer.text
    await waiting(company.owner, queue)
    await relayed(company)
    async with acting(company) as uow:
        assert await distribute(uow) == 0
    assert await owners(company) == {None: 1}
    assert (await company.owner.ok("GET", f"/v1/agents/{id}"))["status"] == "offline"


async def test_what_moves_a_case_between_states_costs_a_company_without_pushing_one_look(
    company: Company,
) -> None:
    await case_of(company.owner)
    async with acting(company) as uow:
        assert await distribute(uow) == 0
        assert uow.statements == 1
