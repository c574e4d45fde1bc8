"""Which process asks about a record, with which steps, and whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.kernel.conditions import check_tree, groups_of, holding
from app.kernel.errors import InvalidFilter
from app.kernel.records import RecordType
from app.kernel.uow import UnitOfWork
from app.modules.automation.interface import ApprovalQuestion
from app.modules.automation.models import ApprovalProcess
from app.modules.automation.services.approvers import Approvers, Stored


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A step of the process; its approvers are found only where it applies."""

    step: Stored
    applies: bool
    approvers: tuple[UUID, ...]

    @property
    def key(self) -> str:
        return str(self.step["key"])


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be asked about a record."""

    process: ApprovalProcess
    steps: tuple[PlannedStep, ...]

    @property
    def applying(self) -> tuple[PlannedStep, ...]:
        return tuple(step for step in self.steps if step.applies)


async def plan(uow: UnitOfWork, question: ApprovalQuestion, *, requester: UUID | None) -> Plan | None:
    """The first process whose condition holds and that has a step to ask, or None.

    A condition that cannot be computed any more, because its field is gone, counts as holding: rather one question
    too many than one that nobody asks.
    """
    record = uow.kernel.registry.records[question.object]
    statement = uow.select(ApprovalProcess).where(
        ApprovalProcess.object == question.object, ApprovalProcess.enabled.is_(True)
    )
    processes = await uow.all(statement.order_by(ApprovalProcess.priority, ApprovalProcess.id))
    trees = [tree for process in processes for tree in _conditions(process)]
    answers = iter(await _holding(uow, record, question.row, trees))
    for process in processes:
        holds, *applying = [next(answers) for _ in _conditions(process)]
        if holds:
            return await _planned(uow, process, applying, question, requester)
    return None


async def _planned(
    uow: UnitOfWork,
    process: ApprovalProcess,
    applying: Sequence[bool],
    question: ApprovalQuestion,
    requester: UUID | None,
) -> Plan:
    approvers = Approvers(
        uow, question, requester=requester, requester_may_approve=process.requester_may_approve
    )
    await approvers.load([step for step, applies in zip(process.steps, applying, strict=True) if applies])
    return Plan(
        process,
        tuple(
            PlannedStep(step, applies, approvers.of_step(step) if applies else ())
            for step, applies in zip(process.steps, applying, strict=True)
        ),
    )


def _conditions(process: ApprovalProcess) -> list[Mapping[str, Any] | None]:
    """The condition of the process, and of each of its steps."""
    return [process.condition, *(step["condition"] for step in process.steps)]


async def _holding(
    uow: UnitOfWork,
    record: RecordType[Any],
    row: Mapping[str, Any],
    trees: Sequence[Mapping[str, Any] | None],
) -> list[bool]:
    """Which of the conditions hold for the row, in one statement."""
    found = [True] * len(trees)
    computed = []
    for place, tree in enumerate(trees):
        groups = groups_of(tree)
        if not groups:
            continue
        try:
            await check_tree(uow, record, groups)
        except InvalidFilter:
            continue
        computed.append((place, groups))
    if computed:
        answers = await holding(uow, record, [row], [groups for _, groups in computed])
        for (place, _), holds in zip(computed, answers[0], strict=True):
            found[place] = holds
    return found
