"""Passwords forgotten, reset and changed; addresses confirmed."""

from __future__ import annotations

import asyncio
import time
from typing import Final
from uuid import UUID

from app.kernel.errors import Invalid
from app.kernel.uow import UnitOfWork
from app.tenants import mail_templates
from app.tenants.auth import attempts, email_tokens
from app.tenants.auth.control import Caller, member_of
from app.tenants.auth.email_tokens import Purpose
from app.tenants.auth.sessions import end_sessions_everywhere, memberships_of
from app.tenants.auth.sign_in import User, check_password, find_user
from app.tenants.auth.weak import refuse_weak
from app.tenants.interface import LinkUsed

_MAIL_SECONDS: Final = 0.15  # how long asking for a mail takes, whether there is somebody to write to or not


async def forgot_password(caller: Caller, email_key: str) -> None:
    """Mail a link to choose a new password, if there is such a person; nobody can tell from the answer.

    Raises: TooManyAttempts, for known and unknown addresses alike.
    """
    ready = time.monotonic() + _MAIL_SECONDS
    async with caller.transaction() as uow:
        refusal = await attempts.COUNTERS.count(
            uow.connection, attempts.for_mail("reset", email_key, caller.ip), uow.now
        )
        user = await find_user(uow, email_key=email_key)
        if user is not None and refusal is None and await _enter_any(uow, user):
            token = await email_tokens.issue(uow, Purpose.PASSWORD_RESET, user_id=user.id)
            mail_templates.send_password_reset(
                uow, to=user.email, name=user.name, locale=user.locale, token=token
            )
    if refusal is not None:
        raise refusal
    await asyncio.sleep(max(0.0, ready - time.monotonic()))


async def reset_password(caller: Caller, token: str, password: str) -> None:
    """Choose a new password by the mailed link; ends every session and confirms the address.

    Two-factor sign-in stays as it was, unless nobody had confirmed the address before: then whoever signed up with
    it may have been somebody else, and their second factor would lock the address's owner out.
    Raises: LinkUsed; Invalid for a weak password (the link stays good); TooManyAttempts.
    """
    await _count_token(caller)
    async with caller.transaction() as uow:
        user = await _user_of(uow, await email_tokens.peek(uow, Purpose.PASSWORD_RESET, token))
    refuse_weak(password, personal=[user.email, user.name])
    password_hash = await caller.identity.passwords.hash(password)
    async with caller.transaction() as uow:
        await email_tokens.use(uow, Purpose.PASSWORD_RESET, token)
        await _forget_unproven_factor(uow, user.id)
        await _set_password(uow, user.id, password_hash, verified=True)
        await end_sessions_everywhere(uow, user.id, "password reset")
        if await _enter_any(uow, user):
            _audit_person(uow, "password_reset")
            mail_templates.send_password_changed(uow, to=user.email, name=user.name, locale=user.locale)


async def change_password(caller: Caller, current: str, new: str) -> None:
    """Change the password of the one who is signed in; ends all other sessions, in every company.

    Raises: Invalid for a wrong or a weak password; TooManyAttempts.
    """
    person = caller.person
    user = await prove_password(caller, current, pointer="/current_password")
    refuse_weak(new, personal=[user.email, user.name], pointer="/new_password")
    password_hash = await caller.identity.passwords.hash(new)
    async with caller.transaction() as uow:
        await _set_password(uow, user.id, password_hash, verified=False)
        await end_sessions_everywhere(uow, user.id, "password changed", but=person.session_id)
        _audit_person(uow, "password_changed")
        mail_templates.send_password_changed(uow, to=user.email, name=user.name, locale=user.locale)


async def prove_password(caller: Caller, password: str, *, pointer: str = "/password") -> User:
    """Have the signed-in person show their password again before something grave.

    Raises: Invalid at `pointer` if it is wrong; TooManyAttempts.
    """
    async with caller.transaction() as uow:
        email_key = await uow.connection.fetchval(
            "SELECT email_key FROM tenants.users WHERE id = $1", caller.person.user_id
        )
    user, verdict = await check_password(caller, email_key, password)
    if user is None or not verdict.ok:
        raise Invalid.at(pointer, "wrong_password", "This is not your password.")
    async with caller.transaction() as uow:
        await attempts.COUNTERS.succeeded(uow.connection, attempts.for_password(email_key, caller.ip))
    return user


async def verify_email(caller: Caller, token: str) -> None:
    """Confirm an address by the mailed link. Raises: LinkUsed."""
    await _count_token(caller)
    async with caller.transaction() as uow:
        user = await _user_of(uow, await email_tokens.use(uow, Purpose.VERIFICATION, token))
        await uow.fetch(
            "UPDATE tenants.users SET email_verified_at = coalesce(email_verified_at, $2), updated_at = $2"
            " WHERE id = $1",
            user.id,
            uow.now,
        )
        if await _enter_any(uow, user):
            _audit_person(uow, "email_verified")


async def resend_verification(caller: Caller) -> None:
    """Mail the link again, unless the address is confirmed already. Raises: TooManyAttempts."""
    person = caller.person
    async with caller.transaction() as uow:
        limits = attempts.for_mail("verification", str(person.user_id), caller.ip)
        refusal = await attempts.COUNTERS.count(uow.connection, limits, uow.now)
        user = await find_user(uow, user_id=person.user_id)
        if refusal is None and user is not None and user.email_verified_at is None:
            token = await email_tokens.issue(uow, Purpose.VERIFICATION, user_id=user.id)
            mail_templates.send_verification(
                uow, to=user.email, name=user.name, locale=user.locale, token=token
            )
    if refusal is not None:
        raise refusal


async def _user_of(uow: UnitOfWork, token: email_tokens.EmailToken) -> User:
    user = await find_user(uow, user_id=token.user_id)
    if user is None:
        raise LinkUsed
    return user


async def _count_token(caller: Caller) -> None:
    async with caller.transaction() as uow:
        refusal = await attempts.COUNTERS.count(uow.connection, attempts.for_token(caller.ip), uow.now)
    if refusal is not None:
        raise refusal


async def _forget_unproven_factor(uow: UnitOfWork, user_id: UUID) -> None:
    await uow.fetch(
        "UPDATE tenants.users SET totp_secret = NULL, totp_confirmed_at = NULL, totp_last_step = NULL,"
        " recovery_codes = '{}' WHERE id = $1 AND email_verified_at IS NULL",
        user_id,
    )


async def _set_password(uow: UnitOfWork, user_id: UUID, password_hash: str, *, verified: bool) -> None:
    await uow.fetch(
        "UPDATE tenants.users SET password_hash = $2, password_changed_at = $3, updated_at = $3,"
        " email_verified_at = CASE WHEN $4 THEN coalesce(email_verified_at, $3) ELSE email_verified_at END"
        " WHERE id = $1",
        user_id,
        password_hash,
        uow.now,
        verified,
    )


async def _enter_any(uow: UnitOfWork, user: User) -> bool:
    """Bind the transaction to one of the person's companies, which then audits and mails; False if none is left."""
    memberships = await memberships_of(uow, user.id)
    if memberships:
        first = memberships[0]
        await uow.enter(member_of(first.tenant, first.member_id, first.name, user.id))
    return bool(memberships)


def _audit_person(uow: UnitOfWork, action: str) -> None:
    uow.record_audit("member", uow.actor.id, action)
