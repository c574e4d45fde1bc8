"""Plans of optimised assignment: ask for one, look at it, change it, carry it out, take it back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from app.kernel.access import Scope
from app.kernel.errors import Invalid, NotFound, require_version
from app.kernel.ids import new_id
from app.kernel.listing import Kind
from app.kernel.log_pages import order_by, select_page
from app.kernel.schemas import Page
from app.kernel.statements import Lock
from app.kernel.uow import UnitOfWork
from app.modules.leads.models import ItemOutcome, Optimisation, OptimisationItem, OptimisationState
from app.modules.leads.schemas.optimisation import OptimisationItemRead, OptimisationRequest
from app.modules.leads.services.optimisation.events import (
    OBJECT,
    LeadOptimisationRequested,
    PlanCapacityReached,
)
from app.modules.leads.services.optimisation.facts import (
    check_options,
    chosen_leads,
    chosen_members,
    locked_leads,
)
from app.modules.leads.services.optimisation.plan import (
    members_of,
    options_of,
    reason_of,
    show_item,
    stored_member,
)
from app.modules.leads.services.optimisation.states import DRAFT, PLAN
from app.modules.leads.services.optimisation.value import (
    History,
    LeadFacts,
    Penalties,
    Rates,
    worth,
)

JOB_NAME = "leads.optimise"
_BY_POSITION: Final = order_by({"position": Kind.INTEGER})


class Optimisations:
    """Plans as far as the actor sees them: their own, and everybody's with `lead:assign` on all leads."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def request(self, request: OptimisationRequest) -> Optimisation:
        """Choose leads and members, and have a worker solve it. Raises `Invalid`, `NotFound`, `Forbidden`."""
        uow = self._uow
        uow.actor.require("lead:assign")
        await check_options(uow, request.options)
        lead_ids = await chosen_leads(uow, request)
        members = await chosen_members(uow, request, lead_ids)
        id = new_id()
        job_id = uow.enqueue(JOB_NAME, {"optimisation_id": str(id)})
        plan = await uow.insert(
            Optimisation,
            audit=OBJECT,
            id=id,
            state=DRAFT.value,
            created_by_id=uow.actor.id,
            job_id=job_id,
            lead_ids=lead_ids,
            members=[stored_member(member) for member in members],
            options=request.options.model_dump(mode="json"),
            currency=uow.actor.tenant.currency,
        )
        uow.publish(LeadOptimisationRequested(id=id, leads=len(lead_ids)))
        return plan

    async def get(self, id: UUID, *, lock: Lock = None) -> Optimisation:
        """A plan that the actor may see. Raises `NotFound`."""
        everything = self._uow.actor.require("lead:assign") is Scope.ALL
        plan = await self._uow.find(Optimisation, id, lock=lock)
        if plan is None or (plan.created_by_id != self._uow.actor.id and not everything):
            raise NotFound
        return plan

    async def locked(self, id: UUID, expected_version: int) -> Optimisation:
        """A plan to be changed. Raises `NotFound`, `StaleVersion`."""
        plan = await self.get(id, lock="update")
        require_version(plan.version, expected=expected_version)
        return plan

    # -- lines ---------------------------------------------------------------------------------------------

    async def items(
        self,
        id: UUID,
        *,
        member_id: UUID | None,
        outcome: ItemOutcome | None,
        limit: int,
        cursor: str | None,
    ) -> Page[OptimisationItemRead]:
        """Lines in the plan's order, of one member or outcome where asked for. Raises `InvalidCursor`."""
        uow = self._uow
        plan = await self.get(id)
        wanted = uow.select(OptimisationItem).where(OptimisationItem.optimisation_id == id)
        if member_id is not None:
            wanted = wanted.where(OptimisationItem.member_id == member_id)
        if outcome is not None:
            wanted = wanted.where(OptimisationItem.outcome == outcome.value)
        name = f"optimisation_items:{id}:{member_id}:{outcome}"
        found = await select_page(uow, wanted, _BY_POSITION, name=name, limit=limit, cursor=cursor)
        return Page(data=await self.shown(plan, found.rows), **found.onward)

    async def shown(
        self, plan: Optimisation, items: Sequence[OptimisationItem]
    ) -> list[OptimisationItemRead]:
        """Lines with their leads, as far as those can be seen."""
        actor = self._uow.actor
        leads = {}
        if items and actor.may("lead:read"):
            leads = await locked_leads(self._uow, [item.lead_id for item in items], lock=False)
        hidden = actor.hidden("lead")
        return [
            show_item(plan, item, leads[item.lead_id][0] if item.lead_id in leads else None, hidden)
            for item in items
        ]

    async def adjust(
        self, id: UUID, lead_id: UUID, member_id: UUID | None, *, expected_version: int
    ) -> tuple[Optimisation, OptimisationItem]:
        """Give one lead of a solved plan to another of its members, or to nobody; value and reason follow.

        Raises: `NotFound`, `StaleVersion`, `InvalidTransition`, `Invalid` for a member outside the plan,
        `PlanCapacityReached`.
        """
        uow = self._uow
        plan = await self.locked(id, expected_version)
        PLAN.next(OptimisationState(plan.state), "adjust")
        item = await self._item(plan, lead_id)
        if item.member_id == member_id:
            return plan, item
        await self._check_room(plan, member_id)
        options = options_of(plan)
        rates = Rates(History.restored(plan.rates or {}), options.prior_strength)
        penalties = Penalties(options.switching_penalty, options.skill_penalty)
        facts = LeadFacts.restored(item.facts)
        choices = {member.id: worth(facts, member, rates, penalties) for member in members_of(plan)}
        value = 0 if member_id is None else choices[member_id].value
        changed = await uow.update(
            item,
            member_id=member_id,
            value=value,
            why=reason_of(choices, member_id, adjusted=True),
            adjusted=True,
        )
        search = dict(plan.search or {}) | {"method": "adjusted"}
        search["adjustments"] = search.get("adjustments", 0) + 1  # so that the plan gets a version of its own
        after = await uow.update(plan, value=(plan.value or 0) + value - item.value, search=search)
        before_after = [item.member_id and str(item.member_id), member_id and str(member_id)]
        diff: dict[str, list[Any]] = {f"items.{lead_id}": before_after, "value": [plan.value, after.value]}
        uow.record_audit(OBJECT, id, "adjusted", diff)
        return after, changed

    async def _item(self, plan: Optimisation, lead_id: UUID) -> OptimisationItem:
        wanted = self._uow.select(OptimisationItem).where(
            OptimisationItem.optimisation_id == plan.id, OptimisationItem.lead_id == lead_id
        )
        item = await self._uow.first(wanted)
        if item is None:
            raise NotFound
        return item

    async def _check_room(self, plan: Optimisation, member_id: UUID | None) -> None:
        """That the member belongs to the plan and has room; the plan is locked, so that no other edit fills it."""
        if member_id is None:
            return
        member = next((member for member in members_of(plan) if member.id == member_id), None)
        if member is None:
            raise Invalid.at("/member_id", "unknown_member", f"{member_id} is no member of this plan.")
        row = await self._uow.fetchrow(
            "SELECT count(*) FROM leads.optimisation_items WHERE tenant_id = $1 AND optimisation_id = $2"
            " AND member_id = $3",
            self._uow.tenant_id,
            plan.id,
            member_id,
        )
        if row is not None and row[0] >= member.capacity:
            raise PlanCapacityReached(
                f"The plan gives them {row[0]} leads, of {member.capacity} that they can take.",
                capacity=member.capacity,
            )
