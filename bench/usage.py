"""Usage ingest: how many reported events a second are taken in, and whether that stays so as history grows."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import orjson
from rich.console import Console
from rich.table import Table

from bench.house import OTHER_CORES, House, cpu_of, database_cpu, listener, pin, report, sign_up

BATCH = 1_000
SUBJECTS = 500
Json = dict[str, Any]


def run_usage(house: House, events: int, console: Console) -> Json:
    """`events` at each of three sizes of history: at none, at one and at two times as many."""
    pin(0, OTHER_CORES)
    table = Table(
        "history", "events/s", "CPU µs per event", "of it PostgreSQL", "ms per batch", "ms per read",
        title="usage ingest",
    )  # fmt: skip
    found: list[Json] = []
    with house.product() as port:
        company = sign_up(port, "Usage")
        headers = {"Authorization": f"Bearer {company.token}", "Content-Type": "application/json"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=300) as http:
            _send(http, _bodies(BATCH, "warm"))
            for size in range(3):
                bodies = _bodies(events, str(size))
                api, postgres = cpu_of(listener(port)), database_cpu(house)
                started = time.perf_counter()
                _send(http, bodies)
                seconds = time.perf_counter() - started
                api, postgres = cpu_of(listener(port)) - api, database_cpu(house) - postgres
                started = time.perf_counter()
                http.get("/v1/billing/usage").raise_for_status()
                read = (time.perf_counter() - started) * 1e3
                row = {
                    "history": size * events,
                    "events_per_second": events / seconds,
                    "cpu_us_per_event": (api + postgres) * 1e6 / events,
                    "postgres_cpu_us_per_event": postgres * 1e6 / events,
                    "ms_per_batch": seconds * 1e3 / len(bodies),
                    "ms_per_read": read,
                }
                found.append(row)
                table.add_row(
                    f"{row['history']:,}",
                    f"{row['events_per_second']:,.0f}",
                    f"{row['cpu_us_per_event']:.0f}",
                    f"{row['postgres_cpu_us_per_event']:.0f}",
                    f"{row['ms_per_batch']:.1f}",
                    f"{read:.1f}",
                )
    console.print(table)
    report("usage", {"sizes": found})
    return {"sizes": found}


def _bodies(events: int, name: str) -> list[bytes]:
    now = datetime.now(UTC)
    made = [
        {
            "id": f"{name}-{number}",
            "source": "/bench",
            "type": "pages.rendered",
            "time": (now - timedelta(seconds=number % 86_400)).isoformat(),
            "subject": f"page {number % SUBJECTS}",
            "data": {"value": str(number % 10)},
        }
        for number in range(events)
    ]
    return [orjson.dumps({"events": made[at : at + BATCH]}) for at in range(0, events, BATCH)]


def _send(http: httpx.Client, bodies: list[bytes]) -> None:
    for body in bodies:
        answer = http.post("/v1/billing/usage-events", content=body).raise_for_status().json()
        if answer["failed"] or answer["duplicates"]:
            raise RuntimeError("events were refused")
