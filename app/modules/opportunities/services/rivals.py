"""Competitors in opportunities: who is after the same deal, and how we fare against each."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from app.kernel.access import visible_rows
from app.kernel.errors import Forbidden, NotFound, require_version
from app.kernel.listing import Query
from app.kernel.money import Money
from app.kernel.record_reads import select_records
from app.kernel.uow import UnitOfWork
from app.modules.opportunities.models.selling import Rival, ThreatLevel
from app.modules.opportunities.schemas.selling import (
    RivalInput,
    RivalRead,
    Rivals,
    RivalUpdate,
    WinRate,
    WinRates,
)
from app.modules.opportunities.services.competitors import CompetitorService
from app.modules.opportunities.services.opportunities import OPPORTUNITY, OpportunityService

AUDITED_AS = "opportunity_competitor"
_TELLS = frozenset({"status", "winning_competitor_id"})


class RivalService:
    """The competitors of one opportunity."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._opportunities = OpportunityService(uow)

    async def all(self, opportunity_id: UUID) -> Rivals:
        """Raises `NotFound` for an opportunity that is not visible."""
        await self._opportunities.get(opportunity_id)
        return Rivals(data=await self._read(opportunity_id))

    async def add(self, opportunity_id: UUID, body: RivalInput) -> RivalRead:
        """Raises `NotFound`, `Forbidden`, `Invalid`, and `DuplicateValue` for one that is there."""
        await self._opportunities.get(opportunity_id, action="update", lock="update")
        await CompetitorService(self._uow).require(body.competitor_id, pointer="/competitor_id")
        made = await self._uow.insert(
            Rival,
            audit=AUDITED_AS,
            opportunity_id=opportunity_id,
            competitor_id=body.competitor_id,
            threat_level=body.threat_level.value,
            note=body.note,
            **_price(body.price),
        )
        self._audit(made, "competitor_added", [None, body.threat_level.value])
        return await self._one(made)

    async def update(
        self, opportunity_id: UUID, rival_id: UUID, body: RivalUpdate, *, expected_version: int
    ) -> RivalRead:
        """Raises `NotFound`, `Forbidden`, `StaleVersion`."""
        row = await self._current(opportunity_id, rival_id, expected_version)
        changes: dict[str, Any] = {n: getattr(body, n) for n in body.model_fields_set - {"price"}}
        if "price" in body.model_fields_set:
            changes |= _price(body.price)
        after = await self._uow.update(row, audit=AUDITED_AS, **changes)
        if after is not row:
            self._audit(after, "competitor_changed", [row.threat_level, after.threat_level])
        return await self._one(after)

    async def remove(self, opportunity_id: UUID, rival_id: UUID, *, expected_version: int) -> None:
        """Raises `NotFound`, `Forbidden`, `StaleVersion`."""
        row = await self._current(opportunity_id, rival_id, expected_version)
        await self._uow.delete(row, audit=AUDITED_AS)
        self._audit(row, "competitor_removed", [row.threat_level, None])

    async def win_rates(self, query: Query) -> WinRates:
        """By competitor, over the opportunities that the actor sees and `query` lets through; one statement.

        Raises: InvalidFilter; Forbidden where the actor's role hides how opportunities end.
        """
        if _TELLS & self._uow.actor.hidden("opportunity"):
            raise Forbidden("Your role does not let you see how opportunities end.")
        selection = await select_records(self._uow, OPPORTUNITY, query)
        visible = visible_rows(self._uow.actor, "competitor", "read", selection.bind, "c")
        rows = await self._uow.fetch(
            _WIN_RATES.format(where=selection.where, visible=f" AND {visible}" if visible else ""),
            *selection.bind.values,
        )
        return WinRates(data=[_rate(row) for row in rows])

    async def _current(self, opportunity_id: UUID, rival_id: UUID, expected_version: int) -> Rival:
        await self._opportunities.get(opportunity_id, action="update", lock="update")
        row = await self._uow.get(Rival, rival_id)
        if row.opportunity_id != opportunity_id:
            raise NotFound
        require_version(row.version, expected=expected_version)
        return row

    async def _one(self, row: Rival) -> RivalRead:
        return next(rival for rival in await self._read(row.opportunity_id) if rival.id == row.id)

    async def _read(self, opportunity_id: UUID) -> list[RivalRead]:
        rows = await self._uow.fetch(_RIVALS, self._uow.tenant_id, opportunity_id)
        return [_wire(row) for row in rows]

    def _audit(self, row: Rival, action: str, change: list[Any]) -> None:
        self._uow.record_audit(
            "opportunity", row.opportunity_id, action, {f"competitors.{row.competitor_id}": change}
        )


def _price(price: Money | None) -> dict[str, Any]:
    return {
        "price": price.amount_minor if price else None,
        "price_currency": price.currency if price else None,
    }


def _wire(row: Any) -> RivalRead:
    return RivalRead(
        id=row["id"],
        version=row["version"],
        competitor_id=row["competitor_id"],
        competitor_name=row["name"],
        threat_level=ThreatLevel(row["threat_level"]),
        price=None if row["price"] is None else Money(row["price"], row["price_currency"]),
        note=row["note"],
        won=row["won"],
    )


def _rate(row: Any) -> WinRate:
    decided = row["won"] + row["lost_to_them"]
    return WinRate(
        competitor_id=row["competitor_id"],
        competitor_name=row["name"],
        met=row["met"],
        open=row["open"],
        won=row["won"],
        lost=row["lost"],
        lost_to_them=row["lost_to_them"],
        win_rate=round(row["won"] / decided, 4) if decided else None,
    )


_RIVALS = """
SELECT r.*, c.name, coalesce(o.winning_competitor_id = r.competitor_id, false) AS won
FROM opportunities.rivals r
JOIN opportunities.competitors c ON c.tenant_id = r.tenant_id AND c.id = r.competitor_id
JOIN opportunities.opportunities o ON o.tenant_id = r.tenant_id AND o.id = r.opportunity_id
WHERE r.tenant_id = $1 AND r.opportunity_id = $2
ORDER BY array_position(ARRAY['high', 'medium', 'low'], r.threat_level), c.name, r.id"""

_WIN_RATES = """
SELECT c.id AS competitor_id, c.name, count(*) AS met,
  count(*) FILTER (WHERE t.status = 'open') AS open, count(*) FILTER (WHERE t.status = 'won') AS won,
  count(*) FILTER (WHERE t.status = 'lost') AS lost,
  count(*) FILTER (WHERE t.winning_competitor_id = c.id) AS lost_to_them
FROM opportunities.rivals r
JOIN opportunities.opportunities_read t ON t.tenant_id = r.tenant_id AND t.id = r.opportunity_id
JOIN opportunities.competitors c ON c.tenant_id = r.tenant_id AND c.id = r.competitor_id AND c.deleted_at IS NULL
WHERE r.tenant_id = $1 AND {where}{visible}
GROUP BY c.id, c.name ORDER BY met DESC, c.name, c.id"""
