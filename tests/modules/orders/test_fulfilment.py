"""Delivery and stock: never more than was ordered, never more than there is, however many try at once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.modules.orders.conftest import Hire
from tests.modules.orders.orders import again, level, line, money, order_of, ship, step, stepped, stock
from tests.modules.support import acting
from tests.support.api import Company

Json = dict[str, Any]


async def test_an_order_goes_out_in_parts(company: Company, account: Json) -> None:
    owner = company.owner
    order = await stepped(owner, await order_of(owner, account, line("10"), line("0.5")), "confirm")
    first = await ship(owner, order, (0, "4"), carrier="DHL", tracking_number="JD01")
    assert first.status_code == 201, first.text
    partly = await again(owner, order)
    assert (partly["status"], [e["fulfilled"] for e in partly["lines"]]) == ("in_fulfilment", ["4", "0"])
    too_much = await ship(owner, order, (0, "6.0001"))
    assert (too_much.status_code, too_much.json()["code"]) == (409, "shipment_too_large")
    assert too_much.json()["lines"] == [{"line_id": order["lines"][0]["id"], "wanted": "6.0001", "open": "6"}]
    assert await again(owner, order) == partly
    assert (await ship(owner, order)).status_code == 201
    done = await again(owner, order)
    assert (done["status"], [e["fulfilled"] for e in done["lines"]]) == ("fulfilled", ["10", "0.5"])
    assert done["fulfilled_at"] is not None
    shipments = (await owner.ok("GET", f"/v1/orders/{order['id']}/shipments"))["data"]
    assert shipments[0] == first.json()
    assert [[e["quantity"] for e in one["lines"]] for one in shipments] == [["4"], ["6", "0.5"]]


async def test_a_hundred_shipments_at_once_never_send_more_than_was_ordered(
    company: Company, account: Json
) -> None:
    owner = company.owner
    product = await stock(owner, "1000")
    order = await stepped(owner, await order_of(owner, account, line("30", product_id=product)), "confirm")
    answers = await asyncio.gather(*[ship(owner, order, (0, "1")) for _ in range(100)])
    assert sorted(a.status_code for a in answers) == [201] * 30 + [409] * 70
    done = await again(owner, order)
    assert (done["status"], done["lines"][0]["fulfilled"]) == ("fulfilled", "30")
    assert await level(owner, product) == ("970", "0")


async def test_serial_numbers_go_out_once_and_one_for_each_unit(company: Company, account: Json) -> None:
    owner = company.owner
    order = await stepped(owner, await order_of(owner, account, line("4")), "confirm")
    path, id = f"/v1/orders/{order['id']}/shipments", order["lines"][0]["id"]

    def body(quantity: str, *numbers: str) -> Json:
        return {"lines": [{"line_id": id, "quantity": quantity, "serial_numbers": list(numbers)}]}

    assert (await owner.post(path, json=body("2", "A"))).status_code == 422
    assert (await owner.post(path, json=body("2", "A", "A"))).status_code == 422
    assert (await owner.post(path, json=body("2", "A", "B"))).status_code == 201
    repeated = await owner.post(path, json=body("1", "B"))
    assert (repeated.status_code, repeated.json()["serial_numbers"]) == (409, ["B"])
    assert (await again(owner, order))["lines"][0]["fulfilled"] == "2"


# -- cancelling ----------------------------------------------------------------------------------------------


async def test_what_is_not_shipped_is_cancelled_in_proportion(company: Company, account: Json) -> None:
    owner = company.owner
    product = await stock(owner, "10")
    order = await order_of(
        owner,
        account,
        line("3", "33.33", product_id=product, tax_rate="7", discount_percent="5"),
        line("1", "50"),
        discount_amount=money("10"),
    )
    order = await stepped(owner, order, "confirm")
    assert (await ship(owner, order, (0, "1"))).status_code == 201
    body = {"lines": [{"line_id": order["lines"][0]["id"], "quantity": "2"}], "reason": "not needed"}
    after = await stepped(owner, order, "cancel-lines", body)
    first, second = after["lines"]
    assert (first["cancelled"], first["fulfilled"], first["quantity"]) == ("2", "1", "3")
    assert second == order["lines"][1]
    for name in ("gross", "subtotal", "net", "tax"):
        whole = int(order["lines"][0][name]["amount"].replace(".", ""))
        assert int(first[name]["amount"].replace(".", "")) == (2 * whole + 3) // 6, name
    for name in ("gross", "discount", "subtotal", "header_discount", "net", "tax", "total"):
        cents = sum(int(entry[name]["amount"].replace(".", "")) for entry in after["lines"])
        assert cents == int(after[name]["amount"].replace(".", "")), name
    assert await level(owner, product) == ("9", "0")
    assert after["status"] == "in_fulfilment"
    rest = await stepped(owner, order, "cancel-lines", {})
    assert (rest["status"], rest["total"]) == ("fulfilled", first["total"])


async def test_a_whole_order_is_not_cancelled_line_by_line(company: Company, account: Json) -> None:
    owner = company.owner
    product = await stock(owner, "10")
    order = await stepped(owner, await order_of(owner, account, line("4", product_id=product)), "confirm")
    assert (await step(owner, order, "cancel-lines", {})).status_code == 409
    assert await again(owner, order) == order
    assert await level(owner, product) == ("10", "4")
    some = {"lines": [{"line_id": order["lines"][0]["id"], "quantity": "1"}]}
    assert (await stepped(owner, order, "cancel-lines", some))["total"] == money("30.00")
    assert await level(owner, product) == ("10", "3")
    gone = await stepped(owner, order, "cancel", {"reason": "changed their mind"})
    assert (gone["status"], gone["cancel_reason"]) == ("cancelled", "changed their mind")
    assert await level(owner, product) == ("10", "0")


# -- stock ---------------------------------------------------------------------------------------------------


async def test_five_hundred_orders_for_a_hundred_units_sell_exactly_a_hundred(
    company: Company, account: Json
) -> None:
    owner = company.owner
    product = await stock(owner, "100")

    async def buy(number: int) -> int:
        body = {
            "account_id": account["id"],
            "customer_reference": f"R{number}",
            "lines": [line("1", product_id=product)],
        }
        return (await owner.post("/v1/orders/place", json=body)).status_code

    answers = await asyncio.gather(*[buy(number) for number in range(500)])
    assert (answers.count(201), answers.count(409)) == (100, 400)
    assert await level(owner, product) == ("100", "100")
    async with acting(company) as uow:
        row = await uow.fetchrow(
            "SELECT count(*) FILTER (WHERE o.status = 'confirmed'), count(*),"
            " (SELECT sum(quantity) FROM orders.stock_reservations r WHERE r.tenant_id = $1)"
            " FROM orders.orders o WHERE o.tenant_id = $1",
            uow.tenant_id,
        )
    assert row is not None
    assert tuple(row) == (100, 100, 100)


async def test_reserving_is_all_or_none_and_never_deadlocks(company: Company, account: Json) -> None:
    owner = company.owner
    products = [await stock(owner, "20") for _ in range(4)]

    async def buy(number: int) -> int:
        turned = products[number % 4 :] + products[: number % 4]
        lines = [line("1", product_id=product) for product in turned]
        body = {"account_id": account["id"], "customer_reference": f"R{number}", "lines": lines}
        return (await owner.post("/v1/orders/place", json=body)).status_code

    answers = await asyncio.gather(*[buy(number) for number in range(60)])
    assert (answers.count(201), answers.count(409)) == (20, 40)
    assert {await level(owner, product) for product in products} == {("20", "20")}
    lacking = await order_of(owner, account, line("1"), line("2", product_id=products[0]))
    refused = await step(owner, lacking, "confirm")
    assert refused.json()["code"] == "out_of_stock"
    assert refused.json()["lacking"] == [{"product_id": products[0], "wanted": "2", "available": "0"}]
    assert await again(owner, lacking) == lacking


async def test_what_is_promised_does_not_go_out_by_hand(company: Company, account: Json) -> None:
    owner = company.owner
    product = await stock(owner, "5")
    await stepped(owner, await order_of(owner, account, line("4", product_id=product)), "confirm")
    body = {"product_id": product, "quantity": "-2", "reason": "broken"}
    answer = await owner.post("/v1/stock-movements", json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "out_of_stock")
    assert await level(owner, product) == ("5", "4")
    await owner.ok("POST", "/v1/stock-movements", json=body | {"quantity": "-1"})
    moved = (await owner.ok("GET", f"/v1/stock-movements?product_id={product}"))["data"]
    assert [(m["kind"], m["quantity"], m["on_hand_after"]) for m in moved] == [
        ("adjusted", "-1", "4"),
        ("adjusted", "5", "5"),
    ]


async def test_shipping_takes_out_what_was_reserved_and_says_so(company: Company, account: Json) -> None:
    owner = company.owner
    product = await stock(owner, "5")
    order = await stepped(owner, await order_of(owner, account, line("4", product_id=product)), "confirm")
    await ship(owner, order, (0, "3"))
    assert await level(owner, product) == ("2", "1")
    newest = (await owner.ok("GET", f"/v1/stock-movements?product_id={product}"))["data"][0]
    assert (newest["kind"], newest["quantity"], newest["on_hand_after"]) == ("shipped", "-3", "2")
    assert (newest["order_id"], newest["order_line_id"]) == (order["id"], order["lines"][0]["id"])


async def test_the_movements_stay_as_they_are(company: Company, account: Json) -> None:
    await stock(company.owner, "5")
    async with acting(company) as uow:
        with pytest.raises(Exception, match="permission denied"):
            async with uow.savepoint():
                await uow.fetch("DELETE FROM orders.stock_movements WHERE tenant_id = $1", uow.tenant_id)


async def test_a_salesperson_sees_stock_and_does_not_change_it(company: Company, hire: Hire) -> None:
    product = await stock(company.owner, "5")
    seller = await hire("salesperson")
    assert await level(seller, product) == ("5", "0")
    answer = await seller.post(
        "/v1/stock-movements", json={"product_id": product, "quantity": "1", "reason": "found"}
    )
    assert answer.status_code == 403
    assert await level(seller, product) == ("5", "0")
