"""What the tests of quotes share: accounts, lines, quotes in a state, and neighbours that are not there yet."""

from __future__ import annotations

from typing import Any

from tests.modules.support import make
from tests.support.api import Client


def money(amount: str, currency: str = "USD") -> dict[str, str]:
    return {"amount": amount, "currency": currency}


def line(price: str = "100.00", quantity: str = "1", currency: str = "USD", **more: Any) -> dict[str, Any]:
    """Free text at a price."""
    return {"description": "Consulting", "quantity": quantity, "unit_price": money(price, currency)} | more


async def account_of(client: Client, **fields: Any) -> dict[str, Any]:
    return await make(client, "accounts", **{"name": "Acme"} | fields)


async def quote_of(client: Client, *lines: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A draft; for an account of its own unless another is given."""
    if "account_id" not in fields and "opportunity_id" not in fields:
        fields["account_id"] = (await account_of(client))["id"]
    return await make(client, "quotes", lines=list(lines) or [line()], **fields)


async def again(client: Client, quote: dict[str, Any]) -> dict[str, Any]:
    """The quote as it is."""
    found: dict[str, Any] = await client.ok("GET", f"/v1/quotes/{quote['id']}")
    return found


async def step(client: Client, quote: dict[str, Any], action: str, **body: Any) -> dict[str, Any]:
    """Take an action at whatever version the quote is; the answer of the action."""
    version = (await again(client, quote))["version"]
    answer: dict[str, Any] = await client.ok(
        "POST", f"/v1/quotes/{quote['id']}/{action}", json=body, if_match=version
    )
    return answer


async def refused(client: Client, quote: dict[str, Any], action: str, **body: Any) -> tuple[int, str]:
    """Status and code of an action that is refused; the quote stays as it was."""
    before = await again(client, quote)
    answer = await client.post(f"/v1/quotes/{quote['id']}/{action}", body, if_match=before["version"])
    assert await again(client, quote) == before
    return answer.status_code, answer.json()["code"]


async def sent_quote(client: Client, *lines: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A quote that the customer has."""
    quote = await quote_of(client, *lines, **fields)
    return await step(client, quote, "send", by_mail=False)


async def lines_of(client: Client, quote: dict[str, Any]) -> list[dict[str, Any]]:
    return list((await again(client, quote))["lines"])
