"""The job that solves a plan: read, search off the event loop, and write the result in one transaction.

What it reads and what it writes are two transactions; between them nothing is held. A worker that is killed leaves
a plan in `solving` and nothing else: the next one reads again and solves again, and only one can write.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pydantic import BaseModel

from app.kernel.config import Settings as ProductSettings
from app.kernel.errors import Problem
from app.kernel.ids import new_id
from app.kernel.jobs import JobCancelled, JobContext, JobPaused
from app.kernel.money import Money
from app.kernel.registry import JobKind
from app.kernel.uow import UnitOfWork
from app.modules.leads.models import ItemOutcome, Optimisation, OptimisationItem
from app.modules.leads.schemas.optimisation import OptimisationOptions
from app.modules.leads.services.optimisation.events import (
    OBJECT,
    LeadOptimisationFailed,
    LeadOptimisationSolved,
    LeadOptimisationStarted,
)
from app.modules.leads.services.optimisation.facts import Facts, gather
from app.modules.leads.services.optimisation.plan import members_of, options_of, reason_of
from app.modules.leads.services.optimisation.states import DRAFT, PLAN, SOLVING
from app.modules.leads.services.optimisation.value import Candidate, Penalties, Rates, worth

if TYPE_CHECKING:
    from app.modules.leads.services.optimisation.solver.exact import ExactSolution
    from app.modules.leads.services.optimisation.solver.problem import AssignmentProblem, Solution

ATTEMPTS = 5
EXACT_PAIRS = 200_000
"""Leads × members up to which the exact solver is tried."""
IDLE_ITERATIONS = 600
"""A search that met nothing better for so long ends before its time."""
CANCELLED = "It was cancelled."


class OptimisationPayload(BaseModel):
    """Which plan a job solves."""

    optimisation_id: UUID


@dataclass(frozen=True)
class _Work:
    """A plan's facts, read; `values[m][l]` of member m and lead l in minor units."""

    facts: Facts
    members: list[Candidate]
    options: OptimisationOptions
    rates: Rates


@dataclass(frozen=True)
class _Solved:
    """Who gets each lead, by place in the plan's members, None for nobody; and how it was found."""

    agents: list[int | None]
    bound: int
    search: Solution
    exact: ExactSolution | None
    method: str


async def run_optimisation(context: JobContext, payload: OptimisationPayload) -> dict[str, Any]:
    """Solve a plan; one that is settled already stays as it is."""
    try:
        work = await _begin(context, payload.optimisation_id)
        if work is not None:
            solved = await _solve(context, work)
            async with context.transaction() as uow:
                await _finish(uow, payload.optimisation_id, work, solved)
    except JobPaused:
        raise
    except JobCancelled:
        await _fail(context, payload.optimisation_id, CANCELLED)
        raise
    except Exception as error:
        final = isinstance(error, Problem) and error.status < 500
        if final or context.attempt >= ATTEMPTS:
            detail = error.detail if isinstance(error, Problem) else Problem.title
            await _fail(context, payload.optimisation_id, detail)
        raise
    return {"assignment_id": str(payload.optimisation_id)}


JOB = JobKind("leads.optimise", OptimisationPayload, run_optimisation, attempts=ATTEMPTS)


async def _begin(context: JobContext, id: UUID) -> _Work | None:
    """Take the plan up, or again after a kill, and read what it needs; None if nothing is left to do."""
    async with context.transaction() as uow:
        plan = await uow.get(Optimisation, id, lock="update")
        if plan.state == DRAFT:
            state = PLAN.next(DRAFT, "start")
            plan = await uow.update(plan, audit=OBJECT, action="started", state=state.value)
            uow.publish(LeadOptimisationStarted(id=id, leads=len(plan.lead_ids)))
        if plan.state != SOLVING:
            return None
        members, options = members_of(plan), options_of(plan)
        facts = await gather(uow, plan.lead_ids, members, options)
        return _Work(facts, members, options, Rates(facts.history, options.prior_strength))


# -- searching -----------------------------------------------------------------------------------------------


async def _solve(context: JobContext, work: _Work) -> _Solved:
    """Both solvers, each in a thread; tells how far it is, and stops when asked to."""
    if await context.cancelled():
        raise JobCancelled
    problem = await asyncio.to_thread(_problem, work)
    options = work.options
    total = round(options.seconds + (options.exact_seconds if _is_small(work) else 0))
    stop = threading.Event()
    cache = _code_cache(context.kernel.settings)
    search = await watched(context, stop, lambda: _search(problem, options, cache, stop), 0, total)
    exact = None
    if options.exact_seconds and _is_small(work):
        exact = await watched(
            context, stop, lambda: _exact(problem, options, stop), round(options.seconds), total
        )
    return _better(problem, search, exact, len(work.members))


async def watched(
    context: JobContext, stop: threading.Event, work: Callable[[], Any], done: int, total: int
) -> Any:
    """The result of work in a thread, which `stop` ends early. Raises `JobCancelled`, `JobPaused`."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    running = loop.run_in_executor(None, work)
    try:
        while not (await asyncio.wait({running}, timeout=0.25))[0]:
            await context.progress(min(total, done + int(loop.time() - began)), total)
            await context.go_on()
    except BaseException:
        stop.set()
        await asyncio.shield(asyncio.wait({running}))
        raise
    return running.result()


def _code_cache(settings: ProductSettings) -> Path | None:
    """Where compiled code is kept: in a checkout that is worked on beside the sources, else with the data."""
    if not settings.in_production and os.access(Path(__file__).parent, os.W_OK):
        return None
    return settings.data_dir.absolute() / "numba"


def _problem(work: _Work) -> AssignmentProblem:
    """Members and, last, nobody, who takes any number of leads at value 0; each lead takes one place."""
    import numpy as np

    from app.modules.leads.services.optimisation.solver.problem import AssignmentProblem

    penalties = Penalties(work.options.switching_penalty, work.options.skill_penalty)
    leads = work.facts.facts
    values = np.zeros((len(work.members) + 1, len(leads)), dtype=np.int64)
    for place, member in enumerate(work.members):
        values[place] = [worth(lead, member, work.rates, penalties).value for lead in leads]
    room = [member.capacity for member in work.members]
    return AssignmentProblem(
        cost=values,
        weight=np.ones_like(values),
        capacity=np.array([*room, len(leads)], dtype=np.int64),
        maximise=True,
    )


def _search(
    problem: AssignmentProblem, options: OptimisationOptions, cache: Path | None, stop: threading.Event
) -> Solution:
    import time

    from app.modules.leads.services.optimisation.solver.search import AntColony, Settings

    ants = max(2, min(8, 4_000 // max(1, problem.jobs)))  # so that a slice stays short enough to be stopped
    colony = AntColony(problem, seed=options.seed, settings=Settings(ants=ants), cache_dir=cache)
    until = time.perf_counter() + options.seconds
    while not stop.is_set() and not colony.proved:
        colony.step()
        if time.perf_counter() >= until or colony.idle >= IDLE_ITERATIONS:
            break
    return colony.solution()


def _exact(problem: AssignmentProblem, options: OptimisationOptions, stop: threading.Event) -> ExactSolution:
    from app.modules.leads.services.optimisation.solver.exact import solve_exactly

    return solve_exactly(problem, seconds=options.exact_seconds, stop=stop.is_set)


def _is_small(work: _Work) -> bool:
    return len(work.members) * len(work.facts.leads) <= EXACT_PAIRS


def _better(
    problem: AssignmentProblem, search: Solution, exact: ExactSolution | None, members: int
) -> _Solved:
    """The better of both plans, the colony's if they are worth the same; the tighter of both bounds."""
    bounds = [found.bound for found in (search, exact) if found is not None and found.bound is not None]
    best: Iterable[int] | None = search.assignment
    method = "ant_colony"
    if (
        exact is not None
        and exact.assignment is not None
        and (search.value is None or (exact.value or 0) > search.value)
    ):
        best, method = exact.assignment, "exact"
    if best is None:
        best = [members] * problem.jobs  # with nobody, everybody stays: always possible
    agents = [int(agent) if int(agent) < members else None for agent in best]
    return _Solved(agents, int(min(bounds, default=0.0)), search, exact, method)


# -- writing -------------------------------------------------------------------------------------------------


async def _finish(uow: UnitOfWork, id: UUID, work: _Work, solved: _Solved) -> None:
    """Write plan and lines, unless another run of the job has."""
    plan = await uow.get(Optimisation, id, lock="update")
    if plan.state != SOLVING:
        return
    rows = [_row(id, place, work, solved.agents[place]) for place in range(len(work.facts.leads))]
    await uow.insert_many(OptimisationItem, rows)
    value = sum(row["value"] for row in rows)
    search, exact = solved.search, solved.exact
    plan = await uow.update(
        plan,
        audit=OBJECT,
        action="solved",
        state=PLAN.next(SOLVING, "solve").value,
        rates=work.facts.history.stored({fact.segment for fact in work.facts.facts}),
        leads=len(rows),
        value=value,
        upper_bound=max(solved.bound, value),
        search_value=search.value or 0,
        search={
            "seconds": round(search.seconds, 3),
            "best_after": round(search.best_after, 3),
            "iterations": search.iterations,
            "method": solved.method,
        },
        exact=None
        if exact is None
        else {"value": exact.value, "proved": exact.proved, "seconds": round(exact.seconds, 3)},
        solved_at=uow.now,
    )
    money = {name: str(part) for name, part in Money(value, plan.currency).to_wire().items()}
    uow.publish(LeadOptimisationSolved(id=id, leads=len(rows), value=money))


def _row(id: UUID, place: int, work: _Work, agent: int | None) -> dict[str, Any]:
    """One line of the plan, with its reason."""
    lead, facts = work.facts.leads[place], work.facts.facts[place]
    penalties = Penalties(work.options.switching_penalty, work.options.skill_penalty)
    choices = {member.id: worth(facts, member, work.rates, penalties) for member in work.members}
    member_id = None if agent is None else work.members[agent].id
    return {
        "id": new_id(),
        "optimisation_id": id,
        "lead_id": lead.id,
        "position": place,
        "lead_version": lead.version,
        "former_owner_id": lead.owner_id,
        "former_team_id": lead.team_id,
        "member_id": member_id,
        "value": 0 if member_id is None else choices[member_id].value,
        "facts": facts.stored() | work.facts.shown[place],
        "why": reason_of(choices, member_id),
        "adjusted": False,
        "outcome": ItemOutcome.PLANNED.value,
        "conflict": None,
    }


async def _fail(context: JobContext, id: UUID, failure: str) -> None:
    """Say why a plan came to nothing, if it has not come to anything meanwhile."""
    async with context.transaction() as uow:
        plan = await uow.find(Optimisation, id, lock="update")
        if plan is None or not PLAN.may(plan.state, "fail"):  # type: ignore[arg-type]
            return
        await uow.update(plan, audit=OBJECT, action="failed", state="failed", failure=failure[:2_000])
        uow.publish(LeadOptimisationFailed(id=id, leads=len(plan.lead_ids), failure=failure[:2_000]))
