"""What the catalogue says of lines: name, unit, price, tax and cost where the caller did not."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from tests.modules.orders.orders import line, money, order_of, pointers, product, step, stock
from tests.modules.support import count
from tests.support.api import Company

Json = dict[str, Any]


async def test_a_product_brings_its_name_price_and_cost(company: Company, account: Json) -> None:
    owner = company.owner
    sold = await product(owner, "12.50", name="Valve", costs=[money("7")])
    made = await order_of(owner, account, {"product_id": sold["id"], "quantity": "3"}, line("1", "2"))
    (first, _) = made["lines"]
    assert (first["description"], first["unit"], first["charge"]) == ("Valve", "piece", "one_time")
    assert (first["unit_price"], first["total"], first["unit_cost"]) == (
        money("12.50"),
        money("37.50"),
        money("7.00"),
    )
    entered = {
        "product_id": sold["id"],
        "quantity": "1",
        "unit_price": money("9"),
        "description": "Valve, used",
    }
    other = await order_of(owner, account, entered)
    assert (other["total"], other["lines"][0]["description"]) == (money("9.00"), "Valve, used")


async def test_what_the_catalogue_refuses_is_told_at_the_line_as_it_was_sent(
    company: Company, account: Json
) -> None:
    owner = company.owner
    unpriced = await product(owner, None)
    lines = [
        line(),
        {"product_id": unpriced["id"], "quantity": "1"},
        {"product_id": str(uuid4()), "quantity": "1"},
    ]
    answer = await owner.post("/v1/orders", json={"account_id": account["id"], "lines": lines})
    assert {pointer for pointer, _ in pointers(answer)} <= {
        "/lines/1/unit_price",
        "/lines/1/product_id",
        "/lines/2/product_id",
    }
    assert await count(company, "orders.orders") == 0


async def test_only_what_is_kept_on_hand_is_reserved(company: Company, account: Json) -> None:
    owner = company.owner
    service = await product(owner, stocked=False)
    answer = await owner.post(
        "/v1/stock-movements", json={"product_id": service["id"], "quantity": "1", "reason": "found"}
    )
    assert pointers(answer) == [("/product_id", "not_stocked")]
    made = await order_of(owner, account, {"product_id": service["id"], "quantity": "3"})
    assert (await step(owner, made, "confirm")).status_code == 200
    kept = await order_of(owner, account, {"product_id": (await product(owner))["id"], "quantity": "3"})
    assert (await step(owner, kept, "confirm")).json()["code"] == "out_of_stock"


async def test_a_product_that_was_sold_is_not_deleted(company: Company, account: Json) -> None:
    owner = company.owner
    sold = await product(owner)
    await order_of(owner, account, {"product_id": sold["id"], "quantity": "3"})
    await stock(owner, "2", sold["id"])
    answer = await owner.delete(f"/v1/products/{sold['id']}", if_match=sold["version"])
    assert (answer.status_code, answer.json()["code"]) == (409, "product_in_use")
    assert answer.json()["used_by"] == {"orders": 1, "stock_levels": 1}
    assert (await owner.get(f"/v1/products/{sold['id']}")).status_code == 200
