"""Owners and other members in imported rows: named by e-mail or id, checked once per member and import."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from app.kernel.access import Actor
from app.kernel.errors import Problem
from app.kernel.imports.rules import ImportRow
from app.kernel.people import People
from app.kernel.uow import UnitOfWork


class Owners:
    """Who the owner columns name; what was found is kept for the chunks to come."""

    def __init__(self) -> None:
        self._by_email: dict[str, UUID | None] = {}
        self._teams: dict[UUID | None, UUID | None] = {}
        self._unknown: dict[UUID, str] = {}

    async def resolve(self, uow: UnitOfWork, object_name: str, rows: Sequence[ImportRow]) -> None:
        """Turn owner texts into `owner_id`; refuse rows whose owner is unknown or not the actor's to choose."""
        await self._look_up(uow, {row.extras["owner_id"] for row in rows if "owner_id" in row.extras})
        for row in rows:
            text = row.extras.pop("owner_id", None)
            if text is not None:
                found = self._by_email.get(text.strip().casefold()) or _id_of(text)
                if found is None:
                    row.refuse(
                        "owner_id", "unknown_member", f"{text!r} is no active member; give an e-mail address."
                    )
                    continue
                row.values["owner_id"] = found
                row.given = row.given | {"owner_id"}
        await self._teams_of(uow, rows)
        may_assign = uow.actor.may(f"{object_name}:assign")
        for row in rows:
            self._check(uow.actor, row, may_assign=may_assign)

    async def resolve_custom(self, uow: UnitOfWork, keys: Sequence[str], rows: Sequence[ImportRow]) -> None:
        """Turn the e-mail addresses of members in custom fields into ids; whether they fit the field says."""
        named = [(row.custom, key) for row in rows if row.custom for key in keys if key in row.custom]
        named = [(custom, key) for custom, key in named if isinstance(custom[key], str)]
        await self._look_up(uow, {custom[key] for custom, key in named})
        for custom, key in named:
            found = self._by_email.get(custom[key].strip().casefold())
            if found is not None:
                custom[key] = str(found)

    async def _look_up(self, uow: UnitOfWork, texts: Collection[str]) -> None:
        emails = {text.strip().casefold() for text in texts if "@" in text} - self._by_email.keys()
        if emails:
            known = {e.casefold(): i for e, i in (await uow.of(People).members_by_email(emails)).items()}
            self._by_email.update({email: known.get(email) for email in emails})

    async def _teams_of(self, uow: UnitOfWork, rows: Sequence[ImportRow]) -> None:
        wanted = {row.values.get("owner_id") for row in rows} - {None, uow.actor.member_id}
        wanted -= self._teams.keys() | self._unknown.keys()
        for owner in wanted:
            if owner is None:
                continue
            try:
                found = await uow.of(People).require_members([owner], pointer="/owner_id")
            except Problem as problem:
                self._unknown[owner] = problem.detail
            else:
                self._teams[owner] = found[owner]

    def _check(self, actor: Actor, row: ImportRow, *, may_assign: bool) -> None:
        owner, team = row.values.get("owner_id"), row.values.get("team_id")
        if team is not None and not may_assign and team not in actor.team_ids:
            row.refuse("team_id", "forbidden", "You may import only for your own teams.")
        if owner is None or owner is actor.member_id or owner == actor.member_id:
            return
        if owner in self._unknown:
            row.refuse("owner_id", "unknown_member", self._unknown[owner])
        elif not may_assign:
            row.refuse("owner_id", "forbidden", "You may import only for yourself.")

    def complete(self, row: ImportRow, actor: Actor) -> None:
        """Owner and team of a new record, where the file leaves them open."""
        owner = row.values.get("owner_id")
        if owner is None:
            owner = row.values["owner_id"] = actor.member_id
        if row.values.get("team_id") is None:
            others = owner is not None and owner is not actor.member_id and owner != actor.member_id
            row.values["team_id"] = self._teams.get(owner) if others else actor.home_team_id

    def complete_change(self, row: ImportRow, actor: Actor, object_name: str) -> None:
        """A new owner brings their team along, unless the file names another; it takes leave to assign."""
        owner, team = row.values.get("owner_id"), row.values.get("team_id", row.existing.team_id)
        if team != row.existing.team_id and not actor.may(f"{object_name}:assign"):
            row.refuse("team_id", "forbidden", "You may not give records to another team.")
        if "owner_id" not in row.values or owner == row.existing.owner_id:
            return
        if not actor.may(f"{object_name}:assign"):
            row.refuse("owner_id", "forbidden", "You may not give records to another owner.")
        elif row.values.get("team_id") is None and owner is not None:
            row.values["team_id"] = actor.home_team_id if owner == actor.member_id else self._teams.get(owner)


def _id_of(text: str) -> UUID | None:
    """The id that an owner column holds, if it is one."""
    try:
        return UUID(text.strip())
    except ValueError:
        return None
