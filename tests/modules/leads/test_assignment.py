"""Sharing out leads over HTTP: rules, strategies, presence, skills, territories, and the reasons kept."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.modules.leads.shares import (
    activate,
    api_key,
    events,
    ids,
    lead_rows,
    people,
    rule,
    team_of,
    where,
)
from tests.modules.support import make
from tests.support.api import Client, Company
from tests.tenants.people import Look, code_of, colleague


async def assigned(owner: Client, *leads: dict[str, Any], **options: Any) -> list[dict[str, Any]]:
    """These leads after a run of assignment."""
    await owner.ok("POST", "/v1/leads/assign", json={"ids": [lead["id"] for lead in leads], **options})
    return [await owner.ok("GET", f"/v1/leads/{lead['id']}") for lead in leads]


async def unowned(company: Company, number: int, **fields: Any) -> list[dict[str, Any]]:
    """So many leads that nobody owns."""
    found = []
    for n in range(number):
        lead = await make(company.owner, "leads", **{"name": f"Lead {n}", **fields})
        found.append(
            await company.owner.ok(
                "PATCH", f"/v1/leads/{lead['id']}", json={"owner_id": None}, if_match=lead["version"]
            )
        )
    return found


async def test_the_first_rule_that_matches_decides_and_says_why(
    company: Company, owner: Client, look: Look
) -> None:
    first, second = ids(await people(company, look, 2))
    chinese = await rule(
        owner, name="China", position=1, target="member", target_id=first, filter=where("country", "eq", "CN")
    )
    rest = await rule(owner, name="Rest", position=2, target="member", target_id=second)
    leads = [*await unowned(company, 1, country="CN"), *await unowned(company, 1, country="DE")]
    one, two = await assigned(owner, *leads)
    assert [one["owner_id"], two["owner_id"]] == [first, second]
    assert (one["version"], one["queue_id"], one["assigned_at"]) == (3, None, one["updated_at"])
    [entry] = await owner.ok("GET", f"/v1/leads/{two['id']}/assignments")
    assert {
        name: entry[name] for name in ("cause", "rule_id", "rule_name", "target", "strategy", "member_id", "reason")
    } == {
        "cause": "run", "rule_id": rest["id"], "rule_name": "Rest", "target": "member",
        "strategy": "round_robin", "member_id": second, "reason": "rule",
    }  # fmt: skip
    assert entry["passed"] == [{"rule_id": chinese["id"], "name": "China", "why": "conditions"}]
    assert entry["candidates"] == [
        {"member_id": second, "outcome": "chosen", "open_leads": 0, "quota_left": 1}
    ]
    told = await events(company, "leads.lead.assigned.v1")
    assert [(e["id"], e["owner_id"], e["cause"]) for e in told] == [
        (one["id"], first, "run"), (two["id"], second, "run"),
    ]  # fmt: skip
    history = await owner.ok("GET", f"/v1/leads/{one['id']}/history")
    assert history["data"][0]["action"] == "assigned"
    assert history["data"][0]["changes"]["owner_id"] == [None, first]


async def test_conditions_ask_custom_fields_too(company: Company, owner: Client, look: Look) -> None:
    field = {"object": "lead", "key": "budget", "type": "integer", "labels": {"en": "Budget"}}
    await owner.ok("POST", "/v1/custom-fields", json=field)
    [big] = ids(await people(company, look, 1))
    await rule(owner, target="member", target_id=big, filter=where("custom.budget", "gte", 1000))
    leads = [
        *await unowned(company, 1, custom={"budget": 1000}),
        *await unowned(company, 1, custom={"budget": 999}),
    ]
    rich, poor = await assigned(owner, *leads)
    assert rich["owner_id"] == big
    queues = (await owner.ok("GET", "/v1/lead-queues"))["data"]
    assert [(q["is_default"], q["waiting"], q["name"]["zh"]) for q in queues] == [(True, 1, "待分配线索")]
    assert (poor["owner_id"], poor["queue_id"]) == (None, queues[0]["id"])


async def test_weights_hold_and_equal_members_take_turns(company: Company, owner: Client, look: Look) -> None:
    team, members = await team_of(company, look, 3)
    for member, weight in zip(members, (5, 3, 2), strict=True):
        made = await owner.ok("PUT", f"/v1/lead-assignees/{member}", json={"weight": weight}, if_match=0)
        assert (made["version"], made["weight"], made["capacity"], made["day_quota"]) == (1, weight, 30, 1)
    by_weight = await rule(owner, target="team", target_id=team, strategy="weighted")
    leads = await assigned(owner, *await unowned(company, 10))
    assert Counter(lead["owner_id"] for lead in leads) == dict(zip(members, (5, 3, 2), strict=True))
    assert {lead["team_id"] for lead in leads} == {team}
    await owner.ok(
        "PATCH", f"/v1/lead-assignment-rules/{by_weight['id']}", json={"strategy": "round_robin"}, if_match=1
    )
    leads = await assigned(owner, *await unowned(company, 6))
    assert set(Counter(lead["owner_id"] for lead in leads).values()) == {2}


async def test_the_least_loaded_member_gets_the_next_lead(
    company: Company, owner: Client, look: Look
) -> None:
    team, members = await team_of(company, look, 2)
    for n in range(3):
        await make(owner, "leads", name=f"Open {n}", owner_id=members[0])
    for n in range(5):
        await make(
            owner,
            "leads",
            name=f"Lost {n}",
            owner_id=members[1],
            status="disqualified",
            disqualified_reason="x",
        )
    await rule(owner, target="team", target_id=team, strategy="load")
    leads = await assigned(owner, *await unowned(company, 5))
    assert [lead["owner_id"] for lead in leads[:3]] == [members[1]] * 3
    assert Counter(lead["owner_id"] for lead in leads) == {members[1]: 4, members[0]: 1}


async def test_quotas_of_a_day_hold_and_the_rest_waits(company: Company, owner: Client, look: Look) -> None:
    team, members = await team_of(company, look, 2)
    for member, capacity in zip(members, (90, 45), strict=True):
        await owner.ok("PUT", f"/v1/lead-assignees/{member}", json={"capacity": capacity}, if_match=0)
    await rule(owner, target="team", target_id=team, strategy="capacity")
    leads = await assigned(owner, *await unowned(company, 8))
    assert Counter(lead["owner_id"] for lead in leads) == {members[0]: 3, members[1]: 2, None: 3}
    [entry] = await owner.ok("GET", f"/v1/leads/{leads[-1]['id']}/assignments")
    assert (entry["reason"], entry["passed"][0]["why"]) == ("nobody_available", "nobody_available")


async def test_only_members_with_the_skill_who_accept_leads_are_considered(
    company: Company, owner: Client, look: Look
) -> None:
    team, members = await team_of(company, look, 4)
    for member, level in zip(members, (0, 2, 3, 5), strict=True):
        found = await owner.ok("GET", f"/v1/members/{member}")
        skills = [{"skill": "Chinese", "level": level}] if level else []
        await owner.ok("PATCH", f"/v1/members/{member}", json={"skills": skills}, if_match=found["version"])
    await owner.ok("PUT", f"/v1/lead-assignees/{members[3]}", json={"accepting": False}, if_match=0)
    await rule(owner, target="team", target_id=team, skills=[{"skill": "chinese", "level": 3}])
    leads = await assigned(owner, *await unowned(company, 2))
    assert [lead["owner_id"] for lead in leads] == [members[2], members[2]]
    [entry] = await owner.ok("GET", f"/v1/leads/{leads[0]['id']}/assignments")
    assert {c["member_id"]: c["outcome"] for c in entry["candidates"]} == dict(
        zip(members, ("lacks_skill", "lacks_skill", "chosen", "not_accepting"), strict=True)
    )


async def test_the_most_specific_territory_wins_and_inherits_its_people(
    company: Company, owner: Client, look: Look
) -> None:
    world, china, east = ids(await people(company, look, 3))

    async def territory(name: str, parent: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
        body = {"name": name, "parent_id": parent["id"] if parent else None} | fields
        made: dict[str, Any] = await owner.ok("POST", "/v1/territories", json=body)
        return made

    top = await territory("World", member_ids=[world])
    cn = await territory("China", top, countries=["CN"], member_ids=[china])
    sh = await territory("East", cn, regions=["Shanghai", "Zhejiang"], member_ids=[east])
    pumps = await territory("East pumps", sh, products=["Pumps"])
    await rule(owner, target="territory")
    for fields, member, where_to in (
        ({"country": "FR"}, world, top),
        ({"country": "CN", "region": "Beijing"}, china, cn),
        ({"country": "CN", "region": "shanghai"}, east, sh),
        ({"country": "CN", "region": "Shanghai", "product_name": "pumps"}, east, pumps),
        ({"country": "US", "region": "Shanghai"}, world, top),
    ):
        [lead] = await assigned(owner, *await unowned(company, 1, **fields))
        [entry] = await owner.ok("GET", f"/v1/leads/{lead['id']}/assignments")
        assert (lead["owner_id"], entry["territory_id"]) == (member, where_to["id"]), fields
    refused = await owner.patch(f"/v1/territories/{top['id']}", {"parent_id": sh["id"]}, if_match=1)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "circle")
    refused = await owner.delete(f"/v1/territories/{cn['id']}", if_match=1)
    assert code_of(refused) == (409, "territory_in_use")
    assert await owner.ok("GET", f"/v1/territories/{top['id']}") == top


async def test_a_rule_may_keep_to_the_members_of_the_leads_territory(
    company: Company, owner: Client, look: Look
) -> None:
    team, members = await team_of(company, look, 2)
    body = {"name": "France", "countries": ["FR"], "member_ids": [members[1]]}
    await owner.ok("POST", "/v1/territories", json=body)
    await rule(owner, target="team", target_id=team, within_territory=True)
    french, german = await assigned(
        owner, *await unowned(company, 1, country="FR"), *await unowned(company, 1, country="DE")
    )
    assert [french["owner_id"], german["owner_id"]] == [members[1], None]


async def test_a_preview_says_who_would_get_what_and_changes_nothing(
    company: Company, owner: Client, look: Look
) -> None:
    team, members = await team_of(company, look, 2)
    made = await rule(owner, target="team", target_id=team)
    leads = await unowned(company, 3)
    before = await lead_rows(company)
    shown = await owner.ok(
        "POST", "/v1/leads/assign/preview", json={"filter": where("name", "contains", "Lead")}
    )
    assert [d["lead_id"] for d in shown["data"]] == [lead["id"] for lead in leads]
    assert {d["rule_id"] for d in shown["data"]} == {made["id"]}
    assert Counter(d["member_id"] for d in shown["data"]) in ({m: 3 - n for n, m in enumerate(members, 1)},
        {members[0]: 2, members[1]: 1}, {members[0]: 1, members[1]: 2})  # fmt: skip
    assert shown["more"] is False
    assert await lead_rows(company) == before
    assert await events(company, "leads.lead.assigned.v1") == []
    assert (await owner.ok("GET", "/v1/lead-queues"))["data"] == []
    done = await owner.ok("POST", "/v1/leads/assign", json={"filter": where("name", "contains", "Lead")})
    assert done == {"job_id": None, "leads": 3, "assigned": 3, "waiting": 0, "skipped": 0}
    after = {str(row["id"]): str(row["owner_id"]) for row in await lead_rows(company)}
    assert after == {d["lead_id"]: d["member_id"] for d in shown["data"]}


async def test_leads_with_an_owner_stay_unless_asked_for(company: Company, owner: Client, look: Look) -> None:
    [seller] = ids(await people(company, look, 1))
    await rule(owner, target="member", target_id=seller)
    mine = await make(owner, "leads", name="Mine")
    ended = await make(owner, "leads", name="Ended", status="disqualified", disqualified_reason="spam")
    body = {"ids": [mine["id"], ended["id"]]}
    done = await owner.ok("POST", "/v1/leads/assign", json=body)
    assert done == {"job_id": None, "leads": 2, "assigned": 0, "waiting": 0, "skipped": 2}
    assert await owner.ok("GET", f"/v1/leads/{mine['id']}") == mine
    done = await owner.ok("POST", "/v1/leads/assign", json=body | {"reassign": True})
    assert (done["assigned"], done["skipped"]) == (1, 1)
    assert (await owner.ok("GET", f"/v1/leads/{mine['id']}"))["owner_id"] == seller
    assert await owner.ok("GET", f"/v1/leads/{ended['id']}") == ended


async def test_whoever_may_not_assign_changes_nothing(company: Company, owner: Client, look: Look) -> None:
    seller = await colleague(company, look)
    made = await rule(owner, target="member", target_id=seller.facts["member_id"])
    [lead] = await unowned(company, 1)
    for answer in (
        await seller.post("/v1/leads/assign", {"ids": [lead["id"]]}),
        await seller.post("/v1/leads/assign/preview", {"ids": [lead["id"]]}),
        await seller.post("/v1/lead-assignment-rules", {"name": "x", "target": "territory"}),
        await seller.patch(f"/v1/lead-assignment-rules/{made['id']}", {"name": "x"}, if_match=1),
        await seller.delete(f"/v1/lead-assignment-rules/{made['id']}", if_match=1),
        await seller.put("/v1/lead-assignment", {"active": True}, if_match=0),
        await seller.put(f"/v1/lead-assignees/{company.member_id}", {"weight": 9}, if_match=0),
        await seller.post("/v1/lead-queues", {"name": {"en": "x"}}),
        await seller.post("/v1/territories", {"name": "x"}),
    ):
        assert code_of(answer) == (403, "forbidden")
    assert await owner.ok("GET", f"/v1/leads/{lead['id']}") == lead
    assert (await owner.ok("GET", "/v1/lead-assignment-rules"))["data"] == [made]
    assert await owner.ok("GET", "/v1/lead-assignment") == {"active": False, "version": 0}
    missing = await owner.post("/v1/leads/assign", {"ids": [lead["id"], made["id"]]})
    assert code_of(missing) == (404, "not_found")
    assert await owner.ok("GET", f"/v1/leads/{lead['id']}") == lead


async def test_rules_that_make_no_sense_are_refused(company: Company, owner: Client, rival: Company) -> None:
    team = await rival.owner.ok("POST", "/v1/teams", json={"name": "Foreign"})
    for fields, status, code in (
        ({"target": "moon", "target_id": team["id"]}, 422, "unknown_target"),
        ({"target": "pool", "target_id": team["id"]}, 422, "unknown_reference"),
        ({"target": "team", "target_id": team["id"]}, 422, "unknown_team"),
        ({"target": "member"}, 422, "required"),
        ({"target": "queue", "target_id": team["id"]}, 422, "unknown_reference"),
        ({"target": "territory", "strategy": "pull"}, 422, "not_a_queue"),
        ({"target": "territory", "filter": where("no_such", "eq", 1)}, 400, "unknown_field"),
        ({"target": "territory", "filter": where("country", "gte", None)}, 400, "invalid_value"),
    ):
        refused = await owner.post("/v1/lead-assignment-rules", {"name": "x"} | fields)
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (status, code), refused.text
    assert (await owner.ok("GET", "/v1/lead-assignment-rules"))["data"] == []


async def test_a_rule_whose_field_is_gone_is_passed_and_loses_no_lead(
    company: Company, owner: Client, look: Look
) -> None:
    field = {"object": "lead", "key": "budget", "type": "integer", "labels": {"en": "Budget"}}
    made = await owner.ok("POST", "/v1/custom-fields", json=field)
    [seller] = ids(await people(company, look, 1))
    await rule(
        owner, position=1, target="member", target_id=seller, filter=where("custom.budget", "gte", 1000)
    )
    await rule(owner, position=2, target="member", target_id=seller)
    await owner.ok("POST", f"/v1/custom-fields/{made['id']}/archive", if_match=made["version"])
    [lead] = await assigned(owner, *await unowned(company, 1))
    [entry] = await owner.ok("GET", f"/v1/leads/{lead['id']}/assignments")
    assert (lead["owner_id"], entry["passed"][0]["why"]) == (seller, "broken_filter")


# -- when leads are made -------------------------------------------------------------------------------------


async def test_programs_leads_without_an_owner_go_by_the_rules_once_it_is_active(
    company: Company, owner: Client, look: Look
) -> None:
    [seller] = ids(await people(company, look, 1))
    await rule(owner, target="member", target_id=seller)
    program = await api_key(owner)
    before = await make(program, "leads", name="Before")
    assert before["owner_id"] == str(company.member_id)
    await activate(owner)
    after = await make(program, "leads", name="After")
    assert (after["owner_id"], after["version"]) == (seller, 2)
    assert await program.ok("GET", f"/v1/leads/{after['id']}") == after
    given = await make(program, "leads", name="Given", owner_id=str(company.member_id))
    kept = await make(program, "leads", name="Kept", assign=False)
    typed = await make(owner, "leads", name="Typed by a person")
    asked = await make(owner, "leads", name="Asked", assign=True)
    me = str(company.member_id)
    assert [lead["owner_id"] for lead in (given, kept, typed, asked)] == [me, me, me, seller]
    both = await owner.post("/v1/leads", {"name": "Both", "assign": True, "owner_id": me})
    assert (both.status_code, both.json()["errors"][0]["code"]) == (422, "owner_given")
    assert len(await lead_rows(company)) == 6
    [entry] = await owner.ok("GET", f"/v1/leads/{after['id']}/assignments")
    assert (entry["cause"], entry["former_owner_id"]) == ("created", None)


async def test_a_new_lead_costs_a_bounded_number_of_statements(
    company: Company, owner: Client, look: Look
) -> None:
    from tests.modules.leads.shares import system

    team, _ = await team_of(company, look, 5)
    for n in range(10):
        await rule(
            owner, name=f"R{n}", position=n, target="team", target_id=team, filter=where("city", "eq", f"{n}")
        )
    await unowned(company, 40, city="7")
    from app.modules.leads.models import Cause
    from app.modules.leads.services.assignment.assigner import Assigner

    wanted = [row["id"] for row in await lead_rows(company)]
    counts = []
    for some in (wanted[:2], wanted[2:]):
        async with system(company) as uow:
            before = uow.statements
            decisions = await Assigner(uow).assign(some, Cause.RUN)
            counts.append(uow.statements - before)
        assert len(decisions) == len(some)
    assert counts[1] <= counts[0] <= 22
