"""Companies whose bills are charged through Stripe, which is a fake of it on loopback; time is injected."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.kernel.clock import FixedClock
from app.main import Application
from tests.support.api import Company, running, sign_up
from tests.support.stripe_fake import KEY, SECRET, StripeFake, stripe_fake
from tests.tenants.payments.money import billed_once


@pytest.fixture(scope="package")
async def stripe() -> AsyncIterator[StripeFake]:
    async with stripe_fake() as fake:
        yield fake


@pytest.fixture(scope="package")
async def app(
    worker_database: str, tmp_path_factory: pytest.TempPathFactory, stripe: StripeFake
) -> AsyncIterator[Application]:
    """The application with Stripe behind it."""
    settings: dict[str, Any] = {
        "payment_provider": "stripe",
        "stripe_secret_key": KEY,
        "stripe_webhook_secrets": [SECRET],
        "stripe_api_url": stripe.url,
    }
    folder = tmp_path_factory.mktemp("data")
    async with running(worker_database, folder, **settings) as application:
        yield application


@pytest.fixture
async def april(app: Application, clock: FixedClock) -> Company:
    """A company that signed up when April began and was billed 15.00 on the 3rd; nothing is paid yet."""
    return await billed_once(await sign_up(app), clock)
