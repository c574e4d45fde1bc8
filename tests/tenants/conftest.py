"""Fixtures for tests about people."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import asyncpg
import pytest

from app.kernel.clock import FixedClock
from app.main import Application
from tests.tenants.people import Look

APRIL = datetime(2027, 4, 1, tzinfo=UTC)


@pytest.fixture
async def look(worker_database: str) -> AsyncIterator[Look]:
    """The database of the application under test, past every policy."""
    connection = await asyncpg.connect(worker_database)
    try:
        yield Look(connection)
    finally:
        await connection.close()


@pytest.fixture
async def clock(app: Application, look: Look) -> AsyncIterator[FixedClock]:
    """The application's clock, standing at the beginning of April 2027, before any bill of another test.

    A bill is never issued before the one numbered before it, so what a test left in autumn would move those of spring.
    """
    await look.run("UPDATE tenants.bill_numbers SET last_at = $1", APRIL)
    assert app.kernel is not None
    former, app.kernel.clock = app.kernel.clock, FixedClock(APRIL)
    yield app.kernel.clock
    app.kernel.clock = former
