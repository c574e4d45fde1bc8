"""What other modules ask of contracts: one for each quote, draws that fit the value, instalments that are billed."""

from __future__ import annotations

import asyncio
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from app.kernel.access import Scope
from app.kernel.clock import FixedClock
from app.kernel.errors import Conflict, Invalid, NotFound
from app.kernel.ids import new_id
from app.kernel.money import Money
from app.modules.contracts.interface import (
    ContractNotActive,
    Contracts,
    FrameExceeded,
    InstalmentExceeded,
    NewContract,
    NewContractLine,
)
from tests.modules.contracts.deals import act, again, draft, ids, item, money, part, signed
from tests.modules.support import acting, actor_of, colleague, count, make, subject_id
from tests.support.api import Client, Company


def usd(minor: int) -> Money:
    return Money(minor, "USD")


async def new_contract(owner: Client, **more: Any) -> NewContract:
    account = await make(owner, "accounts", name="Acme")
    return NewContract(
        title="From a quote",
        account_id=subject_id(account),
        value=usd(120_00),
        starts_on=date(2026, 3, 1),
        **more,
    )


async def test_a_quote_becomes_one_contract_however_many_ask_at_once(company: Company, owner: Client):
    quote = new_id()
    line = NewContractLine(
        product_id=new_id(), description="Pump", quantity=Decimal("2.5"), unit_price=Decimal("40.12345678"),
        charge="one_time", amount=100_31,
    )  # fmt: skip
    new = await new_contract(owner, quote_id=quote, lines=(line,), owner_id=company.member_id)

    async def accept() -> UUID:
        async with acting(company) as uow:
            return (await uow.of(Contracts).create(new)).id

    made = await asyncio.gather(*(accept() for _ in range(50)))
    assert len(set(made)) == 1
    assert await count(company, "contracts.contracts") == 1
    async with acting(company) as uow:
        found = await uow.of(Contracts).of_quotes([quote, new_id()])
        assert {key: (ref.id, ref.status, ref.value) for key, ref in found.items()} == {
            quote: (made[0], "draft", usd(120_00))
        }
    lines = await part(owner, {"id": made[0]}, "lines")
    assert [lines[0][name] for name in ("product_id", "quantity", "unit_price", "amount")] == [
        str(line.product_id), "2.5", money("40.12345678"), money("100.31"),
    ]  # fmt: skip
    contract = await owner.ok("GET", f"/v1/contracts/{made[0]}")
    assert (contract["quote_id"], contract["owner_id"]) == (str(quote), str(company.member_id))
    assert contract["team_id"] is not None


async def test_a_line_that_cannot_be_kept_makes_no_contract(company: Company, owner: Client):
    line = NewContractLine(
        product_id=None,
        description="x",
        quantity=Decimal(0),
        unit_price=Decimal(1),
        charge="weekly",
        amount=1,
    )
    with pytest.raises(Invalid) as refused:
        async with acting(company) as uow:
            await uow.of(Contracts).create(await new_contract(owner, lines=(line,)))
    assert refused.value.errors[0].pointer == "/lines/0"
    assert await count(company, "contracts.contracts") == 0


async def test_only_what_the_actor_sees_is_answered(company: Company, owner: Client, clock: FixedClock):
    contract = await signed(owner, [item("All", percent="100", rule="after_signing")])
    id, plan = subject_id(contract), ids(await part(owner, contract, "plan"))
    somebody = colleague(await actor_of(company), contract_read=Scope.OWN)
    nobody = colleague(await actor_of(company))
    for actor in (somebody, nobody):
        async with acting(company, actor) as uow:
            contracts = uow.of(Contracts)
            assert await contracts.get_many([id]) == {}
            assert await contracts.instalments(plan) == {}
    with pytest.raises(NotFound):
        async with acting(company, somebody) as uow:
            await uow.of(Contracts).plan(id)
    async with acting(company) as uow:
        contracts = uow.of(Contracts)
        ref = (await contracts.get_many([id, new_id()], hold=True))[id]
        assert (ref.number, ref.status, ref.value, ref.drawn) == (
            contract["number"], "active", usd(1200_00), usd(0),
        )  # fmt: skip
        held = await contracts.instalments(plan, hold=True)
        assert list(held.values()) == list(await contracts.plan(id))


# -- drawings ------------------------------------------------------------------------------------------------


async def draw(company: Company, contract: UUID, order: UUID, amount: Money) -> Money | str:
    try:
        async with acting(company) as uow:
            return await uow.of(Contracts).draw(contract, order, amount)
    except FrameExceeded as refusal:
        return f"{refusal.members['left']['amount']} left"


async def test_two_hundred_draws_of_one_on_a_frame_of_a_hundred(
    company: Company, owner: Client, clock: FixedClock
):
    frame = await signed(owner, kind="frame", value=money("1.00"))
    id = subject_id(frame)
    answers = await asyncio.gather(*(draw(company, id, new_id(), usd(1)) for _ in range(200)))
    drawn = [answer for answer in answers if isinstance(answer, Money)]
    assert len(drawn) == 100
    assert sorted(left.amount_minor for left in drawn) == list(range(100))
    assert [answer for answer in answers if answer not in drawn] == ["0.00 left"] * 100
    assert (await again(owner, frame))["drawn"] == money("1.00")
    page = await owner.ok("GET", f"/v1/contracts/{id}/drawings?limit=60")
    more = await owner.ok("GET", f"/v1/contracts/{id}/drawings?limit=60&cursor={page['next_cursor']}")
    assert (len(page["data"]), len(more["data"]), more["has_more"], more["left"]) == (
        60, 40, False, money("0.00"),
    )  # fmt: skip
    assert len({row["order_id"] for row in page["data"] + more["data"]}) == 100


async def test_an_order_has_one_drawing_whose_amount_is_set(
    company: Company, owner: Client, clock: FixedClock
):
    frame, order = await signed(owner, value=money("10.00")), new_id()
    id = subject_id(frame)
    assert await draw(company, id, order, usd(600)) == usd(400)
    assert await draw(company, id, order, usd(800)) == usd(200)
    assert await draw(company, id, order, usd(1001)) == "2.00 left"
    assert await draw(company, id, order, usd(100)) == usd(900)
    rows = (await owner.ok("GET", f"/v1/contracts/{id}/drawings"))["data"]
    assert [(row["order_id"], row["amount"]) for row in rows] == [(str(order), money("1.00"))]
    other = await signed(owner, value=money("10.00"))
    with pytest.raises(Conflict):
        await draw(company, subject_id(other), order, usd(1))
    async with acting(company) as uow:
        await uow.of(Contracts).release(id, order)
        await uow.of(Contracts).release(id, order)
        await uow.of(Contracts).release(id, new_id())
    assert (await again(owner, frame))["drawn"] == money("0.00")
    assert await draw(company, subject_id(other), order, usd(1000)) == usd(0)


async def test_same_order_drawing_at_once_draws_once(company: Company, owner: Client, clock: FixedClock):
    frame, order = await signed(owner, value=money("10.00")), new_id()
    answers = await asyncio.gather(*(draw(company, subject_id(frame), order, usd(700)) for _ in range(40)))
    assert answers == [usd(300)] * 40
    assert (await again(owner, frame))["drawn"] == money("7.00")


async def test_nothing_is_drawn_on_what_is_not_in_force(company: Company, owner: Client, clock: FixedClock):
    early = await signed(owner, starts_on="2026-03-02")
    late = await signed(owner, starts_on="2025-01-01", ends_on="2026-02-28")
    for contract, status in ((await draft(owner), "draft"), (early, "active"), (late, "active")):
        with pytest.raises(ContractNotActive) as refused:
            await draw(company, subject_id(contract), new_id(), usd(1))
        assert refused.value.members == {"status_now": status}
        assert (await again(owner, contract))["drawn"] == money("0.00")
    with pytest.raises(Invalid):
        await draw(company, subject_id(early), new_id(), Money(1, "EUR"))
    with pytest.raises(NotFound):
        await draw(company, new_id(), new_id(), usd(1))


async def test_a_contract_on_which_orders_rest_is_not_voided(
    company: Company, owner: Client, clock: FixedClock
):
    frame, order = await signed(owner, value=money("10.00")), new_id()
    await draw(company, subject_id(frame), order, usd(250))
    path = f"/v1/contracts/{frame['id']}/void"
    version = (await again(owner, frame))["version"]
    refused = await owner.post(path, {"reason": "x"}, if_match=version)
    assert (refused.status_code, refused.json()["code"], refused.json()["drawn"]) == (
        409, "contract_in_use", money("2.50"),
    )  # fmt: skip
    assert (await again(owner, frame))["status"] == "active"


# -- instalments ---------------------------------------------------------------------------------------------


async def bill(company: Company, how: str, id: UUID, amount: Money) -> Any:
    try:
        async with acting(company) as uow:
            return await getattr(uow.of(Contracts), how)(id, amount)
    except InstalmentExceeded as refusal:
        return f"{refusal.members['left']['amount']} left"


async def test_two_hundred_invoices_at_once_never_exceed_the_instalment(
    company: Company, owner: Client, clock: FixedClock
):
    contract = await signed(owner, [item("All", percent="100", rule="after_signing")], value=money("100.00"))
    (id,) = ids(await part(owner, contract, "plan"))
    answers = await asyncio.gather(*(bill(company, "invoiced", id, usd(70)) for _ in range(200)))
    assert len([answer for answer in answers if not isinstance(answer, str)]) == 142
    assert [answer for answer in answers if isinstance(answer, str)] == ["0.60 left"] * 58
    (row,) = await part(owner, contract, "plan")
    assert (row["invoiced"], row["paid"]) == (money("99.40"), money("0.00"))
    assert (await bill(company, "invoiced", id, usd(60))).invoiced == usd(100_00)
    assert (await bill(company, "invoiced", id, usd(-100_00))).invoiced == usd(0)
    assert await bill(company, "invoiced", id, usd(-1)) == "0.00 left"


async def test_payments_move_the_status(company: Company, owner: Client, clock: FixedClock, look):
    contract = await signed(owner, [item("All", percent="100", rule="after_signing", days=1)])
    (id,) = ids(await part(owner, contract, "plan"))
    assert (await part(owner, contract, "plan"))[0]["status"] == "pending"
    assert (await bill(company, "paid", id, usd(200_00))).status == "partly_paid"
    assert (await bill(company, "paid", id, usd(1000_00))).status == "paid"
    assert await bill(company, "paid", id, usd(1)) == "0.00 left"
    assert (await bill(company, "paid", id, usd(-1000_00))).status == "partly_paid"
    assert (await bill(company, "paid", id, usd(-200_00))).status == "pending"
    with pytest.raises(Invalid):
        await bill(company, "paid", id, Money(1, "EUR"))
    told = await look.rows(
        "SELECT data->>'former' AS former, data->>'status' AS status FROM kernel.outbox WHERE tenant_id = $1"
        " AND type = 'contracts.contract.instalment_status_changed.v1' ORDER BY id",
        company.tenant_id,
    )
    assert [(row["former"], row["status"]) for row in told] == [
        ("pending", "partly_paid"), ("partly_paid", "paid"), ("paid", "partly_paid"), ("partly_paid", "pending"),
    ]  # fmt: skip


async def test_nothing_is_invoiced_before_the_signature_or_after_voiding(
    company: Company, owner: Client, clock: FixedClock
):
    contract = await draft(owner)
    version = contract["version"]
    plan = {"items": [item("All", percent="100", rule="after_signing")]}
    await owner.ok("PUT", f"/v1/contracts/{contract['id']}/plan", json=plan, if_match=version)
    (id,) = ids(await part(owner, contract, "plan"))
    with pytest.raises(ContractNotActive):
        await bill(company, "invoiced", id, usd(1))
    await act(owner, contract, "submit")
    await act(owner, contract, "void", reason="x")
    with pytest.raises(ContractNotActive):
        await bill(company, "invoiced", id, usd(1))
    (row,) = await part(owner, contract, "plan")
    assert (row["invoiced"], row["status"]) == (money("0.00"), "void")
