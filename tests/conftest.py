"""Fixtures that every test may use."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest
from hypothesis import settings

from app.kernel.startup import settle_memory
from tests.support.network import refuse_foreign_connections
from tests.support.postgres import TestServer, join

if TYPE_CHECKING:
    from app.main import Application
    from tests.support.api import Client, Company

refuse_foreign_connections()

# A change is judged by the same examples each time; `HYPOTHESIS_PROFILE=search` looks for others.
settings.register_profile("same", derandomize=True, database=None)
settings.register_profile("search")
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

_worker_databases: list[str] = []
"""The database of this process, once a test has asked for it."""

LONG = {"journey": 100.0, "browser": 15.0, "faults": 15.0, "slow": 10.0}
"""About how many seconds a test with this mark takes."""
SHORT = 0.4
"""And one without."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest first: a process that begins one of them last keeps all others waiting."""
    seconds: dict[Path, float] = defaultdict(float)
    for item in items:
        marks = {mark.name for mark in item.iter_markers()}
        seconds[item.path] += max((LONG[name] for name in marks & LONG.keys()), default=SHORT)
    items.sort(key=lambda item: -seconds[item.path])


def pytest_collection_finish() -> None:
    """What is loaded by now stays: the collector need not go through all of it again and again."""
    settle_memory()


@pytest.fixture(scope="session")
def postgres() -> Iterator[TestServer]:
    """The server that all test processes share, started when the first test asks for it."""
    server = join()
    yield server
    server.leave()


@pytest.fixture(scope="session")
def worker_database(postgres: TestServer) -> Iterator[str]:
    """The address of this test process's migrated database; a test that writes here rolls back."""
    url = postgres.create()
    _worker_databases.append(url)
    yield url
    _worker_databases.remove(url)
    postgres.drop(url)


@pytest.fixture
def own_database(postgres: TestServer) -> Iterator[str]:
    """The address of a migrated database of the test's own: for commits, locks, workers and kills."""
    url = postgres.create()
    yield url
    postgres.drop(url)


@pytest.fixture
def empty_database(postgres: TestServer) -> Iterator[str]:
    """The address of a database that no migration has touched."""
    url = postgres.create(empty=True)
    yield url
    postgres.drop(url)


_LEFT_BEHIND = """
WITH events AS (UPDATE kernel.outbox SET published_at = now() WHERE published_at IS NULL AND dead_at IS NULL),
  deliveries AS (UPDATE kernel.webhook_deliveries SET state = 'cancelled' WHERE state = 'pending'),
  jobs AS (UPDATE kernel.jobs SET state = 'cancelled' WHERE state IN ('queued', 'running')),
  usage AS (DELETE FROM kernel.usage_records),
  bills AS (UPDATE tenants.bill_numbers SET last_at = '2000-01-01')
UPDATE tenants.tenants SET status = 'cancelled', export_until = NULL
WHERE status <> 'erased' AND (status <> 'cancelled' OR export_until IS NOT NULL)
"""
"""What a file's tests leave in their process's database that others' would come upon: work that waits for whoever
looks first, companies that what is done for all companies is done for, and the day of the last bill."""


@pytest.fixture(scope="module", autouse=True)
def nothing_waits(request: pytest.FixtureRequest) -> None:
    """Each file begins in a database in which nothing is to be done, whatever ran before it in the same process."""
    if _worker_databases:
        server: TestServer = request.getfixturevalue("postgres")
        server.execute(_LEFT_BEHIND, _worker_databases[-1])


@pytest.fixture(scope="session")
async def app(worker_database: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Application]:
    """The application on this process's database, with the toy module beside the real ones."""
    from tests.support import toy
    from tests.support.api import running

    connection = await asyncpg.connect(worker_database)
    try:
        if await connection.fetchval("SELECT to_regclass('toys.toys')") is None:
            for statement in toy.create_statements():
                await connection.execute(statement)
    finally:
        await connection.close()
    async with running(worker_database, tmp_path_factory.mktemp("data"), (toy.MODULE,)) as application:
        yield application


@pytest.fixture
async def company(app: Application) -> Company:
    """A company of this test's own; `company.owner` is its signed-in owner."""
    from tests.support.api import sign_up

    return await sign_up(app)


@pytest.fixture
async def rival(app: Application) -> Company:
    """Another company, which must never see or change anything of the first."""
    from tests.support.api import sign_up

    return await sign_up(app)


@pytest.fixture
def owner(company: Company) -> Client:
    """The signed-in owner of `company`."""
    return company.owner
