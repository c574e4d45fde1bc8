"""What a process remembers of each tenant's settings, so that rules which nobody has made cost nothing.

Settings that every write asks for (scoring models, rules of data quality) lie in tables of versioned rows. A
process asks after a tenant's at most once in `STALE_SECONDS`, by one stamp that every change moves, and reads
the rows only when it has moved. So a setting changed elsewhere is in force here within that time of its commit;
the process that made the change asks at every use until the change has settled.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast
from uuid import UUID

if TYPE_CHECKING:
    from app.kernel.uow import UnitOfWork

T = TypeVar("T")

STALE_SECONDS: Final = 5.0
_SETTLING_SECONDS: Final = 2.0
_MOST: Final = 20_000


@dataclass(frozen=True)
class Remembered(Generic[T]):
    """One kind of settings: the versioned table they lie in, how to read them, and what holds without any row."""

    table: str
    load: Callable[[UnitOfWork], Awaitable[T]]
    empty: T


@dataclass
class _Known:
    stamp: str
    checked_at: float
    value: Any


class TenantMemory:
    """The settings of this process's tenants."""

    def __init__(self, *, seconds: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._known: dict[tuple[str, UUID], _Known] = {}
        self._unsettled: dict[tuple[str, UUID], float] = {}
        self._noted: set[tuple[str, UUID]] = set()

    async def of(self, uow: UnitOfWork, kind: Remembered[T]) -> T:
        """The tenant's settings, at most `STALE_SECONDS` old."""
        key = (kind.table, uow.tenant_id)
        known, now = self._known.get(key), self._seconds()
        if known is None or now - known.checked_at > STALE_SECONDS or key in self._unsettled:
            known = await self._refreshed(uow, kind, known, now)
        return cast("T", known.value)

    def forget(self, kind: Remembered[Any], tenant_id: UUID) -> None:
        """These settings are being changed by this process: ask the database until that has committed."""
        self._unsettled[kind.table, tenant_id] = self._seconds() + _SETTLING_SECONDS

    async def _refreshed(
        self, uow: UnitOfWork, kind: Remembered[Any], known: _Known | None, now: float
    ) -> _Known:
        key = (kind.table, uow.tenant_id)
        if self._unsettled.get(key, now) < now:
            del self._unsettled[key]
        row = await uow.fetchrow(
            "SELECT count(*) AS rows, concat_ws(' ', count(*), sum(version), max(updated_at)) AS stamp"
            f" FROM {kind.table} WHERE tenant_id = $1",
            uow.tenant_id,
        )
        stamp = row["stamp"] if row else ""
        if known is None or known.stamp != stamp:
            known = _Known(stamp, now, await kind.load(uow) if row and row["rows"] else kind.empty)
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[key] = known
        known.checked_at = now
        return known

    def noted(self, what: str, tenant_id: UUID) -> bool:
        """Whether this held of the tenant when it was noted last.

        For the choice between two ways that are both right, of which one is the quicker as long as it holds.
        """
        return (what, tenant_id) in self._noted

    def note(self, what: str, tenant_id: UUID, *, holds: bool) -> None:
        """Remember for `noted` whether this holds."""
        if not holds:
            self._noted.discard((what, tenant_id))
            return
        if len(self._noted) >= _MOST:
            self._noted.clear()
        self._noted.add((what, tenant_id))
