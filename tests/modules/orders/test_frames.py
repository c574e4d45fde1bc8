"""Orders draw on contracts: when confirmed, as much as they come to, and never more than there is."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.modules.contracts import deals
from tests.modules.orders.orders import again, line, money, order_of, pointers, ship, step, stepped
from tests.modules.support import make
from tests.support.api import Company

Json = dict[str, Any]


async def drawn(company: Company, contract: Json) -> str:
    found = await deals.again(company.owner, contract)
    return str(found["drawn"]["amount"])


async def test_an_order_draws_on_its_contract_what_it_comes_to(company: Company, account: Json) -> None:
    owner = company.owner
    contract = await deals.signed(owner, account_id=account["id"])
    order = await order_of(owner, account, line("10", "100"), line("1", "100"), contract_id=contract["id"])
    assert await drawn(company, contract) == "0.00"
    order = await stepped(owner, order, "confirm")
    assert await drawn(company, contract) == "1100.00"
    more = await order_of(owner, account, line("1", "100.01"), contract_id=contract["id"])
    refused = await step(owner, more, "confirm")
    assert (refused.status_code, refused.json()["code"]) == (409, "frame_exceeded")
    assert await again(owner, more) == more
    await ship(owner, order, (0, "4"))
    await stepped(owner, order, "cancel-lines", {})
    assert await drawn(company, contract) == "400.00"
    more = await stepped(owner, more, "confirm")
    assert await drawn(company, contract) == "500.01"
    await stepped(owner, more, "cancel")
    assert await drawn(company, contract) == "400.00"
    found = await owner.ok("GET", f"/v1/orders?contract_id={contract['id']}&status=fulfilled")
    assert [one["id"] for one in found["data"]] == [order["id"]]


async def test_orders_at_once_never_draw_more_than_the_frame(company: Company, account: Json) -> None:
    owner = company.owner
    contract = await deals.signed(owner, account_id=account["id"])

    async def buy(number: int) -> int:
        body = {
            "account_id": account["id"],
            "contract_id": contract["id"],
            "customer_reference": f"R{number}",
            "lines": [line("1", "100")],
        }
        return (await owner.post("/v1/orders/place", json=body)).status_code

    answers = await asyncio.gather(*[buy(number) for number in range(60)])
    assert (answers.count(201), answers.count(409)) == (12, 48)
    assert await drawn(company, contract) == "1200.00"


async def test_a_contract_of_another_account_is_refused(company: Company, account: Json) -> None:
    owner = company.owner
    contract = await deals.signed(owner)
    body = {"account_id": account["id"], "contract_id": contract["id"], "lines": []}
    assert pointers(await owner.post("/v1/orders", json=body)) == [("/contract_id", "other_account")]
    ours = await order_of(
        owner, account, line(), contract_id=(await deals.signed(owner, account_id=account["id"]))["id"]
    )
    other = await make(owner, "accounts", name="Elsewhere")
    moved = await owner.patch(
        f"/v1/orders/{ours['id']}", {"account_id": other["id"]}, if_match=ours["version"]
    )
    assert pointers(moved) == [("/contract_id", "other_account")]
    assert await again(owner, ours) == ours


async def test_a_draft_contract_is_not_drawn_on(company: Company, account: Json) -> None:
    owner = company.owner
    contract = await deals.draft(owner, account_id=account["id"])
    order = await order_of(owner, account, line(), contract_id=contract["id"])
    refused = await step(owner, order, "confirm")
    assert (refused.status_code, refused.json()["code"]) == (409, "contract_not_active")
    assert await again(owner, order) == order
    assert order["total"] == money("10.00")
