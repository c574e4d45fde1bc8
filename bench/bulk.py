"""Import and export through the API with worker and server as processes: rows a second and peak memory."""

from __future__ import annotations

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
from bench.house import API_CORE, Company, House, house, pin, report, sign_up

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


_ALIKE = 10  # one row in so many has the telephone number of one before
_BEFORE = 1_003  # rows; no multiple of `_ALIKE`, and more than a chunk


def write_csv(path: Path, rows: int, *, few_alike: bool = True) -> None:
    """A file of generated leads, a third of them with Chinese names.

    With `few_alike` one row in ten has the telephone number of an earlier one, at first of a near one. Without, more
    than half have in a long file: outside China only few numbers are reserved for invented people.
    """
    import csv

    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("external_id", *COLUMNS))
        for number, lead in enumerate(large_leads(11, 1, rows)):
            if few_alike:
                before = number - _BEFORE if number > _BEFORE else number - 3
                lead["phone"] = f"+86140{number if number % _ALIKE < _ALIKE - 1 else before:08d}"
            writer.writerow((f"bench-{number}", *(lead[name] for name in COLUMNS)))  # type: ignore[literal-required]


def run_bulk(home: House, rows: int, console: Console) -> dict[str, Any]:
    """Import `rows` leads from CSV with all rules on, and export them as NDJSON and CSV.

    Then import as many that mostly look like others, with a server and a database of their own.
    """
    results: dict[str, dict[str, float]] = {}
    with home.product() as port:
        company = sign_up(port, "Bulk")
        results["import csv, 1 in 10 alike"] = _measured_import(home, port, company, rows, few_alike=True)
        server = next(c.pid for c in psutil.net_connections() if c.laddr and c.laddr.port == port and c.pid)
        for kind in ("ndjson", "csv"):
            with Peak(server) as peak:
                seconds, count = _export(port, company, kind)
            if count != rows:
                raise RuntimeError(f"the export has {count:,} rows, not {rows:,}")
            results[f"export {kind}"] = _figures(rows, seconds, peak)
    with house() as other, other.product() as port:
        company = sign_up(port, "Alike")
        results["import csv, most alike"] = _measured_import(other, port, company, rows, few_alike=False)
    table = Table(title=f"Bulk work, {rows:,} leads, one core")
    for column in ("work", "rows/s", "seconds", "peak MB", "µs/row, worker + PostgreSQL"):
        table.add_column(column)
    for work, found in results.items():
        each = [
            f"{found[name]:.0f}" for name in ("worker_us_per_row", "postgres_us_per_row") if name in found
        ]
        rate, peak_mb = found["rows_per_s"], found["peak_mb"]
        table.add_row(work, f"{rate:,.0f}", f"{rows / rate:.1f}", f"{peak_mb:.0f}", " + ".join(each))
    console.print(table)
    report("bulk", results)
    return results


def _measured_import(
    home: House, port: int, company: Company, rows: int, *, few_alike: bool
) -> dict[str, float]:
    path = home.folder / "leads.csv"
    write_csv(path, rows, few_alike=few_alike)
    with (
        worker(home) as pid,
        Peak(pid) as peak,
        Processor(pid) as own,
        Processor(*_postmasters(home)) as server_side,
    ):
        seconds = _import(port, company, path)
    return _figures(rows, seconds, peak) | {
        "worker_us_per_row": 1e6 * own.seconds / rows,
        "postgres_us_per_row": 1e6 * server_side.seconds / rows,
    }


def _figures(rows: int, seconds: float, peak: Peak) -> dict[str, float]:
    return {"rows_per_s": rows / seconds, "peak_mb": peak.peak, "start_mb": peak.start}


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
