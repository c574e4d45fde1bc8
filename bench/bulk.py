"""Import and export through the API with worker and server as processes: rows a second and peak memory.

The import stands beside its limit, measured in the same run.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import httpx
import psutil
from rich.console import Console
from rich.table import Table

from app.demo.large import large_leads
from bench.bulk_limit import limit
from bench.house import API_CORE, Company, House, listener, pin, report, sign_up

COLUMNS = ("name", "company", "email", "phone", "source", "country", "city")


class Peak:
    """The largest resident memory of a process while the block runs, in MB, and the growth over its start."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._stop = threading.Event()
        self.start = self.peak = self._process.memory_info().rss / 1e6

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._stop.wait(0.05):
            self.peak = max(self.peak, self._process.memory_info().rss / 1e6)

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


class Processor:
    """Seconds of the processor that some processes use while the block runs; holds on a shared machine too."""

    def __init__(self, *pids: int) -> None:
        self._pids = pids
        self.seconds = 0.0

    def __enter__(self) -> Self:
        self._before = self._used()
        return self

    def __exit__(self, *_: object) -> None:
        after = self._used()
        self.seconds = sum(used - self._before.get(pid, 0.0) for pid, used in after.items())

    def _used(self) -> dict[int, float]:
        found: dict[int, float] = {}
        for pid in self._pids:
            process = psutil.Process(pid)
            for one in (process, *process.children(recursive=True)):
                with suppress(psutil.Error):
                    times = one.cpu_times()
                    found[one.pid] = times.user + times.system
        return found


@contextmanager
def worker(house: House) -> Iterator[int]:
    """A worker process pinned to one core; yields its pid when it has started."""
    import os
    import signal
    import subprocess
    import sys

    log = (house.folder / "worker.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "app.cli", "worker"], env=house.environment(), stdout=log, stderr=log
    )
    pin(process.pid, [API_CORE])
    try:
        while not psutil.Process(
            process.pid
        ).net_connections():  # it has not started before it has a database
            time.sleep(0.1)
        time.sleep(1)
        yield process.pid
    finally:
        os.kill(process.pid, signal.SIGTERM)
        process.wait(20)
        log.close()


def write_csv(path: Path, rows: int) -> None:
    """A file of generated leads, a third of them with Chinese names."""
    import csv

    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("external_id", *COLUMNS))
        for number, lead in enumerate(large_leads(11, 1, rows)):
            writer.writerow((f"bench-{number}", *(lead[name] for name in COLUMNS)))  # type: ignore[literal-required]


def run_bulk(house: House, rows: int, console: Console) -> dict[str, Any]:
    """Import `rows` leads from CSV with all rules on, then export them as NDJSON and CSV."""
    path = house.folder / "leads.csv"
    write_csv(path, rows)
    results: dict[str, Any] = {}
    with house.product() as port:
        with worker(house) as worker_pid:
            company = sign_up(port, "Bulk")
            results["import csv"] = _measured(house, port, worker_pid, company, path, rows)
        for kind in ("ndjson", "csv"):
            with Peak(listener(port)) as peak:
                seconds, count = _export(port, company, kind)
            if count != rows:
                raise RuntimeError(f"the export has {count:,} rows, not {rows:,}")
            results[f"export {kind}"] = _rate(rows, seconds, peak)
    imported = results["import csv"]
    imported["limit"] = asyncio.run(limit(house, company.tenant_id))
    imported["share"] = imported["rows_per_s"] / imported["limit"]
    console.print(_shown(results, rows))
    report("bulk", results)
    return results


def _measured(
    house: House, port: int, worker_pid: int, company: Company, path: Path, rows: int
) -> dict[str, Any]:
    with (
        Peak(worker_pid) as peak,
        Processor(worker_pid) as own,
        Processor(*_postmasters(house)) as server_side,
    ):
        seconds = _import(port, company, path)
    return _rate(rows, seconds, peak) | {
        "worker_us_per_row": 1e6 * own.seconds / rows,
        "postgres_us_per_row": 1e6 * server_side.seconds / rows,
    }


def _rate(rows: int, seconds: float, peak: Peak) -> dict[str, Any]:
    return {"rows_per_s": rows / seconds, "seconds": seconds, "peak_mb": peak.peak, "start_mb": peak.start}


def _shown(results: dict[str, Any], rows: int) -> Table:
    table = Table(title=f"Bulk work, {rows:,} leads, one core")
    for column in ("work", "rows/s", "limit", "share", "seconds", "peak MB", "µs/row, worker + PostgreSQL"):
        table.add_column(column)
    for work, found in results.items():
        limited = "limit" in found
        table.add_row(
            work,
            f"{found['rows_per_s']:,.0f}",
            f"{found['limit']:,.0f}" if limited else "",
            f"{found['share']:.2f}" if limited else "",
            f"{found['seconds']:.1f}",
            f"{found['peak_mb']:.0f}",
            f"{found['worker_us_per_row']:.0f} + {found['postgres_us_per_row']:.0f}" if limited else "",
        )
    return table


def _postmasters(house: House) -> list[int]:
    """The PostgreSQL of this run."""
    return [int(path.read_text().split()[0]) for path in house.folder.rglob("postmaster.pid")]


def _import(port: int, company: Company, path: Path) -> float:
    headers = {"Authorization": f"Bearer {company.token}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=300) as http:
        with path.open("rb") as file:
            made = http.post(
                "/v1/imports",
                data={"object": "leads", "mode": "create", "start": "true"},
                files={"file": (path.name, file)},
            )
        made.raise_for_status()
        where = f"/v1/imports/{made.json()['id']}"
        started = time.perf_counter()
        while True:
            state = http.get(where).raise_for_status().json()
            if state["state"] in ("completed", "completed_with_errors", "failed", "cancelled"):
                break
            time.sleep(0.1)
    if state["state"] != "completed":
        raise RuntimeError(f"the import ended as {state}")
    return time.perf_counter() - started


def _export(port: int, company: Company, kind: str) -> tuple[float, int]:
    headers = {"Authorization": f"Bearer {company.token}"}
    body = {"object": "leads", "format": kind}
    started = time.perf_counter()
    lines = 0
    with (
        httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=300) as http,
        http.stream("POST", "/v1/exports/stream", json=body) as answer,
    ):
        answer.raise_for_status()
        for chunk in answer.iter_raw():
            lines += chunk.count(b"\n")
    return time.perf_counter() - started, lines - (kind == "csv")
