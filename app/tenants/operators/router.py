"""`/v1/operator`: for whoever runs the installation, with a key that no company has."""

from __future__ import annotations

from typing import Annotated, Any, Final
from uuid import UUID

import asyncpg
from fastapi import Path, Query, Response

from app.kernel.access import NOBODY
from app.kernel.errors import InvalidTransition, problems
from app.kernel.money import Money
from app.kernel.paging import Cursor, Limit
from app.kernel.positions import MAX_LIMIT
from app.kernel.routing import OPERATOR, Router, Uow
from app.kernel.schemas import Page
from app.kernel.secrets import encode_base64url
from app.tenants.billing.models import Bill
from app.tenants.billing.router import subscription_read
from app.tenants.billing.schemas import SubscriptionRead
from app.tenants.billing.settling import PaymentReferenceReused
from app.tenants.billing.subscriptions import SamePlan
from app.tenants.directory import NewTenant
from app.tenants.interface import EmailInUse
from app.tenants.models import Session
from app.tenants.operators import service
from app.tenants.operators.impersonation import (
    end_impersonation,
    ended_at,
    impersonate,
    impersonations,
)
from app.tenants.operators.routes import OperatorControlRoute, OperatorRoute
from app.tenants.operators.schemas import (
    BillPaidByHand,
    CreditBalance,
    CreditGrant,
    ErasureRead,
    ErasureRequest,
    ImpersonationCreate,
    ImpersonationList,
    ImpersonationMade,
    ImpersonationRead,
    OperatorActRead,
    OperatorBill,
    OperatorBillList,
    OperatorMember,
    OperatorMemberList,
    OperatorTenant,
    OperatorTenantCreate,
    PlanMove,
    Status,
    WithReason,
)

router = Router(prefix="/v1/operator", tags=["operator"])
_OF_ONE: Final[dict[str, Any]] = {"access": OPERATOR, "route_class": OperatorRoute}
_OF_ALL: Final[dict[str, Any]] = {"access": OPERATOR, "route_class": OperatorControlRoute}
_MOVED: Final = problems(InvalidTransition)
_MONEY: Final = _OF_ALL
"""Numbers of credit notes and bills are the seller's, across companies."""
BillId = Annotated[UUID, Path(description="The bill.")]
TenantId = Annotated[UUID, Path(description="The company.")]
Find = Annotated[
    str | None,
    Query(max_length=200, description="Part of the name or slug, a member's e-mail address, or the id."),
]


@router.get("/tenants", **_OF_ALL, response_model=Page[OperatorTenant])
async def list_tenants_as_operator(
    uow: Uow, query: Find = None, status: Status | None = None, limit: Limit = 50, cursor: Cursor = None
) -> Page[OperatorTenant]:
    """The companies of the installation, oldest first."""
    found = await service.find_tenants(uow, query=query, status=status, limit=limit, cursor=cursor)
    return found.page(_tenant)


@router.post(
    "/tenants", **_OF_ALL, status_code=201, response_model=OperatorTenant, responses=problems(EmailInUse)
)
async def create_tenant_as_operator(
    body: OperatorTenantCreate, uow: Uow, response: Response
) -> OperatorTenant:
    """Open a company's account; its owner gets a mail to choose a password, or keeps theirs if they are known."""
    new = NewTenant(
        body.company,
        locale=body.locale,
        country=body.country,
        time_zone=body.time_zone,
        currency=body.currency,
    )
    made = await service.open_tenant(
        uow, new, owner_name=body.owner_name, owner_email=body.owner_email, reason=body.reason
    )
    response.headers["Location"] = f"/v1/operator/tenants/{made}"
    return _tenant(await service.get_tenant(uow, made))


@router.get("/tenants/{id}", **_OF_ONE, response_model=OperatorTenant)
async def get_tenant_as_operator(id: TenantId, uow: Uow) -> OperatorTenant:
    """One company's account."""
    return _tenant(await service.get_tenant(uow, id))


@router.get("/tenants/{id}/members", **_OF_ONE, response_model=OperatorMemberList)
async def list_tenant_members_as_operator(id: TenantId, uow: Uow) -> OperatorMemberList:  # noqa: ARG001
    """The active people of a company, to find whom to help."""
    found = await service.members(uow)
    return OperatorMemberList(data=[OperatorMember(**dict(row.items())) for row in found])


@router.post("/tenants/{id}/suspend", **_OF_ONE, response_model=OperatorTenant, responses=_MOVED)
async def suspend_tenant_as_operator(id: TenantId, body: WithReason, uow: Uow) -> OperatorTenant:
    """Leave a company only reading, export and payment, at once."""
    await service.suspend(uow, body.reason)
    return _tenant(await service.get_tenant(uow, id))


@router.post("/tenants/{id}/reactivate", **_OF_ONE, response_model=OperatorTenant, responses=_MOVED)
async def reactivate_tenant_as_operator(id: TenantId, body: WithReason, uow: Uow) -> OperatorTenant:
    """End a suspension: the company's people can work again, at once."""
    await service.reactivate(uow, body.reason)
    return _tenant(await service.get_tenant(uow, id))


@router.post("/tenants/{id}/plan", **_OF_ONE, response_model=SubscriptionRead, responses=problems(SamePlan))
async def move_tenant_plan_as_operator(id: TenantId, body: PlanMove, uow: Uow) -> SubscriptionRead:  # noqa: ARG001
    """Choose a plan for a company: a dearer one holds at once, a cheaper one from the next period on."""
    return subscription_read(await service.move_plan(uow, body.plan, body.interval, body.reason))


# -- money ---------------------------------------------------------------------------------------------------


@router.post("/tenants/{id}/credits", **_MONEY, response_model=CreditBalance)
async def grant_tenant_credit(id: TenantId, body: CreditGrant, uow: Uow) -> CreditBalance:  # noqa: ARG001
    """Give a company credit, which its next bills take first, or take some back."""
    after = await service.grant_credit(uow, body.amount, body.reason)
    return CreditBalance(balance=after)


@router.get("/tenants/{id}/bills", **_OF_ONE, response_model=OperatorBillList)
async def list_tenant_bills_as_operator(id: TenantId, uow: Uow, limit: Limit = 50) -> OperatorBillList:  # noqa: ARG001
    """A company's bills, the latest period first."""
    found = await service.bills(uow, limit=min(limit, MAX_LIMIT))
    return OperatorBillList(data=[_bill(bill) for bill in found])


@router.post(
    "/tenants/{id}/bills/{bill_id}/pay",
    **_MONEY,
    response_model=OperatorBill,
    responses=_MOVED | problems(PaymentReferenceReused),
)
async def mark_tenant_bill_paid(
    id: TenantId,  # noqa: ARG001
    bill_id: BillId,
    body: BillPaidByHand,
    uow: Uow,
) -> OperatorBill:
    """Book money that came past every provider, once per reference; what is more than due goes to the balance."""
    return _bill(await service.mark_paid(uow, bill_id, body.amount, body.reference, body.reason))


@router.post("/tenants/{id}/bills/{bill_id}/void", **_MONEY, response_model=OperatorBill, responses=_MOVED)
async def void_tenant_bill(
    id: TenantId,  # noqa: ARG001
    bill_id: BillId,
    body: WithReason,
    uow: Uow,
) -> OperatorBill:
    """Take a bill back whole: nothing is due any more, and what was paid of it goes to the company's balance."""
    return _bill(await service.void(uow, bill_id, body.reason))


# -- in a member's place -------------------------------------------------------------------------------------


@router.post(
    "/tenants/{id}/impersonations",
    **_OF_ALL,
    shown_once=True,
    status_code=201,
    response_model=ImpersonationMade,
)
async def create_impersonation(
    id: TenantId,  # noqa: ARG001
    body: ImpersonationCreate,
    uow: Uow,
    response: Response,
) -> ImpersonationMade:
    """Act in a member's place for an hour at most: an access token with an `act` claim (RFC 8693).

    It reads what the member reads; it changes things only with `may_write`, and never people, roles, keys, webhooks,
    the plan or payments. The company's owners and the member are told, see it in the audit log, and the member can
    end it.
    """
    made = await impersonate(
        uow, body.member_id, reason=body.reason, minutes=body.minutes, may_write=body.may_write
    )
    response.headers["Cache-Control"] = "no-store"
    told = _impersonation(made.session, uow).model_dump()
    return ImpersonationMade(**told, access_token=made.access_token, expires_in=made.expires_in)


@router.get("/tenants/{id}/impersonations", **_OF_ONE, response_model=ImpersonationList)
async def list_impersonations(id: TenantId, uow: Uow, limit: Limit = 50) -> ImpersonationList:  # noqa: ARG001
    """Who acted in whose place in a company, the newest first; ended ones are kept for 90 days."""
    found = await impersonations(uow, limit=min(limit, MAX_LIMIT))
    return ImpersonationList(data=[_impersonation(session, uow) for session in found])


@router.delete("/tenants/{id}/impersonations/{session_id}", **_OF_ONE, status_code=204)
async def delete_impersonation(
    id: TenantId,  # noqa: ARG001
    session_id: Annotated[UUID, Path(description="The impersonation's `id`.")],
    uow: Uow,
) -> None:
    """End an impersonation: its token stops working at once."""
    await end_impersonation(uow, session_id)


# -- the end -------------------------------------------------------------------------------------------------


@router.post("/tenants/{id}/erasure", **_OF_ALL, status_code=202, response_model=ErasureRead)
async def erase_tenant_as_operator(
    id: TenantId, body: ErasureRequest, uow: Uow, response: Response
) -> ErasureRead:
    """Erase a company with all its data, from now on and for good: nobody signs in any more, and all of it goes.

    Bills and their ledger stay, as the law demands. A worker does it within minutes and certifies it.
    """
    await service.erase(uow, body.slug, body.reason)
    response.headers["Location"] = f"/v1/operator/erasures/{id}"
    return _erasure(await service.erasure(uow, id))


@router.get("/erasures/{tenant_id}", **_OF_ALL, response_model=ErasureRead)
async def get_erasure(
    tenant_id: Annotated[UUID, Path(description="The company that is, or is being, erased.")], uow: Uow
) -> ErasureRead:
    """How far the erasure of a company is, and its certificate."""
    return _erasure(await service.erasure(uow, tenant_id))


# -- the log -------------------------------------------------------------------------------------------------


@router.get("/acts", **_OF_ALL, response_model=Page[OperatorActRead])
async def list_operator_acts(
    uow: Uow,
    tenant_id: Annotated[UUID | None, Query(description="Only what concerns this company.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[OperatorActRead]:
    """What operators did, the newest first; it outlives the companies that it concerns."""
    found = await service.acts(uow, tenant_id=tenant_id, limit=limit, cursor=cursor)
    return found.page(_act)


def _act(row: asyncpg.Record) -> OperatorActRead:
    concerns = None if row["tenant_id"] == NOBODY else row["tenant_id"]
    return OperatorActRead(**dict(row.items()) | {"tenant_id": concerns})


def _tenant(found: service.TenantFound) -> OperatorTenant:
    return OperatorTenant.model_validate({name: getattr(found, name) for name in OperatorTenant.model_fields})


def _impersonation(session: Session, uow: Uow) -> ImpersonationRead:
    return ImpersonationRead.model_validate(
        {
            "id": session.id,
            "member_id": session.member_id,
            "operator_id": session.operator_id,
            "operator_name": session.operator_name,
            "reason": session.purpose,
            "may_write": session.may_write,
            "created_at": session.created_at,
            "expires_at": session.expires_at,
            "ended_at": ended_at(session, uow.now),
        }
    )


def _bill(bill: Bill) -> OperatorBill:
    plain = ("id", "number", "status", "period_start", "period_end", "issued_at")
    return OperatorBill.model_validate(
        {name: getattr(bill, name) for name in plain}
        | {name: Money(getattr(bill, name), bill.currency) for name in ("total", "due")}
    )


def _erasure(found: service.ErasureFound) -> ErasureRead:
    row = found.row
    return ErasureRead(
        tenant_id=row["tenant_id"],
        requested_at=row["requested_at"],
        requested_by=row["requested_by"],
        reason=row["reason"],
        completed_at=row["completed_at"],
        rows=row["counts"],
        certificate=row["certificate"],
        key_id=row["key_id"],
        signature=None if row["signature"] is None else encode_base64url(row["signature"]),
        valid=found.valid,
    )
