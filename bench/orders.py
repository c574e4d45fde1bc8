"""Orders: bringing in their past, pricing a long cart, and making them, beside the raw limit where there is one."""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from collections.abc import Iterator
from typing import Any

import asyncpg
import httpx
import orjson
from rich.console import Console
from rich.table import Table

from app.kernel.ids import new_id
from bench import load
from bench.bulk import Peak
from bench.house import (
    OTHER_CORES,
    Company,
    House,
    cpu_of,
    database_cpu,
    listener,
    pin,
    report,
    sign_up,
)

ROUNDS = 3
SECONDS = 2.0
PRODUCTS = 200
LINES = 20
PER_REQUEST = 300
MADE = 5_000
Json = dict[str, Any]


def run_orders(house: House, lines: int, console: Console) -> Json:
    """All of it, in one company with one account and two hundred products."""
    pin(0, OTHER_CORES)
    with house.product() as port:
        company = sign_up(port, "Orders")
        headers = {"Authorization": f"Bearer {company.token}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=300) as http:
            made = http.post("/v1/accounts", json={"name": "Customer", "external_id": "K1"})
            account = made.raise_for_status().json()["id"]
            products = _products(http)
            results: Json = {"import": _import(house, port, http, lines, console)}
        results |= asyncio.run(_beside_the_limit(house, port, company, account, products, console))
    report("orders", results)
    return results


def _products(http: httpx.Client) -> list[str]:
    records = [
        {
            "code": f"P{number}",
            "name": f"Product {number}",
            "status": "active",
            "prices": [{"amount": f"{number + 1}.50", "currency": "USD"}],
        }
        for number in range(PRODUCTS)
    ]
    ids = []
    for at in range(0, PRODUCTS, 100):
        items = [{"ref": one["code"], "record": one} for one in records[at : at + 100]]
        answer = http.post("/v1/products/batch/create", json={"items": items}).raise_for_status().json()
        ids += [result["id"] for result in answer["results"]]
    return ids


# -- import --------------------------------------------------------------------------------------------------


def _import(house: House, port: int, http: httpx.Client, lines: int, console: Console) -> Json:
    """Lines a second, what each costs API and PostgreSQL, and what memory the API takes."""
    server = listener(port)
    bodies = list(_bodies(lines))
    api, postgres = cpu_of(server), database_cpu(house)
    started = time.perf_counter()
    with Peak(server) as peak:
        for body in bodies:
            answer = http.post(
                "/v1/orders/batch/import", content=body, headers={"Content-Type": "application/json"}
            )
            if answer.raise_for_status().json()["failed"]:
                raise RuntimeError("the import refused orders")
    seconds = time.perf_counter() - started
    found = {
        "lines": len(bodies) * PER_REQUEST * LINES,
        "seconds": seconds,
        "api_us_per_line": (cpu_of(server) - api) * 1e6 / (len(bodies) * PER_REQUEST * LINES),
        "postgres_us_per_line": (database_cpu(house) - postgres) * 1e6 / (len(bodies) * PER_REQUEST * LINES),
        "peak_mb": peak.peak,
        "start_mb": peak.start,
    }
    table = Table(title=f"Order import, {found['lines']:,} lines of {LINES} an order")
    row = {
        "lines/s": f"{found['lines'] / seconds:,.0f}",
        "API µs/line": f"{found['api_us_per_line']:.0f}",
        "PostgreSQL µs/line": f"{found['postgres_us_per_line']:.0f}",
        "peak MB": f"{peak.peak:.0f} (at first {peak.start:.0f})",
    }
    for column in row:
        table.add_column(column)
    table.add_row(*row.values())
    console.print(table)
    return found


def _bodies(lines: int) -> Iterator[bytes]:
    """Requests of three hundred orders, twenty lines each, just below a mebibyte."""
    for batch in range(max(1, lines // (PER_REQUEST * LINES))):
        yield orjson.dumps({"orders": [_past(batch * PER_REQUEST + number) for number in range(PER_REQUEST)]})


def _past(number: int) -> Json:
    return {
        "external_id": f"S{number}",
        "account": "K1",
        "currency": "USD",
        "ordered_on": f"2024-{number % 12 + 1:02}-{number % 28 + 1:02}",
        "lines": [
            {
                "external_id": f"S{number}/{place}",
                "product": f"P{(number * 7 + place) % PRODUCTS}",
                "quantity": str(place + 1),
                "unit_price": f"{(number + place) % 90}.{place + 10}",
                "tax_rate": "19",
            }
            for place in range(LINES)
        ],
    }


# -- beside the limit ----------------------------------------------------------------------------------------


async def _beside_the_limit(
    house: House, port: int, company: Company, account: str, products: list[str], console: Console
) -> Json:
    """Making orders of one and of twenty lines, pricing two hundred; placing has no limit to stand beside."""
    rates: dict[str, dict[str, list[float]]] = {}
    await _analyzed(house)
    with house.raw(company.tenant_id) as raw_port:
        samples = {
            size: await _sample(house, port, company, _order(account, products, size)) for size in (1, LINES)
        }
        for _ in range(ROUNDS):
            for size in (1, LINES):
                body = orjson.dumps(_order(account, products, size))
                pairs = {
                    "limit": (raw_port, _raw_orders(company, *samples[size])),
                    "product": (port, _posts(company, "/v1/orders", body)),
                }
                for name, (at, requests) in pairs.items():
                    await _measure(rates, f"create, {size} lines", name, at, requests)
            cart = orjson.dumps({"currency": "USD", "lines": _order(account, products, PRODUCTS)["lines"]})
            for name, at in (("limit", raw_port), ("product", port)):
                requests = itertools.repeat(
                    load.request_bytes("POST", "/v1/prices/resolve", company.token, cart)
                )
                await _measure(rates, f"price {PRODUCTS} lines", name, at, requests)
            placed = _placed(company, account, products)
            await _measure(rates, f"place, {LINES} lines", "product", port, placed)
    return {**_shown(rates, console), **await _statements(port)}


async def _analyzed(house: House) -> None:
    """What autovacuum does within a minute: connections that begin before keep plans made for empty tables."""
    connection = await asyncpg.connect(house.url)
    await connection.execute("ANALYZE")
    await connection.close()


async def _measure(
    rates: dict[str, dict[str, list[float]]], operation: str, name: str, port: int, requests: Iterator[bytes]
) -> None:
    """Requests a second, and what each costs the server's process: that holds on a shared machine too."""
    server = listener(port)
    before = cpu_of(server)
    run = await load.run(port, lambda: requests, seconds=SECONDS)
    found = rates.setdefault(operation, {})
    found.setdefault(name, []).append(run.rate)
    found.setdefault(f"{name} µs", []).append((cpu_of(server) - before) * 1e6 / run.requests)


def _order(account: str, products: list[str], lines: int) -> Json:
    return {
        "account_id": account,
        "currency": "USD",
        "lines": [
            {"product_id": product, "quantity": str(place % 9 + 1)}
            for place, product in enumerate(products[:lines])
        ],
    }


def _posts(company: Company, path: str, body: bytes) -> Iterator[bytes]:
    while True:
        yield load.request_bytes("POST", path, company.token, body, f"Idempotency-Key: {new_id()}\r\n")


def _placed(company: Company, account: str, products: list[str]) -> Iterator[bytes]:
    order = _order(account, products, LINES)
    while True:
        body = orjson.dumps(order | {"customer_reference": str(new_id())})
        yield load.request_bytes("POST", "/v1/orders/place", company.token, body)


async def _sample(house: House, port: int, company: Company, order: Json) -> tuple[Json, list[Json]]:
    """The rows that the product makes of an order, for the raw server to write again."""
    headers = {"Authorization": f"Bearer {company.token}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers) as http:
        made = (await http.post("/v1/orders", json=order)).raise_for_status().json()
    connection = await asyncpg.connect(house.url)
    row = await connection.fetchval("SELECT to_jsonb(o) FROM orders.orders o WHERE id = $1", made["id"])
    lines = await connection.fetch(
        "SELECT to_jsonb(l) FROM orders.order_lines l WHERE order_id = $1 ORDER BY position", made["id"]
    )
    await connection.close()
    return orjson.loads(row), [orjson.loads(line[0]) for line in lines]


def _raw_orders(company: Company, order: Json, lines: list[Json]) -> Iterator[bytes]:
    # Made before the clock runs: the load generator shares its core with the database.
    made = []
    for _ in range(MADE):
        id = str(new_id())
        rows = [line | {"id": str(new_id()), "order_id": id} for line in lines]
        body = orjson.dumps({"order": order | {"id": id, "number": id}, "lines": rows})
        made.append(load.request_bytes("POST", "/v1/orders", company.token, body))
    return iter(made)


def _shown(rates: dict[str, dict[str, list[float]]], console: Console) -> Json:
    table = Table(title="Requests per second, 16 connections, one API core (median of 3)")
    for column in ("operation", "limit", "product", "share", "API µs: limit, product"):
        table.add_column(column)
    results: Json = {}
    for operation, found in rates.items():
        product = statistics.median(found["product"])
        costs = [statistics.median(found[f"{name} µs"]) for name in ("limit", "product") if name in found]
        results[operation] = {"product": product, "api_us": costs}
        spent = ", ".join(f"{cost:,.0f}" for cost in costs)
        if "limit" not in found:
            table.add_row(operation, "–", f"{product:,.0f}", "–", spent)
            continue
        shares = [p / r for p, r in zip(found["product"], found["limit"], strict=True)]
        limit, share = statistics.median(found["limit"]), statistics.median(shares)
        results[operation] |= {"limit": limit, "share": share, "shares": shares}
        table.add_row(operation, f"{limit:,.0f}", f"{product:,.0f}", f"{share:.2f}", spent)
    console.print(table)
    return results


async def _statements(port: int) -> Json:
    """SQL statements a request, by the server's own metrics."""
    async with httpx.AsyncClient() as http:
        text = (await http.get(f"http://127.0.0.1:{port}/metrics")).raise_for_status().text
    found = {}
    for operation in ("resolve_prices", "create_order", "place_order", "import_orders"):
        statements, requests = [
            sum(
                float(line.rpartition(" ")[2])
                for line in text.splitlines()
                if line.startswith(name) and f'operation="{operation}"' in line
            )
            for name in ("rapport_sql_statements_total", "rapport_requests_total")
        ]
        found[operation] = statements / requests if requests else 0.0
    return {"statements per request": found}
