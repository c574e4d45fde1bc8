"""A clock that stands, and the worker's loops by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from app.kernel.clock import FixedClock
from app.main import Application
from tests.modules.after_sales.assets.things import Worker
from tests.support.api import Company


@pytest.fixture
async def clock(app: Application, company: Company) -> AsyncIterator[FixedClock]:
    """Noon on 2 March 2026; the company has signed up by then."""
    kernel = app.kernel
    assert kernel is not None
    former, fixed = kernel.clock, FixedClock(datetime(2026, 3, 2, 12, tzinfo=UTC))
    kernel.clock = fixed
    yield fixed
    kernel.clock = former


@pytest.fixture
async def worker(app: Application, company: Company) -> Worker:
    assert app.kernel is not None
    return Worker(app.kernel, await app.kernel.authenticator.tenant_profile(company.tenant_id))
