"""What the tests of receivables share: invoices, payments, and what settles what."""

from __future__ import annotations

from typing import Any

from tests.modules.orders.orders import Json, line, money, order_of, stepped
from tests.support.api import Client


def charge(price: str = "100.00", quantity: str = "1", currency: str = "USD", **more: Any) -> Json:
    return {"description": "Service", "quantity": quantity, "unit_price": money(price, currency)} | more


async def draft(owner: Client, account: Json, *lines: Json, **fields: Any) -> Json:
    body = {"account_id": account["id"], "lines": list(lines) or [charge()]} | fields
    made: Json = await owner.ok("POST", "/v1/invoices", json=body)
    return made


async def issued(owner: Client, account: Json, *lines: Json, on: str | None = None, **fields: Any) -> Json:
    made = await draft(owner, account, *lines, **fields)
    return await issue(owner, made, on)


async def issue(owner: Client, invoice: Json, on: str | None = None) -> Json:
    body = {"issued_on": on} if on else None
    found: Json = await owner.ok(
        "POST", f"/v1/invoices/{invoice['id']}/issue", json=body, if_match=invoice["version"]
    )
    return found


async def pay(owner: Client, account: Json, amount: str, currency: str = "USD", **fields: Any) -> Json:
    body = {
        "account_id": account["id"],
        "method": "bank_transfer",
        "amount": money(amount, currency),
    } | fields
    made: Json = await owner.ok("POST", "/v1/payments", json=body)
    return made


async def read(owner: Client, record: Json) -> Json:
    """The invoice or payment as it is now."""
    plural = "payments" if "method" in record else "invoices"
    found: Json = await owner.ok("GET", f"/v1/{plural}/{record['id']}")
    return found


async def act(owner: Client, record: Json, action: str, body: Any = None) -> Any:
    """An action at whatever version the record is; the response."""
    now = await read(owner, record)
    plural = "payments" if "method" in record else "invoices"
    return await owner.post(f"/v1/{plural}/{record['id']}/{action}", json=body, if_match=now["version"])


async def done(owner: Client, record: Json, action: str, body: Any = None) -> Json:
    answer = await act(owner, record, action, body)
    assert answer.is_success, answer.text
    found: Json = answer.json()
    return found


def shares(*pairs: tuple[Json, str]) -> Json:
    return {
        "allocations": [
            {"invoice_id": invoice["id"], "amount": money(amount, invoice["currency"])}
            for invoice, amount in pairs
        ]
    }


async def confirmed(owner: Client, account: Json, *lines: Json, **fields: Any) -> Json:
    order = await order_of(owner, account, *(lines or (line(),)), **fields)
    return await stepped(owner, order, "confirm")


async def from_order(owner: Client, order: Json, **how: Any) -> Json:
    made: Json = await owner.ok("POST", "/v1/invoices/from-order", json={"order_id": order["id"]} | how)
    return made


def figures(invoice: Json) -> tuple[str, ...]:
    """status, total, paid, credited, open."""
    return (
        invoice["status"],
        *(invoice[name]["amount"] for name in ("total", "paid", "credited", "open_amount")),
    )
