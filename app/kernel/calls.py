"""API calls, counted in the process and written once a minute: a request pays for a dictionary entry.

Whoever flushes (`app.tenants.billing`) says back how many calls all processes have counted, by which a hard limit is
kept. A process that is killed loses the calls that it counted since the last flush, a minute's at most; one that is
stopped loses none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, MutableMapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from app.kernel.access import TenantProfile
from app.kernel.allowances import PlanCallsUsedUp
from app.kernel.clock import Clock

FLUSH_SECONDS: Final = 60.0
_MOST: Final = 100_000


@dataclass(frozen=True, slots=True)
class CountedCalls:
    """The calls of some tenants since a moment, and those of them whose calls are limited."""

    since: datetime
    by_tenant: Mapping[UUID, int]
    limited: Collection[UUID]


@dataclass(frozen=True, slots=True)
class _Used:
    period_start: datetime
    calls: int


class Calls:
    """The calls of one process's tenants that are not written yet."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        """Set when somebody whose calls are limited is met for the first time: tell us how many they have made."""
        self._limited: set[UUID] = set()
        self._counts: dict[UUID, int] = {}
        self._since: datetime | None = None
        self._used: dict[UUID, _Used] = {}

    def count(
        self, tenant: TenantProfile, scope: MutableMapping[str, Any], clock: Clock, *, spare: bool
    ) -> None:
        """One call more; with `spare` also when they are used up. Raises: PlanCallsUsedUp."""
        id = tenant.id
        if tenant.allowance.hard_calls is not None:
            self._check(tenant, scope, clock.now(), spare=spare)
        counts = self._counts
        if self._since is None:
            self._since = clock.now()
        counts[id] = counts.get(id, 0) + 1

    def _check(
        self, tenant: TenantProfile, scope: MutableMapping[str, Any], now: datetime, *, spare: bool
    ) -> None:
        allowance, id = tenant.allowance, tenant.id
        start, end, limit = allowance.period_start, allowance.period_end, allowance.hard_calls
        if start is None or end is None or limit is None or now >= end:
            return  # the next period has begun; its allowance comes within a minute
        self._limited.add(id)
        used = self._used.get(id)
        if used is None:
            self.asked.set()
        made = self._counts.get(id, 0) + (
            used.calls if used is not None and used.period_start == start else 0
        )
        left, seconds = limit - made, max(1, int((end - now).total_seconds()))
        headers = scope.setdefault("rapport.rate_limit", [])
        headers.append((b"ratelimit-policy", b'"plan";q=%d;w=%d' % (limit, (end - start).total_seconds())))
        headers.append((b"ratelimit", b'"plan";r=%d;t=%d' % (max(0, left - 1), seconds)))
        if left <= 0 and not spare:
            raise PlanCallsUsedUp.of(used=made, allowance=allowance, seconds=seconds)

    def take(self) -> CountedCalls | None:
        """What was counted, to be written; counted anew from here."""
        counts, since = self._counts, self._since
        if not counts or since is None:
            return None
        limited = self._limited
        self._counts, self._since, self._limited = {}, None, set()
        self._add(counts, 1)
        return CountedCalls(since, counts, limited)

    def give_back(self, counted: CountedCalls) -> None:
        """It could not be written: try again with the next flush."""
        for id, calls in counted.by_tenant.items():
            self._counts[id] = self._counts.get(id, 0) + calls
        self._add(counted.by_tenant, -1)
        self._limited |= set(counted.limited)
        self._since = counted.since

    def learn(self, id: UUID, period_start: datetime, calls: int) -> None:
        """So many calls of a period are written, by whatever process."""
        if len(self._used) >= _MOST:
            self._used.clear()
        self._used[id] = _Used(period_start, calls)

    def _add(self, counts: Mapping[UUID, int], sign: int) -> None:
        """What is being written is no longer among the counts, and not yet among what we learn."""
        for id, calls in counts.items():
            used = self._used.get(id)
            if used is not None:
                self._used[id] = _Used(used.period_start, used.calls + sign * calls)
