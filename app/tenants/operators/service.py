"""What operators do with companies: find, suspend, reactivate, move to another plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

from app.kernel.contact import clean_email, normalise_email
from app.kernel.errors import Invalid, NotFound
from app.kernel.listing import Bindings, Kind
from app.kernel.log_pages import NEWEST, Slice, fetch_page, order_by
from app.kernel.money import Money
from app.kernel.uow import UnitOfWork
from app.tenants import mail_templates
from app.tenants.auth import email_tokens
from app.tenants.auth.actors import PROFILE_COLUMNS
from app.tenants.auth.email_tokens import Purpose
from app.tenants.auth.sign_in import find_user
from app.tenants.billing.models import Bill, BillCreditNote
from app.tenants.billing.operations import OFFLINE
from app.tenants.billing.periods import BillingInterval
from app.tenants.billing.settling import Bills
from app.tenants.billing.subscriptions import Subscribed, Subscriptions
from app.tenants.directory import NewTenant, found_tenant, insert_user
from app.tenants.interface import MovedBy
from app.tenants.leaving.certificates import certified
from app.tenants.leaving.erasure import request
from app.tenants.lifecycle.account import Account, CancelWhen
from app.tenants.lifecycle.moves import move
from app.tenants.models import Tenant, TenantStatus
from app.tenants.operators.acts import note

_PEOPLE: Final = (
    " (SELECT count(*) FROM tenants.members m"
    " WHERE m.tenant_id = t.tenant_id AND m.status = 'active') AS members"
)


_OLDEST: Final = order_by({"t.tenant_id": Kind.UUID})


@dataclass(frozen=True, slots=True)
class TenantFound:
    """A company as operators list it."""

    id: UUID
    name: str
    slug: str
    status: str
    country: str
    currency: str
    locale: str
    time_zone: str
    members: int
    created_at: datetime


async def find_tenants(
    uow: UnitOfWork,
    *,
    query: str | None = None,
    status: str | None = None,
    limit: int,
    cursor: str | None,
) -> Slice[TenantFound]:
    """Companies of the installation, oldest first, in a control transaction.

    `query` is part of a name or slug, a member's whole e-mail address, or an id. Raises: InvalidCursor.
    """
    found = await fetch_page(
        uow,
        f"SELECT {PROFILE_COLUMNS}, t.created_at,{_PEOPLE} FROM tenants.tenants t"
        " WHERE t.status <> 'erased' AND ($1::text IS NULL OR t.name ILIKE '%' || $1 || '%'"
        " OR t.slug ILIKE '%' || $1 || '%' OR t.id::text = $2 OR EXISTS (SELECT 1 FROM tenants.members m"
        " WHERE m.tenant_id = t.tenant_id AND m.email_key = lower($2)))"
        " AND ($3::text IS NULL OR t.status = $3)",
        Bindings(None if query is None else _literally(query), query, status),
        _OLDEST,
        name=f"operator-tenants:{query}:{status}",
        limit=limit,
        cursor=cursor,
    )
    return Slice([_found(row) for row in found.rows], found.next_cursor)


async def open_tenant(
    uow: UnitOfWork, new: NewTenant, *, owner_name: str, owner_email: str, reason: str
) -> UUID:
    """A company and its owner, in a control transaction; an owner who is new here is mailed a link to a password.

    Raises: EmailInUse when somebody else takes the address at this moment.
    """
    operator, email, email_key = uow.actor, clean_email(owner_email), normalise_email(owner_email)
    user = await find_user(uow, email_key=email_key)
    if user is None:
        user_id = await insert_user(
            uow,
            email=email,
            email_key=email_key,
            name=owner_name,
            locale=new.locale,
            password_hash=None,
            verified=False,
        )
        token = await email_tokens.issue(uow, Purpose.PASSWORD_RESET, user_id=user_id)
    else:
        user_id, token = user.id, None
    made = await found_tenant(uow, new, user_id=user_id, name=owner_name, email=email, email_key=email_key)
    await uow.flush()
    await uow.enter(replace(operator, tenant=made.profile))
    await note(uow, "opened_by_operator", reason=reason)
    if token is not None:
        mail_templates.send_password_reset(uow, to=email, name=owner_name, locale=new.locale, token=token)
    await uow.flush()
    await uow.enter(operator)
    return made.profile.id


async def get_tenant(uow: UnitOfWork, tenant_id: UUID) -> TenantFound:
    """One company. Raises: NotFound."""
    rows = await uow.fetch(
        f"SELECT {PROFILE_COLUMNS}, t.created_at,{_PEOPLE} FROM tenants.tenants t"
        " WHERE t.tenant_id = $1 AND t.id = $1",
        tenant_id,
    )
    if not rows:
        raise NotFound
    return _found(rows[0])


async def suspend(uow: UnitOfWork, reason: str) -> Tenant:
    """Leave the company at hand only reading, export and payment, from the commit on. Raises: InvalidTransition."""
    await note(uow, "suspended_by_operator", reason=reason)
    return await move(uow, TenantStatus.SUSPENDED, reason=reason, by=MovedBy.OPERATOR)


async def reactivate(uow: UnitOfWork, reason: str) -> Tenant:
    """End a suspension of the company at hand, or take up a cancelled account. Raises: InvalidTransition."""
    await note(uow, "reactivated_by_operator", reason=reason)
    return await move(uow, TenantStatus.ACTIVE, reason=reason, by=MovedBy.OPERATOR)


async def cancel(uow: UnitOfWork, when: CancelWhen, reason: str) -> Tenant:
    """Cancel what the company at hand subscribes to, at once or later. Raises: InvalidTransition."""
    await note(uow, "cancelled_by_operator", reason=reason, details={"when": when.value})
    return await Account(uow).cancel(when, reason, by=MovedBy.OPERATOR)


async def move_plan(uow: UnitOfWork, plan: str, interval: BillingInterval | None, reason: str) -> Subscribed:
    """Choose a plan for the company at hand, as its owner might. Raises: Invalid; SamePlan."""
    details = {"plan": plan, "interval": interval.value if interval else None}
    await note(uow, "plan_moved_by_operator", reason=reason, details=details)
    return await Subscriptions(uow).change(plan, interval)


async def members(uow: UnitOfWork) -> list[asyncpg.Record]:
    """The active members of the company at hand with the keys of their roles, by name."""
    return await uow.fetch(
        "SELECT m.id, m.name, m.email, ARRAY(SELECT r.key FROM tenants.roles r WHERE r.tenant_id = m.tenant_id"
        " AND r.id = ANY(m.role_ids) ORDER BY r.key) AS roles FROM tenants.members m"
        " WHERE m.tenant_id = $1 AND m.status = 'active' ORDER BY m.name, m.id",
        uow.tenant_id,
    )


async def acts(
    uow: UnitOfWork, *, tenant_id: UUID | None, limit: int, cursor: str | None
) -> Slice[asyncpg.Record]:
    """What operators did, the newest first, in a control transaction; of one company if asked.

    Raises: InvalidCursor.
    """
    return await fetch_page(
        uow,
        "SELECT id, tenant_id, at, operator_id, operator_name, action, reason, details, request_id"
        " FROM tenants.operator_acts WHERE ($1::uuid IS NULL OR tenant_id = $1)",
        Bindings(tenant_id),
        NEWEST,
        name=f"operator-acts:{tenant_id}",
        limit=limit,
        cursor=cursor,
    )


# -- money ---------------------------------------------------------------------------------------------------


async def grant_credit(uow: UnitOfWork, amount: Money, reason: str) -> Money:
    """Put so much to the company's balance, in a control transaction; the balance after. Raises: Invalid."""
    await note(uow, "credit_granted_by_operator", reason=reason, details={"amount": amount.to_texts()})
    after = await Bills(uow).adjust(amount.currency, amount.amount_minor, reason)
    return Money(after, amount.currency)


async def bills(uow: UnitOfWork, *, limit: int) -> list[Bill]:
    """The bills of the company at hand, the latest period first."""
    return await uow.all(uow.select(Bill).order_by(Bill.period_end.desc()).limit(limit))


async def mark_paid(uow: UnitOfWork, bill_id: UUID, amount: Money, reference: str, reason: str) -> Bill:
    """Book money that came past every provider, once per reference.

    Raises: as `Bills.settle`; Invalid for another currency than the bill's.
    """
    service = Bills(uow)
    bill = await service.hold(bill_id)
    if amount.currency != bill.currency:
        raise Invalid.at("/amount/currency", "other_currency", f"The bill is in {bill.currency}.")
    details = {"bill_id": str(bill_id), "amount": amount.to_texts(), "reference": reference}
    await note(uow, "bill_paid_by_operator", reason=reason, details=details)
    return await service.settle(bill_id, amount.amount_minor, OFFLINE, reference)


async def void(uow: UnitOfWork, bill_id: UUID, reason: str) -> Bill:
    """Take a bill back whole. Raises: as `Bills.void`."""
    await note(uow, "bill_voided_by_operator", reason=reason, details={"bill_id": str(bill_id)})
    return await Bills(uow).void(bill_id, reason)


async def give_up(uow: UnitOfWork, bill_id: UUID, reason: str) -> Bill:
    """Give up what is due of a bill. Raises: as `Bills.mark_uncollectible`."""
    await note(uow, "bill_given_up_by_operator", reason=reason, details={"bill_id": str(bill_id)})
    return await Bills(uow).mark_uncollectible(bill_id, reason)


async def credit_bill(
    uow: UnitOfWork,
    bill_id: UUID,
    amount: int | Mapping[int, int | None],
    reason: str,
    *,
    refund: bool = False,
) -> BillCreditNote:
    """Give back an amount or lines of a bill, in a control transaction. Raises: as `Bills.credit`."""
    made = await Bills(uow).credit(bill_id, amount, reason, refund=refund)
    details = {"bill_id": str(bill_id), "credit_note": made.number, "total": made.total}
    await note(uow, "bill_credited_by_operator", reason=reason, details=details)
    return made


async def find_bill(uow: UnitOfWork, name: str) -> Bill:
    """A bill of the company at hand by its number or id. Raises: NotFound."""
    try:
        named = Bill.id == UUID(name)
    except ValueError:
        named = Bill.number == name.upper()
    found = await uow.first(uow.select(Bill).where(named))
    if found is None:
        raise NotFound(f"This company has no bill {name}.")
    return found


# -- the end -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ErasureFound:
    """A tombstone's row; `valid` says whether we signed its certificate, if it has one."""

    row: asyncpg.Record
    valid: bool | None


async def erase(uow: UnitOfWork, slug: str, reason: str) -> UUID:
    """Have the company at hand erased, in a control transaction. Raises: Invalid unless it is the one meant."""
    if slug != uow.actor.tenant.slug:
        raise Invalid.at("/slug", "other_company", "This is not the slug of this company.")
    await note(uow, "erasure_requested", reason=reason)
    return await request(uow, requested_by=uow.actor.name, reason=reason, by=MovedBy.OPERATOR)


async def erasure(uow: UnitOfWork, tenant_id: UUID) -> ErasureFound:
    """How far an erasure is, in a control transaction. Raises: NotFound."""
    row = await uow.fetchrow(
        "SELECT tenant_id, requested_at, requested_by, reason, completed_at, counts, certificate, key_id,"
        " signature FROM tenants.erasures WHERE tenant_id = $1",
        tenant_id,
    )
    if row is None:
        raise NotFound
    return ErasureFound(row, certified(uow.kernel, row))


def _found(row: Any) -> TenantFound:
    return TenantFound(
        id=row["tenant_id"],
        name=row["tenant_name"],
        slug=row["slug"],
        status=row["tenant_status"],
        country=row["country"],
        currency=row["currency"],
        locale=row["locale"],
        time_zone=row["time_zone"],
        members=row["members"],
        created_at=row["created_at"],
    )


def _literally(text: str) -> str:
    """For LIKE: every character stands for itself."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
