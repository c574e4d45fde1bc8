"""Orders and returns of the past: exact, once, and each on its own."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.modules.orders.orders import again, level, money, product, stock
from tests.modules.support import acting, count, make
from tests.support.api import Company

Json = dict[str, Any]


def past(external_id: str, *lines: Json, **fields: Any) -> Json:
    return {
        "external_id": external_id,
        "account": "K1",
        "currency": "USD",
        "ordered_on": "2024-02-29",
        "lines": list(lines) or [sold()],
    } | fields


def sold(quantity: str = "2", price: str = "2.555", **fields: Any) -> Json:
    return {"description": "Lantern", "quantity": quantity, "unit_price": price} | fields


def gave_back(external_id: str, *lines: Json, **fields: Any) -> Json:
    return {
        "external_id": external_id,
        "account": "K1",
        "currency": "USD",
        "returned_on": "2024-03-01",
        "lines": list(lines),
    } | fields


async def customer(company: Company) -> Json:
    return await make(company.owner, "accounts", name="Lantern House", external_id="K1", country="FR")


async def bring(company: Company, *orders: Json) -> Json:
    found: Json = await company.owner.ok("POST", "/v1/orders/batch/import", json={"orders": list(orders)})
    return found


async def bring_back(company: Company, *returns: Json) -> Json:
    body = {"returns": list(returns)}
    found: Json = await company.owner.ok("POST", "/v1/returns/batch/import", json=body)
    return found


def faults(answer: Json) -> list[list[tuple[str, str]]]:
    return [[(error["pointer"], error["code"]) for error in one["errors"]] for one in answer["results"]]


async def test_orders_of_the_past_are_totalled_and_delivered_then(company: Company) -> None:
    account = await customer(company)
    owner = company.owner
    goods = await product(owner, name="Lamp")
    await stock(owner, "3", goods["id"])
    lamp = {"product": goods["code"], "quantity": "10", "unit_price": "1.005", "tax_rate": "20"}
    made = await bring(company, past("A", lamp, sold(unit_cost="1")), past("B", status="cancelled"))
    assert (made["created"], made["existing"], made["failed"], made["lines"]) == (2, 0, 0, 3)
    first = await owner.ok("GET", f"/v1/orders/{made['results'][0]['id']}")
    assert (first["net"], first["tax"], first["total"]) == (money("15.16"), money("2.01"), money("17.17"))
    assert (first["status"], first["account_id"], first["country"]) == ("closed", account["id"], "FR")
    assert (first["ordered_on"], first["closed_at"]) == ("2024-02-29", "2024-02-29T00:00:00Z")
    assert [entry["fulfilled"] for entry in first["lines"]] == ["10", "2"]
    assert (first["lines"][0]["description"], first["lines"][0]["product_id"]) == ("Lamp", goods["id"])
    second = await owner.ok("GET", f"/v1/orders/{made['results'][1]['id']}")
    assert (second["status"], second["lines"][0]["fulfilled"]) == ("cancelled", "0")
    assert await level(owner, goods["id"]) == ("3", "0")
    found = await owner.ok("GET", f"/v1/orders?q={first['number']}")
    assert [one["id"] for one in found["data"]] == [first["id"]]


async def test_the_same_again_makes_nothing_new_even_at_once(company: Company) -> None:
    await customer(company)
    body = [past(f"A{number}", sold(external_id=f"A{number}/1")) for number in range(20)]
    answers = await asyncio.gather(*[bring(company, *body) for _ in range(1)])
    again_sent = await asyncio.gather(*[bring(company, *body) for _ in range(8)])
    ids = [one["id"] for one in answers[0]["results"]]
    for answer in again_sent:
        assert (answer["created"], answer["existing"]) == (0, 20)
        assert [one["id"] for one in answer["results"]] == ids
    assert await count(company, "orders.orders") == 20
    fresh = [past(f"B{number}") for number in range(20)]
    raced = await asyncio.gather(*[bring(company, *fresh) for _ in range(8)])
    assert sum(answer["created"] for answer in raced) == 20
    assert sum(answer["failed"] for answer in raced) == 0
    assert await count(company, "orders.orders") == 40
    async with acting(company) as uow:
        row = await uow.fetchrow(
            "SELECT count(*) FROM orders.order_lines WHERE tenant_id = $1", uow.tenant_id
        )
        told = await uow.fetchrow(
            "SELECT count(*) FROM kernel.outbox WHERE tenant_id = $1 AND type = 'orders.order.created.v1'",
            uow.tenant_id,
        )
    assert row is not None
    assert told is not None
    assert (row[0], told[0]) == (40, 40)


async def test_what_is_wrong_with_one_leaves_the_others_alone(company: Company) -> None:
    await customer(company)
    await bring(company, past("0", sold(external_id="0/1"), customer_reference="PO 1"))
    answer = await bring(
        company,
        past("A", account="K2"),
        past("B", sold(product="NONE")),
        past("C", sold("0")),
        past("D", {"quantity": "1", "unit_price": "1"}),
        past("E"),
        past("E"),
        past("F", sold(external_id="0/1")),
        past("G", sold(external_id="G/1"), sold(external_id="G/1")),
        past("H", customer_reference="PO 1"),
        past("I", sold("1", "-3.00")),
    )
    assert faults(answer) == [
        [("/account", "unknown_reference")],
        [("/lines/0/product", "unknown_reference")],
        [("/lines/0/quantity", "not_positive")],
        [("/lines/0/description", "required")],
        [],
        [("/external_id", "repeated")],
        [("/lines/0/external_id", "duplicate_value")],
        [("/lines/1/external_id", "duplicate_value")],
        [("/customer_reference", "duplicate_value")],
        [],
    ]
    assert (answer["created"], answer["failed"]) == (2, 8)
    assert await count(company, "orders.orders") == 3


async def test_returns_of_the_past_are_matched_to_what_they_gave_back(company: Company) -> None:
    await customer(company)
    owner = company.owner
    made = await bring(company, past("A", sold("3", "3.335", external_id="A/1")))
    order = await owner.ok("GET", f"/v1/orders/{made['results'][0]['id']}")
    assert order["total"] == money("10.01")
    returned = {"order_line": "A/1", "quantity": "1"}
    answer = await bring_back(
        company,
        gave_back("R1", returned),
        gave_back("R2", returned | {"quantity": "2"}, sold("1", "0.50")),
        gave_back("R3", returned),
        gave_back("R4", {"order_line": "A/2", "quantity": "1"}),
        gave_back("R5", {"description": "?", "quantity": "1"}),
    )
    assert faults(answer) == [
        [],
        [],
        [("/lines/0/quantity", "return_too_large")],
        [("/lines/0/order_line", "unknown_reference")],
        [("/lines/0/unit_price", "required")],
    ]
    first, second = [await owner.ok("GET", f"/v1/returns/{one['id']}") for one in answer["results"][:2]]
    assert (first["total"], second["total"]) == (money("3.34"), money("7.17"))  # 10.01 less 3.34, and 0.50
    assert (first["order_id"], second["order_id"], first["status"]) == (order["id"], None, "refunded")
    after = (await again(owner, order))["lines"][0]
    assert (after["returned"], after["return_claimed"]) == ("3", "3")
    repeated = await bring_back(company, gave_back("R1", returned))
    assert repeated["existing"] == 1
    assert (await again(owner, order))["lines"][0] == after
    assert await count(company, "orders.returns") == 2


async def test_a_refused_return_claims_nothing(company: Company) -> None:
    await customer(company)
    await bring(company, past("A", sold("3", "10", external_id="A/1")))
    returned = {"order_line": "A/1", "quantity": "3"}
    answer = await bring_back(company, gave_back("R1", returned, sold("0", "1")), gave_back("R2", returned))
    assert faults(answer) == [[("/lines/1/quantity", "not_positive")], []]
    assert answer["created"] == 1


async def test_a_thousand_orders_take_as_many_statements_as_ten(company: Company) -> None:
    from app.modules.orders.schemas.imports import OrderImport
    from app.modules.orders.services.order_imports import OrderImports

    await customer(company)
    counts = []
    for number in (10, 1_000):
        body = OrderImport.model_validate({"orders": [past(f"{number}/{one}") for one in range(number)]})
        async with acting(company) as uow:
            await OrderImports(uow).run(body.orders)
            counts.append(uow.statements)
    assert counts[0] == counts[1] <= 16


async def test_a_salesperson_brings_in_nothing(company: Company, hire: Any) -> None:
    await customer(company)
    seller = await hire("salesperson")
    answer = await seller.post("/v1/orders/batch/import", json={"orders": [past("A")]})
    assert (answer.status_code, answer.json()["permission"]) == (403, "order:import")
    assert await count(company, "orders.orders") == 0


async def test_checking_lines_reads_no_other_orders(company: Company) -> None:
    """Whatever plan for it was made before, when the table was smaller."""
    from app.modules.orders.schemas.imports import OrderImport
    from app.modules.orders.services.order_imports import OrderImports

    await customer(company)
    fetched = 0
    for batch in range(3):
        orders = [past(f"{batch}/{one}") for one in range(1_000)]
        async with acting(company) as uow:
            await OrderImports(uow).run(OrderImport.model_validate({"orders": orders}).orders)
            row = await uow.fetchrow(
                "SELECT idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relid = 'orders.orders'::regclass"
            )
            assert row is not None
            fetched = row[0]
    assert fetched < 10_000  # by a plan of that time it would be 3,000 a line
