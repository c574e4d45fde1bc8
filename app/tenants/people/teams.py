"""Teams: the tree of the sales organisation."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from app.kernel.errors import require_version
from app.kernel.people import People
from app.kernel.uow import UnitOfWork
from app.tenants.auth.control import access_changed
from app.tenants.interface import TeamInUse
from app.tenants.models import Team
from app.tenants.people.calendars import require_calendar
from app.tenants.people.trees import check_parent

OBJECT = "team"


class TeamService:
    """The teams of the tenant at hand."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow

    async def list(self) -> list[Team]:
        """All teams by name; `parent_id` makes the tree."""
        return await self.uow.all(self.uow.select(Team).order_by(Team.name, Team.id))

    async def get(self, id: UUID) -> Team:
        """Raises: NotFound."""
        return await self.uow.get(Team, id)

    async def member_counts(self) -> dict[UUID, int]:
        """Active members per team."""
        rows = await self.uow.fetch(
            "SELECT t AS id, count(*) AS members FROM tenants.members m, unnest(m.team_ids) t"
            " WHERE m.tenant_id = $1 AND m.status = 'active' GROUP BY t",
            self.uow.tenant_id,
        )
        return {row["id"]: row["members"] for row in rows}

    async def create(self, **values: Any) -> Team:
        """A team from its columns. Raises: Invalid; DuplicateValue for a name that is taken."""
        await self._check(None, values)
        team = await self.uow.insert(Team, audit=OBJECT, **values)
        await access_changed(self.uow)
        return team

    async def update(self, id: UUID, changes: dict[str, Any], *, expected_version: int) -> Team:
        """Raises: NotFound; StaleVersion; Invalid for a circle; DuplicateValue."""
        team = await self.uow.get(Team, id, lock="update")
        require_version(team.version, expected=expected_version)
        await self._check(id, changes)
        changed = await self.uow.update(team, audit=OBJECT, **changes)
        if changed is not team:
            await access_changed(self.uow)
        return changed

    async def delete(self, id: UUID, *, expected_version: int) -> None:
        """Raises: NotFound; StaleVersion; TeamInUse while people, teams or records belong to it."""
        uow = self.uow
        await uow.fetch(
            "SELECT 1 FROM tenants.teams WHERE tenant_id = $1 AND id = $2 FOR UPDATE", uow.tenant_id, id
        )
        team = await uow.get(Team, id)
        require_version(team.version, expected=expected_version)
        used = await uow.fetchrow(
            "SELECT (SELECT count(*) FROM tenants.members WHERE tenant_id = $1 AND $2 = ANY(team_ids)) AS members,"
            " (SELECT count(*) FROM tenants.invitations WHERE tenant_id = $1 AND $2 = ANY(team_ids)"
            " AND status = 'pending') AS invitations,"
            " (SELECT count(*) FROM tenants.teams WHERE tenant_id = $1 AND parent_id = $2) AS teams",
            uow.tenant_id,
            id,
        )
        if used and any(used.values()):
            raise TeamInUse(**dict(used))
        for record in uow.kernel.registry.records.values():
            found = await uow.fetchrow(
                f"SELECT 1 FROM {record.table} WHERE tenant_id = $1 AND team_id = $2 AND deleted_at IS NULL LIMIT 1",
                uow.tenant_id,
                id,
            )
            if found:
                raise TeamInUse(
                    f"There are {record.plural.replace('_', ' ')} of this team.", object=record.object
                )
        await uow.delete(team, audit=OBJECT)
        await access_changed(uow)

    async def _check(self, id: UUID | None, changes: dict[str, Any]) -> None:
        if changes.get("parent_id") is not None:
            await self.uow.of(People).require_teams([changes["parent_id"]], pointer="/parent_id")
            await check_parent(self.uow, "teams", id, changes["parent_id"], pointer="/parent_id")
        if changes.get("manager_id") is not None:
            await self.uow.of(People).require_members([changes["manager_id"]], pointer="/manager_id")
        await require_calendar(self.uow, changes.get("calendar_id"))
