"""Claims: first come, first served, within the limits of the pool.

A member's claims of one kind of record wait for each other; different members meet at the records only, where one
conditional UPDATE decides. What is checked comes in this order: how many the member holds, how many a request and a
day allow, whether they had the record last, and whether it came too short a time ago. Only what was really claimed
counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from app.kernel.access import visible_rows
from app.kernel.errors import BatchFailed, Forbidden, NotFound, Problem
from app.kernel.listing import Bindings
from app.kernel.locks import lock_keys
from app.kernel.schemas import BatchAnswer, BatchItemError, BatchResult
from app.kernel.statements import rows_of
from app.kernel.uow import UnitOfWork
from app.modules.customers.interface import (
    ClaimLimitReached,
    ClaimRequestLimitReached,
    FormerOwnerBanned,
    HoldingLimitReached,
    NotInPool,
    Poolable,
    PoolDisabled,
    PoolEmbargo,
)
from app.modules.customers.models import Pool, PoolMovementKind
from app.modules.customers.services.pools.days import days_after, days_before, local_day
from app.modules.customers.services.pools.desk import Desk, Standing
from app.modules.customers.services.pools.movements import Moved, Movements
from app.modules.customers.services.pools.schemas import Claim

Outcome = Moved | Problem


@dataclass(frozen=True, slots=True)
class Room:
    """How many more records a member may claim by each limit; None means any number."""

    holding: int | None
    request: int | None
    day: int | None

    @property
    def free(self) -> int | None:
        known = [left for left in (self.holding, self.request, self.day) if left is not None]
        return min(known) if known else None


class Claims:
    """Claims of the member who acts."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow
        self.desk = Desk(uow)

    async def claim(self, pool_id: UUID, given: Claim) -> BatchAnswer:
        """Claim records from one pool; each has its own outcome unless `all_or_none`. Raises `BatchFailed` then."""
        standing = await self.desk.standing(pool_id)
        outcomes = await self._claim(standing, list(dict.fromkeys(given.ids)))
        results = [result_of(id, outcomes[id]) for id in given.ids]
        failed = sum(result.error is not None for result in results)
        if failed and given.all_or_none:
            raise BatchFailed(
                f"{failed} of {len(results)} records cannot be claimed.",
                results=[result.model_dump(mode="json") for result in results],
            )
        return BatchAnswer(results=results, succeeded=len(results) - failed, failed=failed)

    async def claim_one(self, object_name: str, id: UUID) -> None:
        """Claim a record from the pool it lies in. Raises `NotFound`, and what stands in the way."""
        bind = Bindings(self.uow.tenant_id, id)
        visible = visible_rows(self.uow.actor, object_name, "read", bind)
        row = await self.uow.fetchrow(
            f"SELECT t.pool_id FROM {self.desk.record(object_name).table} t WHERE t.tenant_id = $1 AND t.id = $2"
            f" AND t.deleted_at IS NULL{f' AND {visible}' if visible else ''}",
            *bind.values,
        )
        if row is None:
            raise NotFound
        if row["pool_id"] is None:
            raise NotInPool
        outcome = (await self._claim(await self.desk.standing(row["pool_id"]), [id]))[id]
        if isinstance(outcome, Problem):
            raise outcome

    async def _claim(self, standing: Standing, ids: Sequence[UUID]) -> dict[UUID, Outcome]:
        pool, member = standing.pool, self.uow.actor.member_id
        standing.require_claimant()
        if member is None:
            raise Forbidden("Only members claim records.")
        if not pool.is_enabled:
            raise PoolDisabled
        await lock_holders(self.uow, pool.object, [member])
        room = await self._room(pool, member)
        taken: dict[UUID, Outcome] = {}
        if room.free is None or room.free > 0:
            rows = await self._take(pool, member, ids, room)
            if rows:
                await self._count(pool, member, len(rows))
                moved = await Movements(self.uow).came_out(pool, rows, PoolMovementKind.CLAIMED)
                taken = {found.row.id: found for found in moved}
        if len(taken) < len(ids):
            return await self._explained(pool, member, ids, taken, room)
        return taken

    async def _room(self, pool: Pool, member: UUID) -> Room:
        """What the limits leave, counted while nobody else claims for this member."""
        port, record = self.desk.kind(pool.object), self.desk.record(pool.object)
        row = await self.uow.fetchrow(
            f"SELECT {holding_of(port, record.table, pool, '$2')} AS held,"
            " (SELECT claims FROM customers.pool_uses"
            "  WHERE tenant_id = $1 AND pool_id = $3 AND member_id = $2 AND day = $4) AS claimed",
            self.uow.tenant_id,
            member,
            pool.id,
            local_day(self.uow),
        )
        held, claimed = (row["held"], row["claimed"] or 0) if row is not None else (0, 0)
        return Room(
            holding=None if pool.holding_limit is None else max(pool.holding_limit - held, 0),
            request=pool.claim_limit_per_request,
            day=None if pool.claim_limit_per_day is None else max(pool.claim_limit_per_day - claimed, 0),
        )

    async def _take(self, pool: Pool, member: UUID, ids: Sequence[UUID], room: Room) -> list[Any]:
        record = self.desk.record(pool.object)
        return await self.uow.fetch(
            _TAKE.format(table=record.table, columns=self.desk.columns(pool.object)),
            self.uow.tenant_id,
            list(ids),
            pool.id,
            member,
            self.uow.actor.home_team_id,
            self.uow.now,
            _banned_since(self.uow, pool),
            self.uow.now - timedelta(hours=pool.embargo_hours) if pool.embargo_hours else None,
            room.free if room.free is not None else len(ids),
        )

    async def _count(self, pool: Pool, member: UUID, claimed: int) -> None:
        """Raises `ClaimLimitReached` rather than let the day's number pass the limit."""
        day = local_day(self.uow)
        counted = await self.uow.fetchrow(
            "INSERT INTO customers.pool_uses AS u (tenant_id, pool_id, member_id, day, claims, views)"
            " VALUES ($1, $2, $3, $4, $5, 0) ON CONFLICT (tenant_id, pool_id, member_id, day)"
            " DO UPDATE SET claims = u.claims + $5 WHERE $6::bigint IS NULL OR u.claims + $5 <= $6"
            " RETURNING claims",
            self.uow.tenant_id,
            pool.id,
            member,
            day,
            claimed,
            pool.claim_limit_per_day,
        )
        if counted is None:
            raise ClaimLimitReached(limit=pool.claim_limit_per_day, day=day.isoformat())

    async def _explained(
        self, pool: Pool, member: UUID, ids: Sequence[UUID], taken: Mapping[UUID, Outcome], room: Room
    ) -> dict[UUID, Outcome]:
        """Why each of the others was not taken: the first check that it fails."""
        rows = await self.uow.fetch(
            f"SELECT id, former_owner_id, pooled_at FROM {self.desk.record(pool.object).table}"
            " WHERE tenant_id = $1 AND id = ANY($2::uuid[]) AND pool_id = $3 AND deleted_at IS NULL",
            self.uow.tenant_id,
            [id for id in ids if id not in taken],
            pool.id,
        )
        there = {row["id"]: row for row in rows}
        outcomes: dict[UUID, Outcome] = {}
        claimed = 0
        for id in ids:
            if id in taken:
                outcomes[id] = taken[id]
                claimed += 1
            elif id not in there:
                outcomes[id] = NotInPool()
            else:
                outcomes[id] = self._used_up(pool, room, claimed) or self._held_back(pool, member, there[id])
        return outcomes

    def _used_up(self, pool: Pool, room: Room, claimed: int) -> Problem | None:
        if room.holding is not None and claimed >= room.holding:
            return HoldingLimitReached(limit=pool.holding_limit)
        if room.request is not None and claimed >= room.request:
            return ClaimRequestLimitReached(limit=pool.claim_limit_per_request)
        if room.day is not None and claimed >= room.day:
            return ClaimLimitReached(limit=pool.claim_limit_per_day, day=local_day(self.uow).isoformat())
        return None

    def _held_back(self, pool: Pool, member: UUID, row: Any) -> Problem:
        since: datetime = row["pooled_at"]
        banned = _banned_since(self.uow, pool)
        if banned is not None and row["former_owner_id"] == member and since > banned:
            until = days_after(since, pool.former_owner_ban_days or 0, self.uow.actor.tenant.zone)
            return FormerOwnerBanned(until=_text(until))
        until = since + timedelta(hours=pool.embargo_hours or 0)
        return PoolEmbargo(until=_text(until)) if until > self.uow.now else NotInPool()


def _banned_since(uow: UnitOfWork, pool: Pool) -> datetime | None:
    """Whoever had a record that was pooled later than this may not claim it."""
    if pool.former_owner_ban_days is None:
        return None
    return days_before(uow.now, pool.former_owner_ban_days, uow.actor.tenant.zone)


def _text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


async def lock_holders(uow: UnitOfWork, object_name: str, members: Sequence[UUID]) -> None:
    """Until the transaction ends nobody else claims or is given records of this kind for these members."""
    await lock_keys(uow, "pool.holder", [f"{object_name}:{member}" for member in members])


def holding_of(port: Poolable, table: str, pool: Pool, member: str) -> str:
    """SQL of how many records count for a member's holding limit."""
    won = "" if pool.holding_counts_won else f" AND NOT ({port.won})"
    return (
        f"(SELECT count(*) FROM {table} t WHERE t.tenant_id = $1 AND t.owner_id = {member}"
        f" AND t.deleted_at IS NULL AND NOT ({port.closed}){won})"
    )


def result_of(id: UUID, outcome: Outcome) -> BatchResult:
    """An outcome on the wire."""
    if isinstance(outcome, Problem):
        error = BatchItemError(code=outcome.code, detail=outcome.detail)
        return BatchResult(ref=None, status=outcome.status, id=id, version=None, error=error)
    return BatchResult(ref=None, status=200, id=id, version=outcome.row.version, error=None)


_TAKE = f"""
WITH free AS (
  SELECT t.id, a.place FROM unnest($2::uuid[]) WITH ORDINALITY AS a(id, place)
  JOIN {{table}} t ON t.tenant_id = $1 AND t.id = a.id
  WHERE t.pool_id = $3 AND t.deleted_at IS NULL AND ($8::timestamptz IS NULL OR t.pooled_at <= $8)
    AND ($7::timestamptz IS NULL OR t.former_owner_id IS DISTINCT FROM $4 OR t.pooled_at <= $7)
  ORDER BY t.id FOR NO KEY UPDATE OF t
), chosen AS (SELECT id FROM free ORDER BY place LIMIT $9)
UPDATE {{table}} t SET owner_id = $4, team_id = $5, pool_id = NULL, pooled_at = NULL, received_at = $6,
  recycle_reminded_at = NULL, version = t.version + 1, updated_at = $6
FROM {rows_of("chosen", "id")} WHERE t.tenant_id = $1 AND t.id = chosen.id AND t.pool_id = $3
RETURNING {{columns}}"""
