"""Skills that cases ask for: said by somebody or by rules, with levels, the optional ones for a time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from app.kernel.access import system_actor
from app.kernel.clock import FixedClock
from app.kernel.jobs import JobContext
from app.modules.after_sales.services.cases.reskilling import Nothing, reskill, reskill_chunk
from app.modules.after_sales.services.cases.skills import RESKILL
from app.modules.after_sales.services.desk.queues import ROUTE
from app.modules.after_sales.services.desk.routing import route
from tests.modules.after_sales.cases.cases import again, case_of, stepped
from tests.modules.after_sales.conftest import Hire
from tests.modules.after_sales.desk.desk import bear, member_id, online, queue_of, relayed
from tests.modules.opportunities.conftest import clock
from tests.modules.support import acting, actor_of, make
from tests.support.api import Client, Company
from tests.tenants.people import Look

__all__ = ["clock"]

Json = dict[str, Any]
GERMAN = {"or": [{"and": [{"field": "language", "op": "eq", "value": "de"}]}]}


async def skilled(company: Company, agent: Client, **levels: int) -> None:
    me = await company.owner.ok("GET", f"/v1/members/{await member_id(agent)}")
    skills = [{"skill": name, "level": level} for name, level in levels.items()]
    await company.owner.ok(
        "PATCH", f"/v1/members/{me['id']}", json={"skills": skills}, if_match=me["version"]
    )


async def next_of(agent: Client) -> str | None:
    case = (await agent.ok("POST", "/v1/desk/next"))["case"]
    return None if case is None else str(case["id"])


async def rule(owner: Client, name: str, conditions: Json | None, *skills: Json) -> Json:
    body = {"name": name, "conditions": conditions, "skills": list(skills)}
    made: Json = await owner.ok("POST", "/v1/case-skill-rules", json=body)
    return made


async def test_a_case_goes_to_whoever_has_its_skills_at_their_level(company: Company, hire: Hire) -> None:
    novice, expert = await hire(), await hire()
    queue = await queue_of(company.owner, novice, expert)
    await skilled(company, novice, Pumps=2)
    await skilled(company, expert, pumps=3, German=1)
    await online(novice, expert)
    asked = [{"skill": "PUMPS", "level": 3}, {"skill": "german"}]
    hard = await case_of(company.owner, queue_id=queue["id"], skills=asked, priority="urgent")
    easy = await case_of(company.owner, queue_id=queue["id"], skills=[{"skill": "pumps"}])
    assert hard["required_skills"] == [
        {"skill": "german", "level": 1, "required": True},
        {"skill": "pumps", "level": 3, "required": True},
    ]
    assert [await next_of(novice), await next_of(novice)] == [easy["id"], None]
    assert await next_of(expert) == hard["id"]
    taken = await again(company.owner, hard)
    assert (taken["owner_id"], taken["routed_at"] is not None) == (await member_id(expert), True)


async def test_an_optional_skill_is_asked_for_only_while_the_case_is_young(
    company: Company, hire: Hire, clock: FixedClock
) -> None:
    agent = await hire()
    queue = await queue_of(company.owner, agent, optional_for_seconds=60)
    await online(agent)
    soft, hard = {"skill": "german", "required": False}, {"skill": "french"}
    first = await case_of(company.owner, queue_id=queue["id"], skills=[soft])
    await case_of(company.owner, queue_id=queue["id"], skills=[soft, hard])
    clock.set(clock.now() + timedelta(seconds=59))
    assert await next_of(agent) is None
    clock.set(clock.now() + timedelta(seconds=1))
    assert [await next_of(agent), await next_of(agent)] == [first["id"], None]


async def test_rules_add_up_and_what_somebody_said_goes_first(company: Company) -> None:
    owner = company.owner
    pump = await make(owner, "products", name="Pump", code="P-1")
    of_pump = {"or": [{"and": [{"field": "product_id", "op": "eq", "value": pump["id"]}]}]}
    of_faults = {"or": [{"and": [{"field": "type", "op": "eq", "value": "incident"}]}]}
    await rule(owner, "Pumps", of_pump, {"skill": "pumps", "level": 2, "required": False})
    await rule(owner, "Faults", of_faults, {"skill": "Pumps", "level": 1}, {"skill": "electrics", "level": 4})
    german = await rule(owner, "German", GERMAN, {"skill": "german", "level": 3})
    case = await case_of(owner, product_id=pump["id"], type="incident", language="de")
    needs = {one["skill"]: (one["level"], one["required"]) for one in case["required_skills"]}
    assert needs == {"pumps": (2, True), "electrics": (4, True), "german": (3, True)}
    assert case["skills"] is None
    plain = await owner.ok(
        "PATCH", f"/v1/cases/{case['id']}", json={"language": "en", "type": None}, if_match=case["version"]
    )
    assert plain["required_skills"] == [{"skill": "pumps", "level": 2, "required": False}]
    said = await owner.ok("PATCH", f"/v1/cases/{case['id']}", json={"skills": []}, if_match=plain["version"])
    assert (said["skills"], said["required_skills"]) == ([], [])
    back = await owner.ok(
        "PATCH",
        f"/v1/cases/{case['id']}",
        json={"skills": None, "language": "de"},
        if_match=said["version"],
    )
    assert [one["skill"] for one in back["required_skills"]] == ["german", "pumps"]
    path = f"/v1/case-skill-rules/{german['id']}"
    assert (await owner.delete(path, if_match=german["version"])).status_code == 204
    assert (await case_of(owner, language="de"))["required_skills"] == []


async def reskilled(company: Company) -> dict[str, int]:
    """Run the job that changed rules ordered, and deliver what it says; how many orders there were comes along."""
    kernel = company.app.kernel
    assert kernel is not None
    actor = system_actor((await actor_of(company)).tenant)
    async with acting(company, actor) as uow:
        orders = await uow.fetch(
            "SELECT id FROM kernel.jobs WHERE tenant_id = $1 AND name = $2", uow.tenant_id, RESKILL
        )
    found = await reskill(JobContext(kernel, actor, orders[-1]["id"], {}, 1), Nothing())
    await relayed(company)
    return found | {"orders": len(orders)}


async def skills_of(owner: Client, *cases: Json) -> list[list[str]]:
    return [[one["skill"] for one in (await again(owner, case))["required_skills"]] for case in cases]


async def test_waiting_cases_go_by_rules_that_changed_since(company: Company, hire: Hire) -> None:
    owner, agent = company.owner, await hire()
    queue = await queue_of(owner, agent, routing="push")
    german = await rule(owner, "German", GERMAN, {"skill": "german"})
    names = {"queue_id": queue["id"], "language": "de"}
    waiting, plain = await case_of(owner, **names), await case_of(owner, **names | {"language": "en"})
    said = await case_of(owner, **names, skills=[{"skill": "french"}])
    owned = await case_of(owner, language="de")
    ended = await stepped(owner, await case_of(owner, **names), "resolve")
    everything = (waiting, plain, said, owned, ended)
    assert await skills_of(owner, *everything) == [["german"], [], ["french"], ["german"], ["german"]]
    path = f"/v1/case-skill-rules/{german['id']}"
    body = {"conditions": None, "skills": [{"skill": "dutch"}]}
    changed = await owner.ok("PATCH", path, json=body, if_match=german["version"])
    assert await reskilled(company) == {"cases": 2, "changed": 2, "orders": 2}
    assert await skills_of(owner, *everything) == [["dutch"], ["dutch"], ["french"], ["german"], ["german"]]
    assert (await again(owner, waiting))["version"] == waiting["version"] + 1
    assert await reskilled(company) == {"cases": 2, "changed": 0, "orders": 2}
    # Without the rule nobody has to speak anything, and who is at the desk gets what waited.
    await online(agent)
    await relayed(company)
    assert (await again(owner, waiting))["owner_id"] is None
    assert (await owner.delete(path, if_match=changed["version"])).status_code == 204
    assert await reskilled(company) == {"cases": 2, "changed": 2, "orders": 3}
    me = await member_id(agent)
    assert [(await again(owner, case))["owner_id"] for case in (waiting, plain)] == [me, me]


async def test_a_change_of_skills_is_told_and_takes_as_many_statements_however_many_wait(
    company: Company, look: Look
) -> None:
    owner = company.owner
    queue = await queue_of(owner, owner)
    await rule(
        owner, "Half", {"or": [{"and": [{"field": "language", "op": "eq", "value": "de"}]}]}, {"skill": "a"}
    )
    for n in range(3):
        await case_of(owner, queue_id=queue["id"], language="de" if n % 2 else "en")
    asked = (await owner.ok("GET", "/v1/case-skill-rules"))["data"][0]
    used = []
    for skill, more in (("b", 20), ("c", 0)):
        path = f"/v1/case-skill-rules/{asked['id']}"
        asked = await owner.ok("PATCH", path, json={"skills": [{"skill": skill}]}, if_match=asked["version"])
        actor = system_actor((await actor_of(company)).tenant)
        async with acting(company, actor) as uow:
            assert await reskill_chunk(uow, UUID(int=0)) is not None
            used.append(uow.statements)
        for _ in range(more):
            await case_of(owner, queue_id=queue["id"], language="de")
    assert used[0] == used[1]
    told = await look.value(
        "SELECT count(*) FROM kernel.audit_entries WHERE tenant_id = $1 AND action = 'reskilled'",
        company.tenant_id,
    )
    assert told == 1 + 21


async def test_a_queue_that_asks_for_less_gives_its_cases_away_at_once(company: Company, hire: Hire) -> None:
    agent = await hire()
    queue = await queue_of(company.owner, agent, routing="push", skills=[{"skill": "german"}])
    await online(agent)
    case = await case_of(company.owner, queue_id=queue["id"])
    await relayed(company)
    assert (await again(company.owner, case))["owner_id"] is None
    path = f"/v1/queues/{queue['id']}"
    await company.owner.ok("PATCH", path, json={"skills": []}, if_match=queue["version"])
    async with acting(company) as uow:
        orders = await uow.fetch(
            "SELECT 1 FROM kernel.jobs WHERE tenant_id = $1 AND name = $2", uow.tenant_id, ROUTE
        )
    assert len(orders) == 1
    async with acting(company, system_actor((await actor_of(company)).tenant)) as uow:
        await route(uow)
    assert (await again(company.owner, case))["owner_id"] == await member_id(agent)


async def test_rules_refuse_what_makes_no_sense(company: Company) -> None:
    owner = company.owner
    wrong = {"or": [{"and": [{"field": "colour", "op": "eq", "value": "red"}]}]}
    for body in (
        {"name": "A", "skills": []},
        {"name": "A", "skills": [{"skill": "a"}, {"skill": "A"}]},
        {"name": "A", "skills": [{"skill": "a", "level": 6}]},
        {"name": "A", "skills": [{"skill": "a"}], "conditions": wrong},
    ):
        answer = await owner.post("/v1/case-skill-rules", json=body)
        assert answer.status_code in (400, 422), answer.text
    assert (await owner.ok("GET", "/v1/case-skill-rules"))["data"] == []
    made = await rule(owner, "A", None, {"skill": "a"})
    changed = await owner.ok(
        "PATCH", f"/v1/case-skill-rules/{made['id']}", json={"enabled": False}, if_match=made["version"]
    )
    assert (changed["enabled"], (await case_of(owner))["required_skills"]) == (False, [])
    taken = await owner.post("/v1/case-skill-rules", json={"name": "A", "skills": [{"skill": "b"}]})
    assert (taken.status_code, taken.json()["code"]) == (409, "duplicate_value")


async def test_a_case_that_asks_for_less_is_pushed(company: Company, hire: Hire) -> None:
    agent = await hire()
    queue = await queue_of(company.owner, agent, routing="push")
    await online(agent)
    case = await case_of(company.owner, queue_id=queue["id"], skills=[{"skill": "german"}])
    await relayed(company)
    assert (await again(company.owner, case))["owner_id"] is None
    await company.owner.ok("PATCH", f"/v1/cases/{case['id']}", json={"skills": []}, if_match=case["version"])
    await relayed(company)
    assert (await again(company.owner, case))["owner_id"] == await member_id(agent)


async def test_six_units_hold_three_cases_of_weight_two(company: Company, hire: Hire) -> None:
    agent = await hire()
    queue = await queue_of(company.owner, agent)
    await bear(company.owner, agent, 6)
    for _ in range(4):
        await case_of(company.owner, queue_id=queue["id"])
    loads = [(await agent.ok("POST", "/v1/desk/next"))["load"] for _ in range(3)]
    full = await agent.post("/v1/desk/next")
    assert (loads, full.status_code, full.json()["code"]) == ([2, 4, 6], 409, "agent_at_capacity")
    async with acting(company) as uow:
        left = await uow.fetch(
            "SELECT 1 FROM after_sales.cases WHERE tenant_id = $1 AND owner_id IS NULL", uow.tenant_id
        )
    assert len(left) == 1
