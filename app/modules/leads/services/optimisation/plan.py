"""How a plan of optimised assignment is kept and shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast
from uuid import UUID

from app.kernel.errors import NotFound
from app.kernel.job_reads import read_job
from app.kernel.money import Money
from app.kernel.people import People
from app.kernel.uow import UnitOfWork
from app.modules.leads.models import ItemOutcome, Lead, Optimisation, OptimisationItem
from app.modules.leads.schemas.optimisation import (
    LeadBrief,
    OptimisationChoice,
    OptimisationCounts,
    OptimisationExact,
    OptimisationItemRead,
    OptimisationMemberRead,
    OptimisationOptions,
    OptimisationRead,
    OptimisationReason,
    OptimisationSearch,
)
from app.modules.leads.services.optimisation.states import DRAFT, FAILED, SOLVING
from app.modules.leads.services.optimisation.value import Candidate, Worth

ADJUSTED = "adjusted"


def options_of(plan: Optimisation) -> OptimisationOptions:
    """A plan's options."""
    return OptimisationOptions.model_validate(plan.options)


def stored_member(member: Candidate) -> dict[str, Any]:
    """A member with their capacity as JSON."""
    skills = None if member.skills is None else sorted(member.skills)
    return {"member_id": str(member.id), "capacity": member.capacity, "skills": skills}


def members_of(plan: Optimisation) -> list[Candidate]:
    """A plan's members, in its order."""
    return [
        Candidate(
            UUID(row["member_id"]),
            row["capacity"],
            None if row["skills"] is None else frozenset(row["skills"]),
        )
        for row in plan.members
    ]


def reason_of(
    choices: Mapping[UUID, Worth], member_id: UUID | None, *, adjusted: bool = False
) -> dict[str, Any]:
    """Why this member, as JSON: the choice, the best of the others, and what decided."""
    others = [(found.value, str(id), id) for id, found in choices.items() if id != member_id]
    best = max(others, default=None, key=lambda other: (other[0], other[1]))
    value = 0 if member_id is None else choices[member_id].value
    if adjusted:
        reason = ADJUSTED
    elif best is not None and best[0] > value:
        reason = "capacity"
    else:
        reason = "best" if member_id is not None else "not_worth_it"
    return {
        "reason": reason,
        "chosen": None if member_id is None else _stored(member_id, choices[member_id]),
        "alternative": None if best is None else _stored(best[2], choices[best[2]]),
    }


def _stored(member_id: UUID, found: Worth) -> dict[str, Any]:
    return {
        "member_id": str(member_id),
        "value": found.value,
        "win_rate": round(found.rate.win_rate, 6),
        "won": found.rate.won,
        "closed": found.rate.closed,
        "team_rate": round(found.rate.team_rate, 6),
        "expected_value": found.expected,
        "switching_penalty": found.switching_penalty,
        "skill_penalty": found.skill_penalty,
    }


# -- showing -------------------------------------------------------------------------------------------------

_TOTALS = """
SELECT member_id, outcome, count(*) AS leads, sum(value)::bigint AS value FROM leads.optimisation_items
WHERE tenant_id = $1 AND optimisation_id = $2 GROUP BY 1, 2
"""


async def show_plan(uow: UnitOfWork, plan: Optimisation) -> OptimisationRead:
    """A plan with its sums, in a fixed number of statements."""
    totals = await uow.fetch(_TOTALS, uow.tenant_id, plan.id)
    names = await uow.of(People).names([member.id for member in members_of(plan)])
    state, failure = await _standing(uow, plan)
    leads = len(plan.lead_ids) if plan.leads is None else plan.leads
    assigned = sum(row["leads"] for row in totals if row["member_id"] is not None)
    counts = {outcome.value: 0 for outcome in ItemOutcome}
    for row in totals:
        counts[row["outcome"]] += row["leads"]
    gap = None
    if plan.value is not None and plan.upper_bound is not None:
        gap = _gap(plan.value, plan.upper_bound)
    search = plan.search or {}
    return OptimisationRead(
        id=plan.id,
        version=plan.version,
        state=state,
        created_at=plan.created_at,
        updated_at=plan.updated_at,
        created_by=plan.created_by_id,
        job_id=plan.job_id,
        leads=leads,
        assigned=assigned,
        unassigned=0 if plan.leads is None else leads - assigned,
        value=_money(plan, plan.value),
        upper_bound=_money(plan, plan.upper_bound),
        gap=gap,
        method=search.get("method"),
        search=_search(plan),
        exact=_exact(plan),
        members=[_member(plan, row, totals, names) for row in plan.members],
        options=options_of(plan),
        counts=OptimisationCounts(**counts),
        failure=failure,
        solved_at=plan.solved_at,
        applied_at=plan.applied_at,
        undone_at=plan.undone_at,
    )


async def _standing(uow: UnitOfWork, plan: Optimisation) -> tuple[Any, str | None]:
    """The state; a plan whose job ended without saying so (cancelled while it waited, say) has failed."""
    if plan.state in (DRAFT, SOLVING):
        try:
            job = await read_job(uow, plan.job_id)
        except NotFound:
            return plan.state, None
        if job["state"] in ("failed", "cancelled"):
            return FAILED, job["last_error"] or "It was cancelled."
    return plan.state, plan.failure


def _money(plan: Optimisation, minor: int | None) -> Any:
    return None if minor is None else Money(minor, plan.currency)


def _gap(value: int, bound: int) -> float:
    return round(max(0, bound - value) / max(abs(bound), 1), 6)


def _search(plan: Optimisation) -> OptimisationSearch | None:
    if plan.search is None or plan.search_value is None or plan.upper_bound is None:
        return None
    proved = plan.exact is not None and plan.exact["proved"] and plan.exact["value"] is not None
    best = plan.exact["value"] if proved and plan.exact is not None else plan.upper_bound
    return OptimisationSearch(
        value=Money(plan.search_value, plan.currency),
        gap=_gap(plan.search_value, best),
        seconds=plan.search["seconds"],
        best_after=plan.search["best_after"],
        iterations=plan.search["iterations"],
    )


def _exact(plan: Optimisation) -> OptimisationExact | None:
    if plan.exact is None:
        return None
    return OptimisationExact(
        value=_money(plan, plan.exact["value"]), proved=plan.exact["proved"], seconds=plan.exact["seconds"]
    )


def _member(
    plan: Optimisation, row: Mapping[str, Any], totals: Sequence[Any], names: Mapping[UUID, str]
) -> OptimisationMemberRead:
    id = UUID(row["member_id"])
    own = [total for total in totals if total["member_id"] == id]
    return OptimisationMemberRead(
        member_id=id,
        name=names.get(id),
        capacity=row["capacity"],
        skills=row["skills"],
        leads=sum(total["leads"] for total in own),
        value=Money(sum(total["value"] for total in own), plan.currency),
    )


def show_item(
    plan: Optimisation, item: OptimisationItem, lead: Lead | None, hidden: frozenset[str]
) -> OptimisationItemRead:
    """One line; `lead` is None when the actor may not see it, `hidden` are fields that their role hides."""
    segment = {
        name: None if lead is None or ("custom" if name == "size" else name) in hidden else value
        for name, value in item.facts["segment"].items()
    }
    why = item.why
    return OptimisationItemRead(
        lead_id=item.lead_id,
        lead=None if lead is None else _brief(lead, hidden),
        member_id=item.member_id,
        former_owner_id=item.former_owner_id,
        value=Money(item.value, plan.currency),
        amount=Money(item.facts["amount"], plan.currency),
        amount_from=item.facts["amount_from"],
        segment=cast("Any", segment),
        why=OptimisationReason(
            reason=why["reason"],
            chosen=_choice(plan, why["chosen"]),
            alternative=_choice(plan, why["alternative"]),
        ),
        adjusted=item.adjusted,
        outcome=ItemOutcome(item.outcome),
        conflict=cast("Any", item.conflict),
    )


def _brief(lead: Lead, hidden: frozenset[str]) -> LeadBrief:
    seen = {name: None if name in hidden else getattr(lead, name) for name in ("company", "owner_id")}
    return LeadBrief(id=lead.id, name="" if "name" in hidden else lead.name, **seen)


def _choice(plan: Optimisation, stored: Mapping[str, Any] | None) -> OptimisationChoice | None:
    if stored is None:
        return None
    amounts = ("value", "expected_value", "switching_penalty", "skill_penalty")
    money = {name: Money(stored[name], plan.currency) for name in amounts}
    return OptimisationChoice(**{**stored, **money})
