"""Competitors as records: what the company knows of those who sell the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar
from uuid import UUID

from app.kernel.access import Scope
from app.kernel.errors import Invalid
from app.kernel.records import RecordService, RecordType, Search
from app.modules.opportunities.interface import CompetitorInUse
from app.modules.opportunities.models.selling import Competitor
from app.modules.opportunities.schemas.selling import CompetitorCreate, CompetitorRead, CompetitorUpdate

_EVERYBODY = {
    "owner": Scope.ALL,
    "admin": Scope.ALL,
    "manager": Scope.ALL,
    "salesperson": Scope.ALL,
}


class CompetitorService(RecordService[Competitor]):
    """Competitors; one that opportunities name stays."""

    record: ClassVar[RecordType[Any]]

    async def before_delete(self, row: Competitor) -> None:
        found = await self.uow.fetchrow(
            "SELECT count(DISTINCT o.id) FROM opportunities.opportunities o"
            " LEFT JOIN opportunities.rivals r ON r.tenant_id = o.tenant_id AND r.opportunity_id = o.id"
            "  AND r.competitor_id = $2"
            " WHERE o.tenant_id = $1 AND o.deleted_at IS NULL"
            " AND (r.id IS NOT NULL OR o.winning_competitor_id = $2)",
            row.tenant_id,
            row.id,
        )
        if found and found[0]:
            raise CompetitorInUse(f"{found[0]} opportunities name it.", opportunities=found[0])

    async def names(self, ids: Sequence[UUID]) -> dict[UUID, str]:
        """The names of those that the actor sees; the others are absent."""
        found = await self.get_many(ids) if self.actor.may("competitor:read") else {}
        return {id: row.name for id, row in found.items()}

    async def require(self, id: UUID, *, pointer: str) -> Competitor:
        """The competitor, held so that nobody deletes it meanwhile. Raises `Invalid` where there is none."""
        found = await self.get_many([id], lock="share") if self.actor.may("competitor:read") else {}
        if id not in found:
            raise Invalid.at(pointer, "unknown_reference", "There is no competitor with this id.")
        return found[id]


COMPETITOR: RecordType[Competitor] = RecordType(
    object="competitor",
    plural="competitors",
    module="opportunities",
    model=Competitor,
    read=CompetitorRead,
    create=CompetitorCreate,
    update=CompetitorUpdate,
    service=CompetitorService,
    search=Search(names=("name",)),
    default_sort=(("name", False),),
    labels={
        "name": ("competitor", "竞争对手"),
        "strengths": ("优势",),
        "weaknesses": ("劣势",),
        "price_notes": ("pricing", "价格"),
    },
    # What is known of competitors helps only those who can read it.
    default_scopes={
        "read": _EVERYBODY | {"viewer": Scope.ALL},
        "update": _EVERYBODY,
        "delete": {"owner": Scope.ALL, "admin": Scope.ALL, "manager": Scope.ALL},
    },
)
CompetitorService.record = COMPETITOR
