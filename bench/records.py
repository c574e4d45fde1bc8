"""Every record type beside the raw limit: get one, list the 50 newest, make one, change one, in the demo company."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable, Collection, Iterator
from typing import Any, Protocol
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
from bench.writing import WRITTEN, Known, creates, known, made_for_limit, rows_like, updates, versions_of

ENOUGH = 100
ROUNDS = 3
SECONDS = 1.0
Requests = Callable[[], Iterator[bytes]]


class Sources(Protocol):
    """Where requests come from, to the product or to the raw limit."""

    async def __call__(self, *, raw: bool) -> Requests: ...


def run_records(house: House, console: Console, types: Collection[str] | None = None) -> dict[str, Any]:
    """All types, or those of these paths."""
    pin(0, OTHER_CORES)
    return asyncio.run(compare(house, console, types or RECORDS))


async def compare(house: House, console: Console, types: Collection[str]) -> dict[str, Any]:
    """Share of the limit for each record type that the demo company has records of, or that is written here."""
    table = Table(title="Each record type, share of the raw limit (median of 3)")
    for column in ("record", "records", "get", "list 50", "create", "update"):
        table.add_column(column)
    results: dict[str, Any] = {}
    with house.product() as port:
        with house.worker():
            key = await _demo(house, port)
        connection = await asyncpg.connect(house.url)
        tenant_id = await connection.fetchval("SELECT id FROM tenants.tenants")
        with house.raw(tenant_id) as raw_port:
            async with Api(f"http://127.0.0.1:{port}") as api:
                refers = await known(api.as_user(key))
            # What was just loaded is tidied up now, and not by autovacuum beside what is measured.
            await connection.execute("VACUUM ANALYZE")
            writing = _Writing(connection, tenant_id, key, refers)
            for plural, record in RECORDS.items():
                if plural not in types:
                    continue
                shares: dict[str, float] = {}
                for operation, source in (await writing.sources(plural, record)).items():
                    shares[operation] = await _share(port, raw_port, source)
                ids = await _some(connection, record, tenant_id)
                for name, paths in _reads(plural, ids).items():
                    requests = load.cycle([load.request_bytes("GET", path, key) for path in paths])
                    shares[name] = await _share(port, raw_port, _same(requests))
                results[plural] = shares
                found = [shares.get(name) for name in ("get", "list", "create", "update")]
                row = (plural, str(len(ids)), *("–" if one is None else f"{one:.2f}" for one in found))
                table.add_row(*row)
                console.print(" ".join(row), highlight=False)  # whoever stops it has what was measured
                report("records", results)
        await connection.close()
    console.print(table)
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


def _reads(plural: str, ids: list[UUID]) -> dict[str, list[str]]:
    if not ids:
        return {}
    return {
        "get": [f"/v1/{plural}/{id}" for id in ids],
        "list": [f"/v1/{plural}?limit=50&sort=-created_at"],
    }


def _same(requests: Requests) -> Sources:
    async def source(*, raw: bool) -> Requests:  # noqa: ARG001 - reads are the same of both
        return requests

    return source


class _Writing:
    """Requests that write, for the product and for the limit."""

    def __init__(self, connection: Any, tenant_id: UUID, key: str, refers: Known) -> None:
        self._connection = connection
        self._tenant_id = tenant_id
        self._key = key
        self._refers = refers

    async def sources(self, plural: str, record: RecordType[Any]) -> dict[str, Sources]:
        """Nothing for record types that are not written here."""
        if plural not in WRITTEN:
            return {}

        async def create(*, raw: bool) -> Requests:
            if not raw:
                return lambda: creates(plural, self._key, self._refers)
            bodies = await rows_like(self._connection, record, self._tenant_id)
            return lambda: (load.request_bytes("POST", f"/v1/{plural}", self._key, body) for body in bodies)

        async def update(*, raw: bool) -> Requests:
            versions = await versions_of(self._connection, record, self._tenant_id)
            made = await made_for_limit(self._connection, record, self._tenant_id) if raw else None
            return lambda: updates(plural, self._key, versions, made)

        return {"create": create, "update": update}


async def _share(port: int, raw_port: int, source: Sources) -> float:
    """The product's rate over the limit's, alternating; the product goes first, and makes what the limit copies."""
    shares = []
    for _ in range(ROUNDS):
        rates = []
        for at in (port, raw_port):
            requests = await source(raw=at == raw_port)
            await load.run(at, requests, seconds=0.2)
            requests = await source(raw=at == raw_port)
            rates.append((await load.run(at, requests, seconds=SECONDS)).rate)
        shares.append(rates[0] / rates[1])
    return statistics.median(shares)
