"""Products: what they name, what becomes of them, how they are found, and how they come in from files."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid4

from app.modules.catalog.interface import Catalog
from tests.modules.catalog.conftest import Hire
from tests.modules.catalog.goods import book, entry, imported, pointers, price, product
from tests.modules.support import acting, count, make
from tests.support.api import Client, Company
from tests.tenants.people import code_of


async def test_a_product_keeps_what_it_was_given(owner: Client) -> None:
    shelf = await make(owner, "product-categories", name="水泵", name_en="Pumps")
    made = await make(
        owner, "products", code="P-1", name="离心水泵", name_en="Centrifugal pump", category_id=shelf["id"],
        tax_class="standard", charge="one_time", stocked=True, warranty_months=24,
        prices=[price("15.00", "USD"), price("99.5")], costs=[price("60")],
    )  # fmt: skip
    assert (made["unit"], made["status"], made["is_bundle"], made["options"], made["parent_id"]) == (
        "piece", "draft", False, [], None,
    )  # fmt: skip
    assert made["prices"] == [price("99.50"), price("15.00", "USD")]
    assert await owner.ok("GET", f"/v1/products/{made['id']}") == made
    for text in ("离心", "lixin", "lxsb", "centrif", "P-1"):
        found = await owner.ok("GET", f"/v1/products?q={text}")
        assert [one["id"] for one in found["data"]] == [made["id"]], text


async def test_a_code_is_one_products_alone_also_in_a_race(owner: Client, company: Company) -> None:
    answers = await asyncio.gather(
        *(owner.post("/v1/products", {"code": "ONE", "name": f"No. {n}"}) for n in range(200))
    )
    codes = sorted(code_of(answer) if answer.is_error else (201, "") for answer in answers)
    assert codes == [(201, "")] + [(409, "duplicate_value")] * 199
    assert await count(company, "catalog.products") == 1


async def test_the_usual_units_and_taxes_are_written_once_in_a_race(owner: Client) -> None:
    before = [await owner.ok("GET", path) for path in ("/v1/units", "/v1/tax-classes")]
    await asyncio.gather(*(product(owner, tax_class="reduced") for _ in range(50)))
    after = [await owner.ok("GET", path) for path in ("/v1/units", "/v1/tax-classes")]
    assert after == before
    assert [one["code"] for one in after[1]["data"]] == ["reduced", "services", "standard", "zero"]
    assert len(after[0]["data"]) == 11


async def test_what_a_product_names_must_be_there(owner: Client, rival: Company, company: Company) -> None:
    foreign = await make(rival.owner, "product-categories", name="Theirs")
    refused = await owner.post(
        "/v1/products",
        {"code": "X", "name": "X", "unit": "bushel", "tax_class": "luxury", "category_id": foreign["id"]},
    )
    assert sorted(pointers(refused)) == [
        ("/category_id", "unknown_reference"), ("/tax_class", "unknown_reference"), ("/unit", "unknown_reference"),
    ]  # fmt: skip
    doubled = await owner.post("/v1/products", {"code": "X", "name": "X", "prices": [price("1"), price("2")]})
    assert pointers(doubled) == [("/prices", "one_per_currency")]
    negative = await owner.post("/v1/products", {"code": "X", "name": "X", "costs": [price("-1")]})
    assert pointers(negative) == [("/costs", "negative")]
    assert await count(company, "catalog.products") == 0


async def test_a_product_goes_from_draft_to_active_to_the_end_of_sale_and_back(owner: Client) -> None:
    made = await product(owner, status="draft")
    path = f"/v1/products/{made['id']}"
    version = 1
    for status in ("active", "end_of_sale", "active"):
        await owner.ok("PATCH", path, json={"status": status}, if_match=version)
        version += 1
        refused = await owner.patch(path, {"status": "draft"}, if_match=version)
        assert code_of(refused) == (409, "invalid_transition")
        assert (await owner.ok("GET", path))["status"] == status
    history = (await owner.ok("GET", f"{path}/history"))["data"]
    assert [one["changes"].get("status") for one in history][:2] == [
        ["end_of_sale", "active"], ["active", "end_of_sale"],
    ]  # fmt: skip


async def test_a_product_that_others_name_is_not_deleted(owner: Client, company: Company) -> None:
    pump = await product(owner)
    made = await entry(owner, await book(owner), pump, "90")
    path = f"/v1/products/{pump['id']}"
    refused = await owner.delete(path, if_match=1)
    assert (code_of(refused), refused.json()["used_by"]) == (
        (409, "product_in_use"), {"price_book_entries": 1},
    )  # fmt: skip
    assert await count(company, "catalog.products") == 1
    await owner.ok("DELETE", f"/v1/price-book-entries/{made['id']}", if_match=1)
    await owner.ok("DELETE", path, if_match=1)
    async with acting(company) as uow:
        catalog, id = uow.of(Catalog), UUID(pump["id"])
        assert await catalog.names([id, uuid4()]) == {id: pump["name"]}
        assert await catalog.get_many([id]) == {}
        assert await catalog.by_code([pump["code"]]) == {}
    again = await product(owner, code=pump["code"])
    async with acting(company) as uow:
        assert await uow.of(Catalog).by_code([pump["code"], "?"]) == {pump["code"]: UUID(again["id"])}


async def test_salespeople_read_the_catalogue_and_managers_keep_it(owner: Client, hire: Hire) -> None:
    pump = await product(owner)
    seller, manager = await hire("salesperson"), await hire("manager")
    assert (await seller.ok("GET", f"/v1/products/{pump['id']}"))["code"] == pump["code"]
    assert code_of(await seller.patch(f"/v1/products/{pump['id']}", {"name": "X"}, if_match=1)) == (
        403,
        "forbidden",
    )
    assert code_of(await seller.post("/v1/units", {"code": "ton", "name_en": "Ton"})) == (403, "forbidden")
    await manager.ok("PATCH", f"/v1/products/{pump['id']}", json={"name": "Y"}, if_match=1)
    assert (await owner.ok("GET", f"/v1/products/{pump['id']}"))["name"] == "Y"


async def test_categories_make_no_loop_also_in_a_race(owner: Client) -> None:
    one, other = [await make(owner, "product-categories", name=name) for name in ("A", "B")]

    async def put(what: dict[str, Any], below: dict[str, Any]) -> int:
        path = f"/v1/product-categories/{what['id']}"
        return (await owner.patch(path, {"parent_id": below["id"]}, if_match=1)).status_code

    answers = await asyncio.gather(put(one, other), put(other, one))
    assert sorted(answers) == [200, 409]
    self = await make(owner, "product-categories", name="C")
    refused = await owner.patch(f"/v1/product-categories/{self['id']}", {"parent_id": self["id"]}, if_match=1)
    assert code_of(refused) == (409, "category_loop")
    parent = self
    for level in range(2, 11):
        parent = await make(owner, "product-categories", name=f"Level {level}", parent_id=parent["id"])
    deep = await owner.post("/v1/product-categories", {"name": "Level 11", "parent_id": parent["id"]})
    assert code_of(deep) == (409, "category_too_deep")
    used = await owner.delete(f"/v1/product-categories/{self['id']}", if_match=1)
    assert (code_of(used), used.json()["used_by"]) == (
        (409, "catalog_entry_in_use"), {"product_categories": 1},
    )  # fmt: skip


async def test_units_and_tax_classes_that_products_have_stay(owner: Client) -> None:
    ton = await make(owner, "units", code="ton", name_en="Ton", name_zh="吨", decimals=3)
    luxury = await make(
        owner, "tax-classes", code="luxury", name_en="Luxury",
        rates=[{"country": "CN", "valid_from": "2026-01-01", "rate": "20"}],
    )  # fmt: skip
    assert code_of(await owner.post("/v1/units", {"code": "ton", "name_en": "T"})) == (409, "duplicate_value")
    made = await product(owner, unit="ton", tax_class="luxury")
    for path in (f"/v1/units/{ton['id']}", f"/v1/tax-classes/{luxury['id']}"):
        refused = await owner.delete(path, if_match=1)
        assert (code_of(refused), refused.json()["used_by"]) == (
            (409, "catalog_entry_in_use"),
            {"products": 1},
        )
    await owner.ok("PATCH", f"/v1/products/{made['id']}", json={"unit": "kg", "tax_class": None}, if_match=1)
    for path in (f"/v1/units/{ton['id']}", f"/v1/tax-classes/{luxury['id']}"):
        assert code_of(await owner.delete(path, if_match=7)) == (412, "stale_version")
        await owner.ok("DELETE", path, if_match=1)


async def test_the_rates_of_a_tax_class_are_replaced_whole(owner: Client) -> None:
    standard = next(
        one for one in (await owner.ok("GET", "/v1/tax-classes"))["data"] if one["code"] == "standard"
    )
    path = f"/v1/tax-classes/{standard['id']}"
    rates = [{"country": "DE", "valid_from": "2007-01-01", "rate": "19"}]
    changed = await owner.ok("PATCH", path, json={"rates": rates}, if_match=1)
    assert (changed["version"], changed["rates"]) == (2, rates)
    twice = await owner.patch(path, {"rates": rates * 2}, if_match=2)
    assert pointers(twice) == [("/rates", "repeated_rate")]
    assert await owner.ok("GET", path) == changed


async def test_products_come_in_from_a_file_with_prices_and_categories_by_name(
    company: Company, owner: Client
) -> None:
    await make(owner, "product-categories", name="水泵", name_en="Pumps")
    former = await product(owner, code="P-2", prices=[price("1.00", "USD"), price("2.00")])
    file = (
        "SKU,Name,Price,Currency,Cost,Category,Status\n"
        'P-1,Pump,"1,299.00",CNY,800,Pumps,active\n'
        "P-2,Valve,3.50,CNY,,水泵,active\n"
        "P-3,Seal,nothing,CNY,,,active\n"
        "P-4,Gasket,5,CNY,,Elsewhere,active\n"
        "P-5,Bolt,0.015,XXX,,,active\n"
    )
    done, failed = await imported(company, "products", file, mode="upsert", key="code")
    assert (done["created"], done["updated"], done["failed"]) == (1, 1, 3)
    assert failed == [
        ("4", "Price", "invalid_amount"), ("5", "Category", "unknown_reference"), ("6", "Price", "invalid_amount"),
    ]  # fmt: skip
    new = (await owner.ok("GET", "/v1/products?code=P-1"))["data"][0]
    assert (new["prices"], new["costs"], new["status"]) == ([price("1299.00")], [price("800.00")], "active")
    changed = await owner.ok("GET", f"/v1/products/{former['id']}")
    assert changed["prices"] == [price("3.50"), price("1.00", "USD")]
    assert changed["category_id"] == new["category_id"] is not None


async def test_a_file_may_name_the_currency_of_prices_in_words(company: Company, owner: Client) -> None:
    file = "SKU,Name,Price,Currency\nP-1,Pump,1.5万,人民币\nP-2,Valve,¥3,RMB\nP-3,Seal,5,€\nP-4,Bolt,5,¥\nP-5,Nut,$5,€\n"
    done, failed = await imported(company, "products", file)
    assert (done["created"], failed) == (
        3, [("5", "Price", "invalid_amount"), ("6", "Price", "invalid_amount")],
    )  # fmt: skip
    made = (await owner.ok("GET", "/v1/products?sort=code"))["data"]
    assert [one["prices"] for one in made] == [
        [price("15000.00")], [price("3.00")], [price("5.00", "EUR")],
    ]  # fmt: skip
