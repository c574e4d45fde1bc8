"""Hard limits on what a company keeps: exact, and without a lock that would make all its writers queue.

Far from its limit a company is not looked at: whoever works out allowances (`app.tenants.billing`) says every
minute which companies are near. There a process counts, and grants itself a small share of what is left for two
seconds; within the last `MARGIN` one writer at a time counts under a lock. What is counted is the kept sum and the
changes that are not added to it yet, both seen by one statement. A process whose grant is older than what others have
made since may go beyond: by a 64th of what was left two seconds ago at most, and only where a company makes its last
2,048 records within these two seconds.

What people and programs ask for is refused. What the product does of itself, as a reaction to something that was
allowed or with what a stranger sent by a form, passes and counts: a limit loses nobody's data.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol
from uuid import UUID

from app.kernel.allowances import METRICS, LimitName, PlanLimitReached
from app.kernel.locks import lock_name
from app.kernel.uow import UnitOfWork

MARGIN: Final = 2_048
SHARE: Final = 64
GOOD_FOR_SECONDS: Final = 2.0
MANY: Final = 10
"""More records than that in one transaction are counted also far from the limit: they could leap over the margin."""
_MOST_GRANTS: Final = 10_000

_KEPT: Final = """
SELECT coalesce((SELECT total FROM kernel.usage_totals WHERE tenant_id = $1 AND metric = $2), 0)
  + coalesce((SELECT sum(quantity) FROM kernel.usage_records WHERE tenant_id = $1 AND metric = $2), 0)::bigint"""


class PeriodUsage(Protocol):
    """What the kernel asks of metering; implemented by `app.tenants.billing`."""

    async def used(self, name: LimitName) -> int:
        """What was used of a metered limit in the month of the plan at hand, as far as it is committed."""


async def kept(uow: UnitOfWork, name: LimitName) -> int:
    """How much the tenant keeps, with what this transaction has written; one statement."""
    row = await uow.fetchrow(_KEPT, uow.tenant_id, METRICS[name])
    return int(row[0]) if row is not None else 0


@dataclass(slots=True)
class _Grant:
    left: int
    until: float


class Limits:
    """The hard limits of one process's tenants."""

    def __init__(self, *, seconds: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._grants: dict[UUID, _Grant] = {}

    async def check_records(self, uow: UnitOfWork, made: int) -> None:
        """After records were made in a transaction, before it commits. Raises: PlanLimitReached."""
        allowance = uow.actor.tenant.allowance
        if not (allowance.near_records or made > MANY) or uow.actor.kind == "system":
            return
        limit = allowance.hard(LimitName.RECORDS)
        if limit is None or self._granted(uow.tenant_id, made):
            return
        await uow.settle()
        if self._grant(uow.tenant_id, limit.value - await kept(uow, LimitName.RECORDS)):
            return
        await lock_name(uow, "limit:records")
        used = await kept(uow, LimitName.RECORDS)
        if used > limit.value:
            raise PlanLimitReached.of(LimitName.RECORDS, used=used - made, allowance=allowance)

    async def room_for_records(self, uow: UnitOfWork, wanted: int) -> int:
        """How many of so many records may be made; where that is fewer, nobody else makes any until we have ended."""
        limit = uow.actor.tenant.allowance.hard(LimitName.RECORDS)
        if limit is None or uow.actor.kind == "system":
            return wanted
        if limit.value - await kept(uow, LimitName.RECORDS) - wanted >= MARGIN:
            return wanted
        await lock_name(uow, "limit:records")
        return max(0, min(wanted, limit.value - await kept(uow, LimitName.RECORDS)))

    def _granted(self, tenant_id: UUID, made: int) -> bool:
        grant = self._grants.get(tenant_id)
        if grant is None or grant.until < self._seconds() or grant.left < made:
            return False
        grant.left -= made
        return True

    def _grant(self, tenant_id: UUID, left: int) -> bool:
        """Whether there is so much left that others need not be waited for."""
        if left < MARGIN:
            self._grants.pop(tenant_id, None)
            return False
        if len(self._grants) >= _MOST_GRANTS:
            self._grants.clear()
        self._grants[tenant_id] = _Grant(left // SHARE, self._seconds() + GOOD_FOR_SECONDS)
        return True


async def require_storage(uow: UnitOfWork, size: int) -> None:
    """Before a file of so many bytes is kept; uploads of one tenant are counted one at a time.

    Raises: PlanLimitReached.
    """
    allowance = uow.actor.tenant.allowance
    limit = allowance.hard(LimitName.STORAGE_BYTES)
    if limit is None or uow.actor.kind == "system":
        return
    await lock_name(uow, "limit:storage")
    used = await kept(uow, LimitName.STORAGE_BYTES)
    if used + size > limit.value:
        raise PlanLimitReached.of(LimitName.STORAGE_BYTES, used=used, allowance=allowance)


async def require_message(uow: UnitOfWork) -> None:
    """Before a message is promised to somebody who asks for it now. Raises: PlanLimitReached."""
    allowance = uow.actor.tenant.allowance
    limit = allowance.hard(LimitName.MESSAGES)
    if limit is not None:
        used = await uow.of(PeriodUsage).used(LimitName.MESSAGES)
        if used >= limit.value:
            raise PlanLimitReached.of(LimitName.MESSAGES, used=used, allowance=allowance)
