"""`Pools`, bound to the transaction of whoever asks, and follow-ups as they are heard of."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from app.kernel.schemas import Page
from app.kernel.uow import UnitOfWork
from app.modules.customers.interface import PoolMovementRead, PoolRelease
from app.modules.customers.services.pools.claims import Claims
from app.modules.customers.services.pools.desk import Desk
from app.modules.customers.services.pools.movements import Movements
from app.modules.customers.services.pools.returns import Returns
from app.modules.customers.services.pools.views import Views


class PoolsOfTenant:
    """The implementation of `Pools`."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def claim(self, object_name: str, id: UUID) -> None:
        await Claims(self._uow).claim_one(object_name, id)

    async def release(self, object_name: str, id: UUID, given: PoolRelease, *, expected_version: int) -> None:
        await Returns(self._uow).release(object_name, id, given, expected_version=expected_version)

    async def put(
        self, object_name: str, pool_id: UUID, ids: Sequence[UUID], *, reason: str
    ) -> Collection[UUID]:
        return await Returns(self._uow).put(object_name, pool_id, ids, reason=reason)

    async def enabled(self, object_name: str, ids: Collection[UUID]) -> frozenset[UUID]:
        rows = await self._uow.fetch(
            "SELECT id FROM customers.pools WHERE tenant_id = $1 AND id = ANY($2::uuid[]) AND object = $3"
            " AND is_enabled AND deleted_at IS NULL",
            self._uow.tenant_id,
            list(ids),
            object_name,
        )
        return frozenset(row["id"] for row in rows)

    async def lock(self, object_name: str, id: UUID, *, locked: bool, expected_version: int) -> None:
        await Returns(self._uow).lock(object_name, id, locked=locked, expected_version=expected_version)

    async def movements(
        self, object_name: str, id: UUID, *, limit: int, cursor: str | None
    ) -> Page[PoolMovementRead]:
        await Desk(self._uow).record(object_name).service(self._uow).get(id)
        where = {"object": object_name, "record_id": id}
        return await Movements(self._uow).page(where, f"movements:{id}", limit=limit, cursor=cursor)

    async def opened(self, object_name: str, id: UUID, pool_id: UUID) -> None:  # noqa: ARG002
        await Views(self._uow).opened(id, pool_id)

    async def assigned(self, object_name: str, id: UUID, pool_id: UUID, owner_id: UUID | None) -> None:
        await Movements(self._uow).assigned(object_name, id, pool_id, owner_id)


async def followed_up(uow: UnitOfWork, object_name: str, ids: Sequence[UUID], at: datetime) -> None:
    """Note on records that somebody did something about them; an earlier time, or one to come, changes nothing.

    No new version: whoever edits the record at this moment shall not be sent back because a call was logged.
    """
    table = Desk(uow).record(object_name).table
    await uow.fetch(
        f"UPDATE {table} SET last_follow_up_at = $3 WHERE tenant_id = $1 AND id = ANY($2::uuid[])"
        " AND (last_follow_up_at IS NULL OR last_follow_up_at < $3)",
        uow.tenant_id,
        list(ids),
        min(at, uow.now),
    )
