"""An account is open again once nothing overdue is left, however it was paid."""

from __future__ import annotations

from app.kernel.uow import UnitOfWork
from app.tenants.billing.locks import hold_billing
from app.tenants.billing.payments.mails import RECOVERED, tell
from app.tenants.interface import MovedBy
from app.tenants.lifecycle.moves import move
from app.tenants.models import SuspendedFor, Tenant, TenantStatus

_OVERDUE = "SELECT 1 FROM tenants.bills WHERE tenant_id = $1 AND status = 'open' AND attempts > 0 LIMIT 1"


async def recover(uow: UnitOfWork) -> bool:
    """Open the account again that is past due or suspended for what is unpaid, if nothing is; whether it did."""
    await hold_billing(uow)
    tenant = await uow.get(Tenant, uow.tenant_id, lock="update")
    unpaid = tenant.status == TenantStatus.SUSPENDED and tenant.suspended_for == SuspendedFor.UNPAID
    if not unpaid and tenant.status != TenantStatus.PAST_DUE:
        return False
    if await uow.fetchrow(_OVERDUE, uow.tenant_id) is not None:
        return False
    await move(uow, TenantStatus.ACTIVE, reason="nothing is overdue any more", by=MovedBy.PAYMENT)
    await tell(uow, RECOVERED)
    return True


async def open_after_trial(uow: UnitOfWork) -> None:
    """Open the account that waited, after its trial, for a way to pay."""
    await hold_billing(uow)
    tenant = await uow.get(Tenant, uow.tenant_id, lock="update")
    if tenant.status == TenantStatus.SUSPENDED and tenant.suspended_for == SuspendedFor.TRIAL_OVER:
        await move(uow, TenantStatus.ACTIVE, reason="a way to pay is stored", by=MovedBy.PAYMENT)
