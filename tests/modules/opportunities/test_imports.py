"""Opportunities from files: the hooks of the import, as it calls them for a chunk."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from app.kernel.imports.rules import ImportOptions, ImportRow
from app.kernel.uow import UnitOfWork
from app.modules.opportunities.schemas import OpportunityCreate
from app.modules.opportunities.services.opportunities import OpportunityService
from tests.modules.opportunities.deals import deal_in, money, pipeline_of, stage
from tests.modules.support import acting, make
from tests.support.api import Client, Company

OPTIONS = ImportOptions(mode="create")


def row(uow: UnitOfWork, number: int, extras: dict[str, str] | None = None, **given: Any) -> ImportRow:
    body = OpportunityCreate.model_validate(given)
    fields = {name: getattr(body, name) for name in OpportunityCreate.model_fields}
    values = OpportunityService(uow)._columns(fields) | {"created_at": uow.now}
    return ImportRow(number, number + 1, [], values=values, given=frozenset(given), extras=extras or {})


async def test_accounts_and_pipelines_are_found_by_name_or_key(company: Company, owner: Client) -> None:
    named = await make(owner, "accounts", name="Initech Inc.")
    keyed = await make(owner, "accounts", name="Globex", external_id="A-7")
    default = await make(owner, "opportunities", name="First")
    async with acting(company) as uow:
        rows = [
            row(uow, 1, {"account": "INITECH", "pipeline": "sales"}, name="A", stage="proposal"),
            row(
                uow,
                2,
                {"account": "A-7"},
                name="B",
                status="won",
                closed_on="2017-03-01",
                opened_on="2016-10-20",
            ),
            row(uow, 3, {}, name="C"),
            row(uow, 4, {"account": "Nobody"}, name="D"),
            row(uow, 5, {"pipeline": "nowhere"}, name="E"),
            row(uow, 6, {}, name="F", status="lost"),
        ]
        before = uow.statements
        await OpportunityService(uow).prepare_import(rows, OPTIONS)
        assert uow.statements - before <= 4
    assert [r.values["account_id"] for r in rows[:3]] == [UUID(named["id"]), UUID(keyed["id"]), None]
    assert [(r.values["stage"], r.values["status"], r.values["probability"]) for r in rows[:3]] == [
        ("proposal", "open", 50),
        ("won", "won", 100),
        ("qualification", "open", 10),
    ]
    assert {r.values["pipeline_id"] for r in rows[:3]} == {UUID(default["pipeline_id"])}
    assert [[(f.code, f.column) for f in r.faults] for r in rows] == [
        [], [], [],
        [("unknown_reference", "account")],
        [("unknown_reference", "pipeline")],
        [("required", "loss_reason")],
    ]  # fmt: skip
    assert [[f.code for f in r.warnings] for r in rows[:3]] == [[], [], ["without_account"]]


async def test_an_account_that_one_may_not_see_is_unknown(
    company: Company, owner: Client, rival: Company
) -> None:
    theirs = await make(rival.owner, "accounts", name="Initech", external_id="A-7")
    async with acting(company) as uow:
        rows = [
            row(uow, 1, {"account": "A-7"}, name="A"),
            row(uow, 2, {"account": "Initech"}, name="B"),
            row(uow, 3, {}, name="C", account_id=theirs["id"]),
        ]
        await OpportunityService(uow).prepare_import(rows, OPTIONS)
    assert [[f.code for f in r.faults] for r in rows] == [["unknown_reference"]] * 3


async def test_changes_by_file_go_through_the_stages_too(company: Company, owner: Client) -> None:
    made = await make(owner, "opportunities", name="A", stage="proposal")
    async with acting(company) as uow:
        service = OpportunityService(uow)
        existing = await service.get(UUID(made["id"]))
        changed = ImportRow(
            1, 2, [], values={"status": "won"}, given=frozenset({"status"}), existing=existing
        )
        refused = ImportRow(
            2, 3, [], values={"status": "lost"}, given=frozenset({"status"}), existing=existing
        )
        await service.prepare_import_updates([changed, refused], OPTIONS)
    assert (changed.values["stage"], changed.values["probability"], changed.faults) == ("won", 100, [])
    assert [(f.code, f.column) for f in refused.faults] == [("required", "loss_reason")]
    visits = await owner.ok("GET", f"/v1/opportunities/{made['id']}/stage-history")
    assert [(v["from_stage"], v["to_stage"]) for v in visits] == [(None, "proposal"), ("proposal", "won")]


async def test_a_file_tells_how_it_was_past_moves_requirements_and_playbooks(
    company: Company, owner: Client
) -> None:
    call = {"key": "call", "subject": {"en": "Call"}}
    second = stage("second", 50, requirements={"lines": True}, playbook=[call])
    pipeline = await pipeline_of(owner, stage("first", 10, moves=[]), second)
    made = await deal_in(owner, pipeline)
    async with acting(company) as uow:
        service = OpportunityService(uow)
        existing = await service.get(UUID(made["id"]))
        moved = ImportRow(1, 2, [], values={"stage": "second"}, given=frozenset({"stage"}), existing=existing)
        await service.prepare_import_updates([moved], OPTIONS)
    assert (moved.values["stage"], moved.faults) == ("second", [])
    assert (await owner.ok("GET", f"/v1/opportunities/{made['id']}/playbook"))["data"] == []


async def test_a_file_does_not_overwrite_the_sum_of_lines(company: Company, owner: Client) -> None:
    made = await make(owner, "opportunities", name="A")
    line = {"product_name": "Pump", "quantity": "1", "unit_price": money("10.00")}
    await owner.ok("POST", f"/v1/opportunities/{made['id']}/lines", json=line)
    async with acting(company) as uow:
        service = OpportunityService(uow)
        existing = await service.get(UUID(made["id"]))
        values = {"amount": 999, "currency": "USD"}
        changed = ImportRow(1, 2, [], values=values, given=frozenset({"amount"}), existing=existing)
        await service.prepare_import_updates([changed], OPTIONS)
    assert [(fault.code, fault.column) for fault in changed.faults] == [("sum_of_lines", "amount")]
