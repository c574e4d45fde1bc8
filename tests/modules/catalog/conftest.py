"""Colleagues, and a look into the database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import pytest

from tests.support.api import Client, Company
from tests.tenants.people import Look, colleague

Hire = Callable[..., Awaitable[Client]]


@pytest.fixture
async def look(worker_database: str) -> AsyncIterator[Look]:
    """The database past every policy."""
    connection = await asyncpg.connect(worker_database)
    yield Look(connection)
    await connection.close()


@pytest.fixture
def hire(company: Company, look: Look) -> Hire:
    """Somebody who joins the company with a role: `await hire("salesperson")`."""

    async def join(role: str = "salesperson", **invitation: object) -> Client:
        return await colleague(company, look, role, **invitation)

    return join
