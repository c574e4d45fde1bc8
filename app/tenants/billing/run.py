"""The billing run: every company's bills that are due, a few companies at a time, each bill in one transaction.

Any number of workers may run it at once, and any of them may be killed: companies are claimed for a while, and what a
bill moves moves with it.
"""

from __future__ import annotations

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
from app.tenants.billing.issuing import Issuer
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

_ENROL: Final = """
INSERT INTO tenants.billing_accounts (tenant_id, begins_at, next_bill_at)
SELECT t.id, date_trunc('hour', t.created_at, 'UTC'), date_trunc('hour', t.created_at, 'UTC') + $1::interval
FROM tenants.tenants t
WHERE ($2::uuid IS NULL OR t.id = $2)
  AND NOT EXISTS (SELECT 1 FROM tenants.billing_accounts a WHERE a.tenant_id = t.id)
ON CONFLICT DO NOTHING"""

_CLAIM: Final = f"""
UPDATE tenants.billing_accounts a SET claimed_until = $1::timestamptz + $2::interval
FROM (
  SELECT b.tenant_id FROM tenants.billing_accounts b JOIN tenants.tenants s ON s.id = b.tenant_id
  WHERE b.next_bill_at <= $1 AND (b.claimed_until IS NULL OR b.claimed_until <= $1) AND s.status = ANY($3::text[])
    AND s.suspended_for IS DISTINCT FROM 'trial_over'
  ORDER BY b.next_bill_at, b.tenant_id LIMIT {BATCH} FOR UPDATE OF b SKIP LOCKED
) due JOIN tenants.tenants t ON t.id = due.tenant_id
WHERE a.tenant_id = due.tenant_id
RETURNING {PROFILE_COLUMNS}"""

_RELEASE: Final = "UPDATE tenants.billing_accounts SET claimed_until = NULL WHERE tenant_id = ANY($1::uuid[])"


async def bill_all(kernel: Kernel) -> int:
    """Issue every bill that is due, of every company; how many were made.

    What fails for one company is logged, leaves the others alone, and is tried again when its claim has ended.
    """
    await metering.roll(ScheduledRun(kernel))
    await _enrol(kernel)
    made = 0
    while claimed := await _claim(kernel):
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
        await connection.execute(_ENROL, trial + GRACE, tenant_id)


async def _claim(kernel: Kernel) -> list[TenantProfile]:
    async with kernel.database.control() as connection:
        rows = await connection.fetch(_CLAIM, kernel.clock.now(), CLAIM, [status.value for status in BILLED])
    return [profile_of(row) for row in rows]
