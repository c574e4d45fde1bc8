"""The team that works on an opportunity, and the shares by which its members are credited.

Whoever is in the team sees the opportunity, by the kernel's sharing. Revenue shares are none or add up to exactly
100: who changes them holds the opportunity meanwhile, and a share that is left behind goes to the owner, or from
the owner to whoever has most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from app.kernel import sharing
from app.kernel.decimals import decimal_text
from app.kernel.errors import DuplicateValue, FieldError, Invalid, NotFound, require_version
from app.kernel.people import People
from app.kernel.schemas import ShareInput
from app.kernel.uow import UnitOfWork
from app.modules.opportunities.models import Opportunity
from app.modules.opportunities.models.selling import Split, SplitKind, TeamAccess, TeamMember
from app.modules.opportunities.schemas.selling import (
    OpportunityTeam,
    SplitRead,
    SplitsInput,
    TeamMemberInput,
    TeamMemberRead,
    TeamMemberUpdate,
)
from app.modules.opportunities.services.opportunities import OpportunityService

AUDITED_AS = "opportunity_team_member"


class TeamService:
    """The team of one opportunity."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._opportunities = OpportunityService(uow)

    async def all(self, opportunity_id: UUID) -> OpportunityTeam:
        """Raises `NotFound` for an opportunity that is not visible."""
        return await self._read(await self._opportunities.get(opportunity_id))

    async def add(self, opportunity_id: UUID, body: TeamMemberInput) -> TeamMemberRead:
        """Take a member in; from now on they see the opportunity, and change it with access `write`.

        Raises: NotFound; Forbidden for who may not share it so far; Invalid for no active member, DuplicateValue
        for one who is in it.
        """
        row = await self._held(opportunity_id)
        if body.member_id == row.owner_id:
            raise Invalid.at("/member_id", "is_owner", "The owner works on it already.")
        if body.member_id in row.team_member_ids:
            detail = "This member is in the team."
            raise DuplicateValue(detail, errors=[FieldError("/member_id", "duplicate_value", detail)])
        await self._uow.of(People).require_members([body.member_id], pointer="/member_id")
        await self._share(opportunity_id, body.member_id, body.access)
        made = await self._uow.insert(
            TeamMember,
            audit=AUDITED_AS,
            opportunity_id=opportunity_id,
            member_id=body.member_id,
            role=body.role,
            access=body.access.value,
        )
        await self._opportunities.write(
            row, {"team_member_ids": [*row.team_member_ids, body.member_id]}, action="team_changed"
        )
        return (await self._members([made]))[0]

    async def update(
        self, opportunity_id: UUID, id: UUID, body: TeamMemberUpdate, *, expected_version: int
    ) -> TeamMemberRead:
        """Another role or access. Raises `NotFound`, `Forbidden`, `StaleVersion`."""
        await self._held(opportunity_id)
        member = await self._current(opportunity_id, id, expected_version)
        if body.access is not None and body.access != member.access:
            await self._share(opportunity_id, member.member_id, body.access)
        changes: dict[str, Any] = {name: getattr(body, name) for name in body.model_fields_set}
        after = await self._uow.update(member, audit=AUDITED_AS, **changes)
        return (await self._members([after]))[0]

    async def remove(self, opportunity_id: UUID, id: UUID, *, expected_version: int) -> None:
        """Take a member out; their revenue share passes on. Raises `NotFound`, `Forbidden`, `StaleVersion`."""
        row = await self._held(opportunity_id)
        member = await self._current(opportunity_id, id, expected_version)
        service = self._opportunities
        for share in await sharing.list_shares(service, opportunity_id):
            if share.member_id == member.member_id:
                await sharing.unshare(service, opportunity_id, share.id)
        await self._pass_on(row, member.member_id)
        await self._uow.delete(member, audit=AUDITED_AS)
        left = [one for one in row.team_member_ids if one != member.member_id]
        await service.write(row, {"team_member_ids": left}, action="team_changed")

    async def set_splits(
        self, opportunity_id: UUID, body: SplitsInput, *, expected_version: int
    ) -> tuple[OpportunityTeam, int]:
        """Replace all shares of one kind; the team and the opportunity's next version.

        Raises: NotFound; Forbidden; StaleVersion of the opportunity; Invalid for who is not in the team.
        """
        row = await self._opportunities.locked(opportunity_id, expected_version)
        known = {row.owner_id, *row.team_member_ids}
        errors = [
            FieldError(f"/splits/{place}/member_id", "not_in_team", "This member does not work on it.")
            for place, split in enumerate(body.splits)
            if split.member_id not in known
        ]
        if errors:
            raise Invalid(errors[0].detail, errors=errors)
        before = await self._splits(opportunity_id, body.kind)
        after = {split.member_id: Decimal(split.percent) for split in body.splits}
        version = row.version
        if before != after:
            await self._write(row, body.kind, after)
            version = await self._opportunities.bump(
                row, f"{body.kind}_splits", _shown(before), _shown(after)
            )
        return await self._read(row), version

    # -- splits --------------------------------------------------------------------------------------------

    async def _pass_on(self, row: Opportunity, leaver: UUID) -> None:
        """The leaver's overlay shares end; their revenue share goes to the owner, or to whoever has most."""
        for kind in SplitKind:
            before = await self._splits(row.id, kind)
            if leaver not in before:
                continue
            after = {member: percent for member, percent in before.items() if member != leaver}
            if kind is SplitKind.REVENUE:
                heir = row.owner_id
                if (heir is None or heir == leaver) and after:
                    heir = max(after, key=lambda member: (after[member], -list(after).index(member)))
                if heir is not None and heir != leaver:
                    after[heir] = after.get(heir, Decimal(0)) + before[leaver]
                else:
                    after = {}
            await self._write(row, kind, after)
            change = [_shown(before), _shown(after)]
            self._uow.record_audit("opportunity", row.id, "splits_passed_on", {f"{kind}_splits": change})

    async def _splits(self, opportunity_id: UUID, kind: SplitKind) -> dict[UUID, Decimal]:
        """Percent by member, in the order in which they were given."""
        statement = self._uow.select(Split).where(Split.opportunity_id == opportunity_id, Split.kind == kind)
        return {split.member_id: split.percent for split in await self._uow.all(statement.order_by(Split.id))}

    async def _write(self, row: Opportunity, kind: SplitKind, splits: Mapping[UUID, Decimal]) -> None:
        await self._uow.fetch(
            "DELETE FROM opportunities.splits WHERE tenant_id = $1 AND opportunity_id = $2 AND kind = $3",
            row.tenant_id,
            row.id,
            kind.value,
        )
        await self._uow.insert_many(
            Split,
            [
                {"opportunity_id": row.id, "member_id": member, "kind": kind.value, "percent": percent}
                for member, percent in splits.items()
            ],
        )

    # -- helpers -------------------------------------------------------------------------------------------

    async def _held(self, opportunity_id: UUID) -> Opportunity:
        """The opportunity, locked: its team and shares change one after the other."""
        return await self._opportunities.get(opportunity_id, action="update", lock="update")

    async def _share(self, opportunity_id: UUID, member_id: UUID, access: TeamAccess) -> None:
        body = ShareInput(member_id=member_id, access=access.value)
        await sharing.share(self._opportunities, opportunity_id, body)

    async def _current(self, opportunity_id: UUID, id: UUID, expected_version: int) -> TeamMember:
        member = await self._uow.get(TeamMember, id)
        if member.opportunity_id != opportunity_id:
            raise NotFound
        require_version(member.version, expected=expected_version)
        return member

    async def _read(self, row: Opportunity) -> OpportunityTeam:
        statement = self._uow.select(TeamMember).where(TeamMember.opportunity_id == row.id)
        members = await self._uow.all(statement.order_by(TeamMember.id))
        shares = {kind: await self._splits(row.id, kind) for kind in SplitKind}
        ids = {one for kind in shares for one in shares[kind]} | {member.member_id for member in members}
        names = await self._uow.of(People).names(ids | ({row.owner_id} if row.owner_id else set()))
        revenue, overlay = (
            [
                SplitRead(member_id=one, member_name=names.get(one), percent=percent)
                for one, percent in shares[kind].items()
            ]
            for kind in (SplitKind.REVENUE, SplitKind.OVERLAY)
        )
        return OpportunityTeam(
            owner_id=row.owner_id,
            owner_name=names.get(row.owner_id) if row.owner_id else None,
            data=[_wire(member, names) for member in members],
            revenue=revenue,
            overlay=overlay,
        )

    async def _members(self, members: Sequence[TeamMember]) -> list[TeamMemberRead]:
        names = await self._uow.of(People).names([member.member_id for member in members])
        return [_wire(member, names) for member in members]


def _wire(member: TeamMember, names: Mapping[UUID, str]) -> TeamMemberRead:
    return TeamMemberRead(
        id=member.id,
        version=member.version,
        member_id=member.member_id,
        member_name=names.get(member.member_id),
        role=member.role,
        access=TeamAccess(member.access),
        created_at=member.created_at,
    )


def _shown(splits: Mapping[UUID, Decimal]) -> dict[str, str]:
    return {str(member): decimal_text(percent) for member, percent in splits.items()}
