"""What the tests of orders share: orders, lines and steps."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx

from tests.support.api import Client

Json = dict[str, Any]


def money(amount: str, currency: str = "USD") -> dict[str, str]:
    return {"amount": amount, "currency": currency}


def line(quantity: str = "1", price: str = "10.00", currency: str = "USD", **more: Any) -> Json:
    return {"description": "Pump", "quantity": quantity, "unit_price": money(price, currency)} | more


async def order_of(owner: Client, account: Json, *lines: Json, **fields: Any) -> Json:
    body = {"account_id": account["id"], "lines": list(lines)} | fields
    made: Json = await owner.ok("POST", "/v1/orders", json=body)
    return made


async def again(owner: Client, order: Json) -> Json:
    found: Json = await owner.ok("GET", f"/v1/orders/{order['id']}")
    return found


async def step(owner: Client, order: Json, name: str, body: Any = None) -> httpx.Response:
    """Take a step at whatever version the order is."""
    version = (await again(owner, order))["version"]
    return await owner.post(f"/v1/orders/{order['id']}/{name}", json=body, if_match=version)


async def stepped(owner: Client, order: Json, name: str, body: Any = None) -> Json:
    answer = await step(owner, order, name, body)
    assert answer.is_success, answer.text
    found: Json = answer.json()
    return found


async def ship(owner: Client, order: Json, *lines: tuple[int, str], **more: Any) -> httpx.Response:
    """Ship quantities of lines by position; without any, all that is open."""
    body: Json = dict(more)
    if lines:
        body["lines"] = [{"line_id": order["lines"][at]["id"], "quantity": q} for at, q in lines]
    return await owner.post(f"/v1/orders/{order['id']}/shipments", json=body)


async def product(owner: Client, price: str | None = "10.00", **fields: Any) -> Json:
    """An active product that is kept on hand."""
    body = {
        "code": f"P-{uuid4().hex[:8]}",
        "name": "Pump",
        "status": "active",
        "stocked": True,
        "prices": [] if price is None else [money(price)],
    }
    made: Json = await owner.ok("POST", "/v1/products", json=body | fields)
    return made


async def stock(owner: Client, quantity: str, product_id: str | None = None) -> str:
    """So much of a product comes in; the product's id."""
    product_id = product_id or (await product(owner))["id"]
    body = {"product_id": product_id, "quantity": quantity, "reason": "delivery"}
    await owner.ok("POST", "/v1/stock-movements", json=body)
    return product_id


async def level(owner: Client, product_id: str) -> tuple[str, str]:
    """On hand and reserved."""
    found = await owner.ok("GET", f"/v1/stock-levels?product_id={product_id}")
    (one,) = found["data"]
    return one["on_hand"], one["reserved"]


def pointers(answer: Any) -> list[tuple[str, str]]:
    """Status must be 422; where and what was wrong."""
    assert answer.status_code == 422, answer.text
    return [(error["pointer"], error["code"]) for error in answer.json()["errors"]]
