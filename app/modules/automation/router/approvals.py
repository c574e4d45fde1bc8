"""`/v1/approvals`: requests and what is done with them.

Answers take no version: each approver has one decision in a step, which is taken once, and others may answer at the
same time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Response

from app.kernel.errors import Invalid, InvalidCursor, problems
from app.kernel.paging import Cursor, Limit
from app.kernel.routing import Router, Uow
from app.kernel.schemas import Page
from app.kernel.uow import UnitOfWork
from app.modules.automation.interface import (
    AlreadyDecided,
    ApprovalNotNeeded,
    ApprovalPending,
    ApprovalStatus,
    AskedElsewhere,
    NoApprover,
    NoPendingApproval,
    OwnRequest,
)
from app.modules.automation.models import Approval, Decision, DecisionState
from app.modules.automation.schemas import (
    ApprovalCreate,
    ApprovalDecisionRead,
    ApprovalHandOver,
    ApprovalHistoryRead,
    ApprovalItem,
    ApprovalRead,
    ApprovalRecall,
    ApprovalRefusal,
    ApprovalStepRead,
    ApprovalVerdict,
)
from app.modules.automation.services.deciding import Deciding
from app.modules.automation.services.reading import ApprovalReading, View
from app.modules.automation.services.recalling import recall
from app.modules.automation.services.subjects import ask_by_hand

router = Router(prefix="/v1/approvals", tags=["approvals"])
_ANSWER = problems(AlreadyDecided, NoPendingApproval, OwnRequest)
_NAMES = tuple(name for name in ApprovalItem.model_fields if name not in ("step", "waiting_for"))


@router.get("", access="signed_in", responses=problems(InvalidCursor))
async def list_approvals(
    uow: Uow,
    view: Annotated[
        View, Query(description="What waits for you, what you asked for, or all that you see.")
    ] = "all",
    object_name: Annotated[
        str | None, Query(alias="object", max_length=60, description="With `record_id`: of one record.")
    ] = None,
    record_id: Annotated[UUID | None, Query(description="With `object`: of one record.")] = None,
    status: Annotated[ApprovalStatus | None, Query(description="Only of this status.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[ApprovalItem]:
    """Requests for approval, newest first."""
    if (object_name is None) != (record_id is None):
        raise Invalid.at("record_id", "required", "object and record_id go together.")
    subject = None if object_name is None or record_id is None else (object_name, record_id)
    found = await ApprovalReading(uow).page(view, subject=subject, status=status, limit=limit, cursor=cursor)
    return found.page(lambda row: ApprovalItem.model_validate(_item(row)))


@router.post(
    "",
    access="signed_in",
    status_code=201,
    responses=problems(ApprovalPending, NoApprover, AskedElsewhere, ApprovalNotNeeded),
)
async def create_approval(body: ApprovalCreate, uow: Uow, response: Response) -> ApprovalRead:
    """Ask for approval of a record that you may change. Quotes and the like ask by operations of their own."""
    id = await ask_by_hand(uow, body)
    response.headers["Location"] = f"/v1/approvals/{id}"
    return await _whole(uow, id)


@router.get("/{id}", access="signed_in")
async def get_approval(id: UUID, uow: Uow) -> ApprovalRead:
    """One request, with its steps and everything that happened to it."""
    return await _whole(uow, id)


@router.post("/{id}/approve", access="signed_in", responses=_ANSWER)
async def approve_approval(id: UUID, uow: Uow, body: ApprovalVerdict | None = None) -> ApprovalRead:
    """Approve what waits for you, or for somebody you stand in for."""
    given = body or ApprovalVerdict(note=None, on_behalf_of=None)
    await Deciding(uow).answer(id, DecisionState.APPROVED, note=given.note, on_behalf_of=given.on_behalf_of)
    return await _whole(uow, id)


@router.post("/{id}/refuse", access="signed_in", responses=_ANSWER)
async def refuse_approval(id: UUID, body: ApprovalRefusal, uow: Uow) -> ApprovalRead:
    """Refuse it, and say why."""
    await Deciding(uow).answer(id, DecisionState.REFUSED, note=body.note, on_behalf_of=body.on_behalf_of)
    return await _whole(uow, id)


@router.post("/{id}/delegate", access="signed_in", responses=_ANSWER)
async def delegate_approval(id: UUID, body: ApprovalHandOver, uow: Uow) -> ApprovalRead:
    """Give your decision to another member, who is asked instead of you."""
    await Deciding(uow).delegate(id, to=body.member_id, note=body.note, on_behalf_of=body.on_behalf_of)
    return await _whole(uow, id)


@router.post("/{id}/recall", access="signed_in", responses=problems(NoPendingApproval))
async def recall_approval(id: UUID, uow: Uow, body: ApprovalRecall | None = None) -> ApprovalRead:
    """Take a request back that you made, or whose record you own."""
    reading = ApprovalReading(uow)
    await reading.get(id)
    await recall(uow, id, note=body.note if body else None)
    return await _whole(uow, id)


async def _whole(uow: UnitOfWork, id: UUID) -> ApprovalRead:
    """The request as it stands. Raises `NotFound`."""
    reading = ApprovalReading(uow)
    approval = await reading.get(id)
    decisions = await reading.decisions(id)
    happened = await reading.history(id)
    names = await reading.names(
        [*(one.approver_id for one in decisions), *(one.actor_id for one in happened)]
    )
    waiting = [one.approver_id for one in decisions if one.state == DecisionState.OPEN]
    return ApprovalRead.model_validate(
        _item({**approval.__dict__, "waiting_for": waiting})
        | {
            "carried": approval.carried,
            "allowed": await reading.allowed(approval, decisions),
            "steps": _steps(approval, decisions, names),
            "history": [
                ApprovalHistoryRead(
                    at=one.at,
                    action=one.action,
                    step=one.step,
                    actor_id=one.actor_id,
                    actor_name=names.get(one.actor_id) if one.actor_id else None,
                    on_behalf_of=one.on_behalf_of,
                    to_member_id=one.to_member_id,
                    note=one.note,
                )
                for one in happened
            ],
        }
    )


def _item(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in _NAMES} | {
        "step": row["steps"][row["step"]]["key"],
        "waiting_for": row["waiting_for"],
    }


def _steps(
    approval: Approval, decisions: list[Decision], names: Mapping[UUID, str]
) -> list[ApprovalStepRead]:
    return [
        ApprovalStepRead(
            key=step["key"],
            name_en=step["name_en"],
            name_zh=step["name_zh"],
            rule=step["rule"],
            decisions=[
                ApprovalDecisionRead(
                    approver_id=one.approver_id,
                    approver_name=names.get(one.approver_id),
                    first_approver_id=one.first_approver_id,
                    state=DecisionState(one.state),
                    decided_at=one.decided_at,
                    decided_by=one.decided_by,
                    note=one.note,
                    escalate_at=one.escalate_at,
                )
                for one in decisions
                if one.step == place
            ],
        )
        for place, step in enumerate(approval.steps)
    ]
