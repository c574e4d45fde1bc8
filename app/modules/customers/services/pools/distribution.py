"""Distribution: an administrator of a pool gives its records to members. Only their holding limit counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from app.kernel.errors import BatchFailed, Problem
from app.kernel.people import People
from app.kernel.uow import UnitOfWork
from app.modules.customers.interface import HoldingLimitReached, NotInPool
from app.modules.customers.models import Pool, PoolMovementKind
from app.modules.customers.services.pools.claims import Outcome, holding_of, lock_holders, result_of
from app.modules.customers.services.pools.desk import Desk
from app.modules.customers.services.pools.movements import Movements
from app.modules.customers.services.pools.schemas import Distribution, DistributionAnswer, DistributionResult


class Distributor:
    """Gives records of a pool to members, in turn."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow
        self.desk = Desk(uow)

    async def distribute(self, pool_id: UUID, given: Distribution) -> DistributionAnswer:
        """Give records to members in turn, those with the fewest so far first; each has its own outcome.

        Raises: `NotFound`, `Forbidden`, `Invalid` for somebody who is no active member, `BatchFailed`.
        """
        standing = await self.desk.standing(pool_id)
        standing.require_admin()
        members = list(dict.fromkeys(given.member_ids))
        teams = await self.uow.of(People).require_members(members, pointer="/member_ids")
        ids = list(dict.fromkeys(given.ids))
        outcomes = await self._distribute(standing.pool, ids, members, teams)
        results = [_result(id, outcomes[id]) for id in given.ids]
        failed = sum(result.error is not None for result in results)
        if failed and given.all_or_none:
            raise BatchFailed(
                f"{failed} of {len(results)} records cannot be distributed.",
                results=[result.model_dump(mode="json") for result in results],
            )
        return DistributionAnswer(results=results, succeeded=len(results) - failed, failed=failed)

    async def _distribute(
        self, pool: Pool, ids: Sequence[UUID], members: Sequence[UUID], teams: Mapping[UUID, UUID | None]
    ) -> dict[UUID, Outcome]:
        await lock_holders(self.uow, pool.object, members)
        room = await self._room(pool, members)
        table = self.desk.record(pool.object).table
        there = await self.uow.fetch(
            f"SELECT t.id FROM {table} t WHERE t.tenant_id = $1 AND t.id = ANY($2::uuid[]) AND t.pool_id = $3"
            " AND t.deleted_at IS NULL ORDER BY t.id FOR NO KEY UPDATE",
            self.uow.tenant_id,
            list(ids),
            pool.id,
        )
        free = {row["id"] for row in there}
        owners = in_turn([id for id in ids if id in free], members, room)
        outcomes: dict[UUID, Outcome] = {
            id: HoldingLimitReached(limit=pool.holding_limit) if id in free else NotInPool() for id in ids
        }
        if owners:
            rows = await self._give(pool, owners, teams)
            moved = await Movements(self.uow).came_out(pool, rows, PoolMovementKind.DISTRIBUTED)
            outcomes |= {found.row.id: found for found in moved}
        return outcomes

    async def _room(self, pool: Pool, members: Sequence[UUID]) -> dict[UUID, int] | None:
        """How many more each member may hold; None without a limit."""
        if pool.holding_limit is None:
            return None
        port, record = self.desk.kind(pool.object), self.desk.record(pool.object)
        rows = await self.uow.fetch(
            f"SELECT m.id, {holding_of(port, record.table, pool, 'm.id')} AS held FROM unnest($2::uuid[]) m(id)",
            self.uow.tenant_id,
            list(members),
        )
        return {row["id"]: max(pool.holding_limit - row["held"], 0) for row in rows}

    async def _give(
        self, pool: Pool, owners: Mapping[UUID, UUID], teams: Mapping[UUID, UUID | None]
    ) -> list[Any]:
        record = self.desk.record(pool.object)
        return await self.uow.fetch(
            f"UPDATE {record.table} t SET owner_id = g.owner_id, team_id = g.team_id, pool_id = NULL,"
            " pooled_at = NULL, received_at = $6, recycle_reminded_at = NULL, version = t.version + 1,"
            " updated_at = $6 FROM unnest($3::uuid[], $4::uuid[], $5::uuid[]) AS g(id, owner_id, team_id)"
            f" WHERE t.tenant_id = $1 AND t.id = g.id AND t.pool_id = $2 RETURNING {self.desk.columns(pool.object)}",
            self.uow.tenant_id,
            pool.id,
            list(owners),
            list(owners.values()),
            [teams[owner] for owner in owners.values()],
            self.uow.now,
        )


def in_turn(
    ids: Sequence[UUID], members: Sequence[UUID], room: Mapping[UUID, int] | None
) -> dict[UUID, UUID]:
    """An owner for each record, member after member; whoever's room is used up is passed over.

    The numbers of two members with room left differ by one at most. What nobody has room for is left out.
    """
    left = dict(room) if room is not None else dict.fromkeys(members, len(ids))
    owners: dict[UUID, UUID] = {}
    turn = [member for member in members if left[member] > 0]
    place = 0
    for id in ids:
        if not turn:
            break
        place %= len(turn)
        member = owners[id] = turn[place]
        left[member] -= 1
        if left[member] > 0:
            place += 1
        else:
            del turn[place]
    return owners


def _result(id: UUID, outcome: Outcome) -> DistributionResult:
    owner = None if isinstance(outcome, Problem) else outcome.row.owner_id
    return DistributionResult(**result_of(id, outcome).model_dump(), owner_id=owner)
