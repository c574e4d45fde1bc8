"""The webhook sender: many requests at a time, and a dead receiver waits for itself only.

Every endpoint has a lane: its own connections, and a bound on what it may hold of the sender's hands. Outcomes are
written down many at a time. At least once: a sender that is killed between a request and its record sends again.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final
from uuid import UUID

import httpcore
import orjson
import structlog

from app.kernel.event_feed import cloud_event
from app.kernel.records import to_json
from app.kernel.secrets import SecretUnreadable
from app.kernel.webhooks import deliveries
from app.kernel.webhooks.addresses import AddressRefused, PinnedBackend, Resolve, resolve
from app.kernel.webhooks.deliveries import Due, Outcome
from app.kernel.webhooks.disabling import disable_endpoint
from app.kernel.webhooks.schedule import GIVE_UP_AFTER
from app.kernel.webhooks.signing import signature_headers

if TYPE_CHECKING:
    from app.kernel.runtime import Kernel

log = structlog.get_logger(__name__)

IN_HAND: Final = 2_000
BATCH: Final = 500
CONNECTIONS_PER_ENDPOINT: Final = 8
CONNECT_SECONDS: Final = 5.0
TOTAL_SECONDS: Final = 15.0
POLL_SECONDS: Final = 0.2
FLUSH_SECONDS: Final = 0.03
IDLE_SECONDS: Final = 30.0
RESPONSE_LIMIT: Final = 65_536
EXCERPT_LENGTH: Final = 1_000
GONE: Final = 410


class _Lane:
    """One endpoint's connections and what is under way to it."""

    def __init__(self, backend: PinnedBackend, context: ssl.SSLContext) -> None:
        self.pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=CONNECTIONS_PER_ENDPOINT,
            max_keepalive_connections=CONNECTIONS_PER_ENDPOINT,
            keepalive_expiry=IDLE_SECONDS / 2,
            network_backend=backend,
        )
        self.slots = asyncio.Semaphore(CONNECTIONS_PER_ENDPOINT)
        self.in_hand = 0
        self.limit = deliveries.PER_ENDPOINT
        self.used_at = time.monotonic()


class WebhookSender:
    """Sends due deliveries; `run` goes on until stopped, `run_once` sends one batch and waits for it."""

    def __init__(
        self,
        kernel: Kernel,
        *,
        resolver: Resolve = resolve,
        poll_seconds: float = POLL_SECONDS,
        timeout_seconds: float = TOTAL_SECONDS,
    ) -> None:
        self.kernel = kernel
        self.poll_seconds = poll_seconds
        self.timeout_seconds = timeout_seconds
        self._backend = PinnedBackend(allow_private=kernel.settings.webhook_allow_private, resolver=resolver)
        self._context = ssl.create_default_context()
        self._lanes: dict[UUID, _Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._outcomes: list[Outcome] = []
        self._unsent: list[Due] = []
        self._stopping = False
        self._finished = asyncio.Event()

    async def run_once(self) -> int:
        """Claim one batch, send it, write down the outcomes; the number of attempts made."""
        try:
            claimed = await self._claim()
            while self._tasks:
                await asyncio.wait(self._tasks)
            await self._flush()
            return claimed
        finally:
            await self._close_idle(0)

    async def run(self, stop: asyncio.Event) -> None:
        """Send until `stop`; requests under way are finished and written down, others given back.

        It may be run again after it failed, as when the database was away.
        """
        self._stopping = False
        flusher = asyncio.create_task(self._flush_loop())
        try:
            while not stop.is_set():
                if await self._claim():
                    await asyncio.sleep(0)
                    continue
                await self._close_idle(IDLE_SECONDS)
                try:
                    await asyncio.wait_for(stop.wait(), self.poll_seconds)
                except TimeoutError:
                    continue
        finally:
            self._stopping = True
            while self._tasks:
                await asyncio.wait(self._tasks)
            flusher.cancel()
            await asyncio.gather(flusher, return_exceptions=True)
            unsent, self._unsent = self._unsent, []
            await self._flush()
            await deliveries.give_back(self.kernel, unsent)
            await self._close_idle(0)

    # -- claiming ------------------------------------------------------------------------------------------

    async def _claim(self) -> int:
        room = min(BATCH, IN_HAND - len(self._tasks))
        if room <= 0:
            return 0
        busy = [endpoint_id for endpoint_id, lane in self._lanes.items() if lane.in_hand >= lane.limit]
        claimed = await deliveries.claim(self.kernel, room, busy)
        for due in claimed:
            task = asyncio.create_task(self._send(due, self._lane(due)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return len(claimed)

    def _lane(self, due: Due) -> _Lane:
        lane = self._lanes.get(due.endpoint_id)
        if lane is None:
            lane = self._lanes[due.endpoint_id] = _Lane(self._backend, self._context)
        since = due.failing_since
        failing = since is not None and self.kernel.clock.now() - since >= deliveries.FAILING_AFTER
        lane.limit = deliveries.PER_FAILING_ENDPOINT if failing else deliveries.PER_ENDPOINT
        lane.in_hand += 1
        return lane

    async def _close_idle(self, seconds: float) -> None:
        now = time.monotonic()
        for endpoint_id, lane in list(self._lanes.items()):
            if not lane.in_hand and now - lane.used_at >= seconds:
                del self._lanes[endpoint_id]
                await lane.pool.aclose()

    # -- sending -------------------------------------------------------------------------------------------

    async def _send(self, due: Due, lane: _Lane) -> None:
        try:
            async with lane.slots:
                if self._stopping:
                    self._unsent.append(due)
                    return
                outcome = await self._attempt(due, lane)
        finally:
            lane.in_hand -= 1
            lane.used_at = time.monotonic()
        self._outcomes.append(outcome)
        self._finished.set()

    async def _attempt(self, due: Due, lane: _Lane) -> Outcome:
        at = self.kernel.clock.now()
        started = time.perf_counter()
        status: int | None = None
        excerpt: str | None = None
        error: str | None = None
        try:
            body = _body(due)
            headers = signature_headers(str(due.event_id), at, body, self._secrets(due))
            async with asyncio.timeout(self.timeout_seconds):
                status, excerpt = await _post(lane.pool, due.url, body, headers)
        except TimeoutError:
            error = f"no answer within {self.timeout_seconds:g} s"
        except AddressRefused as refused:
            error = str(refused)
        except SecretUnreadable:
            error = "the endpoint's secret cannot be read: rotate it"
        except _EventGone:
            error = "the event is older than its retention"
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError) as failed:
            error = f"{type(failed).__name__}: {failed}"[:500]
        except Exception as failed:  # one odd receiver must not end the loop
            error = f"{type(failed).__name__}"
            log.warning("webhook attempt failed oddly", endpoint_id=str(due.endpoint_id), exc_info=failed)
        latency = round((time.perf_counter() - started) * 1000)
        return Outcome(due, at, status, latency, error, excerpt)

    def _secrets(self, due: Due) -> list[str]:
        """The live secrets, newest first."""
        context = secret_context(due.endpoint_id)
        found = [self.kernel.secrets.decrypt(due.secret, context=context).decode()]
        expires = due.previous_secret_expires_at
        if due.previous_secret is not None and expires is not None and expires > self.kernel.clock.now():
            found.append(self.kernel.secrets.decrypt(due.previous_secret, context=context).decode())
        return found

    # -- writing down --------------------------------------------------------------------------------------

    async def _flush_loop(self) -> None:
        while True:
            await self._finished.wait()
            await asyncio.sleep(FLUSH_SECONDS)
            self._finished.clear()
            try:
                await self._flush()
            except Exception as error:
                log.error("webhook outcomes were not written; they will be sent again", exc_info=error)

    async def _flush(self) -> None:
        outcomes, self._outcomes = self._outcomes, []
        if not outcomes:
            return
        await deliveries.record(self.kernel, outcomes)
        await self._give_up(outcomes)

    async def _give_up(self, outcomes: Sequence[Outcome]) -> None:
        """Disable endpoints that say they are gone, or have failed for too long."""
        now = self.kernel.clock.now()
        for outcome in {o.due.endpoint_id: o for o in outcomes if not o.succeeded}.values():
            since = outcome.due.failing_since
            if outcome.status == GONE:
                await disable_endpoint(self.kernel, outcome.due, "gone")
            elif since is not None and now - since >= GIVE_UP_AFTER:
                await disable_endpoint(self.kernel, outcome.due, "failing")


class _EventGone(Exception):
    """There is nothing left to send."""


def secret_context(endpoint_id: UUID) -> str:
    """Where an endpoint's secret lives, for the key ring."""
    return f"webhook:{endpoint_id}"


def _body(due: Due) -> bytes:
    if due.payload is not None:
        return due.payload.encode()
    if due.data is None:
        raise _EventGone
    row = {
        "tenant_id": due.tenant_id,
        "id": due.event_id,
        "type": due.event_type,
        "object": due.object,
        "record_id": due.record_id,
        "at": due.at,
        "actor_kind": due.actor_kind,
        "actor_id": due.actor_id,
        "request_id": due.request_id,
        "data": orjson.Fragment(due.data),
    }
    return to_json(cloud_event(row))


async def _post(
    pool: httpcore.AsyncConnectionPool, url: str, body: bytes, headers: list[tuple[bytes, bytes]]
) -> tuple[int, str]:
    """POST without following redirects; the status and the beginning of the answer."""
    timeouts = {
        "connect": CONNECT_SECONDS,
        "read": TOTAL_SECONDS,
        "write": TOTAL_SECONDS,
        "pool": TOTAL_SECONDS,
    }
    async with pool.stream(
        "POST",
        url,
        headers=[(b"Content-Type", b"application/json"), (b"User-Agent", b"Rapport-Webhooks/1"), *headers],
        content=body,
        extensions={"timeout": timeouts},
    ) as response:
        received = b""
        async for chunk in response.aiter_stream():
            received += chunk
            if len(received) > RESPONSE_LIMIT:
                break  # leaving closes the connection
        return response.status, received[: EXCERPT_LENGTH * 4].decode("utf-8", "replace")[
            :EXCERPT_LENGTH
        ].replace("\0", "")
