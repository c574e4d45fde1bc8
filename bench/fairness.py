"""Fair shares of the API: what others wait while one company sends ten times its quota.

Requests leave by the clock, not when the last answer has come, and waiting counts from when one was to leave: a
server that holds requests up cannot hide it.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.house import OTHER_CORES, House, free_port, pin, report, seed_leads, sign_up
from bench.load import request_bytes

QUOTA_PER_MINUTE = 6_000
"""That of the first plan; a company's one key may use half of it."""
TIMES = 10
OTHERS = 4
OTHERS_PER_SECOND = 20.0
LEADS = 5_000
ROUNDS = 3
SECONDS = 6.0
BURST_SECONDS = 5.0
"""So long a flood may spend what it has saved up; the measured part begins afterwards."""
Json = dict[str, Any]


@dataclass
class Seen:
    """What one stream of requests was answered."""

    latencies_ms: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)

    def percentile(self, share: float) -> float:
        ordered = sorted(self.latencies_ms)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def run_fairness(house: House, console: Console) -> Json:
    """p99 of the others alone and beside the flood, alternating; the ratio of the medians."""
    pin(0, OTHER_CORES)
    port = free_port()
    quota = {"RAPPORT_RATE_LIMIT_PER_MINUTE": str(QUOTA_PER_MINUTE)}
    serve = ("-m", "app.cli", "serve", "--port", str(port))
    with house.server(*serve, port=port, ready="/healthz", **quota):
        found = asyncio.run(_measure(house, port))
    table = Table("", "p50 ms", "p99 ms", title=f"others, while one sends {TIMES} times its quota")
    for name in ("alone", "flooded"):
        table.add_row(name, f"{found[name]['p50_ms']:.1f}", f"{found[name]['p99_ms']:.1f}")
    console.print(table)
    console.print(
        f"ratio of p99: {found['ratio']:.2f} (at most 2.00); the flood: {found['flood_sent']:,} sent,"
        f" {found['flood_refused']:,} refused with 429; refused of the others: {found['others_refused']}"
    )
    report("fairness", found)
    return found


async def _measure(house: House, port: int) -> Json:
    loud = sign_up(port, "Flood")
    quiet = [sign_up(port, f"Quiet {number}") for number in range(OTHERS)]
    paths: dict[str, list[bytes]] = {}
    for company in (loud, *quiet):
        await seed_leads(house, company.tenant_id, LEADS // (OTHERS + 1))
        listing = request_bytes("GET", "/v1/leads?limit=10&sort=-created_at", company.token)
        paths[company.token] = [listing]
    rounds: dict[str, list[Seen]] = {"alone": [], "flooded": []}
    flood = Seen()
    for _ in range(ROUNDS):
        for name in rounds:
            stop = asyncio.Event()
            loudly = None
            if name == "flooded":
                rate = QUOTA_PER_MINUTE / 60 * TIMES
                loudly = asyncio.create_task(_send(port, paths[loud.token], rate, 32, stop, flood))
                await asyncio.sleep(BURST_SECONDS)
            seen = Seen()
            others = [
                asyncio.create_task(_send(port, paths[one.token], OTHERS_PER_SECOND, 4, stop, seen))
                for one in quiet
            ]
            await asyncio.sleep(SECONDS)
            stop.set()
            await asyncio.gather(*others, *([loudly] if loudly else []))
            rounds[name].append(seen)
    return _result(rounds, flood)


def _result(rounds: dict[str, list[Seen]], flood: Seen) -> Json:
    found: Json = {
        name: {
            "p50_ms": statistics.median(seen.percentile(0.5) for seen in of),
            "p99_ms": statistics.median(seen.percentile(0.99) for seen in of),
            "requests": sum(len(seen.latencies_ms) for seen in of),
        }
        for name, of in rounds.items()
    }
    found["ratio"] = found["flooded"]["p99_ms"] / found["alone"]["p99_ms"]
    found["flood_sent"] = sum(flood.statuses.values())
    found["flood_refused"] = flood.statuses.get(429, 0)
    found["others_refused"] = sum(seen.statuses.get(429, 0) for of in rounds.values() for seen in of)
    return found


async def _send(
    port: int, requests: list[bytes], per_second: float, connections: int, stop: asyncio.Event, seen: Seen
) -> None:
    """So many requests a second over some connections until `stop`; a late one leaves as soon as it can."""
    gap = connections / per_second
    begin = time.perf_counter()
    await asyncio.gather(
        *(_lane(port, requests, begin + gap * n / connections, gap, stop, seen) for n in range(connections))
    )


async def _lane(
    port: int, requests: list[bytes], at: float, gap: float, stop: asyncio.Event, seen: Seen
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    number = 0
    while not stop.is_set():
        await asyncio.sleep(max(0.0, at - time.perf_counter()))
        writer.write(requests[number % len(requests)])
        head = await reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length))
        status = int(head[9:12])
        seen.latencies_ms.append((time.perf_counter() - at) * 1e3)
        seen.statuses[status] = seen.statuses.get(status, 0) + 1
        number += 1
        at += gap
    writer.close()
