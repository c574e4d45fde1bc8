"""Bundles, variants and configuration rules: what goes together, and every violation at once."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from app.modules.catalog.interface import Catalog, ConfiguredLine
from tests.modules.catalog.conftest import Hire
from tests.modules.catalog.goods import book, cart, entry, line, pointers, price, product, steps
from tests.modules.support import acting, count, make
from tests.support.api import Client, Company
from tests.tenants.people import code_of

COLOURS = {"key": "colour", "name": "颜色", "name_en": "Colour", "values": [
    {"key": "red", "name": "红", "name_en": "Red"}, {"key": "blue", "name": "蓝", "name_en": None},
]}  # fmt: skip
SIZES = {"key": "size", "name": "尺寸", "name_en": None, "values": [
    {"key": one, "name": one.upper(), "name_en": None} for one in ("s", "m", "l")
]}  # fmt: skip


def component(product: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"product_id": product["id"]} | fields


async def bundle(client: Client, of: dict[str, Any], *groups: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = await client.ok(
        "PUT", f"/v1/products/{of['id']}/bundle", json={"groups": list(groups)}, if_match=of["version"]
    )
    return found


def broken(found: dict[str, Any]) -> list[tuple[int | None, str]]:
    return [(one["line"], one["code"]) for one in found["violations"]]


async def test_components_are_priced_as_the_bundle_says(owner: Client) -> None:
    kit = await product(owner, prices=[price("500.00")])
    pump, hose, valve = [await product(owner) for _ in range(3)]
    made = await bundle(
        owner, kit,
        {"name": "Core", "components": [component(pump, required=True), component(hose, pricing="own")]},
        {"name": "Extras", "components": [
            component(valve, pricing="fixed", fixed_prices=[price("30.00"), price("4.00", "USD")]),
        ]},
    )  # fmt: skip
    assert (made["version"], [len(group["components"]) for group in made["groups"]]) == (2, [2, 1])
    assert (await owner.ok("GET", f"/v1/products/{kit['id']}"))["is_bundle"] is True
    assert await owner.ok("GET", f"/v1/products/{kit['id']}/bundle") == made
    found = await cart(
        owner, line(kit, "2"), *(line(one, "2", component_of=0) for one in (pump, hose, valve)), line(valve)
    )
    assert [one["net"]["amount"] for one in found["lines"]] == [
        "1000.00",
        "0.00",
        "200.00",
        "60.00",
        "100.00",
    ]
    assert steps(found["lines"][1])[:2] == [("list", "100", None), ("included", "0", None)]
    assert steps(found["lines"][3])[:2] == [("list", "100", None), ("fixed", "30", None)]
    assert (found["violations"], found["total"]) == ([], price("1360.00"))


async def test_a_bundle_without_a_price_costs_what_its_components_cost(owner: Client) -> None:
    kit, pump = await product(owner, prices=[]), await product(owner)
    refused = await owner.post("/v1/prices/resolve", {"currency": "CNY", "lines": [line(kit)]})
    assert pointers(refused) == [("/lines/0/product_id", "no_price")]
    await bundle(owner, kit, {"name": "Core", "components": [component(pump, pricing="own")]})
    found = await cart(owner, line(kit), line(pump, component_of=0))
    assert [one["net"]["amount"] for one in found["lines"]] == ["0.00", "100.00"]


async def test_a_bundle_is_refused_where_it_makes_no_sense(owner: Client, company: Company) -> None:
    kit, inner, pump = [await product(owner) for _ in range(3)]
    template = await product(owner, options=[COLOURS])
    await bundle(owner, inner, {"name": "Core", "components": [component(pump)]})
    path = f"/v1/products/{kit['id']}/bundle"

    async def put(*groups: dict[str, Any]) -> list[tuple[str, str]]:
        answer = await owner.put(path, {"groups": list(groups)}, if_match=1)
        assert answer.status_code == 422, answer.text
        return pointers(answer)

    assert await put({"name": "A", "components": [component(inner), component(kit), {"product_id": str(uuid4())}]}) == [
        ("/groups/0/components/0/product_id", "nested_bundle"),
        ("/groups/0/components/1/product_id", "nested_bundle"),
        ("/groups/0/components/2/product_id", "unknown_reference"),
    ]  # fmt: skip
    for wrong, code in (
        ([component(pump), component(pump)], "repeated_component"),
        ([component(pump, min_quantity="3", max_quantity="2")], "quantities"),
        ([component(pump, min_quantity="2", default_quantity="1")], "default_quantity"),
        ([component(pump, pricing="fixed")], "fixed_prices"),
        ([component(pump, fixed_prices=[price("1.00")])], "fixed_prices"),
    ):
        assert [found for _, found in await put({"name": "A", "components": wrong})] == [code]
    assert [
        code for _, code in await put({"name": "A", "min_components": 2, "components": [component(pump)]})
    ] == ["impossible_choice"]
    options = await owner.put(f"/v1/products/{template['id']}/bundle",
                              {"groups": [{"name": "A", "components": [component(pump)]}]}, if_match=1)  # fmt: skip
    outer = await owner.put(f"/v1/products/{pump['id']}/bundle",
                            {"groups": [{"name": "A", "components": [component(kit)]}]}, if_match=1)  # fmt: skip
    assert [code_of(options), code_of(outer)] == [(409, "conflict")] * 2
    assert code_of(await owner.put(path, {"groups": []}, if_match=9)) == (412, "stale_version")
    used = await owner.delete(f"/v1/products/{pump['id']}", if_match=1)
    assert (code_of(used), used.json()["used_by"]) == ((409, "product_in_use"), {"bundles": 1})
    assert (await owner.ok("GET", path))["groups"] == []
    async with acting(company) as uow:
        row = await uow.fetchrow(
            "SELECT count(*) FROM catalog.bundle_components WHERE tenant_id = $1", uow.tenant_id
        )
        assert row is not None
        assert row[0] == 1


async def test_two_bundles_never_end_up_inside_each_other(owner: Client) -> None:
    one, other = await product(owner), await product(owner)

    async def put(outer: dict[str, Any], inner: dict[str, Any]) -> int:
        body = {"groups": [{"name": "A", "components": [component(inner)]}]}
        return (await owner.put(f"/v1/products/{outer['id']}/bundle", body, if_match=1)).status_code

    answers = sorted(await asyncio.gather(put(one, other), put(other, one)))
    assert answers in ([200, 409], [200, 422])


async def test_every_violation_comes_at_once_with_its_line(owner: Client) -> None:
    kit = await product(owner, name="Kit")
    pump, hose, valve, seal = [await product(owner, name=name) for name in ("Pump", "Hose", "Valve", "Seal")]
    await bundle(
        owner, kit,
        {"name": "Core", "components": [component(pump, required=True, min_quantity="2", default_quantity="2")]},
        {"name": "Choice", "min_components": 1, "max_components": 1, "components": [
            component(hose, max_quantity="3"), component(valve),
        ]},
    )  # fmt: skip
    needs = await make(
        owner, "configuration-rules", name="Seal", kind="requires", product_id=valve["id"],
        other_product_ids=[seal["id"]],
    )  # fmt: skip
    await make(
        owner, "configuration-rules", name="Apart", kind="excludes", product_id=kit["id"],
        other_product_ids=[valve["id"]], message="阀门不能与套件同购",
    )  # fmt: skip
    await make(owner, "configuration-rules", name="Packs", kind="quantity", product_id=hose["id"], multiple_of="5",
               min_quantity="10")  # fmt: skip
    found = await cart(
        owner,
        line(kit, "2"),
        line(hose, "7", component_of=0),
        line(valve, "2", component_of=0),
        line(seal, "1", component_of=0) | {"component_of": 0},
        line(pump, "1.5"),
    )
    assert broken(found) == [
        (0, "component_missing"),
        (0, "component_count"),
        (1, "quantity"),
        (1, "component_quantity"),
        (2, "excludes"),
        (3, "component_unknown"),
        (4, "quantity"),
    ]
    assert [one["message"] for one in found["violations"]] == [
        "The bundle needs Pump.",
        "Choice: at most 1 of the components, not 2.",
        "Hose: at least 10, not 7.",
        "Hose in the bundle: at most 6, not 7.",
        "阀门不能与套件同购",
        "This is no component of the bundle that it names.",
        "A quantity of Pump has no decimal places.",
    ]
    alone = await cart(owner, line(valve))
    assert [(one["line"], one["code"], one["message"], one["rule_id"]) for one in alone["violations"]] == [
        (0, "requires", "Valve requires Seal.", needs["id"]),
    ]
    good = await cart(
        owner, line(kit), line(pump, "2", component_of=0), line(hose, "3", component_of=0), line(hose, "7")
    )
    assert good["violations"] == []
    await owner.ok("PATCH", f"/v1/configuration-rules/{needs['id']}", json={"active": False}, if_match=1)
    assert (await cart(owner, line(valve)))["violations"] == []


async def test_violations_take_as_many_statements_for_two_hundred_lines_as_for_one(
    company: Company, owner: Client
) -> None:
    goods = [await product(owner) for _ in range(5)]
    await make(owner, "configuration-rules", name="R", kind="requires", product_id=goods[0]["id"],
               other_product_ids=[goods[1]["id"]])  # fmt: skip
    spent = []
    for size in (1, 200):
        lines = [
            ConfiguredLine(product_id=UUID(goods[n % 5]["id"]), quantity=Decimal(1)) for n in range(size)
        ]
        async with acting(company) as uow:
            found = await uow.of(Catalog).violations(lines)
            assert [one.code for one in found] == (["requires"] if size == 1 else [])
            spent.append(uow.statements)
    assert spent == [3, 3]


async def test_a_rule_has_what_its_kind_needs(owner: Client, company: Company) -> None:
    pump, hose = await product(owner), await product(owner)
    body = {"name": "R", "product_id": pump["id"]}
    for fields, expected in (
        ({"kind": "requires"}, ("/other_product_ids", "required")),
        ({"kind": "requires", "other_product_ids": [pump["id"]]}, ("/other_product_ids", "repeated_product")),
        (
            {"kind": "excludes", "other_product_ids": [hose["id"]], "min_quantity": "1"},
            ("/min_quantity", "wrong_kind"),
        ),
        ({"kind": "quantity"}, ("/min_quantity", "required")),
        ({"kind": "quantity", "max_quantity": "0"}, ("/max_quantity", "not_positive")),
        ({"kind": "quantity", "min_quantity": "2", "max_quantity": "1"}, ("/max_quantity", "below_minimum")),
        (
            {"kind": "excludes", "other_product_ids": [str(uuid4())]},
            ("/other_product_ids/0", "unknown_reference"),
        ),
    ):
        assert pointers(await owner.post("/v1/configuration-rules", body | fields)) == [expected]
    assert await count(company, "catalog.configuration_rules") == 0


async def test_variants_are_made_once_for_each_combination_also_in_a_race(
    owner: Client, company: Company
) -> None:
    shirt = await product(
        owner, code="SHIRT", name="衬衫", name_en="Shirt", options=[COLOURS, SIZES], tax_class="standard",
        unit="set", stocked=True, charge="one_time",
    )  # fmt: skip
    by_hand = await make(
        owner, "products", code="SHIRT-SPECIAL", name="Special", parent_id=shirt["id"],
        option_values={"colour": "red", "size": "s"},
    )  # fmt: skip
    assert (by_hand["unit"], by_hand["stocked"], by_hand["tax_class"]) == ("set", True, "standard")
    path = f"/v1/products/{shirt['id']}/variants/generate"
    answers = await asyncio.gather(*(owner.ok("POST", path) for _ in range(20)))
    assert sorted(len(answer["created"]) for answer in answers) == [0] * 19 + [5]
    assert await count(company, "catalog.products") == 7
    rows = (await owner.ok("GET", f"/v1/products?parent_id={shirt['id']}&sort=code"))["data"]
    assert [(one["code"], one["name"], one["name_en"]) for one in rows] == [
        ("SHIRT-BLUE-L", "衬衫 蓝 L", "Shirt 蓝 L"),
        ("SHIRT-BLUE-M", "衬衫 蓝 M", "Shirt 蓝 M"),
        ("SHIRT-BLUE-S", "衬衫 蓝 S", "Shirt 蓝 S"),
        ("SHIRT-RED-L", "衬衫 红 L", "Shirt Red L"),
        ("SHIRT-RED-M", "衬衫 红 M", "Shirt Red M"),
        ("SHIRT-SPECIAL", "Special", None),
    ]
    twice = await owner.post(
        "/v1/products",
        {"code": "X", "name": "X", "parent_id": shirt["id"], "option_values": {"colour": "red", "size": "s"}},
    )
    assert code_of(twice) == (409, "duplicate_value")


async def test_variants_cost_what_their_parent_costs_unless_they_have_a_price(owner: Client) -> None:
    shirt = await product(owner, options=[COLOURS], costs=[price("40.00")])
    await owner.ok("POST", f"/v1/products/{shirt['id']}/variants/generate")
    red, blue = reversed((await owner.ok("GET", f"/v1/products?parent_id={shirt['id']}&sort=code"))["data"])
    await owner.ok("PATCH", f"/v1/products/{red['id']}", json={"prices": [price("120.00")]}, if_match=1)
    refused = await owner.post("/v1/prices/resolve", {"currency": "CNY", "lines": [line(shirt)]})
    assert pointers(refused) == [("/lines/0/product_id", "choose_variant")]
    found = await cart(owner, line(red), line(blue))
    assert [one["net"]["amount"] for one in found["lines"]] == ["120.00", "100.00"]
    assert [one["cost"]["amount"] for one in found["lines"]] == ["40.00", "40.00"]
    shelf = await book(owner)
    await entry(owner, shelf, shirt, "90")
    await entry(owner, shelf, blue, "85")
    found = await cart(owner, line(red), line(blue))
    assert [one["net"]["amount"] for one in found["lines"]] == ["90.00", "85.00"]


async def test_a_variant_stays_what_it_is_and_options_in_use_stay(owner: Client, company: Company) -> None:
    shirt = await product(owner, options=[COLOURS])
    await owner.ok("POST", f"/v1/products/{shirt['id']}/variants/generate")
    red = (await owner.ok("GET", f"/v1/products?parent_id={shirt['id']}"))["data"][0]
    path = f"/v1/products/{red['id']}"
    for change, expected in (
        ({"parent_id": None}, ("/parent_id", "immutable")),
        ({"option_values": {"colour": "blue"}}, ("/option_values", "immutable")),
        ({"options": [SIZES]}, ("/options", "variant")),
    ):
        assert pointers(await owner.patch(path, change, if_match=1)) == [expected]
    body = {"code": "X", "name": "X"}
    for fields, expected in (
        ({"option_values": {"colour": "red"}}, ("/option_values", "no_parent")),
        ({"parent_id": red["id"], "option_values": {"colour": "red"}}, ("/parent_id", "no_options")),
        (
            {"parent_id": str(uuid4()), "option_values": {"colour": "red"}},
            ("/parent_id", "unknown_reference"),
        ),
        (
            {"parent_id": shirt["id"], "option_values": {"colour": "green"}},
            ("/option_values", "invalid_choice"),
        ),
        ({"parent_id": shirt["id"]}, ("/option_values", "invalid_choice")),
    ):
        assert pointers(await owner.post("/v1/products", body | fields)) == [expected]
    lost = await owner.patch(f"/v1/products/{shirt['id']}", {"options": [COLOURS, SIZES]}, if_match=1)
    assert (code_of(lost), lost.json()["variants"]) == ((409, "option_in_use"), 2)
    more = COLOURS | {"values": [*COLOURS["values"], {"key": "green", "name": "绿", "name_en": None}]}
    await owner.ok("PATCH", f"/v1/products/{shirt['id']}", json={"options": [more]}, if_match=1)
    done = await owner.ok("POST", f"/v1/products/{shirt['id']}/variants/generate")
    assert (len(done["created"]), done["existing"]) == (1, 2)
    assert await count(company, "catalog.products") == 4
    assert code_of(await owner.delete(f"/v1/products/{shirt['id']}", if_match=2)) == (409, "product_in_use")


async def test_a_price_list_is_set_whole_in_a_handful_of_statements(owner: Client, company: Company) -> None:
    shelf = await book(owner)
    goods = [await product(owner) for _ in range(4)]
    path = f"/v1/price-books/{shelf['id']}/set-entries"
    entries = [{"product_code": one["code"], "price": "90"} for one in goods]
    assert await owner.ok("POST", path, json={"entries": entries[:3]}) == {
        "created": 3, "updated": 0, "unchanged": 0,
    }  # fmt: skip
    entries[1] = {"product_id": goods[1]["id"], "price": "80", "tier_kind": "slab",
                  "tiers": [{"from_quantity": "5", "price": "70"}]}  # fmt: skip
    assert await owner.ok("POST", path, json={"entries": entries}) == {
        "created": 1, "updated": 1, "unchanged": 2,
    }  # fmt: skip
    rows = (await owner.ok("GET", f"/v1/price-book-entries?price_book_id={shelf['id']}"))["data"]
    changed = next(one for one in rows if one["product_id"] == goods[1]["id"])
    assert (changed["version"], changed["price"], changed["tier_kind"], changed["tiers"]) == (
        2, "80", "slab", [{"from_quantity": "5", "price": "70"}],
    )  # fmt: skip
    history = (await owner.ok("GET", f"/v1/price-book-entries/{changed['id']}/history"))["data"]
    assert [one["action"] for one in history] == ["updated", "created"]
    assert history[0]["changes"]["price"] == ["90", "80"]
    assert (await cart(owner, line(goods[1], "7")))["net"] == price("540.00")
    refused = await owner.post(
        path, {"entries": [entries[0], entries[0], {"product_code": "?", "price": "1"}]}
    )
    assert pointers(refused) == [
        ("/entries/1/product_code", "repeated_product"), ("/entries/2/product_code", "unknown_reference"),
    ]  # fmt: skip
    both = await owner.post(path, {"entries": [{"price": "1"}]})
    assert [code for _, code in pointers(both)] == ["one_name"]
    assert await count(company, "catalog.price_book_entries") == 4


async def test_a_price_list_set_by_many_at_once_has_each_product_once(
    owner: Client, company: Company
) -> None:
    shelf, pump = await book(owner), await product(owner)
    path = f"/v1/price-books/{shelf['id']}/set-entries"
    answers = await asyncio.gather(
        *(
            owner.ok("POST", path, json={"entries": [{"product_id": pump["id"], "price": str(n)}]})
            for n in range(100)
        )
    )
    assert sum(answer["created"] for answer in answers) == 1
    assert sum(answer["updated"] for answer in answers) == 99
    assert await count(company, "catalog.price_book_entries") == 1


async def test_files_hang_on_products(owner: Client, hire: Hire) -> None:
    pump = await product(owner)
    uploaded = await owner.request(
        "POST", "/v1/files", files={"file": ("sheet.txt", b"42 bar", "text/plain")}
    )
    file = uploaded.json()
    path = f"/v1/products/{pump['id']}/attachments"
    made = await owner.ok("POST", path, json={"file_id": file["id"]})
    assert (made["name"], made["size"]) == ("sheet.txt", 6)
    assert code_of(await owner.post(path, {"file_id": file["id"]})) == (409, "duplicate_value")
    assert pointers(await owner.post(path, {"file_id": str(uuid4())})) == [("/file_id", "unknown_file")]
    seller = await hire("salesperson")
    content = await seller.get(f"{path}/{made['id']}/content")
    assert (content.status_code, content.content) == (200, b"42 bar")
    assert code_of(await seller.delete(f"{path}/{made['id']}")) == (403, "forbidden")
    assert await owner.ok("GET", path) == {"data": [made]}
    await owner.ok("DELETE", f"{path}/{made['id']}")
    assert await owner.ok("GET", path) == {"data": []}
    assert (await owner.get(f"{path}/{made['id']}/content")).status_code == 404
