"""What is done about identities regularly: rotating keys, and forgetting what is over."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from app.kernel.registry import Schedule
from app.tenants.auth import attempts
from app.tenants.auth.signing_keys import rotate_signing_keys
from app.tenants.billing import allowances, kept, metering, reconciling, run, warnings
from app.tenants.leaving import erasure, export

KEEP_SESSIONS: Final = timedelta(days=90)  # ended ones, for whoever asks where they were signed in
KEEP_TOKENS: Final = timedelta(days=7)


async def rotate_keys(run: Any) -> None:
    """Rotate the keys that sign access tokens."""
    await rotate_signing_keys(run.kernel)


async def clean_up(run: Any) -> None:
    """Drop ended sessions with their tokens, used links, and counters of attempts."""
    kernel = run.kernel
    now = kernel.clock.now()
    async with kernel.database.control() as connection:
        await connection.execute("DELETE FROM tenants.sessions WHERE expires_at < $1", now - KEEP_SESSIONS)
        await connection.execute("DELETE FROM tenants.email_tokens WHERE expires_at < $1", now - KEEP_TOKENS)
        await attempts.COUNTERS.forget(connection, now)


SCHEDULES = (
    Schedule("tenants.rotate_keys", timedelta(days=1), rotate_keys),
    Schedule("tenants.roll_usage", metering.EVERY, metering.roll),
    Schedule("tenants.bill", run.EVERY, run.run),
    Schedule("tenants.allowances", allowances.EVERY, allowances.refresh_all),
    Schedule("tenants.usage_warnings", warnings.EVERY, warnings.warn),
    Schedule("tenants.storage_hours", kept.HOURLY, kept.meter_storage),
    Schedule("tenants.recount", kept.RECOUNT_EVERY, kept.recount, per_tenant=True),
    Schedule("tenants.reconcile_bills", reconciling.DAILY, reconciling.reconcile_all),
    Schedule("tenants.clean_up", timedelta(days=1), clean_up),
    export.SCHEDULE,
    erasure.SCHEDULE,
    erasure.SWEEP,
)
