"""Orders: exact totals, what changes when, the customer's reference, and every step from every state."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.kernel.errors import Invalid
from app.modules.orders.interface import NewOrder, NewOrderLine, Orders
from app.modules.orders.services.states import ORDER_STATES
from tests.modules.orders.orders import again, line, money, order_of, pointers, ship, step, stepped, stock
from tests.modules.support import acting, count
from tests.support.api import Client, Company

AMOUNTS = ("gross", "discount", "subtotal", "header_discount", "net", "tax", "total")


def amounts(order: dict[str, Any]) -> dict[str, str]:
    return {name: order[name]["amount"] for name in AMOUNTS}


async def test_an_order_adds_up_exactly(company: Company, account: dict[str, Any]) -> None:
    made = await order_of(
        company.owner,
        account,
        line("3", "0.335", tax_rate="19"),  # 1.005
        line("2", "100", discount_percent="10", discount_amount=money("0.01"), tax_rate="7"),
        line("1", "50", unit_cost=money("30")),
        discount_percent="5",
        discount_amount=money("1.00"),
        commission_percent="2.5",
    )
    assert amounts(made) == {
        "gross": "251.01", "discount": "20.01", "subtotal": "231.00", "header_discount": "12.55",
        "net": "218.45", "tax": "12.09", "total": "230.54",
    }  # fmt: skip
    assert [entry["total"]["amount"] for entry in made["lines"]] == ["1.14", "182.12", "47.28"]
    for name in AMOUNTS:
        cents = sum(int(entry[name]["amount"].replace(".", "")) for entry in made["lines"])
        assert cents == int(made[name]["amount"].replace(".", ""))
    assert made["commission"] == money("5.46")  # 5.46125
    assert (made["cost"], made["margin"]) == (None, None)  # two lines do not say what they cost
    assert made["number"].startswith("O-20")
    assert made["number"].endswith("-00001")
    assert (made["status"], made["country"], made["line_count"]) == ("draft", "NL", 3)
    assert await again(company.owner, made) == made


async def test_cost_and_margin_are_known_with_every_lines_cost(
    company: Company, account: dict[str, Any]
) -> None:
    made = await order_of(
        company.owner, account, line("3", "10", unit_cost=money("4.005")), line(unit_cost=money("1"))
    )
    assert (made["cost"], made["margin"]) == (money("13.02"), money("26.98"))  # 12.015 is 12.02


async def test_prices_may_include_tax(company: Company, account: dict[str, Any]) -> None:
    made = await order_of(
        company.owner,
        account,
        line("1", "119", tax_rate="19"),
        tax_included=True,
        discount_amount=money("19"),
    )
    assert amounts(made) == {
        "gross": "119.00", "discount": "0.00", "subtotal": "119.00", "header_discount": "19.00",
        "net": "84.03", "tax": "15.97", "total": "100.00",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"lines": [line("0")]}, [("/lines/0/quantity", "not_positive")]),
        ({"lines": [line(), line(discount_amount=money("10.01"))]}, [("/lines/1/discount_amount", "more_than_the_price")]),
        ({"lines": [line()], "discount_amount": money("10.01")}, [("/discount_amount", "more_than_the_price")]),
        ({"lines": [line(), line(currency="EUR")]}, [("/lines/1/unit_price/currency", "other_currency")]),
        ({"lines": [line(price="-10.00")]}, [("/lines", "negative")]),
        ({"lines": [line("9999999999", "99999999999")]}, [("/lines", "amount_out_of_range")]),
        ({"lines": [{"quantity": "1"}]}, [("/lines/0/description", "required"), ("/lines/0/unit_price", "no_price")]),
        ({"lines": [line(component_of=0)]}, [("/lines/0/component_of", "unknown_line")]),
        ({"account_id": str(uuid4())}, [("/account_id", "unknown_reference")]),
        ({"contact_id": str(uuid4())}, [("/contact_id", "unknown_reference")]),
        ({"opportunity_id": str(uuid4())}, [("/opportunity_id", "unknown_reference")]),
    ],
)  # fmt: skip
async def test_what_makes_no_sense_is_refused_where_it_stands(
    company: Company, account: dict[str, Any], body: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    answer = await company.owner.post("/v1/orders", json={"account_id": account["id"], "lines": []} | body)
    assert pointers(answer) == expected
    assert await count(company, "orders.orders") == 0


async def test_lines_change_in_a_draft_and_are_totalled_in_one_go(
    company: Company, account: dict[str, Any]
) -> None:
    owner = company.owner
    made = await order_of(owner, account, line("1", "10"), line("1", "20"))
    path = f"/v1/orders/{made['id']}"
    discounted = await owner.ok("PATCH", path, json={"discount_percent": "10"}, if_match=made["version"])
    assert [e["total"]["amount"] for e in discounted["lines"]] == ["9.00", "18.00"]
    changed = await owner.ok("PATCH", path, json={"lines": [line("5", "7")]}, if_match=discounted["version"])
    assert (changed["total"], changed["line_count"]) == (money("31.50"), 1)
    same_sum = [line("5", "7", description="Valve")]
    renamed = await owner.ok("PATCH", path, json={"lines": same_sum}, if_match=changed["version"])
    assert renamed["version"] == changed["version"] + 1
    assert [entry["description"] for entry in renamed["lines"]] == ["Valve"]
    history = (await owner.ok("GET", f"{path}/history"))["data"]
    assert history[0]["changes"]["lines"] == [["5 piece Pump"], ["5 piece Valve"]]


async def test_what_was_agreed_does_not_change_after_the_draft(
    company: Company, account: dict[str, Any]
) -> None:
    owner = company.owner
    made = await order_of(owner, account, line())
    confirmed = await stepped(owner, made, "confirm")
    path = f"/v1/orders/{made['id']}"
    bodies: tuple[dict[str, Any], ...] = (
        {"lines": []},
        {"discount_percent": "5"},
        {"currency": "EUR"},
        {"account_id": account["id"]},
    )
    for body in bodies:
        answer = await owner.patch(path, body, if_match=confirmed["version"])
        assert (answer.status_code, answer.json()["code"]) == (409, "order_not_draft")
    assert await again(owner, made) == confirmed
    later = await owner.ok("PATCH", path, json={"requested_on": "2026-12-24"}, if_match=confirmed["version"])
    assert later["requested_on"] == "2026-12-24"
    assert (await owner.delete(path, if_match=later["version"])).status_code == 409


# -- the customer's reference --------------------------------------------------------------------------------


async def test_a_customers_reference_makes_one_order_however_often_it_is_sent(
    company: Company, account: dict[str, Any]
) -> None:
    owner = company.owner
    body = {"account_id": account["id"], "customer_reference": "PO 4711", "lines": [line("2")]}
    answers = await asyncio.gather(*[owner.post("/v1/orders/place", json=body) for _ in range(100)])
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert answers[0].json()["status"] == "confirmed"
    other = await owner.post("/v1/orders/place", json=body | {"lines": [line("3")]})
    assert (other.status_code, other.json()["code"]) == (409, "order_reference_used")
    assert other.json()["number"] == answers[0].json()["number"]
    assert await count(company, "orders.orders") == 1


# -- steps ---------------------------------------------------------------------------------------------------

STEPS = ("confirm", "cancel", "close", "cancel_lines", "ship")
WAYS: dict[str, tuple[str, ...]] = {
    "draft": (),
    "confirmed": ("confirm",),
    "in_fulfilment": ("confirm", "part"),
    "fulfilled": ("confirm", "ship"),
    "closed": ("confirm", "ship", "close"),
    "cancelled": ("cancel",),
}


async def _take(owner: Client, order: dict[str, Any], name: str) -> int:
    if name in ("ship", "part"):
        return (await ship(owner, order, *([(0, "1")] if name == "part" else []))).status_code
    if name == "cancel_lines":
        body = {"lines": [{"line_id": order["lines"][0]["id"], "quantity": "1"}]}
        return (await step(owner, order, "cancel-lines", body)).status_code
    return (await step(owner, order, name)).status_code


@pytest.mark.parametrize("state", WAYS)
@pytest.mark.parametrize("name", STEPS)
async def test_a_step_is_taken_only_where_the_table_of_states_has_it(
    company: Company, account: dict[str, Any], state: str, name: str
) -> None:
    owner = company.owner
    order = await order_of(owner, account, line("3"))
    for way in WAYS[state]:
        assert await _take(owner, order, way) < 300
    before = await again(owner, order)
    assert before["status"] == state
    status = await _take(owner, order, name)
    after = await again(owner, order)
    if ORDER_STATES.may(before["status"], name):
        assert status in (200, 201)
        assert after["version"] == before["version"] + 1
        expected = "fulfilled" if name == "ship" else ORDER_STATES.next(before["status"], name)
        assert after["status"] == expected
    else:
        assert status == 409
        assert after == before


async def test_an_order_without_lines_is_not_confirmed(company: Company, account: dict[str, Any]) -> None:
    made = await order_of(company.owner, account)
    answer = await step(company.owner, made, "confirm")
    assert (answer.status_code, answer.json()["code"]) == (409, "order_empty")
    assert await again(company.owner, made) == made


async def test_a_stale_version_confirms_nothing(company: Company, account: dict[str, Any]) -> None:
    made = await order_of(company.owner, account, line())
    path = f"/v1/orders/{made['id']}/confirm"
    assert (await company.owner.post(path)).status_code == 428
    assert (await company.owner.post(path, if_match=7)).status_code == 412
    assert await again(company.owner, made) == made


async def test_two_hundred_lines_take_as_many_statements_as_two(
    company: Company, account: dict[str, Any]
) -> None:
    product = await stock(company.owner, "1000")
    counts = []
    for lines in (1, 2, 200):  # the first makes the account a customer
        async with acting(company) as uow:
            new = _new(account, lines, product_id=product)
            await uow.of(Orders).place(new)
            counts.append(uow.statements)
    assert counts[1] == counts[2] <= 13


# -- for other modules ---------------------------------------------------------------------------------------


def _new(account: dict[str, Any], lines: int, **more: Any) -> NewOrder:
    product = more.pop("product_id", None)
    line = NewOrderLine(
        product_id=None if product is None else UUID(product),
        description="Pump",
        unit="piece",
        quantity=Decimal(2),
        unit_price=Decimal("10.00"),
        tax_rate=Decimal(10),
    )
    return NewOrder(
        account_id=UUID(account["id"]),
        currency="USD",
        lines=(line,) * lines,
        **({"total": 2200 * lines} | more),
    )


async def test_a_quote_becomes_one_order(company: Company, account: dict[str, Any]) -> None:
    quote = uuid4()

    async def place() -> Any:
        async with acting(company) as uow:
            return await uow.of(Orders).place(_new(account, 1, quote_id=quote))

    placed = await asyncio.gather(*[place() for _ in range(20)])
    assert len({order.id for order in placed}) == 1
    assert (placed[0].status, placed[0].total.to_major()) == ("confirmed", "22.00")
    async with acting(company) as uow:
        orders = uow.of(Orders)
        (one,) = await orders.lines_of([placed[0].id])
        assert (one.total.to_major(), one.quantity) == ("22.00", Decimal(2))
        assert await orders.get_many([placed[0].id]) == {placed[0].id: placed[0]}
    found = await company.owner.ok("GET", f"/v1/orders?quote_id={quote}")
    assert [order["id"] for order in found["data"]] == [str(placed[0].id)]


async def test_what_does_not_add_up_to_the_agreed_total_is_not_placed(
    company: Company, account: dict[str, Any]
) -> None:
    with pytest.raises(Invalid):
        async with acting(company) as uow:
            await uow.of(Orders).place(_new(account, 1, total=2201))
    assert await count(company, "orders.orders") == 0
