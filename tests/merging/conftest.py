"""Fixtures for tests of merging, which reach across modules."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from app.main import Application
from tests.merging.support import Unchanged
from tests.support.api import Company
from tests.tenants.people import Look


@pytest.fixture
async def look(app: Application, worker_database: str) -> AsyncIterator[Look]:
    """The database of the application under test, past every policy."""
    connection = await asyncpg.connect(worker_database)
    try:
        yield Look(connection)
    finally:
        await connection.close()


@pytest.fixture
def unchanged(company: Company, look: Look) -> Unchanged:
    """`async with unchanged():` what happens inside leaves no trace in the company's rows."""
    return Unchanged(company, look)
