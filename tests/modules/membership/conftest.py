"""A clock that tests move, colleagues, an account to sell to, and who of it is a member."""

from __future__ import annotations

from typing import Any

import pytest

from tests.modules.contracts.conftest import Hire, clock, hire, look
from tests.modules.membership.points import enrol, programme
from tests.modules.membership.tenders import BOOKS
from tests.modules.support import make
from tests.support.api import Client, Company

__all__ = ["Hire", "clock", "hire", "look"]


@pytest.fixture
async def account(company: Company) -> dict[str, Any]:
    return await make(company.owner, "accounts", name="Harbour Pumps", country="NL")


@pytest.fixture
async def member(company: Company, account: dict[str, Any]) -> dict[str, Any]:
    return await enrol(company.owner, await programme(company.owner), account)


@pytest.fixture
async def teller(company: Company, hire: Hire) -> Client:
    """Keeps the books and moves wallets, but may not turn one into the other."""
    grants = dict.fromkeys(BOOKS, "all")
    role = await company.owner.ok("POST", "/v1/roles", json={"name": "Teller", "grants": grants})
    return await hire(role["key"])
