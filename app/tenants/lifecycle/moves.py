"""The one place where an account's status changes: which moves there are, and what each of them leaves behind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from app.kernel.access import system_actor
from app.kernel.errors import InvalidTransition
from app.kernel.runtime import Kernel
from app.kernel.uow import UnitOfWork, transaction
from app.tenants.auth.control import access_changed
from app.tenants.billing.ending import end_billing, resume_billing
from app.tenants.billing.locks import hold_billing
from app.tenants.interface import MovedBy, TenantStatusChanged
from app.tenants.lifecycle.trials import postpone_billing, slept_through
from app.tenants.models import SuspendedFor, Tenant, TenantStatus

_S = TenantStatus
MOVES: Final[Mapping[TenantStatus, frozenset[TenantStatus]]] = {
    _S.TRIALING: frozenset({_S.ACTIVE, _S.SUSPENDED, _S.CANCELLED}),
    _S.ACTIVE: frozenset({_S.PAST_DUE, _S.SUSPENDED, _S.CANCELLED}),
    _S.PAST_DUE: frozenset({_S.ACTIVE, _S.SUSPENDED, _S.CANCELLED}),
    _S.SUSPENDED: frozenset({_S.ACTIVE, _S.CANCELLED}),
    _S.CANCELLED: frozenset({_S.TRIALING, _S.ACTIVE, _S.ERASED}),
    _S.ERASED: frozenset(),
}
"""Where an account may go from where. Only a cancelled one whose trial has not ended goes back to its trial."""


async def move(
    uow: UnitOfWork,
    to: TenantStatus,
    *,
    reason: str,
    by: MovedBy,
    suspended_for: SuspendedFor = SuspendedFor.OPERATOR,
    since: datetime | None = None,
) -> Tenant:
    """Move the account of the tenant at hand; audited, published, and in force with the commit.

    An account that is there already stays as it is, and nothing is written. `suspended_for` says what ends a
    suspension: a payment ends one that is for what is unpaid. `since` is when a cancellation took effect, where that
    is past: nothing is charged from then on. Raises: InvalidTransition, also for the return of a
    cancelled account whose export window is over.
    """
    await hold_billing(uow)
    tenant = await uow.get(Tenant, uow.tenant_id, lock="update")
    before = TenantStatus(tenant.status)
    if before is to:
        return tenant
    _require_way(uow, tenant, before, to)
    changes = {"status": to.value} | _left_behind(uow, to, suspended_for)
    if to is TenantStatus.CANCELLED:
        changes["cancelled_at"] = since or uow.now
        if not slept_through(tenant, uow.now):
            await end_billing(uow, since or uow.now)
    elif to is TenantStatus.ACTIVE and slept_through(tenant, uow.now):
        changes |= await postpone_billing(uow, tenant)
    elif before is TenantStatus.CANCELLED and to is not TenantStatus.ERASED:
        await resume_billing(uow)
    moved = await uow.update(tenant, **changes)
    diff = {name: [getattr(tenant, name), getattr(moved, name)] for name in changes}
    uow.record_audit(
        "tenant", tenant.id, "updated", {k: v for k, v in diff.items() if v[0] != v[1]}, reason=reason
    )
    uow.publish(
        TenantStatusChanged(id=tenant.id, previous=before.value, status=to.value, reason=reason, by=by)
    )
    await access_changed(uow)
    return moved


async def move_tenant(
    kernel: Kernel,
    tenant_id: UUID,
    to: TenantStatus,
    *,
    reason: str,
    by: MovedBy,
    suspended_for: SuspendedFor = SuspendedFor.OPERATOR,
) -> None:
    """As `move`, of any tenant and in a transaction of its own. Raises: NotFound; InvalidTransition."""
    async with transaction_of(kernel, tenant_id) as uow:
        await move(uow, to, reason=reason, by=by, suspended_for=suspended_for)


@asynccontextmanager
async def transaction_of(kernel: Kernel, tenant_id: UUID) -> AsyncIterator[UnitOfWork]:
    """A transaction of a tenant, whatever its status, in which the product itself acts. Raises: NotFound."""
    profile = await kernel.authenticator.tenant_profile(tenant_id)
    async with transaction(kernel, system_actor(profile)) as uow:
        yield uow


def _require_way(uow: UnitOfWork, tenant: Tenant, before: TenantStatus, to: TenantStatus) -> None:
    back = before is TenantStatus.CANCELLED and to is not TenantStatus.ERASED
    too_late = back and (tenant.export_until is None or tenant.export_until <= uow.now)
    if to in MOVES[before] and not too_late:
        return
    allowed = sorted(MOVES[before]) if not too_late else [TenantStatus.ERASED]
    hint = f"it may become {', '.join(allowed)}" if allowed else "nothing follows from there"
    raise InvalidTransition(
        f"The account is {before} and cannot become {to}: {hint}.",
        state=before.value,
        allowed=[status.value for status in allowed],
    )


def _left_behind(uow: UnitOfWork, to: TenantStatus, suspended_for: SuspendedFor) -> dict[str, Any]:
    """The moments that a move sets or clears."""
    now = uow.now
    if to is TenantStatus.PAST_DUE:
        return {"past_due_since": now}
    if to is TenantStatus.SUSPENDED:
        return {"suspended_at": now, "suspended_for": suspended_for.value}
    if to is TenantStatus.CANCELLED:
        window = timedelta(days=uow.kernel.settings.export_window_days)
        return {"cancel_at": None, "export_until": now + window}
    if to is TenantStatus.ERASED:
        return {"erased_at": now}
    return dict.fromkeys(("past_due_since", "suspended_at", "suspended_for", "cancelled_at", "export_until"))
