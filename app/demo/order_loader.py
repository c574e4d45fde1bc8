"""Puts what the demo company's customers bought into Rapport: the past in bulk, and orders under way step by step.

What is there already by its key stays as it is, so that a load that was interrupted goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from app.demo.client import Api, ApiFailure
from app.demo.orders import DemoCurrentOrder, DemoOrder, DemoReturn, DemoSales

Ids = Mapping[str, str]
_BATCH: Final = 500
_PARALLEL: Final = 4
_ON_HAND: Final = "500"


class OrderLoader:
    """One load of the orders of one company. `products` are ids by external id, `members` by e-mail."""

    def __init__(self, api: Api, sales: DemoSales, *, members: Ids, products: Ids) -> None:
        self._api = api
        self._sales = sales
        self._members = members
        self._products = products

    async def load(self, accounts: Ids) -> None:
        """Load what is missing; `accounts` are ids by external id."""
        await self._bring("orders", [self._past(order) for order in self._sales.orders])
        await self._bring("returns", [self._came_back(one) for one in self._sales.returns])
        await self._stock()
        gate = asyncio.Semaphore(_PARALLEL)

        async def one(order: DemoCurrentOrder) -> None:
            async with gate:
                await self._under_way(order, accounts[order.account])

        async with asyncio.TaskGroup() as group:
            for order in self._sales.current:
                group.create_task(one(order))

    async def _bring(self, plural: str, items: Sequence[Mapping[str, Any]]) -> None:
        for part in _parts(items):
            path = f"/v1/{plural}/batch/import"
            answer = await self._api.post(path, {plural: part})
            bad = next((one for one in answer["results"] if one["errors"]), None)
            if bad is not None:
                detail = f"{plural} {bad['external_id']} was refused: {bad['errors'][0]['detail']}"
                raise ApiFailure("POST", path, 422, {"detail": detail})

    def _past(self, order: DemoOrder) -> dict[str, Any]:
        return {
            "external_id": order.external_id,
            "account": order.account,
            "owner_id": self._members[order.owner],
            "currency": order.currency,
            "ordered_on": order.ordered_on.isoformat(),
            "source": order.source,
            "lines": [
                {
                    "external_id": line.external_id,
                    "product": line.product,
                    "quantity": str(line.quantity),
                    "unit_price": str(line.unit_price),
                    "tax_rate": line.tax,
                    "unit_cost": None if line.unit_cost is None else str(line.unit_cost),
                }
                for line in order.lines
            ],
        }

    def _came_back(self, one: DemoReturn) -> dict[str, Any]:
        return {
            "external_id": one.external_id,
            "account": one.account,
            "owner_id": self._members[one.owner],
            "currency": one.currency,
            "returned_on": one.returned_on.isoformat(),
            "reason": one.reason,
            "lines": [{"order_line": one.line, "quantity": str(one.quantity)}],
        }

    async def _stock(self) -> None:
        """Something of everything that orders under way want lies on hand."""
        wanted = {self._products[key] for order in self._sales.current for key, _ in order.goods}
        levels = await self._api.get("/v1/stock-levels", product_id=sorted(wanted), limit=100)
        there = {one["product_id"] for one in levels["data"]}
        for product in sorted(wanted - there):
            body = {"product_id": product, "quantity": _ON_HAND, "reason": "delivery"}
            await self._api.post("/v1/stock-movements", body)

    async def _under_way(self, order: DemoCurrentOrder, account: str) -> None:
        """Take the order as far as it has come. Sent again, its reference finds it."""
        body = {
            "account_id": account,
            "customer_reference": order.reference,
            "currency": order.currency,
            "lines": [
                {"product_id": self._products[key], "quantity": str(quantity)}
                for key, quantity in order.goods
            ],
        }
        found = await self._api.post("/v1/orders", body)
        path = f"/v1/orders/{found['id']}"
        if order.progress != "draft" and found["status"] == "draft":
            found = await self._step(found, "confirm")
        if order.progress == "cancelled" and found["status"] == "confirmed":
            await self._step(found, "cancel", {"reason": "ordered twice"})
        elif order.progress == "in_fulfilment" and found["status"] == "confirmed":
            first = found["lines"][0]
            serials = [f"{order.reference}-{n}" for n in range(1, int(first["quantity"]) + 1)]
            part = {"line_id": first["id"], "quantity": first["quantity"], "serial_numbers": serials}
            await self._api.post(f"{path}/shipments", {"lines": [part]})
        elif order.progress == "fulfilled" and found["status"] == "confirmed":
            await self._api.post(f"{path}/shipments", {})

    async def _step(self, order: Mapping[str, Any], name: str, body: Any = None) -> Any:
        headers = {"If-Match": f'"{order["version"]}"'}
        return await self._api.post(f"/v1/orders/{order['id']}/{name}", body, **headers)


def _parts(items: Sequence[Mapping[str, Any]]) -> list[Sequence[Mapping[str, Any]]]:
    return [items[at : at + _BATCH] for at in range(0, len(items), _BATCH)]
