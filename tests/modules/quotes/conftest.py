"""A clock that tests move, and colleagues."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime

import asyncpg
import pytest

from app.kernel.clock import FixedClock
from app.main import Application
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
    """Somebody who joins the company with a role: `await hire("salesperson", team_ids=[…])`."""

    async def join(role: str = "salesperson", **invitation: object) -> Client:
        return await colleague(company, look, role, **invitation)

    return join


@pytest.fixture
def clock(app: Application) -> Iterator[FixedClock]:
    """The application's clock, standing still until it is moved."""
    kernel = app.kernel
    assert kernel is not None
    former, fixed = kernel.clock, FixedClock(datetime.now(UTC).replace(microsecond=0))
    kernel.clock = fixed
    yield fixed
    kernel.clock = former
