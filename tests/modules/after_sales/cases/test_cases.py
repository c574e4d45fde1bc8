"""Cases: how they are opened, what they copy, and the states that they go through."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import date
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kernel.errors import InvalidTransition
from app.kernel.periods import add_months
from app.modules.after_sales.interface import CaseChannel, Cases, CaseStatus, NewCase
from app.modules.after_sales.services.cases.states import CASE_STATES, ENDED, SHOWN_TO_CUSTOMERS
from tests.modules.after_sales.cases.cases import again, case_of, step, stepped
from tests.modules.orders.orders import line, money, order_of, product
from tests.modules.support import acting, actor_of, colleague, count, make
from tests.support.api import Company

Json = dict[str, Any]


async def test_a_case_starts_new_with_a_number_and_an_owner(company: Company, account: Json) -> None:
    me = (await company.owner.ok("GET", "/v1/me"))["member_id"]
    case = await case_of(company.owner, account_id=account["id"], type="incident", channel="phone")
    assert case["number"].startswith("C-")
    assert (case["status"], case["priority"], case["channel"], case["owner_id"]) == (
        "new",
        "normal",
        "phone",
        me,
    )
    assert (case["opened_at"], case["due_at"], case["reopened_count"]) == (case["created_at"], None, 0)
    listed = await company.owner.ok("GET", f"/v1/cases?account_id={account['id']}&sort=-opened_at")
    assert [one["id"] for one in listed["data"]] == [case["id"]]
    found = await company.owner.ok("GET", "/v1/cases?q=leaks")
    assert [one["number"] for one in found["data"]] == [case["number"]]


async def test_a_case_cannot_have_come_in_later_than_now(company: Company) -> None:
    answer = await company.owner.post(
        "/v1/cases", json={"subject": "Tomorrow", "opened_at": "2999-01-01T00:00:00Z"}
    )
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/opened_at")
    assert await count(company, "after_sales.cases") == 0


@pytest.mark.parametrize(
    "field", ["account_id", "contact_id", "product_id", "asset_id", "order_id", "parent_id", "queue_id"]
)
async def test_what_a_case_names_must_be_there(company: Company, field: str) -> None:
    answer = await company.owner.post("/v1/cases", json={"subject": "Leak", field: str(uuid4())})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "unknown_reference")
    assert answer.json()["errors"][0]["pointer"] == f"/{field}"
    assert await count(company, "after_sales.cases") == 0


async def test_the_account_follows_from_the_contact(company: Company, account: Json) -> None:
    contact = await make(company.owner, "contacts", name="Ada Byron", account_id=account["id"])
    case = await case_of(company.owner, contact_id=contact["id"])
    assert case["account_id"] == account["id"]


async def test_the_warranty_is_copied_from_the_order_line(company: Company, account: Json) -> None:
    owner = company.owner
    pump = await product(owner, name="Pump 3000", warranty_months=24)
    order = await order_of(
        owner, account, {"product_id": pump["id"], "quantity": "1", "unit_price": money("10.00")}, line("1")
    )
    bought = await case_of(owner, order_id=order["id"], order_line_id=order["lines"][0]["id"])
    today = date.fromisoformat(order["ordered_on"])
    assert bought["warranty"] == {
        "source": "order_line",
        "source_id": order["lines"][0]["id"],
        "name": "Pump 3000",
        "starts_on": today.isoformat(),
        "ends_on": add_months(today, 24).isoformat(),
        "covered": True,
        "terms": None,
    }
    assert (bought["account_id"], bought["product_id"]) == (account["id"], pump["id"])
    current = await owner.ok("GET", f"/v1/products/{pump['id']}")
    await owner.patch(f"/v1/products/{pump['id']}", json={"warranty_months": 1}, if_match=current["version"])
    assert (await again(owner, bought))["warranty"] == bought["warranty"]
    other = await case_of(owner, order_id=order["id"], order_line_id=order["lines"][1]["id"])
    assert (other["warranty"]["ends_on"], other["warranty"]["covered"]) == (None, False)
    answer = await owner.delete(f"/v1/products/{pump['id']}", if_match=current["version"] + 1)
    assert (answer.status_code, answer.json()["used_by"]["cases"]) == (409, 1)


async def test_a_line_needs_its_order(company: Company, account: Json) -> None:
    order = await order_of(company.owner, account, line("1"))
    for body in (
        {"order_line_id": order["lines"][0]["id"]},
        {"order_line_id": str(uuid4()), "order_id": order["id"]},
    ):
        answer = await company.owner.post("/v1/cases", json={"subject": "Leak"} | body)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/order_line_id")
    assert await count(company, "after_sales.cases") == 0


async def test_a_case_goes_from_new_to_closed_and_back(company: Company) -> None:
    owner = company.owner
    case = await case_of(owner)
    for name, status in (
        ("start", "open"),
        ("wait-for-customer", "pending_customer"),
        ("wait-internally", "pending_internal"),
        ("start", "open"),
    ):
        assert (await stepped(owner, case, name))["status"] == status
    solved = await stepped(owner, case, "resolve", {"resolution": "New seal"})
    assert (solved["status"], solved["resolution"]) == ("resolved", "New seal")
    assert solved["resolved_at"] is not None
    assert solved["reopenable_until"] > solved["resolved_at"]
    opened = await stepped(owner, case, "reopen", {"reason": "Leaks again"})
    assert (opened["status"], opened["resolved_at"], opened["reopened_count"]) == ("open", None, 1)
    await stepped(owner, case, "resolve")
    closed = await stepped(owner, case, "close")
    assert (closed["status"], closed["resolution"]) == ("closed", "New seal")
    refused = await owner.patch(
        f"/v1/cases/{case['id']}", json={"subject": "Other"}, if_match=closed["version"]
    )
    assert (refused.status_code, refused.json()["code"]) == (409, "case_ended")
    answer = await step(owner, case, "start")
    assert (answer.status_code, answer.json()["state"]) == (409, "closed")
    assert (await again(owner, case))["version"] == closed["version"]


@given(st.sampled_from(list(CaseStatus)), st.sampled_from(["start", "resolve", "reopen", "close", "other"]))
def test_only_what_ended_is_opened_again(state: CaseStatus, action: str) -> None:
    assert set(SHOWN_TO_CUSTOMERS) == CASE_STATES.states
    if action == "reopen" and state not in ENDED:
        with pytest.raises(InvalidTransition):
            CASE_STATES.next(state, action)
    if CASE_STATES.may(state, action) and action != "close":
        assert (CASE_STATES.next(state, action) in ENDED) == (action == "resolve")


async def test_of_200_who_resolve_one_does(company: Company) -> None:
    case = await case_of(company.owner)
    answers = await asyncio.gather(
        *[company.owner.post(f"/v1/cases/{case['id']}/resolve", if_match=case["version"]) for _ in range(200)]
    )
    assert Counter(answer.status_code for answer in answers) == {200: 1, 412: 199}
    solved = await again(company.owner, case)
    assert (solved["status"], solved["version"]) == ("resolved", 2)
    answers = await asyncio.gather(
        *[
            company.owner.post(f"/v1/cases/{case['id']}/reopen", if_match=solved["version"])
            for _ in range(200)
        ]
    )
    assert Counter(answer.status_code for answer in answers) == {200: 1, 412: 199}
    assert (await again(company.owner, case))["reopened_count"] == 1


async def test_200_reports_of_one_thing_make_one_case(company: Company) -> None:
    body = {"subject": "Too hot", "dedupe": "device 7: temperature", "channel": "device"}
    answers = await asyncio.gather(*[company.owner.post("/v1/cases", json=body) for _ in range(200)])
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert await count(company, "after_sales.cases") == 1
    first = answers[0].json()
    await stepped(company.owner, first, "resolve")
    second = await case_of(company.owner, dedupe="device 7: temperature")
    assert second["id"] != first["id"]
    refused = await step(company.owner, first, "reopen")
    assert (refused.status_code, refused.json()["code"]) == (409, "case_already_open")
    assert refused.json()["case_id"] == second["id"]
    assert (await again(company.owner, first))["status"] == "resolved"


async def test_other_modules_open_and_read_cases(company: Company, account: Json) -> None:
    id = UUID(account["id"])
    new = NewCase(subject="Late", channel=CaseChannel.EMAIL, account_id=id, dedupe="late")
    async with acting(company) as uow:
        first = await uow.of(Cases).open(new)
        assert (await uow.of(Cases).open(new)).id == first.id
        assert first.owner_id is None
    urgent = await case_of(company.owner, account_id=account["id"], priority="urgent")
    solved = await case_of(company.owner, account_id=account["id"])
    await stepped(company.owner, solved, "resolve")
    async with acting(company) as uow:
        assert set(await uow.of(Cases).get_many([first.id, uuid4()], hold=True)) == {first.id}
        before = uow.statements
        found = await uow.of(Cases).open_of([id, uuid4()])
        assert uow.statements - before == 1
        assert [str(one.id) for one in found[id]] == [urgent["id"], str(first.id)]
        assert len((await uow.of(Cases).open_of([id], limit=1))[id]) == 1
    async with acting(company, colleague(await actor_of(company))) as uow:
        assert await uow.of(Cases).get_many([first.id]) == {}
        assert await uow.of(Cases).open_of([id]) == {}


async def test_a_case_is_no_part_of_itself(company: Company) -> None:
    owner = company.owner
    top = await case_of(owner)
    part = await case_of(owner, parent_id=top["id"])
    for parent in (top["id"], part["id"]):
        answer = await owner.patch(
            f"/v1/cases/{top['id']}", json={"parent_id": parent}, if_match=top["version"]
        )
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "circular")
    assert (await again(owner, top))["parent_id"] is None
    listed = await owner.ok("GET", f"/v1/cases?parent_id={top['id']}")
    assert [one["id"] for one in listed["data"]] == [part["id"]]


async def test_escalating_goes_one_level_up(company: Company) -> None:
    case = await case_of(company.owner)
    up = await stepped(company.owner, case, "escalate", {"reason": "complaint"})
    assert up["escalation_level"] == 1
    await stepped(company.owner, case, "resolve")
    answer = await step(company.owner, case, "escalate")
    assert (answer.status_code, answer.json()["code"]) == (409, "case_ended")
    assert (await again(company.owner, case))["escalation_level"] == 1
