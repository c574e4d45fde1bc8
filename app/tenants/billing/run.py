"""The billing run: every company's bills that are due, a few companies at a time, each bill in one transaction.

Any number of workers may run it at once, and any of them may be killed: companies are claimed for a while, and what a
bill moves moves with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import structlog

from app.kernel.access import TenantProfile, system_actor
from app.kernel.runtime import Kernel
from app.kernel.schedules import ScheduledRun
from app.tenants.auth.actors import PROFILE_COLUMNS, profile_of
from app.tenants.auth.control import control_transaction
from app.tenants.billing import metering
from app.tenants.billing.amounts import GRACE
from app.tenants.billing.issuing import ENROL, Issuer
from app.tenants.models import TenantStatus

log = structlog.get_logger(__name__)

EVERY: Final = timedelta(minutes=15)
BATCH: Final = 20
CLAIM: Final = timedelta(minutes=10)
BILLED: Final = (
    TenantStatus.TRIALING,
    TenantStatus.ACTIVE,
    TenantStatus.PAST_DUE,
    TenantStatus.SUSPENDED,
)

# Whoever was suspended when the trial ended is billed from when they are back; see lifecycle/trials.py.
_DUE: Final = """
  SELECT b.tenant_id FROM tenants.billing_accounts b JOIN tenants.tenants s ON s.id = b.tenant_id
  WHERE b.next_bill_at <= $1 AND (b.claimed_until IS NULL OR b.claimed_until <= $1) AND s.status = ANY($3::text[])
    AND (s.cancel_at IS NULL OR s.cancel_at > $1)
    AND NOT (s.status = 'suspended'
      AND (s.suspended_for = 'trial_over' OR coalesce(s.suspended_at <= s.trial_ends_at, false)))
  ORDER BY b.next_bill_at, b.tenant_id LIMIT $4 FOR UPDATE OF b SKIP LOCKED"""

# Who left has a last bill, as soon as nothing is awaited any more that was used until then.
_LEFT: Final = f"""
  SELECT b.tenant_id FROM tenants.subscription_ends e JOIN tenants.billing_accounts b ON b.tenant_id = e.tenant_id
  JOIN tenants.tenants s ON s.id = b.tenant_id
  WHERE e.settled_at IS NULL AND e.ended_at <= $1::timestamptz - interval '{GRACE.total_seconds()} s'
    AND s.status = ANY($3::text[])
    AND (b.claimed_until IS NULL OR b.claimed_until <= $1)
  ORDER BY e.ended_at, e.tenant_id LIMIT $4 FOR UPDATE OF b SKIP LOCKED"""

_CLAIM: Final = f"""
UPDATE tenants.billing_accounts a SET claimed_until = $1::timestamptz + $2::interval
FROM ({{due}}) due JOIN tenants.tenants t ON t.id = due.tenant_id
WHERE a.tenant_id = due.tenant_id
RETURNING {PROFILE_COLUMNS}"""

_RELEASE: Final = "UPDATE tenants.billing_accounts SET claimed_until = NULL WHERE tenant_id = ANY($1::uuid[])"


async def bill_all(kernel: Kernel) -> int:
    """Issue every bill that is due, of every company; how many were made.

    What fails for one company is logged, leaves the others alone, and is tried again when its claim has ended.
    """
    await metering.roll(ScheduledRun(kernel))
    await _enrol(kernel)
    made = await _bill_claimed(kernel, _DUE, BILLED)
    return made + await _bill_claimed(kernel, _LEFT, (TenantStatus.CANCELLED,))


async def _bill_claimed(kernel: Kernel, due: str, statuses: Sequence[TenantStatus]) -> int:
    made = 0
    while claimed := await _claim(kernel, due, statuses):
        done = []
        for tenant in claimed:
            try:
                made += await _bill(kernel, tenant)
                done.append(tenant.id)
            except Exception as error:
                log.error("billing failed", tenant_id=str(tenant.id), exc_info=error)
        async with kernel.database.control() as connection:
            await connection.execute(_RELEASE, done)
    return made


async def bill_tenant(kernel: Kernel, tenant: TenantProfile) -> int:
    """Issue the bills of one company that are due, oldest first; how many were made."""
    await _enrol(kernel, tenant.id)
    return await _bill(kernel, tenant)


async def run(run: Any) -> None:
    """The schedule."""
    await bill_all(run.kernel)


async def _bill(kernel: Kernel, tenant: TenantProfile) -> int:
    made, more = 0, True
    while more:
        async with control_transaction(kernel, system_actor(tenant)) as uow:
            bill, more = await Issuer(uow).issue_next()
        made += bill is not None
    return made


async def _enrol(kernel: Kernel, tenant_id: UUID | None = None) -> None:
    """Let those who signed up since, or one of them, be billed from the end of their trial on."""
    trial = timedelta(days=kernel.settings.trial_days)
    async with kernel.database.control() as connection:
        await connection.execute(ENROL, trial + GRACE, tenant_id)


async def _claim(kernel: Kernel, due: str, statuses: Sequence[TenantStatus]) -> list[TenantProfile]:
    async with kernel.database.control() as connection:
        rows = await connection.fetch(
            _CLAIM.format(due=due), kernel.clock.now(), CLAIM, [status.value for status in statuses], BATCH
        )
    return [profile_of(row) for row in rows]
