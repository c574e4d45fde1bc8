"""Points: what a thousand orders take to earn, a thousand returns to take back, and a burn, as history grows.

Orders and returns are brought in over HTTP; what is measured is the reaction to their events, as a worker does it, in
computing time of the worker and of the database. History grows in two ways: the company's, beside members whose own
stays the same, and the members' own. What came in within minutes is vacuumed before anything is measured, as what
took years has been: else its upkeep would fall on whatever is measured beside it. So the figures leave the database's
upkeep out, and its statistics are fresh.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import asyncpg
import httpx
import orjson
from rich.console import Console
from rich.table import Table

from app.kernel.config import Settings
from app.kernel.outbox import Relay
from app.kernel.startup import open_kernel
from app.product import build_registry
from bench.house import Company, House, cpu_of, database_cpu, listener, report, sign_up

ORDERS = 1_000
LINES = 5
BASE = 500
"""Orders that have earned before, at 1x."""
MEMBERS = 20
"""Who earn the orders that are measured; as many more have all the history of their own."""
SCALES = (1, 10, 100)
BURNS = 200
CHUNK = 500
Json = dict[str, Any]


def run_loyalty(house: House, console: Console) -> Json:
    """The same thousand orders, returns and burns, beside 1x, 10x and 100x as much history."""
    table = Table(title=f"Computing time for {ORDERS:,} orders of {LINES} lines, worker and database")
    for column in ("earned before", "whose history grew", "earn s", "orders/s", "return s", "burn ms"):
        table.add_column(column, justify="right")
    results: Json = {}
    with house.product() as port:
        bench = _Bench(house, port, sign_up(port, "Loyal"))
        for scale in SCALES:
            bench.grow(BASE * scale)
            for whose in ("company", "members"):
                found = bench.measured(whose)
                results[f"{scale}x {whose}"] = {"earned_before": bench.past} | found
                table.add_row(
                    f"{bench.past:,}",
                    whose,
                    f"{found['earn']:.2f}",
                    f"{ORDERS / found['earn']:,.0f}",
                    f"{found['return']:.2f}",
                    f"{found['burn'] * 1_000:.1f}",
                )
    console.print(table)
    report("loyalty", results)
    return results


class _Bench:
    """A company with a programme: `K` are the members of its history, `M` those measured, `D` those with history."""

    def __init__(self, house: House, port: int, company: Company) -> None:
        self._house, self._port = house, port
        headers = {"Authorization": f"Bearer {company.token}"}
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=300)
        self._programme = _programme(self._http)
        self._there = 0
        self._number = 0
        self.past = 0
        self._members = {kind: self._enrol(kind, 0, MEMBERS) for kind in "MD"}

    def _enrol(self, kind: str, there: int, wanted: int) -> list[str]:
        members = []
        for start in range(there, wanted, 100):
            names = [f"{kind}{n}" for n in range(start, min(start + 100, wanted))]
            accounts = _batch(
                self._http, "accounts", [{"external_id": name, "name": f"Customer {name}"} for name in names]
            )
            members += _batch(
                self._http,
                "loyalty-members",
                [
                    {"programme_id": self._programme, "account_id": id, "since": "2024-01-01"}
                    for id in accounts
                ],
            )
        return members

    def grow(self, wanted: int) -> None:
        """So many orders that have earned: half of them of ever more members, half of the same few."""
        self._enrol("K", self._there, wanted // 50)
        self._there = wanted // 50
        half = (wanted - self.past) // 2
        self._orders("K", self._there, half)
        self._orders("D", MEMBERS, half)
        self._handled()
        self.past = wanted

    def measured(self, whose: str) -> Json:
        """Seconds of computing for a thousand orders, for as many returns, and for a burn."""
        kind = "M" if whose == "company" else "D"
        numbers = self._orders(kind, MEMBERS, ORDERS)
        earn = self._handled()
        self._returns(kind, numbers)
        back = self._handled()
        asyncio.run(_settle(self._house))
        return {"earn": earn, "return": back, "burn": self._burns(self._members[kind])}

    def _orders(self, kind: str, members: int, count: int) -> range:
        numbers = range(self._number, self._number + count)
        self._number += count
        self._bring("orders", [_order(number, f"{kind}{number % members}") for number in numbers])
        return numbers

    def _returns(self, kind: str, numbers: range) -> None:
        """One of two pumps of the first line of each order."""
        back = [
            {"external_id": f"R{number}", "account": f"{kind}{number % MEMBERS}", "currency": "USD"}
            | {"returned_on": "2025-12-31", "lines": [{"order_line": f"S{number}/0", "quantity": "1"}]}
            for number in numbers
        ]
        self._bring("returns", back)

    def _bring(self, plural: str, items: list[Json]) -> None:
        for start in range(0, len(items), CHUNK):
            answer = self._http.post(
                f"/v1/{plural}/batch/import",
                content=orjson.dumps({plural: items[start : start + CHUNK]}),
                headers={"Content-Type": "application/json"},
            )
            if answer.raise_for_status().json()["failed"]:
                raise RuntimeError(f"the import refused {plural}")

    def _burns(self, members: list[str]) -> float:
        """Seconds of computing for one burn over HTTP, of the server and the database."""
        server = listener(self._port)

        def burn() -> None:
            for number in range(BURNS):
                path = f"/v1/loyalty-members/{members[number % MEMBERS]}/burns"
                self._http.post(path, json={"points": 10}).raise_for_status()

        return _spent(burn, lambda: cpu_of(server) + database_cpu(self._house)) / BURNS

    def _handled(self) -> float:
        """Let one worker react to everything that happened; seconds of computing."""
        asyncio.run(_settle(self._house))
        return _spent(
            lambda: asyncio.run(_react(self._house)), lambda: time.process_time() + database_cpu(self._house)
        )


def _spent(do: Callable[[], None], clock: Callable[[], float]) -> float:
    before = clock()
    do()
    return clock() - before


def _programme(http: httpx.Client) -> str:
    worth = {"amount": "1.00", "currency": "USD"}
    body = {
        "key": "bench",
        "name_en": "Bench",
        "currency": "USD",
        "burn": {"worth": worth},
        "earn_rules": [{"key": "base", "kind": "amount"}],
        "tiers": [{"key": "silver", "name_en": "Silver", "threshold": "100000"}],
    }
    return str(http.post("/v1/loyalty-programmes", json=body).raise_for_status().json()["id"])


def _batch(http: httpx.Client, plural: str, records: list[Json]) -> list[str]:
    items = [{"ref": str(place), "record": record} for place, record in enumerate(records)]
    answer = http.post(f"/v1/{plural}/batch/create", json={"items": items}).raise_for_status().json()
    if answer["failed"]:
        raise RuntimeError(f"{plural} were refused: {answer['results'][0]}")
    return [one["id"] for one in answer["results"]]


def _order(number: int, account: str) -> Json:
    lines = [
        {"external_id": f"S{number}/{place}", "description": "Pump", "quantity": "2", "unit_price": "19.99"}
        for place in range(LINES)
    ]
    return {
        "external_id": f"S{number}",
        "account": account,
        "currency": "USD",
        "ordered_on": f"2025-{number % 12 + 1:02}-{number % 28 + 1:02}",
        "lines": lines,
    }


async def _settle(house: House) -> None:
    """Vacuum and analyse what was written since, as the database does by itself in the course of time."""
    connection = await asyncpg.connect(house.url)
    for table in await connection.fetch(
        "SELECT format('%I.%I', schemaname, relname) FROM pg_stat_user_tables"
        " WHERE n_mod_since_analyze > 0 OR n_dead_tup > 0 OR n_ins_since_vacuum > 0"
    ):
        await connection.execute(f"VACUUM (ANALYZE) {table[0]}")
    await connection.close()


async def _react(house: House) -> None:
    settings = Settings(environment="test", database_url=house.url, data_dir=house.folder / "data")
    async with open_kernel(settings, build_registry()) as kernel:
        relay = Relay(kernel)
        while await relay.run_once():
            pass
