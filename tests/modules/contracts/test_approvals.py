"""Contracts and amendments past real processes: asked, refused, taken back, approved, and unchanged ones not again."""

from __future__ import annotations

from typing import Any

from tests.modules.automation.toys import member, named, step
from tests.modules.contracts.conftest import Hire
from tests.modules.contracts.deals import act, again, draft, money, part, refusal, sign, try_act
from tests.support.api import Client, Company


async def process(company: Company, *steps: Any, above: str | None = None) -> None:
    """Contracts are approved by these steps, those worth more than `above` if that is given."""
    body: dict[str, Any] = {"name_en": "Contracts", "object": "contract", "steps": list(steps)}
    if above is not None:
        condition = {"field": "value", "op": "gt", "value": above}
        body["condition"] = {"or": [{"and": [condition]}]}
    await company.owner.ok("POST", "/v1/approval-processes", json=body)


async def waiting(client: Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.ok("GET", "/v1/approvals?status=pending"))["data"]
    return found


async def decide(client: Client, how: str, **body: Any) -> None:
    (one,) = await waiting(client)
    await client.ok("POST", f"/v1/approvals/{one['id']}/{how}", json=body or None)


async def test_a_contract_waits_for_its_approver(company: Company, hire: Hire) -> None:
    seller, boss = await hire("salesperson"), await hire("manager")
    await process(company, step("boss", named(boss)))
    contract = await draft(seller)
    asked = await act(seller, contract, "submit", note="Please")
    assert asked["status"] == "in_approval"
    locked = await seller.patch(f"/v1/contracts/{contract['id']}", {"title": "X"}, if_match=asked["version"])
    assert refusal(locked) == (409, "contract_locked")
    assert refusal(await try_act(seller, contract, "activate")) == (409, "invalid_transition")
    (one,) = await waiting(boss)
    assert (one["label"], one["record_id"]) == (f"{contract['number']} · Acme", contract["id"])
    await decide(boss, "approve")
    assert (await again(seller, contract))["status"] == "approved"
    active = await act(seller, contract, "activate")
    assert active["status"] == "active"


async def test_a_refusal_makes_it_a_draft_and_a_recall_too(company: Company, hire: Hire) -> None:
    seller, boss = await hire("salesperson"), await hire("manager")
    await process(company, step("boss", named(boss)))
    contract = await draft(seller)
    await act(seller, contract, "submit")
    await decide(boss, "refuse", note="Too cheap")
    refused = await again(seller, contract)
    assert refused["status"] == "draft"
    history = (await seller.ok("GET", f"/v1/contracts/{contract['id']}/history"))["data"]
    assert history[0]["action"] == "return"
    changed = await seller.ok(
        "PATCH",
        f"/v1/contracts/{contract['id']}",
        json={"value": money("1500.00")},
        if_match=refused["version"],
    )
    assert changed["value"] == money("1500.00")
    assert (await act(seller, contract, "submit"))["status"] == "in_approval"
    recalled = await act(seller, contract, "recall", note="Wait")
    assert recalled["status"] == "draft"
    assert await waiting(boss) == []
    assert refusal(await try_act(seller, contract, "recall")) == (409, "invalid_transition")


async def test_conditions_are_about_the_contract(company: Company, hire: Hire) -> None:
    seller = await hire("salesperson")
    boss = await hire("manager")
    await process(company, step("boss", named(boss)), above="5000.00")
    small, large = await draft(seller), await draft(seller, value=money("5000.01"))
    assert (await act(seller, small, "submit"))["status"] == "approved"
    assert (await act(seller, large, "submit"))["status"] == "in_approval"


async def test_what_was_approved_and_did_not_change_is_not_asked_again(company: Company, hire: Hire) -> None:
    owner, seller, boss = company.owner, await hire("salesperson"), await hire("manager")
    await process(company, step("boss", named(boss)))
    contract = await draft(seller)
    await act(seller, contract, "submit")
    await decide(boss, "approve")
    await act(owner, contract, "void", reason="A slip")
    await act(seller, contract, "reopen")
    assert (await act(seller, contract, "submit"))["status"] == "approved"
    assert await waiting(boss) == []
    await act(owner, contract, "void", reason="A slip")
    reopened = await act(seller, contract, "reopen")
    await seller.ok(
        "PATCH", f"/v1/contracts/{contract['id']}", json={"title": "Other"}, if_match=reopened["version"]
    )
    assert (await act(seller, contract, "submit"))["status"] == "in_approval"


async def test_an_amendment_is_judged_by_what_the_contract_would_be(company: Company, hire: Hire) -> None:
    seller, boss = await hire("salesperson"), await hire("manager")
    await process(company, step("boss", named(boss)), above="5000.00")
    contract = await draft(seller)
    await sign(seller, contract)
    path = f"/v1/contracts/{contract['id']}/amendments"
    body = {"title": "Much more", "changes": {"value": money("6000.00")}}
    made = await seller.ok("POST", path, json=body)
    asked = await seller.ok("POST", f"{path}/{made['id']}/submit", if_match=1)
    assert asked["status"] == "in_approval"
    before = await again(seller, contract)
    assert (before["status"], before["value"], before["revision"]) == ("active", money("1200.00"), 1)
    (one,) = await waiting(boss)
    assert one["label"] == f"{contract['number']} amendment 1 · Acme"
    assert refusal(await seller.post(f"{path}/{made['id']}/withdraw", if_match=2)) == (
        409,
        "invalid_transition",
    )
    back = await seller.ok("POST", f"{path}/{made['id']}/recall", if_match=2)
    assert back["status"] == "draft"
    await seller.ok("POST", f"{path}/{made['id']}/submit", if_match=back["version"])
    await decide(boss, "refuse", note="No")
    (row,) = await part(seller, contract, "amendments")
    assert row["status"] == "draft"
    await seller.ok("POST", f"{path}/{made['id']}/submit", if_match=row["version"])
    await decide(boss, "approve")
    (row,) = await part(seller, contract, "amendments")
    assert row["status"] == "in_force"
    now = await again(seller, contract)
    assert (now["value"], now["revision"]) == (money("6000.00"), 2)


async def test_whom_to_ask_may_be_chosen(company: Company, hire: Hire) -> None:
    seller, boss = await hire("salesperson"), await hire("manager")
    await process(company, step("boss", {"kind": "chosen"}))
    contract = await draft(seller)
    nobody = await try_act(seller, contract, "submit")
    assert (*refusal(nobody), nobody.json()["step"]) == (409, "no_approver", "boss")
    assert (await again(seller, contract))["status"] == "draft"
    await act(seller, contract, "submit", chosen_ids=[member(boss)])
    assert len(await waiting(boss)) == 1
