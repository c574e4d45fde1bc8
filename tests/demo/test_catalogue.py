"""The demo company's catalogue goes in through the API, and a second load changes nothing."""

from __future__ import annotations

from app.demo.catalogue_loader import CatalogueLoader
from app.demo.client import Api
from tests.support.api import Client


async def test_the_catalogue_is_loaded_once_and_prices_a_kit(owner: Client) -> None:
    api = Api("http://test", owner.token, http=owner.http)
    assert await CatalogueLoader(api).load() == 13
    before = [one async for one in api.pages("/v1/products", sort="code")]
    assert await CatalogueLoader(api).load() == 13
    assert [one async for one in api.pages("/v1/products", sort="code")] == before
    products = {one["code"]: one for one in before}
    assert len(products) == 17
    assert [code for code, one in products.items() if one["is_bundle"]] == ["YH-KIT"]
    assert products["YH-001-HIGH-DIGITAL"]["name_en"] == "Temperature sensors High Digital"
    assert len([one async for one in api.pages("/v1/price-book-entries")]) == 39
    kit, servo, valve, service = [products[code]["id"] for code in ("YH-KIT", "YH-003", "YH-009", "YH-S01")]
    parts = [(kit, "10", None), (servo, "20", 0), (valve, "40", 0), (service, "10", 0)]
    cart = {
        "segment": "key_account",
        "country": "CN",
        "on": "2026-06-01",
        "lines": [{"product_id": id, "quantity": quantity, "component_of": of} for id, quantity, of in parts],
    }
    yuan = await api.post("/v1/prices/resolve", cart | {"currency": "CNY"})
    assert (yuan["net"]["amount"], yuan["tax"]["amount"], yuan["violations"]) == ("56840.00", "6759.20", [])
    dollars = await api.post("/v1/prices/resolve", cart | {"currency": "USD"})
    assert (dollars["net"]["amount"], dollars["lines"][0]["source"]) == ("8074.90", "price_book")
