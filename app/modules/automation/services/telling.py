"""What members are told of approvals, in the company's language."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final
from uuid import UUID

from app.kernel.notifications import Notice, Notifications
from app.kernel.uow import UnitOfWork
from app.modules.automation.interface import ApprovalStatus
from app.modules.automation.models import Approval
from app.modules.automation.services.standing import stand_ins

OBJECT: Final = "approval"
REQUESTED: Final = "approval.requested"
DECIDED: Final = "approval.decided"
REMINDER: Final = "approval.reminder"
ESCALATED: Final = "approval.escalated"
STUCK: Final = "approval.stuck"
_TITLES: Final = {
    "en": {
        REQUESTED: "Please approve: {label}",
        REMINDER: "Still waiting for your approval: {label}",
        ESCALATED: "Went on to somebody else: {label}",
        STUCK: "Nobody is left to approve: {label}",
        ApprovalStatus.APPROVED: "Approved: {label}",
        ApprovalStatus.REFUSED: "Refused: {label}",
        ApprovalStatus.RECALLED: "Recalled: {label}",
    },
    "zh": {
        REQUESTED: "请审批：{label}",
        REMINDER: "仍在等待您审批：{label}",
        ESCALATED: "已转交他人审批：{label}",
        STUCK: "已无人可以审批：{label}",
        ApprovalStatus.APPROVED: "已批准：{label}",
        ApprovalStatus.REFUSED: "已拒绝：{label}",
        ApprovalStatus.RECALLED: "已撤回：{label}",
    },
}


def in_language(uow: UnitOfWork, en: str, zh: str | None) -> str:
    """Of two names the one in the company's language."""
    return zh or en if uow.actor.tenant.language == "zh" else en


async def ask(uow: UnitOfWork, approval: Approval, approvers: Iterable[UUID]) -> None:
    """Tell approvers, and those who stand in for them, that they are asked."""
    asked = list(approvers)
    substitutes = await stand_ins(uow, asked)
    everybody = dict.fromkeys([*asked, *substitutes])
    if not approval.requester_may_approve and approval.requested_by is not None:
        everybody.pop(approval.requested_by, None)
    await Notifications(uow).tell(
        everybody, notice(uow, REQUESTED, REQUESTED, approval, _asked(uow, approval))
    )


async def tell_end(uow: UnitOfWork, approval: Approval, also: Iterable[UUID]) -> None:
    """Tell the requester how it ended, and `also` those whose answer is no longer awaited after a recall."""
    status = ApprovalStatus(approval.status)
    people = [approval.requested_by, *(also if status is ApprovalStatus.RECALLED else ())]
    await Notifications(uow).tell(
        [id for id in people if id is not None],
        notice(uow, DECIDED, status, approval, approval.decision_note),
    )


async def tell_each(uow: UnitOfWork, kind: str, told: Sequence[tuple[UUID, Approval]]) -> None:
    """Tell members one kind of thing, each about a request."""
    await Notifications(uow).tell_each(
        [(member, notice(uow, kind, kind, approval, _asked(uow, approval))) for member, approval in told]
    )


def notice(uow: UnitOfWork, kind: str, title: str, approval: Approval, body: str | None) -> Notice:
    text = _TITLES[uow.actor.tenant.language][title].format(label=approval.label)
    return Notice(kind, text, body=body, object=OBJECT, record_id=approval.id)


def _asked(uow: UnitOfWork, approval: Approval) -> str:
    """Process, step and what the requester said."""
    step = approval.steps[approval.step]
    head = (
        in_language(uow, approval.process_name_en, approval.process_name_zh),
        in_language(uow, step["name_en"], step["name_zh"]),
    )
    return "\n\n".join(part for part in (" · ".join(head), approval.note) if part)
