"""Wire schemas of signing up, signing in and oneself."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from app.kernel.contact import Email
from app.kernel.countries import COUNTRIES
from app.kernel.money import Currency
from app.kernel.schemas import Input, Output, ShortText
from app.tenants.places import TIME_ZONES


def _time_zone(name: str) -> str:
    if name not in TIME_ZONES:
        raise PydanticCustomError(
            "unknown_time_zone", "Not a time zone of the IANA database, such as Asia/Shanghai"
        )
    return name


def _country(code: str) -> str:
    if code not in COUNTRIES:
        raise PydanticCustomError("unknown_country", "Not a country code of ISO 3166-1, such as CN")
    return code


TimeZone = Annotated[str, Field(max_length=64, examples=["Asia/Shanghai"]), AfterValidator(_time_zone)]
Country = Annotated[str, Field(max_length=2, examples=["CN"]), AfterValidator(_country)]
Locale = Annotated[
    str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Z][a-z]{3})?(-[A-Z]{2})?$"), Field(examples=["zh-CN"])
]
Password = Annotated[str, Field(max_length=1_000, examples=["correct horse battery staple"])]
Token = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Totp = Annotated[str, StringConstraints(max_length=10), Field(examples=["492039"])]
RecoveryCode = Annotated[str, StringConstraints(max_length=40), Field(examples=["7K3D-9X2M-PQ4T-V8WZ"])]
Transport = Annotated[
    Literal["body", "cookie"],
    Field(
        description="Where the refresh token travels: `body` for native apps, an HttpOnly `cookie` for pages."
    ),
]
Device = Annotated[str, StringConstraints(max_length=100), Field(examples=["Li Hua's phone"])]
ScopeName = Literal["own", "team", "team_and_below", "all"]


class SignUp(Input):
    """A company and its first member. With a known address, the password must be that person's."""

    company: ShortText
    name: ShortText
    email: Email
    password: Password
    locale: Locale = "en"
    country: Country = "US"
    time_zone: TimeZone = "UTC"
    currency: Currency = "USD"
    transport: Transport = "body"
    totp: Totp | None = None
    recovery_code: RecoveryCode | None = None


class SignIn(Input):
    email: Email
    password: Password
    totp: Totp | None = Field(None, description="The code of the authenticator app, where two-factor is on.")
    recovery_code: RecoveryCode | None = Field(None, description="Instead of `totp`; each works once.")
    tenant_id: UUID | None = Field(None, description="Needed when you work for several companies.")
    transport: Transport = "body"
    device: Device | None = Field(None, description="A name under which you recognise the session.")


class Tokens(Output):
    """A session. Send `access_token` as `Authorization: Bearer …`; exchange `refresh_token` before it expires."""

    status: Literal["signed_in"] = "signed_in"
    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - RFC 6750's name
    expires_in: int = Field(description="Seconds until the access token expires.")
    refresh_token: str | None = Field(description="Null when it is in the cookie.")
    refresh_expires_in: int = Field(description="Seconds until the session ends if it is not used.")
    session_id: UUID
    tenant_id: UUID
    tenant_name: str
    member_id: UUID


class TenantChoice(Output):
    id: UUID
    name: str
    status: str


class ChooseTenantAnswer(Output):
    """The proof is good for several companies: sign in again with `tenant_id`."""

    status: Literal["choose_tenant"] = "choose_tenant"
    tenants: list[TenantChoice]


class Refresh(Input):
    refresh_token: Token | None = Field(None, description="Absent: the cookie is used.")


class SwitchTenant(Input):
    tenant_id: UUID
    transport: Transport = "body"
    device: Device | None = None


class SessionRead(Output):
    id: UUID
    current: bool
    device: str
    user_agent: str
    ip: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    impersonated_by: str | None = Field(
        description="The operator of the installation who acts in your place; you may end it."
    )
    purpose: str | None = Field(description="Why they do.")


class SessionList(Output):
    data: list[SessionRead]


class TenantBrief(Output):
    id: UUID
    name: str
    slug: str
    status: str
    locale: str
    time_zone: str
    currency: str
    country: str


class Me(Output):
    """Who the credential stands for."""

    kind: Literal["member", "api_key", "impersonation"]
    member_id: UUID
    user_id: UUID | None = Field(description="Null for an API key.")
    name: str
    email: str
    title: str | None
    email_verified: bool
    two_factor: bool
    locale: str
    version: int = Field(description="Of the membership; the ETag.")
    role_keys: list[str]
    team_ids: list[UUID]
    manager_id: UUID | None
    session_id: UUID | None
    tenant: TenantBrief
    tenants: list[TenantChoice] = Field(
        description="The companies that you may switch to, this one included."
    )


class MeUpdate(Input):
    name: ShortText | None = None
    title: ShortText | None = None
    locale: Locale | None = None


class GrantRead(Output):
    permission: str
    description: str
    scope: ScopeName


class FieldRulesRead(Output):
    object: str
    hidden: list[str]
    readonly: list[str]


class MyPermissions(Output):
    """What will not be refused; a SPA hides the rest."""

    grants: list[GrantRead]
    fields: list[FieldRulesRead]


class ApiKeyCreate(Input):
    name: ShortText
    grants: dict[Annotated[str, StringConstraints(max_length=100)], ScopeName] | None = Field(
        None, max_length=500, description="Permission → scope, at most your own; absent means all of yours."
    )
    expires_at: datetime | None = Field(None, description="Absent means never.")


class ApiKeyRead(Output):
    id: UUID
    version: int
    name: str
    hint: str = Field(description="How the key begins.")
    member_id: UUID = Field(description="Who made it; it never may do more than they may.")
    grants: dict[str, ScopeName]
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="To within five minutes.")
    revoked_at: datetime | None
    created_at: datetime


class ApiKeyMade(ApiKeyRead):
    key: str = Field(description="Shown this once.")


class ApiKeyUpdate(Input):
    name: ShortText


class ApiKeyList(Output):
    data: list[ApiKeyRead]
