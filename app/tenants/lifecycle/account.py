"""A company's account as its own people handle it: how it stands, cancelling, and taking it up again."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from app.kernel.errors import Conflict
from app.kernel.uow import UnitOfWork
from app.tenants.billing.locks import hold_billing
from app.tenants.billing.payments.collecting import NoPaymentMethod
from app.tenants.billing.subscriptions import Subscriptions
from app.tenants.interface import MovedBy, TenantCancellationPlanned
from app.tenants.lifecycle.moves import move
from app.tenants.lifecycle.trials import slept_through
from app.tenants.models import SuspendedFor, Tenant, TenantStatus


class CancelWhen(StrEnum):
    NOW = "now"
    PERIOD_END = "period_end"


class NotCancelled(Conflict):
    code = "not_cancelled"
    title = "This account is not cancelled, nor about to be"


class BillsUnpaid(Conflict):
    code = "bills_unpaid"
    title = "An invoice is overdue; pay it first"


class SuspendedBefore(Conflict):
    code = "suspended_before"
    title = "The operator had suspended this account when it was cancelled; only they open it again"


_OVERDUE = """
SELECT 1 FROM tenants.bills WHERE tenant_id = $1 AND status IN ('open', 'uncollectible')
  AND (status = 'uncollectible' OR attempts > 0 OR due_at <= $2) LIMIT 1
"""
_METHOD = "SELECT 1 FROM tenants.payment_methods WHERE tenant_id = $1 LIMIT 1"


class Account:
    """The account of the tenant at hand."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow

    async def get(self) -> Tenant:
        """How the account stands."""
        return await self.uow.get(Tenant, self.uow.tenant_id)

    async def cancel(self, when: CancelWhen, reason: str, *, by: MovedBy = MovedBy.CUSTOMER) -> Tenant:
        """End the subscription at once, or when what is paid for is over: the trial, or the period at hand.

        Raises: InvalidTransition for an account that is cancelled.
        """
        await hold_billing(self.uow)
        if when is CancelWhen.NOW:
            return await move(self.uow, TenantStatus.CANCELLED, reason=reason, by=by)
        tenant = await self.uow.get(Tenant, self.uow.tenant_id, lock="update")
        if TenantStatus(tenant.status) in (TenantStatus.CANCELLED, TenantStatus.ERASED):
            return await move(self.uow, TenantStatus.CANCELLED, reason=reason, by=by)
        if tenant.status == TenantStatus.TRIALING and tenant.trial_ends_at is not None:
            return await self._plan(tenant, tenant.trial_ends_at, reason)
        return await self._plan(tenant, (await Subscriptions(self.uow).current()).period.end, reason)

    async def resume(self) -> Tenant:
        """Take back a cancellation, past or planned; a trial goes on that is not over.

        Cancelling ends no suspension: one by the operator waits for the operator, and one for what is unpaid for the
        payment. Where a trial is followed by nothing without a way to pay, neither does coming back after it.
        Raises: NotCancelled; BillsUnpaid; SuspendedBefore; NoPaymentMethod; InvalidTransition once the export window
        is over.
        """
        await hold_billing(self.uow)
        tenant = await self.uow.get(Tenant, self.uow.tenant_id, lock="update")
        if tenant.status == TenantStatus.CANCELLED:
            if await self.uow.fetchrow(_OVERDUE, self.uow.tenant_id, self.uow.now) is not None:
                raise BillsUnpaid
            await self._require_unsuspended(tenant)
            trying = tenant.trial_ends_at is not None and tenant.trial_ends_at > self.uow.now
            to = TenantStatus.TRIALING if trying else TenantStatus.ACTIVE
            return await move(self.uow, to, reason="resumed", by=MovedBy.CUSTOMER)
        if tenant.cancel_at is None:
            raise NotCancelled
        return await self._plan(tenant, None, "resumed")

    async def _require_unsuspended(self, tenant: Tenant) -> None:
        if tenant.suspended_for == SuspendedFor.OPERATOR:
            raise SuspendedBefore
        required = self.uow.kernel.settings.trial_needs_payment_method and slept_through(tenant, self.uow.now)
        if required and await self.uow.fetchrow(_METHOD, self.uow.tenant_id) is None:
            raise NoPaymentMethod

    async def _plan(self, tenant: Tenant, cancel_at: datetime | None, reason: str) -> Tenant:
        planned = await self.uow.update(tenant, cancel_at=cancel_at)
        if planned is not tenant:
            diff = {"cancel_at": [tenant.cancel_at, cancel_at]}
            self.uow.record_audit("tenant", tenant.id, "updated", diff, reason=reason)
            self.uow.publish(TenantCancellationPlanned(id=tenant.id, cancel_at=cancel_at, reason=reason))
        return planned
