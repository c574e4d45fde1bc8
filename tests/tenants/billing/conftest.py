"""Fixtures for tests about billing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.kernel.conftest import Unchanged
from tests.support.api import Company
from tests.support.fingerprint import changes, fingerprint
from tests.tenants.people import Look


@pytest.fixture
def unchanged(company: Company, look: Look) -> Unchanged:
    """`async with unchanged():` what happens inside leaves no trace in the company's rows."""

    @asynccontextmanager
    async def guard() -> AsyncIterator[None]:
        before = await fingerprint(look.connection, company.tenant_id)
        yield
        assert changes(before, await fingerprint(look.connection, company.tenant_id)) == {}

    return guard
