"""Fixtures of the tests about customers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.tenants.people import Look


@pytest.fixture
async def look(worker_database: str) -> AsyncIterator[Look]:
    """A look into the database as its superuser."""
    connection = await asyncpg.connect(worker_database)
    try:
        yield Look(connection)
    finally:
        await connection.close()
