"""The directory of tenants: making, listing, suspending. For sign-up, the command line and the demo."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from app.kernel.access import TenantProfile
from app.kernel.contact import clean_email, normalise_email
from app.kernel.ids import new_id
from app.kernel.runtime import Kernel
from app.kernel.uow import UnitOfWork
from app.tenants.auth.actors import PROFILE_COLUMNS, profile_of
from app.tenants.auth.control import control_transaction, identity, member_of
from app.tenants.auth.passwords import check_password
from app.tenants.auth.sign_in import find_user
from app.tenants.billing.allowances import refresh
from app.tenants.billing.periods import whole_hour
from app.tenants.interface import EmailInUse, MovedBy, TenantSignedUp
from app.tenants.lifecycle.moves import move_tenant
from app.tenants.models import DEFAULT_CALENDAR, Member, MemberStatus, Role, Team, Tenant, TenantStatus
from app.tenants.people.built_in_roles import BUILT_IN_ROLES, OWNER


@dataclass(frozen=True, slots=True)
class NewTenant:
    """A company as it signs up."""

    company: str
    locale: str = "en"
    country: str = "US"
    time_zone: str = "UTC"
    currency: str = "USD"
    fiscal_year_start_month: int = 1
    status: TenantStatus = TenantStatus.TRIALING
    sign_up_key: bytes | None = None


@dataclass(frozen=True, slots=True)
class Founded:
    """A new company with its owner."""

    profile: TenantProfile
    owner: Member


async def found_tenant(
    uow: UnitOfWork, new: NewTenant, *, user_id: UUID, name: str, email: str, email_key: str
) -> Founded:
    """Make a company with its roles, first team and owner, in a control transaction; it is bound to it from here."""
    tenant_id = new_id()
    trial = timedelta(days=uow.kernel.settings.trial_days)
    status = new.status if trial or new.status is not TenantStatus.TRIALING else TenantStatus.ACTIVE
    profile = _profile(tenant_id, new, status)
    member_id = new_id()
    await uow.enter(member_of(profile, member_id, name, user_id))
    settings: dict[str, Any] = {field: getattr(profile, field) for field in _STORED}
    await uow.insert(
        Tenant,
        audit="tenant",
        id=tenant_id,
        business_calendar=DEFAULT_CALENDAR,
        sign_up_key=new.sign_up_key,
        trial_ends_at=whole_hour(uow.now) + trial if status is TenantStatus.TRIALING else None,
        **settings,
    )
    roles = await _insert_roles(uow, new.locale)
    team = await uow.insert(
        Team, name="销售部" if new.locale.startswith("zh") else "Sales", parent_id=None, manager_id=None
    )
    owner = await insert_member(
        uow,
        member_id,
        user_id=user_id,
        email=email,
        email_key=email_key,
        name=name,
        role_ids=[roles[OWNER]],
        team_ids=[team.id],
    )
    await refresh(uow)
    uow.publish(TenantSignedUp(id=tenant_id, name=new.company, owner_id=member_id))
    return Founded(profile, owner)


def _profile(tenant_id: UUID, new: NewTenant, status: TenantStatus) -> TenantProfile:
    return TenantProfile(
        id=tenant_id,
        name=new.company,
        slug=_slug(new.company, tenant_id),
        status=status.value,
        locale=new.locale,
        time_zone=new.time_zone,
        currency=new.currency,
        country=new.country,
        fiscal_year_start_month=new.fiscal_year_start_month,
    )


_STORED: Final = (
    "name", "slug", "status", "locale", "time_zone", "currency", "country", "fiscal_year_start_month",
)  # fmt: skip


async def insert_member(
    uow: UnitOfWork,
    id: UUID,
    *,
    user_id: UUID,
    email: str,
    email_key: str,
    name: str,
    role_ids: Sequence[UUID],
    team_ids: Sequence[UUID],
) -> Member:
    """Make a user a member of the company at hand, from this moment on."""
    return await uow.insert(
        Member,
        audit="member",
        id=id,
        user_id=user_id,
        email=email,
        email_key=email_key,
        name=name,
        title=None,
        status=MemberStatus.ACTIVE.value,
        role_ids=role_ids,
        team_ids=team_ids,
        manager_id=None,
        joined_at=uow.now,
        deactivated_at=None,
    )


async def _insert_roles(uow: UnitOfWork, locale: str) -> dict[str, UUID]:
    """The built-in roles, named in the company's language; their ids by key."""
    roles = {kind.key: new_id() for kind in BUILT_IN_ROLES}
    for kind in BUILT_IN_ROLES:
        await uow.insert(
            Role,
            id=roles[kind.key],
            key=kind.key,
            name=kind.name_zh if locale.startswith("zh") else kind.name,
            description=kind.description,
            built_in=True,
            grants={},
            field_rules={},
        )
    return roles


async def insert_user(
    uow: UnitOfWork,
    *,
    email: str,
    email_key: str,
    name: str,
    locale: str,
    password_hash: str | None,
    verified: bool,
) -> UUID:
    """A new identity. Raises: EmailInUse when somebody else was quicker."""
    row = await uow.fetchrow(
        "INSERT INTO tenants.users (id, email, email_key, name, locale, password_hash, password_changed_at,"
        " email_verified_at, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $8, $7, $8, $8)"
        " ON CONFLICT (email_key) DO NOTHING RETURNING id",
        new_id(),
        email,
        email_key,
        name,
        locale,
        password_hash,
        uow.now if verified else None,
        uow.now,
    )
    if row is None:
        raise EmailInUse
    found: UUID = row["id"]
    return found


async def create_tenant(
    kernel: Kernel, new: NewTenant, *, owner_name: str, owner_email: str, password: str | None
) -> Founded:
    """Make a company from the command line; the address counts as verified.

    An owner who is known already keeps their password; a new one needs one.
    Raises: WeakPassword; EmailInvalid; ValueError without a password for a new person.
    """
    email, email_key = clean_email(owner_email), normalise_email(owner_email)
    password_hash = None
    if password is not None:
        check_password(password, personal=[email, owner_name])
        password_hash = await identity(kernel).passwords.hash(password)
    async with control_transaction(kernel) as uow:
        user = await find_user(uow, email_key=email_key)
        if user is not None:
            user_id = user.id
        elif password_hash is None:
            raise ValueError("a new owner needs a password")
        else:
            user_id = await insert_user(
                uow,
                email=email,
                email_key=email_key,
                name=owner_name,
                locale=new.locale,
                password_hash=password_hash,
                verified=True,
            )
        return await found_tenant(
            uow, new, user_id=user_id, name=owner_name, email=email, email_key=email_key
        )


async def list_tenants(kernel: Kernel) -> list[TenantProfile]:
    """Every tenant, oldest first."""
    async with control_transaction(kernel) as uow:
        rows = await uow.fetch(f"SELECT {PROFILE_COLUMNS} FROM tenants.tenants t ORDER BY t.id")
    return [profile_of(row) for row in rows]


async def suspend_tenant(kernel: Kernel, tenant_id: UUID, *, reason: str) -> None:
    """Leave a company only reading, export and payment, from the commit on. Raises: NotFound; InvalidTransition."""
    await move_tenant(kernel, tenant_id, TenantStatus.SUSPENDED, reason=reason, by=MovedBy.OPERATOR)


async def reactivate_tenant(kernel: Kernel, tenant_id: UUID, *, reason: str) -> None:
    """End a suspension, or take up a cancelled account. Raises: NotFound; InvalidTransition."""
    await move_tenant(kernel, tenant_id, TenantStatus.ACTIVE, reason=reason, by=MovedBy.OPERATOR)


def _slug(company: str, tenant_id: UUID) -> str:
    """A readable name for addresses, unique by the random end of the id."""
    from app.kernel.pinyin import lazy_pinyin  # a dictionary, of which most processes need nothing

    latin = " ".join(lazy_pinyin(company))
    plain = unicodedata.normalize("NFKD", latin).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40].strip("-")
    return f"{words or 'company'}-{tenant_id.hex[-8:]}"


def sign_up_key(email_key: str, idempotency_key: str) -> bytes:
    """Sign-up has no tenant yet to keep an idempotency key in; this is kept with the company it made."""
    return hashlib.sha256(f"{email_key}\0{idempotency_key}".encode("utf-8", "surrogatepass")).digest()
