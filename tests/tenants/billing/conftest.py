"""Fixtures for tests about billing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.kernel.clock import FixedClock
from app.main import Application
from tests.kernel.conftest import Unchanged
from tests.support.api import Company, sign_up
from tests.support.fingerprint import changes, fingerprint
from tests.tenants.people import Look


@pytest.fixture
def unchanged(company: Company, look: Look) -> Unchanged:
    """`async with unchanged():` what happens inside leaves no trace in the company's rows."""
    return _guard(company, look)


@pytest.fixture
def unchanged_april(april: Company, look: Look) -> Unchanged:
    """The same of the company that signed up in April."""
    return _guard(april, look)


def _guard(company: Company, look: Look) -> Unchanged:
    @asynccontextmanager
    async def guard() -> AsyncIterator[None]:
        before = await fingerprint(look.connection, company.tenant_id)
        yield
        assert changes(before, await fingerprint(look.connection, company.tenant_id)) == {}

    return guard


@pytest.fixture
async def april(app: Application, clock: FixedClock) -> Company:
    """A company that signed up when April began, without a trial: starter, USD, one seat at 15.00."""
    return await sign_up(app)
