"""Requests for approval from asking to their end."""

from tests.modules.automation.toys import ask, make_toy, member, named, process, step, told


async def test_a_request_goes_through_its_steps(company, hire):
    owner = company.owner
    sales, boss, finance = await hire(), await hire("manager"), await hire("viewer")
    await process(company, step("boss", named(boss)), step("finance", named(finance)))
    toy = await make_toy(sales)
    ref = await ask(company, sales, toy)
    assert ref.status == "pending"
    assert [str(id) for id in ref.waiting_for] == [member(boss)]
    path = f"/v1/approvals/{ref.id}"
    await boss.ok("POST", f"{path}/approve", json={"note": "Fine"})
    answer = await finance.ok("POST", f"{path}/approve")
    assert answer["status"] == "approved"
    assert await told(owner, toy) == (1, "approved")
