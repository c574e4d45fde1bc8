"""What a company's plan includes, how much of it is used, and seats, which are refused exactly."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from app.kernel.allowances import (
    KEPT,
    METRICS,
    Allowance,
    Limit,
    LimitName,
    PlanLimitReached,
    require_feature,
)
from app.kernel.locks import lock_name
from app.kernel.uow import UnitOfWork
from app.tenants.models import InvitationStatus

# What is not rolled up yet counts too; a month consists of whole hours.
_USED: Final = """
SELECT metric, sum(quantity)::bigint AS used FROM (
  SELECT metric, total AS quantity FROM kernel.usage_totals WHERE tenant_id = $1 AND metric = ANY($2::text[])
  UNION ALL
  SELECT metric, sum FROM tenants.usage_hours
  WHERE tenant_id = $1 AND metric = ANY($3::text[]) AND hour >= $4 AND hour < $5
  UNION ALL
  SELECT metric, quantity FROM kernel.usage_records
  WHERE tenant_id = $1 AND (metric = ANY($2::text[]) OR (metric = ANY($3::text[]) AND at >= $4 AND at < $5))
) u GROUP BY metric"""

_TAKEN: Final = (
    "SELECT count(*) FROM tenants.members m"
    " WHERE m.tenant_id = $1 AND tenants.takes_seat($1, m.status, m.role_ids)"
)
_SEATS: Final = f"""
SELECT ({_TAKEN}) AS taken,
  (SELECT count(*) FROM tenants.invitations i WHERE i.tenant_id = $1 AND i.status = $2 AND i.expires_at > $3
     AND tenants.takes_seat($1, 'active', i.role_ids)) AS promised,
  tenants.takes_seat($1, 'active', $4::uuid[]) AND NOT tenants.takes_seat($1, 'active', $5::uuid[]) AS more"""


@dataclass(frozen=True, slots=True)
class UsedLimit:
    """A limit of the plan and how much of it is used."""

    name: LimitName
    limit: Limit
    used: int


class EntitlementsOfTenant:
    """Implements `Entitlements`, and the kernel's `PeriodUsage`."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow

    @property
    def allowance(self) -> Allowance:
        return self.uow.actor.tenant.allowance

    def includes(self, feature: str) -> bool:
        return feature not in self.allowance.missing

    def require(self, feature: str) -> None:
        require_feature(self.allowance, feature)

    async def used(self, name: LimitName) -> int:
        if name is LimitName.SEATS:
            return await self._seats()
        return (await self._used([name]))[name]

    async def require_room(self, name: LimitName, wanted: int = 1) -> None:
        limit = self.allowance.hard(name)
        if limit is None:
            return
        used = await self.used(name)
        if used + wanted > limit.value:
            raise PlanLimitReached.of(name, used=used, allowance=self.allowance)

    async def all(self) -> list[UsedLimit]:
        """Every limit of the plan, with what is used of it; two statements."""
        limits = self.allowance.limits
        used = await self._used([name for name in METRICS if name in limits])
        if LimitName.SEATS in limits:
            used[LimitName.SEATS] = await self._seats()
        return [UsedLimit(name, limits[name], used[name]) for name in LimitName if name in used]

    async def keep_seats(
        self, roles: Collection[UUID], *, had: Collection[UUID] = (), invited: bool = False
    ) -> None:
        """After a member or an invitation with these roles was written: refuse a seat too many.

        `had` are the roles of an active member before; only whoever takes a seat that was not theirs is refused.
        Invitations count those that are open besides. From here to the end of the transaction nobody else takes one.
        Raises: PlanLimitReached.
        """
        limit = self.allowance.hard(LimitName.SEATS)
        if limit is None:
            return
        await lock_name(self.uow, "limit:seats")
        row = await self.uow.fetchrow(
            _SEATS,
            self.uow.tenant_id,
            InvitationStatus.PENDING.value,
            self.uow.now,
            list(roles),
            list(had),
        )
        if row is None or not row["more"]:
            return
        taken = row["taken"] + (row["promised"] if invited else 0)
        if taken > limit.value:
            raise PlanLimitReached.of(LimitName.SEATS, used=taken - 1, allowance=self.allowance)

    async def _seats(self) -> int:
        row = await self.uow.fetchrow(_TAKEN, self.uow.tenant_id)
        return int(row[0]) if row is not None else 0

    async def _used(self, names: Collection[LimitName]) -> dict[LimitName, int]:
        now = self.uow.now
        metrics = [METRICS[name] for name in names]
        rows = await self.uow.fetch(
            _USED,
            self.uow.tenant_id,
            [metric for metric in metrics if metric in KEPT],
            [metric for metric in metrics if metric not in KEPT],
            self.allowance.period_start or now,
            self.allowance.period_end or now,
        )
        found = {row["metric"]: row["used"] for row in rows}
        return {name: found.get(METRICS[name], 0) for name in names}


class MeteringOfTenant:
    """Implements `Metering`."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    def count(self, metric: str, quantity: int = 1) -> None:
        self._uow.meter(metric, quantity)
