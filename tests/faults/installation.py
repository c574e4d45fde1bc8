"""A whole installation of its own: PostgreSQL, API and worker as processes that can be killed and started again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import httpx

from app.kernel.postgres import EmbeddedPostgres
from tests.support import cluster, warm
from tests.support.waiting import PATIENCE

PASSWORD = "correct horse battery staple"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Door:
    """One fixed address before a PostgreSQL that gets another port with each start."""

    def __init__(self) -> None:
        self.port = 0
        self.target = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        writers = [writer]
        with contextlib.suppress(OSError, asyncio.CancelledError):
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self.target)
            writers.append(inner_writer)
            await asyncio.gather(self._pump(reader, inner_writer), self._pump(inner_reader, writer))
        for one in writers:
            one.close()
        self._tasks.discard(task)

    @staticmethod
    async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()


class Installation:
    """PostgreSQL behind a fixed address, one API process, one worker."""

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.settings = dict(settings or {})
        self.postgres = EmbeddedPostgres(folder / "cluster")
        self.door = Door()
        self.api_port = free_port()
        self._processes: dict[str, warm.Started] = {}

    @property
    def url(self) -> str:
        """Of the API."""
        return f"http://127.0.0.1:{self.api_port}"

    @property
    def database_url(self) -> str:
        """Of the database, at the fixed address."""
        parts = urlsplit(self.postgres.url)
        return f"postgresql://{parts.username}:{parts.password}@127.0.0.1:{self.door.port}{parts.path}"

    @property
    def data_dir(self) -> Path:
        return self.folder / "files"

    async def start(self) -> None:
        cluster.lay(self.postgres)
        self._start_postgres()
        await self.door.open()
        self.start_process("api")
        self.start_process("worker")
        await self.ready()

    async def stop(self) -> None:
        for name in list(self._processes):
            self.kill(name)
        await self.door.close()
        self.postgres.stop()

    def _start_postgres(self) -> None:
        self.postgres.start()
        self.door.target = urlsplit(self.postgres.url).port or 0

    def start_process(self, name: str) -> None:
        command = {"api": ["serve", "--port", str(self.api_port)], "worker": ["worker"]}[name]
        environment = os.environ | {
            "DATABASE_URL": self.database_url,
            "RAPPORT_ENVIRONMENT": "test",
            "RAPPORT_DATA_DIR": str(self.data_dir),
            "RAPPORT_RATE_LIMIT_PER_MINUTE": "1000000",
            "RAPPORT_WEBHOOK_ALLOW_PRIVATE": "true",
            "RAPPORT_LOG_LEVEL": "ERROR",
            **self.settings,
        }
        self._processes[name] = warm.start(command, environment, self.folder / f"{name}.log")

    def pid(self, name: str) -> int:
        """Of the process of that name that was started last."""
        return self._processes[name].pid

    def kill(self, name: str) -> None:
        """SIGKILL: nothing is said, nothing is finished."""
        if name == "postgres":
            pid = self.postgres.pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            return
        self._processes[name].kill()

    async def kill_and_restart(self, name: str) -> None:
        self.kill(name)
        if name == "postgres":
            await asyncio.sleep(0.2)
            self._start_postgres()
        else:
            self.start_process(name)
        await self.ready()

    async def ready(self, seconds: float = PATIENCE) -> None:
        """Wait until the API answers that it works, database and all."""
        deadline = time.monotonic() + seconds
        async with httpx.AsyncClient() as http:
            while time.monotonic() < deadline:
                with contextlib.suppress(httpx.HTTPError):
                    if (await http.get(f"{self.url}/readyz", timeout=2)).status_code == 200:
                        return
                await asyncio.sleep(0.05)
        raise AssertionError(f"the API does not come up:\n{self.said('api')}")

    def said(self, name: str) -> str:
        """The end of a process's log."""
        return (self.folder / f"{name}.log").read_text()[-3_000:]


@asynccontextmanager
async def in_haste(site: Installation) -> AsyncIterator[None]:
    """Within the block nobody waits for what minutes would bring: what the killed had in hand is anybody's, and what
    failed beside a kill is tried again."""

    async def hurry() -> None:
        while True:
            await _let_minutes_pass(site)
            await asyncio.sleep(5)

    async with asyncio.TaskGroup() as group:
        hurrying = group.create_task(hurry())
        yield
        hurrying.cancel()


async def _let_minutes_pass(site: Installation) -> None:
    connection = await asyncpg.connect(site.database_url)
    try:
        for table in ("kernel.outbox", "kernel.webhook_deliveries"):
            await connection.execute(
                f"UPDATE {table} SET next_attempt_at = now() WHERE next_attempt_at > now()"
            )
        await connection.execute(
            "UPDATE kernel.jobs SET locked_until = now() WHERE state = 'running' AND NOT locked_by LIKE $1",
            f"%:{site.pid('worker')}:%",
        )
    finally:
        await connection.close()


@asynccontextmanager
async def installation(
    folder: Path, settings: Mapping[str, str] | None = None
) -> AsyncIterator[Installation]:
    """An installation that is stopped at the end, whatever happened to it; `settings` as in its environment."""
    found = Installation(folder, settings)
    try:
        await found.start()
        yield found
    finally:
        await found.stop()


async def signed_up(site: Installation) -> tuple[UUID, str]:
    """A new company and an API key of it, which outlives every access token."""
    form = {"company": "Faults Ltd", "name": "Olivia", "email": "olivia@example.com", "password": PASSWORD}
    async with httpx.AsyncClient(base_url=site.url, timeout=PATIENCE) as http:
        made = (await http.post("/v1/sign-up", json=form)).raise_for_status().json()
        session = {"email": form["email"], "password": PASSWORD}
        token = (await http.post("/v1/sessions", json=session)).raise_for_status().json()["access_token"]
        bearer = {"Authorization": f"Bearer {token}"}
        key = (
            (await http.post("/v1/api-keys", json={"name": "writer"}, headers=bearer))
            .raise_for_status()
            .json()
        )
    return UUID(made["tenant_id"]), key["key"]
