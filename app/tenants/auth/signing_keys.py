"""The keys that sign access tokens: kept encrypted, published ahead of use, rotated by a schedule."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import structlog

from app.kernel.db import Connection
from app.kernel.runtime import Kernel
from app.kernel.secrets import SecretUnreadable
from app.tenants.auth.access_tokens import SigningKey

ROTATE_AFTER: Final = timedelta(days=90)
PUBLISH_AHEAD: Final = timedelta(hours=1)  # every process reloads, and every JWKS cache expires, within this
KEEP_AFTER: Final = timedelta(days=1)  # far longer than a token lives
_LOCK: Final = 0x5261_7070_6F72_7410

log = structlog.get_logger(__name__)


async def load_signing_keys(kernel: Kernel) -> list[SigningKey]:
    """The ring as `AccessTokens` wants it: the one to sign with first; made if there is none."""
    async with kernel.database.control() as connection:
        keys = await _read(kernel, connection)
        if not keys:
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            keys = await _read(kernel, connection)
            if not keys:
                keys = [await _add(kernel, connection, ahead=timedelta(0))]
    return keys


async def rotate_signing_keys(kernel: Kernel) -> None:
    """Publish a new key when the newest is old, and drop keys whose successor signs for a day."""
    now = kernel.clock.now()
    async with kernel.database.control() as connection:
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        newest = await connection.fetchval("SELECT max(created_at) FROM tenants.signing_keys")
        if newest is None or newest < now - ROTATE_AFTER:
            await _add(kernel, connection, ahead=PUBLISH_AHEAD if newest else timedelta(0))
        await connection.execute(
            "DELETE FROM tenants.signing_keys k WHERE EXISTS (SELECT 1 FROM tenants.signing_keys s"
            " WHERE s.active_from > k.active_from AND s.active_from < $1)",
            now - KEEP_AFTER,
        )


async def _read(kernel: Kernel, connection: Connection) -> list[SigningKey]:
    rows = await connection.fetch(
        "SELECT kid, private_key FROM tenants.signing_keys"
        " ORDER BY active_from > $1, active_from DESC, created_at DESC",
        kernel.clock.now(),
    )
    found = []
    for row in rows:
        try:
            pem = kernel.secrets.decrypt(row["private_key"], context=f"signing_key:{row['kid']}")
        except SecretUnreadable:
            log.warning("signing_key_unreadable", kid=row["kid"])
            continue
        found.append(SigningKey.from_pem(pem))
    return found


async def _add(kernel: Kernel, connection: Connection, *, ahead: timedelta) -> SigningKey:
    key = SigningKey.generate()
    now = kernel.clock.now()
    await connection.execute(
        "INSERT INTO tenants.signing_keys (kid, private_key, created_at, active_from) VALUES ($1, $2, $3, $4)",
        key.kid,
        kernel.secrets.encrypt(key.to_pem(), context=f"signing_key:{key.kid}"),
        now,
        now + ahead,
    )
    return key
