"""A company signs up: tenant, owner, roles and a first team in one transaction, and the owner is signed in."""

from __future__ import annotations

from uuid import UUID

import asyncpg

from app.kernel.uow import UnitOfWork
from app.tenants import mail_templates
from app.tenants.auth import attempts, email_tokens
from app.tenants.auth.control import Caller
from app.tenants.auth.email_tokens import Purpose
from app.tenants.auth.sessions import Membership, SignedIn, memberships_of, open_session
from app.tenants.auth.sign_in import Proof, User, check_password, find_user, use_code
from app.tenants.auth.weak import refuse_weak
from app.tenants.directory import NewTenant, found_tenant, insert_user
from app.tenants.interface import EmailInUse


async def sign_up(caller: Caller, new: NewTenant, *, name: str, email: str, proof: Proof) -> SignedIn:
    """Make a company for a new person, or another company for somebody who proves to be one we know.

    The same `sign_up_key` again answers with a session in the company that it made.
    Raises: Invalid for a weak password; EmailInUse when the address is known and the proof is not good;
    TooManyAttempts.
    """
    await _count_sign_up(caller)
    user, verdict = await check_password(caller, proof.email_key, proof.password)
    if user is not None and not verdict.ok:
        raise EmailInUse
    password_hash = None
    if user is None:
        refuse_weak(proof.password, personal=[email, name])
        password_hash = await caller.identity.passwords.hash(proof.password)
    try:
        async with caller.transaction() as uow:
            await attempts.COUNTERS.succeeded(
                uow.connection, attempts.for_password(proof.email_key, caller.ip)
            )
            return await _found(uow, caller, new, user, password_hash, name=name, email=email, proof=proof)
    except (asyncpg.UniqueViolationError, _Overtaken):
        if new.sign_up_key is None:
            raise EmailInUse from None
    # The same request ran beside us and won: now the person is known and the company made.
    return await sign_up(caller, new, name=name, email=email, proof=proof)


class _Overtaken(Exception):
    """Somebody else signed up with this address between our look and our insert."""


async def _found(
    uow: UnitOfWork,
    caller: Caller,
    new: NewTenant,
    user: User | None,
    password_hash: str | None,
    *,
    name: str,
    email: str,
    proof: Proof,
) -> SignedIn:
    if user is None:
        try:
            user_id = await insert_user(
                uow,
                email=email,
                email_key=proof.email_key,
                name=name,
                locale=new.locale,
                password_hash=password_hash,
                verified=False,
            )
        except EmailInUse:
            raise _Overtaken from None
    else:
        user_id = user.id
        known = await find_user(uow, user_id=user_id, lock=True)
        if known is None or not await _second_factor(uow, known, proof):
            raise EmailInUse
        again = await _made_before(uow, new, user_id)
        if again is not None:
            return await open_session(uow, caller, again, device=None)
    made = await found_tenant(uow, new, user_id=user_id, name=name, email=email, email_key=proof.email_key)
    membership = Membership(made.profile, made.owner.id, user_id, name)
    if user is None or user.email_verified_at is None:
        token = await email_tokens.issue(uow, Purpose.VERIFICATION, user_id=user_id)
        mail_templates.send_verification(uow, to=email, name=name, locale=new.locale, token=token)
    return await open_session(uow, caller, membership, device=None, action="signed_up")


async def _second_factor(uow: UnitOfWork, user: User, proof: Proof) -> bool:
    if user.totp_confirmed_at is None:
        return True
    return await use_code(uow, user, totp=proof.totp, recovery_code=proof.recovery_code)


async def _made_before(uow: UnitOfWork, new: NewTenant, user_id: UUID) -> Membership | None:
    """The company that the same request made earlier."""
    if new.sign_up_key is None:
        return None
    row = await uow.fetchrow("SELECT id FROM tenants.tenants WHERE sign_up_key = $1", new.sign_up_key)
    found = await memberships_of(uow, user_id) if row else []
    return next((membership for membership in found if row and membership.tenant.id == row["id"]), None)


async def _count_sign_up(caller: Caller) -> None:
    """Limit companies per address where strangers come from the internet."""
    if not caller.kernel.settings.in_production:
        return
    async with caller.transaction() as uow:
        refusal = await attempts.COUNTERS.count(uow.connection, attempts.for_sign_up(caller.ip), uow.now)
    if refusal is not None:
        raise refusal
