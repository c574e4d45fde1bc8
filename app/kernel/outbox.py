"""The outbox relay: events that were committed with their rows reach everyone who reacts to them.

Rows are claimed, not read by a watermark: a transaction that commits late is simply found later. A claim is a
lease, so that a killed worker's events are taken up by another one; the inbox row, written in the reaction's own
transaction, makes each reaction take effect once all the same. Events of one record are handled in order: as
long as one waits for another try, the later ones of that record wait behind it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import structlog

from app.kernel.access import system_actor
from app.kernel.db import Connection
from app.kernel.ids import new_id
from app.kernel.locks import lock_name
from app.kernel.retention import delete_rows
from app.kernel.uow import UnitOfWork, transaction

if TYPE_CHECKING:
    from app.kernel.registry import Subscription
    from app.kernel.runtime import Kernel

log = structlog.get_logger(__name__)

BATCH = 500
POLL_SECONDS = 0.2
FEWEST = 50
CONCURRENCY = 6
PUBLISHED_AT_ONCE = 50
"""Of events that everybody has reacted to. A killed worker's are passed on again, which changes nothing."""
LEASE = timedelta(seconds=90)
HANDLER_SECONDS = 60.0
RETRY_AFTER = (1, 5, 15, 60, 300, 900, 1_800, 3_600, 7_200)
"""Seconds to wait after the first, second, … failure; after one more the event is a dead letter."""
RETENTION = timedelta(days=30)

ENDPOINTS = "webhook-endpoints"
"""The lock that keeps a tenant's endpoints as they are."""
_ADVISORY_LOCK = 0x52_41_50_4F  # one claim at a time: two at once could part the events of one record

# An event is loud if somebody in this process reacts to one of its record's that are due; the others are done with
# their webhook deliveries, which the same transaction makes, and are published at once.
#
# Tenants take turns by the weights of their plans: each brings its first events, as many as its share of the batch
# and FEWEST at least, and the batch is what comes first when the places are divided by the weights.
#
# A planner that last heard of the table when nothing waited takes all that waits for a row or two. So each look is
# written as the one probe that it is. OFFSET 0 keeps the look behind an event from becoming a join; coalesce leaves
# it ix_outbox_tried alone: of the index of what waits it would read all that stands before each event. What is
# claimed is locked row by row, by its key, and not joined with all that waits.
_CLAIM = f"""
WITH RECURSIVE tenants AS (
  (SELECT tenant_id FROM kernel.outbox WHERE published_at IS NULL AND dead_at IS NULL ORDER BY tenant_id LIMIT 1)
  UNION ALL
  SELECT (SELECT o.tenant_id FROM kernel.outbox o
          WHERE o.tenant_id > t.tenant_id AND o.published_at IS NULL AND o.dead_at IS NULL
          ORDER BY o.tenant_id LIMIT 1)
  FROM tenants t WHERE t.tenant_id IS NOT NULL
), shares AS (
  SELECT t.tenant_id, coalesce(a.weight, 1)::float8 AS weight,
    least($2::bigint, greatest({FEWEST},
      ceil($2::bigint * coalesce(a.weight, 1) / sum(coalesce(a.weight, 1)) OVER ())))::bigint AS share
  FROM tenants t LEFT JOIN kernel.allowances a ON a.tenant_id = t.tenant_id WHERE t.tenant_id IS NOT NULL
), first AS (
  SELECT e.tenant_id, e.id, (row_number() OVER (PARTITION BY e.tenant_id ORDER BY e.id) - 1) / s.weight AS turn
  FROM shares s CROSS JOIN LATERAL (
    SELECT o.tenant_id, o.id FROM kernel.outbox o
    WHERE o.tenant_id = s.tenant_id AND o.published_at IS NULL AND o.dead_at IS NULL
      AND (o.next_attempt_at IS NULL OR o.next_attempt_at <= $1)
      AND NOT EXISTS (
        SELECT 1 FROM kernel.outbox earlier
        WHERE earlier.tenant_id = o.tenant_id AND earlier.record_id = o.record_id AND earlier.id < o.id
          AND earlier.next_attempt_at > $1 AND coalesce(earlier.published_at, earlier.dead_at) IS NULL
        OFFSET 0)
    ORDER BY o.id LIMIT s.share) e
), due AS (
  SELECT o.*, f.turn FROM (SELECT * FROM first ORDER BY turn, id LIMIT $2::bigint) f CROSS JOIN LATERAL (
    SELECT o.tenant_id, o.id, o.record_id, o.type FROM kernel.outbox o
    WHERE o.tenant_id = f.tenant_id AND o.id = f.id AND o.published_at IS NULL AND o.dead_at IS NULL
      AND (o.next_attempt_at IS NULL OR o.next_attempt_at <= $1)
    FOR UPDATE SKIP LOCKED) o
), judged AS (
  SELECT tenant_id, id, turn, bool_or(type = ANY($4::text[])) OVER (PARTITION BY tenant_id, record_id) AS loud
  FROM due
)
UPDATE kernel.outbox o SET attempts = o.attempts + 1,
  next_attempt_at = CASE WHEN j.loud THEN $3::timestamptz END,
  published_at = CASE WHEN NOT j.loud THEN $1::timestamptz END,
  last_error = CASE WHEN j.loud THEN o.last_error END
FROM judged j WHERE o.tenant_id = j.tenant_id AND o.id = j.id
RETURNING j.loud, j.turn, o.tenant_id, o.id, o.type, o.record_id, o.request_id, o.attempts,
  CASE WHEN j.loud THEN o.data END AS data
"""

# A pattern is a type, or has `*` for any rest: `leads.*`, `*`.
_MATCHES = r"""
SELECT o.tenant_id, o.id, o.type, e.id AS endpoint_id
FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS o(tenant_id, id, type)
JOIN kernel.webhook_endpoints e ON e.tenant_id = o.tenant_id AND e.enabled AND e.deleted_at IS NULL
WHERE EXISTS (
  SELECT 1 FROM unnest(e.event_types) AS p WHERE o.type LIKE replace(replace(p, '_', '\_'), '*', '%'))
"""
_DELIVER = """
INSERT INTO kernel.webhook_deliveries (tenant_id, id, endpoint_id, event_id, event_type, created_at, next_attempt_at)
SELECT d.*, $6, $6 FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[]) AS d
ON CONFLICT DO NOTHING
"""
_PUBLISHED = """
UPDATE kernel.outbox o SET published_at = $3, next_attempt_at = NULL, last_error = NULL
FROM unnest($1::uuid[], $2::uuid[]) AS d(tenant_id, id) WHERE o.tenant_id = d.tenant_id AND o.id = d.id
"""
_HELD_BACK = """
UPDATE kernel.outbox o SET attempts = o.attempts - 1, next_attempt_at = NULL
FROM unnest($1::uuid[], $2::uuid[]) AS d(tenant_id, id) WHERE o.tenant_id = d.tenant_id AND o.id = d.id
"""
_FIRST = """
INSERT INTO kernel.inbox (tenant_id, handler, event_id, handled_at)
SELECT $1, $2, e.id, $4 FROM (SELECT unnest($3::uuid[]) AS id ORDER BY 1) e
ON CONFLICT DO NOTHING RETURNING event_id
"""
_FAILED = """
UPDATE kernel.outbox SET next_attempt_at = $3, last_error = $4, dead_at = $5 WHERE tenant_id = $1 AND id = $2
"""


@dataclass(frozen=True, slots=True)
class Claimed:
    """An event that this worker is to pass on."""

    tenant_id: UUID
    id: UUID
    type: str
    record_id: UUID
    request_id: str
    attempts: int
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Batch:
    """How many events were claimed, and those that somebody reacts to: by turns, and each tenant's in order."""

    count: int
    loud: list[Claimed]


class Relay:
    """Passes committed events on: to the modules that subscribed, and to webhook deliveries."""

    def __init__(
        self,
        kernel: Kernel,
        *,
        batch: int = BATCH,
        poll_seconds: float = POLL_SECONDS,
        concurrency: int = CONCURRENCY,
    ) -> None:
        self.kernel = kernel
        self.batch = batch
        self.poll_seconds = poll_seconds
        self._slots = asyncio.Semaphore(concurrency)
        self._passed_on: list[Claimed] = []  # and not yet marked so
        self._had: set[tuple[UUID, str]] = set()  # event and reaction: handled in a batch

    async def run(self, stop: asyncio.Event) -> None:
        """Pass events on until `stop`; a batch that was begun is finished."""
        while not stop.is_set():
            if await self.run_once():
                continue
            try:
                await asyncio.wait_for(stop.wait(), self.poll_seconds)
            except TimeoutError:
                continue

    async def run_once(self) -> int:
        """Claim one batch and pass it on; the number of events claimed."""
        claimed = await self._claim()
        records: dict[tuple[UUID, UUID], list[Claimed]] = {}
        for event in claimed.loud:
            records.setdefault((event.tenant_id, event.record_id), []).append(event)
        waiting: list[list[Claimed]] = list(records.values())
        while waiting:
            await self._at_once([events[0] for events in waiting])
            rests = await asyncio.gather(*(self._in_order(events) for events in waiting))
            waiting = [rest for rest in rests if rest]
        await self._publish(least=1)
        return claimed.count

    async def _claim(self) -> _Batch:
        """Claim what is due, with its webhook deliveries; what nobody here reacts to is published by that."""
        now = self.kernel.clock.now()
        reacted_to = list(self.kernel.registry.subscriptions)
        async with self.kernel.database.control() as connection:
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _ADVISORY_LOCK)
            rows = await connection.fetch(_CLAIM, now, self.batch, now + LEASE, reacted_to)
            if rows:
                await _deliver(connection, rows, now)
        loud = sorted((row for row in rows if row["loud"]), key=lambda row: (row["turn"], row["id"]))
        return _Batch(len(rows), [Claimed(*row[2:]) for row in loud])

    async def _at_once(self, events: Sequence[Claimed]) -> None:
        """Run the reactions that take batches; an event that was tried before is handled alone, whatever it did."""
        batches: dict[tuple[UUID, str], tuple[Subscription, list[Claimed]]] = {}
        for event in events:
            for subscription in self._reactions(event) if event.attempts == 1 else ():
                if subscription.batch:
                    key = (event.tenant_id, subscription.key)
                    batches.setdefault(key, (subscription, []))[1].append(event)
        several = [(reaction, batch) for reaction, batch in batches.values() if len(batch) > 1]
        await asyncio.gather(*(self._try_batch(reaction, batch) for reaction, batch in several))

    async def _try_batch(self, subscription: Subscription, events: Sequence[Claimed]) -> None:
        async with self._slots:
            try:
                async with asyncio.timeout(HANDLER_SECONDS):
                    await self._run_once_ever(events, subscription)
            except Exception as error:
                log.warning(
                    "batch failed, its events are handled one by one",
                    events=len(events),
                    subscription=subscription.name,
                    exc_info=error,
                )
                return
        self._had.update((event.id, subscription.key) for event in events)

    def _reactions(self, event: Claimed) -> Sequence[Subscription]:
        return self.kernel.registry.subscriptions.get(event.type, ())

    async def _in_order(self, events: list[Claimed]) -> list[Claimed]:
        """Pass on the claimed events of one record; after a failure the rest waits.

        It ends before the next event that others may be handled together with; what is left.
        """
        async with self._slots:
            for position, event in enumerate(events):
                if position and any(subscription.batch for subscription in self._reactions(event)):
                    return events[position:]
                failures = await self._react(event)
                if failures:
                    async with self.kernel.database.control() as connection:
                        await self._put_off(connection, event, failures)
                        await connection.execute(_HELD_BACK, *_keys(events[position + 1 :]))
                    return []
                self._passed_on.append(event)
                await self._publish(least=PUBLISHED_AT_ONCE)
        return []

    async def _publish(self, *, least: int) -> None:
        """Mark the events that were passed on, if there are so many: a transaction for each would cost more
        than most reactions do."""
        if len(self._passed_on) >= least:
            events, self._passed_on = self._passed_on, []
            async with self.kernel.database.control() as connection:
                await connection.execute(_PUBLISHED, *_keys(events), self.kernel.clock.now())

    async def _react(self, event: Claimed) -> list[str]:
        """Run every reaction to an event, each in its own transaction; what went wrong."""
        failures = []
        for subscription in self._reactions(event):
            if (event.id, subscription.key) in self._had:
                self._had.remove((event.id, subscription.key))
                continue
            try:
                async with asyncio.timeout(HANDLER_SECONDS):
                    await self._run_once_ever([event], subscription)
            except Exception as error:
                failures.append(f"{subscription.name}: {type(error).__name__}: {error}")
                log.warning(
                    "reaction failed",
                    event_id=str(event.id),
                    event_type=event.type,
                    subscription=subscription.name,
                    attempt=event.attempts,
                    exc_info=error,
                )
        return failures

    async def _run_once_ever(self, events: Sequence[Claimed], subscription: Subscription) -> None:
        """Handle these events of one company, but for those that were handled before, in one transaction.

        What it writes carries the id of the request that they all come from, if there is one.
        """
        tenant = await self.kernel.authenticator.tenant_profile(events[0].tenant_id)
        requests = {event.request_id for event in events}
        request_id = events[0].request_id if len(requests) == 1 else ""
        async with transaction(self.kernel, system_actor(tenant), request_id=request_id) as uow:
            rows = await uow.fetch(
                _FIRST, uow.tenant_id, subscription.key, [event.id for event in events], uow.now
            )
            first = {row["event_id"] for row in rows}
            told = [subscription.payload.model_validate(one.data) for one in events if one.id in first]
            if told:
                await subscription.handle(uow, told if subscription.batch else told[0])

    async def _put_off(self, connection: Connection, event: Claimed, failures: Sequence[str]) -> None:
        now = self.kernel.clock.now()
        dead = event.attempts > len(RETRY_AFTER)
        again = None if dead else now + timedelta(seconds=RETRY_AFTER[event.attempts - 1])
        error = "\n".join(failures)[:2_000].replace("\0", "")
        await connection.execute(_FAILED, event.tenant_id, event.id, again, error, now if dead else None)
        if dead:
            log.error("dead letter", event_id=str(event.id), event_type=event.type, error=error)


async def nobody_hears(uow: UnitOfWork, event_type: str) -> bool:
    """Whether an event concerns no module of this process and no endpoint of the tenant.

    It stays so until the transaction ends: whoever adds an endpoint or switches one on waits for that, and hears of
    what comes after.
    """
    if event_type in uow.kernel.registry.subscriptions:
        return False
    await lock_name(uow, ENDPOINTS, shared=True)
    rows = await uow.fetch(
        "SELECT 1 FROM kernel.webhook_endpoints WHERE tenant_id = $1 AND enabled AND deleted_at IS NULL LIMIT 1",
        uow.tenant_id,
    )
    return not rows


async def _deliver(connection: Connection, events: Sequence[asyncpg.Record], now: datetime) -> None:
    tenants, ids, types = ([event[name] for event in events] for name in ("tenant_id", "id", "type"))
    matches = await connection.fetch(_MATCHES, tenants, ids, types)
    if matches:
        await connection.execute(
            _DELIVER,
            [row["tenant_id"] for row in matches],
            [new_id() for _ in matches],
            [row["endpoint_id"] for row in matches],
            [row["id"] for row in matches],
            [row["type"] for row in matches],
            now,
        )


def _keys(events: Sequence[Claimed]) -> tuple[list[UUID], list[UUID]]:
    return [event.tenant_id for event in events], [event.id for event in events]


# -- retention -----------------------------------------------------------------------------------------------

_PURGES = (
    ("kernel.webhook_deliveries", "created_at < $1 AND state <> 'pending'"),
    ("kernel.outbox", "at < $1 AND (published_at IS NOT NULL OR dead_at IS NOT NULL)"),
    ("kernel.inbox", "handled_at < $1"),
    ("kernel.webhook_endpoints", "deleted_at < $1"),
)
# Fanned out at the moment in which their endpoint was switched off: nobody will send them.
_ORPHANS = """
UPDATE kernel.webhook_deliveries d SET state = 'cancelled', next_attempt_at = NULL, finished_at = $1
FROM kernel.webhook_endpoints e
WHERE d.state = 'pending' AND e.tenant_id = d.tenant_id AND e.id = d.endpoint_id
  AND (NOT e.enabled OR e.deleted_at IS NOT NULL)
"""


async def purge(kernel: Kernel) -> int:
    """Delete events, deliveries and inbox rows older than `RETENTION`, in small steps; the number of rows."""
    before = kernel.clock.now() - RETENTION
    async with kernel.database.control() as connection:
        await connection.execute(_ORPHANS, kernel.clock.now())
    return sum([await delete_rows(kernel, table, old, before) for table, old in _PURGES])
