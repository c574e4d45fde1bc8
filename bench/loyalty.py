"""Points: what a thousand orders take to earn, in a programme with a thousand, ten thousand and more members.

The orders are brought in over HTTP; what is measured is the reaction to their events, as a worker does it.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import Any

import httpx
import orjson
from rich.console import Console
from rich.table import Table

from app.kernel.config import Settings
from app.kernel.outbox import Relay
from app.kernel.startup import open_kernel
from app.main import build_registry
from bench.house import House, report, sign_up

ORDERS = 1_000
LINES = 5
BASE = 20
SCALES = (1, 10, 100)
ROUNDS = 2
Json = dict[str, Any]


def run_loyalty(house: House, console: Console) -> Json:
    """The same thousand orders of a hundred members, beside 1x, 10x and 100x as many who have earned before."""
    results: Json = {}
    table = Table(title=f"Points: {ORDERS:,} orders of {LINES} lines earn")
    for column in ("members", "orders that earned before", "seconds", "orders/s"):
        table.add_column(column, justify="right")
    with house.product() as port:
        company = sign_up(port, "Loyal")
        headers = {"Authorization": f"Bearer {company.token}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=300) as http:
            programme, members, past = _programme(http), 0, 0
            for scale in SCALES:
                members = _grow(http, programme, members, BASE * scale)
                past = _orders(http, members, past, BASE * scale)
                _handled(house)
                runs = []
                for _ in range(ROUNDS):
                    past = _orders(http, members, past, past + ORDERS)
                    runs.append(_handled(house))
                seconds = statistics.median(runs)
                results[f"{scale}x"] = {
                    "members": members,
                    "seconds": seconds,
                    "spread": max(runs) - min(runs),
                }
                table.add_row(f"{members:,}", f"{past:,}", f"{seconds:.2f}", f"{ORDERS / seconds:,.0f}")
    console.print(table)
    report("loyalty", results)
    return results


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


def _grow(http: httpx.Client, programme: str, there: int, wanted: int) -> int:
    """Accounts that are members, up to so many."""
    for start in range(there, wanted, 100):
        records = [
            {"external_id": f"K{n}", "name": f"Customer {n}"} for n in range(start, min(start + 100, wanted))
        ]
        accounts = _batch(http, "accounts", records)
        _batch(
            http,
            "loyalty-members",
            [{"programme_id": programme, "account_id": id, "since": "2024-01-01"} for id in accounts],
        )
    return wanted


def _batch(http: httpx.Client, plural: str, records: list[Json]) -> list[str]:
    items = [{"ref": str(place), "record": record} for place, record in enumerate(records)]
    answer = http.post(f"/v1/{plural}/batch/create", json={"items": items}).raise_for_status().json()
    if answer["failed"]:
        raise RuntimeError(f"{plural} were refused: {answer['results'][0]}")
    return [one["id"] for one in answer["results"]]


def _orders(http: httpx.Client, members: int, there: int, wanted: int) -> int:
    """Orders of the past, one member after the other, up to so many."""
    for start in range(there, wanted, 500):
        orders = [_order(number, members) for number in range(start, min(start + 500, wanted))]
        body = orjson.dumps({"orders": orders})
        answer = http.post(
            "/v1/orders/batch/import", content=body, headers={"Content-Type": "application/json"}
        )
        if answer.raise_for_status().json()["failed"]:
            raise RuntimeError("the import refused orders")
    return max(there, wanted)


def _order(number: int, members: int) -> Json:
    line = {"description": "Pump", "quantity": "2", "unit_price": "19.99"}
    return {
        "external_id": f"S{number}",
        "account": f"K{number % members}",
        "currency": "USD",
        "ordered_on": f"2025-{number % 12 + 1:02}-{number % 28 + 1:02}",
        "lines": [line] * LINES,
    }


def _handled(house: House) -> float:
    """Let everything that happened be reacted to, by one worker; how many seconds that took."""
    return asyncio.run(_react(house))


async def _react(house: House) -> float:
    settings = Settings(environment="test", database_url=house.url)
    async with open_kernel(settings, build_registry()) as kernel:
        relay = Relay(kernel)
        started = time.perf_counter()
        while await relay.run_once():
            pass
        return time.perf_counter() - started
