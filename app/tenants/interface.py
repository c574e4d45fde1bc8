"""What modules may know of tenants, members and teams."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, ClassVar, Protocol
from uuid import UUID

from app.kernel.allowances import LimitName
from app.kernel.errors import Conflict, Forbidden, Unauthenticated
from app.kernel.events import Event
from app.kernel.memory import Remembered
from app.kernel.money import Money
from app.kernel.pdf.documents import Brand, DocumentParty, Paper
from app.kernel.working_time import WorkingCalendar


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

    async def all(self) -> list[MemberRef]:
        """All members, active or not, by name."""


@dataclass(frozen=True, slots=True)
class Colleague:
    """An active member as whoever shares out work sees them; `skills` by name in lower case, from 1 to 5."""

    id: UUID
    name: str
    team_ids: tuple[UUID, ...]
    manager_id: UUID | None
    skills: Mapping[str, int]


class Colleagues(Protocol):
    async def among(
        self, members: Collection[UUID], teams: Collection[UUID] = (), *, hold: bool = True
    ) -> Mapping[UUID, Colleague]:
        """The active ones of these members and of the members of these teams.

        With `hold` they stay active until the transaction ends: whoever deactivates one waits.
        """


@dataclass(frozen=True, slots=True)
class CompanyCalendars:
    """All business calendars of a company as they stand at one moment."""

    default: WorkingCalendar
    by_id: Mapping[UUID, WorkingCalendar]


class WorkingTime(Protocol):
    """Who works when: members' business calendars and their absences."""

    remembered: ClassVar[Remembered[CompanyCalendars]]
    """The calendars as settings that a process remembers, to be asked for together with others."""

    async def default(self) -> WorkingCalendar:
        """The company's calendar."""

    async def calendars(self, ids: Collection[UUID]) -> Mapping[UUID, WorkingCalendar]:
        """Calendars by their ids, in one statement; unknown ones are absent."""

    async def calendars_of(self, member_ids: Collection[UUID]) -> Mapping[UUID, WorkingCalendar]:
        """Each member's calendar: their own, else that of their home team or one above it, else the default."""

    async def absent(self, member_ids: Collection[UUID], at: datetime) -> Mapping[UUID, UUID | None]:
        """Those who are away at a moment, and who stands in for each, if anybody."""

    async def present(self, member_ids: Collection[UUID], at: datetime) -> frozenset[UUID]:
        """Those for whom it is working time at a moment and who are not away."""


class CalendarUser(Protocol):
    """Port: a module that counts by calendars, which keeps them from being deleted."""

    async def uses(self, calendar_id: UUID) -> Mapping[str, int]:
        """How many of what use this calendar."""


class Teams(Protocol):
    async def get_many(self, ids: Collection[UUID]) -> Mapping[UUID, TeamRef]:
        """Teams by id; unknown ids are absent."""

    async def all(self) -> list[TeamRef]:
        """All teams by name; `parent_id` makes the tree."""

    async def members_of(self, team_id: UUID) -> list[MemberRef]:
        """The active members of one team, without those of teams below, by name."""


class Access(Protocol):
    async def changed(self) -> None:
        """Say, with the transaction, that what members reach has changed: no process keeps their snapshots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letterhead:
    """How a company shows itself on documents: its legal name and address, its colour and logo, its paper.

    `bank_details` say where it is paid to, line by line.
    """

    seller: DocumentParty
    brand: Brand
    paper: Paper
    bank_details: str | None = None


class TenantErasure(Protocol):
    """Port: whatever erases an account whose export window is over, bound to a transaction of it."""

    async def begin(self, *, reason: str) -> None:
        """Start to erase the tenant at hand, with the transaction.

        Asked again every few minutes until the account is erased: what has begun is not begun again.
        """


class Tenants(Protocol):
    async def settings(self) -> TenantSettings:
        """The settings of the tenant at hand."""

    async def letterhead(self) -> Letterhead:
        """What the documents of the tenant at hand begin with."""


class Entitlements(Protocol):
    """What the plan of the tenant at hand includes, and how much of it is used."""

    def includes(self, feature: str) -> bool:
        """Whether the plan has a feature; what no plan names is included."""

    def require(self, feature: str) -> None:
        """Raises: PlanFeatureMissing, which names the plan that has it."""

    async def used(self, name: LimitName) -> int:
        """How much of a limit is used: of what is kept now, of what is metered in the month of the plan at hand."""

    async def require_room(self, name: LimitName, wanted: int = 1) -> None:
        """Refuse what goes beyond a hard limit, as far as it is committed.

        Records, seats and files do so by themselves. Raises: PlanLimitReached.
        """


class Metering(Protocol):
    """Usage of the tenant at hand, counted in the same transaction as what is metered."""

    def count(self, metric: str, quantity: int = 1) -> None:
        """So much more of a metric, `analytics.runs`; it shows in the usage within a minute or two."""


@dataclass(frozen=True, slots=True)
class DatedRate:
    """One unit of `currency` is worth `rate` units of the tenant's from `valid_from` until before `until`."""

    currency: str
    valid_from: date
    until: date | None
    rate: Decimal


class ExchangeRates(Protocol):
    """Dated rates to the tenant's own currency."""

    async def convert_many(self, amounts: Sequence[tuple[Money, date]]) -> list[Money | None]:
        """Each amount in the tenant's currency at the rate of its day, rounded half up once.

        None where no rate is known for that day, or the result is beyond what money can hold. At most two
        statements, and none for amounts in the tenant's own currency. Rates that are read stay as they are until
        the transaction ends, as far as `settled` is concerned.
        """

    async def rates(self, currencies: Collection[str] | None = None) -> list[DatedRate]:
        """All rates of some currencies, of all when None, by currency and day."""

    async def settled(self) -> None:
        """Wait until every transaction that converted by older rates has ended, and let none begin meanwhile."""


# -- events --------------------------------------------------------------------------------------------------


class TenantSignedUp(Event):
    type: ClassVar[str] = "tenants.tenant.signed_up.v1"
    object: ClassVar[str] = "tenant"
    name: str
    owner_id: UUID


class ImpersonationStarted(Event):
    """Somebody who looks after the installation acts in a member's place, until `expires_at` at the latest."""

    type: ClassVar[str] = "tenants.impersonation.started.v1"
    object: ClassVar[str] = "impersonation"
    operator: str
    member_id: UUID
    member: str
    reason: str
    may_write: bool
    expires_at: datetime


class MovedBy(StrEnum):
    """Who moved an account: its own people, whoever runs the product, the clock, or a payment that came or failed."""

    CUSTOMER = "customer"
    OPERATOR = "operator"
    SCHEDULE = "schedule"
    PAYMENT = "payment"


class TenantStatusChanged(Event):
    """An account moved from one status to another, and who can do what in it with it."""

    type: ClassVar[str] = "tenants.tenant.status_changed.v1"
    object: ClassVar[str] = "tenant"
    previous: str
    status: str
    reason: str
    by: MovedBy


class TenantCancellationPlanned(Event):
    """An account is to end at `cancel_at`; null: it no longer is."""

    type: ClassVar[str] = "tenants.tenant.cancellation_planned.v1"
    object: ClassVar[str] = "tenant"
    cancel_at: datetime | None
    reason: str


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
    """Somebody left; `manager_id` is whom they reported to, which their membership no longer says."""

    type: ClassVar[str] = "tenants.member.deactivated.v1"
    object: ClassVar[str] = "member"
    handed_over_to: UUID | None
    manager_id: UUID | None


class MemberReactivated(Event):
    type: ClassVar[str] = "tenants.member.reactivated.v1"
    object: ClassVar[str] = "member"


class UsageWarning(Event):
    """80 or 100 % of a limit of the plan are used: once for each in every month of the plan."""

    type: ClassVar[str] = "tenants.usage.warned.v1"
    object: ClassVar[str] = "usage_warning"
    limit: str
    threshold: int
    used: int
    allowed: int
    period_start: datetime


class ExchangeRateChanged(Event):
    """A rate was entered, changed or deleted; amounts in its currency are worth something else."""

    type: ClassVar[str] = "tenants.exchange_rate.changed.v1"
    object: ClassVar[str] = "exchange_rate"
    currency: str
    valid_from: date


class CalendarChanged(Event):
    """The hours, days off, zone or name of a business calendar were changed, or which one is the default."""

    type: ClassVar[str] = "tenants.calendar.changed.v1"
    object: ClassVar[str] = "calendar"
    is_default: bool


class TenantSettingsChanged(Event):
    """Settings of the company were changed; `changed` names them."""

    type: ClassVar[str] = "tenants.tenant.settings_changed.v1"
    object: ClassVar[str] = "tenant"
    changed: list[str]


class BillIssued(Event):
    """A company's bill of a period got its number; `due` is what is still to be paid of it, by `due_at`."""

    type: ClassVar[str] = "tenants.bill.issued.v1"
    object: ClassVar[str] = "bill"
    number: str
    total: dict[str, str]
    due: dict[str, str]
    due_at: datetime


class BillPaid(Event):
    """Nothing of a bill is due any more."""

    type: ClassVar[str] = "tenants.bill.paid.v1"
    object: ClassVar[str] = "bill"
    number: str
    total: dict[str, str]


class BillVoided(Event):
    """A bill was taken back whole."""

    type: ClassVar[str] = "tenants.bill.voided.v1"
    object: ClassVar[str] = "bill"
    number: str
    reason: str


class BillGivenUp(Event):
    """What is due of a bill is not expected any more; it can still be paid."""

    type: ClassVar[str] = "tenants.bill.given_up.v1"
    object: ClassVar[str] = "bill"
    number: str
    reason: str


class BillCreditNoteIssued(Event):
    """Something of a bill was given back; `refunded` is what is to be paid out."""

    type: ClassVar[str] = "tenants.bill_credit_note.issued.v1"
    object: ClassVar[str] = "bill_credit_note"
    bill_id: UUID
    number: str
    total: dict[str, str]
    refunded: dict[str, str]


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


class CalendarInUse(Conflict):
    code = "calendar_in_use"
    title = "Members, teams or promises go by this calendar, or it is the default"


class TotpState(Conflict):
    code = "totp_state"
    title = "Two-factor sign-in is not in the state that this step needs"


class GrantTooWide(Forbidden):
    code = "grant_too_wide"
    title = "Nobody can grant more than they may do themselves"
