"""Fixtures for tests of the kernel through HTTP: the toy record type, people with other roles, a look at the rows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import asyncpg
import pytest

from tests.support.api import Client, Company
from tests.support.fingerprint import changes, fingerprint
from tests.tenants.people import Look, colleague

Hire = Callable[..., Awaitable[Client]]
Unchanged = Callable[[], AbstractAsyncContextManager[None]]


@pytest.fixture
async def look(worker_database: str) -> AsyncIterator[Look]:
    """The database of the application under test, past every policy."""
    connection = await asyncpg.connect(worker_database)
    try:
        yield Look(connection)
    finally:
        await connection.close()


@pytest.fixture
def unchanged(company: Company, look: Look) -> Unchanged:
    """`async with unchanged():` what happens inside leaves no trace in the company's rows."""

    @asynccontextmanager
    async def guard() -> AsyncIterator[None]:
        before = await fingerprint(look.connection, company.tenant_id)
        yield
        assert changes(before, await fingerprint(look.connection, company.tenant_id)) == {}

    return guard


@pytest.fixture
def hire(company: Company, look: Look) -> Hire:
    """`await hire({"toy:read": "own"}, team_ids=[…])`: a colleague with just these grants, or a built-in role."""
    numbers = iter(range(1, 100))

    async def hired(
        grants: dict[str, str] | str, *, field_rules: dict[str, Any] | None = None, **invitation: Any
    ) -> Client:
        if isinstance(grants, str):
            return await colleague(company, look, grants, **invitation)
        body = {"name": f"Role {next(numbers)}", "grants": grants, "field_rules": field_rules or {}}
        role = await company.owner.ok("POST", "/v1/roles", json=body)
        return await colleague(company, look, "viewer", role_ids=[role["id"]], **invitation)

    return hired


async def make_toy(client: Client, **fields: Any) -> dict[str, Any]:
    """A toy made over HTTP."""
    made: dict[str, Any] = await client.ok("POST", "/v1/toys", json={"name": "Ball"} | fields)
    return made


def member_id(client: Client) -> str:
    found: str = client.facts["member_id"]
    return found


def refusal(answer: Any) -> tuple[int, str]:
    """Status and code of a problem."""
    return answer.status_code, answer.json()["code"]
