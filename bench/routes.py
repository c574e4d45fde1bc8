"""What 400 operations cost over 20: matching by dictionary should make it nothing."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.table import Table

from app.kernel.routing import PathIndex, Router
from bench.house import report

ROUNDS = 20_000


def _index(operations: int) -> PathIndex:
    async def endpoint() -> None:
        """Never called."""

    router = Router(prefix="/v1")
    for number in range(operations // 2):
        router.get(f"/things-{number}", access="signed_in", operation_id=f"list_{number}")(endpoint)
        router.get(f"/things-{number}/{{id}}", access="signed_in", operation_id=f"get_{number}")(endpoint)
    return PathIndex([route for route in router.routes if hasattr(route, "access")])  # type: ignore[misc]


def run_routes(console: Console) -> dict[str, Any]:
    """Microseconds to find the last of 20 and of 400 operations."""
    table = Table(title="Finding an operation")
    table.add_column("operations")
    table.add_column("µs")
    results: dict[str, Any] = {}
    for operations in (20, 400):
        index = _index(operations)
        path = f"/v1/things-{operations // 2 - 1}/0198c0de-0000-7000-8000-000000000000"
        best = min(_time(index, path) for _ in range(5))
        results[str(operations)] = best
        table.add_row(str(operations), f"{best:.2f}")
    console.print(table)
    report("routes", results)
    return results


def _time(index: PathIndex, path: str) -> float:
    started = time.perf_counter()
    for _ in range(ROUNDS):
        index.find(path)
    return (time.perf_counter() - started) / ROUNDS * 1e6
