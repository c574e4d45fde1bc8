"""How often a form takes something: counted in the database, so that all processes share one count.

A submission is counted before it is looked at, in a transaction of its own, so that a hundred at once get no
more than a hundred one after the other. Windows are fixed hours from the first: going on does not prolong them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from app.kernel.errors import TooManyRequests
from app.kernel.uow import UnitOfWork

WINDOW: Final = timedelta(hours=1)
MAILS_PER_ADDRESS: Final = 5


@dataclass(frozen=True, slots=True)
class Allowance:
    """One counter: what it counts, and how many an hour allows."""

    subject: str
    most: int

    @property
    def key(self) -> bytes:
        return hashlib.sha256(self.subject.encode("utf-8", "surrogatepass")).digest()


def for_submission(form_id: UUID, ip: str, *, per_address: int, per_form: int) -> list[Allowance]:
    """What limits submissions to a form: those of one address, and all."""
    return [Allowance(f"address\0{form_id}\0{ip}", per_address), Allowance(f"form\0{form_id}", per_form)]


def for_mail(email: str) -> list[Allowance]:
    """What limits letting a company's forms send mail to somebody."""
    return [Allowance(f"mail\0{email.casefold()}", MAILS_PER_ADDRESS)]


async def count(uow: UnitOfWork, allowances: Sequence[Allowance]) -> TooManyRequests | None:
    """Count one; the refusal if it is one too many, for the caller to raise once the count has committed."""
    most = {allowance.key: allowance.most for allowance in allowances}
    rows = await uow.fetch(
        "INSERT INTO leads.form_attempts AS a (tenant_id, key, window_started_at, count)"
        " SELECT $1, k, $3, 1 FROM unnest($2::bytea[]) k ORDER BY k"
        " ON CONFLICT (tenant_id, key) DO UPDATE SET"
        " count = CASE WHEN a.window_started_at <= $4 THEN 1 ELSE a.count + 1 END,"
        " window_started_at = CASE WHEN a.window_started_at <= $4 THEN $3 ELSE a.window_started_at END"
        " RETURNING key, count, window_started_at",
        uow.tenant_id,
        list(most),
        uow.now,
        uow.now - WINDOW,
    )
    over = [row["window_started_at"] + WINDOW - uow.now for row in rows if row["count"] > most[row["key"]]]
    if not over:
        return None
    seconds = max(1, int(max(over).total_seconds() + 0.999))
    return TooManyRequests(f"Try again in {seconds} seconds.", headers={"Retry-After": str(seconds)})


async def forget(uow: UnitOfWork, now: datetime) -> None:
    """Remove the counters whose window is over."""
    await uow.fetch(
        "DELETE FROM leads.form_attempts WHERE tenant_id = $1 AND window_started_at <= $2",
        uow.tenant_id,
        now - WINDOW,
    )
