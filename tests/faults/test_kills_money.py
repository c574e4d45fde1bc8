"""SIGKILL while quotes are accepted, orders placed, shipped, invoiced and paid: all of a step once, or nothing of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from app.kernel.config import Settings
from app.kernel.money_checks import check_money
from app.kernel.startup import open_kernel
from app.product import build_registry
from tests.faults.installation import Installation, installation, signed_up
from tests.faults.stories import Teller, told

STORIES = 40
ON_HAND = 1_000
QUOTED, ORDERED = 5, 2
Json = dict[str, Any]


@dataclass(frozen=True)
class Came:
    """One story: an offer that was accepted and became an order, which was shipped in two parts, invoiced and paid;
    and an order of a shop, of which nothing was left open either."""

    quote: str
    offered: str
    placed: str
    invoice: str
    payment: str


async def prepare(teller: Teller) -> str:
    """A product of which so much lies on hand."""
    body = {"code": "PUMP", "name": "Pump", "status": "active", "stocked": True, "prices": [_money("12.50")]}
    product = await teller.post("/v1/products", body)
    delivery = {"product_id": product["id"], "quantity": str(ON_HAND), "reason": "delivery"}
    await teller.post("/v1/stock-movements", delivery)
    return str(product["id"])


async def tell(teller: Teller, number: int, product: str) -> Came:
    account = (await teller.post("/v1/accounts", {"name": f"Account {number}"}))["id"]
    quote, offered = await _accepted(teller, account, product)
    await _shipped_in_parts(teller, offered)
    order = {
        "account_id": account,
        "customer_reference": f"PO {number}",
        "lines": [{"product_id": product, "quantity": str(ORDERED)}],
    }
    placed = (await teller.post("/v1/orders/place", order))["id"]
    await teller.post(f"/v1/orders/{placed}/shipments", {})
    invoice, payment = await _paid(teller, account, offered)
    return Came(quote, offered, placed, invoice, payment)


async def _accepted(teller: Teller, account: str, product: str) -> tuple[str, str]:
    """An accepted quote and the order that it became."""
    line = {"product_id": product, "quantity": str(QUOTED), "unit_price": _money("11.99"), "tax_rate": "19"}
    body = {"name": "Pumps", "account_id": account, "currency": "USD", "lines": [line]}
    quote = await teller.post("/v1/quotes", body)
    path = f"/v1/quotes/{quote['id']}"
    sent = await teller.post(f"{path}/send", {"by_mail": False}, version=quote["version"])
    answer = await teller.post(f"{path}/accept", {"name": "Anna"}, version=sent["version"])
    return quote["id"], answer["order_id"]


async def _shipped_in_parts(teller: Teller, order: str) -> None:
    (line,) = (await teller.get(f"/v1/orders/{order}"))["lines"]
    part = {"lines": [{"line_id": line["id"], "quantity": "2"}]}
    await teller.post(f"/v1/orders/{order}/shipments", part)
    await teller.post(f"/v1/orders/{order}/shipments", {})


async def _paid(teller: Teller, account: str, order: str) -> tuple[str, str]:
    draft = await teller.post("/v1/invoices/from-order", {"order_id": order})
    path = f"/v1/invoices/{draft['id']}"
    issued = await teller.post(f"{path}/issue", version=draft["version"])
    body = {"account_id": account, "amount": issued["total"], "method": "bank_transfer"}
    payment = await teller.post("/v1/payments", body)
    await teller.post(f"/v1/payments/{payment['id']}/allocate", {}, version=payment["version"])
    return draft["id"], payment["id"]


def _money(amount: str) -> Json:
    return {"amount": amount, "currency": "USD"}


@pytest.mark.faults
@pytest.mark.slow
async def test_kills_leave_no_half_chain_and_no_doubled_order_or_payment(folder: Path):
    async with installation(folder) as site:
        tenant_id, key = await signed_up(site)
        made: dict[str, str] = {}

        async def first(teller: Teller, _: int) -> None:
            made["product"] = await prepare(teller)

        async def story(teller: Teller, number: int) -> Came:
            return await tell(teller, number, made["product"])

        await told(site, key, first, stories=1, victims=["api"])
        came = await told(
            site, key, story, stories=STORIES, victims=["postgres", "api", "worker", "postgres", "api"]
        )
        await happened_once(site.database_url, tenant_id, came)
        await adds_up(site, tenant_id)


async def happened_once(url: str, tenant_id: UUID, came: list[Came]) -> None:
    connection = await asyncpg.connect(url)

    async def all_of(sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await connection.fetch(sql, tenant_id)]

    try:
        assert len(came) == STORIES
        orders = await all_of(
            "SELECT id::text, quote_id::text, status FROM orders.orders"
            " WHERE tenant_id = $1 AND deleted_at IS NULL"
        )
        assert sorted(orders, key=str) == sorted(
            [(one.offered, one.quote, "fulfilled") for one in came]
            + [(one.placed, None, "fulfilled") for one in came],
            key=str,
        )
        quotes = await all_of("SELECT id::text, status FROM quotes.quotes WHERE tenant_id = $1")
        assert dict(quotes) == {one.quote: "accepted" for one in came}
        shipped = await all_of(
            "SELECT s.order_id::text, array_agg(l.quantity::int ORDER BY s.shipped_at, l.quantity)"
            " FROM orders.shipments s JOIN orders.shipment_lines l"
            " ON l.tenant_id = s.tenant_id AND l.shipment_id = s.id WHERE s.tenant_id = $1 GROUP BY 1"
        )
        assert dict(shipped) == {one.offered: [2, QUOTED - 2] for one in came} | {
            one.placed: [ORDERED] for one in came
        }
        stock = await all_of(
            "SELECT on_hand::int, reserved::int FROM orders.stock_levels WHERE tenant_id = $1"
        )
        assert stock == [(ON_HAND - STORIES * (QUOTED + ORDERED), 0)]
        invoices = await all_of(
            "SELECT id::text, status FROM orders.invoices WHERE tenant_id = $1 AND deleted_at IS NULL"
        )
        assert dict(invoices) == {one.invoice: "paid" for one in came}
        payments = await all_of(
            "SELECT id::text, unallocated FROM orders.payments WHERE tenant_id = $1 AND deleted_at IS NULL"
        )
        assert dict(payments) == {one.payment: 0 for one in came}
    finally:
        await connection.close()


async def adds_up(site: Installation, tenant_id: UUID) -> None:
    """What `rapport check money` would find."""
    settings = Settings(environment="test", database_url=site.database_url, data_dir=site.data_dir)
    async with open_kernel(settings, build_registry()) as kernel:
        (tenant,) = [one for one in await kernel.authenticator.active_tenants() if one.id == tenant_id]
        assert await check_money(kernel, tenant) == []
