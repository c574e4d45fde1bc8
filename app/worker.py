"""The worker: everything that happens outside of requests, in loops that survive their own failures.

Any number of workers may run; each loop shares its work with its likes in other processes through row locks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from app.kernel.audit_seal import seal
from app.kernel.jobs import JobRunner
from app.kernel.outbox import Relay
from app.kernel.runtime import Kernel
from app.kernel.schedules import Scheduler
from app.kernel.webhooks.sender import WebhookSender

log = structlog.get_logger(__name__)

Loop = Callable[[asyncio.Event], Awaitable[None]]
SEAL_SECONDS = 5.0
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0


async def run_worker(kernel: Kernel, stop: asyncio.Event) -> None:
    """Relay events, send webhooks, seal the audit log, run jobs and schedules until `stop` is set.

    Returns when all loops have ended: what they were doing is finished or given back.
    """
    async with asyncio.TaskGroup() as group:
        for name, loop in _loops(kernel).items():
            group.create_task(supervise(name, loop, stop), name=name)


def _loops(kernel: Kernel) -> dict[str, Loop]:
    return {
        "relay": Relay(kernel).run,
        "webhooks": WebhookSender(kernel).run,
        "audit": lambda stop: _seal(kernel, stop),
        "jobs": JobRunner(kernel).run,
        "schedules": Scheduler(kernel).run,
    }


async def _seal(kernel: Kernel, stop: asyncio.Event) -> None:
    while not stop.is_set():
        await seal(kernel)
        await _wait(stop, SEAL_SECONDS)


async def supervise(name: str, loop: Loop, stop: asyncio.Event, *, first_pause: float = FIRST_PAUSE) -> None:
    """Run a loop and start it again when it fails, after growing pauses."""
    pause = first_pause
    while not stop.is_set():
        started = asyncio.get_running_loop().time()
        try:
            await loop(stop)
        except Exception as error:
            log.error("loop failed", loop=name, pause=pause, exc_info=error)
        if asyncio.get_running_loop().time() - started > LONGEST_PAUSE:
            pause = first_pause
        await _wait(stop, pause)
        pause = min(pause * 2, LONGEST_PAUSE)


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
