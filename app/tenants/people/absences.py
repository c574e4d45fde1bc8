"""Absences: who is away, for how long, and who stands in for them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from app.kernel.access import Scope
from app.kernel.errors import Forbidden, Invalid, require_version
from app.kernel.log_pages import BY_ID, Slice, select_page
from app.kernel.people import People
from app.kernel.uow import UnitOfWork
from app.tenants.models import Absence, Member

OBJECT: Final = "absence"


class AbsenceService:
    """The absences of the tenant's members."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow

    async def list(
        self, *, member_id: UUID | None, at: datetime | None, limit: int, cursor: str | None
    ) -> Slice[Absence]:
        """A page of absences in the order they were entered. Raises: InvalidCursor."""
        statement = self.uow.select(Absence)
        if member_id is not None:
            statement = statement.where(Absence.member_id == member_id)
        if at is not None:
            statement = statement.where(Absence.starts_at <= at, Absence.ends_at > at)
        name = f"absences:{member_id}:{at}"
        return await select_page(self.uow, statement, BY_ID, name=name, limit=limit, cursor=cursor)

    async def get(self, id: UUID) -> Absence:
        """Raises: NotFound."""
        return await self.uow.get(Absence, id)

    async def create(self, values: dict[str, Any]) -> Absence:
        """Say that somebody is away. Raises: Forbidden for whom one may not; Invalid."""
        if values["member_id"] is None:
            values["member_id"] = self.uow.actor.member_id
        if values["member_id"] is None:
            raise Invalid.at("/member_id", "required", "Name the member who is away.")
        await self.uow.of(People).require_members([values["member_id"]], pointer="/member_id")
        await self._require_reach(values["member_id"])
        await self._check(values)
        return await self.uow.insert(Absence, audit=OBJECT, **values)

    async def update(self, id: UUID, changes: dict[str, Any], *, expected_version: int) -> Absence:
        """Raises: NotFound; Forbidden; StaleVersion; Invalid."""
        row = await self._locked(id, expected_version)
        await self._check({**row.__dict__, **changes}, new_stand_in="stand_in_id" in changes)
        return await self.uow.update(row, audit=OBJECT, **changes)

    async def delete(self, id: UUID, *, expected_version: int) -> None:
        """Raises: NotFound; Forbidden; StaleVersion."""
        await self.uow.delete(await self._locked(id, expected_version), audit=OBJECT)

    async def _locked(self, id: UUID, expected_version: int) -> Absence:
        row = await self.uow.get(Absence, id, lock="update")
        await self._require_reach(row.member_id)
        require_version(row.version, expected=expected_version)
        return row

    async def _require_reach(self, member_id: UUID) -> None:
        """Oneself, the members of the teams that the role reaches, or everybody. Raises: Forbidden."""
        actor = self.uow.actor
        scope = actor.require("absence:manage")
        if scope is Scope.ALL or member_id == actor.member_id:
            return
        teams = actor.team_ids_below if scope is Scope.TEAM_AND_BELOW else actor.team_ids
        if scope >= Scope.TEAM:
            member = await self.uow.find(Member, member_id)
            if member is not None and set(member.team_ids) & set(teams):
                return
        raise Forbidden("Your role does not reach this member's absences.", permission="absence:manage")

    async def _check(self, values: dict[str, Any], *, new_stand_in: bool = True) -> None:
        if values["ends_at"] <= values["starts_at"]:
            raise Invalid.at("/ends_at", "not_in_order", "An absence ends after it starts.")
        stand_in = values["stand_in_id"]
        if stand_in == values["member_id"]:
            raise Invalid.at("/stand_in_id", "same_member", "Nobody stands in for themselves.")
        if stand_in is not None and new_stand_in:
            await self.uow.of(People).require_members([stand_in], pointer="/stand_in_id")
