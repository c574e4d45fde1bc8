"""The sender's statements: claim what is due, and write down what came of it, many at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from app.kernel.ids import new_id
from app.kernel.webhooks.schedule import next_attempt

if TYPE_CHECKING:
    from app.kernel.runtime import Kernel

LEASE = timedelta(seconds=120)
PER_ENDPOINT = 32
"""Deliveries that one endpoint may have in a sender's hands."""
PER_FAILING_ENDPOINT = 2
FAILING_AFTER = timedelta(seconds=60)
_CANDIDATES = 2_000
_ADVISORY_LOCK = 0x52_41_50_57


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery in this sender's hands, with all that its request needs."""

    tenant_id: UUID
    id: UUID
    endpoint_id: UUID
    attempts: int
    payload: str | None
    url: str
    secret: bytes
    previous_secret: bytes | None
    previous_secret_expires_at: datetime | None
    failing_since: datetime | None
    event_id: UUID
    event_type: str
    at: datetime | None
    actor_kind: str | None
    actor_id: UUID | None
    request_id: str | None
    object: str | None
    record_id: UUID | None
    data: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one attempt. `status` is None when there was no answer."""

    due: Due
    at: datetime
    status: int | None
    latency_ms: int
    error: str | None
    excerpt: str | None

    @property
    def succeeded(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


# The oldest due deliveries, but of each endpoint only so many; an endpoint that has failed for a while gets
# few, so that its timeouts do not fill the sender's hands.
_CLAIM = f"""
WITH candidates AS (
  SELECT d.*, row_number() OVER (PARTITION BY d.tenant_id, d.endpoint_id ORDER BY d.next_attempt_at, d.id) AS place
  FROM (
    SELECT tenant_id, id, endpoint_id, event_id, next_attempt_at FROM kernel.webhook_deliveries
    WHERE state = 'pending' AND next_attempt_at <= $1 AND endpoint_id <> ALL($4::uuid[])
    ORDER BY next_attempt_at, id LIMIT {_CANDIDATES}
  ) d
), chosen AS (
  SELECT c.tenant_id, c.id, c.event_id, e.id AS endpoint_id, e.url, e.secret, e.previous_secret,
    e.previous_secret_expires_at, e.failing_since
  FROM candidates c JOIN kernel.webhook_endpoints e ON e.tenant_id = c.tenant_id AND e.id = c.endpoint_id
  WHERE e.enabled AND e.deleted_at IS NULL AND c.place <=
    CASE WHEN e.failing_since <= $5 THEN {PER_FAILING_ENDPOINT} ELSE {PER_ENDPOINT} END
  ORDER BY c.next_attempt_at, c.id LIMIT $2
)
UPDATE kernel.webhook_deliveries d SET attempts = d.attempts + 1, next_attempt_at = $3
FROM chosen c LEFT JOIN kernel.outbox o ON o.tenant_id = c.tenant_id AND o.id = c.event_id
WHERE d.tenant_id = c.tenant_id AND d.id = c.id
RETURNING d.tenant_id, d.id, d.endpoint_id, d.attempts, d.payload::text AS payload, c.url, c.secret,
  c.previous_secret, c.previous_secret_expires_at, c.failing_since, d.event_id, d.event_type, o.at, o.actor_kind,
  o.actor_id, o.request_id, o.object, o.record_id, o.data::text AS data
"""

# `attempts` tells a delivery that was started anew meanwhile (a replay) from the one that was tried.
_RECORD = """
WITH results AS (
  SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::text[], $5::timestamptz[], $6::timestamptz[],
    $7::uuid[], $8::timestamptz[], $9::int[], $10::int[], $11::text[], $12::text[])
    AS r(tenant_id, delivery_id, attempts, state, next_attempt_at, finished_at,
         id, at, status, latency_ms, error, excerpt)
), settled AS (
  UPDATE kernel.webhook_deliveries d
  SET state = r.state, next_attempt_at = r.next_attempt_at, finished_at = r.finished_at
  FROM results r WHERE d.tenant_id = r.tenant_id AND d.id = r.delivery_id AND d.attempts = r.attempts
    AND d.state = 'pending'
  RETURNING d.tenant_id, d.state, r.at
), metered AS (
  INSERT INTO kernel.usage_records (tenant_id, id, at, metric, quantity)
  SELECT tenant_id, gen_random_uuid(), max(at), 'webhooks.delivered', count(*) FROM settled
  WHERE state = 'succeeded' GROUP BY tenant_id
)
INSERT INTO kernel.webhook_attempts (tenant_id, id, delivery_id, at, status, latency_ms, error, response_excerpt)
SELECT r.tenant_id, r.id, r.delivery_id, r.at, r.status, r.latency_ms, r.error, r.excerpt
FROM results r JOIN kernel.webhook_deliveries d ON d.tenant_id = r.tenant_id AND d.id = r.delivery_id
"""
_HEALTH = """
UPDATE kernel.webhook_endpoints e SET failing_since = h.failing_since
FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) AS h(tenant_id, id, failing_since)
WHERE e.tenant_id = h.tenant_id AND e.id = h.id AND (e.failing_since IS NULL) <> (h.failing_since IS NULL)
"""


async def claim(kernel: Kernel, limit: int, busy: Sequence[UUID]) -> list[Due]:
    """Take up to `limit` due deliveries, none of the endpoints in `busy`; a lease, not a lock."""
    now = kernel.clock.now()
    async with kernel.database.control() as connection:
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _ADVISORY_LOCK)
        rows = await connection.fetch(_CLAIM, now, limit, now + LEASE, busy, now - FAILING_AFTER)
    return [Due(**dict(row)) for row in rows]


async def give_back(kernel: Kernel, unsent: Sequence[Due]) -> None:
    """Let go of deliveries that were claimed and not tried."""
    if not unsent:
        return
    async with kernel.database.control() as connection:
        await connection.execute(
            "UPDATE kernel.webhook_deliveries d SET attempts = d.attempts - 1, next_attempt_at = $4"
            " FROM unnest($1::uuid[], $2::uuid[], $3::int[]) AS u(tenant_id, id, attempts)"
            " WHERE d.tenant_id = u.tenant_id AND d.id = u.id AND d.attempts = u.attempts AND d.state = 'pending'",
            [due.tenant_id for due in unsent],
            [due.id for due in unsent],
            [due.attempts for due in unsent],
            kernel.clock.now(),
        )


async def record(kernel: Kernel, outcomes: Sequence[Outcome]) -> None:
    """Write down attempts, what follows for their deliveries, and whether the endpoints work."""
    now = kernel.clock.now()
    columns: list[list[Any]] = [[] for _ in range(12)]
    for outcome in outcomes:
        for column, value in zip(columns, _row(outcome, now), strict=True):
            column.append(value)
    health = _health(outcomes, now)
    async with kernel.database.control() as connection:
        await connection.execute(_RECORD, *columns)
        if health:
            await connection.execute(_HEALTH, *map(list, zip(*health, strict=True)))


def _row(outcome: Outcome, now: datetime) -> tuple[Any, ...]:
    due = outcome.due
    again = None if outcome.succeeded else next_attempt(due.attempts, now)
    state = "succeeded" if outcome.succeeded else "pending" if again else "failed"
    return (
        due.tenant_id,
        due.id,
        due.attempts,
        state,
        again,
        None if again else now,
        new_id(),
        outcome.at,
        outcome.status,
        outcome.latency_ms,
        outcome.error,
        outcome.excerpt,
    )


def _health(outcomes: Sequence[Outcome], now: datetime) -> list[tuple[UUID, UUID, datetime | None]]:
    """Endpoints that began to fail or to work again; one success outweighs failures of the same moment."""
    worked: dict[tuple[UUID, UUID], bool] = {}
    for outcome in outcomes:
        key = (outcome.due.tenant_id, outcome.due.endpoint_id)
        worked[key] = worked.get(key, False) or outcome.succeeded
    before = {(o.due.tenant_id, o.due.endpoint_id): o.due.failing_since for o in outcomes}
    return [
        (*key, None if works else now) for key, works in worked.items() if works is not (before[key] is None)
    ]
