"""Costs against the budget, and presales requests from the asking to the hours."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from app.kernel.clock import FixedClock
from app.modules.opportunities.services.presales import MACHINE
from tests.modules.opportunities.conftest import Hire
from tests.modules.opportunities.deals import again, money, pointers
from tests.modules.support import count, make
from tests.support.api import Client, Company
from tests.tenants.people import Look, code_of, colleague

RATE = {"amount": "33.335", "currency": "USD"}


async def spend(client: Client, deal: dict[str, Any], kind: str, **body: Any) -> dict[str, Any]:
    path = f"/v1/opportunities/{deal['id']}/costs"
    made: dict[str, Any] = await client.ok("POST", path, json={"kind": kind} | body)
    return made


async def costs(client: Client, deal: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = await client.ok("GET", f"/v1/opportunities/{deal['id']}/costs")
    return found


async def test_costs_are_summed_against_the_budget_in_its_currency(company: Company, owner: Client) -> None:
    deal = await make(owner, "opportunities", name="A", budget=money("200.00"))
    await spend(owner, deal, "travel", amount=money("120.00"), incurred_on="2026-01-02")
    hours = await spend(owner, deal, "presales_hours", hours="3", rate=RATE, incurred_on="2026-01-03")
    await spend(owner, deal, "sample", amount=money("50.00", "EUR"), incurred_on="2026-01-01")
    assert (hours["amount"], hours["hours"], hours["rate"]) == (
        money("100.01"),
        "3",
        RATE,
    )  # 100.005, half up
    assert (hours["member_id"], hours["member_name"]) == (str(company.member_id), "Olivia Owner")
    found = await costs(owner, deal)
    assert [one["incurred_on"] for one in found["data"]] == ["2026-01-03", "2026-01-02", "2026-01-01"]
    assert found["by_kind"] == [
        {"kind": "travel", "amount": money("120.00")},
        {"kind": "presales_hours", "amount": money("100.01")},
        {"kind": "sample", "amount": money("50.00", "EUR")},
    ]
    assert found["total"] == [money("50.00", "EUR"), money("220.01")]
    assert (found["budget"], found["remaining"]) == (money("200.00"), money("-20.01"))


async def test_a_cost_is_changed_between_its_two_ways_and_removed(owner: Client) -> None:
    deal = await make(owner, "opportunities", name="A")
    made = await spend(owner, deal, "other", amount=money("5.00"))
    path = f"/v1/opportunities/{deal['id']}/costs/{made['id']}"
    half = await owner.patch(path, {"hours": "2"}, if_match=1)
    assert pointers(half) == [("/rate", "hours_and_rate")]
    timed = await owner.ok("PATCH", path, json={"hours": "2", "rate": RATE}, if_match=1)
    assert (timed["amount"], timed["version"]) == (money("66.67"), 2)
    longer = await owner.ok("PATCH", path, json={"hours": "4"}, if_match=2)
    assert longer["amount"] == money("133.34")
    plain = await owner.ok("PATCH", path, json={"amount": money("7.00"), "note": "Taxi"}, if_match=3)
    assert (plain["amount"], plain["hours"], plain["rate"], plain["note"]) == (
        money("7.00"),
        None,
        None,
        "Taxi",
    )
    assert code_of(await owner.delete(path, if_match=3)) == (412, "stale_version")
    await owner.ok("DELETE", path, if_match=4)
    empty = await costs(owner, deal)
    assert (empty["data"], empty["total"], empty["remaining"]) == ([], [], None)


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({}, "", "amount_or_hours"),
        ({"hours": "1"}, "", "hours_and_rate"),
        ({"amount": money("1.00"), "hours": "1", "rate": RATE}, "", "amount_or_hours"),
        ({"hours": "0", "rate": RATE}, "/hours", "not_positive"),
        ({"hours": "1", "rate": money("-1")}, "/rate", "negative"),
        ({"amount": money("-1.00")}, "/amount", "amount_out_of_range"),
    ],
)
async def test_a_cost_that_makes_no_sense_is_refused(
    owner: Client, body: dict[str, Any], pointer: str, code: str
) -> None:
    deal = await make(owner, "opportunities", name="A")
    refused = await owner.post(f"/v1/opportunities/{deal['id']}/costs", {"kind": "other"} | body)
    assert pointers(refused) == [(pointer, code)]
    assert (await costs(owner, deal))["data"] == []


async def test_who_may_not_see_the_budget_sees_no_cost(company: Company, owner: Client, look: Look) -> None:
    rules = {"opportunity": {"hidden": ["budget"]}}
    grants = {"opportunity:read": "all", "opportunity:update": "all"}
    role = await owner.ok("POST", "/v1/roles", json={"name": "Blind", "grants": grants, "field_rules": rules})
    spy = await colleague(company, look, "viewer", role_ids=[role["id"]])
    deal = await make(owner, "opportunities", name="A", budget=money("200.00"))
    await spend(owner, deal, "presales_hours", hours="1", rate=money("77.00"))
    seen = await costs(spy, deal)
    assert (seen["total"], seen["by_kind"], seen["budget"], seen["remaining"]) == ([], [], None, None)
    assert [(one["amount"], one["rate"]) for one in seen["data"]] == [(None, None)]
    body = {"kind": "other", "amount": money("1.00")}
    refused = await spy.post(f"/v1/opportunities/{deal['id']}/costs", body)
    assert code_of(refused) == (403, "forbidden")
    assert len((await costs(owner, deal))["data"]) == 1


# -- presales ------------------------------------------------------------------------------------------------


async def ask(client: Client, deal: dict[str, Any], **more: Any) -> dict[str, Any]:
    body = {"opportunity_id": deal["id"], "kind": "demo", "name": "Show the pump"} | more
    return await make(client, "presales-requests", **body)


async def step(client: Client, request: dict[str, Any], name: str, version: int, body: Any = None) -> Any:
    path = f"/v1/presales-requests/{request['id']}/{name}"
    return await client.post(path, body if body is not None else {}, if_match=version)


async def test_a_request_is_accepted_handed_over_and_done_with_its_hours_as_a_cost(
    owner: Client, hire: Hire, clock: FixedClock
) -> None:
    first, second = await hire(), await hire()
    deal = await make(owner, "opportunities", name="A")
    asked = await ask(owner, deal, owner_id=first.facts["member_id"], wanted_on="2030-01-01")
    assert (asked["status"], asked["answer_seconds"]) == ("requested", None)
    clock.advance(hours=2)
    accepted = (await step(first, asked, "accept", 1)).json()
    assert (accepted["status"], accepted["answer_seconds"]) == ("accepted", 7200)
    clock.advance(hours=1)
    body = {"owner_id": second.facts["member_id"], "note": "I am ill"}
    handed = (await step(first, asked, "hand-over", 2, body)).json()
    assert [handed[n] for n in ("status", "owner_id", "handed_over_from", "answer_seconds")] == [
        "requested", second.facts["member_id"], first.facts["member_id"], 7200,
    ]  # fmt: skip
    assert code_of(await step(first, asked, "accept", 3)) == (403, "forbidden")
    assert (await step(second, asked, "accept", 3)).json()[
        "answer_seconds"
    ] == 7200  # the first answer counts
    share = {"member_id": second.facts["member_id"], "access": "write"}
    await owner.ok("POST", f"/v1/opportunities/{deal['id']}/shares", json=share)
    done = (
        await step(second, asked, "complete", 4, {"hours": "2.5", "rate": RATE, "result": "Liked"})
    ).json()
    assert (done["status"], done["hours"], done["result"]) == ("done", "2.5", "Liked")
    found = await costs(owner, deal)
    assert [(one["kind"], one["hours"], one["amount"], one["member_id"]) for one in found["data"]] == [
        ("presales_hours", "2.5", money("83.34"), second.facts["member_id"])
    ]


async def test_a_declined_request_says_why_and_is_over(owner: Client, hire: Hire) -> None:
    engineer = await hire()
    asked = await ask(
        owner, await make(owner, "opportunities", name="A"), owner_id=engineer.facts["member_id"]
    )
    reasonless = await step(engineer, asked, "decline", 1)
    assert pointers(reasonless) == [("/reason", "required")]
    declined = (await step(engineer, asked, "decline", 1, {"reason": "No time"})).json()
    assert (declined["status"], declined["decline_reason"]) == ("declined", "No time")
    assert declined["answered_at"] is not None
    late = await step(engineer, asked, "accept", 2)
    assert (code_of(late), late.json()["allowed"]) == ((409, "invalid_transition"), [])
    assert await owner.ok("GET", f"/v1/presales-requests/{asked['id']}") == declined


async def test_hours_without_the_right_to_the_opportunity_cost_nothing_and_end_nothing(
    owner: Client, hire: Hire
) -> None:
    engineer = await hire()
    deal = await make(owner, "opportunities", name="A")
    asked = await ask(owner, deal, owner_id=engineer.facts["member_id"])
    accepted = (await step(engineer, asked, "accept", 1)).json()
    refused = await step(engineer, asked, "complete", 2, {"hours": "1", "rate": RATE})
    assert code_of(refused) == (404, "not_found")
    assert await owner.ok("GET", f"/v1/presales-requests/{asked['id']}") == accepted
    assert (await step(engineer, asked, "complete", 2, {"hours": "1"})).json()["status"] == "done"
    assert (await costs(owner, deal))["data"] == []


async def test_of_two_hundred_who_take_an_open_request_one_gets_it(owner: Client, hire: Hire) -> None:
    engineers = [await hire() for _ in range(4)]
    asked = await ask(owner, await make(owner, "opportunities", name="A"))
    assert asked["owner_id"] is None
    answers = await asyncio.gather(*(step(engineers[n % 4], asked, "accept", 1) for n in range(200)))
    statuses = [answer.status_code for answer in answers]
    assert statuses.count(200) == 1
    assert set(statuses) <= {200, 403, 412}
    taken = await owner.ok("GET", f"/v1/presales-requests/{asked['id']}")
    winner = answers[statuses.index(200)].json()
    assert taken == winner
    assert winner["owner_id"] == engineers[statuses.index(200) % 4].facts["member_id"]


async def test_a_request_is_about_an_opportunity_that_one_sees(
    company: Company, owner: Client, rival: Company, hire: Hire
) -> None:
    theirs = await make(rival.owner, "opportunities", name="Theirs")
    mine = await make(owner, "opportunities", name="Mine")
    for client, deal in ((owner, theirs), (await hire(), mine)):
        body = {"opportunity_id": deal["id"], "kind": "demo", "name": "Show"}
        refused = await client.post("/v1/presales-requests", body)
        assert pointers(refused) == [("/opportunity_id", "unknown_reference")]
    assert await count(company, "opportunities.presales_requests") == 0
    assert await again(owner, mine) == mine


def test_every_way_of_a_request_is_declared() -> None:
    assert {state: MACHINE.allowed(state) for state in sorted(MACHINE.states)} == {
        "accepted": ("complete", "decline", "hand_over"),
        "declined": (),
        "done": (),
        "requested": ("accept", "decline", "hand_over"),
    }
