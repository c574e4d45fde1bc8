"""Server-sent events for signed-in people: what changed among the records that they may read.

One poller per process asks the database for all connected companies at once and hands events out in memory; a
browser that waits costs a queue and a timer. An event says which record changed and which fields, never their
values: the browser reads the record again, through the same rules as ever. `Last-Event-ID` goes on where a broken
connection ended (https://html.spec.whatwg.org/multipage/server-sent-events.html).
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import structlog
from starlette.responses import Response
from starlette.types import Receive, Send
from starlette.types import Scope as AsgiScope

from app.kernel.access import Actor, Scope, visible_rows
from app.kernel.db import Database
from app.kernel.errors import InvalidCursor, Problem
from app.kernel.listing import Bindings
from app.kernel.records import to_json

if TYPE_CHECKING:
    from app.kernel.runtime import Kernel

log = structlog.get_logger(__name__)

POLL_SECONDS: Final = 0.5
HEARTBEAT_SECONDS: Final = 20.0
BATCH: Final = 500
BACKLOG: Final = 1_000
"""Events that a reader may be behind; one that is further behind is told to read everything again."""

CHECKS: Final = 4
"""Connections that looking up who may see what takes at most: requests need the others."""

Position = tuple[int, UUID]
_START: Final = UUID(int=0)


@dataclass(frozen=True, slots=True)
class StreamedEvent:
    """One event as it goes through memory."""

    position: Position
    type: str
    object: str
    record_id: UUID
    version: int | None
    changed: tuple[str, ...]
    at: Any
    actor_id: UUID
    for_member_id: UUID | None = None

    def frame(self, hidden: frozenset[str]) -> bytes:
        """The event as server-sent text, without the names of fields that the reader may not know."""
        body = {
            "type": self.type,
            "object": self.object,
            "record_id": self.record_id,
            "version": self.version,
            "changed": [name for name in self.changed if name not in hidden],
            "time": self.at,
            "actor_id": self.actor_id,
        }
        tx, id = self.position
        return b"id: %d.%s\nevent: %s\ndata: %s\n\n" % (
            tx,
            str(id).encode(),
            self.type.encode(),
            to_json(body),
        )


@dataclass(eq=False, slots=True)
class Reader:
    """One connected browser: whose it is and what waits for it."""

    actor: Actor
    queue: asyncio.Queue[Sequence[StreamedEvent] | None] = field(default_factory=lambda: asyncio.Queue(50))

    def offer(self, events: Sequence[StreamedEvent]) -> None:
        """Hand events over; a reader that does not keep up is cut off and resumes by its last id."""
        with suppress(asyncio.QueueFull):
            self.queue.put_nowait(events)
            return
        while not self.queue.empty():
            self.queue.get_nowait()
        self.queue.put_nowait(None)


_NEW = """
SELECT o.tenant_id, o.tx::text AS tx, o.id, o.type, o.object, o.record_id, o.at, o.actor_id,
  (o.data ->> 'version')::bigint AS version, o.data -> 'changed' AS changed,
  o.data ->> 'for_member_id' AS for_member_id
FROM unnest($1::uuid[], $2::text[], $3::uuid[]) AS p(tenant_id, tx, id)
CROSS JOIN LATERAL (
  SELECT * FROM kernel.outbox o
  WHERE o.tenant_id = p.tenant_id AND (o.tx, o.id) > (p.tx::xid8, p.id)
    AND o.tx < kernel.tx_horizon()
  ORDER BY o.tx, o.id LIMIT $4
) o
ORDER BY o.tx, o.id
"""


class Hub:
    """Polls for all connected companies and hands out what is new. Runs while anybody is connected."""

    def __init__(self, kernel: Kernel, *, poll_seconds: float = POLL_SECONDS) -> None:
        self.kernel = kernel
        self.poll_seconds = poll_seconds
        self.checks = asyncio.Semaphore(CHECKS)
        self._readers: dict[UUID, set[Reader]] = {}
        self._positions: dict[UUID, Position] = {}
        self._task: asyncio.Task[None] | None = None

    async def join(self, reader: Reader) -> Position:
        """Connect a reader; it gets every event after the position that is returned."""
        tenant_id = reader.actor.tenant_id
        if tenant_id not in self._positions:
            horizon = await self._horizon()
            self._positions.setdefault(tenant_id, horizon)
        self._readers.setdefault(tenant_id, set()).add(reader)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._poll())
        return self._positions[tenant_id]

    def leave(self, reader: Reader) -> None:
        """Disconnect a reader; without any, polling ends."""
        tenant_id = reader.actor.tenant_id
        left = self._readers.get(tenant_id, set())
        left.discard(reader)
        if not left:
            self._readers.pop(tenant_id, None)
            self._positions.pop(tenant_id, None)
        if not self._readers and self._task is not None:
            self._task.cancel()
            self._task = None

    async def since(self, tenant_id: UUID, position: Position, end: Position) -> list[StreamedEvent] | None:
        """Events behind a position, up to `end`; None when there are too many to catch up with."""
        async with self.kernel.database.control_session() as connection:
            rows = await connection.fetch(_NEW, [tenant_id], [str(position[0])], [position[1]], BACKLOG + 1)
        events = [event for event in map(_event, rows) if event.position <= end]
        return None if len(events) > BACKLOG else events

    async def _horizon(self) -> Position:
        async with self.kernel.database.control_session() as connection:
            xmin = await connection.fetchval("SELECT kernel.tx_horizon()::text")
        return int(xmin), _START

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self.poll_seconds)
            try:
                while await self._hand_out():
                    pass
            except Exception as error:
                log.error("stream poll failed", exc_info=error)
                await asyncio.sleep(1)

    async def _hand_out(self) -> bool:
        """One look at the database; whether there may be more at once."""
        asked = dict(self._positions)
        async with self.kernel.database.control_session() as connection:
            rows = await connection.fetch(
                _NEW,
                list(asked),
                [str(tx) for tx, _ in asked.values()],
                [id for _, id in asked.values()],
                BATCH,
            )
        fresh: dict[UUID, list[StreamedEvent]] = {}
        for row in rows:
            fresh.setdefault(row["tenant_id"], []).append(_event(row))
        for tenant_id, events in fresh.items():
            if self._positions.get(tenant_id) != asked[tenant_id]:
                continue  # everybody left, or left and came back, meanwhile
            self._positions[tenant_id] = events[-1].position
            for reader in self._readers.get(tenant_id, ()):
                reader.offer(events)
        return any(len(events) == BATCH for events in fresh.values())


def _event(row: Any) -> StreamedEvent:
    changed = row["changed"]
    return StreamedEvent(
        position=(int(row["tx"]), row["id"]),
        type=row["type"],
        object=row["object"],
        record_id=row["record_id"],
        version=row["version"],
        changed=tuple(changed) if isinstance(changed, list) else (),
        at=row["at"],
        actor_id=row["actor_id"],
        for_member_id=UUID(row["for_member_id"]) if row["for_member_id"] else None,
    )


_hubs: weakref.WeakKeyDictionary[Database, Hub] = weakref.WeakKeyDictionary()


def hub_of(kernel: Kernel) -> Hub:
    """The hub of a process, made when the first browser connects."""
    found = _hubs.get(kernel.database)
    if found is None:
        found = _hubs[kernel.database] = Hub(kernel)
    return found


# -- who may see what ----------------------------------------------------------------------------------------


async def visible(kernel: Kernel, actor: Actor, events: Sequence[StreamedEvent]) -> list[StreamedEvent]:
    """The events about records that the actor may read: one statement per batch and kind of record.

    A record that has just been deleted counts as it last was. What is no record type needs `<object>:read`, or
    `event:read` where there is no such permission. What is for one member is seen by that member, and nobody else.
    """
    shared = [event for event in events if event.for_member_id is None]
    wanted: dict[str, set[UUID]] = {}
    free: set[str] = set()
    for name in {event.object for event in shared}:
        scope = _reading_scope(kernel, actor, name)
        if scope is Scope.ALL:
            free.add(name)
        elif scope is not Scope.NONE:
            wanted[name] = {event.record_id for event in shared if event.object == name}
    seen = await _readable(kernel, actor, wanted) if wanted else {}
    return [
        e
        for e in events
        if (
            e.object in free or e.record_id in seen.get(e.object, ())
            if e.for_member_id is None
            else e.for_member_id == actor.member_id
        )
    ]


def _reading_scope(kernel: Kernel, actor: Actor, object_name: str) -> Scope:
    registry = kernel.registry
    if object_name in registry.records:
        return actor.scope(f"{object_name}:read")
    named = f"{object_name}:read"
    scope = actor.scope(named if named in registry.permissions else "event:read")
    return Scope.ALL if scope is not Scope.NONE else Scope.NONE


async def _readable(kernel: Kernel, actor: Actor, wanted: dict[str, set[UUID]]) -> dict[str, set[UUID]]:
    found: dict[str, set[UUID]] = {}
    actor = replace(
        actor, reach={}
    )  # events show records whole: what one reaches beyond one's role is looked up
    async with (
        hub_of(kernel).checks,
        kernel.database.tenant(actor.tenant_id, read_only=True) as connection,
    ):
        for name, ids in wanted.items():
            bind = Bindings(actor.tenant_id, list(ids))
            condition = visible_rows(actor, name, "read", bind)
            rows = await connection.fetch(
                f"SELECT t.id FROM {kernel.registry.records[name].table} t"
                f" WHERE t.tenant_id = $1 AND t.id = ANY($2::uuid[]) AND {condition or 'true'}",
                *bind.values,
            )
            found[name] = {row["id"] for row in rows}
    return found


# -- the response --------------------------------------------------------------------------------------------


def parse_position(value: str | None) -> Position | None:
    """A `Last-Event-ID` of ours, or None without one. Raises `InvalidCursor`."""
    if not value:
        return None
    tx, _, id = value.partition(".")
    if not (tx.isascii() and tx.isdigit() and len(tx) <= 19):
        raise InvalidCursor("This Last-Event-ID is none of ours.")
    try:
        return int(tx), UUID(id)
    except ValueError:
        raise InvalidCursor("This Last-Event-ID is none of ours.") from None


class EventStream(Response):
    """Writes frames until the browser leaves, its credentials end, or it falls behind."""

    media_type = "text/event-stream"

    def __init__(
        self,
        kernel: Kernel,
        actor: Actor,
        *,
        last: Position | None = None,
        still: Callable[[], Awaitable[Actor]],
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
    ) -> None:
        """`still` authenticates again: it gives the actor as of now, or raises `Problem`."""
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self.kernel = kernel
        self.actor = actor
        self.last = last
        self.still = still
        self.heartbeat_seconds = heartbeat_seconds

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        hub, reader = hub_of(self.kernel), Reader(self.actor)
        position = await hub.join(reader)
        writing = asyncio.create_task(self._write(hub, reader, position, send))
        leaving = asyncio.create_task(_disconnected(receive))
        try:
            await asyncio.wait({writing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            hub.leave(reader)
            for task in (writing, leaving):
                task.cancel()
            await asyncio.gather(writing, leaving, return_exceptions=True)

    async def _write(self, hub: Hub, reader: Reader, position: Position, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await _chunk(send, b"retry: 2000\n: connected\n\n")
        if self.last is not None:
            missed = await hub.since(self.actor.tenant_id, self.last, position)
            if missed is None:
                await _chunk(send, b"event: reset\ndata: {}\n\n")
            else:
                await self._show(send, missed)
        while True:
            try:
                events = await asyncio.wait_for(reader.queue.get(), self.heartbeat_seconds)
            except TimeoutError:
                events = ()
            if events is None:
                break
            try:
                self.actor = await self.still()
            except Problem:
                break  # signed out, revoked, suspended or expired: the browser connects again, if it may
            await (self._show(send, events) if events else _chunk(send, b": still here\n\n"))
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _show(self, send: Send, events: Sequence[StreamedEvent]) -> None:
        shown = await visible(self.kernel, self.actor, events)
        if shown:
            await _chunk(send, b"".join(event.frame(self.actor.hidden(event.object)) for event in shown))


async def _chunk(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
