"""A draft's prices and taxes follow its account, contract, day and currency; what was entered stays."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

from app.kernel.validation import fields_of
from app.modules.orders.schemas.orders import OrderCreate
from app.modules.orders.services.orders import OrderService
from tests.modules.orders.orders import again, line, money, order_of, pointers, product, stepped, stock
from tests.modules.orders.receivables.test_credit import limited
from tests.modules.orders.receivables.test_credit_approval import asks, code
from tests.modules.support import acting, count
from tests.support.api import Client, Company

Json = dict[str, Any]


async def _account(owner: Client, country: str) -> Json:
    made: Json = await owner.ok("POST", "/v1/accounts", json={"name": f"In {country}", "country": country})
    return made


async def _taxed(owner: Client, **rates: str) -> Json:
    """A product of a class that each country taxes at its own rate."""
    by_country = [
        {"country": country, "rate": rate, "valid_from": "2020-01-01"} for country, rate in rates.items()
    ]
    body = {"code": "goods", "name_en": "Goods", "rates": by_country}
    await owner.ok("POST", "/v1/tax-classes", json=body)
    return await product(owner, "100", tax_class="goods")


async def _patched(owner: Client, order: Json, **fields: Any) -> Json:
    changed: Json = await owner.ok(
        "PATCH", f"/v1/orders/{order['id']}", json=fields, if_match=order["version"]
    )
    assert changed == await again(owner, order)
    return changed


def _of_lines(order: Json, *names: str) -> list[tuple[Any, ...]]:
    return [
        tuple(one[name]["amount"] if isinstance(one[name], dict) else one[name] for name in names)
        for one in order["lines"]
    ]


async def test_another_account_is_priced_and_taxed_as_its_own_and_what_was_entered_stays(
    company: Company,
) -> None:
    owner = company.owner
    sold = await _taxed(owner, DE="19", FR="20")
    german, french = await _account(owner, "DE"), await _account(owner, "FR")
    agreed = {"account_id": french["id"], "product_id": sold["id"], "currency": "USD", "price": "80"}
    await owner.ok("POST", "/v1/agreed-prices", json=agreed)
    of_product = {"product_id": sold["id"], "quantity": "2"}
    made = await order_of(
        owner, german, of_product,
        of_product | {"unit_price": money("90"), "tax_rate": "7"},
        line("1", "10"),
        discount_percent="10",
    )  # fmt: skip
    shown = ("unit_price", "tax_rate", "total")
    assert _of_lines(made, *shown) == [
        ("100.00", "19", "214.20"), ("90.00", "7", "173.34"), ("10.00", "0", "9.00"),
    ]  # fmt: skip
    changed = await _patched(owner, made, account_id=french["id"])
    assert _of_lines(changed, *shown) == [
        ("80.00", "20", "172.80"), ("90.00", "7", "173.34"), ("10.00", "0", "9.00"),
    ]  # fmt: skip
    assert (changed["country"], changed["total"]) == ("FR", money("355.14"))
    assert [one["id"] for one in changed["lines"]] == [one["id"] for one in made["lines"]]


async def test_an_address_in_another_country_is_taxed_there(company: Company) -> None:
    owner = company.owner
    sold = await _taxed(owner, DE="19", FR="20")
    made = await order_of(owner, await _account(owner, "DE"), {"product_id": sold["id"], "quantity": "1"})
    changed = await _patched(owner, made, shipping_address={"city": "Lyon", "country": "FR"})
    assert (changed["country"], changed["tax"], changed["total"]) == ("FR", money("20.00"), money("120.00"))


async def test_what_is_being_approved_is_not_taxed_anew(owner: Client, hire: Any) -> None:
    await asks(owner, await hire("manager"))
    sold = await _taxed(owner, DE="19", FR="20")
    order = await order_of(
        owner, await limited(owner), {"product_id": sold["id"], "quantity": "2"},
        shipping_address={"city": "Bonn", "country": "DE"},
    )  # fmt: skip
    asked = await stepped(owner, order, "request-approval")
    assert asked["credit_requested"] == money("238.00")
    in_france = {"shipping_address": {"city": "Lyon", "country": "FR"}}
    refused = await owner.patch(f"/v1/orders/{order['id']}", in_france, if_match=asked["version"])
    assert code(refused) == (409, "approval_pending")
    assert await again(owner, order) == asked
    moved = await _patched(owner, asked, shipping_address={"city": "Ulm", "country": "DE"})
    assert (moved["total"], moved["credit_requested"]) == (money("238.00"), money("238.00"))


async def test_another_day_asks_for_the_prices_of_that_day(company: Company, account: Json) -> None:
    owner = company.owner
    sold = await product(owner, "10")
    agreed = {"account_id": account["id"], "product_id": sold["id"], "currency": "USD", "price": "8"}
    await owner.ok("POST", "/v1/agreed-prices", json=agreed | {"valid_from": "2031-01-01"})
    made = await order_of(owner, account, {"product_id": sold["id"], "quantity": "1"})
    assert made["total"] == money("10.00")
    assert (await _patched(owner, made, ordered_on="2031-05-01"))["total"] == money("8.00")


async def test_another_currency_prices_what_is_the_catalogues_and_refuses_what_was_entered(
    company: Company, account: Json
) -> None:
    owner = company.owner
    sold = await product(owner, None, prices=[money("10"), money("9", "EUR")])
    of_product = {"product_id": sold["id"], "quantity": "3"}
    made = await order_of(owner, account, of_product)
    changed = await _patched(owner, made, currency="EUR")
    assert (changed["total"], _of_lines(changed, "unit_price")) == (money("27.00", "EUR"), [("9.00",)])
    for refused, pointer in (
        (await order_of(owner, account, of_product, line("1", "5")), "/currency"),
        (await order_of(owner, account, of_product, discount_amount=money("1")), "/discount_amount"),
    ):
        answer = await owner.patch(
            f"/v1/orders/{refused['id']}", json={"currency": "EUR"}, if_match=refused["version"]
        )
        assert pointers(answer) == [(pointer, "other_currency")]
        assert await again(owner, refused) == refused


async def test_what_has_no_price_there_is_refused_and_nothing_changes(
    company: Company, account: Json
) -> None:
    owner = company.owner
    sold = await product(owner, "10")
    made = await order_of(owner, account, {"product_id": sold["id"], "quantity": "1"})
    answer = await owner.patch(f"/v1/orders/{made['id']}", json={"currency": "EUR"}, if_match=made["version"])
    assert pointers(answer) == [("/lines/0/product_id", "no_price")]
    assert await again(owner, made) == made


async def test_a_confirmed_order_keeps_its_prices(company: Company, account: Json) -> None:
    owner = company.owner
    sold = await stock(owner, "5")
    made = await stepped(
        owner, await order_of(owner, account, {"product_id": sold, "quantity": "1"}), "confirm"
    )
    other = await _account(owner, "FR")
    answer = await owner.patch(
        f"/v1/orders/{made['id']}", json={"account_id": other["id"]}, if_match=made["version"]
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "order_not_draft")
    assert await again(owner, made) == made


async def test_a_new_order_is_taxed_where_it_goes_as_far_as_its_maker_may_know(
    company: Company, hire: Any
) -> None:
    owner = company.owner
    sold = await _taxed(owner, DE="19", FR="20", US="5")
    german = await _account(owner, "DE")
    of_product = {"product_id": sold["id"], "quantity": "1"}
    grants = {"order:create": "all", "order:read": "all", "account:read": "all"}
    hidden = {"account": {"hidden": ["country"]}}
    role = await owner.ok(
        "POST", "/v1/roles", json={"name": "Blind", "grants": grants, "field_rules": hidden}
    )
    blind = await hire(role_ids=[role["id"]])
    french = {"shipping_address": {"city": "Lyon", "country": "FR"}}
    seen = [
        (made["country"], made["tax"])
        for client in (owner, blind)
        for fields in ({}, french)
        for made in [await order_of(client, german, of_product, **fields)]
    ]
    assert seen == [
        ("DE", money("19.00")),
        ("FR", money("20.00")),
        (None, money("5.00")),
        ("FR", money("20.00")),
    ]
    assert (await order_of(owner, german, line("1", "10")))["country"] == "DE"


async def test_an_order_for_an_account_that_its_maker_does_not_see_is_refused_and_leaves_nothing(
    company: Company, hire: Any
) -> None:
    owner = company.owner
    sold = await _taxed(owner, DE="19")
    hidden, gone = await _account(owner, "DE"), await _account(owner, "DE")
    await owner.ok("DELETE", f"/v1/accounts/{gone['id']}", if_match=gone["version"])
    blindfold = {"name": "No accounts", "grants": {"order:create": "all", "order:read": "all"}}
    role = await owner.ok("POST", "/v1/roles", json=blindfold)
    seller, nobody = await hire("salesperson"), await hire(role_ids=[role["id"]])
    good, unknown = sold["id"], str(uuid4())
    for client, account, named, said in (
        (owner, str(uuid4()), good, [("/account_id", "unknown_reference")]),
        (owner, gone["id"], good, [("/account_id", "unknown_reference")]),
        (seller, hidden["id"], good, [("/account_id", "unknown_reference")]),
        (seller, hidden["id"], unknown, [("/lines/0/product_id", "unknown_reference")]),
        (nobody, hidden["id"], good, 403),
    ):
        body = {"account_id": account, "lines": [{"product_id": named, "quantity": "1"}]}
        answer = await client.post("/v1/orders", json=body)
        assert (answer.status_code if said == 403 else pointers(answer)) == said
    assert await count(company, "orders.orders") == 0


async def test_a_new_order_takes_three_statements_however_many_lines_it_has(
    company: Company, account: Json
) -> None:
    sold = await product(company.owner, "3")
    counts = []
    for lines in (1, 1, 20):  # the first one learns that there are list prices only
        given = {"account_id": account["id"], "lines": [{"product_id": sold["id"], "quantity": "1"}] * lines}
        async with acting(company) as uow:
            await OrderService(uow).create(fields_of(OrderCreate(**given)))
        counts.append(uow.statements)
    assert counts[1:] == [3, 3]  # account and prices, number, all that is written


async def test_whoever_orders_holds_the_account_until_it_is_written(company: Company, account: Json) -> None:
    sold = await product(company.owner, "3")
    given = {"account_id": account["id"], "lines": [{"product_id": sold["id"], "quantity": "1"}]}
    async with acting(company) as uow:
        await OrderService(uow).create(fields_of(OrderCreate(**given)))
        deleting = asyncio.create_task(
            company.owner.request("DELETE", f"/v1/accounts/{account['id']}", if_match=account["version"])
        )
        assert not (await asyncio.wait([deleting], timeout=0.2))[0]
    answer = await deleting
    assert (answer.status_code, answer.json()["code"]) == (409, "account_in_use")
