"""Records put into a pool by somebody, and records kept from being recycled."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from app.kernel.errors import Invalid, require_version
from app.kernel.statements import columns_of, entity
from app.kernel.uow import UnitOfWork
from app.modules.customers.interface import AlreadyPooled, NoPool, PoolDisabled, PoolRelease, RecordClosed
from app.modules.customers.models import Pool, PoolMovementKind
from app.modules.customers.services.pools.desk import Desk
from app.modules.customers.services.pools.movements import Candidate, Movements
from app.tenants.interface import Members


class Returns:
    """What members give back."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow
        self.desk = Desk(uow)

    async def release(self, object_name: str, id: UUID, given: PoolRelease, *, expected_version: int) -> None:
        """Put one record into a pool.

        Raises: `NotFound`, `Forbidden`, `StaleVersion`, `AlreadyPooled`, `NoPool`, `PoolDisabled`, `RecordClosed`.
        """
        row = await self._locked(object_name, id, "update", expected_version)
        if row.pool_id is not None:
            raise AlreadyPooled(pool_id=str(row.pool_id))
        if row.owner_id != self.uow.actor.member_id:
            # Whoever could put others' records into a pool could claim them there.
            await self.desk.record(object_name).service(self.uow).get(id, action="assign")
        pool = await self._pool(object_name, given.pool_id, row.owner_id)
        candidate = Candidate(id, row.version, row.last_follow_up_at)
        moved = await Movements(self.uow).put(
            pool, [candidate], PoolMovementKind.RELEASED, reason=given.reason
        )
        if not moved:
            raise RecordClosed

    async def put(
        self, object_name: str, pool_id: UUID, ids: Sequence[UUID], *, reason: str
    ) -> Collection[UUID]:
        """Put records into a pool, whoever has them; those that went in. Raises `Invalid`, `PoolDisabled`."""
        pool = await self._pool(object_name, pool_id, None)
        table = self.desk.record(object_name).table
        rows = await self.uow.fetch(
            f"SELECT id, version, last_follow_up_at FROM {table} WHERE tenant_id = $1 AND id = ANY($2::uuid[])"
            " AND deleted_at IS NULL ORDER BY id FOR NO KEY UPDATE",
            self.uow.tenant_id,
            list(ids),
        )
        candidates = [Candidate(row["id"], row["version"], row["last_follow_up_at"]) for row in rows]
        moved = await Movements(self.uow).put(pool, candidates, PoolMovementKind.RELEASED, reason=reason)
        return [found.row.id for found in moved]

    async def lock(self, object_name: str, id: UUID, *, locked: bool, expected_version: int) -> None:
        """Keep a record from being recycled, or no longer. Raises `NotFound`, `StaleVersion`."""
        row = await self._locked(object_name, id, "update", expected_version)
        service = self.desk.record(object_name).service(self.uow)
        await service.write(row, {"is_locked": locked}, action="locked" if locked else "unlocked")

    async def _locked(self, object_name: str, id: UUID, action: str, expected_version: int) -> Any:
        row = await self.desk.record(object_name).service(self.uow).get(id, action=action, lock="update")
        require_version(row.version, expected=expected_version)
        return row

    async def _pool(self, object_name: str, pool_id: UUID | None, owner_id: UUID | None) -> Pool:
        """The pool asked for, else the owner's first one, else the oldest; held until the transaction ends."""
        columns = ", ".join(f"p.{name}" for name in columns_of(Pool))
        if pool_id is not None:
            row = await self.uow.fetchrow(
                f"SELECT {columns} FROM customers.pools p WHERE p.tenant_id = $1 AND p.id = $2 AND p.object = $3"
                " AND p.deleted_at IS NULL FOR KEY SHARE",
                self.uow.tenant_id,
                pool_id,
                object_name,
            )
            if row is None:
                raise Invalid.at(
                    "/pool_id", "unknown_reference", f"There is no pool of {object_name}s with this id."
                )
            if not row["is_enabled"]:
                raise PoolDisabled
            return entity(Pool, row)
        teams: list[UUID] = []
        if owner_id is not None:
            owner = (await self.uow.of(Members).get_many([owner_id])).get(owner_id)
            teams = list(owner.team_ids) if owner else []
        row = await self.uow.fetchrow(
            f"SELECT {columns} FROM customers.pools p WHERE p.tenant_id = $1 AND p.object = $2 AND p.is_enabled"
            " AND p.deleted_at IS NULL ORDER BY p.open_to_all OR EXISTS (SELECT 1 FROM customers.pool_members m"
            "  WHERE m.tenant_id = $1 AND m.pool_id = p.id AND (m.member_id = $3 OR m.team_id = ANY($4::uuid[])))"
            " DESC, p.id LIMIT 1 FOR KEY SHARE",
            self.uow.tenant_id,
            object_name,
            owner_id,
            teams,
        )
        if row is None:
            raise NoPool
        return entity(Pool, row)
