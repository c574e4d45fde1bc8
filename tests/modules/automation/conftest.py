"""An application whose toys are approved: the toy module asks for it, and counts what it is told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from app.kernel.clock import FixedClock
from app.main import Application
from app.modules.automation.interface import ApprovalSubject
from tests.modules.automation.toys import ToySubject
from tests.support import toy
from tests.support.api import Client, Company, running
from tests.tenants.people import Look, colleague

Hire = Callable[..., Awaitable[Client]]


@pytest.fixture(scope="session")
async def app(worker_database: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Application]:
    """The application with the toy module as one whose records are approved."""
    connection = await asyncpg.connect(worker_database)
    try:
        if await connection.fetchval("SELECT to_regclass('toys.toys')") is None:
            for statement in toy.create_statements():
                await connection.execute(statement)
    finally:
        await connection.close()
    module = replace(toy.MODULE, ports=[*toy.MODULE.ports, (ApprovalSubject, ToySubject)])
    async with running(worker_database, tmp_path_factory.mktemp("approvals"), (module,)) as application:
        yield application


@pytest.fixture
async def look(worker_database: str) -> AsyncIterator[Look]:
    """The database past every policy."""
    connection = await asyncpg.connect(worker_database)
    yield Look(connection)
    await connection.close()


@pytest.fixture
def hire(company: Company, look: Look) -> Hire:
    """Somebody who joins the company: a salesperson, or with another built-in role or just some grants."""
    numbers = iter(range(1, 100))

    async def join(role: str | dict[str, str] = "salesperson", **invitation: Any) -> Client:
        if isinstance(role, str):
            return await colleague(company, look, role, **invitation)
        body = {"name": f"Role {next(numbers)}", "grants": role}
        made = await company.owner.ok("POST", "/v1/roles", json=body)
        return await colleague(company, look, "viewer", role_ids=[made["id"]], **invitation)

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
