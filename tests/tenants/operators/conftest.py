"""Somebody who looks after the installation."""

from __future__ import annotations

import pytest

from app.main import Application
from app.tenants.operators.keys import create_key
from tests.support.api import Client, stranger


@pytest.fixture
async def operator(app: Application) -> Client:
    """A client with a key of an operator's."""
    assert app.kernel is not None
    made = await create_key(app.kernel, "Sam Support")
    return Client(stranger(app).http, token=made.key, facts={"id": str(made.id)})
