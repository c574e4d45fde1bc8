"""The worker's side: claim due jobs in fair turns, run them under a lease, and write how they end."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import structlog

from app.kernel.access import Actor
from app.kernel.errors import Problem
from app.kernel.fair_share import FairTurns
from app.kernel.ids import new_id
from app.kernel.jobs.context import (
    JobCancelled,
    JobContext,
    JobDeferred,
    JobLost,
    JobPaused,
    actor_of,
    require_open,
)
from app.kernel.metrics import observe_job

if TYPE_CHECKING:
    from app.kernel.registry import JobKind
    from app.kernel.runtime import Kernel

log = structlog.get_logger(__name__)

LEASE = timedelta(seconds=60)
POLL_SECONDS = 0.5
CONCURRENCY = 4
GRACE_SECONDS = 20.0
FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(hours=1)
SPARE_HANDS = 2
"""So many more jobs run when all hands are full, of tenants that have none: long jobs keep nobody else waiting."""

_CLAIM = """
WITH RECURSIVE tenants AS (
  (SELECT tenant_id FROM kernel.jobs WHERE state IN ('queued', 'running') ORDER BY tenant_id LIMIT 1)
  UNION ALL
  SELECT (SELECT j.tenant_id FROM kernel.jobs j WHERE j.tenant_id > t.tenant_id AND j.state IN ('queued', 'running')
          ORDER BY j.tenant_id LIMIT 1)
  FROM tenants t WHERE t.tenant_id IS NOT NULL
), busy AS (
  SELECT tenant_id, count(*) AS running FROM kernel.jobs
  WHERE state = 'running' AND locked_until > $1 AND tenant_id = ANY(ARRAY(SELECT tenant_id FROM tenants))
  GROUP BY tenant_id
), due AS (
  SELECT d.tenant_id, d.id, d.run_at, coalesce(a.weight, 1) AS weight,
    coalesce(f.lag, 0) + (coalesce(b.running, 0) + d.place - 1)::float8 / coalesce(a.weight, 1) AS turn
  FROM tenants t
  CROSS JOIN LATERAL (
    SELECT j.tenant_id, j.id, j.run_at, row_number() OVER (ORDER BY j.run_at, j.id) AS place
    FROM (
      SELECT * FROM kernel.jobs q
      WHERE q.tenant_id = t.tenant_id AND q.state IN ('queued', 'running') AND q.run_at <= $1
        AND (q.state = 'queued' OR q.locked_until <= $1)
      ORDER BY q.run_at, q.id LIMIT $2
    ) j
  ) d
  LEFT JOIN busy b ON b.tenant_id = t.tenant_id
  LEFT JOIN kernel.allowances a ON a.tenant_id = t.tenant_id
  LEFT JOIN unnest($5::uuid[], $6::float8[]) AS f(tenant_id, lag) ON f.tenant_id = t.tenant_id
  WHERE t.tenant_id IS NOT NULL AND t.tenant_id <> ALL($7::uuid[])
), chosen AS (
  SELECT j.tenant_id, j.id, d.weight, d.turn
  FROM kernel.jobs j JOIN due d ON d.tenant_id = j.tenant_id AND d.id = j.id
  WHERE j.state = 'queued' OR (j.state = 'running' AND j.locked_until <= $1)
  ORDER BY d.turn, d.run_at, d.id
  LIMIT $2
  FOR UPDATE OF j SKIP LOCKED
)
UPDATE kernel.jobs j
SET state = 'running', locked_by = $3, locked_until = $4, attempts = j.attempts + 1,
    started_at = coalesce(j.started_at, $1)
FROM chosen c WHERE j.tenant_id = c.tenant_id AND j.id = c.id
RETURNING j.tenant_id, j.id, j.name, j.payload, j.attempts, j.actor_kind, j.actor_id, j.request_id, j.session_id,
  j.cancel_requested, c.weight, c.turn
"""

_MINE = " WHERE tenant_id = $1 AND id = $2 AND locked_by = $3 AND state = 'running'"


class JobRunner:
    """Claims and runs jobs until told to stop."""

    def __init__(
        self,
        kernel: Kernel,
        *,
        concurrency: int = CONCURRENCY,
        lease: timedelta = LEASE,
        poll: float = POLL_SECONDS,
    ) -> None:
        self.kernel = kernel
        self.concurrency = concurrency
        self.lease = lease
        self.poll = poll
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{new_id()}"
        self._running: dict[asyncio.Task[None], UUID] = {}  # of which tenant
        self._turns = FairTurns()

    async def run(self, stop: asyncio.Event, *, grace: float = GRACE_SECONDS) -> None:
        """Work until `stop`; then let running jobs finish for `grace` seconds and give the others back."""
        try:
            while not stop.is_set():
                claimed = await self._claim_free()
                for row in claimed:
                    task = asyncio.create_task(self.work(row, stop))
                    self._running[task] = row["tenant_id"]
                    task.add_done_callback(lambda done: self._running.pop(done, None))
                if not claimed or len(self._running) >= self.concurrency:
                    await self._pause(stop)
        finally:
            if self._running:
                await asyncio.wait(self._running, timeout=grace)
            for task in list(self._running):
                task.cancel()
            if self._running:
                await asyncio.wait(self._running)

    async def _pause(self, stop: asyncio.Event) -> None:
        """Until something ends, the stop is called, or it is time to look again."""
        waiting = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait(
                {waiting, *self._running}, timeout=self.poll, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            waiting.cancel()

    async def run_due(self) -> int:
        """Run what is due now, one after the other, until nothing is: for tests and the command line."""
        done = 0
        stop = asyncio.Event()
        while rows := await self.claim(1):
            await self.work(rows[0], stop)
            done += 1
        return done

    async def _claim_free(self) -> list[asyncpg.Record]:
        """Jobs for the hands that are free; without any, one for a tenant whose only hope is that others' end."""
        free = self.concurrency - len(self._running)
        if free > 0:
            return await self.claim(free)
        if len(self._running) < self.concurrency + SPARE_HANDS:
            return await self.claim(1, without=set(self._running.values()))
        return []

    async def claim(self, limit: int, *, without: Collection[UUID] = ()) -> list[asyncpg.Record]:
        """Take up to `limit` due jobs, in fair turns among tenants by the weights of their plans."""
        now = self.kernel.clock.now()
        async with self.kernel.database.control() as connection:
            rows = await connection.fetch(
                _CLAIM, now, limit, self.owner, now + self.lease, *self._turns.ahead(), list(without)
            )
        rows.sort(key=lambda row: row["turn"])
        for row in rows:
            self._turns.served(row["tenant_id"], row["weight"])
        return rows

    async def work(self, row: asyncpg.Record, stop: asyncio.Event) -> None:
        """Run one claimed job, write how it ended, and measure it if it did; an attempt that is repeated did not."""
        began = time.monotonic()
        outcome = await self._work(row, stop)
        if outcome is not None:
            known = row["name"] in self.kernel.registry.jobs
            observe_job(row["name"] if known else "unknown", outcome, time.monotonic() - began)

    async def _work(self, row: asyncpg.Record, stop: asyncio.Event) -> str | None:
        """Run one claimed job; the state it ended in, or None where it goes on later or elsewhere."""
        kind = self.kernel.registry.jobs.get(row["name"])
        job = log.bind(job=row["name"], job_id=str(row["id"]), tenant_id=str(row["tenant_id"]))
        try:
            if kind is None:
                raise Problem(f"No module knows jobs named {row['name']!r}.")
            if row["cancel_requested"] and row["attempts"] == 1:
                raise JobCancelled
            if row["attempts"] > kind.attempts:
                return await self._fail(
                    row, "It was started too often without coming to an end; a worker died each time."
                )
            result = await self._attempt(row, kind, stop)
        except asyncio.CancelledError:
            await self._release(row)
            raise
        except JobPaused:
            await self._release(row)
            return None
        except JobDeferred as deferred:
            await self._defer(row, deferred)
            return None
        except JobCancelled:
            return await self._finish(row, "cancelled")
        except JobLost:
            job.warning("job lost", attempt=row["attempts"])
            return None
        except Problem as refusal:
            if refusal.status >= 500:
                return await self._retry(row, kind, refusal)
            return await self._fail(row, refusal.detail)
        except Exception as error:  # noqa: BLE001 - whatever job code raises is kept on its row
            job.error("job failed", attempt=row["attempts"], exc_info=error)
            return await self._retry(row, kind, error)
        return await self._finish(row, "completed", result=result)

    async def _attempt(self, row: asyncpg.Record, kind: JobKind, stop: asyncio.Event) -> dict[str, Any]:
        actor = await self._actor(row, kind)
        context = JobContext(
            kernel=self.kernel,
            actor=actor,
            id=row["id"],
            payload=row["payload"],
            attempt=row["attempts"],
            request_id=row["request_id"],
            owner=self.owner,
            stopping=stop,
        )
        payload = kind.payload.model_validate(row["payload"])
        running = asyncio.ensure_future(kind.run(context, payload))
        async with self._heartbeat(row, kind, running) as stopped:
            try:
                result = await running
            except asyncio.CancelledError:
                if stopped:
                    raise stopped[0] from None
                running.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await running
                raise
        return dict(result or {})

    async def _actor(self, row: asyncpg.Record, kind: JobKind) -> Actor:
        """Who the job acts as. Raises: JobDeferred while the company's account is closed to such work."""
        actor = await actor_of(
            self.kernel,
            row["tenant_id"],
            row["actor_kind"],
            row["actor_id"],
            session_id=row["session_id"],
            ended=kind.outlives_session,
        )
        if not kind.while_closed:
            require_open(actor, self.kernel.clock.now())
        return actor

    @asynccontextmanager
    async def _heartbeat(
        self, row: asyncpg.Record, kind: JobKind, running: asyncio.Future[Any]
    ) -> AsyncIterator[list[Exception]]:
        """Renew the lease while the job runs; one whose lease is gone, or that may not go on, is stopped: why."""
        stopped: list[Exception] = []

        async def beat() -> None:
            while not stopped:
                await asyncio.sleep(self.lease.total_seconds() / 3)
                until = self.kernel.clock.now() + self.lease
                try:
                    if not await self._mine(row, "locked_until = $4", until):
                        stopped.append(JobLost())
                    elif row["actor_kind"] == "impersonation" or not kind.while_closed:
                        await self._actor(row, kind)
                except (JobDeferred, Problem) as reason:
                    stopped.append(reason)
                except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                    continue  # the next beat tries again; the lease is three beats long
            running.cancel()

        beating = asyncio.create_task(beat())
        try:
            yield stopped
        finally:
            beating.cancel()

    async def _mine(self, row: asyncpg.Record, changes: str, *values: Any) -> bool:
        """Change the row if it is still ours; whether it was."""
        async with self.kernel.database.control() as connection:
            status = await connection.execute(
                f"UPDATE kernel.jobs SET {changes}{_MINE}", row["tenant_id"], row["id"], self.owner, *values
            )
        return status.endswith(" 1")

    def _wiped(self, row: asyncpg.Record) -> str:
        kind = self.kernel.registry.jobs.get(row["name"])
        return ", payload = '{}'" if kind is not None and kind.wipe else ""

    async def _finish(
        self, row: asyncpg.Record, state: str, *, result: dict[str, Any] | None = None
    ) -> str | None:
        """End the job in a state; that state, or None if the job is another worker's by then."""
        ended = await self._mine(
            row,
            f"state = $4, result = $5, finished_at = $6, locked_until = NULL{self._wiped(row)}",
            state,
            result,
            self.kernel.clock.now(),
        )
        return state if ended else None

    async def _fail(self, row: asyncpg.Record, reason: str) -> str | None:
        """As `_finish`, with a reason."""
        ended = await self._mine(
            row,
            f"state = 'failed', last_error = $4, finished_at = $5, locked_until = NULL{self._wiped(row)}",
            reason[:2_000],
            self.kernel.clock.now(),
        )
        return "failed" if ended else None

    async def _retry(self, row: asyncpg.Record, kind: JobKind | None, error: Exception) -> str | None:
        """Queue the job again, or fail it if that was the last attempt."""
        reason = error.detail if isinstance(error, Problem) else f"{type(error).__name__}: {error}"
        if kind is None or row["attempts"] >= kind.attempts:
            return await self._fail(row, reason)
        await self._mine(
            row,
            "state = 'queued', last_error = $4, run_at = $5, locked_until = NULL",
            reason[:2_000],
            self.kernel.clock.now() + pause_after(row["attempts"]),
        )
        return None

    async def _defer(self, row: asyncpg.Record, deferred: JobDeferred) -> None:
        """Queue the job for later, with the reason, as if it had not been tried."""
        await self._mine(
            row,
            "state = 'queued', attempts = greatest(attempts - 1, 0), last_error = $4, run_at = $5,"
            " locked_until = NULL",
            deferred.reason[:2_000],
            deferred.until,
        )

    async def _release(self, row: asyncpg.Record) -> None:
        """Give a job back untouched, so that another worker goes on with it at once."""
        await asyncio.shield(
            self._mine(row, "state = 'queued', attempts = greatest(attempts - 1, 0), locked_until = NULL")
        )


def pause_after(attempts: int) -> timedelta:
    """How long to wait before the next attempt: 5 s, 10 s, 20 s … up to an hour."""
    return min(FIRST_PAUSE * int(2 ** min(attempts - 1, 20)), LONGEST_PAUSE)
