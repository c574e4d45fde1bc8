"""Requests for approval: which process asks whom, and how a request comes to its end."""

from __future__ import annotations

from uuid import UUID

import pytest

from app.kernel.errors import Forbidden
from app.modules.automation.interface import (
    ApprovalPending,
    Approvals,
    ApprovalStatus,
    NoApprover,
    NoPendingApproval,
    Resubmit,
)
from tests.modules.automation.toys import (
    act_as,
    actions,
    ask,
    latest,
    make_toy,
    member,
    named,
    over,
    process,
    report_to,
    step,
    told,
    unchanged,
    usd,
    waiting,
)
from tests.modules.support import acting

NOWHERE = "0198c0de-0000-7000-8000-000000000000"


def url(ref, action=""):
    return f"/v1/approvals/{ref.id}" + (f"/{action}" if action else "")


def ids(ref):
    return [str(id) for id in ref.waiting_for]


# -- which process, which steps ------------------------------------------------------------------------------


async def test_a_request_goes_through_its_steps_one_after_the_other(company, hire, look):
    sales, boss, finance = await hire(), await hire("manager"), await hire("viewer")
    await process(company, step("boss", named(boss)), step("finance", named(finance)))
    toy = await make_toy(sales)
    ref = await ask(company, sales, toy, note="Please")
    assert (ref.status, ref.process, ref.step, ids(ref)) == ("pending", "Discounts", "Boss", [member(boss)])
    assert await latest(company, toy) == ref
    assert (await waiting(boss), await waiting(finance)) == (["Toy Ball"], [])
    async with unchanged(company, look):
        answer = await finance.post(url(ref, "approve"))
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    found = await boss.ok("POST", url(ref, "approve"), json={"note": "Fine"})
    assert (found["status"], found["step"], found["waiting_for"]) == ("pending", "finance", [member(finance)])
    assert (await waiting(boss), await waiting(finance)) == ([], ["Toy Ball"])
    assert await told(company.owner, toy) == (None, None)
    found = await finance.ok("POST", url(ref, "approve"))
    assert (found["status"], found["waiting_for"], found["decided_by"]) == ("approved", [], member(finance))
    assert await told(company.owner, toy) == (1, "approved")
    assert await actions(sales, ref) == [("requested", None), ("approved", "boss"), ("approved", "finance")]
    end = await latest(company, toy)
    assert (end.status, end.step, end.waiting_for) == ("approved", "Finance", ())
    async with unchanged(company, look):
        answer = await boss.post(url(ref, "approve"))
        assert (answer.status_code, answer.json()["code"], answer.json()["state"]) == (
            409, "no_pending_approval", "approved",
        )  # fmt: skip


async def test_the_first_process_by_priority_whose_condition_holds_asks(company, hire):
    boss, sales = await hire("manager"), await hire()
    for name, priority, condition, enabled in (
        ("off", 1, None, False), ("dear", 10, over("100.00"), True), ("medium", 20, over("10.00"), True),
    ):  # fmt: skip
        await process(
            company,
            step("one", named(boss)),
            name_en=name,
            priority=priority,
            condition=condition,
            enabled=enabled,
        )
    found = []
    for price in ("500.00", "50.00", "10.01", "10.00"):
        ref = await ask(company, sales, await make_toy(sales, price=usd(price)))
        found.append((ref.process, ref.status, ref.id is None))
    assert found == [
        ("dear", "pending", False), ("medium", "pending", False), ("medium", "pending", False),
        (None, "not_needed", True),
    ]  # fmt: skip


async def test_a_step_whose_condition_does_not_hold_is_left_out(company, hire):
    boss, finance, sales = await hire("manager"), await hire("viewer"), await hire()
    await process(
        company,
        step("dear", named(finance), condition=over("100.00")),
        step("boss", named(boss)),
        name_zh=None,
    )
    ref = await ask(company, sales, await make_toy(sales, price=usd("50.00")))
    assert ids(ref) == [member(boss)]
    assert (await boss.ok("POST", url(ref, "approve")))["status"] == "approved"
    ref = await ask(company, sales, await make_toy(sales, price=usd("150.00")))
    assert ids(ref) == [member(finance)]


async def test_without_a_step_that_applies_nothing_is_asked(company, hire, look):
    boss, sales = await hire("manager"), await hire()
    await process(company, step("dear", named(boss), condition=over("100.00")))
    toy = await make_toy(sales, price=usd("50.00"))
    async with unchanged(company, look):
        assert (await ask(company, sales, toy)).status is ApprovalStatus.NOT_NEEDED
    assert await latest(company, toy) is None


async def test_a_condition_on_a_field_that_is_gone_asks_rather_than_lets_pass(company, hire, look):
    boss, sales = await hire("manager"), await hire()
    made = await process(company, step("boss", named(boss)), condition=over("100.00"))
    gone = '{"or": [{"and": [{"field": "custom.gone", "op": "eq", "value": 1}]}]}'
    await look.run(
        "UPDATE automation.approval_processes SET condition = $2::text::jsonb WHERE id = $1",
        UUID(made["id"]),
        gone,
    )
    assert (await ask(company, sales, await make_toy(sales))).status is ApprovalStatus.PENDING


# -- who approves ----------------------------------------------------------------------------------------------


async def test_approvers_are_found_by_name_role_manager_team_field_and_choice(company, hire):
    owner = company.owner
    lead = await hire("manager")
    team = await owner.ok("POST", "/v1/teams", json={"name": "East", "manager_id": member(lead)})
    top, boss, sales = await hire("viewer"), await hire("viewer"), await hire(team_ids=[team["id"]])
    await report_to(company, sales, boss)
    await report_to(company, boss, top)
    toy = await make_toy(sales)
    approvers = {
        "named": (named(top, boss), [top, boss]),
        "role": ({"kind": "role", "role": "manager"}, [lead]),
        "first": ({"kind": "manager", "level": 1}, [boss]),
        "second": ({"kind": "manager", "level": 2}, [top]),
        "team": ({"kind": "team_manager"}, [lead]),
        "chosen": ({"kind": "chosen"}, [boss]),
        "field": ({"kind": "field", "field": "created_by"}, [sales]),
    }
    await process(company, *[step(key, entry, rule="all") for key, (entry, _) in approvers.items()])
    body = {"object": "toy", "record_id": toy["id"], "chosen_ids": [member(boss)]}
    found = await owner.ok("POST", "/v1/approval-processes/preview", json=body)
    assert {one["key"]: [a["id"] for a in one["approvers"]] for one in found["steps"]} == {
        key: [member(client) for client in clients] for key, (_, clients) in approvers.items()
    }


async def test_who_leads_the_team_themselves_is_approved_one_team_above(company, hire):
    owner = company.owner
    top, lead = await hire("manager"), await hire()
    above = await owner.ok("POST", "/v1/teams", json={"name": "All", "manager_id": member(top)})
    team = await owner.ok(
        "POST", "/v1/teams", json={"name": "East", "manager_id": member(lead), "parent_id": above["id"]}
    )
    path = f"/v1/members/{member(lead)}"
    version = (await owner.ok("GET", path))["version"]
    await owner.ok("PATCH", path, json={"team_ids": [team["id"]]}, if_match=version)
    await process(company, step("team", {"kind": "team_manager"}))
    assert ids(await ask(company, lead, await make_toy(lead))) == [member(top)]


async def test_several_sources_of_a_step_ask_everybody_once(company, hire):
    boss, sales = await hire("manager"), await hire()
    await report_to(company, sales, boss)
    await process(
        company, step("one", named(boss), {"kind": "manager", "level": 1}, {"kind": "role", "role": "owner"})
    )
    ref = await ask(company, sales, await make_toy(sales))
    assert ids(ref) == [member(boss), str(company.member_id)]


@pytest.mark.parametrize(
    ("approvers", "rule"),
    [
        ([{"kind": "manager", "level": 1}], "any"),
        ([{"kind": "manager", "level": 9}], "any"),
        ([{"kind": "team_manager"}], "any"),
        ([{"kind": "chosen"}], "any"),
        ([{"kind": "field", "field": "created_by"}], "any"),  # the requester only
        ([{"kind": "field", "field": "team_id"}], "any"),  # no member
        ([{"kind": "role", "role": "owner"}, {"kind": "chosen"}], "all"),  # not all of them
    ],
)
async def test_nobody_to_approve_is_an_error_that_names_process_and_step(
    company, hire, look, approvers, rule
):
    sales = await hire()
    await process(
        company, step("fine", {"kind": "role", "role": "owner"}), step("lost", *approvers, rule=rule)
    )
    toy = await make_toy(sales)
    async with unchanged(company, look):
        with pytest.raises(NoApprover) as refused:
            await ask(company, sales, toy)
        assert refused.value.members == {"process": "Discounts", "step": "lost"}
    assert await latest(company, toy) is None


async def test_an_inactive_member_approves_nothing(company, hire, look):
    boss, sales = await hire("manager"), await hire()
    await process(company, step("one", named(boss)))
    toy = await make_toy(sales)
    await look.run("UPDATE tenants.members SET status = 'deactivated' WHERE id = $1", UUID(member(boss)))
    async with unchanged(company, look):
        with pytest.raises(NoApprover):
            await ask(company, sales, toy)


async def test_nobody_approves_what_they_asked_for_unless_the_process_lets_them(company, hire, look):
    sales, boss = await hire(), await hire("manager")
    made = await process(company, step("one", named(sales, boss)))
    toy = await make_toy(sales)
    ref = await ask(company, sales, toy)
    assert ids(ref) == [member(boss)]
    window = {
        "delegate_id": member(sales),
        "starts_at": "2020-01-01T00:00:00Z",
        "ends_at": "2090-01-01T00:00:00Z",
    }
    await boss.ok("POST", "/v1/approval-delegations", json=window)
    async with unchanged(company, look):
        for action in ("approve", "refuse"):
            answer = await sales.post(url(ref, action), {"note": "I do"})
            assert (answer.status_code, answer.json()["code"]) == (403, "own_request")
        answer = await boss.post(url(ref, "delegate"), {"member_id": member(sales)})
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "own_request")
    assert await waiting(sales) == []
    assert (await sales.ok("GET", url(ref)))["allowed"] == ["delegate", "recall"]
    await sales.ok("POST", url(ref, "recall"))
    path = f"/v1/approval-processes/{made['id']}"
    await company.owner.ok("PATCH", path, json={"requester_may_approve": True}, if_match=1)
    ref = await ask(company, sales, toy)
    assert ids(ref) == [member(sales), member(boss)]
    assert (await sales.ok("POST", url(ref, "approve")))["status"] == "approved"


# -- any, all, majority ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "answers", "statuses"),
    [
        ("any", "a", "approved"),
        ("any", "r", "refused"),
        ("all", "aaa", "pending pending approved"),
        ("all", "ar", "pending refused"),
        ("majority", "aa", "pending approved"),
        ("majority", "rar", "pending pending refused"),
    ],
)
async def test_the_rule_of_a_step_counts_the_answers(company, hire, rule, answers, statuses):
    approvers, sales = [await hire("manager") for _ in range(3)], await hire()
    await process(company, step("one", named(*approvers), rule=rule))
    toy = await make_toy(sales)
    ref = await ask(company, sales, toy)
    found = []
    for client, answer in zip(approvers, answers, strict=False):
        action = "approve" if answer == "a" else "refuse"
        found.append((await client.ok("POST", url(ref, action), json={"note": "So"}))["status"])
    assert found == statuses.split()
    assert await told(company.owner, toy) == (1, found[-1])
    last = await company.owner.ok("GET", url(ref))
    states = [one["state"] for one in last["steps"][0]["decisions"]]
    given = ["approved" if answer == "a" else "refused" for answer in answers]
    assert states == given + ["closed"] * (3 - len(answers))


async def test_a_refusal_says_why_and_nobody_answers_twice(company, hire, look):
    one, other, sales = await hire("manager"), await hire("manager"), await hire()
    await process(company, step("one", named(one, other), rule="all"))
    ref = await ask(company, sales, await make_toy(sales))
    async with unchanged(company, look):
        for body in ({}, {"note": ""}, {"note": None}):
            assert (await one.post(url(ref, "refuse"), body)).status_code == 422
    await one.ok("POST", url(ref, "approve"))
    async with unchanged(company, look):
        for action in ("approve", "refuse"):
            answer = await one.post(url(ref, action), {"note": "Again"})
            assert (answer.status_code, answer.json()["code"]) == (409, "already_decided")
    found = await other.ok("POST", url(ref, "refuse"), json={"note": "Too thin"})
    assert (found["status"], found["decision_note"]) == ("refused", "Too thin")


# -- asking again ---------------------------------------------------------------------------------------------------


async def test_one_request_at_a_time(company, hire, look):
    boss, sales = await hire("manager"), await hire()
    await process(company, step("one", named(boss)))
    toy = await make_toy(sales)
    ref = await ask(company, sales, toy)
    async with unchanged(company, look):
        with pytest.raises(ApprovalPending):
            await ask(company, sales, toy)
    assert await latest(company, toy) == ref


async def test_what_was_approved_last_is_not_asked_again_also_for_a_later_revision(company, hire, look):
    boss, sales = await hire("manager"), await hire()
    await process(company, step("one", named(boss)))
    first, second = await make_toy(sales), await make_toy(sales)
    earlier = (UUID(first["id"]),)
    ref = await ask(company, sales, first, fingerprint="A")
    await boss.ok("POST", url(ref, "approve"))
    async with unchanged(company, look):
        assert (await ask(company, sales, first, fingerprint="A")).status is ApprovalStatus.NOT_NEEDED
        again = await ask(company, sales, second, fingerprint="A", earlier_ids=earlier)
        assert again.status is ApprovalStatus.NOT_NEEDED
    ref = await ask(company, sales, second, fingerprint="B", earlier_ids=earlier)
    assert ref.status is ApprovalStatus.PENDING
    await boss.ok("POST", url(ref, "approve"))
    # What was approved before the last time has to be asked again.
    assert (await ask(company, sales, second, fingerprint="A", earlier_ids=earlier)).status == "pending"
    stranger = await make_toy(sales)
    assert (await ask(company, sales, stranger, fingerprint="A")).status is ApprovalStatus.PENDING


@pytest.mark.parametrize(("resubmit", "first"), [(Resubmit.START, "one"), (Resubmit.REFUSING_STEP, "two")])
async def test_a_refused_request_goes_on_at_the_start_or_at_the_refusing_step(company, hire, resubmit, first):
    boss, sales = await hire("manager"), await hire()
    await process(company, *[step(key, named(boss)) for key in ("one", "two", "three")])
    toy = await make_toy(sales)
    ref = await ask(company, sales, toy)
    await boss.ok("POST", url(ref, "approve"))
    await boss.ok("POST", url(ref, "refuse"), json={"note": "No"})
    again = await ask(company, sales, toy, resubmit=resubmit)
    found = await sales.ok("GET", url(again))
    assert (found["step"], found["carried"]) == (first, ["one"] if first == "two" else [])
    assert [one["key"] for one in found["steps"]] == ["one", "two", "three"][3 - len(found["steps"]) :]


async def test_going_on_at_the_refusing_step_still_asks_what_began_to_apply(company, hire):
    boss, finance, sales = await hire("manager"), await hire("viewer"), await hire()
    await process(
        company,
        step("dear", named(finance), condition=over("100.00")),
        step("one", named(boss)),
        step("two", named(boss)),
    )
    toy = await make_toy(sales, price=usd("50.00"))
    ref = await ask(company, sales, toy)
    await boss.ok("POST", url(ref, "approve"))
    await boss.ok("POST", url(ref, "refuse"), json={"note": "No"})
    await sales.ok("PATCH", f"/v1/toys/{toy['id']}", json={"price": usd("500.00")}, if_match=2)
    again = await ask(company, sales, toy, resubmit=Resubmit.REFUSING_STEP)
    found = await sales.ok("GET", url(again))
    assert ([one["key"] for one in found["steps"]], found["carried"]) == (["dear", "two"], ["one"])


async def test_where_the_refusing_step_is_gone_the_request_starts_over(company, hire):
    boss, sales = await hire("manager"), await hire()
    await process(company, step("one", named(boss)), step("dear", named(boss), condition=over("100.00")))
    toy = await make_toy(sales, price=usd("500.00"))
    ref = await ask(company, sales, toy)
    await boss.ok("POST", url(ref, "approve"))
    await boss.ok("POST", url(ref, "refuse"), json={"note": "No"})
    await sales.ok("PATCH", f"/v1/toys/{toy['id']}", json={"price": usd("50.00")}, if_match=2)
    again = await ask(company, sales, toy, resubmit=Resubmit.REFUSING_STEP)
    found = await sales.ok("GET", url(again))
    assert ([one["key"] for one in found["steps"]], found["carried"]) == (["one"], [])


# -- recall ---------------------------------------------------------------------------------------------------------


async def test_who_asked_recalls_it_and_the_module_is_told(company, hire, look):
    boss, sales, other = await hire("manager"), await hire(), await hire()
    await process(company, step("one", named(boss)))
    toy = await make_toy(sales)
    ref = await ask(company, sales, toy)
    async with unchanged(company, look):
        assert (await boss.post(url(ref, "recall"))).status_code == 403
        assert (await other.post(url(ref, "recall"))).status_code == 404
        async with acting(company, await act_as(company, boss)) as uow:
            with pytest.raises(Forbidden):
                await uow.of(Approvals).recall("toy", UUID(toy["id"]))
    found = await sales.ok("POST", url(ref, "recall"), json={"note": "Price was wrong"})
    assert (found["status"], found["decision_note"], found["waiting_for"]) == (
        "recalled",
        "Price was wrong",
        [],
    )
    assert await told(company.owner, toy) == (1, "recalled")
    assert await waiting(boss) == []
    async with unchanged(company, look):
        answer = await sales.post(url(ref, "recall"))
        assert (answer.status_code, answer.json()["code"]) == (409, "no_pending_approval")
        assert (await boss.post(url(ref, "approve"))).json()["code"] == "no_pending_approval"
        async with acting(company, await act_as(company, sales)) as uow:
            with pytest.raises(NoPendingApproval):
                await uow.of(Approvals).recall("toy", UUID(toy["id"]))
    assert await told(company.owner, toy) == (1, "recalled")


async def test_a_module_recalls_for_the_owner_of_the_record(company, hire):
    boss, sales = await hire("manager"), await hire()
    await process(company, step("one", named(boss)))
    toy = await make_toy(sales)
    await ask(company, company.owner, toy)
    async with acting(company, await act_as(company, sales)) as uow:
        ref = await uow.of(Approvals).recall("toy", UUID(toy["id"]), note="Mine")
    assert (ref.status, ref.note) == ("recalled", "Mine")
    assert (await ask(company, sales, toy)).status == "pending"


# -- who sees it ----------------------------------------------------------------------------------------------------


async def test_an_approver_sees_the_request_and_not_the_record(company, rival, hire):
    sales, other = await hire(), await hire({"account:read": "own"})
    boss = await hire({"account:read": "own"})
    await process(company, step("one", named(boss)))
    toy = await make_toy(sales)
    ref = await ask(company, sales, toy, note="Please")
    assert (await boss.get(f"/v1/toys/{toy['id']}")).status_code == 403
    found = await boss.ok("GET", url(ref))
    assert (found["label"], found["note"], found["allowed"]) == (
        "Toy Ball", "Please", ["approve", "refuse", "delegate"],
    )  # fmt: skip
    for client in (other, rival.owner):
        assert (await client.get(url(ref))).status_code == 404
        assert (await client.get(f"/v1/approvals/{NOWHERE}")).status_code == 404
        assert (await client.post(url(ref, "approve"))).status_code == 404
        of_record = f"/v1/approvals?object=toy&record_id={toy['id']}"
        assert (await client.ok("GET", of_record))["data"] == []
    # Who sees the record sees what is asked about it.
    team = (await company.owner.ok("GET", f"/v1/approvals?object=toy&record_id={toy['id']}"))["data"]
    assert [one["id"] for one in team] == [str(ref.id)]
    viewer = await hire("viewer")
    assert (await viewer.ok("GET", url(ref)))["allowed"] == []
    assert (await viewer.ok("GET", "/v1/approvals"))["data"] == []


async def test_lists_tell_what_waits_what_was_asked_and_what_concerns_me_in_pages(company, hire):
    boss, sales = await hire("manager"), await hire()
    await process(company, step("one", named(boss)))
    refs = [await ask(company, sales, await make_toy(sales, name=f"T{n}")) for n in range(3)]
    await boss.ok("POST", url(refs[0], "approve"))
    mine = await make_toy(boss, name="Mine")
    async with acting(company, await act_as(company, boss)) as uow:
        assert await uow.of(Approvals).latest("toy", []) == {}
    labels, cursor = [], ""
    while True:
        page = await boss.ok("GET", f"/v1/approvals?limit=1{cursor}")
        labels += [one["label"] for one in page["data"]]
        if not page["has_more"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert labels == ["Toy T2", "Toy T1", "Toy T0"]
    assert await waiting(boss) == ["Toy T2", "Toy T1"]
    asked = await sales.ok("GET", "/v1/approvals?view=asked&status=approved")
    assert [one["label"] for one in asked["data"]] == ["Toy T0"]
    assert (await boss.ok("GET", "/v1/approvals?view=asked"))["data"] == []
    assert (await boss.get(f"/v1/approvals?object=toy&record_id={mine['id']}")).json()["data"] == []
    assert (await boss.get("/v1/approvals?object=toy")).status_code == 422
    assert (await boss.get("/v1/approvals?view=mine")).status_code == 422


# -- records that no module asks for ---------------------------------------------------------------------------------


async def test_any_other_record_is_asked_for_by_hand(company, hire, look):
    boss, sales, reader = await hire("manager"), await hire(), await hire("viewer")
    await process(company, step("one", named(boss)), object="account", name_en="Key accounts")
    account = await sales.ok("POST", "/v1/accounts", json={"name": "Acme"})
    body = {"object": "account", "record_id": account["id"], "note": "A key account"}
    toy = await make_toy(sales)
    async with unchanged(company, look):
        assert (await reader.post("/v1/approvals", body)).status_code == 403
        assert (await sales.post("/v1/approvals", body | {"record_id": NOWHERE})).status_code == 404
        assert (await sales.post("/v1/approvals", body | {"object": "unicorn"})).status_code == 422
        refused = await sales.post("/v1/approvals", {"object": "toy", "record_id": toy["id"]})
        assert (refused.status_code, refused.json()["code"]) == (409, "asked_elsewhere")
    made = await sales.ok("POST", "/v1/approvals", json=body)
    assert (made["label"], made["waiting_for"], made["owner_id"]) == ("Acme", [member(boss)], member(sales))
    again = await sales.post("/v1/approvals", body)
    assert (again.status_code, again.json()["code"]) == (409, "approval_pending")
    await boss.ok("POST", f"/v1/approvals/{made['id']}/approve")
    again = await sales.post("/v1/approvals", body)
    assert (again.status_code, again.json()["code"]) == (409, "approval_not_needed")
    await sales.ok("PATCH", f"/v1/accounts/{account['id']}", json={"name": "Acme 2"}, if_match=1)
    assert (await sales.post("/v1/approvals", body)).status_code == 201


async def test_requests_go_along_when_their_records_are_merged_and_come_back_when_that_is_undone(
    company, hire
):
    owner, boss = company.owner, await hire("manager")
    await process(company, step("one", named(boss)), object="account", name_en="Key accounts")
    accounts = [await owner.ok("POST", "/v1/accounts", json={"name": f"Acme {n}"}) for n in range(3)]
    requests = []
    for account in accounts:
        body = {"object": "account", "record_id": account["id"]}
        requests.append(await owner.ok("POST", "/v1/approvals", json=body))
    await boss.ok("POST", f"/v1/approvals/{requests[1]['id']}/refuse", json={"note": "No"})

    async def about():
        return [(await owner.ok("GET", f"/v1/approvals/{one['id']}"))["record_id"] for one in requests]

    ids = [account["id"] for account in accounts]
    merge = await owner.ok(
        "POST",
        "/v1/accounts/merge",
        json={"records": [{"id": id, "version": 1} for id in ids], "master_id": ids[0]},
    )
    # The survivor has a pending request of its own, so that the other pending one stays where it was.
    assert await about() == [ids[0], ids[0], ids[2]]
    await owner.ok("POST", f"/v1/merges/{merge['merge']['id']}/undo")
    assert await about() == ids
