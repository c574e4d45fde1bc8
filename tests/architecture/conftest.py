"""The database that the architecture tests walk: migrated, with the tests' own toy module beside the real ones."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from app.main import Application


@pytest.fixture(scope="package")
async def superuser(
    app: Application, worker_database: str
) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A connection past every policy."""
    connection = await asyncpg.connect(worker_database)
    yield connection
    await connection.close()
