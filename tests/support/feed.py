"""The event feed as a test reads it: an event is shown once no transaction that began before it is open any more."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.support.api import Client
from tests.support.waiting import PATIENCE


async def shown(client: Client, event_type: str, **narrowed: Any) -> dict[str, Any]:
    """The first event of this type, as soon as the feed shows one; other tests' transactions hold it back a while.

    Whatever was written before that event is shown from then on too. Raises `TimeoutError`.
    """
    async with asyncio.timeout(PATIENCE):
        while not (found := await _read(client, type=event_type, limit=1, **narrowed)):  # noqa: ASYNC110 - the database tells
            await asyncio.sleep(0.02)
    return found[0]


async def _read(client: Client, **parameters: Any) -> list[dict[str, Any]]:
    page = await client.ok("GET", "/v1/events", params=parameters)
    found: list[dict[str, Any]] = page["data"]
    return found
