"""A customer who asks, and colleagues."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from tests.modules.opportunities.conftest import Hire, clock, hire
from tests.modules.support import make
from tests.support.api import Company
from tests.tenants.people import Look

__all__ = ["Hire", "clock", "hire"]


@pytest.fixture
async def look(worker_database: str) -> AsyncIterator[Look]:
    """The database past every policy."""
    connection = await asyncpg.connect(worker_database)
    yield Look(connection)
    await connection.close()


@pytest.fixture
async def account(company: Company) -> dict[str, Any]:
    return await make(company.owner, "accounts", name="Harbour Pumps", country="NL")
