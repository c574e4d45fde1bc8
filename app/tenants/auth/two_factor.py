"""Two-factor sign-in: switched on by proving one code, off by proving password and code."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from app.kernel.attempts import Allowance
from app.kernel.errors import Invalid
from app.kernel.uow import UnitOfWork
from app.tenants import mail_templates
from app.tenants.auth import attempts
from app.tenants.auth.account import prove_password
from app.tenants.auth.control import Caller
from app.tenants.auth.sign_in import User, find_user, use_code
from app.tenants.auth.totp import (
    hash_recovery_code,
    new_recovery_codes,
    new_totp_secret,
    otpauth_uri,
    verify_totp,
)
from app.tenants.interface import TotpState


@dataclass(frozen=True, slots=True)
class TotpStart:
    """The secret as text and as the address behind a QR code."""

    secret: str
    uri: str


async def start(caller: Caller, password: str) -> TotpStart:
    """Make a secret for an authenticator app; nothing changes for sign-in until a code confirms it.

    Raises: Invalid for a wrong password; TotpState when two-factor sign-in is on already; TooManyAttempts.
    """
    user = await prove_password(caller, password)
    secret = new_totp_secret()
    async with caller.transaction() as uow:
        locked = await _locked(uow, caller)
        if locked.totp_confirmed_at is not None:
            raise TotpState("Two-factor sign-in is on already; switch it off first.")
        await uow.fetch(
            "UPDATE tenants.users SET totp_secret = $2, totp_last_step = NULL, updated_at = $3 WHERE id = $1",
            user.id,
            uow.kernel.secrets.encrypt(secret.encode(), context=f"totp:{user.id}"),
            uow.now,
        )
    return TotpStart(secret, otpauth_uri(secret, account=user.email, issuer="Rapport"))


async def confirm(caller: Caller, code: str) -> list[str]:
    """Switch two-factor sign-in on; answers the recovery codes, which are shown this once.

    Raises: Invalid for a wrong code; TotpState without a start; TooManyAttempts.
    """
    limits = attempts.for_password(f"totp:{caller.person.user_id}", caller.ip)
    await _count(caller, limits)
    codes = new_recovery_codes()
    async with caller.transaction() as uow:
        user = await _locked(uow, caller)
        if user.totp_confirmed_at is not None or user.totp_secret is None:
            raise TotpState
        secret = uow.kernel.secrets.decrypt(user.totp_secret, context=f"totp:{user.id}").decode()
        step = verify_totp(secret, code, at=uow.now, last_step=None)
        if step is None:
            raise Invalid.at("/code", "wrong_code", "This is not the code of the moment.")
        await uow.fetch(
            "UPDATE tenants.users SET totp_confirmed_at = $2, totp_last_step = $3, recovery_codes = $4,"
            " updated_at = $2 WHERE id = $1",
            user.id,
            uow.now,
            step,
            [hash_recovery_code(code) for code in codes],
        )
        _tell(uow, user, on=True)
        await attempts.COUNTERS.succeeded(uow.connection, limits)
    return codes


async def switch_off(caller: Caller, password: str, *, totp: str | None, recovery_code: str | None) -> None:
    """Switch two-factor sign-in off.

    Raises: Invalid for a wrong password or code; TotpState when it is off; TooManyAttempts.
    """
    await prove_password(caller, password)
    async with _proven(caller, totp, recovery_code) as (uow, user):
        await uow.fetch(
            "UPDATE tenants.users SET totp_secret = NULL, totp_confirmed_at = NULL, totp_last_step = NULL,"
            " recovery_codes = '{}', updated_at = $2 WHERE id = $1",
            user.id,
            uow.now,
        )
        _tell(uow, user, on=False)


async def renew_recovery_codes(caller: Caller, password: str, totp: str) -> list[str]:
    """Ten new recovery codes; the old ones stop working.

    Raises: Invalid for a wrong password or code; TotpState when two-factor is off; TooManyAttempts.
    """
    await prove_password(caller, password)
    codes = new_recovery_codes()
    async with _proven(caller, totp, None) as (uow, user):
        await uow.fetch(
            "UPDATE tenants.users SET recovery_codes = $2, updated_at = $3 WHERE id = $1",
            user.id,
            [hash_recovery_code(code) for code in codes],
            uow.now,
        )
        uow.record_audit("member", caller.person.member_id, "recovery_codes_renewed")
    return codes


@asynccontextmanager
async def _proven(
    caller: Caller, totp: str | None, recovery_code: str | None
) -> AsyncIterator[tuple[UnitOfWork, User]]:
    """A transaction with the locked user, who showed a code. Tries are counted, whatever becomes of them."""
    limits = attempts.for_password(f"totp:{caller.person.user_id}", caller.ip)
    await _count(caller, limits)
    async with caller.transaction() as uow:
        user = await _locked(uow, caller)
        if user.totp_confirmed_at is None:
            raise TotpState("Two-factor sign-in is off.")
        if not await use_code(uow, user, totp=totp, recovery_code=recovery_code):
            raise Invalid.at("/totp", "wrong_code", "This is not a code that works now.")
        await attempts.COUNTERS.succeeded(uow.connection, limits)
        yield uow, user


async def _count(caller: Caller, limits: Sequence[Allowance]) -> None:
    async with caller.transaction() as uow:
        refusal = await attempts.COUNTERS.count(uow.connection, limits, uow.now)
    if refusal is not None:
        raise refusal


async def _locked(uow: UnitOfWork, caller: Caller) -> User:
    user = await find_user(uow, user_id=caller.person.user_id, lock=True)
    if user is None:
        raise TotpState
    return user


def _tell(uow: UnitOfWork, user: User, *, on: bool) -> None:
    uow.record_audit("member", uow.actor.id, "two_factor_on" if on else "two_factor_off")
    mail_templates.send_totp_changed(uow, to=user.email, name=user.name, locale=user.locale, on=on)
