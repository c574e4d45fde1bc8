"""Brute-force limits: how often someone may try per account and per address (OWASP Authentication Cheat Sheet).

A try is counted before it is made, so that a hundred at once get no more than a hundred one after the other;
success takes its own count back. Windows are fixed: trying on while locked out does not prolong it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from app.kernel.db import Connection
from app.kernel.errors import TooManyRequests

WINDOW: Final = timedelta(minutes=15)
PER_ACCOUNT_AND_ADDRESS: Final = 10
PER_ACCOUNT: Final = 100
PER_ADDRESS: Final = 100
SIGN_UPS_PER_ADDRESS: Final = 300
MAILS_PER_ACCOUNT: Final = 5


class TooManyAttempts(TooManyRequests):
    code = "too_many_attempts"
    title = "Too many attempts; wait before you try again"


@dataclass(frozen=True, slots=True)
class Allowance:
    """One counter: what it counts, and how many a window allows."""

    subject: str
    most: int

    @property
    def key(self) -> bytes:
        return hashlib.sha256(self.subject.encode("utf-8", "surrogatepass")).digest()


def for_password(account: str, ip: str) -> list[Allowance]:
    """What limits proving who one is: by account and address together, by account, by address."""
    return [
        Allowance(f"password\0{account}\0{ip}", PER_ACCOUNT_AND_ADDRESS),
        Allowance(f"password\0{account}", PER_ACCOUNT),
        Allowance(f"password-address\0{ip}", PER_ADDRESS),
    ]


def for_mail(kind: str, account: str, ip: str) -> list[Allowance]:
    """What limits letting us send mail to somebody."""
    return [
        Allowance(f"mail\0{kind}\0{account}", MAILS_PER_ACCOUNT),
        Allowance(f"mail-address\0{ip}", PER_ADDRESS),
    ]


def for_token(ip: str) -> list[Allowance]:
    """What limits guessing at tokens from mails."""
    return [Allowance(f"token-address\0{ip}", PER_ADDRESS)]


def for_sign_up(ip: str) -> list[Allowance]:
    return [Allowance(f"sign-up-address\0{ip}", SIGN_UPS_PER_ADDRESS)]


async def count(
    connection: Connection, allowances: Sequence[Allowance], now: datetime
) -> TooManyAttempts | None:
    """Count a try; the refusal if it is one too many, for the caller to raise once the count has committed."""
    most = {allowance.key: allowance.most for allowance in allowances}
    rows = await connection.fetch(
        "INSERT INTO tenants.attempts AS a (key, window_started_at, count)"
        " SELECT k, $2, 1 FROM unnest($1::bytea[]) k ORDER BY k"
        " ON CONFLICT (key) DO UPDATE SET"
        " count = CASE WHEN a.window_started_at <= $3 THEN 1 ELSE a.count + 1 END,"
        " window_started_at = CASE WHEN a.window_started_at <= $3 THEN $2 ELSE a.window_started_at END"
        " RETURNING key, count, window_started_at",
        list(most),
        now,
        now - WINDOW,
    )
    over = [row["window_started_at"] + WINDOW - now for row in rows if row["count"] > most[row["key"]]]
    if not over:
        return None
    seconds = max(1, int(max(over).total_seconds() + 0.999))
    return TooManyAttempts(f"Try again in {seconds} seconds.", headers={"Retry-After": str(seconds)})


async def succeeded(connection: Connection, allowances: Sequence[Allowance]) -> None:
    """Take a counted try back, and forget the failures of this account from this address."""
    keys = sorted(allowance.key for allowance in allowances)
    await connection.execute(
        "UPDATE tenants.attempts a SET count = CASE WHEN a.key = $2 THEN 0 ELSE greatest(a.count - 1, 0) END"
        " FROM (SELECT key FROM tenants.attempts WHERE key = ANY($1::bytea[]) ORDER BY key FOR UPDATE) l"
        " WHERE a.key = l.key",
        keys,
        allowances[0].key,
    )


async def drop_old(connection: Connection, now: datetime) -> None:
    """Remove counters whose window is over; for the daily clean-up."""
    await connection.execute("DELETE FROM tenants.attempts WHERE window_started_at < $1", now - WINDOW)
