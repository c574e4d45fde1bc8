"""Playbooks: tasks that a stage gives out, once per visit, to those who should do them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from app.kernel.clock import FixedClock
from app.kernel.validation import fields_of
from app.modules.opportunities.schemas import OpportunityCreate
from app.modules.opportunities.services.opportunities import OpportunityService
from app.modules.opportunities.services.playbook import Playbooks
from tests.modules.opportunities.conftest import Hire
from tests.modules.opportunities.deals import deal_in, move, pipeline_of, stage
from tests.modules.support import acting, count, make, require_held
from tests.support.api import Client, Company, sign_up
from tests.tenants.people import code_of

CALL = {"key": "call", "subject": {"en": "Call them", "zh": "打电话"}, "due_in_days": 2}
DEMO = {"key": "demo", "subject": {"en": "Show it"}, "team_role": "presales"}
WEEKLY = {"key": "weekly", "subject": {"en": "Weekly call"}, "repeat": True}


async def tasks(client: Client, deal: dict[str, Any]) -> list[dict[str, Any]]:
    found = await client.ok("GET", f"/v1/opportunities/{deal['id']}/playbook")
    data: list[dict[str, Any]] = found["data"]
    return data


async def test_entering_a_stage_gives_its_tasks_out_once_per_visit(
    company: Company, owner: Client, clock: FixedClock
) -> None:
    pipeline = await pipeline_of(owner, stage("first", 10, playbook=[CALL, WEEKLY]), stage("second", 50))
    deal = await deal_in(owner, pipeline)
    due = (clock.now() + timedelta(days=2)).isoformat().replace("+00:00", "Z")
    given = await tasks(owner, deal)
    assert [
        (t["key"], t["subject"], t["due_at"], t["status"], t["done"], t["is_current"]) for t in given
    ] == [
        ("call", "Call them", due, "open", False, True),
        ("weekly", "Weekly call", None, "open", False, True),
    ]
    assert {task["owner_id"] for task in given} == {deal["owner_id"]}
    await move(owner, deal, name="Renamed")
    await move(owner, deal, stage="first")
    assert len(await tasks(owner, deal)) == 2
    clock.advance(days=1)
    await move(owner, deal, stage="second")
    await move(owner, deal, stage="first")  # again: only what repeats
    assert [(t["key"], t["is_current"]) for t in await tasks(owner, deal)] == [
        ("call", False), ("weekly", False), ("weekly", True),
    ]  # fmt: skip
    assert await count(company, "activities.activities") == 3


async def test_a_done_task_shows_as_done_and_stands_on_the_timeline(owner: Client) -> None:
    pipeline = await pipeline_of(owner, stage("first", 10, playbook=[CALL]))
    deal = await deal_in(owner, pipeline)
    task = (await tasks(owner, deal))[0]
    done = await owner.ok("POST", f"/v1/activities/{task['activity_id']}/complete", json={}, if_match=1)
    after = (await tasks(owner, deal))[0]
    assert (after["done"], after["status"], after["completed_at"]) == (True, "done", done["completed_at"])
    assert done["about"] == [{"object": "opportunity", "record_id": deal["id"]}]
    await owner.ok("DELETE", f"/v1/activities/{task['activity_id']}", if_match=2)
    gone = (await tasks(owner, deal))[0]
    assert (gone["done"], gone["status"], gone["subject"]) == (False, "deleted", None)


async def test_a_task_for_a_role_goes_to_the_team_member_who_has_it(owner: Client, hire: Hire) -> None:
    engineer = await hire()
    pipeline = await pipeline_of(
        owner, stage("first", 10, playbook=[DEMO]), stage("second", 50, playbook=[DEMO | {"key": "demo2"}])
    )
    deal = await deal_in(owner, pipeline)
    assert [t["owner_id"] for t in await tasks(owner, deal)] == [deal["owner_id"]]  # nobody has it yet
    await owner.ok(
        "POST", f"/v1/opportunities/{deal['id']}/team",
        json={"member_id": engineer.facts["member_id"], "role": "presales"},
    )  # fmt: skip
    await move(owner, deal, stage="second")
    assert (await tasks(owner, deal))[1]["owner_id"] == engineer.facts["member_id"]


async def test_whoever_moves_a_colleagues_deal_needs_no_right_to_assign_tasks(
    owner: Client, hire: Hire
) -> None:
    seller = await hire()
    pipeline = await pipeline_of(owner, stage("first", 10), stage("second", 50, playbook=[CALL]))
    deal = await deal_in(owner, pipeline)
    share = {"member_id": seller.facts["member_id"], "access": "write"}
    await owner.ok("POST", f"/v1/opportunities/{deal['id']}/shares", json=share)
    await move(seller, deal, stage="second")
    assert [(t["key"], t["owner_id"]) for t in await tasks(seller, deal)] == [("call", deal["owner_id"])]
    other = await seller.post(
        "/v1/activities", {"kind": "task", "subject": "X", "owner_id": deal["owner_id"]}
    )
    assert code_of(other) == (403, "forbidden")


async def test_tasks_are_in_the_companys_language_and_closed_pasts_get_none(company: Company) -> None:
    chinese = await sign_up(company.app, locale="zh-CN", currency="CNY", country="CN")
    pipeline = await pipeline_of(chinese.owner, stage("first", 10, playbook=[CALL, DEMO]))
    deal = await deal_in(chinese.owner, pipeline)
    assert [t["subject"] for t in await tasks(chinese.owner, deal)] == ["打电话", "Show it"]
    past = await deal_in(
        chinese.owner, pipeline, status="lost", loss_reason="price", stage="first",
        opened_on="2020-01-01", closed_on="2020-02-01",
    )  # fmt: skip
    assert await tasks(chinese.owner, past) == []


async def test_the_playbook_takes_two_statements_however_long(company: Company, owner: Client) -> None:
    rules = [CALL | {"key": f"call_{n}"} for n in range(6)]
    deal = await deal_in(owner, await pipeline_of(owner, stage("first", 10, playbook=rules)))
    async with acting(company) as uow:
        before = uow.statements
        assert len((await Playbooks(uow).of(UUID(deal["id"]))).data) == 6
        assert uow.statements - before == 2


async def test_a_new_deal_with_its_visit_and_tasks_takes_two_statements_and_holds_its_account(
    company: Company, owner: Client
) -> None:
    pipeline = await pipeline_of(owner, stage("first", 10, playbook=[CALL]))
    account = await make(owner, "accounts", name="Acme")
    await deal_in(owner, pipeline)  # the pipelines are known from here on
    async with acting(company) as uow:
        await uow.fetch("SELECT 1")
        before = uow.statements
        given = OpportunityCreate(name="D", pipeline_id=pipeline["id"], account_id=account["id"])
        row = await OpportunityService(uow).create(fields_of(given))
        await uow.flush()
        assert uow.statements - before == 2
        await require_held(company, "customers.accounts", account["id"])
    given_out = await owner.ok("GET", f"/v1/opportunities/{row.id}/playbook")
    assert [task["key"] for task in given_out["data"]] == ["call"]
