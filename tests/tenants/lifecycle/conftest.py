"""Fixtures for tests about the life of accounts: a clock that stands still, and companies that signed up by it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import pytest

from app.kernel.clock import FixedClock
from app.main import Application
from tests.kernel.conftest import Unchanged
from tests.support.api import Company, running, sign_in, sign_up
from tests.support.fingerprint import changes, fingerprint
from tests.tenants.people import Look


@pytest.fixture(scope="package")
async def app(worker_database: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Application]:
    """The application as it comes, with two weeks of trial."""
    async with running(worker_database, tmp_path_factory.mktemp("data"), trial_days=14) as application:
        yield application


@pytest.fixture
async def april(app: Application, clock: FixedClock) -> Company:
    """A company that signed up when April began: trying until the 15th."""
    return await sign_up(app)


@pytest.fixture
def unchanged(april: Company, look: Look) -> Unchanged:
    """`async with unchanged():` what happens inside leaves no trace in the company's rows."""

    @asynccontextmanager
    async def guard() -> AsyncIterator[None]:
        before = await fingerprint(look.connection, april.tenant_id)
        yield
        assert changes(before, await fingerprint(look.connection, april.tenant_id)) == {}

    return guard


async def at(company: Company, clock: FixedClock, moment: datetime) -> None:
    """Time passes, and the owner signs in again."""
    clock.set(moment)
    company.owner.token = (await sign_in(company.owner, company.email)).token


async def standing(company: Company) -> dict[str, Any]:
    """How the account stands, without what is empty."""
    found = await company.owner.ok("GET", "/v1/billing/account")
    return {name: value for name, value in found.items() if value is not None}
