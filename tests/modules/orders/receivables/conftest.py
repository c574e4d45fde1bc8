"""A clock that stands still, for what goes by the day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from app.kernel.clock import FixedClock
from app.main import Application
from tests.support.api import Company


@pytest.fixture
def clock(app: Application, company: Company) -> Iterator[FixedClock]:  # signed up by then
    """The application's clock, standing at noon of the last of June 2026 until it is moved."""
    kernel = app.kernel
    assert kernel is not None
    former, fixed = kernel.clock, FixedClock(datetime(2026, 6, 30, 12, tzinfo=UTC))
    kernel.clock = fixed
    yield fixed
    kernel.clock = former
