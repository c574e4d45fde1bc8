"""The shared test server comes with the first process that wants it and goes with the last."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from app.kernel import migrate
from app.kernel.postgres import EmbeddedPostgres
from tests.support import cluster
from tests.support.postgres import TestServer, join
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.faults
ROOT = Path(__file__).resolve().parents[2]
HOLDER = """
import sys, time
from pathlib import Path
from tests.support.postgres import join
server = join(Path(sys.argv[1]))
print(server.url_of("postgres"), flush=True)
time.sleep(600)
"""


@pytest.fixture
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="rapport-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)
        settle(Path(folder))


def postmaster(home: Path) -> int | None:
    for process in psutil.process_iter(["cmdline"]):
        if str(home / "postgres" / "data") in (process.info["cmdline"] or []):
            return int(process.pid)
    return None


def settle(home: Path) -> bool:
    """Whether the server has gone, given time."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if postmaster(home) is None:
            return True
        time.sleep(0.05)
    return False


def answers(server: TestServer) -> bool:
    return bool(server.execute("SELECT 1 AS one")[0]["one"] == 1)


def test_processes_share_one_server_and_it_stops_when_the_last_has_left(home: Path):
    first = join(home)
    command = [sys.executable, "-c", HOLDER, str(home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as second:
        assert second.stdout is not None
        assert second.stdout.readline().strip() == first.url_of("postgres")
        first.leave()
        time.sleep(0.6)
        assert postmaster(home) is not None
        second.kill()
    assert settle(home)


def test_after_a_killed_keeper_the_next_one_to_join_gets_a_server(home: Path):
    first = join(home)
    pid = postmaster(home)
    assert pid is not None
    keeper = psutil.Process(pid).parent()
    assert keeper is not None
    os.kill(keeper.pid, signal.SIGKILL)
    assert settle(home)
    second = join(home)
    assert answers(second)
    first.leave()
    second.leave()


def test_a_database_of_a_killed_run_is_gone_when_the_server_starts_again(home: Path):
    first = join(home)
    url = first.create(empty=True)
    first.leave()
    assert settle(home)
    second = join(home)
    names = {row["datname"] for row in second.execute("SELECT datname FROM pg_database")}
    second.leave()
    assert url.rsplit("/", 1)[1] not in names


async def test_a_clone_has_what_the_template_has_and_nothing_of_other_clones(postgres: TestServer):
    urls = [await asyncio.to_thread(postgres.create) for _ in range(2)]
    connections = [await asyncpg.connect(url) for url in urls]
    try:
        await connections[0].execute("CREATE TABLE public.only_here (n int)")
        found = [
            await one.fetchval("SELECT to_regclass('public.only_here') IS NOT NULL") for one in connections
        ]
        versions = {
            await one.fetchval("SELECT version_num FROM kernel.schema_version") for one in connections
        }
        assert found == [True, False]
        assert len(versions) == 1
    finally:
        for connection in connections:
            await connection.close()
        for url in urls:
            postgres.drop(url)


def test_installations_begin_with_every_migration_and_nothing_of_other_installations(home: Path):
    servers = [EmbeddedPostgres(home / name) for name in ("one", "another")]
    for server in servers:
        cluster.lay(server)
        server.start()
    try:
        is_here = "SELECT to_regclass('public.only_here') IS NOT NULL AS here"
        assert [asyncio.run(migrate.upgrade_async(server.url)) for server in servers] == [[], []]
        asyncio.run(ask(servers[0].url, "CREATE TABLE public.only_here (n int)"))
        found = [asyncio.run(ask(server.url, is_here)) for server in servers]
        assert [rows[0]["here"] for rows in found] == [True, False]
    finally:
        for server in servers:
            server.stop()


async def ask(url: str, statement: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetch(statement)
    finally:
        await connection.close()
