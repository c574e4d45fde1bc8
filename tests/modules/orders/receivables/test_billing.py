"""Invoices of orders: in parts, in advance, by what was shipped, and never more than was ordered."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.modules.orders.orders import again, line, money, order_of, pointers, ship, step, stepped
from tests.modules.orders.receivables.books import (
    act,
    confirmed,
    done,
    from_order,
    issue,
    pay,
    read,
)
from tests.support.api import Client


async def standing(owner: Client, order: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = await owner.ok("GET", f"/v1/orders/{order['id']}/receivables")
    return found


async def test_parts_of_an_order_sum_to_it_exactly(owner: Client, account: dict[str, Any]) -> None:
    order = await confirmed(
        owner,
        account,
        line("3", "33.33", discount_percent="7", tax_rate="19"),
        line("1", "0.05", tax_rate="7"),
        discount_amount=money("10.01"),
        customer_reference="PO-3",
    )
    deposit = await from_order(owner, order, percent="30")
    assert deposit["lines"][0]["description"] == "Pump (30 %)"
    assert deposit["lines"][0]["quantity"] == "0.9"
    assert (deposit["order_id"], deposit["reference"]) == (order["id"], "PO-3")
    (one, _) = order["lines"]
    part = await from_order(owner, order, lines=[{"order_line_id": one["id"], "quantity": "1.1"}])
    rest = await from_order(owner, order)
    for name in ("net", "tax", "total"):
        parts = [int(invoice[name]["amount"].replace(".", "")) for invoice in (deposit, part, rest)]
        assert sum(parts) == int(order[name]["amount"].replace(".", ""))
    assert [one["quantity"] for one in rest["lines"]] == ["1", "0.7"]
    more = await owner.post("/v1/invoices/from-order", {"order_id": order["id"]})
    assert (more.status_code, more.json()["code"]) == (409, "nothing_to_invoice")


async def test_what_was_shipped_is_invoiced_less_what_was_invoiced_in_advance(
    owner: Client, account: dict[str, Any]
) -> None:
    order = await confirmed(owner, account, line("10", "5.00"))
    early = await owner.post("/v1/invoices/from-order", {"order_id": order["id"], "what": "shipped"})
    assert early.json()["code"] == "nothing_to_invoice"
    await from_order(owner, order, percent="20")
    await ship(owner, order, (0, "6"))
    made = await from_order(owner, order, what="shipped")
    assert (made["lines"][0]["quantity"], made["total"]) == ("4", money("20.00"))


async def test_an_order_shows_what_is_invoiced_and_paid_and_by_what(
    owner: Client, account: dict[str, Any]
) -> None:
    order = await confirmed(owner, account, line("2", "50.00"))
    draft = await from_order(owner, order, percent="50")
    now = await standing(owner, order)
    assert (now["payment_status"], now["invoiced"], now["to_invoice"]) == (
        "unpaid",
        money("0.00"),
        money("50.00"),
    )
    first = await issue(owner, draft)
    paid = await done(owner, await pay(owner, account, "80.00"), "allocate")
    now = await standing(owner, order)
    assert (now["payment_status"], now["invoiced"], now["paid"], now["open"]) == (
        "partly_paid",
        money("50.00"),
        money("50.00"),
        money("0.00"),
    )
    second = await issue(owner, await from_order(owner, order))
    await done(owner, paid, "allocate")
    other = await done(owner, await pay(owner, account, "20.00"), "allocate")
    now = await standing(owner, order)
    assert (now["payment_status"], now["to_invoice"], now["paid"]) == ("paid", money("0.00"), money("100.00"))
    assert [one["id"] for one in now["invoices"]] == [first["id"], second["id"]]
    assert [(one["number"], one["amount"]) for one in now["payments"]] == [
        (paid["number"], money("80.00")),
        (other["number"], money("20.00")),
    ]
    listed = await owner.ok("GET", f"/v1/invoices?order_id={order['id']}&sort=created_at")
    assert [one["id"] for one in listed["data"]] == [first["id"], second["id"]]


async def test_a_draft_given_up_and_a_credit_by_quantity_may_be_invoiced_again(
    owner: Client, account: dict[str, Any]
) -> None:
    order = await confirmed(owner, account, line("3", "3.33", tax_rate="19"))
    await done(owner, await from_order(owner, order), "void")
    draft = await from_order(owner, order)
    assert (await owner.delete(f"/v1/invoices/{draft['id']}", if_match=1)).status_code == 204
    first = await issue(owner, await from_order(owner, order))
    assert first["total"] == order["total"]
    # A lower price is not charged again, whatever is credited later.
    await done(owner, first, "credit", {"reason": "scratched", "amount": money("1.00")})
    await done(owner, first, "credit", {"reason": "wrong address"})
    again_ = await from_order(owner, order)
    assert (again_["total"], again_["tax"]) == (order["total"], order["tax"])


async def test_more_than_was_ordered_is_never_invoiced_whoever_asks_at_once(
    owner: Client, account: dict[str, Any]
) -> None:
    order = await confirmed(owner, account, line("50", "1.00"))
    body = {"order_id": order["id"], "lines": [{"order_line_id": order["lines"][0]["id"], "quantity": "3"}]}
    answers = await asyncio.gather(*[owner.post("/v1/invoices/from-order", body) for _ in range(200)])
    statuses = [one.status_code for one in answers]
    assert (statuses.count(201), statuses.count(409)) == (16, 184)
    assert {one.json()["left"] for one in answers if one.status_code == 409} == {"2"}
    assert (await standing(owner, order))["to_invoice"] == money("2.00")


async def test_only_orders_that_were_confirmed_are_invoiced(owner: Client, account: dict[str, Any]) -> None:
    order = await order_of(owner, account, line())
    refused = await owner.post("/v1/invoices/from-order", {"order_id": order["id"]})
    assert (refused.status_code, refused.json()["code"]) == (409, "invalid_transition")
    unknown = await owner.post("/v1/invoices/from-order", {"order_id": account["id"]})
    assert pointers(unknown) == [("/order_id", "unknown_reference")]
    await stepped(owner, order, "cancel")
    refused = await owner.post("/v1/invoices/from-order", {"order_id": order["id"]})
    assert refused.json()["code"] == "invalid_transition"


async def test_an_order_is_not_cancelled_while_it_is_invoiced(owner: Client, account: dict[str, Any]) -> None:
    order = await confirmed(owner, account, line("4", "5.00"))
    invoice = await issue(owner, await from_order(owner, order, percent="50"))
    refused = await step(owner, order, "cancel")
    assert (refused.status_code, refused.json()["code"]) == (409, "order_invoiced")
    lines = {"lines": [{"line_id": order["lines"][0]["id"], "quantity": "3"}]}
    refused = await step(owner, order, "cancel-lines", lines)
    assert (refused.status_code, refused.json()["code"]) == (409, "order_invoiced")
    assert await again(owner, order) == order
    await done(owner, invoice, "credit", {"reason": "not wanted"})
    assert (await stepped(owner, order, "cancel"))["status"] == "cancelled"


async def test_lines_cancelled_after_a_part_was_invoiced_leave_the_rest(
    owner: Client, account: dict[str, Any]
) -> None:
    order = await confirmed(owner, account, line("3", "3.33", tax_rate="19"))
    one = order["lines"][0]["id"]
    first = await from_order(owner, order, lines=[{"order_line_id": one, "quantity": "1"}])
    order = await stepped(owner, order, "cancel-lines", {"lines": [{"line_id": one, "quantity": "1"}]})
    rest = await from_order(owner, order)
    total = sum(int(x["total"]["amount"].replace(".", "")) for x in (first, rest))
    assert total == int(order["total"]["amount"].replace(".", ""))


async def test_lines_of_an_order_s_draft_stay_those_of_the_order(
    owner: Client, account: dict[str, Any]
) -> None:
    made = await from_order(owner, await confirmed(owner, account))
    body = {"lines": [{"description": "Other", "unit_price": money("1.00")}]}
    refused = await owner.put(f"/v1/invoices/{made['id']}/lines", body, if_match=1)
    assert (refused.status_code, refused.json()["code"]) == (409, "invoice_not_draft")
    assert await read(owner, made) == made
    assert (await act(owner, made, "issue")).status_code == 200
