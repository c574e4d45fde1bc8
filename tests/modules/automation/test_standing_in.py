"""Deciding for others: delegations for a while, one decision given away, members who leave, and the clock."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.kernel.schedules import ScheduledRun
from app.modules.automation.services import chasing
from tests.modules.automation.toys import (
    actions,
    ask,
    deactivate,
    make_toy,
    member,
    named,
    process,
    report_to,
    step,
    told,
    unchanged,
    waiting,
)
from tests.modules.support import actor_of

URL = "/v1/approval-delegations"
NOWHERE = "0198c0de-0000-7000-8000-000000000000"


def window(delegate, start="2020-01-01T00:00:00Z", end="2090-01-01T00:00:00Z", **more):
    return {"delegate_id": member(delegate), "starts_at": start, "ends_at": end} | more


async def asked(client, ref):
    return (await client.ok("GET", f"/v1/approvals/{ref.id}"))["waiting_for"]


async def notices(client, kind):
    page = await client.ok("GET", f"/v1/notifications?kind={kind}")
    return [one["title"] for one in page["data"]]


# -- for a while -----------------------------------------------------------------------------------------------------


async def test_a_delegate_decides_within_the_window_and_on_whose_behalf_is_kept(company, hire, look):
    boss, mate, late, sales = await hire("manager"), await hire(), await hire(), await hire()
    await process(company, step("one", named(boss)), step("two", named(boss)))
    await boss.ok("POST", URL, json=window(mate, note="Leave"))
    await boss.ok("POST", URL, json=window(late, end="2020-02-01T00:00:00Z"))
    toy = await make_toy(sales)
    ref = await ask(company, sales, toy)
    assert (await waiting(mate), await waiting(boss), await waiting(late)) == (["Toy Ball"], ["Toy Ball"], [])
    assert await notices(mate, "approval.requested") == ["Please approve: Toy Ball"]
    assert await notices(late, "approval.requested") == []
    async with unchanged(company, look):
        assert (await late.post(f"/v1/approvals/{ref.id}/approve")).status_code in (403, 404)
        body = {"on_behalf_of": member(sales)}
        assert (await mate.post(f"/v1/approvals/{ref.id}/approve", body)).status_code == 403
    found = await mate.ok("POST", f"/v1/approvals/{ref.id}/approve", json={"on_behalf_of": member(boss)})
    decision = found["steps"][0]["decisions"][0]
    assert (decision["approver_id"], decision["decided_by"]) == (member(boss), member(mate))
    assert (found["history"][1]["actor_id"], found["history"][1]["on_behalf_of"]) == (
        member(mate),
        member(boss),
    )
    # Who is away may still decide.
    assert (await boss.ok("POST", f"/v1/approvals/{ref.id}/approve"))["status"] == "approved"


async def test_an_approver_who_stands_in_for_another_answers_for_each(company, hire):
    boss, mate, sales = await hire("manager"), await hire("manager"), await hire()
    await process(company, step("one", named(boss, mate), rule="all"))
    await boss.ok("POST", URL, json=window(mate))
    ref = await ask(company, sales, await make_toy(sales))
    first = await mate.ok("POST", f"/v1/approvals/{ref.id}/approve")
    assert (first["status"], first["waiting_for"]) == ("pending", [member(boss)])
    second = await mate.ok("POST", f"/v1/approvals/{ref.id}/approve")
    assert [one["on_behalf_of"] for one in second["history"][1:]] == [None, member(boss)]
    assert second["status"] == "approved"


async def test_delegations_are_ones_own(company, rival, hire, look):
    boss, mate, other = await hire("manager"), await hire(), await hire()
    made = await boss.ok("POST", URL, json=window(mate))
    path = f"{URL}/{made['id']}"
    assert (made["member_id"], made["delegate_id"], made["version"]) == (member(boss), member(mate), 1)
    for client, seen in ((boss, 1), (mate, 1), (other, 0), (company.owner, 1), (rival.owner, 0)):
        assert len((await client.ok("GET", URL))["data"]) == seen
        assert (await client.get(path)).status_code == (200 if seen else 404)
    assert (await boss.ok("GET", f"{URL}?at=2019-01-01T00:00:00Z"))["data"] == []
    async with unchanged(company, look):
        assert (await mate.patch(path, {"note": "Mine"}, if_match=1)).status_code == 403
        assert (await mate.delete(path, if_match=1)).status_code == 403
        assert (await other.delete(path, if_match=1)).status_code == 404
        assert (await other.post(URL, window(mate, member_id=member(boss)))).status_code == 403
        assert (await boss.patch(path, {"note": "x"}, if_match=2)).status_code == 412
        assert (await boss.patch(path, {"note": "x"})).status_code == 428
    changed = await boss.ok(
        "PATCH", path, json={"note": "Leave", "ends_at": "2031-01-01T00:00:00Z"}, if_match=1
    )
    assert (changed["note"], changed["ends_at"], changed["version"]) == ("Leave", "2031-01-01T00:00:00Z", 2)
    assert (await company.owner.delete(path, if_match=2)).status_code == 204
    assert (await boss.ok("GET", URL))["data"] == []
    made = await company.owner.ok("POST", URL, json=window(mate, member_id=member(boss)))
    assert made["member_id"] == member(boss)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"ends_at": "2020-01-01T00:00:00Z"}, "/ends_at"),
        ({"delegate_id": NOWHERE}, "/delegate_id"),
        ({"delegate_id": None}, "/delegate_id"),
        ({"starts_at": "2020-01-01T00:00:00"}, "/starts_at"),
        ({"colour": 1}, "/colour"),
    ],
)
async def test_a_window_that_makes_no_sense_is_refused(company, hire, look, change, pointer):
    boss, mate = await hire("manager"), await hire()
    made = await boss.ok("POST", URL, json=window(mate))
    async with unchanged(company, look):
        for answer in (
            await boss.post(URL, window(mate) | change),
            await boss.patch(f"{URL}/{made['id']}", change, if_match=1),
        ):
            assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
        assert (await boss.post(URL, window(boss))).status_code == 422


# -- one decision given away -----------------------------------------------------------------------------------------


async def test_an_approver_gives_one_decision_to_another_member(company, hire, look):
    boss, second, mate, sales = await hire("manager"), await hire("manager"), await hire(), await hire()
    await process(company, step("one", named(boss, second), rule="all"))
    ref = await ask(company, sales, await make_toy(sales))
    path = f"/v1/approvals/{ref.id}/delegate"
    async with unchanged(company, look):
        for client, to, status in (
            (boss, member(second), 422), (boss, member(boss), 422), (boss, member(sales), 422), (boss, NOWHERE, 422),
            (mate, member(mate), 404), (sales, member(mate), 403),
        ):  # fmt: skip
            assert (await client.post(path, {"member_id": to})).status_code == status
    found = await boss.ok("POST", path, json={"member_id": member(mate), "note": "You know them"})
    assert found["waiting_for"] == [member(mate), member(second)]
    assert found["steps"][0]["decisions"][0]["first_approver_id"] == member(boss)
    last = found["history"][-1]
    assert (last["action"], last["to_member_id"], last["note"]) == (
        "delegated",
        member(mate),
        "You know them",
    )
    assert await notices(mate, "approval.requested") == ["Please approve: Toy Ball"]
    async with unchanged(company, look):
        answer = await boss.post(f"/v1/approvals/{ref.id}/approve")
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    await mate.ok("POST", f"/v1/approvals/{ref.id}/approve")
    assert (await second.ok("POST", f"/v1/approvals/{ref.id}/approve"))["status"] == "approved"


async def test_who_runs_approvals_gives_away_the_decision_of_anybody(company, hire, look):
    boss, mate, sales = await hire("manager"), await hire(), await hire()
    await process(company, step("one", named(boss)))
    ref = await ask(company, sales, await make_toy(sales))
    path = f"/v1/approvals/{ref.id}/delegate"
    async with unchanged(company, look):
        assert (await company.owner.post(path, {"member_id": member(mate)})).status_code == 403
        assert (
            await company.owner.post(f"/v1/approvals/{ref.id}/approve", {"on_behalf_of": member(boss)})
        ).status_code == 403
    body = {"member_id": member(mate), "on_behalf_of": member(boss)}
    assert (await company.owner.ok("POST", path, json=body))["waiting_for"] == [member(mate)]


# -- leaving ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("heir", ["successor", "manager", "above", "owner"])
async def test_what_waits_for_a_leaver_goes_to_whoever_is_there(company, hire, heir):
    boss, manager, top, mate, sales = [await hire("manager") for _ in range(4)] + [await hire()]
    if heir in ("successor", "manager", "above"):
        await report_to(company, boss, manager)
        await report_to(company, manager, top)
    await process(company, step("one", named(boss)), step("two", named(boss)))
    ref = await ask(company, manager if heir == "above" else sales, await make_toy(sales))
    await deactivate(company, boss, mate if heir == "successor" else None)
    expected = {
        "successor": member(mate), "manager": member(manager), "above": member(top), "owner": str(company.member_id),
    }[heir]  # fmt: skip
    found = await company.owner.ok("GET", f"/v1/approvals/{ref.id}")
    assert found["waiting_for"] == [expected]
    assert [s["decisions"][0]["approver_id"] for s in found["steps"]] == [expected, expected]
    assert [(one["action"], one["step"], one["to_member_id"]) for one in found["history"][1:]] == [
        ("handed_over", "one", expected), ("handed_over", "two", expected),
    ]  # fmt: skip


async def test_a_leaver_whose_heir_is_asked_already_is_left_out_and_the_step_is_counted(company, hire):
    boss, mate, sales = await hire("manager"), await hire("manager"), await hire()
    await report_to(company, boss, mate)
    await process(company, step("one", named(boss, mate), rule="all"))
    toy = await make_toy(sales)
    ref = await ask(company, sales, toy)
    await mate.ok("POST", f"/v1/approvals/{ref.id}/approve")
    assert await told(company.owner, toy) == (None, None)
    await deactivate(company, boss)
    assert await told(company.owner, toy) == (1, "approved")
    assert await actions(sales, ref) == [("requested", None), ("approved", "one"), ("closed", "one")]


async def test_where_nobody_is_left_the_requester_is_told(company, hire):
    boss = await hire("manager")
    await process(company, step("one", named(boss)))
    ref = await ask(company, company.owner, await make_toy(company.owner))
    await deactivate(company, boss)
    assert await actions(company.owner, ref) == [("requested", None), ("stayed", "one")]
    assert await notices(company.owner, "approval.stuck") == ["Nobody is left to approve: Toy Ball"]
    assert (await company.owner.ok("POST", f"/v1/approvals/{ref.id}/recall"))["status"] == "recalled"


# -- the clock -------------------------------------------------------------------------------------------------------


async def tick(company):
    run = ScheduledRun(company.app.kernel, (await actor_of(company)).tenant)
    await chasing.remind(run)
    await chasing.escalate(run)


async def test_what_nobody_answers_goes_up_the_managers_until_somebody_does(company, hire, clock):
    boss, manager, sales = await hire("manager"), await hire("manager"), await hire()
    await report_to(company, boss, manager)
    patience = {"amount": 2, "unit": "days", "to": "manager"}
    await process(company, step("one", named(boss), escalate_after=patience))
    toy = await make_toy(sales)
    ref = await ask(company, sales, toy)
    due = (await boss.ok("GET", "/v1/to-dos?kind=approval"))["data"]
    assert [(one["title"], one["due_at"]) for one in due] == [
        ("Toy Ball", (clock.now() + timedelta(days=2)).isoformat().replace("+00:00", "Z"))
    ]
    clock.advance(timedelta(days=2, seconds=-1))
    await tick(company)
    assert await asked(company.owner, ref) == [member(boss)]
    clock.advance(timedelta(seconds=1))
    await tick(company)
    await tick(company)
    assert await asked(company.owner, ref) == [member(manager)]
    assert await notices(manager, "approval.requested") == ["Please approve: Toy Ball"]
    assert await notices(boss, "approval.escalated") == ["Went on to somebody else: Toy Ball"]
    clock.advance(timedelta(days=2))
    await tick(company)  # the manager has none
    await tick(company)
    assert await asked(company.owner, ref) == [member(manager)]
    assert await actions(sales, ref) == [("requested", None), ("escalated", "one"), ("stayed", "one")]
    assert (await manager.ok("POST", f"/v1/approvals/{ref.id}/approve"))["status"] == "approved"


async def test_working_hours_are_those_of_the_approvers_calendar(company, hire, clock):
    boss, mate, sales = await hire("manager"), await hire(), await hire()
    friday = clock.now() + timedelta(days=7 + 4 - clock.now().weekday())
    clock.set(friday.replace(hour=16, minute=0, second=0))  # work ends at six
    monday = clock.now() + timedelta(days=2, hours=19)
    await process(
        company,
        step(
            "one",
            named(boss),
            escalate_after={"amount": 4, "unit": "working_hours", "to": "member", "member_id": member(mate)},
        ),
    )
    settings = await company.owner.ok("GET", "/v1/tenant")
    assert settings["business_calendar"]["days"]["fri"] == [["09:00", "18:00"]]
    ref = await ask(company, sales, await make_toy(sales))
    found = await sales.ok("GET", f"/v1/approvals/{ref.id}")
    assert found["steps"][0]["decisions"][0]["escalate_at"] == f"{monday:%Y-%m-%d}T11:00:00Z"
    clock.set(monday)
    await tick(company)
    found = await sales.ok("GET", f"/v1/approvals/{ref.id}")
    assert found["waiting_for"] == [member(mate)]
    assert found["steps"][0]["decisions"][0]["escalate_at"] is None


async def test_two_approvers_with_one_manager_do_not_both_become_the_manager(company, hire, clock):
    one, other, manager, sales = [await hire("manager") for _ in range(3)] + [await hire()]
    for client in (one, other):
        await report_to(company, client, manager)
    patience = {"amount": 1, "unit": "days", "to": "manager"}
    await process(company, step("one", named(one, other), rule="all", escalate_after=patience))
    ref = await ask(company, sales, await make_toy(sales))
    clock.advance(timedelta(days=1))
    await tick(company)
    assert await asked(company.owner, ref) == [member(manager), member(other)]
    assert await actions(sales, ref) == [("requested", None), ("escalated", "one"), ("stayed", "one")]


async def test_nothing_goes_on_to_the_requester(company, hire, clock):
    boss, sales = await hire("manager"), await hire()
    await report_to(company, boss, sales)
    patience = {"amount": 1, "unit": "days", "to": "manager"}
    await process(company, step("one", named(boss), escalate_after=patience))
    ref = await ask(company, sales, await make_toy(sales))
    clock.advance(timedelta(days=1))
    await tick(company)
    assert await asked(company.owner, ref) == [member(boss)]


async def test_reminders_come_again_until_there_is_an_answer(company, hire, clock):
    boss, sales = await hire("manager"), await hire()
    await process(company, step("one", named(boss), remind_after={"amount": 1, "unit": "days"}))
    ref = await ask(company, sales, await make_toy(sales))
    for count in (0, 1, 2):
        await tick(company)
        assert len(await notices(boss, "approval.reminder")) == count
        clock.advance(timedelta(days=1))
    await boss.ok("POST", f"/v1/approvals/{ref.id}/approve")
    await tick(company)
    assert await notices(boss, "approval.reminder") == ["Still waiting for your approval: Toy Ball"] * 2
