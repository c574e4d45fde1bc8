"""What every suite needs: a PostgreSQL with a company in it, servers as processes, cores to pin them to."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import psutil

from app.demo.large import large_leads
from app.kernel import migrate
from app.kernel.ids import new_id
from app.kernel.postgres import EmbeddedPostgres
from app.kernel.tokens import record_tokens
from app.modules.leads.services.leads import name_key

ROOT = Path(__file__).resolve().parents[1]
PASSWORD = "bench bench bench 1"
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
LEADS_BESIDE_INDEXES = 200_000
API_CORE = CORES[0]
OTHER_CORES = CORES[1:] or CORES


def pin(pid: int, cores: Iterable[int]) -> None:
    """Keep a process (all its threads and children so far) on some cores, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        try:
            os.sched_setaffinity(pid, set(cores))
        except OSError:
            return


def listener(port: int) -> int:
    """The process that serves a port."""
    return next(
        c.pid
        for c in psutil.net_connections()
        if c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == port and c.pid
    )


def cpu_of(pid: int) -> float:
    """Seconds that a process has computed."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def database_cpu(house: House) -> float:
    """Seconds that the server of the database and its connections have computed."""
    port = int(house.url.rpartition(":")[2].partition("/")[0])
    server = psutil.Process(listener(port))
    ended = server.cpu_times()
    return float(
        sum(cpu_of(one.pid) for one in (server, *server.children()))
        + ended.children_user
        + ended.children_system
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class House:
    """A migrated database and the folder everything of this run lives in."""

    url: str
    folder: Path

    def environment(self, **more: str) -> dict[str, str]:
        own = {
            "DATABASE_URL": self.url,
            "RAPPORT_DATA_DIR": str(self.folder / "data"),
            "RAPPORT_RATE_LIMIT_PER_MINUTE": "100000000",
            "RAPPORT_WEBHOOK_ALLOW_PRIVATE": "true",
            "RAPPORT_LOG_LEVEL": "ERROR",
            "PYTHONPATH": str(ROOT),
        }
        return {**os.environ, **own, **more}

    @contextmanager
    def server(self, *command: str, port: int, ready: str, **environment: str) -> Iterator[int]:
        """Run a server process pinned to the API's core until the block ends; yields its pid."""
        log = (self.folder / f"server-{port}.log").open("wb")
        process = subprocess.Popen(
            [sys.executable, *command], env=self.environment(**environment), cwd=ROOT, stdout=log, stderr=log
        )
        try:
            pin(process.pid, [API_CORE])
            _await(f"http://127.0.0.1:{port}{ready}", process, self.folder / f"server-{port}.log")
            yield process.pid
        except Exception as error:
            said = (self.folder / f"server-{port}.log").read_text()[-3000:]
            error.add_note(f"{' '.join(command[:2])} on port {port} said:\n{said or '(nothing)'}")
            raise
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            log.close()

    @contextmanager
    def product(self) -> Iterator[int]:
        """The full product on one core; yields its port."""
        port = free_port()
        serve = ("-m", "app.cli", "serve", "--port", str(port))
        with self.server(*serve, port=port, ready="/healthz"):
            yield port

    @contextmanager
    def worker(self) -> Iterator[None]:
        """The product's worker on the other cores, until the block ends."""
        log = (self.folder / "worker.log").open("wb")
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "worker"],
            env=self.environment(),
            cwd=ROOT,
            stdout=log,
            stderr=log,
        )
        try:
            pin(process.pid, OTHER_CORES)
            yield
        finally:
            process.terminate()
            process.wait(20)
            log.close()

    @contextmanager
    def raw(self, tenant_id: UUID) -> Iterator[int]:
        """The raw limit on the same core; yields its port."""
        port = free_port()
        more = {"BENCH_URL": self.url, "BENCH_TENANT": str(tenant_id), "BENCH_PORT": str(port)}
        with self.server("-m", "bench.raw_server", port=port, ready="/v1/leads", **more):
            yield port


def _await(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended:\n{log.read_text()[-3000:]}")
        try:
            if httpx.get(url, timeout=2).status_code < 500:
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise RuntimeError(f"{url} does not answer:\n{log.read_text()[-3000:]}")


@contextmanager
def house() -> Iterator[House]:
    """A PostgreSQL of this run's own, durable as in production, on the other cores; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="rapport-bench-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        with EmbeddedPostgres(Path(folder) / "postgres") as server:
            if server.pid:
                pin(server.pid, OTHER_CORES)
            migrate.upgrade(server.url)
            yield House(server.url, Path(folder))


@dataclass(frozen=True)
class Company:
    """A signed-up company with an API key that may do everything."""

    tenant_id: UUID
    member_id: UUID
    token: str


def sign_up(port: int, name: str = "Bench") -> Company:
    """A company made through the API; its API key outlives access tokens."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:
        email = f"{name.lower()}{new_id()}@example.com"
        form = {
            "company": name, "name": "Ben Chmark", "email": email, "password": PASSWORD, "locale": "en",
            "country": "US", "time_zone": "UTC", "currency": "USD",
        }  # fmt: skip
        made = http.post("/v1/sign-up", json=form).raise_for_status().json()
        session = (
            http.post("/v1/sessions", json={"email": email, "password": PASSWORD}).raise_for_status().json()
        )
        bearer = {"Authorization": f"Bearer {session['access_token']}"}
        key = http.post("/v1/api-keys", json={"name": "bench"}, headers=bearer)
        key.raise_for_status()
        return Company(UUID(made["tenant_id"]), UUID(made["member_id"]), key.json()["key"])


async def seed_leads(house: House, tenant_id: UUID, count: int, *, index: int = 0, skip: int = 0) -> None:
    """Fill a tenant with generated leads `skip`…`count` by COPY as the owner of the database."""
    connection = await asyncpg.connect(house.url)
    columns = (
        "tenant_id", "id", "name", "company", "email", "phone", "status", "source", "country", "city",
        "tokens", "created_at", "updated_at", "first_touch_at", "last_touch_at", "owner_id", "email_key", "name_key",
    )  # fmt: skip
    now = datetime.now(UTC)
    owners = [new_id() for _ in range(20)]

    def rows() -> Iterator[tuple[Any, ...]]:
        for number, lead in enumerate(large_leads(7, index, count)):
            if number < skip:
                continue
            at = now - timedelta(seconds=(number * 7919) % 40_000_000)
            names = (lead["name"], lead["company"])
            tokens = record_tokens(names, emails=[lead["email"]], phones=[lead["phone"]])
            yield (
                tenant_id, new_id(), lead["name"], lead["company"], lead["email"], lead["phone"],
                "new" if number % 5 == 0 else "working", lead["source"], lead["country"], lead["city"],
                tokens, at, at, at, at, owners[number % 20], lead["email"], name_key(lead),
            )  # fmt: skip

    async with (
        _without_indexes(connection, "leads.leads") if count - skip > LEADS_BESIDE_INDEXES else nullcontext()
    ):
        await connection.copy_records_to_table("leads", schema_name="leads", columns=columns, records=rows())
    await connection.execute("VACUUM (ANALYZE) leads.leads")
    await connection.execute(  # as the worker does every minute
        "WITH counted AS (DELETE FROM kernel.usage_records WHERE metric = 'records.kept'"
        " RETURNING tenant_id, quantity) INSERT INTO kernel.usage_totals AS t (tenant_id, metric, total)"
        " SELECT tenant_id, 'records.kept', sum(quantity) FROM counted GROUP BY tenant_id"
        " ON CONFLICT (tenant_id, metric) DO UPDATE SET total = t.total + EXCLUDED.total"
    )
    await connection.close()


@asynccontextmanager
async def _without_indexes(connection: asyncpg.Connection[asyncpg.Record], table: str) -> AsyncIterator[None]:
    """Build a table's plain indexes after the block: millions of rows, one by one into them, take hours."""
    definitions = await connection.fetch(
        "SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS sql FROM pg_index"
        " WHERE indrelid = $1::text::regclass AND NOT indisunique",
        table,
    )
    for index in definitions:
        await connection.execute(f"DROP INDEX {index['name']}")
    yield
    await connection.execute("SET maintenance_work_mem = '1GB'")
    for index in definitions:
        await connection.execute(index["sql"])


def report(name: str, results: dict[str, Any]) -> None:
    """Keep the figures of a suite as JSON beside the printed table."""
    folder = ROOT / "bench" / "results"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(results, indent=2) + "\n")
