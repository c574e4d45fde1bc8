"""Hundreds at once: one effective decision for each approver, one end, one request."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from app.modules.automation.interface import ApprovalPending
from tests.modules.automation.toys import ask, make_toy, named, process, step, told


async def outcomes(*calls):
    answers = await asyncio.gather(*calls)
    return Counter((answer.status_code, answer.json().get("code")) for answer in answers)


async def test_two_hundred_approvals_are_one_for_each_approver_and_one_end(company, hire, look):
    approvers, sales = [await hire("manager") for _ in range(10)], await hire()
    await process(company, step("one", named(*approvers), rule="all"))
    toy = await make_toy(sales)
    ref = await ask(company, sales, toy)
    found = await outcomes(*(a.post(f"/v1/approvals/{ref.id}/approve") for a in approvers for _ in range(20)))
    assert found[200, None] == 10
    assert found[409, "already_decided"] + found[409, "no_pending_approval"] == 190
    assert await told(company.owner, toy) == (1, "approved")
    rows = await look.rows("SELECT state FROM automation.approval_decisions WHERE approval_id = $1", ref.id)
    assert [row["state"] for row in rows] == ["approved"] * 10
    rows = await look.rows(
        "SELECT actor_id FROM automation.approval_history WHERE approval_id = $1 AND action = 'approved'",
        ref.id,
    )
    assert len({row["actor_id"] for row in rows}) == len(rows) == 10
    ends = await look.value(
        "SELECT count(*) FROM kernel.outbox WHERE record_id = $1 AND type = 'automation.approval.decided.v1'",
        ref.id,
    )
    assert ends == 1


@pytest.mark.parametrize("rule", ["any", "majority"])
async def test_contrary_answers_at_once_end_it_once(company, hire, look, rule):
    approvers, sales = [await hire("manager") for _ in range(5)], await hire()
    await process(company, step("one", named(*approvers), rule=rule))
    toy = await make_toy(sales)
    ref = await ask(company, sales, toy)
    calls = [
        client.post(f"/v1/approvals/{ref.id}/{action}", {"note": "So"})
        for client in approvers
        for action in ("approve", "refuse")
        for _ in range(10)
    ]
    found = await outcomes(*calls)
    counted = Counter(
        row["state"]
        for row in await look.rows(
            "SELECT state FROM automation.approval_decisions WHERE approval_id = $1", ref.id
        )
    )
    assert found[200, None] == counted["approved"] + counted["refused"]
    assert counted["open"] == 0
    pieces, end = await told(company.owner, toy)
    assert pieces == 1
    if rule == "any":
        assert counted[end] == 1
        assert counted["closed"] == 4
    else:
        assert (counted["approved"] > counted["refused"]) == (end == "approved")
        assert counted[end] == 3


async def test_an_approval_and_a_recall_at_once_are_one_end(company, hire):
    boss, sales = await hire("manager"), await hire()
    await process(company, step("one", named(boss)))
    toy = await make_toy(sales)
    for number in range(1, 11):
        ref = await ask(company, sales, toy, fingerprint=f"{number}")
        found = await outcomes(
            boss.post(f"/v1/approvals/{ref.id}/approve"), sales.post(f"/v1/approvals/{ref.id}/recall")
        )
        assert found == {(200, None): 1, (409, "no_pending_approval"): 1}
        assert (await told(company.owner, toy))[0] == number


async def test_of_many_requests_at_once_one_is_made(company, hire, look):
    boss, sales = await hire("manager"), await hire()
    await process(company, step("one", named(boss)))
    toy = await make_toy(sales)
    found = await asyncio.gather(*(ask(company, sales, toy) for _ in range(50)), return_exceptions=True)
    assert sum(isinstance(one, ApprovalPending) for one in found) == 49
    assert (
        await look.value("SELECT count(*) FROM automation.approvals WHERE tenant_id = $1", company.tenant_id)
        == 1
    )
    assert await look.value(
        "SELECT count(*) FROM automation.approval_decisions WHERE tenant_id = $1", company.tenant_id
    ) == 1  # fmt: skip


async def test_one_decision_is_given_away_once(company, hire, look):
    boss, sales, others = await hire("manager"), await hire(), [await hire("viewer") for _ in range(8)]
    await process(company, step("one", named(boss)))
    ref = await ask(company, sales, await make_toy(sales))
    found = await outcomes(
        *(
            boss.post(f"/v1/approvals/{ref.id}/delegate", {"member_id": other.facts["member_id"]})
            for other in others
            for _ in range(5)
        )
    )
    assert found == {(200, None): 1, (403, "forbidden"): 39}
    rows = await look.rows(
        "SELECT approver_id, state FROM automation.approval_decisions WHERE approval_id = $1", ref.id
    )
    assert [row["state"] for row in rows] == ["open"]
