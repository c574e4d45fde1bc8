"""Who is invited and mentioned, by name and address, and what they may see because of it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, any_, literal

from app.kernel.contact import normalise_email
from app.kernel.errors import Invalid
from app.kernel.people import People
from app.kernel.sharing import Share
from app.kernel.uow import UnitOfWork
from app.modules.activities.interface import PersonDirectory, PersonRef
from app.modules.activities.models import CalendarSettings
from app.modules.activities.schemas import AttendeeInput

_MENTION = re.compile(r"@\[([0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})\]", re.IGNORECASE)
OBJECT = "activity"


@dataclass(frozen=True, slots=True)
class Invitee:
    """Somebody to invite. `key` is the same for the same one."""

    name: str
    email: str | None
    member_id: UUID | None = None
    object: str | None = None
    record_id: UUID | None = None

    @property
    def key(self) -> tuple[str, str]:
        return key_of(self)


def key_of(attendee: Any) -> tuple[str, str]:
    """What makes an attendee the same one: the member, the record, or the address."""
    if attendee.member_id is not None:
        return ("member", str(attendee.member_id))
    if attendee.record_id is not None:
        return (attendee.object, str(attendee.record_id))
    return ("email", attendee.email.lower())


def mentioned_in(body: str | None) -> list[UUID]:
    """The members that a text mentions as `@[member id]`, in order."""
    return list(dict.fromkeys(UUID(match) for match in _MENTION.findall(body or "")))


async def resolve(uow: UnitOfWork, wanted: Sequence[AttendeeInput]) -> list[Invitee]:
    """Names and addresses of those to invite, each once. Raises `Invalid` at the place of an unknown one."""
    members = [one.member_id for one in wanted if one.member_id is not None]
    await uow.of(People).require_members(members, pointer="/attendees")
    addresses = await uow.of(People).addresses(members)
    people = await _people(uow, wanted)
    found: dict[tuple[str, str], Invitee] = {}
    for number, one in enumerate(wanted):
        if one.member_id is not None:
            name, email = addresses[one.member_id]
            invitee = Invitee(name, email, member_id=one.member_id)
        elif one.record_id is not None and one.object is not None:
            person = people.get((one.object, one.record_id))
            if person is None:
                what = one.object.replace("_", " ")
                raise Invalid.at(
                    f"/attendees/{number}/record_id",
                    "unknown_reference",
                    f"There is no {what} with this id to invite.",
                )
            invitee = Invitee(person.name, person.email, object=one.object, record_id=one.record_id)
        else:
            email = normalise_email(one.email or "")
            invitee = Invitee(one.name or email, one.email)
        found.setdefault(invitee.key, invitee)
    return list(found.values())


async def _people(uow: UnitOfWork, wanted: Iterable[AttendeeInput]) -> Mapping[tuple[str, UUID], PersonRef]:
    asked: dict[str, list[UUID]] = {}
    for one in wanted:
        if one.object is not None and one.record_id is not None:
            asked.setdefault(one.object, []).append(one.record_id)
    found: dict[tuple[str, UUID], PersonRef] = {}
    for directory in uow.ports(PersonDirectory):
        ids = asked.get(directory.object)
        if ids:
            people = await directory.people(ids)
            found |= {(directory.object, id): person for id, person in people.items()}
    return found


async def let_see(
    uow: UnitOfWork, activity_id: UUID, owner_id: UUID | None, members: Collection[UUID]
) -> None:
    """Whoever is invited or mentioned may read the activity: it is shared with them, once."""
    wanted = {id for id in members if id != owner_id}
    if not wanted:
        return
    known = {share.member_id for share in await _shares(uow, activity_id, wanted)}
    await uow.insert_many(
        Share,
        [
            {
                "object": OBJECT,
                "record_id": activity_id,
                "member_id": id,
                "team_id": None,
                "access": "read",
                "created_at": uow.now,
                "created_by": uow.actor.member_id,
            }
            for id in sorted(wanted - known)
        ],
    )


async def let_see_no_more(uow: UnitOfWork, activity_id: UUID, members: Collection[UUID]) -> None:
    """End what `let_see` gave; a share to write stays."""
    if members:
        for share in await _shares(uow, activity_id, members):
            if share.access == "read":
                await uow.delete(share)


async def _shares(uow: UnitOfWork, activity_id: UUID, members: Collection[UUID]) -> list[Share]:
    statement = uow.select(Share).where(
        Share.object == OBJECT,
        Share.record_id == activity_id,
        Share.member_id == any_(literal(list(members), ARRAY(Uuid()))),
    )
    return await uow.all(statement)


async def zone_names(uow: UnitOfWork, member_ids: Collection[UUID]) -> Mapping[UUID, str]:
    """The time zone of each member: their own choice, or the company's."""
    wanted = set(member_ids)
    rows = []
    if wanted:
        statement = uow.select(CalendarSettings).where(
            CalendarSettings.id == any_(literal(list(wanted), ARRAY(Uuid())))
        )
        rows = await uow.all(statement)
    own = {row.id: row.time_zone for row in rows if row.time_zone}
    return {id: own.get(id) or uow.actor.tenant.time_zone for id in wanted}


async def my_zone(uow: UnitOfWork) -> str:
    """The time zone of whoever acts."""
    member_id = uow.actor.member_id
    if member_id is None:
        return uow.actor.tenant.time_zone
    return (await zone_names(uow, [member_id]))[member_id]
