"""Carrying a plan out, and taking it back: each in one transaction, one owner per lead.

Plans over the same leads meet at the leads' rows, which both lock in the order of their ids: the second sees the
versions that the first wrote, and reports conflicts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal
from uuid import UUID

from app.kernel.people import People
from app.kernel.sharing import OpenWork
from app.kernel.uow import UnitOfWork
from app.modules.leads.models import ItemOutcome, Lead, Optimisation, OptimisationItem, OptimisationState
from app.modules.leads.schemas.optimisation import OptimisationApplication
from app.modules.leads.services.leads import LeadService
from app.modules.leads.services.optimisation.events import (
    OBJECT,
    LeadOptimisationApplied,
    LeadOptimisationUndone,
    PlanConflicts,
)
from app.modules.leads.services.optimisation.facts import CLOSED, locked_leads
from app.modules.leads.services.optimisation.plans import Optimisations
from app.modules.leads.services.optimisation.states import PLAN
from app.tenants.interface import Members, Teams

Found = Mapping[UUID, tuple[Lead, bool]]
Reason = Literal["gone", "not_allowed", "closed", "owner_changed", "changed", "member_inactive"]
SHOWN_CONFLICTS = 100


class PlanApplier:
    """Applies and undoes plans of the actor."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._plans = Optimisations(uow)
        self._outcomes: dict[UUID, tuple[ItemOutcome, Reason | None]] = {}

    async def apply(self, id: UUID, how: OptimisationApplication, *, expected_version: int) -> Optimisation:
        """Give every lead of a solved plan to its member.

        Leads that cannot be given are conflicts: refused all together, or skipped. Raises: `NotFound`,
        `StaleVersion`, `InvalidTransition`, `PlanConflicts`.
        """
        uow = self._uow
        plan = await self._plans.locked(id, expected_version)
        state = PLAN.next(OptimisationState(plan.state), "apply")
        items = await self._items(plan)
        homes = await self._homes({item.member_id for item in items if item.member_id is not None})
        found = await self._locked(items)
        conflicts = {
            item.lead_id: reason for item in items if (reason := _conflict(item, found, homes)) is not None
        }
        if conflicts and how.on_conflict == "refuse":
            shown = list(conflicts.items())[:SHOWN_CONFLICTS]
            raise PlanConflicts(
                f"{len(conflicts)} leads of the plan changed since it was made.",
                conflicts=[{"lead_id": str(lead_id), "reason": reason} for lead_id, reason in shown],
                total=len(conflicts),
            )
        for item in items:
            await self._give(item, found, homes, conflicts.get(item.lead_id))
        if how.with_open_work:
            await self._hand_over({item.lead_id: item.member_id for item in items if item.member_id})
        await self._remember(plan)
        after = await uow.update(plan, audit=OBJECT, action="applied", state=state.value, applied_at=uow.now)
        applied = self._counted(ItemOutcome.APPLIED)
        uow.publish(
            LeadOptimisationApplied(id=id, leads=len(items), applied=applied, conflicts=len(conflicts))
        )
        return after

    async def undo(self, id: UUID, *, expected_version: int) -> Optimisation:
        """Give leads back to their former owners, where they still belong to whom the plan gave them.

        Raises: `NotFound`, `StaleVersion`, `InvalidTransition`.
        """
        uow = self._uow
        plan = await self._plans.locked(id, expected_version)
        state = PLAN.next(OptimisationState(plan.state), "undo")
        items = [item for item in await self._items(plan) if item.outcome == ItemOutcome.APPLIED.value]
        homes = await self._homes({i.former_owner_id for i in items if i.former_owner_id is not None})
        teams = await uow.of(Teams).get_many(
            {i.former_team_id for i in items if i.former_team_id is not None}
        )
        found = await self._locked(items)
        for item in items:
            reason = _kept(item, found, homes)
            if reason is None:
                lead = found[item.lead_id][0]
                team = item.former_team_id if item.former_team_id in teams else None
                if team is None and item.former_owner_id is not None:
                    team = homes[item.former_owner_id]
                changes = {"owner_id": item.former_owner_id, "team_id": team}
                await LeadService(uow).write(lead, changes, action="assignment_undone")
                self._outcomes[item.lead_id] = (ItemOutcome.RESTORED, None)
            else:
                self._outcomes[item.lead_id] = (ItemOutcome.KEPT, reason)
        await self._hand_over({item.lead_id: item.former_owner_id for item in items if item.former_owner_id})
        await self._remember(plan)
        after = await uow.update(plan, audit=OBJECT, action="undone", state=state.value, undone_at=uow.now)
        restored = self._counted(ItemOutcome.RESTORED)
        uow.publish(
            LeadOptimisationUndone(
                id=id, leads=len(items), restored=restored, kept=self._counted(ItemOutcome.KEPT)
            )
        )
        return after

    # -- steps ---------------------------------------------------------------------------------------------

    async def _items(self, plan: Optimisation) -> list[OptimisationItem]:
        wanted = self._uow.select(OptimisationItem).where(OptimisationItem.optimisation_id == plan.id)
        return await self._uow.all(wanted.order_by(OptimisationItem.position))

    async def _homes(self, ids: set[UUID]) -> Mapping[UUID, UUID | None]:
        """Home team of each that is active, who cannot leave until the transaction ends."""
        known = await self._uow.of(Members).get_many(ids)
        active = [id for id, member in known.items() if member.active]
        return await self._uow.of(People).require_members(active, pointer="/members")

    async def _locked(self, items: Sequence[OptimisationItem]) -> Found:
        return await locked_leads(self._uow, [item.lead_id for item in items]) if items else {}

    async def _give(
        self,
        item: OptimisationItem,
        found: Found,
        homes: Mapping[UUID, UUID | None],
        conflict: Reason | None,
    ) -> None:
        if conflict is not None:
            self._outcomes[item.lead_id] = (ItemOutcome.CONFLICT, conflict)
        elif item.member_id is None or item.member_id == item.former_owner_id:
            self._outcomes[item.lead_id] = (ItemOutcome.UNCHANGED, None)
        else:
            changes = {"owner_id": item.member_id, "team_id": homes[item.member_id]}
            await LeadService(self._uow).write(found[item.lead_id][0], changes, action="assigned")
            self._outcomes[item.lead_id] = (ItemOutcome.APPLIED, None)

    async def _hand_over(self, owners: Mapping[UUID, UUID]) -> None:
        """Open work goes along with the leads that moved."""
        moved: dict[UUID, list[UUID]] = {}
        for lead_id, (outcome, _) in self._outcomes.items():
            if outcome in (ItemOutcome.APPLIED, ItemOutcome.RESTORED) and lead_id in owners:
                moved.setdefault(owners[lead_id], []).append(lead_id)
        for port in self._uow.ports(OpenWork):
            for owner_id, lead_ids in moved.items():
                await port.hand_over("lead", lead_ids, owner_id)

    async def _remember(self, plan: Optimisation) -> None:
        """Write what became of each line, in one statement."""
        if not self._outcomes:
            return
        await self._uow.fetch(
            "UPDATE leads.optimisation_items i SET outcome = n.outcome, conflict = n.conflict"
            " FROM unnest($3::uuid[], $4::text[], $5::text[]) AS n (lead_id, outcome, conflict)"
            " WHERE i.tenant_id = $1 AND i.optimisation_id = $2 AND i.lead_id = n.lead_id",
            self._uow.tenant_id,
            plan.id,
            list(self._outcomes),
            [outcome.value for outcome, _ in self._outcomes.values()],
            [conflict for _, conflict in self._outcomes.values()],
        )

    def _counted(self, outcome: ItemOutcome) -> int:
        return sum(found is outcome for found, _ in self._outcomes.values())


def _conflict(item: OptimisationItem, found: Found, homes: Mapping[UUID, UUID | None]) -> Reason | None:
    """Why a lead cannot be given to its member any more; a lead that stays where it is may change as it likes."""
    if item.member_id is None:
        return None
    lead, allowed = found.get(item.lead_id, (None, False))
    if lead is None:
        return "gone"
    if not allowed:
        return "not_allowed"
    if lead.status in CLOSED:
        return "closed"
    if lead.owner_id != item.former_owner_id:
        return "owner_changed"
    if lead.version != item.lead_version:
        return "changed"
    return None if item.member_id in homes else "member_inactive"


def _kept(item: OptimisationItem, found: Found, homes: Mapping[UUID, UUID | None]) -> Reason | None:
    """Why a lead stays with whom the plan gave it; whatever else changed on it since is no reason."""
    lead, allowed = found.get(item.lead_id, (None, False))
    if lead is None:
        return "gone"
    if not allowed:
        return "not_allowed"
    if lead.status in CLOSED:
        return "closed"
    if lead.owner_id != item.member_id:
        return "owner_changed"
    return None if item.former_owner_id is None or item.former_owner_id in homes else "member_inactive"
