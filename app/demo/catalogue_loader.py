"""Puts the demo company's catalogue into Rapport: products, variants, the kit, price books.

Each step looks first at what is there, so that a load that was interrupted goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.demo import catalogue
from app.demo.catalogue import DemoProduct
from app.demo.client import Api, ApiFailure


class CatalogueLoader:
    """One load of the catalogue."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._products = catalogue.products()

    async def load(self) -> int:
        """Load what is missing; how many products the company made itself."""
        categories = await self._categories()
        await self._batch("products", [self._product(one, categories) for one in self._products])
        pages = self._api.pages("/v1/products", fields="id,external_id,version,is_bundle")
        products = {one["external_id"]: one async for one in pages if one["external_id"]}
        await self._api.post(f"/v1/products/{products[catalogue.TEMPLATE]['id']}/variants/generate")
        await self._kit(products)
        await self._books()
        return len(self._products)

    async def _categories(self) -> Mapping[str, str]:
        records = [
            {"external_id": f"C-{place}", "name": name, "name_en": name_en, "position": place}
            for place, (name, name_en) in enumerate(catalogue.CATEGORIES)
        ]
        ids = await self._batch("product-categories", records)
        return {name: ids[f"C-{place}"] for place, (name, _) in enumerate(catalogue.CATEGORIES)}

    def _product(self, one: DemoProduct, categories: Mapping[str, str]) -> dict[str, Any]:
        return {
            "external_id": one.external_id,
            "code": one.code,
            "name": one.name,
            "name_en": one.name_en,
            "category_id": categories[one.category],
            "unit": one.unit,
            "tax_class": one.tax_class,
            "charge": one.charge,
            "stocked": one.stocked,
            "status": "active",
            "prices": one.prices,
            "costs": one.costs,
            "warranty_months": one.warranty_months,
            "options": list(catalogue.OPTIONS) if one.external_id == catalogue.TEMPLATE else [],
        }

    async def _kit(self, products: Mapping[str, Mapping[str, Any]]) -> None:
        kit = products[catalogue.KIT]
        if kit["is_bundle"]:
            return
        groups = [
            {
                "name": name,
                "name_en": name_en,
                "components": [
                    {
                        "product_id": products[key]["id"],
                        "required": required,
                        "min_quantity": quantity,
                        "default_quantity": quantity if required else "0",
                        "pricing": pricing,
                        "fixed_prices": catalogue.KIT_FIXED if pricing == "fixed" else [],
                    }
                    for key, required, quantity, pricing in components
                ],
            }
            for name, name_en, components in catalogue.KIT_GROUPS
        ]
        headers = {"If-Match": f'"{kit["version"]}"'}
        await self._api.send(
            "PUT", f"/v1/products/{kit['id']}/bundle", json={"groups": groups}, headers=headers
        )

    async def _books(self) -> None:
        records = [
            {
                "external_id": f"B-{code}",
                "code": code,
                "name": name,
                "name_en": name_en,
                "currency": currency,
                "kind": kind,
                "segment": segment,
            }
            for code, name, name_en, currency, kind, segment, _, _ in catalogue.BOOKS
        ]
        ids = await self._batch("price-books", records)
        for code, _, _, currency, _, _, tier_kind, share in catalogue.BOOKS:
            entries = [catalogue.entry(one, currency, tier_kind, share) for one in self._products]
            path = f"/v1/price-books/{ids[f'B-{code}']}/set-entries"
            await self._api.post(path, {"entries": entries})

    async def _batch(self, plural: str, records: list[dict[str, Any]]) -> Mapping[str, str]:
        """Make or change these; their ids by external id."""
        items = [{"ref": one["external_id"], "record": one} for one in records]
        answer = await self._api.post(f"/v1/{plural}/batch/upsert", {"items": items})
        bad = next((result for result in answer["results"] if result["error"]), None)
        if bad is not None:
            detail = f"{plural} {bad['ref']} was refused: {bad['error']['detail']}"
            raise ApiFailure("POST", f"/v1/{plural}/batch/upsert", 422, {"detail": detail})
        return {result["ref"]: result["id"] for result in answer["results"]}
