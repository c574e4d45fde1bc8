"""Records that no module asks approval for by itself: asked for by hand, and tried out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import orjson

from app.kernel.errors import Invalid
from app.kernel.models import RecordTable
from app.kernel.people import People
from app.kernel.records import RecordType
from app.kernel.statements import audited_columns
from app.kernel.uow import UnitOfWork
from app.modules.automation.interface import (
    ApprovalNotNeeded,
    ApprovalQuestion,
    AskedElsewhere,
    Resubmit,
)
from app.modules.automation.schemas import ApprovalCreate, ApprovalPreview, MemberName, PreviewStep
from app.modules.automation.services.asking import ApprovalsOfTenant
from app.modules.automation.services.course import subject_of
from app.modules.automation.services.planning import PlannedStep, plan

TITLE_LENGTH = 300


async def ask_by_hand(uow: UnitOfWork, body: ApprovalCreate) -> UUID:
    """Ask for approval of a record that the actor may change; the request's id.

    Raises: NotFound; Forbidden; AskedElsewhere for types that a module asks for; ApprovalPending; NoApprover;
    ApprovalNotNeeded.
    """
    record = _type(uow, body.object)
    if subject_of(uow, record.object) is not None:
        raise AskedElsewhere(f"Submit the {record.object.replace('_', ' ')} for approval where it is kept.")
    row = await record.service(uow).get(body.record_id, action="update")
    question = await _question(uow, record, row, body.chosen_ids, note=body.note, resubmit=body.resubmit)
    found = await ApprovalsOfTenant(uow).request(question)
    if found.id is None:
        raise ApprovalNotNeeded
    return found.id


async def preview(
    uow: UnitOfWork, object_name: str, record_id: UUID, chosen_ids: Sequence[UUID]
) -> ApprovalPreview:
    """What would be asked about a record that the actor sees, if they asked. Raises: NotFound; Forbidden."""
    record = _type(uow, object_name)
    row = await record.service(uow).get(record_id)
    question = await _question(uow, record, row, chosen_ids)
    planned = await plan(uow, question, requester=uow.actor.member_id)
    if planned is None:
        return ApprovalPreview(process_id=None, name_en=None, name_zh=None, steps=[])
    names = await uow.of(People).names({id for step in planned.steps for id in step.approvers})
    return ApprovalPreview(
        process_id=planned.process.id,
        name_en=planned.process.name_en,
        name_zh=planned.process.name_zh,
        steps=[_preview(step, names) for step in planned.steps],
    )


def _preview(planned: PlannedStep, names: Any) -> PreviewStep:
    step = planned.step
    return PreviewStep(
        key=step["key"],
        name_en=step["name_en"],
        name_zh=step["name_zh"],
        rule=step["rule"],
        applies=planned.applies,
        approvers=[MemberName(id=id, name=names[id]) for id in planned.approvers],
        problem="no_approver" if planned.applies and not planned.approvers else None,
    )


def _type(uow: UnitOfWork, object_name: str) -> RecordType[Any]:
    found = uow.kernel.registry.records.get(object_name)
    if found is None:
        raise Invalid.at("/object", "unknown_object", f"There are no records of type {object_name!r}.")
    return found


async def _question(
    uow: UnitOfWork,
    record: RecordType[Any],
    row: RecordTable,
    chosen_ids: Sequence[UUID],
    *,
    note: str | None = None,
    resubmit: str = Resubmit.START,
) -> ApprovalQuestion:
    await uow.of(People).require_members(chosen_ids, pointer="/chosen_ids")
    values = row.__dict__
    model: type[RecordTable] = record.model
    kept = {name: values[name] for name in audited_columns(model)}
    digest = hashlib.sha256(orjson.dumps(kept, option=orjson.OPT_SORT_KEYS, default=str)).hexdigest()
    return ApprovalQuestion(
        object=record.object,
        record_id=row.id,
        label=str(values.get(record.title) or row.id)[:TITLE_LENGTH],
        row=values,
        fingerprint=digest,
        owner_id=row.owner_id,
        note=note,
        resubmit=Resubmit(resubmit),
        chosen_ids=tuple(chosen_ids),
    )
