"""Two companies with one of everything, shared by all contracts of a test process."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from app.main import Application
from tests.contracts.world import World, world_of
from tests.tenants.people import Look


@pytest.fixture(scope="module", autouse=True)
def nothing_waits() -> None:
    """The companies here are of all files."""


@pytest.fixture(scope="package")
async def look(app: Application, worker_database: str) -> AsyncIterator[Look]:
    """The database of the application under test, past every policy."""
    connection = await asyncpg.connect(worker_database)
    yield Look(connection)
    await connection.close()


@pytest.fixture(scope="package")
async def ours(app: Application, look: Look) -> World:
    """The company whose things nobody else may see or change; `zebra` stands in each of its texts."""
    return await world_of(app, look, "zebra")


@pytest.fixture(scope="package")
async def theirs(app: Application, look: Look) -> World:
    """The company that tries."""
    return await world_of(app, look, "okapi")
