"""What the demo company does after the sale: assets, warranty, service contracts, maintenance plans, work orders.

Assets come of shipments by themselves, where the order loader gave serial numbers; these are the ones that were sold
before, with keys by which a load that was interrupted finds them again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final

from app.demo.client import Api
from app.demo.orders import DemoOrder

Ids = Mapping[str, str]
_ASSETS: Final = 40
_CONTRACTS: Final = 6
_BATCH: Final = 100
_CLASSES: Final = ("gold", "silver", "bronze")
_WORK: Final[tuple[tuple[str, str], ...]] = (
    ("Replace the bearing", "signed_off"),
    ("更换密封件", "signed_off"),
    ("Find the leak", "done"),
    ("现场调试", "in_progress"),
    ("Calibrate the sensor", "scheduled"),
    ("Quarterly check", "draft"),
)
_PARTS: Final = (
    {"description": "密封件套装 / Seal kit", "quantity": "1"},
    {"description": "润滑油 / Lubricant, litres", "quantity": "0.5"},
)
_STEPS: Final = ("scheduled", "in_progress", "done", "signed_off")
_TERMS: Final = "Parts and labour, on site"


class ServiceLoader:
    """One load of what happens after the sale. `accounts` are ids by external id, `products` by code."""

    def __init__(self, api: Api, *, accounts: Ids, products: Ids, now: datetime) -> None:
        self._api = api
        self._accounts = accounts
        self._products = products
        self._now = now

    async def load(self, orders: Sequence[DemoOrder]) -> dict[str, int]:
        """Load what is missing; how many records of each kind there are then."""
        assets = await self._assets(
            sorted(orders, key=lambda one: (one.ordered_on, one.external_id))[-_ASSETS:]
        )
        covered = list({asset["account_id"]: asset for asset in assets}.values())[:_CONTRACTS]
        contracts = await self._upsert(
            "service_contracts", [self._contract(*one) for one in enumerate(covered)]
        )
        plans = await self._upsert(
            "maintenance_plans",
            [self._plan(n, asset, contracts[f"SC-{n}"]) for n, asset in enumerate(covered)],
        )
        work = await self._upsert(
            "work_orders",
            [self._work(n, asset, contracts[f"SC-{n}"]) for n, asset in enumerate(covered)],
        )
        for number, (_, progress) in enumerate(_WORK):
            if f"WO-{number}" in work:
                await self._take(work[f"WO-{number}"], progress)
        return {
            "assets": len(assets),
            "service_contracts": len(contracts),
            "maintenance_plans": len(plans),
            "work_orders": len(work),
        }

    async def _assets(self, orders: Sequence[DemoOrder]) -> list[dict[str, Any]]:
        """One asset of each order's first line, under the warranty of the terms at hand."""
        wanted = {order.lines[0].product for order in orders}
        await self._upsert(
            "warranty_terms",
            [
                {
                    "external_id": f"WT-{key}",
                    "product_id": self._products[key],
                    "months": 24,
                    "coverage": _TERMS,
                }
                for key in sorted(wanted)
            ],
        )
        ids = await self._upsert("assets", [self._asset(order) for order in orders])
        found = [one async for one in self._api.pages("/v1/assets", sort="bought_on")]
        return [one for one in found if one["id"] in set(ids.values())]

    def _asset(self, order: DemoOrder) -> dict[str, Any]:
        line = order.lines[0]
        return {
            "external_id": f"AS-{order.external_id}",
            "product_id": self._products[line.product],
            "serial_number": f"{line.product}-{order.external_id[-4:]}",
            "account_id": self._accounts[order.account],
            "bought_on": order.ordered_on.isoformat(),
            "installed_on": (order.ordered_on + timedelta(days=7)).isoformat(),
        }

    def _contract(self, number: int, asset: Mapping[str, Any]) -> dict[str, Any]:
        starts = self._today - timedelta(days=90)
        return {
            "external_id": f"SC-{number}",
            "name": "Full service" if number % 2 else "全包服务",
            "account_id": asset["account_id"],
            "response_class": _CLASSES[number % len(_CLASSES)],
            "starts_on": starts.isoformat(),
            "ends_on": (starts + timedelta(days=365)).isoformat(),
            "minutes_included": 1_200,
            "visits_included": 4,
        }

    def _plan(self, number: int, asset: Mapping[str, Any], contract: str) -> dict[str, Any]:
        return {
            "external_id": f"MP-{number}",
            "name": "Inspection" if number % 2 else "定期保养",
            "asset_id": asset["id"],
            "service_contract_id": contract,
            "every_months": 6,
            "starts_on": (self._today + timedelta(days=14 * number)).isoformat(),
            "lead_days": 14,
        }

    def _work(self, number: int, asset: Mapping[str, Any], contract: str) -> dict[str, Any]:
        return {
            "external_id": f"WO-{number}",
            "subject": _WORK[number][0],
            "asset_id": asset["id"],
            "service_contract_id": contract,
        }

    @property
    def _today(self) -> date:
        return self._now.date()

    async def _take(self, id: str, progress: str) -> None:
        """Take a work order on from where it is to where it should be."""
        order = await self._api.get(f"/v1/work-orders/{id}")
        if progress not in _STEPS:
            return
        at = _STEPS.index(order["status"]) + 1 if order["status"] in _STEPS else 0
        if at == 0 and not (await self._api.get(f"/v1/work-orders/{id}/parts"))["data"]:
            for part in _PARTS:
                await self._api.post(f"/v1/work-orders/{id}/parts", part)
        for status in _STEPS[at : _STEPS.index(progress) + 1]:
            order = await self._step(order, status)

    async def _step(self, order: Mapping[str, Any], status: str) -> Any:
        starts = self._now + timedelta(days=1)
        name, body = {
            "scheduled": (
                "schedule",
                {"starts_at": starts.isoformat(), "ends_at": (starts + timedelta(hours=2)).isoformat()},
            ),
            "in_progress": ("start", None),
            "done": ("finish", {"report": "Done"}),
            "signed_off": ("sign-off", {"signed_by": "M. Jansen"}),
        }[status]
        headers = {"If-Match": f'"{order["version"]}"'}
        return await self._api.post(f"/v1/work-orders/{order['id']}/{name}", body, **headers)

    async def _upsert(self, plural: str, records: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        """Make those that are not there by their key; the ids of all of them by it."""
        path = f"/v1/{plural.replace('_', '-')}"
        there = {
            one["external_id"]: one["id"] async for one in self._api.pages(path, fields="id,external_id")
        }
        missing = [one for one in records if one["external_id"] not in there]
        for start in range(0, len(missing), _BATCH):
            part = missing[start : start + _BATCH]
            items = [{"ref": one["external_id"], "record": one} for one in part]
            answer = await self._api.post(f"{path}/batch/create", {"items": items, "all_or_none": True})
            there |= {result["ref"]: result["id"] for result in answer["results"]}
        return {one["external_id"]: there[one["external_id"]] for one in records}
