"""Every record type beside the raw limit: get one, and list the 50 newest, in the demo company."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Collection
from typing import Any
from uuid import UUID

import asyncpg
from rich.console import Console
from rich.table import Table

from app.demo.client import Api
from app.demo.loader import DemoLoader
from app.demo.state import DemoState
from app.kernel.records import RecordType
from bench import load
from bench.house import OTHER_CORES, House, pin, report
from bench.raw_server import RECORDS

ENOUGH = 100
ROUNDS = 3
SECONDS = 1.0


def run_records(house: House, console: Console, types: Collection[str] | None = None) -> dict[str, Any]:
    """All types, or those of these paths."""
    pin(0, OTHER_CORES)
    return asyncio.run(compare(house, console, types or RECORDS))


async def compare(house: House, console: Console, types: Collection[str]) -> dict[str, Any]:
    """Share of the limit for reads of each record type that the demo company has records of."""
    table = Table(title="Reads of each record type, share of the raw limit (median of 3)")
    for column in ("record", "records", "get", "list 50"):
        table.add_column(column)
    results: dict[str, Any] = {}
    with house.product() as port:
        with house.worker():
            key = await _demo(house, port)
        connection = await asyncpg.connect(house.url)
        tenant_id = await connection.fetchval("SELECT id FROM tenants.tenants")
        with house.raw(tenant_id) as raw_port:
            for plural, record in RECORDS.items():
                if plural not in types:
                    continue
                ids = await _some(connection, record, tenant_id)
                if not ids:
                    table.add_row(plural, "0", "–", "–")
                    continue
                paths = {
                    "get": [f"/v1/{plural}/{id}" for id in ids],
                    "list": [f"/v1/{plural}?limit=50&sort=-created_at"],
                }
                shares = {name: await _share(port, raw_port, key, of) for name, of in paths.items()}
                results[plural] = shares
                table.add_row(plural, str(len(ids)), f"{shares['get']:.2f}", f"{shares['list']:.2f}")
        await connection.close()
    console.print(table)
    report("records", results)
    return results


async def _demo(house: House, port: int) -> str:
    """Load the demo company as any client would; answers with its API key."""
    state = DemoState.open(house.folder / "demo.json")
    async with Api(f"http://127.0.0.1:{port}") as api:
        await DemoLoader(api, state).load()
        await _more(api.as_user(state.api_key))
    return state.api_key


async def _more(api: Api) -> None:
    """A full page of the types that the demo company has few of."""
    deals = [deal["id"] async for deal in api.pages("/v1/opportunities")]
    for number in range(ENOUGH):
        await api.post("/v1/competitors", {"name": f"Rival {number}"})
        request = {"opportunity_id": deals[number % len(deals)], "kind": "demo", "name": f"Demo {number}"}
        await api.post("/v1/presales-requests", request)


async def _some(connection: Any, record: RecordType[Any], tenant_id: UUID) -> list[UUID]:
    rows = await connection.fetch(
        f"SELECT id FROM {record.table} WHERE tenant_id = $1 AND deleted_at IS NULL LIMIT 500", tenant_id
    )
    return [row["id"] for row in rows]


async def _share(port: int, raw_port: int, key: str, paths: list[str]) -> float:
    source = load.cycle([load.request_bytes("GET", path, key) for path in paths])
    shares = []
    for _ in range(ROUNDS):
        rates = []
        for at in (raw_port, port):
            await load.run(at, source, seconds=0.2)
            rates.append((await load.run(at, source, seconds=SECONDS)).rate)
        shares.append(rates[1] / rates[0])
    return statistics.median(shares)
