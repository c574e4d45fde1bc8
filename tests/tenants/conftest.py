"""Fixtures for tests about people."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.tenants.people import Look


@pytest.fixture
async def look(worker_database: str) -> AsyncIterator[Look]:
    """The database of the application under test, past every policy."""
    connection = await asyncpg.connect(worker_database)
    try:
        yield Look(connection)
    finally:
        await connection.close()
