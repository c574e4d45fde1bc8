"""Who acts and what they may do: actor, scopes, field rules, and the SQL that says which rows they reach.

Permissions are `object:action` with a scope. A role grants them; a share widens them for one record. The
kernel knows no roles: `app.tenants` turns a token or key into an `Actor`, a frozen snapshot that is cached and
thrown away when anything it depends on changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from enum import IntEnum
from typing import Final, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from app.kernel.allowances import UNLIMITED, Allowance
from app.kernel.errors import Forbidden

ActorKind = Literal["member", "api_key", "system", "anonymous", "operator", "impersonation"]
"""`operator` looks after the installation; `impersonation` is one of them in a member's place, named by both."""
NOBODY = UUID(int=0)


class Scope(IntEnum):
    """How far a permission reaches, smallest first."""

    NONE = 0
    OWN = 1
    TEAM = 2
    TEAM_AND_BELOW = 3
    ALL = 4

    @property
    def label(self) -> str:
        return self.name.lower()


OPEN_TENANT_STATES: Final = frozenset({"trialing", "active", "past_due"})
"""In which a company works; otherwise it only reads, exports and pays."""


@dataclass(frozen=True, slots=True)
class TenantProfile:
    """What the kernel needs to know of a tenant to answer in its language, zone and money."""

    id: UUID
    name: str = ""
    slug: str = ""
    status: str = "active"
    locale: str = "en"
    time_zone: str = "UTC"
    currency: str = "USD"
    country: str = "US"
    fiscal_year_start_month: int = 1
    brand_color: str | None = None
    logo_hash: bytes | None = None
    export_until: datetime | None = None
    allowance: Allowance = field(default=UNLIMITED, compare=False, repr=False)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @property
    def language(self) -> Literal["en", "zh"]:
        """The language of what the company sends and shows to others."""
        return "zh" if self.locale.lower().startswith("zh") else "en"

    def day_of(self, moment: datetime) -> date:
        """The date that the tenant's calendar shows at a moment."""
        return moment.astimezone(self.zone).date()

    def midnight(self, day: date) -> datetime:
        """When a day begins where the tenant is, in UTC."""
        return datetime.combine(day, time(), self.zone).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Reach:
    """Records of one type that an actor reads beyond owning, teams and sharing: those whose `column` is one of `ids`.

    In rows whose `column` is one of `veiled`, the type's contact fields are shown to this actor in part only.
    """

    column: str
    ids: tuple[UUID, ...] = ()
    veiled: tuple[UUID, ...] = ()


@dataclass(frozen=True, slots=True)
class Actor:
    """A snapshot of who acts: a member, an API key, or the system itself (jobs, reactions to events)."""

    tenant: TenantProfile
    kind: ActorKind
    id: UUID
    name: str
    member_id: UUID | None = None
    user_id: UUID | None = None
    session_id: UUID | None = None
    grants: Mapping[str, Scope] = field(default_factory=dict)
    team_ids: tuple[UUID, ...] = ()
    team_ids_below: tuple[UUID, ...] = ()
    hidden_fields: Mapping[str, frozenset[str]] = field(default_factory=dict)
    readonly_fields: Mapping[str, frozenset[str]] = field(default_factory=dict)
    everything: bool = False
    read_only: bool = False
    reach: Mapping[str, Reach] = field(default_factory=dict)

    @property
    def tenant_id(self) -> UUID:
        return self.tenant.id

    @property
    def home_team_id(self) -> UUID | None:
        """The team that new records of this actor belong to."""
        return self.team_ids[0] if self.team_ids else None

    def scope(self, permission: str) -> Scope:
        """How far this actor may exercise `object:action`; NONE when not granted."""
        return Scope.ALL if self.everything else self.grants.get(permission, Scope.NONE)

    def may(self, permission: str) -> bool:
        return self.scope(permission) is not Scope.NONE

    def require(self, permission: str) -> Scope:
        """The scope of a permission, or `Forbidden` naming it."""
        scope = self.scope(permission)
        if scope is Scope.NONE:
            raise Forbidden(f"This needs the permission {permission}.", permission=permission)
        return scope

    def hidden(self, object_name: str) -> frozenset[str]:
        return self.hidden_fields.get(object_name, frozenset())

    def readonly(self, object_name: str) -> frozenset[str]:
        return self.readonly_fields.get(object_name, frozenset()) | self.hidden(object_name)


def system_actor(tenant: TenantProfile, name: str = "Rapport") -> Actor:
    """The product itself acting for a tenant: jobs, schedules, reactions to events."""
    return Actor(tenant=tenant, kind="system", id=NOBODY, name=name, everything=True)


ANONYMOUS = Actor(tenant=TenantProfile(id=NOBODY), kind="anonymous", id=NOBODY, name="anonymous")

Bind = Callable[[object], str]
"""Adds a value to a statement's arguments and returns its placeholder, `$7`."""


def visible_rows(actor: Actor, object_name: str, action: str, bind: Bind, alias: str = "t") -> str | None:
    """SQL that is true for the rows on which the actor may exercise `object:action`; None means all of them.

    Own rows, rows of the actor's teams as far as the scope reaches, rows shared with the actor or a team of
    theirs, and for reading what modules let them reach besides. Sharing to write is needed for anything but reading.
    """
    scope = actor.require(f"{object_name}:{action}")
    if scope is Scope.ALL:
        return None
    me = bind(actor.member_id or NOBODY)
    clauses = [f"{alias}.owner_id = {me}"]
    teams = actor.team_ids_below if scope is Scope.TEAM_AND_BELOW else actor.team_ids
    if scope >= Scope.TEAM and teams:
        clauses.append(f"{alias}.team_id = ANY({bind(list(teams))}::uuid[])")
    mine = bind(list(actor.team_ids))
    write = "" if action == "read" else " AND s.access = 'write'"
    clauses.append(
        f"EXISTS (SELECT 1 FROM kernel.shares s WHERE s.tenant_id = {alias}.tenant_id"
        f" AND s.object = '{object_name}' AND s.record_id = {alias}.id"
        f" AND (s.member_id = {me} OR s.team_id = ANY({mine}::uuid[])){write})"
    )
    reach = actor.reach.get(object_name)
    if action == "read" and reach is not None and reach.ids:
        clauses.append(f"{alias}.{reach.column} = ANY({bind(list(reach.ids))}::uuid[])")
    return "(" + " OR ".join(clauses) + ")"


def owned_rows(actor: Actor, object_name: str, action: str, bind: Bind, alias: str = "t") -> str | None:
    """As `visible_rows` without what is shared: true by owner and team alone, for sums that keep nothing else."""
    scope = actor.require(f"{object_name}:{action}")
    if scope is Scope.ALL:
        return None
    clauses = [f"{alias}.owner_id = {bind(actor.member_id or NOBODY)}"]
    teams = actor.team_ids_below if scope is Scope.TEAM_AND_BELOW else actor.team_ids
    if scope >= Scope.TEAM and teams:
        clauses.append(f"{alias}.team_id = ANY({bind(list(teams))}::uuid[])")
    return "(" + " OR ".join(clauses) + ")"


def shared_ids(actor: Actor, object_name: str, bind: Bind) -> str:
    """SQL of the ids of the records that are shared with the actor or a team of theirs; `$1` is the tenant."""
    return (
        f"(SELECT s.record_id FROM kernel.shares s WHERE s.tenant_id = $1 AND s.object = '{object_name}'"
        f" AND (s.member_id = {bind(actor.member_id or NOBODY)}"
        f" OR s.team_id = ANY({bind(list(actor.team_ids))}::uuid[])))"
    )
