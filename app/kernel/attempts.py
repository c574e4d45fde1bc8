"""How often something may be tried: counted in the database, so that all processes share one count.

A try is counted before it is made, in a transaction of its own, so that a hundred at once get no more than a hundred
one after the other. Windows are fixed from the first try: trying on while refused does not prolong them. Each use has
a table of its own of `key bytea`, `window_started_at` and `count`, led by `tenant_id` where it counts within tenants.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from app.kernel.errors import TooManyRequests


@dataclass(frozen=True, slots=True)
class Allowance:
    """One counter: what it counts, and how many a window allows."""

    subject: str
    most: int

    @property
    def key(self) -> bytes:
        return hashlib.sha256(self.subject.encode("utf-8", "surrogatepass")).digest()


class Fetches(Protocol):
    """A transaction: a unit of work, or a connection."""

    async def fetch(self, sql: str, /, *arguments: Any) -> list[Any]:
        """The rows of a statement."""


@dataclass(frozen=True, slots=True)
class Attempts:
    """The counters of one table; `refusal` is what one try too many raises."""

    table: str
    window: timedelta
    refusal: type[TooManyRequests] = TooManyRequests

    async def count(
        self, database: Fetches, allowances: Sequence[Allowance], now: datetime, *, tenant: UUID | None = None
    ) -> TooManyRequests | None:
        """Count a try; the refusal if it is one too many, for the caller to raise once the count has committed."""
        most = {allowance.key: allowance.most for allowance in allowances}
        column, value = ("tenant_id, ", "$4::uuid, ") if tenant is not None else ("", "")
        rows = await database.fetch(
            f"INSERT INTO {self.table} AS a ({column}key, window_started_at, count)"
            f" SELECT {value}k, $2, 1 FROM unnest($1::bytea[]) k ORDER BY k"
            f" ON CONFLICT ({column}key) DO UPDATE SET"
            " count = CASE WHEN a.window_started_at <= $3 THEN 1 ELSE a.count + 1 END,"
            " window_started_at = CASE WHEN a.window_started_at <= $3 THEN $2 ELSE a.window_started_at END"
            " RETURNING key, count, window_started_at",
            list(most),
            now,
            now - self.window,
            *_of(tenant),
        )
        over = [
            row["window_started_at"] + self.window - now for row in rows if row["count"] > most[row["key"]]
        ]
        if not over:
            return None
        seconds = max(1, int(max(over).total_seconds() + 0.999))
        return self.refusal(f"Try again in {seconds} seconds.", headers={"Retry-After": str(seconds)})

    async def succeeded(self, database: Fetches, allowances: Sequence[Allowance]) -> None:
        """Take a counted try back, and forget the failures that the first allowance counts; of no tenant's."""
        await database.fetch(
            f"UPDATE {self.table} a SET count = CASE WHEN a.key = $2 THEN 0 ELSE greatest(a.count - 1, 0) END"
            f" FROM (SELECT key FROM {self.table} WHERE key = ANY($1::bytea[]) ORDER BY key FOR UPDATE) l"
            " WHERE a.key = l.key",
            sorted(allowance.key for allowance in allowances),
            allowances[0].key,
        )

    async def forget(self, database: Fetches, now: datetime, *, tenant: UUID | None = None) -> None:
        """Remove the counters whose window is over."""
        mine = " AND tenant_id = $2" if tenant is not None else ""
        await database.fetch(
            f"DELETE FROM {self.table} WHERE window_started_at <= $1{mine}", now - self.window, *_of(tenant)
        )


def _of(tenant: UUID | None) -> tuple[UUID, ...]:
    return () if tenant is None else (tenant,)
