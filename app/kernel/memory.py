"""What a process remembers of each tenant's settings, so that rules which nobody has made cost nothing.

Settings that every write asks for (scoring models, rules of data quality, promises) lie in tables of versioned rows.
One stamp says which rows in which versions there are, so whoever knows the settings of a stamp needs not read them
while the stamp is the same. There are two ways to ask for it.

`of` asks at most once in `STALE_SECONDS`. So a setting changed elsewhere is in force here within that time of its
commit; the process that made the change asks at every use until the change has settled.

`exactly` asks each time, for any number of kinds and together with whatever else is to be read: what it answers was
in force when that statement ran, whoever changed it and wherever.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast
from uuid import UUID

from app.kernel.listing import Ask, Bindings

if TYPE_CHECKING:
    from app.kernel.uow import UnitOfWork

T = TypeVar("T")

STALE_SECONDS: Final = 5.0
_SETTLING_SECONDS: Final = 2.0
_MOST: Final = 20_000


@dataclass(frozen=True, eq=False)
class Remembered(Generic[T]):
    """One kind of settings: the versioned table they lie in, how to read them, and what holds without any row.

    `also` are further versioned tables that the settings are read from.
    """

    table: str
    load: Callable[[UnitOfWork], Awaitable[T]]
    empty: T
    also: tuple[str, ...] = ()

    @cached_property
    def stamp(self) -> str:
        """SQL of a number, as text, that any change of the tenant's (`$1`) rows moves; null without rows.

        A sum, so that the order of rows does not matter, of hashes of 64 bits. `xmin`, the transaction that wrote a
        row, tells apart two that made the same version, of which one was rolled back.
        """
        return self._stamp("")

    @cached_property
    def stamp_held(self) -> str:
        """As `stamp`, of rows that from then on nobody locks `FOR UPDATE` before this transaction has ended."""
        return self._stamp(" FOR KEY SHARE")

    def _stamp(self, lock: str) -> str:
        rows = " UNION ALL ".join(
            f"SELECT hash_record_extended(ROW(s.id, s.version, s.xmin), {place}) AS hash"
            f" FROM (SELECT id, version, xmin FROM {table} WHERE tenant_id = $1{lock}) s"
            for place, table in enumerate((self.table, *self.also))
        )
        return f"(SELECT sum(hash)::text FROM ({rows}) s)"  # which the driver reads quicker than a numeric


@dataclass
class _Known:
    stamp: Any
    checked_at: float
    value: Any


class TenantMemory:
    """The settings of this process's tenants."""

    def __init__(self, *, seconds: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._known: dict[tuple[Remembered[Any], UUID], _Known] = {}
        self._unsettled: dict[tuple[Remembered[Any], UUID], float] = {}
        self._noted: set[tuple[str, UUID]] = set()

    async def of(self, uow: UnitOfWork, kind: Remembered[T]) -> T:
        """The tenant's settings, at most `STALE_SECONDS` old."""
        key = (kind, uow.tenant_id)
        known, now = self._known.get(key), self._seconds()
        if known is None or now - known.checked_at > STALE_SECONDS or key in self._unsettled:
            if self._unsettled.get(key, now) < now:
                del self._unsettled[key]
            row = await uow.fetchone(f"SELECT {kind.stamp}", uow.tenant_id)
            known = await self._stamped(uow, kind, row[0], now)
        return cast("T", known.value)

    async def exactly(
        self,
        uow: UnitOfWork,
        kinds: Sequence[Remembered[Any]],
        beside: Sequence[Ask] = (),
        *,
        hold: bool = False,
    ) -> tuple[list[Any], list[Any]]:
        """The tenant's settings of these kinds as they stand, and the values that are asked for beside them.

        One statement, as long as nothing has changed. With `hold` nobody locks one of their rows `FOR UPDATE`
        until this transaction has ended, and who has done so is waited for.
        """
        bind = Bindings(uow.tenant_id)
        asked = [kind.stamp_held if hold else kind.stamp for kind in kinds] + [ask(bind) for ask in beside]
        row = await uow.fetchone(f"SELECT {', '.join(asked)}", *bind.values)
        now = self._seconds()
        known = [
            await self._stamped(uow, kind, row[place], now, hold=hold) for place, kind in enumerate(kinds)
        ]
        return [one.value for one in known], list(row)[len(kinds) :]

    def forget(self, kind: Remembered[Any], tenant_id: UUID) -> None:
        """These settings are being changed by this process: ask the database until that has committed."""
        self._unsettled[kind, tenant_id] = self._seconds() + _SETTLING_SECONDS

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

    async def _stamped(
        self, uow: UnitOfWork, kind: Remembered[Any], stamp: Any, now: float, *, hold: bool = False
    ) -> _Known:
        """What holds at a stamp that was just read: rows that are read after it are at least as new.

        Where they are newer they are not kept: a row that was made meanwhile may be gone before anybody asks again,
        and the stamp is then what it was. Nor is that row held yet, so that with `hold` all is read once more.
        """
        key = (kind, uow.tenant_id)
        known = self._known.get(key)
        if known is None or known.stamp != stamp:
            known = _Known(stamp, now, kind.empty)
            if stamp is not None:
                known.value = await kind.load(uow)
                row = await uow.fetchone(f"SELECT {kind.stamp_held if hold else kind.stamp}", uow.tenant_id)
                if row[0] != stamp:
                    return await self._stamped(uow, kind, row[0], now, hold=True) if hold else known
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[key] = known
        known.checked_at = now
        return known
