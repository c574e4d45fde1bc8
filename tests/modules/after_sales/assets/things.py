"""What the tests of assets and service share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx

from app.kernel.access import TenantProfile
from app.kernel.outbox import Relay
from app.kernel.runtime import Kernel
from app.kernel.schedules import ScheduledRun
from tests.modules.orders.orders import order_of, product, stepped, stock
from tests.support.api import Client

Json = dict[str, Any]


@dataclass(frozen=True)
class Worker:
    """The worker's loops, a turn at a time."""

    kernel: Kernel
    tenant: TenantProfile

    async def relay(self) -> None:
        """Everything that was published has been reacted to."""
        while await Relay(self.kernel).run_once():
            pass

    async def run(self, work: Callable[[ScheduledRun], Awaitable[None]]) -> None:
        """One run of scheduled work for the company."""
        await work(ScheduledRun(self.kernel, self.tenant))


async def asset_of(owner: Client, **fields: Any) -> Json:
    made: Json = await owner.ok("POST", "/v1/assets", json={"name": "Pump 7"} | fields)
    return made


async def contract_of(owner: Client, account: Json, **fields: Any) -> Json:
    body = {
        "name": "Full service",
        "account_id": account["id"],
        "starts_on": "2026-01-01",
        "ends_on": "2030-12-31",
    }
    made: Json = await owner.ok("POST", "/v1/service-contracts", json=body | fields)
    return made


async def work_order_of(owner: Client, **fields: Any) -> Json:
    made: Json = await owner.ok("POST", "/v1/work-orders", json={"subject": "Replace the seal"} | fields)
    return made


async def now(owner: Client, plural: str, one: Json) -> Json:
    found: Json = await owner.ok("GET", f"/v1/{plural}/{one['id']}")
    return found


async def listed(owner: Client, path: str) -> list[Json]:
    found: list[Json] = (await owner.ok("GET", f"/v1/{path}"))["data"]
    return found


async def step(owner: Client, order: Json, name: str, body: Any = None) -> httpx.Response:
    """Take a step of a work order at whatever version it is."""
    version = (await now(owner, "work-orders", order))["version"]
    return await owner.post(f"/v1/work-orders/{order['id']}/{name}", json=body, if_match=version)


async def go(owner: Client, order: Json, *steps: tuple[str, Any]) -> Json:
    for name, body in steps:
        answer = await step(owner, order, name, body)
        assert answer.is_success, answer.text
    return await now(owner, "work-orders", order)


async def sold(owner: Client, account: Json, serials: list[str], **fields: Any) -> tuple[Json, Json]:
    """A confirmed and shipped order of one line with serial numbers; its product and itself."""
    goods = await product(owner, **fields)
    await stock(owner, str(len(serials)), goods["id"])
    order = await order_of(owner, account, {"product_id": goods["id"], "quantity": str(len(serials))})
    order = await stepped(owner, order, "confirm")
    line = {"line_id": order["lines"][0]["id"], "quantity": str(len(serials)), "serial_numbers": serials}
    await owner.ok("POST", f"/v1/orders/{order['id']}/shipments", json={"lines": [line]})
    return goods, order


async def send(owner: Client, asset: Json, *readings: tuple[str, float], metric: str = "temperature") -> Json:
    """Readings by their moments."""
    body = {"readings": [{"metric": metric, "at": at, "value": value} for at, value in readings]}
    taken: Json = await owner.ok("POST", f"/v1/assets/{asset['id']}/telemetry", json=body)
    return taken
