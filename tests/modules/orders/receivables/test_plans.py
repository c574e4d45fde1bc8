"""Invoices for the payments of a contract's plan, and what the plan shows of them."""

from __future__ import annotations

import asyncio
from typing import Any

from app.kernel.money_checks import differences_of
from tests.modules.contracts.deals import item, part, signed
from tests.modules.orders.orders import money, pointers
from tests.modules.orders.receivables.books import act, done, figures, issue, pay, read
from tests.modules.support import acting, make
from tests.support.api import Client, Company

Json = dict[str, Any]


async def planned(owner: Client, account: Json) -> tuple[Json, list[Json]]:
    """A contract over 1,200.00 with two instalments."""
    plan = [
        item("On signing", percent="25", rule="on_date", date="2199-01-31"),
        item("On delivery", percent="75", rule="on_date", date="2199-06-30"),
    ]
    contract = await signed(owner, plan, account_id=account["id"])
    return contract, await part(owner, contract, "plan")


async def invoice_of(owner: Client, instalment: Json, **more: Any) -> Json:
    body = {"instalment_id": instalment["id"]} | more
    made: Json = await owner.ok("POST", "/v1/invoices/from-instalment", json=body)
    return made


async def standing(owner: Client, contract: Json, at: int = 0) -> tuple[str, str, str]:
    one = (await part(owner, contract, "plan"))[at]
    return one["status"], one["invoiced"]["amount"], one["paid"]["amount"]


async def test_an_instalment_is_invoiced_with_its_tax_and_moves_as_it_is_paid(
    owner: Client, company: Company
) -> None:
    account = await make(owner, "accounts", name="Acme")
    contract, (first, second) = await planned(owner, account)
    made = await invoice_of(owner, first, tax_rate="13")
    assert (made["total"], made["net"], made["tax"]) == (money("300.00"), money("265.49"), money("34.51"))
    assert (made["contract_id"], made["instalment_id"]) == (contract["id"], first["id"])
    assert (made["lines"][0]["description"], made["due_on"]) == ("On signing", "2199-01-31")
    assert (await invoice_of(owner, second))["due_on"] == "2199-06-30"
    made = await issue(owner, made)
    assert (await standing(owner, contract))[1:] == ("300.00", "0.00")
    paid = await done(owner, await pay(owner, account, "100.00"), "allocate")
    assert await standing(owner, contract) == ("partly_paid", "300.00", "100.00")
    await done(owner, await pay(owner, account, "200.00"), "allocate")
    assert await standing(owner, contract) == ("paid", "300.00", "300.00")
    note = await done(owner, made, "credit", {"reason": "agreed", "amount": money("50.00")})
    assert (await standing(owner, contract))[1:] == ("250.00", "250.00")
    assert note["open_amount"] == money("50.00")
    await done(owner, note, "refund", {"method": "cash"})
    refused = await act(owner, paid, "deallocate")
    assert refused.status_code == 200
    assert (await standing(owner, contract))[1:] == ("250.00", "150.00")
    async with acting(company) as uow:
        assert await differences_of(uow) == []


async def test_more_than_the_instalment_is_never_invoiced(owner: Client, account: Json) -> None:
    contract, (first, _) = await planned(owner, account)
    refused = await owner.post(
        "/v1/invoices/from-instalment", {"instalment_id": first["id"], "amount": money("300.01")}
    )
    assert (refused.status_code, refused.json()["code"]) == (409, "instalment_exceeded")
    drafts = await asyncio.gather(*[invoice_of(owner, first, amount=money("70.00")) for _ in range(20)])
    answers = await asyncio.gather(
        *[owner.post(f"/v1/invoices/{one['id']}/issue", if_match=1) for one in drafts]
    )
    statuses = [one.status_code for one in answers]
    assert (statuses.count(200), statuses.count(409)) == (4, 16)
    assert (await standing(owner, contract))[1:] == ("280.00", "0.00")
    rest = await issue(owner, await invoice_of(owner, first))
    assert figures(rest) == ("open", "20.00", "0.00", "0.00", "20.00")
    none = await owner.post("/v1/invoices/from-instalment", {"instalment_id": first["id"]})
    assert (none.status_code, none.json()["code"]) == (409, "nothing_to_invoice")
    unknown = await owner.post("/v1/invoices/from-instalment", {"instalment_id": account["id"]})
    assert pointers(unknown) == [("/instalment_id", "unknown_reference")]
    kept = [one for one in drafts if (await read(owner, one))["status"] == "draft"]
    assert len(kept) == 16
