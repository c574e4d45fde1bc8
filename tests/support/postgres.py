"""One throwaway PostgreSQL for all test processes, and databases cloned from one migrated template.

Any process asks with `join()`. The first one starts a keeper (this module as a program), which runs the
server for as long as anybody holds it: test processes come and go, and a server belongs to the process that
started it. All of this is done with file locks, which vanish with their holder; so a kill -9 leaves no mess.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, TypeVar

import asyncpg

from app.kernel import migrate
from app.kernel.postgres import EmbeddedPostgres

ROOT: Final = Path(__file__).resolve().parents[2]
HOME: Final = ROOT / "var" / "tests"
_PATIENCE: Final = 60.0
T = TypeVar("T")
_started: Final[list[subprocess.Popen[bytes]]] = []  # outlives us; forgotten, Python would complain about it


class TestServer:
    """The server as a test sees it: addresses of databases, made and dropped."""

    __test__ = False

    def __init__(self, url: str, home: Path, hold: IO[str]) -> None:
        self._url = url
        self._home = home
        self._hold = hold  # its shared lock, released when we end, keeps the server running
        self._template: str | None = None

    def leave(self) -> None:
        """Let the server go; it stops when the last holder has left."""
        self._hold.close()

    def url_of(self, database: str) -> str:
        """The address of a database, as superuser."""
        return f"{self._url.rsplit('/', 1)[0]}/{database}"

    def create(self, *, empty: bool = False) -> str:
        """Make a database, migrated unless `empty`, and return its address. Takes about 20 ms."""
        name = f"test_{os.getpid()}_{uuid.uuid4().hex[:12]}"
        template = "template0" if empty else self.template()
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return self.url_of(name)

    def drop(self, url: str) -> None:
        """Drop a database that `create` made, whoever is connected to it."""
        self.execute(f"DROP DATABASE IF EXISTS {url.rsplit('/', 1)[1]} WITH (FORCE)")

    def template(self) -> str:
        """The name of the migrated template; made by whoever comes first, again when a migration changes."""
        if self._template is None:
            name = f"template_{migrate.fingerprint()}"
            with locked(self._home / "template.lock"):
                if not self.execute(f"SELECT 1 FROM pg_database WHERE datname = '{name}'"):
                    self._make_template(name)
            self._template = name
        return self._template

    def _make_template(self, name: str) -> None:
        # Migrated under another name, so that a half-made one is never taken for the template.
        unfinished = f"{name}_new"
        self.execute(f"DROP DATABASE IF EXISTS {unfinished} WITH (FORCE)")
        self.execute(f"CREATE DATABASE {unfinished} TEMPLATE template0 STRATEGY file_copy")
        _in_thread(lambda: migrate.upgrade_async(self.url_of(unfinished)))
        self.execute(f"ALTER DATABASE {unfinished} RENAME TO {name}")

    def execute(self, statement: str, url: str | None = None) -> list[asyncpg.Record]:
        """Run one statement as superuser, outside a transaction; in the server's own database or that of `url`."""

        async def run() -> list[asyncpg.Record]:
            connection = await asyncpg.connect(url or self._url)
            try:
                return await connection.fetch(statement)
            finally:
                await connection.close()

        return _in_thread(run)


def join(home: Path = HOME) -> TestServer:
    """Hold the server, started if nobody does yet, until this process ends or calls `leave`."""
    home.mkdir(parents=True, exist_ok=True)
    hold = (home / "holders.lock").open("w")
    fcntl.flock(hold, fcntl.LOCK_SH)  # waits while a keeper is stopping
    address = home / "address"
    with locked(home / "start.lock"):
        if _try_lock(home / "keeper.lock"):
            address.unlink(missing_ok=True)
            keeper = _start_keeper(home)
            deadline = time.monotonic() + _PATIENCE
            while not address.exists():
                if keeper.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"no test server:\n{(home / 'keeper.log').read_text()[-3000:]}")
                time.sleep(0.01)
        return TestServer(address.read_text(), home, hold)


def _start_keeper(home: Path) -> subprocess.Popen[bytes]:
    with (home / "keeper.log").open("w") as log:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "tests.support.postgres", str(home)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    _started.append(keeper)
    return keeper


def keep(home: Path) -> None:
    """Run the server until nobody holds it; the keeper's whole life."""
    with (home / "keeper.lock").open("w") as mine, (home / "holders.lock").open("w") as holders:
        fcntl.flock(mine, fcntl.LOCK_EX)
        with EmbeddedPostgres(home / "postgres", durable=False) as server:
            _drop_leftovers(server.url)
            _publish(home / "address", server.url)
            while not _try_flock(holders):
                time.sleep(0.2)


def _drop_leftovers(url: str) -> None:
    """Drop what killed runs left, and templates of other migrations; nobody else is here yet."""
    server = TestServer(url, Path(), sys.stdin)
    wanted = f"template_{migrate.fingerprint()}"
    for row in server.execute("SELECT datname FROM pg_database WHERE datname ~ '^(test|template)_'"):
        if row["datname"] != wanted:
            server.drop(server.url_of(row["datname"]))


def _publish(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.touch(mode=0o600)
    new.write_text(text)
    new.rename(path)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold off other processes that want the same; the lock vanishes with its holder."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _try_lock(path: Path) -> bool:
    """Whether nobody holds the lock at this moment."""
    with path.open("w") as file:
        return _try_flock(file)


def _try_flock(file: IO[str]) -> bool:
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _in_thread(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run `work` to its end in a loop of its own, whatever loop this thread has or runs."""
    outcome: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(asyncio.run(work()))
        except BaseException as error:  # noqa: BLE001 (raised again by the caller)
            failure.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
