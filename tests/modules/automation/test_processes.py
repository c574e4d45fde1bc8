"""Approval processes over HTTP: made, read, changed, deleted, previewed."""

from __future__ import annotations

import pytest

from tests.modules.automation.toys import (
    deactivate,
    make_toy,
    member,
    named,
    over,
    process,
    step,
    unchanged,
    usd,
)

URL = "/v1/approval-processes"
NOWHERE = "0198c0de-0000-7000-8000-000000000000"
ROLE = {"kind": "role", "role": "owner"}


async def test_a_process_is_kept_as_it_was_sent(company):
    escalation = {"amount": 8, "unit": "working_hours", "to": "member", "member_id": str(company.member_id)}
    sent = step(
        "boss",
        {"kind": "manager", "level": 2},
        {"kind": "field", "field": "owner_id"},
        name_zh="主管",
        rule="majority",
        condition=over("10.00"),
        remind_after={"amount": 2, "unit": "days"},
        escalate_after=escalation,
    )
    made = await process(company, sent, priority=5, condition=over("1.00"))
    found = await company.owner.ok("GET", f"{URL}/{made['id']}")
    assert found == made
    assert {name: made[name] for name in ("name_en", "name_zh", "object", "priority", "enabled", "version")} == {
        "name_en": "Discounts", "name_zh": "折扣", "object": "toy", "priority": 5, "enabled": True, "version": 1,
    }  # fmt: skip
    assert made["condition"] == over("1.00")
    assert made["steps"][0]["escalate_after"] == escalation
    assert made["steps"][0]["approvers"][0] == {
        "kind": "manager", "level": 2, "member_ids": [], "role": None, "field": None,
    }  # fmt: skip


async def test_processes_are_listed_by_record_type_and_priority_in_pages(company):
    for number, name in ((30, "c"), (10, "a"), (20, "b")):
        await process(company, step("one", ROLE), priority=number, name_en=name)
    await process(company, step("one", ROLE), object="lead", name_en="lead", condition=None)
    names, cursor = [], ""
    while True:
        page = await company.owner.ok("GET", f"{URL}?limit=1{cursor}")
        names += [one["name_en"] for one in page["data"]]
        if not page["has_more"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert names == ["lead", "a", "b", "c"]
    page = await company.owner.ok("GET", f"{URL}?object=lead")
    assert [one["name_en"] for one in page["data"]] == ["lead"]


async def test_a_merge_patch_changes_what_it_names(company, look):
    made = await process(company, step("one", ROLE), condition=over("1.00"))
    path = f"{URL}/{made['id']}"
    changed = await company.owner.ok("PATCH", path, json={"condition": None, "priority": 7}, if_match=1)
    assert (changed["condition"], changed["priority"], changed["version"]) == (None, 7, 2)
    assert changed["steps"] == made["steps"]
    async with unchanged(company, look):
        assert (await company.owner.patch(path, {"priority": 8}, if_match=1)).status_code == 412
        assert (await company.owner.patch(path, {"priority": 8})).status_code == 428
        assert (await company.owner.patch(path, {"priority": None}, if_match=2)).status_code == 422
        assert (await company.owner.patch(path, {"name_en": None}, if_match=2)).status_code == 422
        assert (await company.owner.patch(path, {"rank": 1}, if_match=2)).status_code == 422
        twice = [step("one", ROLE), step("one", ROLE)]
        assert (await company.owner.patch(path, {"steps": twice}, if_match=2)).status_code == 422
        assert (await company.owner.patch(path, {"object": "lead", "steps": [
            step("one", {"kind": "field", "field": "colour"})]}, if_match=2)).status_code == 422  # fmt: skip


async def test_a_patch_that_leaves_the_steps_alone_is_not_stopped_by_who_left(company, hire):
    boss = await hire("manager")
    made = await process(company, step("one", named(boss), ROLE))
    await deactivate(company, boss)
    changed = await company.owner.patch(f"{URL}/{made['id']}", {"priority": 1}, if_match=1)
    assert changed.status_code == 200
    again = await company.owner.patch(f"{URL}/{made['id']}", {"steps": made["steps"]}, if_match=2)
    assert (again.status_code, again.json()["errors"][0]["pointer"]) == (
        422,
        "/steps/0/approvers/0/member_ids",
    )


async def test_a_deleted_process_is_gone_and_asks_no_more(company):
    made = await process(company, step("one", ROLE))
    path = f"{URL}/{made['id']}"
    assert (await company.owner.delete(path, if_match=1)).status_code == 204
    assert (await company.owner.get(path)).status_code == 404
    assert (await company.owner.ok("GET", URL))["data"] == []
    toy = await make_toy(company.owner)
    found = await company.owner.ok("POST", f"{URL}/preview", json={"object": "toy", "record_id": toy["id"]})
    assert found["process_id"] is None


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"object": "unicorn"}, "/object"),
        ({"condition": {"or": [{"and": [{"field": "no_such", "op": "eq", "value": 1}]}]}}, "/condition/or/0/and/0"),
        ({"condition": {"or": [{"and": [{"field": "price", "op": "gt", "value": "x"}]}]}}, "/condition/or/0/and/0"),
        ({"steps": []}, "/steps"),
        ({"steps": [step("one", ROLE), step("one", ROLE)]}, ""),
        ({"steps": [step("one", {"kind": "member", "member_ids": [NOWHERE]})]}, "/steps/0/approvers/0/member_ids"),
        ({"steps": [step("one", {"kind": "role", "role": "emperor"})]}, "/steps/0/approvers/0/role"),
        ({"steps": [step("one", {"kind": "field", "field": "colour"})]}, "/steps/0/approvers/0/field"),
        ({"steps": [step("one", {"kind": "field", "field": "no_such"})]}, "/steps/0/approvers/0/field"),
        ({"steps": [step("one", {"kind": "manager"})]}, "/steps/0/approvers/0"),
        ({"steps": [step("one", {"kind": "role", "role": "owner", "level": 1})]}, "/steps/0/approvers/0"),
        ({"steps": [step("one", ROLE, condition={"or": [{"and": [{"field": "x", "op": "eq"}]}]})]},
         "/steps/0/condition/or/0/and/0"),
        ({"steps": [step("one", ROLE, escalate_after={"amount": 1, "unit": "days", "to": "member"})]},
         "/steps/0/escalate_after"),
        ({"steps": [step("one", ROLE, escalate_after={"amount": 1, "unit": "days", "to": "member",
                                                      "member_id": NOWHERE})]},
         "/steps/0/escalate_after/member_id"),
        ({"steps": [step("One!", ROLE)]}, "/steps/0/key"),
        ({"colour": "red"}, "/colour"),
    ],
)  # fmt: skip
async def test_what_does_not_fit_is_refused_where_it_stands(company, look, change, pointer):
    body = {"name_en": "Discounts", "object": "toy", "steps": [step("one", ROLE)]} | change
    async with unchanged(company, look):
        answer = await company.owner.post(URL, body)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


async def test_processes_are_made_by_whoever_runs_the_company_and_by_nobody_else(company, rival, hire, look):
    made = await process(company, step("one", ROLE))
    manager, sales, body = (
        await hire("manager"),
        await hire(),
        {k: made[k] for k in ("name_en", "object", "steps")},
    )
    path = f"{URL}/{made['id']}"
    async with unchanged(company, look):
        assert (await manager.get(path)).status_code == 200
        assert (await sales.get(path)).status_code == 403
        for client in (manager, sales):
            assert (await client.post(URL, body)).status_code == 403
            assert (await client.patch(path, {"priority": 1}, if_match=1)).status_code == 403
            assert (await client.delete(path, if_match=1)).status_code == 403
        assert (await rival.owner.get(path)).status_code == 404
        assert (await rival.owner.patch(path, {"priority": 1}, if_match=1)).status_code == 404
        assert (await rival.owner.delete(path, if_match=1)).status_code == 404


async def test_a_preview_names_the_process_its_steps_and_approvers_and_what_is_missing(company, hire, look):
    sales, boss = await hire(), await hire("manager")
    made = await process(
        company,
        step("boss", named(boss)),
        step("dear", named(boss), condition=over("1000.00")),
        step("above", {"kind": "manager", "level": 1}),
        step("picked", {"kind": "chosen"}, rule="all"),
        condition=over("10.00"),
    )
    toy, cheap = await make_toy(sales, price=usd("20.00")), await make_toy(sales, price=usd("5.00"))
    async with unchanged(company, look):
        body = {"object": "toy", "record_id": toy["id"], "chosen_ids": [member(boss)]}
        found = await sales.ok("POST", f"{URL}/preview", json=body)
        assert (found["process_id"], found["name_zh"]) == (made["id"], "折扣")
        assert [(one["key"], one["applies"], one["problem"]) for one in found["steps"]] == [
            ("boss", True, None), ("dear", False, None), ("above", True, "no_approver"), ("picked", True, None),
        ]  # fmt: skip
        assert found["steps"][0]["approvers"] == [{"id": member(boss), "name": "Casey Manager"}]
        assert found["steps"][3]["approvers"] == found["steps"][0]["approvers"]
        found = await sales.ok("POST", f"{URL}/preview", json={"object": "toy", "record_id": cheap["id"]})
        assert found == {"process_id": None, "name_en": None, "name_zh": None, "steps": []}
        for wrong, status in (
            ({"object": "toy", "record_id": NOWHERE}, 404),
            ({"object": "unicorn", "record_id": toy["id"]}, 422),
            ({"object": "toy", "record_id": toy["id"], "chosen_ids": [NOWHERE]}, 422),
        ):
            assert (await sales.post(f"{URL}/preview", wrong)).status_code == status
