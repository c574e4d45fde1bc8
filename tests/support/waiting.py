"""Waiting for what another task or process does: by asking again, and with the patience that a slow machine needs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

PATIENCE: Final = 120.0
"""Seconds after which something will not come any more. Nothing that works takes nearly as long, so that a slow
machine fails no test; only one that fails anyway waits for it."""


async def until(holds: Callable[[], bool | Awaitable[bool]], *, every: float = 0.01) -> None:
    """Return as soon as `holds` says so, asked `every` so many seconds.

    Raises: TimeoutError after `PATIENCE`.
    """
    async with asyncio.timeout(PATIENCE):
        while True:
            answer = holds()
            if answer if isinstance(answer, bool) else await answer:
                return
            await asyncio.sleep(every)
