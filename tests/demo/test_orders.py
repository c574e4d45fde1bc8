"""What the demo company's customers bought goes in through the API, and a second load changes nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from app.demo.catalogue_loader import CatalogueLoader
from app.demo.client import Api
from app.demo.generator import generate, sales_of
from app.demo.order_loader import OrderLoader
from app.demo.orders import DemoSales
from app.demo.receivable_loader import ReceivableLoader
from tests.support.api import Client

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


def sold(seed: int = 7) -> DemoSales:
    return sales_of(seed, generate(seed, now=NOW), now=NOW)


def test_the_same_seed_gives_the_same_sales() -> None:
    first, again = sold(), sold()
    assert first == again
    assert first != sold(8)
    lines = {line.external_id: line for order in first.orders for line in order.lines}
    assert len(lines) == sum(len(order.lines) for order in first.orders)
    for one in first.returns:
        assert one.quantity <= lines[one.line].quantity
        assert one.returned_on <= NOW.date()
    assert first.counts == {"orders": 154, "returns": 18, "invoices": 12, "payments": 8}
    assert Counter(one.progress for one in first.current) == {
        "draft": 2, "confirmed": 3, "in_fulfilment": 3, "fulfilled": 3, "cancelled": 1,
    }  # fmt: skip


async def test_orders_are_loaded_once(owner: Client) -> None:
    """With the owner in place of the company's people, and as many of its orders as tell all of the story."""
    whole = sold()
    invoices = whole.invoices[:3]
    past = {one.line.partition("/")[0] for one in whole.returns[:3]} | {one.order for one in invoices}
    sales = DemoSales(
        tuple(replace(one, owner="me") for one in whole.orders if one.external_id in past),
        tuple(replace(one, owner="me") for one in whole.returns[:3]),
        whole.current,
        invoices,
    )
    api = Api("http://test", owner.token, http=owner.http)
    await CatalogueLoader(api).load()
    items = [
        {"ref": key, "record": {"external_id": key, "name": f"Customer {key}", "country": "US"}}
        for key in sorted({one.account for one in sales.orders} | {one.account for one in sales.current})
    ]
    made = await api.post("/v1/accounts/batch/upsert", {"items": items})
    accounts = {result["ref"]: result["id"] for result in made["results"]}
    pages = api.pages("/v1/products", fields="id,external_id")
    products = {one["external_id"]: one["id"] async for one in pages}
    member = (await api.get("/v1/me"))["member_id"]
    loader = OrderLoader(api, sales, members={"me": member}, products=products)

    async def everything() -> list[list[dict[str, Any]]]:
        return [
            [one async for one in api.pages(f"/v1/{plural}", sort="created_at")]
            for plural in ("orders", "returns", "invoices", "payments")
        ] + [(await api.get("/v1/stock-levels", limit=100))["data"]]

    async def load() -> None:
        await loader.load(accounts)
        orders = {one["external_id"]: one["id"] async for one in api.pages("/v1/orders")}
        await ReceivableLoader(api, orders=orders, accounts=accounts).load(sales.invoices)

    await load()
    before = await everything()
    await load()
    assert await everything() == before
    orders, returns, sent, payments, levels = before
    assert Counter(one["status"] for one in orders) == {
        "draft": 2, "confirmed": 3, "in_fulfilment": 3, "fulfilled": 3, "cancelled": 1, "closed": 6,
    }  # fmt: skip
    assert [one["status"] for one in returns] == ["refunded"] * 3
    assert [one["status"] for one in sorted(sent, key=lambda one: one["issued_on"])] == [
        "open", "paid", "partly_paid",
    ]  # fmt: skip
    assert [one["unallocated"]["amount"] for one in payments] == ["0.00"] * 2
    assert all(float(level["on_hand"]) >= float(level["reserved"]) >= 0 for level in levels)
