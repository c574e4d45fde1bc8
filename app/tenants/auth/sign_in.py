"""Signing in, and moving to another company of the same person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from app.kernel.errors import Problem
from app.kernel.ids import new_id
from app.kernel.uow import UnitOfWork
from app.tenants.auth import attempts
from app.tenants.auth.control import Caller, control_transaction
from app.tenants.auth.passwords import Verdict
from app.tenants.auth.sessions import Membership, SignedIn, memberships_of, open_session
from app.tenants.auth.totp import find_recovery_code, verify_totp
from app.tenants.interface import InvalidCredentials, NoMembership, OneTimeCodeRequired


@dataclass(frozen=True, slots=True)
class Proof:
    """What somebody shows to sign in; one of the codes where two-factor sign-in is on."""

    email_key: str
    password: str
    totp: str | None = None
    recovery_code: str | None = None


@dataclass(frozen=True, slots=True)
class ChooseTenant:
    """The proof is good, but for several companies."""

    memberships: Sequence[Membership]


@dataclass(frozen=True, slots=True)
class User:
    """An identity, as far as proving it needs. `password_hash` is None until an invited person chose one."""

    id: UUID
    email: str
    name: str
    locale: str
    password_hash: str | None
    email_verified_at: datetime | None
    totp_secret: bytes | None
    totp_confirmed_at: datetime | None
    totp_last_step: int | None
    recovery_codes: list[bytes]


USER_COLUMNS: Final = (
    "id, email, name, locale, password_hash, email_verified_at, totp_secret, totp_confirmed_at, totp_last_step,"
    " recovery_codes"
)


async def find_user(
    uow: UnitOfWork, *, email_key: str | None = None, user_id: UUID | None = None, lock: bool = False
) -> User | None:
    """An identity by address or id."""
    row = await uow.fetchrow(
        f"SELECT {USER_COLUMNS} FROM tenants.users WHERE email_key = $1 OR id = $2{' FOR UPDATE' if lock else ''}",
        email_key,
        user_id,
    )
    return None if row is None else User(**dict(row))


async def sign_in(
    caller: Caller, proof: Proof, *, tenant_id: UUID | None, device: str | None
) -> SignedIn | ChooseTenant:
    """Prove who one is and start a session.

    Unknown people, wrong passwords and wrong codes get one answer after the same work. With several companies and
    no `tenant_id` the answer lists them; a code is then still good for the next call.

    Raises: InvalidCredentials; OneTimeCodeRequired; NoMembership; TooManyAttempts.
    """
    user, verdict = await check_password(caller, proof.email_key, proof.password)
    async with caller.transaction() as uow:
        if user is None or not verdict.ok:
            await _note_failure(uow, user, "wrong password" if user else "")
            outcome: SignedIn | ChooseTenant | Problem = InvalidCredentials()
        else:
            outcome = await _second_step(uow, caller, user.id, proof, tenant_id, device)
            if not isinstance(outcome, Problem):
                await attempts.COUNTERS.succeeded(
                    uow.connection, attempts.for_password(proof.email_key, caller.ip)
                )
                await _keep_password_current(uow, user.id, verdict)
    if isinstance(outcome, Problem):
        raise outcome
    return outcome


async def check_password(caller: Caller, email_key: str, password: str) -> tuple[User | None, Verdict]:
    """Count a try, then compare, holding no connection meanwhile. Raises: TooManyAttempts."""
    limits = attempts.for_password(email_key, caller.ip)
    async with control_transaction(caller.kernel) as uow:
        refusal = await attempts.COUNTERS.count(uow.connection, limits, uow.now)
        user = await find_user(uow, email_key=email_key)
    if refusal is not None:
        raise refusal
    verdict = await caller.identity.passwords.verify(password, user.password_hash if user else None)
    return user, verdict


async def _second_step(
    uow: UnitOfWork, caller: Caller, user_id: UUID, proof: Proof, tenant_id: UUID | None, device: str | None
) -> SignedIn | ChooseTenant | Problem:
    user = await find_user(uow, user_id=user_id, lock=True)
    if user is None:
        return InvalidCredentials()
    memberships = await memberships_of(uow, user.id)
    chosen = [m for m in memberships if tenant_id in (None, m.tenant.id)]
    codes: dict[str, Any] | None = {}
    if user.totp_confirmed_at is not None:
        if proof.totp is None and proof.recovery_code is None:
            return OneTimeCodeRequired()
        codes = _use_code(uow, user, proof)
        if codes is None:
            await _note_failure(uow, user, "wrong one-time code")
            return InvalidCredentials()
    if not chosen:
        return NoMembership()
    if len(chosen) > 1:
        return ChooseTenant(chosen)
    if codes:
        await _store_codes(uow, user.id, codes)
    return await open_session(uow, caller, chosen[0], device=device)


def _use_code(uow: UnitOfWork, user: User, proof: Proof) -> dict[str, Any] | None:
    """What changes on the user when the given code is used, or None if it is not right."""
    if proof.totp is not None and user.totp_secret is not None:
        secret = uow.kernel.secrets.decrypt(user.totp_secret, context=f"totp:{user.id}").decode()
        step = verify_totp(secret, proof.totp, at=uow.now, last_step=user.totp_last_step)
        return None if step is None else {"totp_last_step": step}
    if proof.recovery_code is not None:
        at = find_recovery_code(proof.recovery_code, user.recovery_codes)
        if at is not None:
            return {"recovery_codes": user.recovery_codes[:at] + user.recovery_codes[at + 1 :]}
    return None


async def use_code(uow: UnitOfWork, user: User, *, totp: str | None, recovery_code: str | None) -> bool:
    """Use up a one-time or recovery code of a locked user; False if it is not right."""
    codes = _use_code(uow, user, Proof("", "", totp, recovery_code))
    if codes is None:
        return False
    await _store_codes(uow, user.id, codes)
    return True


async def _store_codes(uow: UnitOfWork, user_id: UUID, codes: dict[str, Any]) -> None:
    await uow.fetch(
        "UPDATE tenants.users SET totp_last_step = coalesce($2, totp_last_step),"
        " recovery_codes = coalesce($3, recovery_codes), updated_at = $4 WHERE id = $1",
        user_id,
        codes.get("totp_last_step"),
        codes.get("recovery_codes"),
        uow.now,
    )


async def _keep_password_current(uow: UnitOfWork, user_id: UUID, verdict: Verdict) -> None:
    if verdict.new_hash is not None:
        await uow.fetch(
            "UPDATE tenants.users SET password_hash = $2 WHERE id = $1", user_id, verdict.new_hash
        )


async def _note_failure(uow: UnitOfWork, user: User | None, reason: str) -> None:
    """One audit entry in each company of the person; for nobody the same statement, which finds no company."""
    await uow.fetch(
        "INSERT INTO kernel.audit_entries (tenant_id, id, at, actor_kind, actor_id, actor_name, request_id, object,"
        " record_id, action, reason) SELECT m.tenant_id, gen_random_uuid(), $2, 'anonymous', $3, 'anonymous', $4,"
        " 'member', m.id, 'sign_in_failed', $5 FROM tenants.members m WHERE m.user_id = $1",
        user.id if user else new_id(),
        uow.now,
        uow.actor.id,
        uow.request_id,
        reason,
    )


async def switch_tenant(caller: Caller, tenant_id: UUID, *, device: str | None) -> SignedIn:
    """A new session of the same person in another company. Raises: NoMembership."""
    person = caller.person
    async with caller.transaction() as uow:
        memberships = await memberships_of(uow, person.user_id)
        chosen = next((m for m in memberships if m.tenant.id == tenant_id), None)
        if chosen is None:
            raise NoMembership
        return await open_session(uow, caller, chosen, device=device, action="switched_in")
