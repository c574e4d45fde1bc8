"""Presales requests: sales asks for an engineer, a demo or a seminar; somebody takes it, does it, or says no."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from app.kernel.access import Scope
from app.kernel.errors import Invalid, require_version
from app.kernel.people import People
from app.kernel.records import RecordService, RecordType, Search
from app.kernel.states import StateMachine
from app.kernel.uow import UnitOfWork
from app.modules.opportunities.interface import PresalesRequestStepped
from app.modules.opportunities.models.work import CostKind, PresalesRequest, PresalesStatus
from app.modules.opportunities.schemas.work import (
    CostCreate,
    PresalesCompletion,
    PresalesRequestCreate,
    PresalesRequestRead,
    PresalesRequestUpdate,
)
from app.modules.opportunities.services.costs import CostService
from app.modules.opportunities.services.opportunities import OpportunityService

REQUESTED, ACCEPTED = PresalesStatus.REQUESTED, PresalesStatus.ACCEPTED
DONE, DECLINED = PresalesStatus.DONE, PresalesStatus.DECLINED
MACHINE: StateMachine[PresalesStatus] = StateMachine(
    "The presales request",
    REQUESTED,
    {
        (REQUESTED, "accept"): ACCEPTED,
        (REQUESTED, "decline"): DECLINED,
        (REQUESTED, "hand_over"): REQUESTED,
        (ACCEPTED, "hand_over"): REQUESTED,
        (ACCEPTED, "decline"): DECLINED,
        (ACCEPTED, "complete"): DONE,
    },
)
_ALL_READ = {
    "owner": Scope.ALL,
    "admin": Scope.ALL,
    "manager": Scope.ALL,
    "salesperson": Scope.ALL,
    "viewer": Scope.ALL,
}


class PresalesService(RecordService[PresalesRequest]):
    """Presales requests. Asking somebody is no assignment: they may decline."""

    record: ClassVar[RecordType[Any]]

    def __init__(self, uow: UnitOfWork) -> None:
        super().__init__(uow)
        self._opportunities = OpportunityService(uow)

    async def _assign(self, values: dict[str, Any], *, creating: bool) -> None:
        """Without an owner it is anybody's; the team is that of who is asked, else of who asks."""
        owner: UUID | None = values.get("owner_id")
        if not creating and owner is None:
            return
        home = self.actor.home_team_id
        if owner is not None:
            home = (await self.uow.of(People).require_members([owner], pointer="/owner_id"))[owner]
        if values.get("team_id") is None:
            values["team_id"] = home
        elif values["team_id"] != home:
            await self.uow.of(People).require_teams([values["team_id"]], pointer="/team_id")

    async def before_create(self, values: dict[str, Any]) -> None:
        opportunity = values["opportunity_id"]
        seen: Any = {}
        if self.actor.may("opportunity:read"):
            seen = await self._opportunities.get_many([opportunity], lock="share")
        if opportunity not in seen:
            raise Invalid.at("/opportunity_id", "unknown_reference", "There is no opportunity with this id.")
        values["status"] = REQUESTED.value

    async def before_update(self, row: PresalesRequest, changes: dict[str, Any]) -> None:
        if row.status in (ACCEPTED, DONE) and changes.get("owner_id", row.owner_id) is None:
            raise Invalid.at("/owner_id", "required", "Somebody has accepted it: hand it over instead.")

    async def accept(self, id: UUID, *, expected_version: int) -> PresalesRequest:
        """Take a request that one was asked, or that is anybody's. Raises `InvalidTransition`, `StaleVersion`."""
        row = await self._locked(id, expected_version, open_to_all=True)
        changes: dict[str, Any] = {}
        if row.owner_id is None:
            changes = {"owner_id": self.actor.member_id, "team_id": self.actor.home_team_id or row.team_id}
            if self.actor.member_id is None:
                raise Invalid.at("/owner_id", "member_required", "Only a member can take it.")
        return await self._step(row, "accept", changes | self._answered(row))

    async def decline(self, id: UUID, reason: str, *, expected_version: int) -> PresalesRequest:
        """Say no, and why. Raises `InvalidTransition`, `StaleVersion`."""
        row = await self._locked(id, expected_version)
        return await self._step(row, "decline", {"decline_reason": reason} | self._answered(row))

    async def hand_over(
        self, id: UUID, owner_id: UUID, note: str | None, *, expected_version: int
    ) -> PresalesRequest:
        """Ask somebody else instead. Raises `InvalidTransition`, `StaleVersion`, `Invalid`."""
        row = await self._locked(id, expected_version)
        MACHINE.next(PresalesStatus(row.status), "hand_over")
        if owner_id == row.owner_id:
            raise Invalid.at("/owner_id", "same_member", "They have it already.")
        team = (await self.uow.of(People).require_members([owner_id], pointer="/owner_id"))[owner_id]
        changes = {"owner_id": owner_id, "team_id": team, "handed_over_from": row.owner_id}
        if note:
            self.uow.record_audit(self.record.object, row.id, "hand_over_note", {}, reason=note)
        return await self._step(row, "hand_over", changes)

    async def complete(self, id: UUID, body: PresalesCompletion, *, expected_version: int) -> PresalesRequest:
        """It is done, and took so many hours; with a rate they become a cost of the opportunity.

        Raises: InvalidTransition; StaleVersion; with a rate, NotFound and Forbidden where the actor may not change
        the opportunity.
        """
        row = await self._locked(id, expected_version)
        hours = Decimal(body.hours)
        if hours <= 0:
            raise Invalid.at("/hours", "not_positive", "Hours are more than nothing.")
        changes = {"hours": hours, "result": body.result, "finished_at": self.uow.now}
        after = await self._step(row, "complete", changes)
        if body.rate is not None:
            cost = CostCreate(
                kind=CostKind.PRESALES_HOURS,
                hours=body.hours,
                rate=body.rate,
                member_id=row.owner_id,
                note=row.name,
            )
            await CostService(self.uow).add(row.opportunity_id, cost)
        return after

    def _answered(self, row: PresalesRequest) -> dict[str, Any]:
        """The first answer counts."""
        if row.answered_at is not None:
            return {}
        waited = int((self.uow.now - row.created_at).total_seconds())
        return {"answered_at": self.uow.now, "answer_seconds": max(0, waited)}

    async def _step(self, row: PresalesRequest, step: str, changes: dict[str, Any]) -> PresalesRequest:
        status = MACHINE.next(PresalesStatus(row.status), step)
        after = await self.write(row, changes | {"status": status.value}, action=step)
        self.uow.publish(
            PresalesRequestStepped(
                id=row.id,
                opportunity_id=row.opportunity_id,
                step=step,
                status=status.value,
                owner_id=after.owner_id,
            )
        )
        return after

    async def _locked(self, id: UUID, expected_version: int, *, open_to_all: bool = False) -> PresalesRequest:
        """The row, held. What is anybody's may be taken by whoever sees it and may take any at all."""
        action = "update"
        if open_to_all and (await self.get(id)).owner_id is None:
            action = "read"
        row = await self.get(id, action=action, lock="update")
        require_version(row.version, expected=expected_version)
        return row


PRESALES_REQUEST: RecordType[PresalesRequest] = RecordType(
    object="presales_request",
    plural="presales_requests",
    module="opportunities",
    model=PresalesRequest,
    read=PresalesRequestRead,
    create=PresalesRequestCreate,
    update=PresalesRequestUpdate,
    service=PresalesService,
    search=Search(names=("name",)),
    importable=False,
    # Whoever is asked need not be of the asker's team.
    default_scopes={"read": _ALL_READ},
)
PresalesService.record = PRESALES_REQUEST
