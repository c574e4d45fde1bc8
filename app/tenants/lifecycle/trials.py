"""Trials that ended while the account was not open: what follows is billed from when its people come back."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app.kernel.locks import lock_name
from app.kernel.uow import UnitOfWork
from app.tenants.billing.histories import Held, read_history
from app.tenants.billing.periods import whole_hour
from app.tenants.billing.subscriptions import OBJECT, SubscriptionChange, Subscriptions
from app.tenants.models import SuspendedFor, Tenant


def slept_through(tenant: Tenant, now: datetime) -> bool:
    """Whether the trial ended while the account was suspended or cancelled."""
    end = tenant.trial_ends_at
    if end is None or end > now:
        return False
    left = [at for at in (tenant.suspended_at, tenant.cancelled_at) if at is not None]
    return tenant.suspended_for == SuspendedFor.TRIAL_OVER or any(at <= end for at in left)


async def postpone_billing(uow: UnitOfWork, tenant: Tenant) -> dict[str, Any]:
    """Let the first period begin with this hour instead of where the trial ended; what the tenant's row says then.

    What was chosen to hold from the trial's end on holds from there. The caller holds the company's billing.
    """
    await lock_name(uow, OBJECT)
    end, start = tenant.trial_ends_at, whole_hour(uow.now)
    history = await read_history(uow)
    if not history.stored:
        first = history.held[0]
        await Subscriptions(uow).keep(Held(first.at, start, first.plan, first.price), chosen_by=None)
        return {"trial_ends_at": start}
    for row in await uow.all(uow.select(SubscriptionChange)):
        moved: dict[str, Any] = {
            name: start for name in ("effective_at", "anchor") if getattr(row, name) == end
        }
        await uow.update(row, audit=OBJECT, **moved)
    return {"trial_ends_at": start}
