"""A customer's acceptance never fails for what is our own affair: the order is made, and held."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from app.main import Application
from tests.modules.contracts import deals
from tests.modules.orders.orders import level, order_of, product, stepped, stock
from tests.modules.orders.orders import line as of_order
from tests.modules.orders.orders import step as order_step
from tests.modules.orders.receivables.test_credit import credit, limited
from tests.modules.orders.receivables.test_credit_approval import answered, asks
from tests.modules.quotes.conftest import Hire
from tests.modules.quotes.offers import account_of, again, line, money, sent_quote, step
from tests.modules.quotes.pages import Customer, link_of
from tests.modules.quotes.test_catalog import relayed
from tests.modules.support import acting, count, make
from tests.support.api import Client, Company

Json = dict[str, Any]


@pytest.fixture(autouse=True)
def fresh_limits(app: Application) -> None:
    assert app.kernel is not None
    app.kernel.limiter._attempts.clear()


async def events_of(company: Company, name: str) -> list[Json]:
    """What was told of this type."""
    async with acting(company) as uow:
        rows = await uow.fetch(
            "SELECT data FROM kernel.outbox WHERE tenant_id = $1 AND type = $2", uow.tenant_id, name
        )
    return [row["data"] for row in rows]


async def of_product(owner: Client, id: str, quantity: str = "3") -> Json:
    return line("10.00", quantity, product_id=id)


async def the_order(owner: Client, quote: Json) -> Json:
    """The order of an accepted quote."""
    found = await again(owner, quote)
    assert found["status"] == "accepted"
    order: Json = await owner.ok("GET", f"/v1/orders/{found['order_id']}")
    return order


async def test_without_stock_the_order_is_held_until_there_is_some(owner: Client, company: Company) -> None:
    goods = await stock(owner, "2")
    quote = await sent_quote(owner, await of_product(owner, goods))
    answer = await step(owner, quote, "accept", name="Li Hua")
    order = await the_order(owner, quote)
    assert (answer["order_id"], answer["total"]) == (order["id"], money("30.00"))
    assert (order["status"], order["held_for"], order["confirmed_at"]) == ("draft", "stock", None)
    assert await level(owner, goods) == ("2", "0")
    assert await count(company, "orders.orders") == 1
    assert await events_of(company, "orders.order.placed.v1") == []
    [held] = await events_of(company, "orders.order.held.v1")
    assert (held["id"], held["quote_id"], held["reason"]) == (order["id"], quote["id"], "stock")
    [told] = [
        one for one in (await owner.ok("GET", "/v1/notifications"))["data"] if one["kind"] == "order.held"
    ]
    assert (told["title"], told["record_id"]) == (
        f"{order['number']} is held: there is not enough on hand", order["id"],
    )  # fmt: skip
    [to_do] = (await owner.ok("GET", "/v1/to-dos?kind=order_held"))["data"]
    assert (to_do["title"], to_do["data"]["held_for"]) == (order["number"], "stock")
    [listed] = (await owner.ok("GET", "/v1/orders?held_for=stock"))["data"]
    assert listed["id"] == order["id"]
    refused = await order_step(owner, order, "confirm")
    assert (refused.status_code, refused.json()["code"]) == (409, "out_of_stock")
    assert await owner.ok("GET", f"/v1/orders/{order['id']}") == order
    await stock(owner, "1", goods)
    done = await stepped(owner, order, "confirm")
    assert (done["status"], done["held_for"]) == ("confirmed", None)
    assert await level(owner, goods) == ("3", "3")
    assert len(await events_of(company, "orders.order.placed.v1")) == 1
    assert (await owner.ok("GET", "/v1/to-dos?kind=order_held"))["data"] == []


async def test_beyond_the_credit_limit_it_is_held(owner: Client, company: Company) -> None:
    account = await limited(owner, "50.00")
    quote = await sent_quote(owner, line("50.01"), account_id=account["id"])
    await step(owner, quote, "accept", name="Li Hua")
    order = await the_order(owner, quote)
    assert (order["status"], order["held_for"]) == ("draft", "credit")
    assert (order["credit_requested"], order["credit_approved"]) == (None, None)
    assert (await credit(owner, account))["exposure"] == money("0.00")
    cancelled = await stepped(owner, order, "cancel", {"reason": "No credit"})
    assert (cancelled["status"], cancelled["held_for"]) == ("cancelled", None)


async def test_without_a_rate_to_compare_it_is_held(owner: Client) -> None:
    account = await limited(owner, "50.00", "EUR")
    quote = await sent_quote(owner, line("1.00"), account_id=account["id"])
    await step(owner, quote, "accept", name="Li Hua")
    assert (await the_order(owner, quote))["held_for"] == "credit"


async def test_beyond_the_frame_it_is_held_and_draws_and_reserves_nothing(owner: Client) -> None:
    account = await account_of(owner)
    goods = await stock(owner, "5")
    contract = await deals.signed(owner, account_id=account["id"])  # over 1200.00
    quote = await sent_quote(
        owner,
        await of_product(owner, goods),
        line("1170.01"),
        account_id=account["id"],
        contract_id=contract["id"],
    )
    await step(owner, quote, "accept", name="Li Hua")
    order = await the_order(owner, quote)
    assert (order["total"], order["held_for"]) == (money("1200.01"), "contract")
    assert (await deals.again(owner, contract))["drawn"] == money("0.00")
    assert await level(owner, goods) == ("5", "0")


async def test_a_contract_that_is_not_in_force_holds_it(owner: Client) -> None:
    account = await account_of(owner)
    contract = await deals.draft(owner, account_id=account["id"])
    quote = await sent_quote(owner, line(), account_id=account["id"], contract_id=contract["id"])
    await step(owner, quote, "accept", name="Li Hua")
    assert (await the_order(owner, quote))["held_for"] == "contract"


async def beyond(owner: Client, reason: str) -> Json:
    """A quote whose order will be held for this reason."""
    if reason == "stock":
        return await sent_quote(owner, await of_product(owner, (await product(owner))["id"]))
    account = await limited(owner, "50.00") if reason == "credit" else await account_of(owner)
    if reason == "credit":
        return await sent_quote(owner, line("50.01"), account_id=account["id"])
    contract = await deals.signed(owner, account_id=account["id"])
    return await sent_quote(owner, line("1200.01"), account_id=account["id"], contract_id=contract["id"])


@pytest.mark.parametrize("reason", ["stock", "credit", "contract"])
async def test_the_customer_on_the_page_sees_no_trouble_of_ours(
    app: Application, owner: Client, company: Company, reason: str
) -> None:
    quote = await beyond(owner, reason)
    customer = Customer(app, await link_of(owner, quote))
    await customer.look()
    assert (await customer.accept()).status_code == 303
    assert "<h1>This offer was accepted" in (await customer.look()).text
    order = await the_order(owner, quote)
    assert (order["status"], order["held_for"]) == ("draft", reason)
    assert await count(company, "orders.orders") == 1


@pytest.mark.parametrize("verdict", ["approve", "refuse"])
async def test_what_the_customer_accepts_beyond_the_limit_is_asked_for_by_itself(
    app: Application, owner: Client, hire: Hire, verdict: str
) -> None:
    boss = await hire("manager")
    await asks(owner, boss, above="50.00")
    quote = await beyond(owner, "credit")
    customer = Customer(app, await link_of(owner, quote))
    await customer.look()
    assert (await customer.accept()).status_code == 303
    order = await the_order(owner, quote)
    assert (order["held_for"], order["credit_requested"]) == ("credit", money("50.01"))
    await answered(boss, verdict, note="They always pay")
    after = await the_order(owner, quote)
    told = (await owner.ok("GET", "/v1/notifications"))["data"]
    titles = [one["title"].removeprefix(f"{order['number']} ") for one in told if one["kind"] == "order.held"]
    assert (after["status"], after["held_for"], after["credit_requested"], titles) == (
        ("confirmed", None, None, ["is held: the credit limit does not cover it"])
        if verdict == "approve"
        else ("draft", "credit", None, [
            "is held: it is not approved beyond the credit limit",
            "is held: the credit limit does not cover it",
        ])
    )  # fmt: skip


async def test_fifty_accept_at_once_and_one_order_is_held(owner: Client, company: Company) -> None:
    goods = (await product(owner))["id"]
    quote = await sent_quote(owner, await of_product(owner, goods))
    path = f"/v1/quotes/{quote['id']}/accept"
    answers = await asyncio.gather(
        *(owner.post(path, {"name": f"Buyer {n}"}, if_match=quote["version"]) for n in range(50))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert await count(company, "orders.orders") == 1
    assert len(await events_of(company, "orders.order.held.v1")) == 1


async def test_fifty_quotes_at_once_never_take_the_same_goods(owner: Client, company: Company) -> None:
    goods = await stock(owner, "30")
    account = await account_of(owner)
    body = await of_product(owner, goods)
    quotes = [await sent_quote(owner, body, account_id=account["id"]) for _ in range(15)]
    answers = await asyncio.gather(
        *(
            owner.post(f"/v1/quotes/{one['id']}/accept", {"name": "Li"}, if_match=one["version"])
            for one in quotes
        )
    )
    assert {answer.status_code for answer in answers} == {200}
    orders = (await owner.ok("GET", "/v1/orders?limit=100"))["data"]
    states = [(one["status"], one["held_for"]) for one in orders]
    assert (states.count(("confirmed", None)), states.count(("draft", "stock"))) == (10, 5)
    assert await level(owner, goods) == ("30", "30")


async def test_the_opportunity_is_won_and_the_seller_is_told(
    owner: Client, company: Company, hire: Hire
) -> None:
    seller = await hire("salesperson")
    account = await account_of(seller)
    opportunity = await make(seller, "opportunities", name="Pumps", account_id=account["id"])
    goods = (await product(owner))["id"]
    quote = await sent_quote(seller, await of_product(owner, goods), opportunity_id=opportunity["id"])
    await step(owner, quote, "accept", name="Li Hua")
    order = await the_order(owner, quote)
    assert (order["held_for"], order["owner_id"]) == ("stock", seller.facts["member_id"])
    await relayed(company)
    won = await owner.ok("GET", f"/v1/opportunities/{opportunity['id']}")
    assert (won["status"], won["amount"]) == ("won", money("30.00"))
    assert [one["kind"] for one in (await seller.ok("GET", "/v1/to-dos?kind=order_held"))["data"]] == [
        "order_held"
    ]
    assert (await owner.ok("GET", "/v1/to-dos?kind=order_held"))["data"] == []


async def test_members_who_place_or_confirm_are_refused_as_ever(owner: Client, company: Company) -> None:
    goods = (await product(owner))["id"]
    account = await account_of(owner)
    wanted = of_order("1", "10.00", product_id=goods)
    body = {"account_id": account["id"], "customer_reference": "R1", "lines": [wanted]}
    refused = await owner.post("/v1/orders/place", body)
    assert (refused.status_code, refused.json()["code"]) == (409, "out_of_stock")
    assert await count(company, "orders.orders") == 0
    draft = await order_of(owner, account, wanted)
    assert (await order_step(owner, draft, "confirm")).json()["code"] == "out_of_stock"
    assert (await owner.ok("GET", f"/v1/orders/{draft['id']}"))["held_for"] is None
