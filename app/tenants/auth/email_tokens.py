"""Links in mails: random, stored as hashes, good once and for a limited time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from app.kernel.links import new_secret
from app.kernel.secrets import hash_token
from app.kernel.uow import UnitOfWork
from app.tenants.interface import LinkUsed


class Purpose(StrEnum):
    VERIFICATION = "verification"
    PASSWORD_RESET = "password_reset"  # noqa: S105 - a name
    INVITATION = "invitation"


LIFETIMES: Final = {
    Purpose.VERIFICATION: timedelta(days=7),
    Purpose.PASSWORD_RESET: timedelta(hours=1),
    Purpose.INVITATION: timedelta(days=7),
}


@dataclass(frozen=True, slots=True)
class EmailToken:
    """What a used link stood for."""

    user_id: UUID | None
    tenant_id: UUID | None
    invitation_id: UUID | None


async def issue(
    uow: UnitOfWork,
    purpose: Purpose,
    *,
    user_id: UUID | None = None,
    tenant_id: UUID | None = None,
    invitation_id: UUID | None = None,
) -> str:
    """A new token; earlier ones for the same person (or invitation) and purpose stop working."""
    await uow.fetch(
        "DELETE FROM tenants.email_tokens WHERE purpose = $1 AND used_at IS NULL"
        " AND (user_id = $2 OR invitation_id = $3)",
        purpose.value,
        user_id,
        invitation_id,
    )
    made = new_secret()
    await uow.fetch(
        "INSERT INTO tenants.email_tokens (token_hash, purpose, user_id, tenant_id, invitation_id, created_at,"
        " expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        made.hash,
        purpose.value,
        user_id,
        tenant_id,
        invitation_id,
        uow.now,
        uow.now + LIFETIMES[purpose],
    )
    return made.token


async def use(uow: UnitOfWork, purpose: Purpose, token: str) -> EmailToken:
    """Use a token up, exactly once. Raises: LinkUsed."""
    row = await uow.fetchrow(
        "UPDATE tenants.email_tokens SET used_at = $3 WHERE token_hash = $1 AND purpose = $2 AND used_at IS NULL"
        " AND expires_at > $3 RETURNING user_id, tenant_id, invitation_id",
        hash_token(token),
        purpose.value,
        uow.now,
    )
    if row is None:
        raise LinkUsed
    return EmailToken(**dict(row))


async def peek(uow: UnitOfWork, purpose: Purpose, token: str) -> EmailToken:
    """What a usable token stands for, without using it. Raises: LinkUsed."""
    row = await uow.fetchrow(
        "SELECT user_id, tenant_id, invitation_id FROM tenants.email_tokens WHERE token_hash = $1 AND purpose = $2"
        " AND used_at IS NULL AND expires_at > $3",
        hash_token(token),
        purpose.value,
        uow.now,
    )
    if row is None:
        raise LinkUsed
    return EmailToken(**dict(row))
