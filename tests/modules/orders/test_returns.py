"""Returns: never more than was delivered, and all of a line back is worth exactly the line."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from fractions import Fraction
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.kernel.statements import entity
from app.modules.orders.models.orders import OrderLine
from app.modules.orders.services.return_lines import worth
from app.modules.orders.services.returns import RETURN_STATES
from tests.modules.orders.orders import (
    again,
    level,
    line,
    money,
    order_of,
    pointers,
    product,
    ship,
    stepped,
    stock,
)
from tests.modules.support import acting, count
from tests.support.api import Client, Company

Json = dict[str, Any]


async def delivered(owner: Client, account: Json, *lines: Json, **fields: Any) -> Json:
    order = await stepped(owner, await order_of(owner, account, *lines, **fields), "confirm")
    assert (await ship(owner, order)).status_code == 201
    return await again(owner, order)


def back(order: Json, *lines: tuple[int, str], **more: Any) -> Json:
    named = [{"order_line_id": order["lines"][at]["id"], "quantity": quantity} for at, quantity in lines]
    return {"order_id": order["id"], "reason": "does not fit", "lines": named} | more


async def now(owner: Client, one: Json) -> Json:
    found: Json = await owner.ok("GET", f"/v1/returns/{one['id']}")
    return found


async def act(owner: Client, one: Json, name: str, body: Any = None) -> httpx.Response:
    version = (await now(owner, one))["version"]
    return await owner.post(f"/v1/returns/{one['id']}/{name}", json=body, if_match=version)


async def go(owner: Client, one: Json, *names: str) -> Json:
    bodies: dict[str, Any] = {"inspect": {}, "reject": {"note": "used"}}
    for name in names:
        answer = await act(owner, one, name, bodies.get(name))
        assert answer.is_success, answer.text
    return await now(owner, one)


ARRIVED = ("approve", "receive", "inspect")


async def test_parts_of_a_line_come_back_and_add_up_to_it(company: Company, account: Json) -> None:
    owner = company.owner
    order = await delivered(owner, account, line("3", "33.335", tax_rate="19"), line("1", "5"))
    assert order["lines"][0]["total"] == money("119.01")
    totals = []
    for _ in range(3):
        made = await owner.ok("POST", "/v1/returns", json=back(order, (0, "1")))
        totals.append((await go(owner, made, *ARRIVED, "refund"))["total"]["amount"])
    assert sum(map(Decimal, totals)) == Decimal("119.01")
    assert totals == ["39.67", "39.67", "39.67"]
    after = await again(owner, order)
    assert (after["lines"][0]["returned"], after["lines"][0]["return_claimed"]) == ("3", "3")
    too_much = await owner.post("/v1/returns", json=back(order, (0, "1")))
    assert (too_much.status_code, too_much.json()["code"]) == (409, "return_too_large")
    assert too_much.json()["lines"] == [{"line_id": order["lines"][0]["id"], "wanted": "1", "open": "0"}]


async def test_returns_at_once_never_claim_more_than_was_delivered(company: Company, account: Json) -> None:
    owner = company.owner
    order = await delivered(owner, account, line("10"))
    answers = await asyncio.gather(
        *[owner.post("/v1/returns", json=back(order, (0, "1"))) for _ in range(100)]
    )
    assert sorted(a.status_code for a in answers) == [201] * 10 + [409] * 90
    assert (await again(owner, order))["lines"][0]["return_claimed"] == "10"
    made = [answer.json() for answer in answers if answer.status_code == 201]
    done = await asyncio.gather(*[go(owner, one, *ARRIVED, "refund") for one in made])
    assert sum(Decimal(one["total"]["amount"]) for one in done) == Decimal("100.00")


async def test_a_refund_tells_what_each_line_came_to(company: Company, account: Json) -> None:
    owner = company.owner
    product = await stock(owner, "10")
    order = await delivered(owner, account, line("4", "10", product_id=product, tax_rate="25"))
    made = await owner.ok("POST", "/v1/returns", json=back(order, (0, "3")))
    assert (made["total"], made["status"], made["number"][-6:]) == (money("37.50"), "requested", "-00001")
    await go(owner, made, "approve", "receive")
    looked = [{"line_id": made["lines"][0]["id"], "condition": "opened", "restock": True}]
    inspected = (await act(owner, made, "inspect", {"lines": looked})).json()
    assert (inspected["lines"][0]["condition"], inspected["lines"][0]["restock"]) == ("opened", True)
    assert await level(owner, product) == ("6", "0")
    await act(owner, made, "refund", {"note": "as a courtesy"})
    assert await level(owner, product) == ("9", "0")
    async with acting(company) as uow:
        rows = await uow.fetch(
            "SELECT data FROM kernel.outbox WHERE tenant_id = $1 AND type = 'orders.return.completed.v1'",
            uow.tenant_id,
        )
    told = rows[0]["data"]
    assert (told["resolution"], told["order_id"], told["currency"]) == ("refunded", order["id"], "USD")
    assert told["lines"] == [
        {
            "order_line_id": order["lines"][0]["id"],
            "product_id": product,
            "quantity": "3",
            "net": "30.00",
            "total": "37.50",
        }
    ]


async def test_a_replacement_costs_nothing_and_is_linked(company: Company, account: Json) -> None:
    owner = company.owner
    product = await stock(owner, "5")
    order = await delivered(owner, account, line("4", "10", product_id=product, unit_cost=money("6")))
    made = await owner.ok("POST", "/v1/returns", json=back(order, (0, "2")))
    await go(owner, made, *ARRIVED)
    lacking = await act(owner, made, "replace")
    assert (lacking.status_code, lacking.json()["code"]) == (409, "out_of_stock")
    assert (await now(owner, made))["status"] == "inspected"
    assert (await again(owner, order))["lines"][0]["returned"] == "0"
    assert await count(company, "orders.orders") == 1
    await stock(owner, "1", product)
    replaced = await go(owner, made, "replace")
    again_sent = await owner.ok("GET", f"/v1/orders/{replaced['replacement_order_id']}")
    assert (again_sent["return_id"], again_sent["status"]) == (made["id"], "confirmed")
    assert (again_sent["total"], again_sent["margin"]) == (money("0.00"), money("-12.00"))
    assert [entry["quantity"] for entry in again_sent["lines"]] == ["2"]
    assert replaced["total"] == money("0.00")
    rest = await owner.ok("POST", "/v1/returns", json=back(order, (0, "2")))
    assert (await go(owner, rest, *ARRIVED, "refund"))["total"] == money("20.00")


async def test_what_is_rejected_or_repaired_may_come_again(company: Company, account: Json) -> None:
    owner = company.owner
    order = await delivered(owner, account, line("1"))
    for last in ("reject", "repair"):
        made = await owner.ok("POST", "/v1/returns", json=back(order, (0, "1")))
        done = await go(owner, made, *ARRIVED, last)
        assert done["resolved_at"] is not None
        after = (await again(owner, order))["lines"][0]
        assert (after["returned"], after["return_claimed"]) == ("0", "0")


async def test_serial_numbers_come_back_that_went_out(company: Company, account: Json) -> None:
    owner = company.owner
    order = await stepped(owner, await order_of(owner, account, line("2")), "confirm")
    id = order["lines"][0]["id"]
    sent = [{"line_id": id, "quantity": "2", "serial_numbers": ["A", "B"]}]
    await owner.ok("POST", f"/v1/orders/{order['id']}/shipments", json={"lines": sent})

    def body(*numbers: str) -> Json:
        named = {"order_line_id": id, "quantity": str(len(numbers)), "serial_numbers": list(numbers)}
        return {"order_id": order["id"], "reason": "broken", "lines": [named]}

    assert pointers(await owner.post("/v1/returns", json=body("C"))) == [("/lines", "unknown_serial_number")]
    assert (await owner.post("/v1/returns", json=body("A"))).status_code == 201
    assert pointers(await owner.post("/v1/returns", json=body("A"))) == [("/lines", "unknown_serial_number")]
    assert (await owner.post("/v1/returns", json=body("B"))).status_code == 201


async def test_what_was_bought_before_comes_back_at_a_price_of_its_own(
    company: Company, account: Json
) -> None:
    owner = company.owner
    unmatched = {"description": "Old pump", "quantity": "2", "unit_price": money("0.335"), "tax_rate": "10"}
    body = {"account_id": account["id"], "reason": "warranty", "lines": [unmatched]}
    made = await owner.ok("POST", "/v1/returns", json=body)
    assert (made["net"], made["tax"], made["country"]) == (money("0.67"), money("0.07"), "NL")
    assert (await go(owner, made, *ARRIVED, "refund"))["total"] == money("0.74")
    for wrong, expected in (
        ({"account_id": None}, ("/account_id", "required")),
        ({"lines": [{"quantity": "1", "unit_price": money("1")}]}, ("/lines/0/description", "required")),
        ({"lines": [{"quantity": "1", "description": "x"}]}, ("/lines/0/unit_price", "required")),
        ({"lines": [unmatched | {"quantity": "0"}]}, ("/lines/0/quantity", "not_positive")),
        (
            {"lines": [unmatched | {"product_id": account["id"]}]},
            ("/lines/0/product_id", "unknown_reference"),
        ),
    ):
        assert pointers(await owner.post("/v1/returns", json=body | wrong)) == [expected]
    assert await count(company, "orders.returns") == 1
    named = {
        "product_id": (await product(owner, name="Valve"))["id"],
        "quantity": "1",
        "unit_price": money("3"),
    }
    other = await owner.ok("POST", "/v1/returns", json=body | {"lines": [named]})
    assert (other["lines"][0]["description"], other["total"]) == ("Valve", money("3.00"))


WAYS: dict[str, tuple[str, ...]] = {
    "requested": (),
    "approved": ARRIVED[:1],
    "received": ARRIVED[:2],
    "inspected": ARRIVED,
    "refunded": (*ARRIVED, "refund"),
    "replaced": (*ARRIVED, "replace"),
    "repaired": (*ARRIVED, "repair"),
    "rejected": ("reject",),
}


@pytest.mark.parametrize("state", WAYS)
async def test_a_step_is_taken_only_where_the_table_of_states_has_it(
    company: Company, account: Json, state: str
) -> None:
    owner = company.owner
    order = await delivered(owner, account, line("20"))
    bodies: dict[str, Any] = {"inspect": {}, "reject": {"note": "used"}}
    for name in ("approve", "receive", "inspect", "refund", "replace", "repair", "reject"):
        made = await owner.ok("POST", "/v1/returns", json=back(order, (0, "1")))
        before = await go(owner, made, *WAYS[state])
        assert before["status"] == state
        answer = await act(owner, made, name, bodies.get(name))
        after = await now(owner, made)
        if RETURN_STATES.may(before["status"], name):
            assert answer.status_code == 200
            assert after["status"] == RETURN_STATES.next(before["status"], name)
        else:
            assert answer.status_code == 409
            assert after == before


@settings(max_examples=300, deadline=None)
@given(
    net=st.integers(0, 10**9),
    tax=st.integers(0, 10**8),
    parts=st.lists(st.integers(1, 50), min_size=1, max_size=12),
    left=st.integers(0, 30),
)
def test_however_a_line_comes_back_all_of_it_is_worth_the_line(
    net: int, tax: int, parts: list[int], left: int
) -> None:
    whole = sum(parts) + left
    of = entity(
        OrderLine,
        {
            "quantity": Decimal(whole + 3), "cancelled": Decimal(3), "net": net, "tax": tax,
            "returned": Decimal(0), "returned_net": 0, "returned_tax": 0,
        },
    )  # fmt: skip
    for part in [*parts, left] if left else parts:
        back_net, back_tax = worth(of, Decimal(part))
        assert back_net >= 0
        assert back_tax >= 0
        assert abs(back_net - Fraction(net * part, whole)) <= 1
        of.__dict__["returned"] += part
        of.__dict__["returned_net"] += back_net
        of.__dict__["returned_tax"] += back_tax
    assert (of.returned_net, of.returned_tax) == (net, tax)
