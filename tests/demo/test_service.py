"""What the demo company does after the sale goes in through the API, and a second load changes nothing."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from app.demo.catalogue_loader import CatalogueLoader
from app.demo.client import Api
from app.demo.service import ServiceLoader
from tests.demo.test_orders import sold
from tests.support.api import Client


async def test_service_is_loaded_once(owner: Client) -> None:
    """In a company of just the accounts whose orders count."""
    now = datetime.now(UTC) - timedelta(hours=1)
    orders = sold().orders
    api = Api("http://test", owner.token, http=owner.http)
    await CatalogueLoader(api).load()
    items = [
        {"ref": key, "record": {"external_id": key, "name": f"Customer {key}", "country": "US"}}
        for key in sorted({order.account for order in orders})
    ]
    accounts: dict[str, str] = {}
    for start in range(0, len(items), 100):
        made = await api.post("/v1/accounts/batch/upsert", {"items": items[start : start + 100]})
        accounts |= {result["ref"]: result["id"] for result in made["results"]}
    products = {one["code"]: one["id"] async for one in api.pages("/v1/products", fields="id,code")}
    loader = ServiceLoader(api, accounts=accounts, products=products, now=now)

    async def everything() -> list[list[dict[str, Any]]]:
        kinds = ("assets", "warranty-terms", "service-contracts", "maintenance-plans", "work-orders")
        return [[one async for one in api.pages(f"/v1/{kind}", sort="created_at")] for kind in kinds]

    counts = await loader.load(orders)
    before = await everything()
    assert await loader.load(orders) == counts
    assert await everything() == before
    assets, terms, contracts, plans, work = before
    assert [len(kind) for kind in (assets, contracts, plans, work)] == list(counts.values())
    assert (len(assets), len(contracts), len(plans)) == (40, 6, 6)
    assert all(one["warranty_terms"] == terms[0]["coverage"] and one["warranty_ends_on"] for one in assets)
    assert Counter(one["status"] for one in work) == {
        "signed_off": 2, "done": 1, "in_progress": 1, "scheduled": 1, "draft": 1,
    }  # fmt: skip
    assert sum(one["visits_used"] for one in contracts) == 3
