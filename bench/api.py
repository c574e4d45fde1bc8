"""The product's operations beside the raw limit, alternating in one run; and their growth with the tenant."""

from __future__ import annotations

import asyncio
import itertools
import random
import statistics
from collections.abc import Callable, Iterator
from typing import Any

import asyncpg
import orjson
from rich.console import Console
from rich.table import Table

from app.demo.large import large_leads
from app.kernel.ids import new_id
from app.kernel.tokens import record_tokens
from app.modules.leads.services.leads import name_key
from bench import load
from bench.house import OTHER_CORES, Company, House, pin, report, seed_leads, sign_up

ROUNDS = 3
SECONDS = 3.0
CREATES = 20_000
Source = Callable[[], Iterator[bytes]]


async def leads_of(house: House, company: Company, count: int = 2_000) -> list[tuple[str, int]]:
    """Some lead ids with their versions, for reads and updates."""
    connection = await asyncpg.connect(house.url)
    rows = await connection.fetch(
        "SELECT id, version FROM leads.leads WHERE tenant_id = $1 AND deleted_at IS NULL ORDER BY id LIMIT $2",
        company.tenant_id,
        count,
    )
    await connection.close()
    found = [(str(row["id"]), int(row["version"])) for row in rows]
    random.Random(7).shuffle(found)
    return found


def sources(token: str, leads: list[tuple[str, int]], *, raw: bool) -> dict[str, Source]:
    """The requests of each operation; the raw limit takes the same ones."""
    gets = [load.request_bytes("GET", f"/v1/leads/{id}", token) for id, _ in leads]
    listing = load.request_bytes("GET", "/v1/leads?status=new&sort=-created_at&limit=50", token)

    def creates() -> Iterator[bytes]:
        # Made before the clock runs: the load generator shares its core with the database.
        return iter(
            [_create(token, lead, raw=raw) for lead in large_leads(random.randrange(1_000), 3, CREATES)]
        )

    versions = dict(leads[:1_000])

    def updates() -> Iterator[bytes]:
        # Each lead in turn, so that 16 connections never meet on one row and every version is current.
        for number in itertools.count():
            for id in versions:
                headers = f'If-Match: "{versions[id]}"\r\n'
                versions[id] += 1
                body = orjson.dumps({"title": f"Title {number} {random.random()}"})
                yield load.request_bytes("PATCH", f"/v1/leads/{id}", token, body, headers)

    return {"get": load.cycle(gets), "list 50": load.cycle([listing]), "create": creates, "update": updates}


def _create(token: str, lead: dict[str, Any], *, raw: bool) -> bytes:
    body = {"name": lead["name"], "company": lead["company"], "email": f"{new_id().hex}.{lead['email']}"}
    headers = "" if raw else f"Idempotency-Key: {new_id()}\r\n"
    if raw:
        made = {
            "tokens": record_tokens((body["name"], body["company"]), emails=[body["email"]]),
            "email_key": body["email"],
            "name_key": name_key(body),
        }
        body |= {"made": made}
    return load.request_bytes("POST", "/v1/leads", token, orjson.dumps(body), headers)


async def compare(house: House, size: int, console: Console) -> dict[str, Any]:
    """Share of the limit per operation in a tenant of `size` leads among others."""
    with house.product() as product_port:
        company = sign_up(product_port)
        await seed_leads(house, company.tenant_id, size)
        rates: dict[str, dict[str, list[float]]] = {}
        with house.raw(company.tenant_id) as raw_port:
            for _ in range(ROUNDS):
                for operation in ("get", "list 50", "create", "update"):
                    for name, port in (("limit", raw_port), ("product", product_port)):
                        leads = await leads_of(house, company)
                        source = sources(company.token, leads, raw=name == "limit")[operation]
                        await load.run(port, source, seconds=0.5)
                        if operation == "update":
                            source = sources(company.token, await leads_of(house, company), raw=False)[
                                operation
                            ]
                        run = await load.run(port, source, seconds=SECONDS)
                        rates.setdefault(operation, {}).setdefault(name, []).append(run.rate)
    table = Table(title=f"Requests per second, 16 connections, one API core, {size:,} leads")
    for column in ("operation", "limit", "product", "share", "spread"):
        table.add_column(column)
    results: dict[str, Any] = {}
    for operation, found in rates.items():
        shares = [p / r for p, r in zip(found["product"], found["limit"], strict=True)]
        limit, product = statistics.median(found["limit"]), statistics.median(found["product"])
        share = statistics.median(shares)
        results[operation] = {"limit": limit, "product": product, "share": share, "shares": shares}
        spread = f"{min(shares):.2f}–{max(shares):.2f}"
        table.add_row(operation, f"{limit:,.0f}", f"{product:,.0f}", f"{share:.2f}", spread)
    console.print(table)
    report("api", results)
    return results


async def growth(house: House, sizes: list[int], console: Console) -> dict[str, Any]:
    """Get, list at any depth and search while the tenant grows: all should stay flat."""
    table = Table(title="Median milliseconds at one connection as the tenant grows")
    for column in (
        "leads",
        "get",
        "list",
        "deep page",
        "no such name",
        "rare name",
        "search 中文",
        "search pinyin",
        "search phone",
        "search part",
        "next page",
    ):
        table.add_column(column)
    results: dict[str, Any] = {}
    with house.product() as port:
        company = sign_up(port, "Growth")
        before = 0
        for size in sizes:
            await seed_leads(house, company.tenant_id, size, skip=before)
            before = size
            measured = await _growth_row(port, house, company)
            results[str(size)] = measured
            table.add_row(f"{size:,}", *(f"{value:.2f}" for value in measured.values()))
    console.print(table)
    report("growth", results)
    return results


async def _growth_row(port: int, house: House, company: Company) -> dict[str, float]:
    leads = await leads_of(house, company, 200)
    deep = await _cursor_behind(port, company, 10, status="new", sort="-created_at", limit="50")
    further = await _cursor_behind(port, company, 1, q="5550123", limit="20")
    paths = {
        "get": [f"/v1/leads/{id}" for id, _ in leads],
        "list": ["/v1/leads?status=new&sort=-created_at&limit=50"],
        "deep": [f"/v1/leads?status=new&sort=-created_at&limit=50&cursor={deep}"],
        "none": ["/v1/leads?q=schneider&limit=20"],
        "rare": ["/v1/leads?q=hefangyan&limit=20"],
        "chinese": ["/v1/leads?q=%E7%8E%8B%E4%BC%9F&limit=20"],
        "pinyin": ["/v1/leads?q=wangwei&limit=20"],
        "phone": ["/v1/leads?q=5550123&limit=20"],
        "part": ["/v1/leads?q=li&limit=20"],
        "next": [f"/v1/leads?q=5550123&limit=20&cursor={further}"],
    }
    found = {}
    for name, group in paths.items():
        source = load.cycle([load.request_bytes("GET", path, company.token) for path in group])
        await load.run(port, source, connections=1, seconds=0.3)
        found[name] = (await load.run(port, source, connections=1, seconds=1.5)).median_ms
    return found


async def _cursor_behind(port: int, company: Company, pages: int, **parameters: str) -> str:
    """A cursor behind some pages of a list: a keyset page there should cost what the first costs."""
    import httpx

    headers = {"Authorization": f"Bearer {company.token}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as http:
        for _ in range(pages):
            page = (await http.get("/v1/leads", params=parameters)).raise_for_status().json()
            if not page["has_more"]:
                break
            parameters["cursor"] = page["next_cursor"]
    return parameters["cursor"]


def run_compare(house: House, size: int, console: Console) -> dict[str, Any]:
    pin(0, OTHER_CORES)
    return asyncio.run(compare(house, size, console))


def run_growth(house: House, sizes: list[int], console: Console) -> dict[str, Any]:
    pin(0, OTHER_CORES)
    return asyncio.run(growth(house, sizes, console))
