"""Stages with rules: who may use a pipeline, where a stage leads, what it asks and what it says."""

from __future__ import annotations

from typing import Any

import pytest

from tests.modules.opportunities.conftest import Hire
from tests.modules.opportunities.deals import again, deal_in, money, move, pipeline_of, pointers, stage
from tests.modules.support import count, make
from tests.support.api import Client, Company
from tests.tenants.people import code_of

ASKED = {
    "fields": ["expected_close_on", "custom.budget_holder"],
    "conditions": [
        {"field": "amount", "op": "gte", "value": "1000"},
        {"field": "name", "op": "contains", "value": "pump"},
    ],
    "lines": True,
    "contact_roles": ["decision_maker", "champion"],
    "tasks": ["call_them"],
}
CALL = {"key": "call_them", "subject": {"en": "Call them", "zh": "打电话"}, "due_in_days": 2}


async def field(owner: Client, key: str) -> None:
    body = {"object": "opportunity", "key": key, "type": "text", "labels": {"en": key}}
    await owner.ok("POST", "/v1/custom-fields", json=body)


async def visits(owner: Client, deal: dict[str, Any]) -> list[str]:
    found = await owner.ok("GET", f"/v1/opportunities/{deal['id']}/stage-history")
    return [visit["to_stage"] for visit in found]


async def test_entering_without_what_a_stage_asks_names_each_missing_thing_and_changes_nothing(
    owner: Client,
) -> None:
    await field(owner, "budget_holder")
    pipeline = await pipeline_of(
        owner, stage("first", 10, playbook=[CALL]), stage("second", 50, requirements=ASKED)
    )
    deal = await deal_in(owner, pipeline)
    refused = await owner.patch(f"/v1/opportunities/{deal['id']}", {"stage": "second"}, if_match=1)
    assert pointers(refused) == [
        ("/expected_close_on", "required_by_stage"),
        ("/custom/budget_holder", "required_by_stage"),
        ("/amount", "condition_not_met"),
        ("/name", "condition_not_met"),
        ("/lines", "lines_required"),
        ("/contacts/decision_maker", "contact_role_required"),
        ("/contacts/champion", "contact_role_required"),
        ("/playbook/call_them", "task_not_done"),
    ]
    assert await again(owner, deal) == deal
    assert await visits(owner, deal) == ["first"]


async def test_with_all_that_it_asks_the_stage_is_entered(owner: Client) -> None:
    await field(owner, "budget_holder")
    pipeline = await pipeline_of(
        owner, stage("first", 10, playbook=[CALL]), stage("second", 50, requirements=ASKED)
    )
    deal = await deal_in(owner, pipeline)
    path = f"/v1/opportunities/{deal['id']}"
    line = {"product_name": "Pump", "quantity": "2", "unit_price": money("500.00")}
    await owner.ok("POST", f"{path}/lines", json=line)
    for role in ("decision_maker", "champion"):
        contact = await make(owner, "contacts", family_name=role)
        await owner.ok("POST", f"{path}/contacts", json={"contact_id": contact["id"], "role": role})
    task = (await owner.ok("GET", f"{path}/playbook"))["data"][0]
    await owner.ok("POST", f"/v1/activities/{task['activity_id']}/complete", json={}, if_match=1)
    moved = await move(
        owner, deal, stage="second", name="Two pumps", expected_close_on="2030-01-01",
        custom={"budget_holder": "Ann"},
    )  # fmt: skip
    assert (moved["stage"], moved["probability"], moved["amount"]) == ("second", 50, money("1000.00"))


async def test_a_condition_sees_what_the_same_request_writes(owner: Client) -> None:
    pipeline = await pipeline_of(
        owner,
        stage("first", 10),
        stage("big", 50, requirements={"conditions": [{"field": "amount", "op": "gt", "value": "99.99"}]}),
    )
    deal = await deal_in(owner, pipeline, amount=money("500.00"))
    path = f"/v1/opportunities/{deal['id']}"
    less = await owner.patch(path, {"stage": "big", "amount": money("99.99")}, if_match=1)
    assert pointers(less) == [("/amount", "condition_not_met")]
    assert await again(owner, deal) == deal
    more = await owner.ok("PATCH", path, json={"stage": "big", "amount": money("100.00")}, if_match=1)
    assert (more["stage"], more["amount"]) == ("big", money("100.00"))


async def test_conditions_look_at_custom_fields_dates_and_tags_too(owner: Client) -> None:
    body = {
        "object": "opportunity",
        "key": "score",
        "type": "integer",
        "labels": {"en": "Score"},
        "indexed": True,
    }
    await owner.ok("POST", "/v1/custom-fields", json=body)
    conditions = [
        {"field": "custom.score", "op": "between", "value": [5, 9]},
        {"field": "expected_close_on", "op": "gt", "value": "today"},
        {"field": "tags", "op": "has_any", "value": ["hot"]},
    ]
    pipeline = await pipeline_of(
        owner, stage("first", 10), stage("second", 50, requirements={"conditions": conditions})
    )
    deal = await deal_in(owner, pipeline, custom={"score": 4}, tags=["cold"], expected_close_on="2020-01-01")
    path = f"/v1/opportunities/{deal['id']}"
    refused = await owner.patch(path, {"stage": "second"}, if_match=1)
    assert pointers(refused) == [
        ("/custom/score", "condition_not_met"),
        ("/expected_close_on", "condition_not_met"),
        ("/tags", "condition_not_met"),
    ]
    assert await again(owner, deal) == deal
    right = {"custom": {"score": 5}, "tags": ["hot"], "expected_close_on": "2100-01-01"}
    assert (await move(owner, deal, stage="second", **right))["stage"] == "second"


async def test_a_new_opportunity_enters_its_first_stage_by_the_same_rules(
    company: Company, owner: Client
) -> None:
    pipeline = await pipeline_of(
        owner, stage("first", 10, requirements={"fields": ["source"], "lines": True})
    )
    refused = await owner.post("/v1/opportunities", {"name": "A", "pipeline_id": pipeline["id"]})
    assert pointers(refused) == [("/source", "required_by_stage"), ("/lines", "lines_required")]
    assert await count(company, "opportunities.opportunities") == 0


async def test_a_stage_leads_only_where_it_says(owner: Client) -> None:
    pipeline = await pipeline_of(
        owner,
        stage("first", 10, moves=["second"]),
        stage("second", 50, moves=["first", "won"]),
        stage("third", 70),
    )
    deal = await deal_in(owner, pipeline)
    path = f"/v1/opportunities/{deal['id']}"
    for answer in (
        await owner.patch(path, {"stage": "third"}, if_match=1),
        await owner.post(f"{path}/win", if_match=1),
    ):
        assert code_of(answer) == (409, "stage_move_not_allowed")
        assert (answer.json()["stage"], answer.json()["allowed"]) == ("first", ["second"])
    assert await again(owner, deal) == deal
    await move(owner, deal, stage="second")
    won = await owner.ok("POST", f"{path}/win", if_match=2)
    back = await owner.ok("POST", f"{path}/reopen", if_match=won["version"])
    assert (back["stage"], back["status"]) == ("second", "open")  # reopening is no move
    lost = await owner.ok("POST", f"{path}/lose", json={"loss_reason": "price"}, if_match=back["version"])
    assert (lost["stage"], lost["status"]) == ("second", "lost")


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"moves": ["nowhere"]}, "/stages", "unknown_move"),
        ({"requirements": {"tasks": ["nothing"]}}, "/stages", "unknown_task"),
        ({"playbook": [CALL, CALL]}, "/stages", "duplicate_task"),
        ({"requirements": {"fields": ["nonsense"]}}, "/stages/0/requirements/fields/0", "unknown_field"),
        ({"requirements": {"fields": ["custom.no"]}}, "/stages/0/requirements/fields/0", "unknown_field"),
        (
            {"requirements": {"conditions": [{"field": "nonsense", "op": "eq", "value": 1}]}},
            "/stages/0/requirements/conditions/0",
            "unknown_field",
        ),
        (
            {"requirements": {"conditions": [{"field": "amount", "op": "contains", "value": "1"}]}},
            "/stages/0/requirements/conditions/0",
            "unknown_operator",
        ),
        (
            {"requirements": {"conditions": [{"field": "amount", "op": "gt", "value": "much"}]}},
            "/stages/0/requirements/conditions/0",
            "invalid_value",
        ),
    ],
)
async def test_rules_that_make_no_sense_are_refused_where_they_stand(
    owner: Client, changes: dict[str, Any], pointer: str, code: str
) -> None:
    before = await owner.ok("GET", "/v1/pipelines")
    won = {"key": "won", "name": {"en": "W"}, "probability": 100, "is_closed": True, "is_won": True}
    body = {"key": "bad", "name": {"en": "Bad"}, "stages": [stage("first", 10, **changes), won]}
    assert pointers(await owner.post("/v1/pipelines", body)) == [(pointer, code)]
    assert [p["key"] for p in (await owner.ok("GET", "/v1/pipelines"))["data"]] == [
        p["key"] for p in before["data"]
    ]


async def test_rules_and_guidance_are_read_as_they_were_written(owner: Client) -> None:
    rules = {
        "moves": ["won"],
        "rotting_days": 14,
        "guidance": {"en": "Ask who signs.", "zh": "问清谁签字。"},
        "requirements": {
            "fields": ["amount"],
            "conditions": [{"field": "probability", "op": "gte", "value": 5}],
            "lines": True,
            "contact_roles": ["champion"],
            "tasks": ["call_them"],
        },
        "playbook": [CALL | {"team_role": None, "repeat": True}],
    }
    made = await pipeline_of(owner, stage("first", 10, **rules))
    assert {name: made["stages"][0][name] for name in rules} == rules
    assert await owner.ok("GET", f"/v1/pipelines/{made['id']}") == made


async def test_a_member_uses_the_pipelines_of_their_teams_only(
    company: Company, owner: Client, hire: Hire
) -> None:
    teams = {
        name: (await owner.ok("POST", "/v1/teams", json={"name": name}))["id"] for name in ("North", "South")
    }
    north = await pipeline_of(owner, stage("n", 10), key="north", team_ids=[teams["North"]], is_default=True)
    south = await pipeline_of(owner, stage("s", 10), key="south", team_ids=[teams["South"]])
    seller = await hire(team_ids=[teams["South"]])
    seen = (await seller.ok("GET", "/v1/pipelines"))["data"]
    assert [pipeline["key"] for pipeline in seen] == ["sales", "south"]
    assert (await seller.ok("GET", f"/v1/pipelines/{north['id']}"))["team_ids"] == [teams["North"]]
    refused = await seller.post("/v1/opportunities", {"name": "A", "pipeline_id": north["id"]})
    assert pointers(refused) == [("/pipeline_id", "other_teams_pipeline")]
    assert await count(company, "opportunities.opportunities") == 0
    made = await make(seller, "opportunities", name="A")  # the default one is not theirs: the first that is
    assert made["pipeline_id"] == seen[0]["id"]
    moved = await seller.patch(
        f"/v1/opportunities/{made['id']}", {"pipeline_id": north["id"], "stage": "n"}, if_match=1
    )
    assert pointers(moved) == [("/pipeline_id", "other_teams_pipeline")]
    assert await again(seller, made) == made
    assert (await move(seller, made, pipeline_id=south["id"], stage="s"))["stage"] == "s"


async def test_a_pipeline_is_opened_to_all_teams_again(owner: Client, rival: Company) -> None:
    team = await owner.ok("POST", "/v1/teams", json={"name": "North"})
    made = await pipeline_of(owner, stage("n", 10), team_ids=[team["id"]])
    path = f"/v1/pipelines/{made['id']}"
    foreign = (await rival.owner.ok("GET", "/v1/teams"))["data"][0]["id"]
    refused = await owner.patch(path, {"team_ids": [foreign]}, if_match=1)
    assert pointers(refused) == [("/team_ids", "unknown_team")]
    assert await owner.ok("GET", path) == made
    opened = await owner.ok("PATCH", path, json={"team_ids": None}, if_match=1)
    assert (opened["team_ids"], opened["version"]) == (None, 2)


async def test_a_stage_sets_the_forecast_category_unless_the_caller_wrote_one(owner: Client) -> None:
    pipeline = await pipeline_of(
        owner, stage("first", 10), stage("second", 50, forecast_category="best_case"), stage("third", 70)
    )
    deal = await deal_in(owner, pipeline)
    assert deal["forecast_category"] == "pipeline"
    assert (await move(owner, deal, stage="second"))["forecast_category"] == "best_case"
    own = await move(owner, deal, stage="third", forecast_category="commit")
    assert (own["forecast_category"], own["probability"]) == ("commit", 70)
    assert (await move(owner, deal, name="Renamed"))["forecast_category"] == "commit"
    won = await owner.ok(
        "POST", f"/v1/opportunities/{deal['id']}/win", if_match=(await again(owner, deal))["version"]
    )
    assert (won["forecast_category"], won["probability"]) == ("closed", 100)
    back = await owner.ok("POST", f"/v1/opportunities/{deal['id']}/reopen", if_match=won["version"])
    assert (back["forecast_category"], back["probability"]) == ("pipeline", 70)
    cleared = await owner.patch(
        f"/v1/opportunities/{deal['id']}", {"forecast_category": None}, if_match=back["version"]
    )
    assert pointers(cleared) == [("/forecast_category", "required")]


async def test_a_companys_own_reasons_are_the_only_ones_and_may_want_a_note(owner: Client) -> None:
    deal = await make(owner, "opportunities", name="A")
    lose = f"/v1/opportunities/{deal['id']}/lose"
    for key, wants in (("too_dear", False), ("no_fit", True)):
        await owner.ok(
            "POST", "/v1/opportunity-reasons",
            json={"outcome": "loss", "key": key, "name": {"en": key, "zh": "太贵"}, "requires_note": wants},
        )  # fmt: skip
    assert pointers(await owner.post(lose, {"loss_reason": "price"}, if_match=1)) == [
        ("/loss_reason", "unknown_reason")
    ]
    assert pointers(await owner.post(lose, {"loss_reason": "no_fit"}, if_match=1)) == [
        ("/outcome_note", "required")
    ]
    assert pointers(await owner.post(lose, {"loss_reason": "other"}, if_match=1)) == [
        ("/outcome_note", "required")
    ]
    assert await again(owner, deal) == deal
    lost = await owner.ok("POST", lose, json={"loss_reason": "too_dear"}, if_match=1)
    assert (lost["loss_reason"], lost["status"]) == ("too_dear", "lost")
    other = await make(owner, "opportunities", name="B")
    won = await owner.ok(
        "POST", f"/v1/opportunities/{other['id']}/win", json={"win_reason": "luck"}, if_match=1
    )
    assert won["win_reason"] == "luck"  # no list of winning reasons: any will do


async def test_a_reason_out_of_use_is_refused_and_kept_where_it_was_given(owner: Client) -> None:
    body = {"outcome": "loss", "key": "too_dear", "name": {"en": "Too dear"}}
    made = await owner.ok("POST", "/v1/opportunity-reasons", json=body)
    await owner.ok("POST", "/v1/opportunity-reasons", json=body | {"key": "late"})
    assert code_of(await owner.post("/v1/opportunity-reasons", body)) == (409, "duplicate_value")
    deal = await make(owner, "opportunities", name="A")
    lost = await owner.ok(
        "POST", f"/v1/opportunities/{deal['id']}/lose", json={"loss_reason": "too_dear"}, if_match=1
    )
    path = f"/v1/opportunity-reasons/{made['id']}"
    off = await owner.ok("PATCH", path, json={"is_active": False}, if_match=1)
    assert (off["is_active"], off["version"], off["position"]) == (False, 2, 0)
    assert code_of(await owner.patch(path, {"is_active": True}, if_match=1)) == (412, "stale_version")
    other = await make(owner, "opportunities", name="B")
    refused = await owner.post(
        f"/v1/opportunities/{other['id']}/lose", {"loss_reason": "too_dear"}, if_match=1
    )
    assert pointers(refused) == [("/loss_reason", "unknown_reason")]
    assert (await move(owner, lost, next_step="Ask again in spring"))["loss_reason"] == "too_dear"
    await owner.ok("DELETE", path, if_match=2)
    listed = await owner.ok("GET", "/v1/opportunity-reasons?outcome=loss")
    assert [reason["key"] for reason in listed["data"]] == ["late"]
