"""What the clock does to accounts: trials end, planned cancellations and long suspensions take effect, data goes.

Each account is moved in a transaction of its own that looks again behind the account's lock, so that any number of
workers, and one that starts anew after a crash, move it once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog

from app.kernel.registry import Schedule
from app.kernel.runtime import Kernel
from app.kernel.schedules import ScheduledRun
from app.kernel.uow import UnitOfWork
from app.tenants.billing.ending import unsettled
from app.tenants.billing.locks import hold_billing
from app.tenants.billing.settling import Bills
from app.tenants.interface import MovedBy, TenantErasure
from app.tenants.lifecycle.moves import move, transaction_of
from app.tenants.models import SuspendedFor, Tenant, TenantStatus

log = structlog.get_logger(__name__)

EVERY: Final = timedelta(minutes=5)
_DUE: Final = """
SELECT id FROM tenants.tenants
WHERE (status = 'trialing' AND trial_ends_at <= $1)
  OR (status IN ('trialing', 'active', 'past_due', 'suspended') AND cancel_at <= $1)
  OR (status = 'suspended' AND suspended_for <> 'operator' AND suspended_at <= $1 - make_interval(days => $2))
  OR (status = 'cancelled' AND export_until <= $1)
ORDER BY id
"""
_METHOD: Final = "SELECT 1 FROM tenants.payment_methods WHERE tenant_id = $1 LIMIT 1"
_OPEN: Final = "SELECT id FROM tenants.bills WHERE tenant_id = $1 AND status = 'open' ORDER BY id"
Step = Callable[[UnitOfWork, Tenant], Awaitable[bool]]


async def run_lifecycle(run: ScheduledRun) -> None:
    """Move every account whose time has come; one that fails keeps no other from its move."""
    kernel = run.kernel
    async with kernel.database.control() as connection:
        rows = await connection.fetch(_DUE, kernel.clock.now(), kernel.settings.suspension_days)
    for row in rows:
        try:
            await advance(kernel, row["id"])
        except Exception as error:  # the others go on; this one is tried again at the next run
            log.error("account not moved", tenant_id=str(row["id"]), exc_info=error)


async def advance(kernel: Kernel, tenant_id: UUID) -> bool:
    """Do the one thing that is due for an account, if there still is one; whether there was."""
    async with transaction_of(kernel, tenant_id) as uow:
        await hold_billing(uow)  # before the account, as everywhere
        tenant = await uow.get(Tenant, tenant_id, lock="update")
        for step in _STEPS:
            if await step(uow, tenant):
                return True
    return False


async def _cancel(uow: UnitOfWork, tenant: Tenant) -> bool:
    over = (TenantStatus.CANCELLED, TenantStatus.ERASED)
    if tenant.status in over or tenant.cancel_at is None or tenant.cancel_at > uow.now:
        return False
    await move(
        uow,
        TenantStatus.CANCELLED,
        reason="cancelled as planned",
        by=MovedBy.SCHEDULE,
        since=tenant.cancel_at,
    )
    return True


async def _end_trial(uow: UnitOfWork, tenant: Tenant) -> bool:
    if tenant.status != TenantStatus.TRIALING or tenant.trial_ends_at is None:
        return False
    if tenant.trial_ends_at > uow.now:
        return False
    to, reason = TenantStatus.ACTIVE, "the trial is over"
    if uow.kernel.settings.trial_needs_payment_method and await uow.fetchrow(_METHOD, tenant.id) is None:
        to, reason = TenantStatus.SUSPENDED, "the trial is over and no way to pay is stored"
    await move(uow, to, reason=reason, by=MovedBy.SCHEDULE, suspended_for=SuspendedFor.TRIAL_OVER)
    return True


async def _give_up(uow: UnitOfWork, tenant: Tenant) -> bool:
    if tenant.status != TenantStatus.SUSPENDED or tenant.suspended_for == SuspendedFor.OPERATOR:
        return False
    days = uow.kernel.settings.suspension_days
    if tenant.suspended_at is None or tenant.suspended_at + timedelta(days=days) > uow.now:
        return False
    reason = f"suspended for {days} days"
    for row in await uow.fetch(_OPEN, tenant.id):
        await Bills(uow).mark_uncollectible(row["id"], reason)
    await move(uow, TenantStatus.CANCELLED, reason=reason, by=MovedBy.SCHEDULE)
    return True


async def _erase(uow: UnitOfWork, tenant: Tenant) -> bool:
    if tenant.status != TenantStatus.CANCELLED or tenant.export_until is None:
        return False
    if tenant.export_until > uow.now or await unsettled(uow):  # what was used is billed first
        return False
    for port in uow.ports(TenantErasure):
        await port.begin(reason="the export window is over")
    return True


_STEPS: Final[tuple[Step, ...]] = (_cancel, _end_trial, _give_up, _erase)

SCHEDULES: Final = (Schedule("tenants.lifecycle", EVERY, run_lifecycle),)
