"""Products and prices that tests make, and what refusals point at."""

from __future__ import annotations

import csv
import io
import itertools
from typing import Any

import httpx

from app.kernel.jobs import JobRunner
from tests.modules.support import make
from tests.support.api import Client, Company

_numbers = itertools.count(1)


def price(amount: str, currency: str = "CNY") -> dict[str, str]:
    return {"amount": amount, "currency": currency}


async def product(client: Client, **fields: Any) -> dict[str, Any]:
    """An active product that costs 100.00 CNY."""
    number = next(_numbers)
    given = {
        "code": f"P-{number}",
        "name": f"Product {number}",
        "status": "active",
        "prices": [price("100.00")],
    }
    return await make(client, "products", **given | fields)


async def book(client: Client, **fields: Any) -> dict[str, Any]:
    number = next(_numbers)
    return await make(
        client, "price-books", **{"code": f"B-{number}", "name": f"Book {number}", "currency": "CNY"} | fields
    )


async def entry(
    client: Client, of: dict[str, Any], product: dict[str, Any], amount: str, **fields: Any
) -> dict[str, Any]:
    given = {"price_book_id": of["id"], "product_id": product["id"], "price": amount}
    return await make(client, "price-book-entries", **given | fields)


def line(product: dict[str, Any], quantity: str = "1", **fields: Any) -> dict[str, Any]:
    return {"product_id": product["id"], "quantity": quantity} | fields


async def cart(client: Client, *lines: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A priced cart in CNY."""
    body = {"currency": "CNY", "lines": list(lines)} | fields
    found: dict[str, Any] = await client.ok("POST", "/v1/prices/resolve", json=body)
    return found


async def refused_cart(client: Client, *lines: dict[str, Any], **fields: Any) -> list[tuple[str, str]]:
    """Where and why a cart is refused."""
    answer = await client.post("/v1/prices/resolve", {"currency": "CNY", "lines": list(lines)} | fields)
    assert answer.status_code == 422, answer.text
    return pointers(answer)


def pointers(answer: httpx.Response) -> list[tuple[str, str]]:
    return [(error["pointer"], error["code"]) for error in answer.json().get("errors", ())]


def steps(line: dict[str, Any]) -> list[tuple[str, str, str | None]]:
    return [(step["kind"], step["amount"], step["detail"]) for step in line["steps"]]


async def imported(
    company: Company, plural: str, text: str, **fields: str
) -> tuple[dict[str, Any], list[tuple[str, str, str]]]:
    """The import of a file when it has ended, and line, column and code of each refused row."""
    answer = await company.owner.post(
        "/v1/imports",
        data={"object": plural, **fields},
        files={"file": ("file.csv", text.encode(), "text/csv")},
    )
    assert answer.status_code == 202, answer.text
    await JobRunner(company.kernel).run_due()
    done: dict[str, Any] = await company.owner.ok("GET", answer.headers["Location"])
    if "failed" not in done["results"]:
        return done, []
    told = (await company.owner.get(done["results"]["failed"])).text.lstrip("\ufeff")
    rows = csv.DictReader(io.StringIO(told, newline=""))
    return done, [(row["line"], row["column"], row["code"]) for row in rows]
