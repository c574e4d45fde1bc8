"""A load generator for loopback: N keep-alive connections, each sends the next request when it has its answer.

Bare asyncio protocols, because a full client costs more than the server it would measure.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Load:
    """What one run saw."""

    requests: int
    seconds: float
    latencies_ms: list[float]
    failures: int

    @property
    def rate(self) -> float:
        return self.requests / self.seconds

    def percentile(self, share: float) -> float:
        ordered = sorted(self.latencies_ms)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0

    @property
    def median_ms(self) -> float:
        return statistics.median(self.latencies_ms) if self.latencies_ms else 0.0


def request_bytes(method: str, path: str, token: str, body: bytes = b"", headers: str = "") -> bytes:
    """One HTTP/1.1 request, ready to send."""
    lines = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n{headers}"
    if body:
        lines += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return lines.encode() + b"\r\n" + body


class _Connection(asyncio.Protocol):
    def __init__(
        self, requests: Iterator[bytes], deadline: float, done: asyncio.Future[None], accept: range
    ) -> None:
        self.requests, self.deadline, self.done, self.accept = requests, deadline, done, accept
        self.buffer = b""
        self.count = self.failures = 0
        self.latencies: list[float] = []
        self.failure = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._send()

    def _send(self) -> None:
        self.started = time.perf_counter()
        if self.started > self.deadline:
            self.transport.close()
            return
        self.transport.write(next(self.requests))

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.buffer[:end].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self.buffer) < end + 4 + length:
            return
        self.latencies.append((time.perf_counter() - self.started) * 1000)
        self.count += 1
        if int(head[9:12]) not in self.accept:
            self.failures += 1
            self.failure = self.buffer
        self.buffer = b""
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        if not self.done.done():
            self.done.set_result(None)


async def run(
    port: int,
    requests: Callable[[], Iterator[bytes]],
    *,
    connections: int = 16,
    seconds: float = 5.0,
    accept: range = range(200, 300),
) -> Load:
    """Load the server for `seconds`; raises if more than 1 % of the answers are not accepted."""
    loop = asyncio.get_running_loop()
    source = requests()
    started = time.perf_counter()
    made: list[_Connection] = []
    waits: list[asyncio.Future[None]] = []
    for _ in range(connections):
        done: asyncio.Future[None] = loop.create_future()
        protocol = _Connection(source, started + seconds, done, accept)
        await loop.create_connection(lambda p=protocol: p, "127.0.0.1", port)  # type: ignore[misc]
        made.append(protocol)
        waits.append(done)
    await asyncio.wait_for(asyncio.gather(*waits), seconds + 30)
    elapsed = time.perf_counter() - started
    count = sum(c.count for c in made)
    failures = sum(c.failures for c in made)
    if failures > count * 0.01:
        example = next(c.failure for c in made if c.failures)
        raise RuntimeError(f"{failures} of {count} requests failed, for example: {example[:600]!r}")
    return Load(count, elapsed, [x for c in made for x in c.latencies], failures)


def cycle(items: list[bytes]) -> Callable[[], Iterator[bytes]]:
    """The same requests again and again."""
    return lambda: itertools.cycle(items)
