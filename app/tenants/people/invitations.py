"""Invitations: asking somebody to join, and their joining."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import asyncpg

from app.kernel.access import TenantProfile
from app.kernel.contact import normalise_email
from app.kernel.errors import require_version
from app.kernel.ids import new_id
from app.kernel.log_pages import BY_ID, Slice, select_page
from app.kernel.people import People
from app.kernel.uow import UnitOfWork
from app.tenants import mail_templates
from app.tenants.auth import attempts, email_tokens
from app.tenants.auth.actors import PROFILE_COLUMNS, profile_of
from app.tenants.auth.control import Caller, member_of
from app.tenants.auth.email_tokens import LIFETIMES, Purpose
from app.tenants.auth.sessions import OPEN_FOR_SIGN_IN, Membership, SignedIn, open_session
from app.tenants.auth.sign_in import Proof, User, check_password, find_user, use_code
from app.tenants.auth.weak import refuse_weak
from app.tenants.billing.entitlements import EntitlementsOfTenant
from app.tenants.directory import insert_member, insert_user
from app.tenants.interface import (
    EmailInUse,
    InvalidCredentials,
    InvitationPending,
    LinkUsed,
    MemberExists,
    MemberInvited,
    MemberJoined,
)
from app.tenants.models import Invitation, InvitationStatus, Member
from app.tenants.people.roles import Roles

OBJECT = "invitation"
DEFAULT_ROLE = "salesperson"


class Invitations:
    """The invitations of the tenant at hand, in control transactions where mailed tokens are made."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow

    async def create(
        self, *, invited_by: UUID, email: str, name: str, role_ids: list[UUID] | None, team_ids: list[UUID]
    ) -> Invitation:
        """Invite somebody by mail.

        Raises: MemberExists; InvitationPending; Invalid; GrantTooWide and Forbidden beyond one's own rights;
        PlanLimitReached when no seat is left beside those that are taken and promised.
        """
        uow = self.uow
        email_key = normalise_email(email)
        roles = Roles(uow)
        if role_ids is None:
            role_ids = [(await roles.by_key(DEFAULT_ROLE)).id]
        role_ids = [*await roles.to_give(role_ids)]
        team_ids = list(dict.fromkeys(team_ids))
        await uow.of(People).require_teams(team_ids, pointer="/team_ids")
        if await uow.first(uow.select(Member).where(Member.email_key == email_key)):
            raise MemberExists
        pending = uow.select(Invitation).where(Invitation.email_key == email_key)
        if await uow.first(pending.where(Invitation.status == InvitationStatus.PENDING.value)):
            raise InvitationPending
        try:
            row = await uow.insert(
                Invitation,
                audit=OBJECT,
                id=new_id(),
                email=email,
                email_key=email_key,
                name=name,
                role_ids=role_ids,
                team_ids=team_ids,
                status=InvitationStatus.PENDING.value,
                invited_by=invited_by,
                member_id=None,
                expires_at=uow.now + LIFETIMES[Purpose.INVITATION],
            )
        except asyncpg.UniqueViolationError:
            raise InvitationPending from None
        await EntitlementsOfTenant(uow).keep_seats(role_ids, invited=True)
        uow.publish(MemberInvited(id=row.id, email=email, invited_by=invited_by))
        await self._send(row)
        return row

    async def resend(self, id: UUID, *, expected_version: int) -> Invitation:
        """A new link for another week; the old one stops working. Raises: NotFound; StaleVersion; LinkUsed."""
        row = await self._pending(id, expected_version)
        row = await self.uow.update(
            row, audit=OBJECT, action="resent", expires_at=self.uow.now + LIFETIMES[Purpose.INVITATION]
        )
        await self._send(row)
        return row

    async def revoke(self, id: UUID, *, expected_version: int) -> Invitation:
        """Withdraw an invitation; its link stops working. Raises: NotFound; StaleVersion; LinkUsed."""
        row = await self._pending(id, expected_version)
        await self.uow.fetch(
            "DELETE FROM tenants.email_tokens WHERE purpose = $1 AND invitation_id = $2",
            Purpose.INVITATION.value,
            id,
        )
        return await self.uow.update(
            row, audit=OBJECT, action="revoked", status=InvitationStatus.REVOKED.value
        )

    async def list(self, *, status: str | None, limit: int, cursor: str | None) -> Slice[Invitation]:
        """A page of invitations, oldest first. Raises: InvalidCursor."""
        statement = self.uow.select(Invitation)
        if status is not None:
            statement = statement.where(Invitation.status == status)
        name = f"invitations:{status}"
        return await select_page(self.uow, statement, BY_ID, name=name, limit=limit, cursor=cursor)

    async def get(self, id: UUID) -> Invitation:
        """Raises: NotFound."""
        return await self.uow.get(Invitation, id)

    async def _pending(self, id: UUID, version: int) -> Invitation:
        row = await self.uow.get(Invitation, id, lock="update")
        require_version(row.version, expected=version)
        if row.status != InvitationStatus.PENDING:
            raise LinkUsed
        return row

    async def _send(self, row: Invitation) -> None:
        uow = self.uow
        token = await email_tokens.issue(
            uow, Purpose.INVITATION, tenant_id=uow.tenant_id, invitation_id=row.id
        )
        profile = uow.actor.tenant
        mail_templates.send_invitation(
            uow,
            to=row.email,
            name=row.name,
            locale=profile.locale,
            token=token,
            inviter=uow.actor.name,
            company=profile.name,
        )


@dataclass(frozen=True, slots=True)
class Preview:
    """What an invited person is shown."""

    invitation: Invitation
    company: TenantProfile
    inviter: str
    user: User | None


async def preview(uow: UnitOfWork, token: str) -> Preview:
    """What a mailed link invites to. Raises: LinkUsed. The transaction is bound to the company from here on."""
    found = await email_tokens.peek(uow, Purpose.INVITATION, token)
    row = await uow.fetchrow(
        f"SELECT {PROFILE_COLUMNS} FROM tenants.tenants t WHERE t.tenant_id = $1 AND t.id = $1"
        " AND t.status = ANY($2::text[])",
        found.tenant_id,
        list(OPEN_FOR_SIGN_IN),
    )
    if row is None or found.invitation_id is None:
        raise LinkUsed
    profile = profile_of(row)
    await uow.enter(member_of(profile, found.invitation_id, "invited person", found.invitation_id))
    invitation = await uow.find(Invitation, found.invitation_id, lock="update")
    if invitation is None or invitation.status != InvitationStatus.PENDING:
        raise LinkUsed
    inviter = await uow.find(Member, invitation.invited_by)
    user = await find_user(uow, email_key=invitation.email_key)
    return Preview(invitation, profile, inviter.name if inviter else "", user)


async def accept(
    caller: Caller,
    token: str,
    *,
    password: str,
    name: str | None,
    totp: str | None,
    recovery_code: str | None,
) -> SignedIn:
    """Join a company: as a new person with a new password, or as somebody known with theirs.

    Raises: LinkUsed; InvalidCredentials for somebody known; Invalid for a weak password; TooManyAttempts;
    PlanLimitReached when no seat is left.
    """
    async with caller.transaction() as uow:
        refusal = await attempts.COUNTERS.count(uow.connection, attempts.for_token(caller.ip), uow.now)
    if refusal is not None:
        raise refusal
    async with caller.transaction() as uow:
        invited = await preview(uow, token)
    email, email_key = invited.invitation.email, invited.invitation.email_key
    proof = Proof(email_key, password, totp, recovery_code)
    password_hash = None
    if invited.user is None:
        if name is None:
            name = invited.invitation.name
        refuse_weak(password, personal=[email, name])
        password_hash = await caller.identity.passwords.hash(password)
    else:
        user, verdict = await check_password(caller, email_key, password)
        if user is None or not verdict.ok:
            raise InvalidCredentials
    async with caller.transaction() as uow:
        return await _join(uow, caller, token, proof, password_hash, name)


async def _join(
    uow: UnitOfWork, caller: Caller, token: str, proof: Proof, password_hash: str | None, name: str | None
) -> SignedIn:
    invited = await preview(uow, token)
    await email_tokens.use(uow, Purpose.INVITATION, token)
    invitation, user = invited.invitation, invited.user
    user_id = await _user_of(uow, caller, invited, proof, password_hash, name)
    member_name = name or (user.name if user else invitation.name)
    member_id = new_id()
    await uow.enter(member_of(invited.company, member_id, member_name, user_id))
    member = await insert_member(
        uow,
        member_id,
        user_id=user_id,
        email=invitation.email,
        email_key=invitation.email_key,
        name=member_name,
        role_ids=invitation.role_ids,
        team_ids=invitation.team_ids,
    )
    await EntitlementsOfTenant(uow).keep_seats(invitation.role_ids)
    await uow.update(
        invitation,
        audit=OBJECT,
        action="accepted",
        status=InvitationStatus.ACCEPTED.value,
        member_id=member.id,
    )
    uow.publish(MemberJoined(id=member.id, name=member.name, email=member.email))
    membership = Membership(invited.company, member.id, user_id, member.name)
    return await open_session(uow, caller, membership, device=None, action="joined")


async def _user_of(
    uow: UnitOfWork,
    caller: Caller,
    invited: Preview,
    proof: Proof,
    password_hash: str | None,
    name: str | None,
) -> UUID:
    """The user who was invited, made or proven. Raises: LinkUsed; InvalidCredentials; as `_prove`."""
    invitation = invited.invitation
    if invited.user is not None:
        if password_hash is not None:  # signed up elsewhere since we looked; now their password counts
            raise InvalidCredentials
        return await _prove(uow, caller, invited.user, proof)
    if password_hash is None:
        raise LinkUsed
    try:
        return await insert_user(
            uow,
            email=invitation.email,
            email_key=invitation.email_key,
            name=name or invitation.name,
            locale=invited.company.locale,
            password_hash=password_hash,
            verified=True,
        )
    except EmailInUse:
        raise InvalidCredentials from None


async def _prove(uow: UnitOfWork, caller: Caller, user: User, proof: Proof) -> UUID:
    """The known person, whose second factor is asked for too, and whose mailbox is now proven."""
    known = await find_user(uow, user_id=user.id, lock=True)
    if known is None:
        raise InvalidCredentials
    if known.totp_confirmed_at is not None and not await use_code(
        uow, known, totp=proof.totp, recovery_code=proof.recovery_code
    ):
        raise InvalidCredentials
    await attempts.COUNTERS.succeeded(uow.connection, attempts.for_password(proof.email_key, caller.ip))
    await uow.fetch(
        "UPDATE tenants.users SET email_verified_at = coalesce(email_verified_at, $2) WHERE id = $1",
        user.id,
        uow.now,
    )
    return user.id
