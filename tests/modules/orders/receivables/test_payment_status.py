"""How far orders are paid: a list can be asked for it, and it follows what happens to their invoices."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.modules.orders.orders import Json, again, line, money, order_of, ship, step, stepped
from tests.modules.orders.receivables.books import confirmed, done, from_order, issue, pay, shares
from tests.support.api import Client


async def state(owner: Client, order: Json) -> str:
    """The order's own, which its list and its receivables agree with."""
    found: str = (await again(owner, order))["payment_status"]
    whole = await owner.ok("GET", f"/v1/orders/{order['id']}/receivables")
    assert whole["payment_status"] == found
    listed = await owner.ok("GET", f"/v1/orders?payment_status={found}")
    assert order["id"] in [one["id"] for one in listed["data"]]
    return found


async def billed(owner: Client, order: Json, **how: Any) -> Json:
    return await issue(owner, await from_order(owner, order, **how))


async def test_it_follows_invoices_and_payments(owner: Client, account: Json) -> None:
    order = await confirmed(owner, account, line("10", "10.00"))
    assert await state(owner, order) == "unpaid"
    half = await billed(owner, order, percent="50")
    assert await state(owner, order) == "unpaid"
    payment = await pay(owner, account, "100.00")
    await done(owner, payment, "allocate", shares((half, "20.00")))
    assert await state(owner, order) == "partly_paid"
    await done(owner, payment, "allocate", shares((half, "30.00")))
    assert await state(owner, order) == "partly_paid"  # the other half is not invoiced
    rest = await billed(owner, order)
    await done(owner, payment, "allocate", shares((rest, "50.00")))
    assert await state(owner, order) == "paid"
    await done(owner, payment, "deallocate")
    assert await state(owner, order) == "unpaid"
    assert (await again(owner, order))["version"] == order["version"]


async def test_what_is_credited_or_cancelled_is_not_owed(owner: Client, account: Json) -> None:
    order = await confirmed(owner, account, line("2", "10.00"))
    first = {"order_line_id": order["lines"][0]["id"], "quantity": "1"}
    invoice = await billed(owner, order, lines=[first])
    await done(owner, await pay(owner, account, "10.00"), "allocate", shares((invoice, "10.00")))
    assert await state(owner, order) == "partly_paid"
    shipped = await ship(owner, order, (0, "1"))
    assert shipped.is_success, shipped.text
    body = {"lines": [{"line_id": order["lines"][0]["id"], "quantity": "1"}], "reason": "Too late"}
    await stepped(owner, order, "cancel-lines", body)
    assert await state(owner, order) == "paid"


async def test_orders_are_found_by_it(owner: Client, account: Json) -> None:
    paid = await confirmed(owner, account, line("1", "10.00"))
    await billed(owner, paid)
    await done(owner, await pay(owner, account, "10.00"), "allocate")
    unpaid = await order_of(owner, account, line("1", "5.00"))
    for wanted, found in (("paid", [paid]), ("partly_paid", []), ("unpaid", [unpaid])):
        listed = await owner.ok("GET", f"/v1/orders?payment_status={wanted}")
        assert [one["id"] for one in listed["data"]] == [one["id"] for one in found]
    both = await owner.ok("GET", "/v1/orders?payment_status[in]=paid,unpaid")
    assert {one["id"] for one in both["data"]} == {paid["id"], unpaid["id"]}
    unknown = await owner.get("/v1/orders?payment_status=settled")
    assert unknown.status_code in (400, 422)


async def test_payments_at_once_do_not_miss_each_other(owner: Client, account: Json) -> None:
    order = await confirmed(owner, account, line("100", "1.00"))
    part = {"order_line_id": order["lines"][0]["id"], "quantity": "1"}
    invoices = [await billed(owner, order, lines=[part]) for _ in range(20)]
    last = await billed(owner, order)
    payments = [await pay(owner, account, "1.00") for _ in invoices] + [await pay(owner, account, "80.00")]
    pairs = list(zip(payments, [*invoices, last], strict=True))
    await asyncio.gather(
        *(
            done(owner, payment, "allocate", shares((invoice, payment["amount"]["amount"])))
            for payment, invoice in pairs
        )
    )
    assert await state(owner, order) == "paid"
    assert (await owner.ok("GET", f"/v1/orders/{order['id']}/receivables"))["paid"] == money("100.00")
    refused = await step(owner, order, "confirm")
    assert refused.status_code == 409
