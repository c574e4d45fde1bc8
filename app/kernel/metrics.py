"""Metrics for Prometheus: requests by operation and status, their time and SQL, and how much work waits.

The request path touches children that are looked up once per operation and status (about 2 µs a request).
Queue depths are counted when they are scraped, at most every few seconds, never on the request path.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
    start_http_server,
)

from app.kernel.db import Database

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
REGISTRY: Final = CollectorRegistry()
_DEPTH_SECONDS: Final = 5.0

ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

REQUESTS = Counter("rapport_requests", "Finished requests.", ["operation", "status"], registry=REGISTRY)
SECONDS = Histogram(
    "rapport_request_seconds",
    "Time from the first byte of a request to the end of its answer.",
    ["operation"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
    registry=REGISTRY,
)
STATEMENTS = Counter(
    "rapport_sql_statements", "SQL statements of requests.", ["operation"], registry=REGISTRY
)
JOBS = Counter("rapport_jobs", "Finished background jobs.", ["kind", "outcome"], registry=REGISTRY)
JOB_SECONDS = Histogram("rapport_job_seconds", "Run time of background jobs.", ["kind"], registry=REGISTRY)
JOB_DEPTH = Gauge("rapport_jobs_waiting", "Jobs that are due and not finished.", registry=REGISTRY)
OUTBOX_DEPTH = Gauge("rapport_outbox_unpublished", "Events not yet handed on.", registry=REGISTRY)
OUTBOX_AGE = Gauge(
    "rapport_outbox_oldest_seconds", "Age of the oldest event not yet handed on.", registry=REGISTRY
)


class _Children(NamedTuple):
    """The time series of one operation and status."""

    requests: Counter
    seconds: Histogram
    statements: Counter


_children: dict[tuple[str, int], _Children] = {}
_counted_at = 0.0


def observe_request(scope: MutableMapping[str, Any], status: int, seconds: float) -> None:
    """Count one finished request; addresses that do not exist share one series."""
    route = scope.get("route")
    operation: str = getattr(route, "operation_id", None) or "none"
    found = _children.get((operation, status))
    if found is None:
        found = _children[operation, status] = _Children(
            REQUESTS.labels(operation, str(status)), SECONDS.labels(operation), STATEMENTS.labels(operation)
        )
    found.requests.inc()
    found.seconds.observe(seconds)
    statements = scope.get("rapport.statements", 0)
    if statements:
        found.statements.inc(statements)


def observe_job(kind: str, outcome: str, seconds: float) -> None:
    """Count one finished job: `completed`, `failed` or `cancelled`; `seconds` are those of its last attempt."""
    JOBS.labels(kind, outcome).inc()
    JOB_SECONDS.labels(kind).observe(seconds)


async def measure_depths(database: Database) -> None:
    """Set the gauges of waiting work from the database, unless they are a few seconds fresh."""
    global _counted_at
    if time.monotonic() - _counted_at < _DEPTH_SECONDS and _counted_at:
        return
    async with database.control() as connection:
        row = await connection.fetchrow(
            "SELECT (SELECT count(*) FROM kernel.jobs WHERE state IN ('queued', 'running') AND run_at <= now())"
            " AS jobs, count(*) AS events, coalesce(extract(epoch FROM now() - min(at)), 0) AS age"
            " FROM kernel.outbox WHERE published_at IS NULL"
        )
    if row is not None:
        JOB_DEPTH.set(row["jobs"])
        OUTBOX_DEPTH.set(row["events"])
        OUTBOX_AGE.set(float(row["age"]))
    _counted_at = time.monotonic()


async def render(database: Database) -> bytes:
    """The body of `GET /metrics`, of type `CONTENT_TYPE`."""
    await measure_depths(database)
    return generate_latest(REGISTRY)


@contextmanager
def served(host: str, port: int | None) -> Iterator[None]:
    """Serve this process's metrics meanwhile, for processes without an API; nowhere without a port."""
    if port is None:
        yield
        return
    server, thread = start_http_server(port, addr=host, registry=REGISTRY)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
