"""`/v1/billing/account` and cancelling and resuming what the company subscribes to."""

from __future__ import annotations

from app.kernel.errors import InvalidTransition, problems
from app.kernel.routing import Router, Uow
from app.tenants.billing.payments.collecting import NoPaymentMethod
from app.tenants.lifecycle.account import Account, BillsUnpaid, NotCancelled, SuspendedBefore
from app.tenants.lifecycle.schemas import BillingAccountRead, CancelSubscription
from app.tenants.models import Tenant

router = Router(prefix="/v1/billing", tags=["billing"])


@router.get("/account", access="bill:read", while_cancelled=True)
async def get_billing_account(uow: Uow) -> BillingAccountRead:
    """How the company's account stands: trying, active, past due, suspended or cancelled, and until when."""
    return _account(await Account(uow).get())


@router.post(
    "/subscription/cancel",
    access="subscription:manage",
    while_suspended=True,
    responses=problems(InvalidTransition),
)
async def cancel_subscription(body: CancelSubscription, uow: Uow) -> BillingAccountRead:
    """Cancel what the company subscribes to, at once or when what is paid for is over.

    From then on everything can be exported, and the account taken up again, for a month; then all of it is erased.
    """
    return _account(await Account(uow).cancel(body.when, body.reason or "cancelled"))


@router.post(
    "/subscription/resume",
    access="subscription:manage",
    while_cancelled=True,
    responses=problems(InvalidTransition, NotCancelled, BillsUnpaid, SuspendedBefore, NoPaymentMethod),
)
async def resume_subscription(uow: Uow) -> BillingAccountRead:
    """Take back a cancellation that is planned, or took effect and whose export window is not over."""
    return _account(await Account(uow).resume())


def _account(row: Tenant) -> BillingAccountRead:
    return BillingAccountRead.model_validate(
        {name: getattr(row, name) for name in BillingAccountRead.model_fields}
    )
