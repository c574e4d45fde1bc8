"""What modules may know of tenants, members and teams."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol
from uuid import UUID

from app.kernel.errors import Conflict, Forbidden, Unauthenticated
from app.kernel.events import Event


@dataclass(frozen=True, slots=True)
class MemberRef:
    """A member as others show them."""

    id: UUID
    name: str
    email: str
    active: bool
    manager_id: UUID | None
    team_ids: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class TeamRef:
    id: UUID
    name: str
    parent_id: UUID | None
    manager_id: UUID | None


@dataclass(frozen=True, slots=True)
class TenantSettings:
    """The settings of the tenant at hand.

    The calendar is `{"days": {"mon": [["09:00", "18:00"]]}, "holidays": [{"date": "2026-01-01", "name": "…"}]}`,
    in the tenant's time zone; a day that is absent is free.
    """

    name: str
    locale: str
    time_zone: str
    currency: str
    country: str
    fiscal_year_start_month: int
    business_calendar: Mapping[str, Any]


class Members(Protocol):
    async def get_many(self, ids: Collection[UUID]) -> Mapping[UUID, MemberRef]:
        """Members by id, active or not; unknown ids are absent."""

    async def in_role(self, role_key: str) -> list[MemberRef]:
        """The active members with a role, by its key (`owner`, `manager`), by name."""


class Teams(Protocol):
    async def get_many(self, ids: Collection[UUID]) -> Mapping[UUID, TeamRef]:
        """Teams by id; unknown ids are absent."""

    async def members_of(self, team_id: UUID) -> list[MemberRef]:
        """The active members of one team, without those of teams below, by name."""


class Access(Protocol):
    async def changed(self) -> None:
        """Say, with the transaction, that what members reach has changed: no process keeps their snapshots."""


class Tenants(Protocol):
    async def settings(self) -> TenantSettings:
        """The settings of the tenant at hand."""


# -- events --------------------------------------------------------------------------------------------------


class TenantSignedUp(Event):
    type: ClassVar[str] = "tenants.tenant.signed_up.v1"
    object: ClassVar[str] = "tenant"
    name: str
    owner_id: UUID


class MemberInvited(Event):
    type: ClassVar[str] = "tenants.invitation.created.v1"
    object: ClassVar[str] = "invitation"
    email: str
    invited_by: UUID


class MemberJoined(Event):
    type: ClassVar[str] = "tenants.member.joined.v1"
    object: ClassVar[str] = "member"
    name: str
    email: str


class MemberDeactivated(Event):
    type: ClassVar[str] = "tenants.member.deactivated.v1"
    object: ClassVar[str] = "member"
    handed_over_to: UUID | None


class MemberReactivated(Event):
    type: ClassVar[str] = "tenants.member.reactivated.v1"
    object: ClassVar[str] = "member"


# -- errors --------------------------------------------------------------------------------------------------


class InvalidCredentials(Unauthenticated):
    """One answer for an unknown person, a wrong password and a wrong code."""

    code = "invalid_credentials"
    title = "E-mail address, password or code is not right"


class OneTimeCodeRequired(Unauthenticated):
    code = "one_time_code_required"
    title = "Send the code of your authenticator app, or a recovery code, too"


class InvalidRefreshToken(Unauthenticated):
    code = "invalid_refresh_token"
    title = "This session has ended; sign in again"


class NoMembership(Forbidden):
    code = "no_membership"
    title = "You are not an active member of that company"


class ForeignOrigin(Forbidden):
    code = "foreign_origin"
    title = "A page of another origin may not use this cookie"


class EmailInUse(Conflict):
    code = "email_in_use"
    title = "Somebody signed up with this address already; give their password to add a company"


class MemberExists(Conflict):
    code = "member_exists"
    title = "There is a member with this e-mail address already"


class InvitationPending(Conflict):
    code = "invitation_pending"
    title = "This address has been invited already"


class LinkUsed(Conflict):
    code = "link_used"
    title = "This link has been used, has expired or was withdrawn"


class LastOwner(Conflict):
    code = "last_owner"
    title = "A company keeps at least one active owner"


class RoleInUse(Conflict):
    code = "role_in_use"
    title = "Members or open invitations have this role"


class BuiltInRoleFixed(Conflict):
    code = "built_in_role"
    title = "Built-in roles stay as they are; clone this one and change the clone"


class TeamInUse(Conflict):
    code = "team_in_use"
    title = "The team still has members, open invitations or teams below"


class TotpState(Conflict):
    code = "totp_state"
    title = "Two-factor sign-in is not in the state that this step needs"


class GrantTooWide(Forbidden):
    code = "grant_too_wide"
    title = "Nobody can grant more than they may do themselves"
