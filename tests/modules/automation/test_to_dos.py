"""What waits for approval stands in the to-do centre; lists take a bounded number of statements."""

from __future__ import annotations

from app.modules.activities.services.to_dos import ToDos
from app.modules.automation.services.reading import ApprovalReading
from tests.modules.automation.toys import (
    act_as,
    ask,
    make_toy,
    member,
    named,
    process,
    report_to,
    step,
)
from tests.modules.support import acting


async def to_dos(client, limit=50):
    found, cursor = [], ""
    while True:
        page = await client.ok("GET", f"/v1/to-dos?kind=approval&limit={limit}{cursor}")
        found += page["data"]
        if not page["has_more"]:
            return found
        cursor = f"&cursor={page['next_cursor']}"


async def test_what_i_am_asked_to_approve_waits_for_me(company, hire):
    boss, mate, sales = await hire("manager"), await hire("viewer"), await hire()
    await process(company, step("one", named(boss)), name_zh="折扣")
    await process(
        company,
        step("two", named(boss), escalate_after={"amount": 1, "unit": "days", "to": "manager"}),
        priority=1,
        condition={"or": [{"and": [{"field": "name", "op": "eq", "value": "Urgent"}]}]},
        name_en="Urgent ones",
    )
    toys = [await make_toy(sales, name=name) for name in ("Early", "Late", "Urgent")]
    refs = [await ask(company, sales, toy, note=f"About {toy['name']}") for toy in toys]
    found = await to_dos(boss)
    assert [one["title"] for one in found] == ["Toy Urgent", "Toy Early", "Toy Late"]
    assert (found[1]["object"], found[1]["record_id"], found[1]["due_at"]) == (
        "approval",
        str(refs[0].id),
        None,
    )
    assert found[1]["data"] == {
        "subject_object": "toy", "subject_id": toys[0]["id"], "process": "Discounts", "step": "One",
        "requested_by": member(sales), "on_behalf_of": None, "note": "About Early",
    }  # fmt: skip
    for limit in (1, 2):
        assert await to_dos(boss, limit) == found
    assert await to_dos(mate) == []
    await boss.ok(
        "POST",
        "/v1/approval-delegations",
        json={
            "delegate_id": member(mate),
            "starts_at": "2020-01-01T00:00:00Z",
            "ends_at": "2090-01-01T00:00:00Z",
        },
    )
    assert [one["data"]["on_behalf_of"] for one in await to_dos(mate)] == [member(boss)] * 3
    await boss.ok("POST", f"/v1/approvals/{refs[2].id}/approve")
    assert [one["title"] for one in await to_dos(boss)] == ["Toy Early", "Toy Late"]
    counts = {one["kind"]: one["count"] for one in (await boss.ok("GET", "/v1/to-dos/counts"))["data"]}
    assert counts["approval"] == 2


async def test_the_timeline_of_a_record_tells_what_was_asked_and_answered_about_it(company, hire):
    boss, sales = await hire("manager"), await hire()
    await process(company, step("one", named(boss)))
    toy, other = await make_toy(sales), await make_toy(sales)
    ref = await ask(company, sales, toy, note="Please")
    await ask(company, sales, other)
    await boss.ok("POST", f"/v1/approvals/{ref.id}/refuse", json={"note": "Too thin"})
    path = f"/v1/timeline?object=toy&record_id={toy['id']}&kind=approval"
    found = (await sales.ok("GET", path))["data"]
    assert [(one["title"], one["text"], one["actor_id"]) for one in found] == [
        ("Refused: Discounts", "Too thin", member(boss)), ("Approval requested: Discounts", "Please", member(sales)),
    ]  # fmt: skip
    assert {one["record_id"] for one in found} == {str(ref.id)}
    head = await sales.ok("GET", f"{path}&limit=1")
    rest = await sales.ok("GET", f"{path}&limit=1&cursor={head['next_cursor']}")
    assert head["data"] + rest["data"] == found


async def test_lists_take_as_many_statements_for_much_as_for_little(company, hire):
    boss, sales, top = await hire("manager"), await hire(), await hire("viewer")
    await report_to(company, sales, boss)
    await process(
        company,
        step("one", named(boss, top), {"kind": "manager", "level": 1}, {"kind": "role", "role": "owner"}),
        step("two", named(boss)),
    )
    counted = []
    for lot in range(2):
        for number in range(1 + 7 * lot):
            await ask(company, sales, await make_toy(sales, name=f"T{lot}{number}"))
        async with acting(company, await act_as(company, boss)) as uow:
            before = uow.statements
            await ApprovalReading(uow).page("all", subject=None, status=None, cursor=None, limit=50)
            await ApprovalReading(uow).page("waiting", subject=None, status=None, cursor=None, limit=50)
            await ToDos(uow).page(kinds={"approval"}, after=None, limit=50)
            await ToDos(uow).counts()
            counted.append(uow.statements - before)
    assert counted == [6, 6]
