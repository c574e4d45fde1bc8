"""Prices over the API: which list counts for whom, and in how many statements."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest

from app.kernel.errors import Invalid
from app.modules.catalog.interface import Catalog, PriceQuery, PriceQueryLine
from tests.modules.catalog.conftest import Hire
from tests.modules.catalog.goods import (
    book,
    cart,
    entry,
    imported,
    line,
    pointers,
    price,
    product,
    refused_cart,
    steps,
)
from tests.modules.contracts import deals
from tests.modules.support import acting, actor_of, make
from tests.support.api import Client, Company
from tests.tenants.people import Look, code_of


async def test_a_list_price_is_taxed_by_country_and_day(owner: Client) -> None:
    pump = await product(owner, tax_class="standard", prices=[price("100.00"), price("15.50", "USD")])
    found = await cart(owner, line(pump, "3"), country="CN", on="2026-06-01")
    assert steps(found["lines"][0]) == [
        ("list", "100", None), ("net", "300", None), ("tax", "39", "13%"), ("total", "339", None),
    ]  # fmt: skip
    assert (found["net"], found["tax"], found["total"]) == (price("300.00"), price("39.00"), price("339.00"))
    assert found["taxes"] == [{"rate": "13", "net": price("300.00"), "tax": price("39.00")}]
    former = await cart(owner, line(pump), country="CN", on="2018-12-31")
    assert former["tax"] == price("16.00")
    abroad = await cart(owner, line(pump, "2"), currency="USD", country="DE")
    assert (abroad["net"], abroad["tax"]) == (price("31.00", "USD"), price("0.00", "USD"))
    included = await cart(owner, line(pump), country="CN", on="2026-06-01", tax_included=True)
    assert (included["net"], included["tax"], included["total"]) == (
        price("88.50"), price("11.50"), price("100.00"),
    )  # fmt: skip


async def test_the_price_is_that_of_the_first_list_that_counts(owner: Client) -> None:
    pump = await product(owner)
    account = await make(owner, "accounts", name="Acme")
    contract = (await deals.signed(owner, account_id=account["id"]))["id"]
    partner = str(uuid4())
    shelf = {
        "default": {},
        "channel": {"channel": "web"},
        "segment": {"segment": "gold"},
        "partner": {"partner_id": partner},
        "contract": {"contract_id": contract},
    }
    for amount, (kind, key) in zip(("95", "90", "85", "80", "75"), shelf.items(), strict=True):
        await entry(owner, await book(owner, kind=kind, **key), pump, amount)
    everything: dict[str, Any] = {}
    for amount, key in zip(("95", "90", "85", "80", "75"), shelf.values(), strict=True):
        everything |= key
        found = (await cart(owner, line(pump), **everything))["lines"][0]
        assert (found["unit_price"], found["source"]) == (price(f"{amount}.00"), "price_book")
    agreed = {"product_id": pump["id"], "currency": "CNY"}
    await make(owner, "agreed-prices", **agreed, account_id=account["id"], price="70")
    await make(owner, "agreed-prices", **agreed, contract_id=contract, price="72")
    found = (await cart(owner, line(pump), **everything, account_id=account["id"]))["lines"][0]
    assert steps(found)[:2] == [("list", "100", None), ("agreed", "72", "contract")]
    found = (await cart(owner, line(pump), account_id=account["id"]))["lines"][0]
    assert steps(found)[:2] == [("list", "100", None), ("agreed", "70", "account")]
    found = (await cart(owner, line(pump, unit_price="1.2345"), account_id=account["id"]))["lines"][0]
    assert (found["source"], found["unit_price"]) == ("entered", price("1.2345"))


async def test_books_hold_on_their_days_in_their_currency_while_they_are_active(owner: Client) -> None:
    pump = await product(owner)
    spring = await book(owner, valid_from="2026-03-01", valid_until="2026-05-31", priority=1)
    always = await book(owner, priority=2)
    await entry(owner, spring, pump, "80")
    await entry(owner, always, pump, "90")
    await entry(owner, await book(owner, currency="USD", priority=0), pump, "1")
    for day, amount in (
        ("2026-02-28", "90"),
        ("2026-03-01", "80"),
        ("2026-05-31", "80"),
        ("2026-06-01", "90"),
    ):
        assert (await cart(owner, line(pump), on=day))["net"] == price(f"{amount}.00")
    await owner.ok("PATCH", f"/v1/price-books/{always['id']}", json={"active": False}, if_match=1)
    assert (await cart(owner, line(pump), on="2026-06-01"))["net"] == price("100.00")


async def test_tiers_price_ranges_whole_and_slabs_part_by_part(owner: Client) -> None:
    pump, valve = await product(owner), await product(owner)
    rising = [{"from_quantity": "10", "price": "90"}, {"from_quantity": "100", "price": "80.5"}]
    shelf = await book(owner)
    await entry(owner, shelf, pump, "99", tiers=rising)
    made = await entry(owner, shelf, valve, "99", tier_kind="slab", tiers=rising)
    assert made["tiers"] == rising
    ranges = {"9": "891.00", "10": "900.00", "99": "8910.00", "100": "8050.00"}
    slabs = {"9": "891.00", "10": "990.00", "12": "1170.00", "100": "9090.00", "101": "9170.50"}
    for quantity, amount in ranges.items():
        assert (await cart(owner, line(pump, quantity)))["net"] == price(amount)
    for quantity, amount in slabs.items():
        assert (await cart(owner, line(valve, quantity)))["net"] == price(amount)
    found = (await cart(owner, line(valve, "101")))["lines"][0]
    assert found["unit_price"] == price("90.7970297")
    assert found["gross"] == price("9170.50")


async def test_refusals_come_all_at_once_with_their_places(owner: Client) -> None:
    draft = await product(owner, status="draft")
    gone = await product(owner, status="end_of_sale")
    dollars = await product(owner, prices=[price("1.00", "USD")])
    stranger = {"id": str(uuid4())}
    assert await refused_cart(owner, line(draft), line(gone), line(stranger)) == [
        ("/lines/0/product_id", "not_for_sale"),
        ("/lines/1/product_id", "not_for_sale"),
        ("/lines/2/product_id", "unknown_reference"),
    ]
    pump = await product(owner)
    beyond = price("100.01")
    assert await refused_cart(owner, line(dollars), line(pump, "0")) == [
        ("/lines/0/product_id", "no_price"), ("/lines/1/quantity", "not_positive"),
    ]  # fmt: skip
    assert await refused_cart(owner, line(pump), line(pump, discount_amount=beyond)) == [
        ("/lines/1/discount_amount", "more_than_the_price"),
    ]
    assert await refused_cart(owner, line(pump), discount_amount=beyond) == [
        ("/discount_amount", "more_than_the_price"),
    ]
    assert await refused_cart(owner, line(pump, discount_amount=price("1.00", "USD"))) == [
        ("/lines/0/discount_amount/currency", "other_currency"),
    ]
    assert await refused_cart(owner, line(pump), account_id=str(uuid4())) == [
        ("/account_id", "unknown_reference")
    ]


async def test_what_stands_in_a_document_stays_sellable(company: Company, owner: Client) -> None:
    gone = await product(owner, status="end_of_sale")
    kept = PriceQueryLine(product_id=UUID(gone["id"]), quantity=Decimal(2), kept=True)
    query = PriceQuery(currency="CNY", on=date(2026, 6, 1), lines=(kept,))
    async with acting(company) as uow:
        pricing = await uow.of(Catalog).price(query)
        assert pricing.totals.total == 20_000
        with pytest.raises(Invalid) as refused:
            await uow.of(Catalog).price(
                replace(query, lines=(replace(kept, kept=False),)), pointer="/a/items"
            )
    assert [(e.pointer, e.code) for e in refused.value.errors] == [("/a/items/0/product_id", "not_for_sale")]


async def test_two_hundred_lines_take_as_many_statements_as_one(company: Company, owner: Client) -> None:
    shelf = await book(owner)
    goods = [await product(owner, tax_class="standard") for _ in range(20)]
    for one in goods:
        await entry(owner, shelf, one, "90")
    spent = []
    for size in (1, 200):
        lines = tuple(
            PriceQueryLine(product_id=UUID(goods[n % 20]["id"]), quantity=Decimal(1), component_of=None)
            for n in range(size)
        )
        async with acting(company) as uow:
            pricing = await uow.of(Catalog).price(
                PriceQuery(currency="CNY", on=date(2026, 6, 1), lines=lines, country="CN")
            )
            assert pricing.totals.total == size * 10_170
            spent.append(uow.statements)
    assert spent == [1, 1]  # one more with components of bundles


async def test_a_company_of_list_prices_learns_of_its_first_other_price_at_once(
    company: Company, owner: Client
) -> None:
    pump = await product(owner, tax_class="standard")
    account = await make(owner, "accounts", name="Acme")
    query = PriceQuery(
        currency="CNY",
        on=date(2026, 6, 1),
        lines=(PriceQueryLine(product_id=UUID(pump["id"]), quantity=Decimal(1)),),
        account_id=UUID(account["id"]),
        country="CN",
    )
    found: list[tuple[object, ...]] = []
    shelf = await book(owner)

    async def ask() -> None:
        for _ in range(2):
            async with acting(company) as uow:
                (priced,) = await uow.of(Catalog).prices(query)
                found.append((priced.unit_price, priced.source, priced.tax_rate, uow.statements))

    await ask()
    await entry(owner, shelf, pump, "90")
    await ask()
    agreed = {"product_id": pump["id"], "account_id": account["id"], "currency": "CNY", "price": "80"}
    await make(owner, "agreed-prices", **agreed)
    await ask()
    assert found == [
        (100, "list", 13, 1), (100, "list", 13, 1),
        (90, "price_book", 13, 2), (90, "price_book", 13, 1),
        (80, "agreed", 13, 1), (80, "agreed", 13, 1),
    ]  # fmt: skip


async def test_whoever_may_not_see_costs_sees_neither_cost_nor_margin(
    company: Company, owner: Client, hire: Hire
) -> None:
    pump = await product(owner, costs=[price("60.00")], unit="kg")
    free = await product(owner)
    found = await cart(owner, line(pump, "2.5", discount_percent="10"))
    assert (found["lines"][0]["cost"], found["lines"][0]["margin"], found["margin"]) == (
        price("150.00"), price("75.00"), price("75.00"),
    )  # fmt: skip
    mixed = await cart(owner, line(pump), line(free))
    assert (mixed["lines"][0]["margin"], mixed["lines"][1]["margin"], mixed["margin"]) == (
        price("40.00"), None, None,
    )  # fmt: skip
    actor = replace(await actor_of(company), hidden_fields={"product": frozenset({"costs"})})
    async with acting(company, actor) as uow:
        known = await uow.of(Catalog).get_many([UUID(pump["id"])])
        assert known[UUID(pump["id"])].cost is None
    role = await owner.ok(
        "POST", "/v1/roles",
        json={"name": "Seller", "grants": {"product:read": "all", "product:update": "all"},
              "field_rules": {"product": {"hidden": ["costs"]}}},
    )  # fmt: skip
    seller = await hire(role_ids=[role["id"]])
    shown = await cart(seller, line(pump, "2"))
    assert (shown["lines"][0]["cost"], shown["lines"][0]["margin"], shown["margin"]) == (None, None, None)
    assert "costs" not in await seller.ok("GET", f"/v1/products/{pump['id']}")
    refused = await seller.patch(f"/v1/products/{pump['id']}", {"costs": []}, if_match=1)
    assert code_of(refused) == (403, "forbidden")
    assert (await owner.ok("GET", f"/v1/products/{pump['id']}"))["costs"] == [price("60.00")]


async def test_a_book_has_the_key_of_its_kind(owner: Client) -> None:
    body = {"code": "X", "name": "X", "currency": "CNY"}
    for fields, pointer in (
        ({"kind": "segment"}, "/segment"),
        ({"channel": "web"}, "/channel"),
        ({"kind": "contract", "contract_id": str(uuid4()), "segment": "a"}, "/segment"),
        ({"valid_from": "2026-02-01", "valid_until": "2026-01-31"}, "/valid_until"),
    ):
        refused = await owner.post("/v1/price-books", body | fields)
        assert refused.status_code == 422
        assert [where for where, _ in pointers(refused)] == [pointer]
    assert (await owner.ok("GET", "/v1/price-books"))["data"] == []


async def test_an_entry_is_one_for_a_product_in_a_book(owner: Client) -> None:
    pump, shelf = await product(owner), await book(owner)
    made = await entry(owner, shelf, pump, "90.50")
    assert (made["currency"], made["price"]) == ("CNY", "90.5")
    body = {"price_book_id": shelf["id"], "product_id": pump["id"], "price": "80"}
    assert code_of(await owner.post("/v1/price-book-entries", body)) == (409, "duplicate_value")
    path = f"/v1/price-book-entries/{made['id']}"
    other = await product(owner)
    refused = await owner.patch(path, {"product_id": other["id"]}, if_match=1)
    assert pointers(refused) == [("/product_id", "immutable")]
    for tiers in ([{"from_quantity": "0", "price": "1"}],
                  [{"from_quantity": "5", "price": "1"}, {"from_quantity": "5", "price": "2"}]):  # fmt: skip
        refused = await owner.patch(path, {"tiers": tiers}, if_match=1)
        assert pointers(refused) == [("/tiers", "tiers_not_rising")]
    unknown = await owner.post("/v1/price-book-entries", body | {"product_id": str(uuid4())})
    assert pointers(unknown) == [("/product_id", "unknown_reference")]
    assert await owner.ok("GET", path) == made
    assert code_of(await owner.delete(f"/v1/price-books/{shelf['id']}", if_match=1)) == (
        409, "catalog_entry_in_use",
    )  # fmt: skip
    refused = await owner.patch(f"/v1/price-books/{shelf['id']}", {"currency": "USD"}, if_match=1)
    assert pointers(refused) == [("/currency", "has_entries")]


@pytest.mark.parametrize("name", ["price_book_id", "product_id"])
async def test_an_entry_needs_a_book_and_a_product(owner: Client, name: str) -> None:
    pump, shelf = await product(owner), await book(owner)
    body = {"price_book_id": shelf["id"], "product_id": pump["id"], "price": "80"}
    for missing in ({name: None}, {}):
        given = {key: value for key, value in body.items() if key != name} | missing
        assert pointers(await owner.post("/v1/price-book-entries", given)) == [(f"/{name}", "required")]
    made = await entry(owner, shelf, pump, "80")
    refused = await owner.patch(f"/v1/price-book-entries/{made['id']}", {name: None}, if_match=1)
    assert pointers(refused) == [(f"/{name}", "required")]
    assert (await owner.ok("GET", "/v1/price-book-entries"))["data"] == [made]


async def test_entries_come_in_from_a_file_by_the_codes_of_books_and_products(
    company: Company, owner: Client
) -> None:
    pump, valve = await product(owner, code="PUMP"), await product(owner, code="VALVE")
    shelf = await book(owner, code="SHELF", currency="EUR")
    file = (
        "external_id,Price book,Product,Price\n1,SHELF,PUMP,90.5\n2,SHELF,VALVE,1\n3,SHELF,NONE,2\n4,NONE,PUMP,3\n"
        "5,,PUMP,4\n6,SHELF,,5\n7,SHELF,PUMP,6\n"
    )
    done, failed = await imported(company, "price_book_entries", file)
    assert (done["state"], done["created"]) == ("completed_with_errors", 2)
    assert failed == [
        ("4", "Product", "unknown_reference"), ("5", "Price book", "unknown_reference"),
        ("6", "price_book_id", "required"), ("7", "product_id", "required"), ("8", "product_id", "duplicate_value"),
    ]  # fmt: skip
    done, failed = await imported(
        company, "price_book_entries", "external_id,Price book,Product,Price\n1,SHELF,PUMP,95\n", mode="upsert",
        key="external_id",
    )  # fmt: skip
    assert (done["state"], done["updated"], failed) == ("completed", 1, [])
    rows = (await owner.ok("GET", "/v1/price-book-entries?sort=external_id"))["data"]
    assert [(r["price_book_id"], r["product_id"], r["price"], r["currency"]) for r in rows] == [
        (shelf["id"], pump["id"], "95", "EUR"), (shelf["id"], valve["id"], "1", "EUR"),
    ]  # fmt: skip


async def test_every_change_of_a_price_is_told(owner: Client, look: Look) -> None:
    pump, shelf = await product(owner), await book(owner)
    account = await make(owner, "accounts", name="Acme")
    path = f"/v1/products/{pump['id']}"
    await owner.ok("PATCH", path, json={"prices": [price("110.00"), price("16.00", "USD")]}, if_match=1)
    await owner.ok("PATCH", path, json={"name": "Renamed"}, if_match=2)
    made = await entry(owner, shelf, pump, "90.50")
    at = f"/v1/price-book-entries/{made['id']}"
    await owner.ok("PATCH", at, json={"price": "91"}, if_match=1)
    await owner.ok("DELETE", at, if_match=2)
    agreed = await make(
        owner, "agreed-prices", product_id=pump["id"], account_id=account["id"], currency="CNY", price="70"
    )
    told = await look.rows(
        "SELECT data FROM kernel.outbox WHERE type = 'catalog.product.price_changed.v1' AND record_id = $1"
        " ORDER BY id",
        UUID(pump["id"]),
    )
    data = [orjson.loads(one["data"]) for one in told]
    assert [(one["price_book_id"], one["currency"], one["former"], one["price"]) for one in data] == [
        (None, "CNY", "100.00", "110.00"),
        (None, "USD", None, "16.00"),
        (shelf["id"], "CNY", None, "90.5"),
        (shelf["id"], "CNY", "90.5", "91"),
        (shelf["id"], "CNY", "91", None),
        (None, "CNY", None, "70"),
    ]
    assert (data[-1]["agreed_price_id"], data[-1]["account_id"]) == (agreed["id"], account["id"])


async def test_an_agreed_price_is_with_one_party_and_moves_with_a_merged_account(owner: Client) -> None:
    pump = await product(owner)
    kept, merged = [await make(owner, "accounts", name=name) for name in ("Acme", "Acme Ltd")]
    body = {"product_id": pump["id"], "currency": "CNY", "price": "70"}
    for party in ({}, {"account_id": kept["id"], "contract_id": str(uuid4())}):
        assert pointers(await owner.post("/v1/agreed-prices", body | party)) == [("/account_id", "one_party")]
    unknown = await owner.post("/v1/agreed-prices", body | {"account_id": str(uuid4())})
    assert pointers(unknown) == [("/account_id", "unknown_reference")]
    made = await make(owner, "agreed-prices", **body, account_id=merged["id"])
    path = f"/v1/agreed-prices/{made['id']}"
    assert pointers(await owner.patch(path, {"currency": "USD"}, if_match=1)) == [("/currency", "immutable")]
    both = [{"id": one["id"], "version": one["version"]} for one in (kept, merged)]
    await owner.ok("POST", "/v1/accounts/merge", json={"records": both, "master_id": kept["id"]})
    assert (await owner.ok("GET", path))["account_id"] == kept["id"]
    assert (await cart(owner, line(pump), account_id=kept["id"]))["net"] == price("70.00")


# -- contracts -----------------------------------------------------------------------------------------------


async def without_contracts(owner: Client, hire: Hire) -> Client:
    """Somebody who agrees on prices and sees no contracts."""
    grants = dict.fromkeys(("agreed_price:create", "agreed_price:read", "product:read"), "all")
    role = await make(owner, "roles", name="Prices", grants=grants)
    return await hire(role_ids=[role["id"]])


async def test_prices_are_agreed_in_contracts_that_are_there_and_not_over(
    owner: Client, rival: Company, hire: Hire
) -> None:
    pump = await product(owner)
    account = await make(owner, "accounts", name="Acme")
    draft = await deals.draft(owner, account_id=account["id"])
    over = await deals.signed(owner, account_id=account["id"])
    await deals.act(owner, over, "terminate", reason="Moved")
    theirs = await deals.signed(rival.owner)
    body = {"product_id": pump["id"], "currency": "CNY", "price": "70"}
    shelf = {"code": "CON", "name": "Contract", "currency": "CNY", "kind": "contract"}
    for contract, code in (
        (str(uuid4()), "unknown_reference"), (theirs["id"], "unknown_reference"), (over["id"], "contract_over"),
    ):  # fmt: skip
        named = {"contract_id": contract}
        assert pointers(await owner.post("/v1/agreed-prices", body | named)) == [("/contract_id", code)]
        assert pointers(await owner.post("/v1/price-books", shelf | named)) == [("/contract_id", code)]
    blind = await without_contracts(owner, hire)
    unseen = await blind.post("/v1/agreed-prices", body | {"contract_id": draft["id"]})
    assert pointers(unseen) == [("/contract_id", "unknown_reference")]
    for path in ("/v1/agreed-prices", "/v1/price-books"):
        assert (await owner.ok("GET", path))["data"] == []
    await make(owner, "agreed-prices", **body, contract_id=draft["id"])
    kept = await make(owner, "price-books", **shelf, contract_id=draft["id"])
    path = f"/v1/price-books/{kept['id']}"
    moved = await owner.patch(path, {"contract_id": over["id"]}, if_match=1)
    assert pointers(moved) == [("/contract_id", "contract_over")]
    assert await owner.ok("GET", path) == kept


async def test_a_cart_is_priced_in_a_contract_of_its_account_that_is_in_force(
    owner: Client, hire: Hire
) -> None:
    pump = await product(owner)
    account, other = [await make(owner, "accounts", name=name) for name in ("Acme", "Globex")]
    contract = await deals.draft(owner, account_id=account["id"])
    await make(
        owner, "agreed-prices", product_id=pump["id"], currency="CNY", price="70", contract_id=contract["id"]
    )
    body = {"currency": "CNY", "lines": [line(pump)], "contract_id": contract["id"]}

    async def refused(client: Client, **more: Any) -> list[tuple[str, str]]:
        return pointers(await client.post("/v1/prices/resolve", body | more))

    assert await refused(owner) == [("/contract_id", "contract_not_active")]
    await deals.sign(owner, contract)
    assert (await cart(owner, line(pump), contract_id=contract["id"]))["net"] == price("70.00")
    assert (await cart(owner, line(pump), contract_id=contract["id"], account_id=account["id"]))["net"] == (
        price("70.00")
    )
    assert await refused(owner, account_id=other["id"]) == [("/contract_id", "other_account")]
    assert await refused(owner, contract_id=str(uuid4())) == [("/contract_id", "unknown_reference")]
    blind = await without_contracts(owner, hire)
    assert await refused(blind) == [("/contract_id", "unknown_reference")]
    await deals.act(owner, contract, "terminate", reason="Moved")
    assert await refused(owner) == [("/contract_id", "contract_not_active")]
