"""Operators' keys: `rok_live_<random>_<checksum>`, made on the command line, stored as their SHA-256.

They are no credential of any company: nothing under `/v1` but `/v1/operator` takes them, and that takes nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from app.kernel.errors import NotFound, Unauthenticated
from app.kernel.ids import new_id
from app.kernel.runtime import Kernel
from app.kernel.uow import UnitOfWork
from app.tenants.auth.actors import PROFILE_COLUMNS, profile_of
from app.tenants.auth.api_keys import ApiKeyMalformed, generate_api_key, parse_api_key
from app.tenants.auth.control import access_changed, control_transaction
from app.tenants.operators.acts import Operator, note, operator_actor

PREFIX: Final = "rok_live_"
_NOTED_EVERY: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class OperatorKey:
    """A key as it is listed."""

    id: UUID
    name: str
    hint: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class MadeOperatorKey:
    """A key at its birth; `key` is shown once."""

    id: UUID
    name: str
    key: str


async def create_key(kernel: Kernel, name: str, *, expires_at: datetime | None = None) -> MadeOperatorKey:
    """A key for a person or a program that looks after the installation."""
    made, id = generate_api_key(PREFIX), new_id()
    async with control_transaction(kernel, operator_actor(Operator.console())) as uow:
        await uow.fetch(
            "INSERT INTO tenants.operator_keys (id, name, hint, key_hash, created_at, expires_at)"
            " VALUES ($1, $2, $3, $4, $5, $6)",
            id,
            name,
            made.hint,
            made.hash,
            uow.now,
            expires_at,
        )
        await note(uow, "operator_key_created", details={"key_id": str(id), "name": name})
    return MadeOperatorKey(id, name, made.key)


async def list_keys(kernel: Kernel) -> list[OperatorKey]:
    """All keys, the oldest first, revoked ones too."""
    async with control_transaction(kernel) as uow:
        rows = await uow.fetch(
            "SELECT id, name, hint, created_at, expires_at, last_used_at, revoked_at"
            " FROM tenants.operator_keys ORDER BY id"
        )
    return [OperatorKey(**dict(row.items())) for row in rows]


async def revoke_key(kernel: Kernel, id: UUID) -> None:
    """End a key at once, and every impersonation begun with it. Raises: NotFound."""
    async with control_transaction(kernel, operator_actor(Operator.console())) as uow:
        row = await uow.fetchrow(
            "UPDATE tenants.operator_keys SET revoked_at = coalesce(revoked_at, $2) WHERE id = $1 RETURNING name",
            id,
            uow.now,
        )
        if row is None:
            raise NotFound
        await note(uow, "operator_key_revoked", details={"key_id": str(id), "name": row["name"]})
        await _end_impersonations(uow, id)


async def _end_impersonations(uow: UnitOfWork, operator_id: UUID) -> None:
    rows = await uow.fetch(
        "UPDATE tenants.sessions SET revoked_at = $2, revoked_because = 'operator key revoked'"
        " WHERE operator_id = $1 AND revoked_at IS NULL AND expires_at > $2 RETURNING tenant_id, id",
        operator_id,
        uow.now,
    )
    console = uow.actor
    for row in rows:
        profile = await uow.fetchrow(
            f"SELECT {PROFILE_COLUMNS} FROM tenants.tenants t WHERE t.tenant_id = $1", row["tenant_id"]
        )
        if profile is None:
            continue
        await uow.flush()
        await uow.enter(operator_actor(Operator.console(), profile_of(profile)))
        uow.record_audit("session", row["id"], "revoked", reason="operator key revoked")
        await access_changed(uow)
    await uow.flush()
    await uow.enter(console)


async def authenticate(kernel: Kernel, authorization: str | None) -> Operator:
    """The operator behind `Authorization: Bearer rok_live_…`. Raises: Unauthenticated.

    Asked of the database each time: operators call seldom, and a revoked key ends at once.
    """
    scheme, _, credential = (authorization or "").partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated("This needs the key of an operator.")
    try:
        key_hash = parse_api_key(credential.strip(), PREFIX)
    except ApiKeyMalformed:
        raise Unauthenticated("This needs the key of an operator.") from None
    now = kernel.clock.now()
    async with kernel.database.control() as connection:
        row = await connection.fetchrow(
            "SELECT id, name, last_used_at FROM tenants.operator_keys WHERE key_hash = $1"
            " AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)",
            key_hash,
            now,
        )
        if row is None:
            raise Unauthenticated("This needs the key of an operator.")
        if row["last_used_at"] is None or row["last_used_at"] < now - _NOTED_EVERY:
            await connection.execute(
                "UPDATE tenants.operator_keys SET last_used_at = $2 WHERE id = $1", row["id"], now
            )
    return Operator(row["id"], row["name"])
