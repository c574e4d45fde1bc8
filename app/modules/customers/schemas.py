"""The wire shapes of accounts and contacts."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from app.kernel.contact import Email, Phone, Url
from app.kernel.countries import Country
from app.kernel.holding import HeldOutput
from app.kernel.money import MoneyIn, MoneyOut
from app.kernel.schemas import Input, LongText, Output, RecordInput, RecordOutput, ShortText, patch_of
from app.kernel.time_zones import TimeZone
from app.modules.customers.models import (
    AccountKind,
    Channel,
    ConsentStatus,
    LifecycleStage,
    Rating,
    Role,
)

_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]")


def _register_number(text: str) -> str:
    return "".join(text.split()).upper()


Language = Annotated[
    str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$"), Field(examples=["zh-CN"])
]
RegistrationNumber = Annotated[ShortText, AfterValidator(_register_number)]
AddressText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
AllowDuplicates = Annotated[
    bool,
    Field(
        description="Make it although it looks like another; needs the permission duplicate_rule:override."
    ),
]


class ChannelConsent(Output):
    """Where a channel stands."""

    status: ConsentStatus
    source: str
    at: datetime


class _AccountFields(RecordInput):
    name: ShortText
    kind: AccountKind = AccountKind.COMPANY
    parent_id: UUID | None = Field(
        None, description="The account that this one belongs to; at most 10 levels."
    )
    industry: ShortText | None = None
    size: ShortText | None = Field(None, description="Head count, as a range.", examples=["51-200"])
    country: Country | None = Field(
        None, description="ISO 3166 code; names in English or Chinese are taken too."
    )
    region: ShortText | None = None
    city: ShortText | None = None
    address: AddressText | None = None
    postal_code: ShortText | None = None
    website: Url | None = None
    phone: Phone | None = None
    phones: list[Phone] = Field(default_factory=list, max_length=20, description="Further numbers.")
    email: Email | None = None
    emails: list[Email] = Field(default_factory=list, max_length=20, description="Further addresses.")
    registration_number: RegistrationNumber | None = None
    source: ShortText | None = None
    lifecycle_stage: LifecycleStage = LifecycleStage.LEAD
    rating: Rating | None = None
    credit_limit: MoneyIn | None = None
    payment_terms_days: int | None = Field(None, ge=0, le=3650)
    preferred_channel: Channel | None = None
    language: Language | None = None
    description: LongText | None = None


class AccountCreate(_AccountFields):
    """An account to create."""

    allow_duplicates: AllowDuplicates = False


AccountUpdate = patch_of(_AccountFields, "AccountUpdate")
AccountUpdate.__doc__ = "Changes to an account; absent fields stay as they are."


class AccountRead(HeldOutput):
    """An account."""

    name: str
    kind: AccountKind
    parent_id: UUID | None
    industry: str | None
    size: str | None
    country: str | None
    region: str | None
    city: str | None
    address: str | None
    postal_code: str | None
    website: str | None
    phone: str | None
    phones: list[str]
    email: str | None
    emails: list[str]
    registration_number: str | None
    source: str | None
    lifecycle_stage: LifecycleStage
    rating: Rating | None
    credit_limit: MoneyOut | None
    payment_terms_days: int | None
    preferred_channel: Channel | None
    language: str | None
    description: str | None
    consents: dict[str, ChannelConsent] = Field(
        description="The state of each channel that something is known of."
    )
    completeness: int = Field(description="How much is filled in, 0 to 100.")
    duplicate_count: int = Field(description="Records that looked like this one when it was last checked.")


def display_name(family_name: str | None, given_name: str | None) -> str:
    """Both parts in the order of their script: 张伟, but Wei Zhang."""
    parts = [part for part in (given_name, family_name) if part]
    if any(_CJK.search(part) for part in parts):
        return "".join(reversed(parts))
    return " ".join(parts)


class _ContactFields(RecordInput):
    name: ShortText | None = Field(None, description="As shown; made from the two parts when absent.")
    family_name: ShortText | None = None
    given_name: ShortText | None = None
    title: ShortText | None = None
    department: ShortText | None = None
    account_id: UUID | None = Field(None, description="The account they belong to first of all.")
    role: Role | None = Field(None, description="Their part when that account buys.")
    reports_to_id: UUID | None = Field(None, description="The contact they report to.")
    email: Email | None = None
    emails: list[Email] = Field(default_factory=list, max_length=20, description="Further addresses.")
    phone: Phone | None = None
    mobile: Phone | None = None
    country: Country | None = None
    region: ShortText | None = None
    city: ShortText | None = None
    address: AddressText | None = None
    source: ShortText | None = None
    preferred_channel: Channel | None = None
    language: Language | None = None
    time_zone: TimeZone | None = None
    description: LongText | None = None


class ContactCreate(_ContactFields):
    """A contact to create."""

    allow_duplicates: AllowDuplicates = False

    @model_validator(mode="after")
    def _has_a_name(self) -> ContactCreate:
        if self.name is None:
            self.name = display_name(self.family_name, self.given_name)[:200] or None
            if self.name is None:
                raise PydanticCustomError("name_required", "Give a name, or a family or given name")
        return self


ContactUpdate = patch_of(_ContactFields, "ContactUpdate")
ContactUpdate.__doc__ = "Changes to a contact; absent fields stay as they are."


class ContactRead(RecordOutput):
    """A contact."""

    name: str
    family_name: str | None
    given_name: str | None
    title: str | None
    department: str | None
    account_id: UUID | None
    role: Role | None
    reports_to_id: UUID | None
    email: str | None
    emails: list[str]
    phone: str | None
    mobile: str | None
    country: str | None
    region: str | None
    city: str | None
    address: str | None
    source: str | None
    preferred_channel: Channel | None
    language: str | None
    time_zone: str | None
    description: str | None
    consents: dict[str, ChannelConsent]
    completeness: int
    duplicate_count: int


class Named(Output):
    id: UUID
    name: str


class RoleInput(Input):
    """A contact's part in an account."""

    role: Role | None = None
    is_primary: bool = Field(
        False, description="Make this their first account; the former one stays as a further."
    )


class ContactRoleRead(Output):
    """A contact's part in an account."""

    account: Named
    role: Role | None
    is_primary: bool


class CommitteeMember(Output):
    """Somebody with a part in an account."""

    contact: Named
    title: str | None
    department: str | None
    email: str | None
    phone: str | None
    role: Role | None
    is_primary: bool = Field(description="Whether this account is the contact's first one.")
    reports_to_id: UUID | None


class Committee(Output):
    """The people of an account by role, and the roles that nobody plays yet."""

    members: list[CommitteeMember]
    missing_roles: list[Role]


class HierarchyNode(Output):
    id: UUID
    name: str
    parent_id: UUID | None
    depth: int = Field(description="0 at the top.")
    lifecycle_stage: LifecycleStage | None = Field(description="Null where it is hidden from your role.")
    owner_id: UUID | None


class Hierarchy(Output):
    """The whole tree that an account stands in, parents before children; what one may not see is left out."""

    nodes: list[HierarchyNode]


class ConsentInput(Input):
    """What somebody said about being reached on a channel."""

    channel: Channel
    status: ConsentStatus
    source: ShortText = Field(examples=["web form, newsletter box"])
    note: Annotated[str, StringConstraints(max_length=2000)] | None = None
    given_at: AwareDatetime | None = Field(None, description="Absent means now.")

    @model_validator(mode="after")
    def _in_utc(self) -> ConsentInput:
        if self.given_at is not None:
            if not 1970 <= self.given_at.year <= 2100:
                raise PydanticCustomError("implausible_time", "A consent is given between 1970 and 2100")
            self.given_at = self.given_at.astimezone(UTC)
        return self


class ConsentRead(Output):
    """One statement, as it was recorded."""

    id: UUID
    channel: Channel
    status: ConsentStatus
    source: str
    note: str | None
    given_at: datetime
    created_at: datetime
    created_by: UUID | None


class ActivityLine(Output):
    id: UUID
    kind: str
    subject: str
    status: str
    owner_id: UUID | None
    happened_at: datetime
    due_at: datetime | None
    completed_at: datetime | None


class TimelineLine(Output):
    id: UUID
    at: datetime
    kind: str
    title: str
    text: str | None
    actor_id: UUID | None
    actor_name: str | None
    object: str | None
    record_id: UUID | None
    data: dict[str, Any]


class Overview(Output):
    """Everything about an account in one answer."""

    account: AccountRead
    owner_name: str | None
    parent: Named | None
    children: int
    committee: Committee
    next_activity: ActivityLine | None
    timeline: list[TimelineLine]
    panels: dict[str, Any] = Field(description="What other modules show: opportunities, orders, cases …")


class AccountQuery(Input):
    """What is known of an account that may be there already."""

    name: ShortText | None = None
    kind: AccountKind = AccountKind.COMPANY
    email: Email | None = None
    phone: Phone | None = None
    registration_number: RegistrationNumber | None = None
    country: Country | None = None


class ContactQuery(Input):
    """What is known of a contact who may be there already."""

    name: ShortText | None = None
    account_id: UUID | None = Field(None, description="Names are compared within an account only.")
    email: Email | None = None
    phone: Phone | None = None
    mobile: Phone | None = None
    country: Country | None = None
