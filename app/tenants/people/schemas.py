"""Wire schemas of members, invitations, roles, teams and the company's settings."""

from __future__ import annotations

from datetime import date, datetime
from itertools import pairwise
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from app.kernel.contact import Email
from app.kernel.money import Currency
from app.kernel.schemas import Input, Output, ShortText
from app.tenants.schemas import (
    Country,
    Locale,
    Password,
    RecoveryCode,
    ScopeName,
    TimeZone,
    Token,
    Totp,
    Transport,
)

RoleIds = Annotated[list[UUID], Field(min_length=1, max_length=20)]
TeamIds = Annotated[
    list[UUID], Field(max_length=50, description="The first is the home team, which new records get.")
]
Grants = Annotated[
    dict[Annotated[str, StringConstraints(max_length=100)], ScopeName],
    Field(max_length=500, description="Permission → how far it reaches.", examples=[{"lead:read": "team"}]),
]


class Skill(Input):
    """Something that a member is good at, from 1 (a little) to 5 (an expert)."""

    skill: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60)]
    level: int = Field(ge=1, le=5)


class SkillRead(Output):
    skill: str
    level: int


class MemberRead(Output):
    id: UUID
    version: int
    name: str
    email: str
    title: str | None
    status: Literal["active", "deactivated"]
    role_ids: list[UUID]
    team_ids: list[UUID]
    manager_id: UUID | None
    joined_at: datetime
    deactivated_at: datetime | None
    calendar_id: UUID | None = Field(description="Absent: that of the home team or of one above it.")
    skills: list[SkillRead]


class MemberPage(Output):
    data: list[MemberRead]
    next_cursor: str | None
    has_more: bool


class MemberUpdate(Input):
    name: ShortText | None = None
    title: ShortText | None = None
    role_ids: RoleIds | None = None
    team_ids: TeamIds | None = None
    manager_id: UUID | None = None
    calendar_id: UUID | None = Field(None, description="The member's own business hours.")
    skills: Annotated[list[Skill], Field(max_length=50)] | None = Field(None, description="Replaced whole.")


class Deactivate(Input):
    hand_over_to: UUID | None = Field(
        None, description="The member who gets all records; absent: they stay with the one who leaves."
    )


class Deactivated(Output):
    member: MemberRead
    handed_over: dict[str, int] = Field(description="Records by object.")


class InvitationCreate(Input):
    email: Email
    name: ShortText
    role_ids: RoleIds | None = Field(None, description="Absent means salesperson.")
    team_ids: TeamIds = Field(default_factory=list)


class InvitationRead(Output):
    id: UUID
    version: int
    email: str
    name: str
    role_ids: list[UUID]
    team_ids: list[UUID]
    status: Literal["pending", "accepted", "revoked"]
    expired: bool = Field(description="Its link is too old; send it again.")
    invited_by: UUID
    member_id: UUID | None = Field(description="Who joined.")
    expires_at: datetime
    created_at: datetime


class InvitationPage(Output):
    data: list[InvitationRead]
    next_cursor: str | None
    has_more: bool


class InvitationToken(Input):
    token: Token


class InvitationPreview(Output):
    """What an invited person is shown before they join."""

    email: str
    name: str
    company: str
    invited_by: str
    known: bool = Field(
        description="There is an account with this address: ask for its password, not a new one."
    )


class InvitationAccept(Input):
    """A new person chooses name and password; somebody we know proves to be themselves."""

    token: Token
    password: Password
    name: ShortText | None = None
    totp: Totp | None = None
    recovery_code: RecoveryCode | None = None
    transport: Transport = "body"


FieldName = Annotated[str, StringConstraints(max_length=100)]


class FieldRules(Input):
    hidden: list[FieldName] = Field(default_factory=list, max_length=200)
    readonly: list[FieldName] = Field(default_factory=list, max_length=200)


FieldRuleMap = Annotated[
    dict[Annotated[str, StringConstraints(max_length=60)], FieldRules],
    Field(max_length=100, description="Object → fields that the role may not see or not change."),
]


class RoleCreate(Input):
    name: ShortText
    description: str = Field("", max_length=500)
    grants: Grants = Field(default_factory=dict)
    field_rules: FieldRuleMap = Field(default_factory=dict)


class RoleClone(Input):
    name: ShortText


class RoleUpdate(Input):
    name: ShortText | None = None
    description: str | None = Field(None, max_length=500)
    grants: Grants | None = None
    field_rules: FieldRuleMap | None = None


class RoleRead(Output):
    id: UUID
    version: int
    key: str
    name: str
    description: str
    built_in: bool
    grants: dict[str, ScopeName]
    field_rules: dict[str, FieldRules]
    created_at: datetime
    updated_at: datetime


class RoleList(Output):
    data: list[RoleRead]


class PermissionRead(Output):
    name: str
    description: str


class PermissionList(Output):
    data: list[PermissionRead]


class TeamCreate(Input):
    name: ShortText
    parent_id: UUID | None = None
    manager_id: UUID | None = None
    calendar_id: UUID | None = None


class TeamUpdate(Input):
    name: ShortText | None = None
    parent_id: UUID | None = None
    manager_id: UUID | None = None
    calendar_id: UUID | None = None


class TeamRead(Output):
    id: UUID
    version: int
    name: str
    parent_id: UUID | None
    manager_id: UUID | None
    calendar_id: UUID | None
    member_count: int = Field(description="Active members of this very team.")
    created_at: datetime
    updated_at: datetime


class TeamList(Output):
    data: list[TeamRead]


TimeOfDay = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$")]
Hours = Annotated[list[Annotated[list[TimeOfDay], Field(min_length=2, max_length=2)]], Field(max_length=6)]


class BusinessDays(Input):
    mon: Hours = Field(default_factory=list)
    tue: Hours = Field(default_factory=list)
    wed: Hours = Field(default_factory=list)
    thu: Hours = Field(default_factory=list)
    fri: Hours = Field(default_factory=list)
    sat: Hours = Field(default_factory=list)
    sun: Hours = Field(default_factory=list)

    @model_validator(mode="after")
    def _in_order(self) -> BusinessDays:
        for day in type(self).model_fields:
            times = [time for interval in getattr(self, day) for time in interval]
            if any(left >= right for left, right in pairwise(times)):
                raise PydanticCustomError("not_in_order", "Working hours are in order and do not overlap")
        return self


class Holiday(Input):
    date: date
    name: ShortText


class BusinessCalendar(Input):
    """Working hours in the company's time zone; `[["09:00", "12:00"], ["13:00", "18:00"]]` has a lunch break."""

    days: BusinessDays
    holidays: list[Holiday] = Field(default_factory=list, max_length=500)


Address = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
TaxNumber = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=40, pattern=r"^[0-9A-Za-z ./-]+$")
]
BrandColor = Annotated[
    str,
    StringConstraints(to_lower=True, pattern=r"^#[0-9a-fA-F]{6}$"),
    Field(json_schema_extra={"examples": ["#0b5cc0"]}),
]


class TenantRead(Output):
    id: UUID
    version: int
    name: str
    slug: str
    status: str
    locale: str
    time_zone: str
    currency: str
    country: str
    fiscal_year_start_month: int
    business_calendar: BusinessCalendar
    legal_name: str | None
    address: str | None
    tax_number: str | None
    bank_details: str | None
    brand_color: str | None
    logo_url: str | None = Field(description="Where anybody finds the logo; a new logo has a new address.")
    created_at: datetime
    updated_at: datetime


class TenantUpdate(Input):
    name: ShortText | None = None
    locale: Locale | None = None
    time_zone: TimeZone | None = None
    currency: Currency | None = None
    country: Country | None = None
    fiscal_year_start_month: int | None = Field(None, ge=1, le=12)
    business_calendar: BusinessCalendar | None = None
    legal_name: ShortText | None = Field(None, description="On documents, where it is not the name.")
    address: Address | None = Field(None, description="On documents, line by line.")
    tax_number: TaxNumber | None = Field(None, description="On documents.")
    bank_details: Address | None = Field(None, description="On invoices, line by line: where to pay to.")
    brand_color: BrandColor | None = Field(
        None, description="Of documents and public pages, `#rrggbb`; darkened where it could not be read."
    )
