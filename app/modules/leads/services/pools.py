"""Leads in pools, and pools as what rules of assignment fill."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar
from uuid import UUID

from app.kernel.uow import UnitOfWork
from app.modules.customers.interface import Pools, RecordClaimed, RecordPooled, RecycleReminded
from app.modules.leads.interface import LeadClaimed, LeadDistributed, LeadPooled, LeadRecycleReminded
from app.modules.leads.models import Rating


class PoolsAsTarget:
    """`PoolTarget`: rules of assignment may put leads into public pools."""

    kind = "pool"

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def known(self, ids: Collection[UUID]) -> frozenset[UUID]:
        return await self._uow.of(Pools).enabled("lead", ids)

    async def put(self, leads: Mapping[UUID, UUID]) -> None:
        pools: dict[UUID, list[UUID]] = {}
        for id, pool_id in leads.items():
            pools.setdefault(pool_id, []).append(id)
        for pool_id, ids in pools.items():
            await self._uow.of(Pools).put("lead", pool_id, ids, reason="Assigned by a rule.")


class LeadsInPools:
    """`Poolable` of leads: a converted one is won, and neither it nor a disqualified one is worked on any more."""

    object: ClassVar[str] = "lead"
    levels: ClassVar[Mapping[str, Sequence[str]]] = {"rating": tuple(Rating)}
    won: ClassVar[str] = "t.status = 'converted'"
    closed: ClassVar[str] = "t.status IN ('converted', 'disqualified')"
    pooled: ClassVar[type[RecordPooled]] = LeadPooled
    claimed: ClassVar[type[RecordClaimed]] = LeadClaimed
    distributed: ClassVar[type[RecordClaimed]] = LeadDistributed
    reminded: ClassVar[type[RecycleReminded]] = LeadRecycleReminded

    def __init__(self, uow: UnitOfWork) -> None:
        """Nothing hangs on a lead."""

    async def went_in(self, ids: Sequence[UUID]) -> None:
        """Nothing to free."""

    async def came_out(self, owners: Mapping[UUID, tuple[UUID, UUID | None]]) -> None:
        """Nothing to give."""
