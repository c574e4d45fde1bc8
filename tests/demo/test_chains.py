"""The demo company's chains from lead to payment: each as far as it has come, also when the load is done again."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from app.demo.catalogue_loader import CatalogueLoader
from app.demo.chain_loader import CHAINS, ChainLoader, still_open
from app.demo.client import Api
from app.demo.generator import generate, sales_of
from tests.modules.support import make
from tests.support.api import Client

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


async def test_chains_come_as_far_as_their_turn_once(owner: Client) -> None:
    company = generate(7, now=NOW)
    chains, carts = still_open(company, 5), sales_of(7, company, now=NOW).current
    assert len(still_open(company)) == CHAINS
    assert {one.status for one in still_open(company)} == {"open"}
    api = Api("http://test", owner.token, http=owner.http)
    await CatalogueLoader(api).load()
    products = {one["external_id"]: one["id"] async for one in api.pages("/v1/products")}
    for key in {key for cart in carts for key, _ in cart.goods}:
        stock = {"product_id": products[key], "quantity": "500", "reason": "delivery"}
        await owner.ok("POST", "/v1/stock-movements", json=stock)
    opportunities = {}
    for one in chains:
        account = await make(owner, "accounts", name=one.name, country="CN")
        money = {"amount": str(one.amount.amount), "currency": one.amount.currency}
        body = {"external_id": one.external_id, "account_id": account["id"], "amount": money}
        opportunities[one.external_id] = (await make(owner, "opportunities", name=one.name, **body))["id"]
    loader = ChainLoader(api, opportunities=opportunities, products=products, show=lambda *_: None)

    async def everything() -> list[list[dict[str, Any]]]:
        plurals = ("quotes", "orders", "invoices", "payments")
        return [(await owner.ok("GET", f"/v1/{plural}?sort=created_at"))["data"] for plural in plurals]

    await loader.load(chains, carts)
    first = await everything()
    await loader.load(chains, carts)
    assert await everything() == first
    quotes, orders, invoices, payments = first
    assert Counter(one["status"] for one in quotes) == {"sent": 1, "accepted": 4}
    assert [one["status"] for one in orders] == ["confirmed", "fulfilled", "fulfilled", "fulfilled"]
    assert [one["payment_status"] for one in orders] == ["unpaid", "unpaid", "unpaid", "paid"]
    assert [one["status"] for one in invoices] == ["open", "paid"]
    assert [(one["amount"], one["unallocated"]["amount"]) for one in payments] == [
        (invoices[1]["total"], "0.00")
    ]
    assert [one["opportunity_id"] for one in orders] == list(opportunities.values())[1:]
