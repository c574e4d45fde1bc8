"""What opportunities say about recycling: records with an open one, or with one that was won, may stay."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import ClassVar
from uuid import UUID

from app.kernel.uow import UnitOfWork

_COLUMNS = {"account": "account_id", "contact": "contact_id", "lead": "lead_id"}


class _Opportunities:
    """Records that have opportunities of one status."""

    status: ClassVar[str]

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def true_of(self, object_name: str, ids: Sequence[UUID]) -> Collection[UUID]:
        column = _COLUMNS.get(object_name)
        if column is None or not ids:
            return ()
        rows = await self._uow.fetch(
            f"SELECT w.id FROM unnest($2::uuid[]) AS w(id) WHERE EXISTS ("
            f" SELECT 1 FROM opportunities.opportunities o WHERE o.tenant_id = $1 AND o.{column} = w.id"
            "  AND o.status = $3 AND o.deleted_at IS NULL)",
            self._uow.tenant_id,
            list(ids),
            self.status,
        )
        return [row["id"] for row in rows]


class OpenOpportunityFact(_Opportunities):
    """`PoolFact`: there is an open opportunity."""

    name: ClassVar[str] = "open_opportunity"
    status: ClassVar[str] = "open"


class WonOpportunityFact(_Opportunities):
    """`PoolFact`: an opportunity was won."""

    name: ClassVar[str] = "won"
    status: ClassVar[str] = "won"
