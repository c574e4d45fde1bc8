"""Who approves: from what a process says to the active members of this moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from app.kernel.uow import UnitOfWork
from app.modules.automation.interface import ApprovalQuestion
from app.modules.automation.models import StepRule
from app.modules.automation.schemas import ApproverKind
from app.tenants.interface import Colleagues, MemberRef, Members, TeamRef, Teams

Stored = Mapping[str, Any]
"""A step or an approver as it is kept: the JSON of the wire form."""


class Approvers:
    """Finds the approvers of one request's steps: `load` them all, then ask step by step.

    Managers are those of the record's owner; of the requester, where nobody owns it. What is found stays active until
    the transaction ends. A requester who may not approve is nobody's approver.
    """

    def __init__(
        self,
        uow: UnitOfWork,
        question: ApprovalQuestion,
        *,
        requester: UUID | None,
        requester_may_approve: bool,
    ) -> None:
        self._uow = uow
        self._question = question
        self._base = question.owner_id or requester
        self._left_out = None if requester_may_approve else requester
        self._in_role: dict[str, list[UUID]] = {}
        self._chain: list[MemberRef] = []
        self._team_manager: UUID | None = None
        self._active: frozenset[UUID] = frozenset()

    async def load(self, steps: Sequence[Stored]) -> None:
        """Look up everybody whom these steps may ask, in statements by kind of approver and not by member."""
        entries = [entry for step in steps for entry in step["approvers"]]
        for role in sorted({entry["role"] for entry in entries if entry["kind"] == ApproverKind.ROLE}):
            found = await self._uow.of(Members).in_role(role)
            self._in_role[role] = [member.id for member in found]
        levels = [entry["level"] for entry in entries if entry["kind"] == ApproverKind.MANAGER]
        by_team = any(entry["kind"] == ApproverKind.TEAM_MANAGER for entry in entries)
        if levels or by_team:
            await self._climb(max(levels, default=0))
        if by_team and self._chain:
            teams = {team.id: team for team in await self._uow.of(Teams).all()}
            self._team_manager = _leader_of(self._chain[0], teams)
        wanted = {id for entry in entries for id in self._named(entry)}
        self._active = frozenset(await self._uow.of(Colleagues).among(wanted))

    def of_step(self, step: Stored) -> tuple[UUID, ...]:
        """The members that a step asks; none when it finds nobody, or not everybody whom it wants all of."""
        parts = [
            [id for id in self._named(entry) if id in self._active and id != self._left_out]
            for entry in step["approvers"]
        ]
        if step["rule"] == StepRule.ALL and not all(parts):
            return ()
        return tuple(dict.fromkeys(id for part in parts for id in part))

    async def _climb(self, levels: int) -> None:
        """The base and the managers above, as many levels as are asked for."""
        following = self._base
        while following is not None and len(self._chain) <= levels:
            found = (await self._uow.of(Members).get_many([following])).get(following)
            if found is None:
                return
            self._chain.append(found)
            following = found.manager_id

    def _named(self, entry: Stored) -> list[UUID]:
        """The members whom an entry means, active or not."""
        kind = entry["kind"]
        if kind == ApproverKind.MEMBER:
            return [UUID(id) for id in entry["member_ids"]]
        if kind == ApproverKind.ROLE:
            return self._in_role[entry["role"]]
        if kind == ApproverKind.CHOSEN:
            return list(self._question.chosen_ids)
        if kind == ApproverKind.MANAGER:
            level = entry["level"]
            return [self._chain[level].id] if level < len(self._chain) else []
        found = self._team_manager
        if kind == ApproverKind.FIELD:
            found = self._question.row.get(entry["field"])
        return [] if found is None else [found]


def _leader_of(member: MemberRef, teams: Mapping[UUID, TeamRef]) -> UUID | None:
    """Who leads the member's home team; of a team that they lead themselves, or nobody does, the one above."""
    team = teams.get(member.team_ids[0]) if member.team_ids else None
    while team is not None:
        if team.manager_id is not None and team.manager_id != member.id:
            return team.manager_id
        team = teams.get(team.parent_id) if team.parent_id is not None else None
    return None
