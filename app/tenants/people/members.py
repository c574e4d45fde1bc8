"""Members: who works here, with which roles and in which teams, and what happens when somebody leaves."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import any_, func, literal

from app.kernel.errors import Conflict, Invalid, require_version
from app.kernel.listing import Kind
from app.kernel.log_pages import Slice, order_by, select_page
from app.kernel.people import People
from app.kernel.uow import UnitOfWork
from app.tenants.auth.control import access_changed
from app.tenants.auth.sessions import end_sessions
from app.tenants.billing.entitlements import EntitlementsOfTenant
from app.tenants.hand_over import hand_over
from app.tenants.interface import MemberDeactivated, MemberReactivated
from app.tenants.models import ApiKey, Member, MemberStatus, Team
from app.tenants.people.built_in_roles import OWNER
from app.tenants.people.calendars import require_calendar
from app.tenants.people.roles import Roles
from app.tenants.people.trees import check_parent

OBJECT = "member"
_BY_NAME: Final = order_by({"name": Kind.TEXT, "id": Kind.UUID})


class MemberInactive(Conflict):
    code = "member_inactive"
    title = "This member has been deactivated"


class MemberActive(Conflict):
    code = "member_active"
    title = "This member is active already"


class MemberService:
    """The members of the tenant at hand."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow
        self.roles = Roles(uow)

    async def list(
        self,
        *,
        status: str | None,
        team_id: UUID | None,
        role_id: UUID | None,
        q: str | None,
        limit: int,
        cursor: str | None,
    ) -> Slice[Member]:
        """A page of members by name. Raises: InvalidCursor."""
        statement = self.uow.select(Member)
        if status is not None:
            statement = statement.where(Member.status == status)
        if team_id is not None:
            statement = statement.where(literal(team_id) == any_(Member.team_ids))
        if role_id is not None:
            statement = statement.where(literal(role_id) == any_(Member.role_ids))
        if q:
            text = q.casefold()
            statement = statement.where(
                (func.strpos(func.lower(Member.name), text) > 0) | (func.strpos(Member.email_key, text) > 0)
            )
        return await select_page(
            self.uow,
            statement,
            _BY_NAME,
            name=f"members:{status}:{team_id}:{role_id}:{q}",
            limit=limit,
            cursor=cursor,
        )

    async def get(self, id: UUID) -> Member:
        """Raises: NotFound."""
        return await self.uow.get(Member, id)

    async def update(self, id: UUID, changes: dict[str, Any], *, expected_version: int) -> Member:
        """Change roles, teams, manager, hours, skills, name or title; effective from the commit on.

        Raises: NotFound; StaleVersion; Invalid; GrantTooWide and Forbidden beyond one's own rights; LastOwner;
        PlanLimitReached.
        """
        member = await self.uow.get(Member, id, lock="update")
        require_version(member.version, expected=expected_version)
        if "role_ids" in changes and set(changes["role_ids"]) != set(member.role_ids):
            await self.roles.refuse_beyond(member.role_ids)
            changes["role_ids"] = [*await self.roles.to_give(changes["role_ids"])]
            if member.status == MemberStatus.ACTIVE:
                await self._keep_an_owner(member, changes["role_ids"])
        if "team_ids" in changes:
            changes["team_ids"] = list(dict.fromkeys(changes["team_ids"]))
            await self.uow.of(People).require_teams(changes["team_ids"], pointer="/team_ids")
        if changes.get("manager_id") is not None:
            if changes["manager_id"] == id:
                raise Invalid.at("/manager_id", "circle", "Nobody is their own manager.")
            await self.uow.of(People).require_members([changes["manager_id"]], pointer="/manager_id")
            await check_parent(self.uow, "members", id, changes["manager_id"], pointer="/manager_id")
        await require_calendar(self.uow, changes.get("calendar_id"))
        _refuse_twice(changes.get("skills", ()))
        changed = await self.uow.update(member, audit=OBJECT, **changes)
        if changed.role_ids != member.role_ids and member.status == MemberStatus.ACTIVE:
            await EntitlementsOfTenant(self.uow).keep_seats(changed.role_ids, had=member.role_ids)
        if changed is not member:
            await access_changed(self.uow)
        return changed

    async def deactivate(
        self, id: UUID, *, hand_over_to: UUID | None, expected_version: int
    ) -> tuple[Member, dict[str, int]]:
        """End a membership: no sign-in, sessions and keys end now; records go to `hand_over_to` if given.

        Teams they led go to the same member; who reported to them reports to their manager. Answers the member
        and the number of records handed over by object.
        Raises: NotFound; StaleVersion; MemberInactive; LastOwner; Invalid; GrantTooWide; Forbidden.
        """
        uow = self.uow
        member = await uow.get(Member, id, lock="update")
        require_version(member.version, expected=expected_version)
        if member.status != MemberStatus.ACTIVE:
            raise MemberInactive
        await self.roles.refuse_beyond(member.role_ids)
        await self._keep_an_owner(member, [])
        counts: dict[str, int] = {}
        if hand_over_to is not None:
            if hand_over_to == id:
                raise Invalid.at("/hand_over_to", "same_member", "The one who leaves cannot take over.")
            homes = await uow.of(People).require_members([hand_over_to], pointer="/hand_over_to")
            counts = await hand_over(uow, id, hand_over_to, homes[hand_over_to])
        await self._leave_posts(member, hand_over_to)
        await self._revoke_keys(id)
        await end_sessions(uow, "member deactivated", member_id=id)
        changed = await uow.update(
            member,
            audit=OBJECT,
            action="deactivated",
            status=MemberStatus.DEACTIVATED.value,
            deactivated_at=uow.now,
            manager_id=None,
        )
        uow.publish(MemberDeactivated(id=id, handed_over_to=hand_over_to, manager_id=member.manager_id))
        await access_changed(uow)
        return changed, counts

    async def reactivate(self, id: UUID, *, expected_version: int) -> Member:
        """Let a member in again, with the roles and teams they had. Raises: NotFound; StaleVersion; MemberActive;
        GrantTooWide; Forbidden; PlanLimitReached.
        """
        member = await self.uow.get(Member, id, lock="update")
        require_version(member.version, expected=expected_version)
        if member.status == MemberStatus.ACTIVE:
            raise MemberActive
        await self.roles.refuse_beyond(member.role_ids)
        changed = await self.uow.update(
            member,
            audit=OBJECT,
            action="reactivated",
            status=MemberStatus.ACTIVE.value,
            deactivated_at=None,
        )
        await EntitlementsOfTenant(self.uow).keep_seats(member.role_ids)
        self.uow.publish(MemberReactivated(id=id))
        await access_changed(self.uow)
        return changed

    async def _keep_an_owner(self, member: Member, role_ids: Collection[UUID]) -> None:
        owner = await self.roles.by_key(OWNER)
        if owner.id in member.role_ids and owner.id not in role_ids:
            await self.roles.keep_an_owner(member.id)

    async def _leave_posts(self, member: Member, successor: UUID | None) -> None:
        uow = self.uow
        for team in await uow.all(uow.select(Team).where(Team.manager_id == member.id).order_by(Team.id)):
            await uow.update(team, audit="team", manager_id=successor)
        statement = uow.select(Member).where(Member.manager_id == member.id).order_by(Member.id)
        for report in await uow.all(statement):
            await uow.update(report, audit=OBJECT, manager_id=member.manager_id)

    async def _revoke_keys(self, member_id: UUID) -> None:
        statement = self.uow.select(ApiKey).where(ApiKey.member_id == member_id, ApiKey.revoked_at.is_(None))
        for key in await self.uow.all(statement.order_by(ApiKey.id)):
            await self.uow.update(key, audit="api_key", action="revoked", revoked_at=self.uow.now)


def _refuse_twice(skills: Sequence[dict[str, Any]]) -> None:
    """Raises: Invalid for a skill that is named twice, in whatever case."""
    names = [skill["skill"].casefold() for skill in skills]
    for place, name in enumerate(names):
        if name in names[:place]:
            raise Invalid.at(f"/skills/{place}/skill", "repeated", "This skill is named twice.")
