"""Which part of the market a lead belongs to: the deepest territory that fits, all of whose parents fit too."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final
from uuid import UUID

from app.kernel.errors import Invalid, require_version
from app.kernel.locks import lock_name
from app.kernel.people import People
from app.kernel.uow import UnitOfWork
from app.modules.leads.interface import TerritoryInUse
from app.modules.leads.models import AssignmentRule, Territory
from app.modules.leads.services.assignment.facts import LeadFacts

OBJECT: Final = "territory"
CRITERIA: Final = {
    "countries": "country",
    "regions": "region",
    "cities": "city",
    "industries": "industry",
    "sizes": "size",
    "products": "product_name",
}
"""Lists of a territory, and the field of a lead that each is compared with, in any case."""


class TerritoryTree:
    """All territories of a tenant."""

    def __init__(self, territories: Sequence[Territory]) -> None:
        self._by_id = {one.id: one for one in territories}
        self._below: dict[UUID | None, list[Territory]] = {}
        for one in territories:
            self._below.setdefault(one.parent_id, []).append(one)
        self._criteria = {
            one.id: [
                (field, frozenset(value.casefold() for value in getattr(one, name)))
                for name, field in CRITERIA.items()
                if getattr(one, name)
            ]
            for one in territories
        }

    def match(self, lead: LeadFacts) -> Territory | None:
        """The most specific one: deepest, then the one that asks for most, then by name."""
        best: tuple[int, int, str, Territory] | None = None
        pending: list[tuple[int, Territory]] = [(1, one) for one in self._below.get(None, ())]
        while pending:
            depth, one = pending.pop()
            if not self._fits(one, lead):
                continue
            rank = (-depth, -len(self._criteria[one.id]), one.name)
            if best is None or rank < best[:3]:
                best = (*rank, one)
            pending += [(depth + 1, child) for child in self._below.get(one.id, ())]
        return best[3] if best else None

    def _fits(self, territory: Territory, lead: LeadFacts) -> bool:
        return all(
            (getattr(lead, field) or "").casefold() in wanted
            for field, wanted in self._criteria[territory.id]
        )

    def staff(self, territory: Territory) -> tuple[Collection[UUID], Collection[UUID]]:
        """Its members and teams; where it names none, those of the next territory above."""
        found: Territory | None = territory
        while found is not None:
            if found.member_ids or found.team_ids:
                return found.member_ids, found.team_ids
            found = self._by_id.get(found.parent_id) if found.parent_id else None
        return (), ()

    def everybody(self) -> tuple[set[UUID], set[UUID]]:
        """The members and teams of all territories."""
        return (
            {id for one in self._by_id.values() for id in one.member_ids},
            {id for one in self._by_id.values() for id in one.team_ids},
        )

    def above(self, id: UUID) -> Iterable[UUID]:
        """A territory and those above it."""
        found = self._by_id.get(id)
        while found is not None:
            yield found.id
            found = self._by_id.get(found.parent_id) if found.parent_id else None


class TerritoryService:
    """The tenant's territories as settings."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow

    async def list(self) -> list[Territory]:
        """All territories by name; `parent_id` makes the tree."""
        return await self.uow.all(self.uow.select(Territory).order_by(Territory.name, Territory.id))

    async def get(self, id: UUID) -> Territory:
        """Raises: NotFound."""
        return await self.uow.get(Territory, id)

    async def create(self, values: dict[str, Any]) -> Territory:
        """Raises: Invalid; DuplicateValue for a name that is taken."""
        await self._check(None, values)
        return await self.uow.insert(Territory, audit=OBJECT, **values)

    async def update(self, id: UUID, changes: dict[str, Any], *, expected_version: int) -> Territory:
        """Raises: NotFound; StaleVersion; Invalid for a circle; DuplicateValue."""
        row = await self.uow.get(Territory, id, lock="update")
        require_version(row.version, expected=expected_version)
        await self._check(id, changes)
        return await self.uow.update(row, audit=OBJECT, **changes)

    async def delete(self, id: UUID, *, expected_version: int) -> None:
        """Raises: NotFound; StaleVersion; TerritoryInUse while others lie in it or a rule names it."""
        await lock_settings(self.uow)
        row = await self.uow.get(Territory, id)
        require_version(row.version, expected=expected_version)
        below = await self.uow.first(self.uow.select(Territory).where(Territory.parent_id == id))
        rule = await self.uow.first(self.uow.select(AssignmentRule).where(AssignmentRule.target_id == id))
        if below is not None or rule is not None:
            raise TerritoryInUse
        await self.uow.delete(row, audit=OBJECT)

    async def _check(self, id: UUID | None, values: dict[str, Any]) -> None:
        people = self.uow.of(People)
        await people.require_members(values.get("member_ids", ()), pointer="/member_ids")
        await people.require_teams(values.get("team_ids", ()), pointer="/team_ids")
        parent = values.get("parent_id")
        if parent is None:
            return
        await lock_settings(self.uow)
        above = list(TerritoryTree(await self.list()).above(parent))
        if not above:
            raise Invalid.at("/parent_id", "unknown_reference", "There is no territory with this id.")
        if id in above:
            raise Invalid.at("/parent_id", "circle", "This would close a circle.")
        if len(above) >= 10:
            raise Invalid.at("/parent_id", "too_deep", "At most ten levels.")


async def lock_settings(uow: UnitOfWork) -> None:
    """Changes of what assignment goes by that depend on each other wait for each other, until the commit."""
    await lock_name(uow, "lead_assignment_settings")
