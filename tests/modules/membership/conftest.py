"""A clock that tests move, colleagues, and an account to sell to."""

from __future__ import annotations

from typing import Any

import pytest

from tests.modules.contracts.conftest import Hire, clock, hire, look
from tests.modules.support import make
from tests.support.api import Company

__all__ = ["Hire", "clock", "hire", "look"]


@pytest.fixture
async def account(company: Company) -> dict[str, Any]:
    return await make(company.owner, "accounts", name="Harbour Pumps", country="NL")
