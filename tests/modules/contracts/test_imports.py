"""Contracts from files, the fixed number of statements that reading takes, and races of whoever edits at once."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Any
from uuid import UUID

from app.kernel.clock import FixedClock
from app.kernel.ids import new_id
from app.kernel.imports.rules import ImportOptions, ImportRow
from app.kernel.money import Money
from app.kernel.uow import UnitOfWork
from app.modules.activities.interface import ToDoSource
from app.modules.activities.services.to_dos import ToDos
from app.modules.contracts.interface import Contracts
from app.modules.contracts.schemas import ContractCreate
from app.modules.contracts.services.content import content_of
from app.modules.contracts.services.contracts import ContractService
from app.modules.contracts.services.on_accounts import ContractPanel
from app.modules.contracts.services.to_dos import ContractToDos
from tests.modules.contracts.deals import again, draft, ids, item, money, part, put, signed
from tests.modules.support import acting, make, subject_id
from tests.support.api import Client, Company


def row(uow: UnitOfWork, number: int, extras: dict[str, str] | None = None, **given: Any) -> ImportRow:
    body = ContractCreate.model_validate(
        {"title": "T", "value": money("1.00"), "starts_on": "2026-01-01"} | given
    )
    fields = {name: getattr(body, name) for name in ContractCreate.model_fields}
    values = ContractService(uow)._columns(fields) | {"created_at": uow.now}
    return ImportRow(number, number + 1, [], values=values, given=frozenset(given), extras=extras or {})


async def test_a_file_names_accounts_and_gets_numbers_for_all_rows_at_once(
    company: Company, owner: Client
) -> None:
    account = await make(owner, "accounts", name="Initech Inc.", external_id="A-7")
    contact = await make(owner, "contacts", name="Ann", email="ann@example.com")
    async with acting(company) as uow:
        rows = [
            row(uow, 1, {"account": "INITECH", "contact": "ann@example.com"}),
            row(uow, 2, {"account": "A-7"}, ends_on="2025-01-01"),
            row(uow, 3, {"account": "Nobody"}),
            row(uow, 4, account_id=account["id"]),
            row(uow, 5),
        ]
        before = uow.statements
        await ContractService(uow).prepare_import(rows, ImportOptions(mode="create"))
        assert uow.statements - before <= 7
    assert (rows[0].values["account_id"], rows[0].values["contact_id"]) == (
        UUID(account["id"]),
        UUID(contact["id"]),
    )
    assert [rows[n].values["number"][-5:] for n in (0, 3)] == ["00001", "00004"]
    assert [[fault.code for fault in one.faults] for one in rows] == [
        [], ["before_start"], ["unknown_reference", "required"], [], ["required"],
    ]  # fmt: skip
    assert rows[0].values["status"] == "draft"


async def test_a_dry_run_takes_no_numbers(company: Company, owner: Client) -> None:
    account = await make(owner, "accounts", name="Initech")
    async with acting(company) as uow:
        rows = [row(uow, 1, account_id=account["id"])]
        await ContractService(uow).prepare_import(rows, ImportOptions(mode="create", dry_run=True))
    assert rows[0].faults == []
    assert (await draft(owner))["number"].endswith("-00001")


async def test_a_file_does_not_change_what_a_plan_is_made_of(company: Company, owner: Client) -> None:
    planned, plain = await draft(owner), await draft(owner)
    await put(owner, planned, "plan", items=[item("All", percent="100", rule="after_signing")])
    async with acting(company) as uow:
        service = ContractService(uow)
        stored = await service.get_many([subject_id(planned), subject_id(plain)])
        rows = []
        changed: list[tuple[UUID, dict[str, Any]]] = [
            (subject_id(planned), {"value": 5, "currency": "USD"}),
            (subject_id(planned), {"title": "Other"}),
            (subject_id(plain), {"value": 5, "currency": "USD"}),
        ]
        for number, (id, changes) in enumerate(changed):
            one = ImportRow(number, number, [], values=changes)
            one.existing = stored[id]
            rows.append(one)
        await service.prepare_import_updates(rows, ImportOptions(mode="update"))
    assert [[fault.code for fault in one.faults] for one in rows] == [["has_plan"], [], []]


async def test_reading_takes_a_fixed_number_of_statements(
    company: Company, owner: Client, clock: FixedClock
) -> None:
    account = await make(owner, "accounts", name="Acme")
    small = await signed(owner, [item("All", percent="100", rule="after_signing")], account_id=account["id"])
    large = await draft(owner, account_id=account["id"])
    lines = [{"description": f"L{n}", "quantity": "1", "unit_price": money("1")} for n in range(200)]
    await put(owner, large, "lines", lines=lines)
    await put(owner, large, "plan", items=[item("R", percent="100", rule="monthly")])
    counts: list[list[int]] = []
    for contract in (small, large):
        taken = []
        async with acting(company) as uow:
            service = ContractService(uow)
            contracts = uow.of(Contracts)
            found = await service.get(subject_id(contract))
            for act in (
                content_of(uow, found),
                contracts.plan(found.id),
                contracts.get_many([subject_id(small), subject_id(large)]),
                ContractPanel(uow).panel([subject_id(account)]),
                ToDos(uow).page(kinds=ContractToDos.kinds, after=None, limit=50),
                ToDos(uow).counts(),
            ):
                before = uow.statements
                await act
                taken.append(uow.statements - before)
        counts.append(taken)
    assert counts == [[4, 2, 1, 1, 1, 1]] * 2


async def test_the_same_draft_edited_by_many_at_once_keeps_one_of_them_whole(owner: Client) -> None:
    contract = await draft(owner)
    path = f"/v1/contracts/{contract['id']}"

    async def write(number: int) -> int:
        value = money(f"{100 + number}.00")
        body = {"items": [item(f"P{number}", percent="100", rule="monthly")]}
        if number % 2:
            return (await owner.patch(path, {"value": value}, if_match=1)).status_code
        return (await owner.put(f"{path}/plan", body, if_match=1)).status_code

    answers = await asyncio.gather(*(write(number) for number in range(40)))
    assert sorted(answers) == [200] + [412] * 39
    plan = await owner.ok("GET", f"{path}/plan")
    now = await again(owner, contract)
    assert now["version"] == 2
    assert plan["total"] in (now["value"], money("0.00"))


async def test_billing_and_amending_at_once_keep_the_sum(
    company: Company, owner: Client, clock: FixedClock
) -> None:
    contract = await signed(owner, [item("Rate", percent="100", rule="monthly")])
    instalments = ids(await part(owner, contract, "plan"))
    path = f"/v1/contracts/{contract['id']}/amendments"

    async def bill(id: UUID) -> None:
        async with acting(company) as uow:
            await uow.of(Contracts).invoiced(id, Money(100_00, "USD"))

    async def amend() -> None:
        body = {"title": "x", "changes": {"value": money("2400.00")}}
        made = await owner.ok("POST", path, json=body)
        await owner.ok("POST", f"{path}/{made['id']}/submit", if_match=1)

    done = await asyncio.gather(amend(), *(bill(id) for id in instalments), return_exceptions=True)
    rows = await part(owner, contract, "plan")
    value = (await again(owner, contract))["value"]
    total = sum(Money.from_major(one["amount"]["amount"], "USD").amount_minor for one in rows)
    assert total == Money.from_major(value["amount"], "USD").amount_minor, done
    assert all(one["invoiced"] in (money("100.00"), money("0.00")) for one in rows)
    async with acting(company) as uow:
        assert ContractToDos in {type(source) for source in uow.ports(ToDoSource)}
        assert await uow.of(Contracts).of_quotes([new_id()]) == {}
    assert date(2026, 1, 1).isoformat() == rows[0]["due_on"]
