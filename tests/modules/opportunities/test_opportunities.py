"""Opportunities over HTTP: how stage, status, probability and dates follow from each other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.modules.support import count, make
from tests.support.api import Client, Company

TODAY = datetime.now(UTC).date().isoformat()


async def pipeline(owner: Client) -> dict[str, Any]:
    """The tenant's default pipeline."""
    found = await owner.ok("GET", "/v1/pipelines")
    return next(p for p in found["data"] if p["is_default"])


def version_of(record: dict[str, Any]) -> dict[str, Any]:
    return {"if_match": record["version"]}


async def test_a_new_opportunity_stands_in_the_first_stage_of_the_default_pipeline(owner: Client) -> None:
    made = await make(owner, "opportunities", name="Ten sensors")
    default = await pipeline(owner)
    assert {
        name: made[name]
        for name in (
            "stage",
            "last_open_stage",
            "status",
            "probability",
            "pipeline_id",
            "opened_on",
            "closed_on",
        )
    } == {
        "stage": "qualification",
        "last_open_stage": "qualification",
        "status": "open",
        "probability": 10,
        "pipeline_id": default["id"],
        "opened_on": TODAY,
        "closed_on": None,
    }


async def test_the_default_pipeline_is_shown_before_anybody_used_it_and_keeps_its_id(
    company: Company, owner: Client
) -> None:
    before = await pipeline(owner)
    assert [s["key"] for s in before["stages"]] == [
        "qualification", "needs_analysis", "proposal", "negotiation", "won",
    ]  # fmt: skip
    assert [s["probability"] for s in before["stages"]] == [10, 30, 50, 75, 100]
    await make(owner, "opportunities", name="First")
    assert await pipeline(owner) == before


async def test_a_stage_sets_the_probability_unless_the_caller_wrote_one(owner: Client) -> None:
    made = await make(owner, "opportunities", name="A", amount={"amount": "100.00", "currency": "USD"})
    moved = await owner.ok(
        "PATCH", f"/v1/opportunities/{made['id']}", json={"stage": "proposal"}, **version_of(made)
    )
    assert (moved["stage"], moved["probability"]) == ("proposal", 50)
    own = await owner.ok(
        "PATCH",
        f"/v1/opportunities/{made['id']}",
        json={"stage": "negotiation", "probability": 60},
        **version_of(moved),
    )
    assert (own["stage"], own["probability"], own["last_open_stage"]) == ("negotiation", 60, "negotiation")


async def test_winning_moves_to_the_won_stage_with_a_hundred_percent_today(owner: Client) -> None:
    made = await make(owner, "opportunities", name="A", stage="proposal")
    won = await owner.ok(
        "POST",
        f"/v1/opportunities/{made['id']}/win",
        json={"win_reason": "quality", "amount": {"amount": "12.50", "currency": "EUR"}},
        **version_of(made),
    )
    assert [won[n] for n in ("status", "stage", "last_open_stage", "probability", "closed_on", "win_reason")] == [
        "won", "won", "proposal", 100, TODAY, "quality",
    ]  # fmt: skip
    assert won["amount"] == {"amount": "12.50", "currency": "EUR"}


async def test_losing_wants_a_reason_and_keeps_the_last_stage(owner: Client) -> None:
    made = await make(owner, "opportunities", name="A", stage="negotiation")
    path = f"/v1/opportunities/{made['id']}/lose"
    refused = await owner.post(path, {}, **version_of(made))
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/loss_reason")
    noteless = await owner.post(path, {"loss_reason": "other"}, **version_of(made))
    assert (noteless.status_code, noteless.json()["errors"][0]["pointer"]) == (422, "/outcome_note")
    assert (await owner.ok("GET", f"/v1/opportunities/{made['id']}")) == made
    lost = await owner.ok("POST", path, json={"loss_reason": "price"}, **version_of(made))
    assert [lost[n] for n in ("status", "stage", "probability", "closed_on", "loss_reason")] == [
        "lost", "negotiation", 0, TODAY, "price",
    ]  # fmt: skip


async def test_a_closed_opportunity_is_reopened_in_its_last_open_stage(owner: Client) -> None:
    made = await make(owner, "opportunities", name="A", stage="negotiation")
    won = await owner.ok("POST", f"/v1/opportunities/{made['id']}/win", **version_of(made))
    again = await owner.post(f"/v1/opportunities/{made['id']}/win", **version_of(won))
    assert (again.status_code, again.json()["code"]) == (409, "invalid_transition")
    moved = await owner.patch(f"/v1/opportunities/{made['id']}", {"stage": "proposal"}, **version_of(won))
    assert (moved.status_code, moved.json()["code"]) == (409, "opportunity_closed")
    back = await owner.ok("POST", f"/v1/opportunities/{made['id']}/reopen", **version_of(won))
    assert [back[n] for n in ("status", "stage", "probability", "closed_on")] == [
        "open",
        "negotiation",
        75,
        None,
    ]


async def test_actions_want_the_current_version(owner: Client) -> None:
    made = await make(owner, "opportunities", name="A")
    missing = await owner.post(f"/v1/opportunities/{made['id']}/win")
    assert (missing.status_code, missing.json()["code"]) == (428, "version_required")
    stale = await owner.post(f"/v1/opportunities/{made['id']}/win", if_match=7)
    assert (stale.status_code, stale.json()["current_version"]) == (412, 1)
    assert (await owner.ok("GET", f"/v1/opportunities/{made['id']}"))["status"] == "open"


async def test_the_way_through_the_stages_is_kept(owner: Client) -> None:
    made = await make(owner, "opportunities", name="A", amount={"amount": "5.00", "currency": "USD"})
    moved = await owner.ok(
        "PATCH", f"/v1/opportunities/{made['id']}", json={"stage": "proposal"}, **version_of(made)
    )
    lost = await owner.ok(
        "POST", f"/v1/opportunities/{made['id']}/lose", json={"loss_reason": "timing"}, **version_of(moved)
    )
    visits = await owner.ok("GET", f"/v1/opportunities/{made['id']}/stage-history")
    assert [(v["from_stage"], v["to_stage"], v["status"], v["probability"]) for v in visits] == [
        (None, "qualification", "open", 10),
        ("qualification", "proposal", "open", 50),
        ("proposal", "proposal", "lost", 0),
    ]
    assert [v["left_at"] for v in visits] == [visits[1]["entered_at"], visits[2]["entered_at"], None]
    assert [v["duration_seconds"] for v in visits] == [0, 0, None]
    assert visits[0]["amount"] == {"amount": "5.00", "currency": "USD"}
    assert visits[0]["changed_by"] == lost["created_by"]


async def test_outcomes_of_the_past_are_taken_at_creation(owner: Client) -> None:
    won = await make(
        owner,
        "opportunities",
        name="Old deal",
        status="won",
        opened_on="2016-10-20",
        closed_on="2017-03-01",
        amount={"amount": "1054.00", "currency": "USD"},
        created_at="2016-10-20T08:00:00Z",
    )
    assert [won[n] for n in ("status", "stage", "last_open_stage", "probability", "opened_on", "closed_on")] == [
        "won", "won", None, 100, "2016-10-20", "2017-03-01",
    ]  # fmt: skip
    assert won["created_at"] == "2016-10-20T08:00:00Z"
    backwards = await owner.post(
        "/v1/opportunities",
        {"name": "B", "status": "won", "opened_on": "2017-03-02", "closed_on": "2017-03-01"},
    )
    assert (backwards.status_code, backwards.json()["errors"][0]["code"]) == (422, "before_opening")
    tomorrow = (datetime.now(UTC) + timedelta(days=2)).date().isoformat()
    future = await owner.post("/v1/opportunities", {"name": "B", "status": "won", "closed_on": tomorrow})
    assert (future.status_code, future.json()["errors"][0]["code"]) == (422, "in_the_future")
    reasonless = await owner.post("/v1/opportunities", {"name": "B", "status": "lost"})
    assert (reasonless.status_code, reasonless.json()["errors"][0]["pointer"]) == (422, "/loss_reason")


async def test_an_unknown_stage_pipeline_account_or_contact_is_refused_at_its_place(
    company: Company, owner: Client, rival: Company
) -> None:
    foreign = await make(rival.owner, "accounts", name="Theirs")
    for field, value, code in (
        ("stage", "nowhere", "unknown_stage"),
        ("pipeline_id", foreign["id"], "unknown_reference"),
        ("account_id", foreign["id"], "unknown_reference"),
        ("contact_id", foreign["id"], "unknown_reference"),
    ):
        refused = await owner.post("/v1/opportunities", {"name": "A", field: value})
        assert refused.status_code == 422
        assert [(e["pointer"], e["code"]) for e in refused.json()["errors"]] == [(f"/{field}", code)]
    assert await count(company, "opportunities.opportunities") == 0


async def test_winning_makes_the_account_a_customer_and_shows_on_it(owner: Client) -> None:
    account = await make(owner, "accounts", name="Initech")
    made = await make(
        owner,
        "opportunities",
        name="Deal",
        account_id=account["id"],
        amount={"amount": "99.00", "currency": "USD"},
    )
    await owner.ok("POST", f"/v1/opportunities/{made['id']}/win", **version_of(made))
    seen = await owner.ok("GET", f"/v1/accounts/{account['id']}")
    assert seen["lifecycle_stage"] == "customer"
    timeline = await owner.ok("GET", f"/v1/accounts/{account['id']}/timeline?kind=opportunity")
    assert [entry["title"] for entry in timeline["data"]] == ["Won: Deal", "Opened: Deal"]
    guarded = await owner.delete(f"/v1/accounts/{account['id']}", if_match=seen["version"])
    assert (guarded.status_code, guarded.json()["code"]) == (409, "account_in_use")


@pytest.mark.parametrize("field", ["stage", "status", "probability", "pipeline_id", "opened_on"])
async def test_what_follows_from_the_stage_cannot_be_cleared(owner: Client, field: str) -> None:
    made = await make(owner, "opportunities", name="A")
    refused = await owner.patch(f"/v1/opportunities/{made['id']}", {field: None}, **version_of(made))
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, f"/{field}")
    assert await owner.ok("GET", f"/v1/opportunities/{made['id']}") == made


async def test_only_what_is_over_has_a_closing_day(owner: Client) -> None:
    early = await owner.post("/v1/opportunities", {"name": "A", "closed_on": "2020-01-01"})
    assert (early.status_code, early.json()["errors"][0]["code"]) == (422, "not_closed")
    made = await make(
        owner, "opportunities", name="A", status="won", opened_on="2020-01-01", closed_on="2020-02-01"
    )
    path = f"/v1/opportunities/{made['id']}"
    cleared = await owner.patch(path, {"closed_on": None}, **version_of(made))
    assert (cleared.status_code, cleared.json()["errors"][0]["pointer"]) == (422, "/closed_on")
    moved = await owner.ok("PATCH", path, json={"closed_on": "2020-03-01"}, **version_of(made))
    assert (moved["closed_on"], moved["status"], moved["probability"]) == ("2020-03-01", "won", 100)


@pytest.mark.parametrize("stage", ["needs_analysis", "Needs Analysis", "需求分析"])
async def test_a_stage_is_understood_by_key_and_by_name(owner: Client, stage: str) -> None:
    made = await make(owner, "opportunities", name="A", stage=stage)
    assert (made["stage"], made["probability"]) == ("needs_analysis", 30)
    same = await owner.ok(
        "PATCH", f"/v1/opportunities/{made['id']}", json={"stage": stage}, **version_of(made)
    )
    assert same == made


async def test_the_overview_of_an_account_shows_its_open_opportunities(owner: Client) -> None:
    account = await make(owner, "accounts", name="Initech")
    later, sooner = [
        await make(
            owner, "opportunities", name=name, account_id=account["id"], expected_close_on=day,
            amount={"amount": "10.00", "currency": "USD"},
        )
        for name, day in (("Later", "2030-06-01"), ("Sooner", "2030-01-01"))
    ]  # fmt: skip
    await owner.ok("POST", f"/v1/opportunities/{later['id']}/win", **version_of(later))
    overview = await owner.ok("GET", f"/v1/accounts/{account['id']}/overview")
    panel = overview["panels"]["opportunities"]
    assert (panel["open"], panel["won"], panel["lost"]) == (1, 1, 0)
    assert panel["open_amount"] == panel["won_amount"] == [{"amount": "10.00", "currency": "USD"}]
    assert [(o["id"], o["name"], o["expected_close_on"]) for o in panel["open_opportunities"]] == [
        (sooner["id"], "Sooner", "2030-01-01")
    ]


@pytest.mark.parametrize("amount", ["-0.01", "10000000000000.01"])
async def test_an_amount_lies_within_reason(company: Company, owner: Client, amount: str) -> None:
    refused = await owner.post(
        "/v1/opportunities", {"name": "A", "amount": {"amount": amount, "currency": "USD"}}
    )
    assert refused.status_code == 422
    assert [(e["pointer"], e["code"]) for e in refused.json()["errors"]] == [
        ("/amount", "amount_out_of_range")
    ]
    assert await count(company, "opportunities.opportunities") == 0
