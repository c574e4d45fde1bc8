"""Who is invited to an activity, and what they answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Final
from uuid import UUID

from app.kernel.errors import Invalid, NotFound
from app.kernel.notifications import Notice, Notifications
from app.kernel.uow import UnitOfWork
from app.modules.activities.interface import AttendeeResponded, InvitationAnswered, InvitationClosed
from app.modules.activities.models import Activity, ActivityStatus, Attendee, AttendeeResponse
from app.modules.activities.schemas import Answer, AttendeeInput
from app.modules.activities.services.invitations import Invitations
from app.modules.activities.services.people import (
    OBJECT,
    Invitee,
    key_of,
    let_see,
    let_see_no_more,
    resolve,
)
from app.modules.activities.services.planning import TIMED

ANSWERED: Final = "activity.answered"
_ANSWERS: Final = {
    "en": {"accepted": "{who} accepts", "declined": "{who} declines", "tentative": "{who} may come"},
    "zh": {"accepted": "{who}接受了邀请", "declined": "{who}谢绝了邀请", "tentative": "{who}可能参加"},
}


class AttendeeLists:
    """The attendees of activities; the caller has locked the activity and checked that it may be changed."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow
        self.invitations = Invitations(uow)

    async def resolve(self, kind: str, wanted: Sequence[AttendeeInput]) -> list[Invitee]:
        """Those to invite to an activity of a kind. Raises `Invalid`."""
        if wanted and kind not in TIMED:
            raise Invalid.at("/attendees", "not_timed", f"Nobody is invited to a {kind}.")
        return await resolve(self.uow, wanted) if wanted else []

    async def replace(self, row: Activity, wanted: Sequence[AttendeeInput]) -> tuple[int, bool]:
        """Everybody who is invited from now on; how many, and whether that is a change. Raises `Invalid`."""
        there = {key_of(one): one for one in await self.invitations.attendees_of(row.id)}
        invitees = {one.key: one for one in await self.resolve(row.kind, wanted)}
        gone = [one for key, one in there.items() if key not in invitees]
        new = [one for key, one in invitees.items() if key not in there]
        if gone:
            await self._uninvite(row, gone)
        if new:
            await self.invite(row, new)
        if gone or new:
            names = sorted(one.name for one in there.values()), sorted(one.name for one in invitees.values())
            self.uow.record_audit(OBJECT, row.id, "attendees_changed", {"attendees": list(names)})
        return len(invitees), bool(gone or new)

    async def invite(self, row: Activity, invitees: Sequence[Invitee]) -> None:
        """Add attendees and mail them."""
        made = []
        for one in invitees:
            own = one.member_id is not None and one.member_id == row.owner_id
            made.append(
                await self.uow.insert(
                    Attendee,
                    activity_id=row.id,
                    # Whoever calls a meeting comes to it.
                    response=AttendeeResponse.ACCEPTED if own else AttendeeResponse.NEEDS_ACTION,
                    responded_at=self.uow.now if own else None,
                    comment=None,
                    token_hash=None,
                    invited_at=None,
                    **asdict(one),
                )
            )
        await let_see(self.uow, row.id, row.owner_id, [one.member_id for one in made if one.member_id])
        await self.invitations.invite(row, made)

    async def _uninvite(self, row: Activity, gone: Sequence[Attendee]) -> None:
        await self.uow.fetch(
            "DELETE FROM activities.attendees WHERE tenant_id = $1 AND id = ANY($2::uuid[])",
            self.uow.tenant_id,
            [one.id for one in gone],
        )
        members = [one.member_id for one in gone if one.member_id and one.member_id not in row.mentions]
        await let_see_no_more(self.uow, row.id, members)
        await self.invitations.cancel(row, gone)

    async def tell_change(self, row: Activity, *, ask_again: bool) -> None:
        """Tell all attendees of a change; with `ask_again` what they answered counts no more."""
        if ask_again:
            await self.uow.fetch(
                "UPDATE activities.attendees SET response = 'needs_action', responded_at = NULL, comment = NULL"
                " WHERE tenant_id = $1 AND activity_id = $2 AND response <> 'needs_action'"
                " AND member_id IS DISTINCT FROM $3",
                self.uow.tenant_id,
                row.id,
                row.owner_id,
            )
        await self.invitations.invite(row, await self.invitations.attendees_of(row.id), occasion="update")

    async def tell_cancellation(self, row: Activity) -> None:
        """Tell all attendees that there will be no meeting."""
        await self.invitations.cancel(row, await self.invitations.attendees_of(row.id))

    async def copy(self, source: UUID, to: Activity) -> None:
        """The attendees of one activity, with their answers, also for another."""
        await self.uow.fetch(
            "INSERT INTO activities.attendees (tenant_id, id, activity_id, member_id, object, record_id, name, email,"
            " response, responded_at, comment, created_at)"
            " SELECT tenant_id, gen_random_uuid(), $3, member_id, object, record_id, name, email, response,"
            " responded_at, comment, $4 FROM activities.attendees WHERE tenant_id = $1 AND activity_id = $2",
            self.uow.tenant_id,
            source,
            to.id,
            self.uow.now,
        )
        members = [one.member_id for one in await self.invitations.attendees_of(to.id) if one.member_id]
        await let_see(self.uow, to.id, to.owner_id, members)

    # -- answers -------------------------------------------------------------------------------------------

    async def answer(self, row: Activity, answer: Answer) -> Attendee:
        """A member's answer to their invitation. Raises `NotFound` for who is not invited, `InvitationClosed`."""
        mine = await self.uow.first(
            self.uow.select(Attendee).where(
                Attendee.activity_id == row.id, Attendee.member_id == self.uow.actor.member_id
            )
        )
        if mine is None:
            raise NotFound("You are not invited to this.")
        self._require_open(row)
        found = await self.uow.fetchrow(
            "UPDATE activities.attendees SET response = $3, comment = $4, responded_at = $5"
            " WHERE tenant_id = $1 AND id = $2 AND (response <> $3 OR comment IS DISTINCT FROM $4) RETURNING id",
            self.uow.tenant_id,
            mine.id,
            answer.response,
            answer.comment,
            self.uow.now,
        )
        if found is not None:
            await self._answered(row, mine, answer)
        return await self.uow.get(Attendee, mine.id)

    async def by_link(self, token_hash: bytes) -> tuple[Activity, Attendee]:
        """The invitation behind a mailed link. Raises `NotFound`."""
        one = await self.uow.first(self.uow.select(Attendee).where(Attendee.token_hash == token_hash))
        row = await self.uow.find(Activity, one.activity_id) if one is not None else None
        if one is None or row is None:
            raise NotFound
        return row, one

    async def answer_by_link(self, token_hash: bytes, answer: Answer) -> tuple[Activity, Attendee]:
        """The one answer that a link gives. Raises `NotFound`, `InvitationAnswered`, `InvitationClosed`."""
        row, one = await self.by_link(token_hash)
        self._require_open(row)
        found = await self.uow.fetchrow(
            "UPDATE activities.attendees SET response = $3, comment = $4, responded_at = $5"
            " WHERE tenant_id = $1 AND token_hash = $2 AND response = 'needs_action' RETURNING id",
            self.uow.tenant_id,
            token_hash,
            answer.response,
            answer.comment,
            self.uow.now,
        )
        if found is None:
            raise InvitationAnswered
        await self._answered(row, one, answer)
        return row, await self.uow.get(Attendee, one.id)

    def _require_open(self, row: Activity) -> None:
        if row.status == ActivityStatus.CANCELLED or not self.invitations.worth_telling(row):
            raise InvitationClosed

    async def _answered(self, row: Activity, one: Attendee, answer: Answer) -> None:
        self.uow.record_audit(
            OBJECT, row.id, "responded", {"response": [one.response, answer.response]}, reason=one.name
        )
        self.uow.publish(
            AttendeeResponded(
                id=row.id, attendee_id=one.id, member_id=one.member_id, response=answer.response
            )
        )
        if row.owner_id is not None:
            said = _ANSWERS[self.uow.actor.tenant.language][answer.response].format(who=one.name)
            notice = Notice(
                ANSWERED, f"{said}: {row.subject}", body=answer.comment, object=OBJECT, record_id=row.id
            )
            await Notifications(self.uow).tell([row.owner_id], notice)
