"""Optimised assignment: what a plan says, how it is changed, carried out and taken back."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from app.kernel.jobs import JobCancelled, JobContext, JobPaused
from app.modules.leads.services.optimisation.plan import show_plan
from app.modules.leads.services.optimisation.plans import Optimisations
from app.modules.leads.services.optimisation.run import watched
from app.modules.leads.services.optimisation.solver.search import load_kernels
from tests.modules.leads.optimising import URL, Sales, member, members, sales_of, usd
from tests.modules.support import acting, actor_of, make
from tests.support.api import Client, Company
from tests.tenants.people import Look, code_of, colleague


@pytest.fixture
async def look(worker_database: str) -> AsyncIterator[Look]:
    connection = await asyncpg.connect(worker_database)
    yield Look(connection)
    await connection.close()


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    """The compiled loops come from the checkout's cache, not from the data folder of one test run."""
    load_kernels()


@pytest.fixture
async def sales(company: Company, look: Look) -> Sales:
    return await sales_of(company, look)


# -- a plan --------------------------------------------------------------------------------------------------


async def test_leads_go_to_whoever_wins_there_and_the_plan_says_why(sales: Sales) -> None:
    retail, energy = await sales.nobodys("retail", 3), await sales.nobodys("energy", 2)
    plan = await sales.plan(ids=retail + energy, members=members(sales, 10, 10))
    ann, bob = sales.ids
    # Team overall (20 + 1) / (40 + 2) = 0.5; in a segment (10 + 10 · 0.5) / 30 = 0.5; Ann (8 + 5) / 20 = 0.65.
    assert (plan["state"], plan["leads"], plan["assigned"], plan["unassigned"]) == ("solved", 5, 5, 0)
    assert (plan["value"], plan["upper_bound"], plan["gap"]) == (usd("3250.00"), usd("3250.00"), 0.0)
    assert (plan["method"], plan["search"]["value"], plan["search"]["gap"]) == (
        "ant_colony",
        usd("3250.00"),
        0.0,
    )
    assert (plan["exact"]["value"], plan["exact"]["proved"]) == (usd("3250.00"), True)
    assert [(m["member_id"], m["leads"], m["value"]) for m in plan["members"]] == [
        (ann, 3, usd("1950.00")),
        (bob, 2, usd("1300.00")),
    ]
    items = {item["lead_id"]: item for item in await sales.items(plan)}
    assert [items[id]["member_id"] for id in retail + energy] == [ann] * 3 + [bob] * 2
    item = items[retail[0]]
    assert (item["amount"], item["amount_from"], item["outcome"]) == (
        usd("1000.00"),
        "source_average",
        "planned",
    )
    assert item["segment"] == {"industry": None, "source": "retail"}
    assert item["lead"] == {
        "id": retail[0], "name": "Lead from retail", "company": None, "owner_id": None,
    }  # fmt: skip
    shared = {"team_rate": 0.5, "closed": 10, "switching_penalty": usd("0.00"), "skill_penalty": usd("0.00")}
    assert item["why"] == {
        "reason": "best",
        "chosen": {
            "member_id": ann, "value": usd("650.00"), "win_rate": 0.65, "won": 8,
            "expected_value": usd("650.00"), **shared,
        },
        "alternative": {
            "member_id": bob, "value": usd("350.00"), "win_rate": 0.35, "won": 2,
            "expected_value": usd("350.00"), **shared,
        },
    }  # fmt: skip
    assert await sales.owners(retail + energy) == [None] * 5


async def test_capacity_sends_leads_to_the_second_best_and_leaves_some(sales: Sales) -> None:
    ids = await sales.nobodys("retail", 5)
    plan = await sales.plan(ids=ids, members=members(sales, 2, 2))
    assert (plan["assigned"], plan["unassigned"], plan["value"]) == (4, 1, usd("2000.00"))
    items = await sales.items(plan)
    assert Counter(item["why"]["reason"] for item in items) == {"best": 2, "capacity": 3}
    left = [item for item in items if item["member_id"] is None]
    assert [(item["value"], item["why"]["chosen"]) for item in left] == [(usd("0.00"), None)]
    assert left[0]["why"]["alternative"]["member_id"] == sales.ids[0]


async def test_the_usual_capacity_is_thirty_less_recent_open_leads(sales: Sales) -> None:
    ann, bob = sales.ids
    for _ in range(3):
        await sales.lead("retail", owner_id=ann)
    old = await sales.lead("retail", owner_id=ann)
    await sales.look.run(
        "UPDATE leads.leads SET created_at = created_at - interval '31 days' WHERE id = $1", old["id"]
    )
    lost = {"status": "disqualified", "disqualified_reason": "no_budget"}
    await sales.lead("retail", owner_id=ann, **lost)
    own = await sales.lead("retail", owner_id=ann)  # in the plan itself: it does not count
    plan = await sales.ask(ids=[own["id"]], members=members(sales, None, None))
    assert [(m["member_id"], m["capacity"]) for m in plan["members"]] == [(ann, 27), (bob, 30)]


async def test_leaving_an_owner_costs_and_so_does_a_missing_skill(sales: Sales) -> None:
    ann, bob = sales.ids
    lead = await sales.lead("retail", owner_id=bob, industry="Banking")
    people = [
        {"member_id": ann, "capacity": 5, "skills": ["insurance"]},
        {"member_id": bob, "capacity": 5},
    ]
    options = {
        "segment_by": ["source"], "switching_penalty": 0.2, "skill_field": "industry", "skill_penalty": 0.4,
    }  # fmt: skip
    plan = await sales.plan(ids=[lead["id"]], members=people, options=options)
    (item,) = await sales.items(plan)
    # Both shares are of the team's 0.5 · 1,000: Ann 650 − 100 − 200 = 350, as Bob's 350 without any.
    chosen = {c["member_id"]: c for c in (item["why"]["chosen"], item["why"]["alternative"])}
    assert (chosen[ann]["switching_penalty"], chosen[ann]["skill_penalty"]) == (usd("100.00"), usd("200.00"))
    assert (chosen[ann]["value"], chosen[bob]["value"]) == (usd("350.00"), usd("350.00"))
    assert (chosen[bob]["switching_penalty"], chosen[bob]["skill_penalty"]) == (usd("0.00"), usd("0.00"))
    plan = await sales.plan(
        ids=[lead["id"]], members=people[:1], options=options | {"switching_penalty": 1, "skill_penalty": 1}
    )
    (item,) = await sales.items(plan)
    assert (item["member_id"], item["why"]["reason"]) == (None, "not_worth_it")


async def test_amounts_come_from_a_field_then_the_source_then_all_then_the_default(sales: Sales) -> None:
    body = {"object": "lead", "key": "worth", "type": "money", "labels": {"en": "Worth"}}
    await sales.owner.ok("POST", "/v1/custom-fields", json=body)
    await sales.closed(sales.ann, "fair", won=1, lost=0, amount="6000.00")
    stated = await sales.lead("retail", custom={"worth": usd("99.50")})
    foreign = await sales.lead("retail", custom={"worth": {"amount": "7", "currency": "EUR"}})
    other = await sales.lead("letter")
    options = {"amount_field": "custom.worth"}
    leads = [stated["id"], foreign["id"], other["id"]]
    plan = await sales.plan(ids=leads, members=members(sales, 5, 5), options=options)
    found = {item["lead_id"]: (item["amount"], item["amount_from"]) for item in await sales.items(plan)}
    # 20 wins of 1,000 and one of 6,000 make 1,238.10 on average.
    assert [found[id] for id in leads] == [
        (usd("99.50"), "field"),
        (usd("1000.00"), "source_average"),
        (usd("1238.10"), "average"),
    ]


async def test_without_any_history_everybody_is_as_good_and_a_win_counts_one(
    company: Company, owner: Client
) -> None:
    lead = await make(owner, "leads", name="First")
    sales = Sales(company, None, owner, owner)  # type: ignore[arg-type]
    body: dict[str, Any] = {"ids": [lead["id"]], "members": [{"member_id": str(company.member_id)}]}
    plan = await sales.plan(**body)
    assert plan["value"] == usd("0.50")
    plan = await sales.plan(**body, options={"default_amount": usd("300.00")})
    (item,) = await sales.items(plan)
    assert (item["value"], item["amount_from"], item["member_id"]) == (
        usd("150.00"),
        "default",
        lead["owner_id"],
    )


async def test_win_rates_follow_the_converted_lead_and_the_account(sales: Sales) -> None:
    ann, bob = sales.ids
    account = await make(sales.owner, "accounts", name="Shop Ltd", industry="Trade", size="11-50")
    deal = {"owner_id": bob, "account_id": account["id"], "amount": usd("10.00")}
    await make(sales.owner, "opportunities", name="By account", status="won", **deal)
    converted = await sales.lead("mail", industry="Trade", owner_id=ann)
    await sales.owner.ok(
        "POST",
        f"/v1/leads/{converted['id']}/convert",
        if_match=1,
        json={"opportunity": {"name": "By lead"}},
    )
    found = (await sales.owner.ok("GET", "/v1/opportunities?source=mail"))["data"]
    await sales.owner.ok(
        "POST", f"/v1/opportunities/{found[0]['id']}/win", if_match=found[0]["version"], json={}
    )
    lead = await sales.lead("other", industry="TRADE", owner_id=ann)
    plan = await sales.plan(
        ids=[lead["id"]],
        members=members(sales, 5, 5),
        options={"segment_by": ["industry"], "prior_strength": 0},
    )
    (item,) = await sales.items(plan)
    both = [item["why"]["chosen"], item["why"]["alternative"]]
    assert [(c["won"], c["closed"], c["win_rate"], c["team_rate"]) for c in both] == [(1, 1, 1.0, 1.0)] * 2
    assert item["member_id"] == ann  # who has it already


async def test_a_filter_takes_open_leads_only_and_nothing_given_means_those_of_nobody(sales: Sales) -> None:
    mine = await sales.lead("retail", tags=["now"])
    gone = {"status": "disqualified", "disqualified_reason": "no_budget"}
    await sales.lead("retail", tags=["now"], **gone)
    free = await sales.nobodys("retail", 2)
    condition = {"or": [{"and": [{"field": "tags", "op": "has_any", "value": ["now"]}]}]}
    plan = await sales.plan(filter=condition, members=members(sales, 5, 5))
    assert [item["lead_id"] for item in await sales.items(plan)] == [mine["id"]]
    plan = await sales.plan(members=members(sales, 5, 5))
    assert sorted(item["lead_id"] for item in await sales.items(plan)) == sorted(free)


async def test_a_team_stands_for_its_active_members(sales: Sales) -> None:
    team = await make(sales.owner, "teams", name="North")
    third = await colleague(sales.company, sales.look, team_ids=[team["id"]])
    (lead,) = await sales.nobodys("retail", 1)
    plan = await sales.ask(ids=[lead], team_id=team["id"])
    assert [m["member_id"] for m in plan["members"]] == [member(third)]


# -- refusals ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "status", "pointer", "code"),
    [
        ({"members": [{"member_id": str(uuid4())}]}, 422, "/members/0/member_id", "unknown_member"),
        ({"members": None, "team_id": str(uuid4())}, 422, "/team_id", "unknown_team"),
        ({"team_id": str(uuid4())}, 422, "/team_id", "one_of"),
        ({"filter": {"or": [{"and": [{"field": "name", "op": "eq", "value": "x"}]}]}}, 422, "/filter", "one_of"),
        ({"ids": None}, 422, "/filter", "no_leads"),
        ({"options": {"amount_field": "custom.nothing"}}, 422, "/options/amount_field", "unknown_field"),
        ({"options": {"amount_field": "name"}}, 422, "/options/amount_field", "unknown_field"),
        ({"options": {"skill_field": "score"}}, 422, "/options/skill_field", "unknown_field"),
        ({"options": {"segment_by": ["size"]}}, 422, "/options/segment_by/0", "unknown_field"),
        (
            {"options": {"default_amount": {"amount": "1.00", "currency": "EUR"}}},
            422, "/options/default_amount", "currency",
        ),
        ({"options": {"seconds": 1000}}, 422, "/options/seconds", "less_than_equal"),
    ],
)  # fmt: skip
async def test_what_cannot_be_planned_is_refused(
    company: Company, owner: Client, look: Look, change: dict[str, Any], status: int, pointer: str, code: str
) -> None:
    lead = await make(owner, "leads", name="One")
    body = {"ids": [lead["id"]], "members": [{"member_id": str(company.member_id)}]} | change
    answer = await owner.post(f"{URL}/optimize", json={k: v for k, v in body.items() if v is not None})
    assert answer.status_code == status, answer.text
    assert [(e["pointer"], e["code"]) for e in answer.json()["errors"]] == [(pointer, code)]
    assert (
        await look.value("SELECT count(*) FROM leads.optimisations WHERE tenant_id = $1", company.tenant_id)
        == 0
    )


async def test_leads_that_one_may_not_assign_are_refused_and_plans_of_others_not_shown(sales: Sales) -> None:
    manager = await colleague(sales.company, sales.look, "manager")
    other = await colleague(sales.company, sales.look, "manager")
    own = await make(manager, "leads", name="Own")
    (foreign,) = await sales.nobodys("retail", 1)
    people = members(sales, 5, 5)
    for client, ids, expected in (
        (manager, [own["id"], foreign], (404, "not_found")),
        (sales.ann, [own["id"]], (403, "forbidden")),
    ):
        answer = await client.post(f"{URL}/optimize", json={"ids": ids, "members": people})
        assert code_of(answer) == expected
    shared = await sales.lead("retail")
    await sales.owner.ok("POST", f"/v1/leads/{shared['id']}/shares", json={"member_id": member(manager)})
    answer = await manager.post(f"{URL}/optimize", json={"ids": [shared["id"]], "members": people})
    assert code_of(answer) == (403, "forbidden")
    plan = await sales.plan(manager, ids=[own["id"]], members=people)
    assert plan["state"] == "solved"
    for path in (f"{URL}/{plan['id']}", f"{URL}/{plan['id']}/items"):
        assert code_of(await other.get(path)) == (404, "not_found")
        assert code_of(await sales.ann.get(path)) == (403, "forbidden")
    for action in ("apply", "undo"):
        answer = await other.post(f"{URL}/{plan['id']}/{action}", if_match=plan["version"])
        assert code_of(answer) == (404, "not_found")
    assert await sales.owners([own["id"], foreign, shared["id"]]) == [
        member(manager),
        None,
        shared["owner_id"],
    ]
    assert (await sales.read(plan))["version"] == plan["version"]  # who may assign all sees all


async def test_closed_leads_are_named(sales: Sales) -> None:
    lost = {"status": "disqualified", "disqualified_reason": "no_budget"}
    ids = [(await sales.lead("retail"))["id"], (await sales.lead("retail", **lost))["id"]]
    answer = await sales.owner.post(f"{URL}/optimize", json={"ids": ids, "members": members(sales, 1, 1)})
    assert [(e["pointer"], e["code"]) for e in answer.json()["errors"]] == [("/ids/1", "lead_closed")]


# -- changing a plan -----------------------------------------------------------------------------------------


async def test_a_line_is_adjusted_and_the_value_follows(sales: Sales) -> None:
    ann, bob = sales.ids
    ids = await sales.nobodys("retail", 2)
    plan = await sales.plan(ids=ids, members=members(sales, 2, 1))
    line = f"{URL}/{plan['id']}/items"
    answer = await sales.owner.patch(f"{line}/{ids[0]}", {"member_id": bob}, if_match=plan["version"])
    assert answer.status_code == 200, answer.text
    assert answer.headers["ETag"] == f'"{plan["version"] + 1}"'
    changed = answer.json()
    assert (changed["member_id"], changed["value"], changed["adjusted"]) == (bob, usd("350.00"), True)
    assert (changed["why"]["reason"], changed["why"]["alternative"]["member_id"]) == ("adjusted", ann)
    now = await sales.read(plan)
    assert (now["value"], now["method"], now["gap"]) == (usd("1000.00"), "adjusted", round(300 / 1300, 6))
    full = await sales.owner.patch(f"{line}/{ids[1]}", {"member_id": bob}, if_match=now["version"])
    assert (code_of(full), full.json()["capacity"]) == ((409, "plan_capacity_reached"), 1)
    stale = await sales.owner.patch(f"{line}/{ids[1]}", {"member_id": None}, if_match=plan["version"])
    assert code_of(stale) == (412, "stale_version")
    stranger = await sales.owner.patch(
        f"{line}/{ids[1]}", {"member_id": str(sales.company.member_id)}, if_match=now["version"]
    )
    assert code_of(stranger) == (422, "invalid")
    nowhere = await sales.owner.patch(f"{line}/{uuid4()}", {"member_id": ann}, if_match=now["version"])
    assert code_of(nowhere) == (404, "not_found")
    assert await sales.read(plan) == now
    left = await sales.owner.patch(f"{line}/{ids[1]}", {"member_id": None}, if_match=now["version"])
    assert (left.json()["member_id"], left.json()["value"]) == (None, usd("0.00"))
    assert (await sales.read(plan))["value"] == usd("350.00")


async def test_hundreds_of_adjustments_at_once_never_pass_the_capacity(sales: Sales) -> None:
    _, bob = sales.ids
    ids = await sales.nobodys("retail", 12)
    plan = await sales.plan(ids=ids, members=members(sales, 12, 3))

    async def insist(lead_id: str) -> tuple[int, str]:
        while True:
            now = await sales.read(plan)
            answer = await sales.owner.patch(
                f"{URL}/{plan['id']}/items/{lead_id}", {"member_id": bob}, if_match=now["version"]
            )
            if answer.status_code != 412:
                return answer.status_code, answer.json().get("code", "")

    answers = Counter(await asyncio.gather(*[insist(id) for id in ids]))
    assert answers == {(200, ""): 3, (409, "plan_capacity_reached"): 9}
    now = await sales.read(plan)
    assert [m["leads"] for m in now["members"]] == [9, 3]
    assert now["value"] == usd(f"{9 * 650 + 3 * 350}.00")


# -- carrying it out -----------------------------------------------------------------------------------------


async def test_applying_gives_every_lead_to_its_member_with_audit_and_events(sales: Sales) -> None:
    ann, bob = sales.ids
    retail, energy = await sales.nobodys("retail", 2), await sales.nobodys("energy", 1)
    kept = await sales.lead("retail", owner_id=ann)
    ids = [*retail, *energy, kept["id"]]
    plan = await sales.plan(ids=ids, members=members(sales, 5, 5))
    done = await sales.owner.ok("POST", f"{URL}/{plan['id']}/apply", if_match=plan["version"])
    assert (done["state"], done["version"]) == ("applied", plan["version"] + 1)
    assert {k: v for k, v in done["counts"].items() if v} == {"applied": 3, "unchanged": 1}
    assert await sales.owners(ids) == [ann, ann, bob, ann]
    lead = await sales.owner.ok("GET", f"/v1/leads/{retail[0]}")
    assert lead["version"] == 2
    history = (await sales.owner.ok("GET", f"/v1/leads/{retail[0]}/history"))["data"]
    assert (history[0]["action"], history[0]["changes"]["owner_id"]) == ("assigned", [None, ann])
    events = await sales.look.rows(
        "SELECT type FROM kernel.outbox WHERE tenant_id = $1 AND type LIKE 'leads.lead_optimisation.%'",
        sales.company.tenant_id,
    )
    assert {row["type"].split(".")[2] for row in events} == {"requested", "started", "solved", "applied"}
    steps = await sales.look.rows(
        "SELECT action FROM kernel.audit_entries WHERE tenant_id = $1 AND record_id = $2 ORDER BY at, id",
        sales.company.tenant_id,
        plan["id"],
    )
    assert [row["action"] for row in steps] == ["created", "started", "solved", "applied"]
    again = await sales.owner.post(f"{URL}/{plan['id']}/apply", if_match=done["version"])
    assert (code_of(again), again.json()["allowed"]) == ((409, "invalid_transition"), ["undo"])


async def test_open_work_goes_along(sales: Sales) -> None:
    (lead,) = await sales.nobodys("retail", 1)
    task = await make(
        sales.owner,
        "activities",
        kind="task",
        subject="Call back",
        about=[{"object": "lead", "record_id": lead}],
    )
    plan = await sales.plan(ids=[lead], members=members(sales, 5, 5))
    await sales.owner.ok("POST", f"{URL}/{plan['id']}/apply", if_match=plan["version"])
    found = await sales.owner.ok("GET", f"/v1/activities/{task['id']}")
    assert found["owner_id"] == sales.ids[0]


async def test_leads_that_changed_refuse_a_plan_or_are_skipped(sales: Sales) -> None:
    ann, bob = sales.ids
    ids = await sales.nobodys("retail", 5)
    plan = await sales.plan(ids=ids, members=members(sales, 9, 9))
    await sales.owner.ok("PATCH", f"/v1/leads/{ids[0]}", json={"owner_id": bob}, if_match=1)
    await sales.owner.ok("PATCH", f"/v1/leads/{ids[1]}", json={"title": "CEO"}, if_match=1)
    await sales.owner.ok("DELETE", f"/v1/leads/{ids[2]}", if_match=1)
    reason = {"reason": "no_budget"}
    await sales.owner.ok("POST", f"/v1/leads/{ids[3]}/disqualify", json=reason, if_match=1)
    refused = await sales.owner.post(f"{URL}/{plan['id']}/apply", if_match=plan["version"])
    expected = dict(zip(ids, ["owner_changed", "changed", "gone", "closed"], strict=False))
    assert code_of(refused) == (409, "plan_conflicts")
    assert {c["lead_id"]: c["reason"] for c in refused.json()["conflicts"]} == expected
    assert refused.json()["total"] == 4
    assert await sales.owners(ids) == [bob, None, None, None, None]
    assert await sales.read(plan) == plan
    how = {"on_conflict": "skip"}
    done = await sales.owner.ok("POST", f"{URL}/{plan['id']}/apply", json=how, if_match=plan["version"])
    assert {k: v for k, v in done["counts"].items() if v} == {"applied": 1, "conflict": 4}
    assert await sales.owners(ids) == [bob, None, None, None, ann]
    found = await sales.items(plan, "&outcome=conflict")
    assert {item["lead_id"]: item["conflict"] for item in found} == expected


async def test_a_member_who_left_gets_nothing(sales: Sales) -> None:
    ids = await sales.nobodys("retail", 1)
    plan = await sales.plan(ids=ids, members=members(sales, 5, 5))
    who = await sales.owner.ok("GET", f"/v1/members/{sales.ids[0]}")
    await sales.owner.ok("POST", f"/v1/members/{who['id']}/deactivate", json={}, if_match=who["version"])
    answer = await sales.owner.post(f"{URL}/{plan['id']}/apply", if_match=plan["version"])
    assert [c["reason"] for c in answer.json()["conflicts"]] == ["member_inactive"]
    assert await sales.owners(ids) == [None]


async def test_undoing_gives_back_what_nobody_changed_since(sales: Sales) -> None:
    ann, bob = sales.ids
    ids = await sales.nobodys("retail", 3)
    owned = await sales.lead("retail", owner_id=bob)
    ids.append(owned["id"])
    plan = await sales.plan(ids=ids, members=members(sales, 9, 9))
    done = await sales.owner.ok("POST", f"{URL}/{plan['id']}/apply", if_match=plan["version"])
    assert await sales.owners(ids) == [ann] * 4
    await sales.owner.ok("PATCH", f"/v1/leads/{ids[0]}", json={"owner_id": bob}, if_match=2)
    await sales.owner.ok("PATCH", f"/v1/leads/{ids[1]}", json={"title": "CEO"}, if_match=2)
    undone = await sales.owner.ok("POST", f"{URL}/{plan['id']}/undo", if_match=done["version"])
    assert undone["state"] == "undone"
    assert {k: v for k, v in undone["counts"].items() if v} == {"restored": 3, "kept": 1}
    assert await sales.owners(ids) == [bob, None, None, bob]
    (kept,) = await sales.items(plan, "&outcome=kept")
    assert (kept["lead_id"], kept["conflict"]) == (ids[0], "owner_changed")
    again = await sales.owner.post(f"{URL}/{plan['id']}/undo", if_match=undone["version"])
    assert code_of(again) == (409, "invalid_transition")


async def test_two_plans_over_the_same_leads_applied_at_once_give_each_lead_one_owner(sales: Sales) -> None:
    ids = await sales.nobodys("retail", 60)
    first = await sales.plan(ids=ids, members=members(sales, 60, 0))
    second = await sales.plan(ids=ids[30:] + ids[:30], members=members(sales, 0, 60))

    async def apply(plan: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = await sales.owner.ok(
            "POST", f"{URL}/{plan['id']}/apply", json={"on_conflict": "skip"}, if_match=plan["version"]
        )
        return answer

    done = await asyncio.gather(apply(first), apply(second))
    counts = [(plan["counts"]["applied"], plan["counts"]["conflict"]) for plan in done]
    assert sorted(counts) == [(0, 60), (60, 0)]
    winner = sales.ids[counts.index((60, 0))]
    assert await sales.owners(ids) == [winner] * 60
    given = await sales.look.rows(
        "SELECT record_id, count(*) AS times FROM kernel.audit_entries WHERE tenant_id = $1"
        " AND object = 'lead' AND action = 'assigned' GROUP BY 1",
        sales.company.tenant_id,
    )
    assert (len(given), {row["times"] for row in given}) == (60, {1})


async def test_one_plan_applied_a_hundred_times_at_once_is_applied_once(sales: Sales) -> None:
    ids = await sales.nobodys("retail", 5)
    plan = await sales.plan(ids=ids, members=members(sales, 5, 5))
    url = f"{URL}/{plan['id']}/apply"
    answers = await asyncio.gather(*[sales.owner.post(url, if_match=plan["version"]) for _ in range(100)])
    assert Counter(answer.status_code for answer in answers) == {200: 1, 412: 99}
    versions = await sales.look.rows("SELECT version FROM leads.leads WHERE id = ANY($1::uuid[])", ids)
    assert {row["version"] for row in versions} == {2}


# -- the job -------------------------------------------------------------------------------------------------


async def test_a_plan_waits_as_a_draft_and_a_cancelled_one_has_failed(sales: Sales) -> None:
    ids = await sales.nobodys("retail", 1)
    plan = await sales.ask(ids=ids, members=members(sales, 5, 5))
    assert (plan["state"], plan["value"], plan["leads"]) == ("draft", None, 1)
    early = await sales.owner.post(f"{URL}/{plan['id']}/apply", if_match=plan["version"])
    assert (code_of(early), early.json()["state"]) == ((409, "invalid_transition"), "draft")
    await sales.owner.ok("POST", f"/v1/jobs/{plan['job_id']}/cancel")
    await sales.work()
    found = await sales.read(plan)
    assert (found["state"], found["failure"]) == ("failed", "It was cancelled.")
    assert await sales.items(plan) == []


async def test_a_search_that_is_cancelled_between_two_workers_says_so(sales: Sales) -> None:
    ids = await sales.nobodys("retail", 1)
    plan = await sales.ask(ids=ids, members=members(sales, 5, 5))
    await sales.look.run(
        "UPDATE kernel.jobs SET cancel_requested = true, attempts = 1 WHERE id = $1", plan["job_id"]
    )
    await sales.work()
    job = await sales.owner.ok("GET", f"/v1/jobs/{plan['job_id']}")
    found = await sales.read(plan)
    assert (job["state"], found["state"], found["failure"]) == ("cancelled", "failed", "It was cancelled.")
    assert await sales.items(plan) == []


@pytest.mark.parametrize(("how", "raised"), [("cancel", JobCancelled), ("stop", JobPaused)])
async def test_a_search_that_runs_is_stopped_when_somebody_asks(sales: Sales, how: str, raised: Any) -> None:
    ids = await sales.nobodys("retail", 1)
    plan = await sales.ask(ids=ids, members=members(sales, 5, 5))
    kernel = sales.company.app.kernel
    assert kernel is not None
    context = JobContext(kernel, await actor_of(sales.company), UUID(plan["job_id"]), {}, 1)
    if how == "cancel":
        await sales.owner.ok("POST", f"/v1/jobs/{plan['job_id']}/cancel")
        await sales.look.run("UPDATE kernel.jobs SET cancel_requested = true WHERE id = $1", context.id)
    else:
        context.stopping.set()
    stop = threading.Event()
    with pytest.raises(raised):
        await watched(context, stop, lambda: stop.wait(60), 0, 60)
    assert stop.is_set()


async def test_the_same_seed_makes_the_same_plan(sales: Sales) -> None:
    ids = await sales.nobodys("retail", 20)
    plans = [
        await sales.plan(ids=ids, members=members(sales, 8, 8), options={"exact_seconds": 0, "seed": 7})
        for _ in range(2)
    ]
    lines = [[(i["lead_id"], i["member_id"]) for i in await sales.items(plan)] for plan in plans]
    assert lines[0] == lines[1]
    assert [plan["exact"] for plan in plans] == [None, None]


async def test_lines_come_in_pages_and_cost_the_same_however_many(sales: Sales) -> None:
    ids = await sales.nobodys("retail", 7)
    plan = await sales.plan(ids=ids, members=members(sales, 9, 9))
    seen: list[str] = []
    cursor = ""
    while True:
        page = await sales.owner.ok("GET", f"{URL}/{plan['id']}/items?limit=3{cursor}")
        seen += [item["lead_id"] for item in page["data"]]
        if not page["has_more"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == ids
    forged = await sales.owner.get(f"{URL}/{plan['id']}/items?limit=3&outcome=planned{cursor}")
    assert code_of(forged) == (400, "invalid_cursor")
    async with acting(sales.company, await actor_of(sales.company)) as uow:
        plans = Optimisations(uow)
        await plans.items(plan["id"], member_id=None, outcome=None, limit=100, cursor=None)
        assert uow.statements <= 3
        before = uow.statements
        await show_plan(uow, await plans.get(plan["id"]))
        assert uow.statements - before <= 3


async def test_another_company_sees_nothing_of_a_plan(sales: Sales, rival: Company) -> None:
    ids = await sales.nobodys("retail", 1)
    plan = await sales.plan(ids=ids, members=members(sales, 5, 5))
    url = f"{URL}/{plan['id']}"
    assert code_of(await rival.owner.get(url)) == (404, "not_found")
    assert code_of(await rival.owner.get(f"{url}/items")) == (404, "not_found")
    assert code_of(await rival.owner.post(f"{url}/apply", if_match=plan["version"])) == (404, "not_found")
    answer = await rival.owner.post(
        f"{URL}/optimize", json={"ids": ids, "members": [{"member_id": str(rival.member_id)}]}
    )
    assert code_of(answer) == (404, "not_found")
    assert await sales.owners(ids) == [None]
