"""Amendments: what is in force changes only through them, and what was in force before can be read and compared."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from app.kernel.clock import FixedClock
from app.kernel.money import Money
from app.modules.contracts.interface import Contracts
from app.modules.contracts.services.content import differences
from tests.modules.contracts.deals import (
    act,
    again,
    calendar,
    draft,
    ids,
    item,
    money,
    part,
    pointers,
    put,
    refusal,
    sign,
    signed,
    try_act,
)
from tests.modules.contracts.test_for_others import draw
from tests.modules.support import acting, make, subject_id
from tests.support.api import Client, Company


async def amend(client: Client, contract: dict[str, Any], **changes: Any) -> Any:
    body = {"title": "Change", "changes": changes}
    return await client.post(f"/v1/contracts/{contract['id']}/amendments", body)


async def amended(
    client: Client, contract: dict[str, Any], effective_on: str | None = None, **changes: Any
) -> Any:
    """Draft and submit an amendment that nobody has to approve."""
    path = f"/v1/contracts/{contract['id']}/amendments"
    body = {"title": "Change", "changes": changes, "effective_on": effective_on}
    made = await client.ok("POST", path, json=body)
    return await client.ok("POST", f"{path}/{made['id']}/submit", if_match=made["version"])


async def test_an_amendment_makes_a_new_revision_and_keeps_the_old(
    company: Company, owner: Client, clock: FixedClock
) -> None:
    contract = await draft(owner)
    await put(owner, contract, "lines", lines=[
        {"description": "Site A", "quantity": "1", "unit_price": money("1200.00")},
    ])  # fmt: skip
    await put(owner, contract, "plan", items=[item("Rate", percent="100", rule="quarterly")])
    await sign(owner, contract)
    done = await amended(
        owner, contract, value=money("1500.00"), ends_on="2027-01-31", title="Upkeep of two sites",
        lines=[
            {"description": "Site A", "quantity": "1", "unit_price": money("1200.00")},
            {"description": "Site B", "quantity": "2", "unit_price": money("150.00"), "charge": "monthly"},
        ],
    )  # fmt: skip
    assert (done["status"], done["number"], done["in_force_at"]) == ("in_force", 1, "2026-03-01T12:00:00Z")
    now = await again(owner, contract)
    assert [now[name] for name in ("title", "value", "ends_on", "revision", "status")] == [
        "Upkeep of two sites", money("1500.00"), "2027-01-31", 2, "active",
    ]  # fmt: skip
    rows = await part(owner, contract, "plan")
    assert [row["amount"]["amount"] for row in rows] == ["375.00"] * 4
    revisions = await part(owner, contract, "revisions")
    assert [(row["number"], row["in_force_from"], row["content"]["value"]["amount"]) for row in revisions] == [
        (1, "2026-03-01", "1200.00"), (2, "2026-03-01", "1500.00"),
    ]  # fmt: skip
    assert revisions[1]["amendment_id"] == done["id"]
    compared = await owner.ok("GET", f"/v1/contracts/{contract['id']}/revisions/1/compare?to=2")
    told = {one["pointer"]: (one["before"], one["after"]) for one in compared["differences"]}
    assert told == {
        "/title": ("Maintenance", "Upkeep of two sites"),
        "/value/amount": ("1200.00", "1500.00"),
        "/ends_on": ("2026-12-31", "2027-01-31"),
        "/lines/1": (None, {
            "product_id": None, "description": "Site B", "quantity": "2", "unit_price": money("150.00"),
            "charge": "monthly", "amount": money("300.00"),
        }),
        **{f"/plan/{n}/amount/amount": ("300.00", "375.00") for n in range(4)},
    }  # fmt: skip
    same = await owner.ok("GET", f"/v1/contracts/{contract['id']}/revisions/2/compare?to=2")
    assert same["differences"] == []
    gone = await owner.get(f"/v1/contracts/{contract['id']}/revisions/3")
    assert gone.status_code == 404


def test_differences_name_each_field_once() -> None:
    before = {"a": 1, "b": [{"x": 1}, {"x": 2}], "c": None}
    after = {"a": 1, "b": [{"x": 3}], "d": {"e": 1}}
    assert list(differences(before, after)) == [
        ("/b/0/x", 1, 3), ("/b/1", {"x": 2}, None), ("/c", None, None), ("/d", None, {"e": 1}),
    ]  # fmt: skip


async def test_what_is_invoiced_or_paid_stays(company: Company, owner: Client, clock: FixedClock) -> None:
    contract = await signed(owner, [item("Rate", percent="100", rule="quarterly")])
    first, second, *_ = ids(await part(owner, contract, "plan"))
    async with acting(company) as uow:
        await uow.of(Contracts).invoiced(first, Money(300_00, "USD"))
        await uow.of(Contracts).paid(second, Money(1, "USD"))
    too_low = await amend(owner, contract, value=money("599.99"))
    assert pointers(too_low) == [("/changes/value", "less_than_invoiced")]
    await amended(owner, contract, value=money("601.01"))
    rows = await part(owner, contract, "plan")
    assert [row["amount"]["amount"] for row in rows] == ["300.00", "300.00", "0.51", "0.50"]
    await amended(
        owner,
        contract,
        value=money("700.00"),
        plan=[item("Rest", percent="100", rule="after_signing", days=5)],
    )
    rows = await part(owner, contract, "plan")
    assert [(row["label"], row["amount"]["amount"], row["due_on"], row["status"]) for row in rows] == [
        ("Rate 1/4", "300.00", "2026-01-01", "overdue"),
        ("Rate 2/4", "300.00", "2026-04-01", "partly_paid"),
        ("Rest", "100.00", "2026-03-06", "pending"),
    ]
    plan = await owner.ok("GET", f"/v1/contracts/{contract['id']}/plan")
    assert plan["total"] == money("700.00")


async def test_a_value_below_what_orders_drew_is_refused(
    company: Company, owner: Client, clock: FixedClock
) -> None:
    contract = await signed(owner, value=money("10.00"))
    await draw(company, subject_id(contract), UUID(int=7), Money(600, "USD"))
    before = await again(owner, contract)
    assert pointers(await amend(owner, contract, value=money("5.99"))) == [
        ("/changes/value", "less_than_drawn")
    ]
    assert await part(owner, contract, "amendments") == []
    assert await again(owner, contract) == before
    await amended(owner, contract, value=money("6.00"))
    assert (await again(owner, contract))["value"] == money("6.00")


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({}, "/changes", "nothing"),
        ({"value": None}, "/changes", "required"),
        ({"value": money("1.00", "EUR")}, "/changes/value/currency", "other_currency"),
        ({"ends_on": "2025-01-01"}, "/changes/ends_on", "before_start"),
        ({"lines": [{"description": "x", "quantity": "0", "unit_price": money("1")}]},
         "/changes/lines/0/quantity", "not_positive"),
        ({"parties": [{"role": "guarantor", "account_id": "0198c0de-0000-7000-8000-000000000000"}]},
         "/changes/parties/0/account_id", "unknown_reference"),
        ({"clauses": [{"title": "x", "body": "{{x.y}}"}]}, "/changes/clauses/0/body", "unknown_placeholder"),
        ({"clauses": [{"title": "x", "body": "{{contact.name}}"}]}, "/changes/clauses/0", "missing_value"),
        ({"plan": [item("x", percent="99", rule="after_signing")]}, "/changes/plan", "plan_mismatch"),
    ],
)  # fmt: skip
async def test_changes_that_the_contract_could_not_take_are_refused_at_once(
    owner: Client, changes: dict[str, Any], pointer: str, code: str
) -> None:
    contract = await signed(owner)
    before = await again(owner, contract)
    assert pointers(await amend(owner, contract, **changes)) == [(pointer, code)]
    assert await again(owner, contract) == before
    assert await part(owner, contract, "amendments") == []


async def test_one_amendment_at_a_time(owner: Client) -> None:
    contract = await draft(owner)
    assert refusal(await amend(owner, contract, title="x")) == (409, "contract_not_active")
    await sign(owner, contract)
    answers = await asyncio.gather(*(amend(owner, contract, title=f"T{n}") for n in range(30)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 29
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"amendment_open"}
    (made,) = await part(owner, contract, "amendments")
    for step in ("void", "terminate"):
        answer = await try_act(owner, contract, step, reason="x")
        assert (*refusal(answer), answer.json()["number"]) == (409, "amendment_open", 1)
    path = f"/v1/contracts/{contract['id']}/amendments/{made['id']}"
    changed = await owner.ok(
        "PATCH", path, json={"reason": "Because", "effective_on": "2026-05-01"}, if_match=1
    )
    assert (changed["version"], changed["reason"], changed["effective_on"]) == (2, "Because", "2026-05-01")
    assert refusal(await owner.patch(path, {"title": "y"}, if_match=1)) == (412, "stale_version")
    withdrawn = await owner.ok("POST", f"{path}/withdraw", if_match=2)
    assert withdrawn["status"] == "withdrawn"
    assert refusal(await owner.post(f"{path}/submit", if_match=3)) == (409, "invalid_transition")
    assert refusal(await owner.patch(path, {"title": "y"}, if_match=3)) == (409, "conflict")
    assert (await amend(owner, contract, title="Again")).json()["number"] == 2


async def test_an_amendment_waits_for_its_day_in_the_companys_zone(
    company: Company, owner: Client, clock: FixedClock
) -> None:
    settings = await owner.ok("GET", "/v1/tenant")
    await owner.ok("PATCH", "/v1/tenant", json={"time_zone": "Asia/Shanghai"}, if_match=settings["version"])
    contract = await signed(owner)
    done = await amended(owner, contract, effective_on="2026-04-01", title="Later")
    assert done["status"] == "approved"
    clock.set(datetime(2026, 3, 31, 15, 59, tzinfo=UTC))
    await calendar(company, "apply_amendments")
    assert (await again(owner, contract))["title"] == "Maintenance"
    clock.set(datetime(2026, 3, 31, 16, 0, tzinfo=UTC))
    await asyncio.gather(*(calendar(company, "apply_amendments") for _ in range(5)))
    now = await again(owner, contract)
    assert (now["title"], now["revision"]) == ("Later", 2)
    revisions = await part(owner, contract, "revisions")
    assert [(row["number"], row["in_force_from"]) for row in revisions] == [
        (1, "2026-03-01"),
        (2, "2026-04-01"),
    ]


async def test_an_amendment_that_no_longer_fits_on_its_day_is_given_up(
    company: Company, owner: Client, clock: FixedClock
) -> None:
    contract = await signed(owner, value=money("10.00"))
    await amended(owner, contract, effective_on="2026-04-01", value=money("5.00"))
    await draw(company, subject_id(contract), UUID(int=9), Money(501, "USD"))
    clock.set(datetime(2026, 4, 1, tzinfo=UTC))
    await calendar(company, "apply_amendments")
    now = await again(owner, contract)
    assert (now["value"], now["revision"]) == (money("10.00"), 1)
    (row,) = await part(owner, contract, "amendments")
    assert row["status"] == "withdrawn"
    history = (await owner.ok("GET", f"/v1/contracts/{contract['id']}/history"))["data"]
    assert (history[0]["action"], history[0]["reason"]) == (
        "amendment_withdraw",
        "Orders have drawn 5.01 USD.",
    )


async def test_clauses_and_parties_are_those_of_the_day_of_drafting(owner: Client, clock: FixedClock) -> None:
    contract = await signed(owner)
    library = await owner.ok(
        "POST", "/v1/contract-clause-templates", json={"key": "k", "title_en": "T", "body_en": "First"}
    )
    bank = await make(owner, "accounts", name="Bank")
    path = f"/v1/contracts/{contract['id']}/amendments"
    changes = {
        "clauses": [{"template_id": library["id"]}],
        "parties": [{"role": "guarantor", "account_id": bank["id"]}],
    }
    made = await owner.ok("POST", path, json={"title": "Change", "changes": changes})
    await owner.ok(
        "PATCH", f"/v1/contract-clause-templates/{library['id']}", json={"body_en": "Second"}, if_match=1
    )
    await owner.ok("PATCH", f"/v1/accounts/{bank['id']}", json={"name": "Bank II"}, if_match=1)
    await owner.ok("POST", f"{path}/{made['id']}/submit", if_match=1)
    assert [row["text"] for row in await part(owner, contract, "clauses")] == ["First"]
    assert [(row["role"], row["name"]) for row in await part(owner, contract, "parties")] == [
        ("guarantor", "Bank")
    ]
    assert (await act(owner, contract, "void", reason="x"))["status"] == "voided"
