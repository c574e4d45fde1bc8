"""Taking a request back."""

from __future__ import annotations

from uuid import UUID

from app.kernel.errors import Forbidden
from app.kernel.uow import UnitOfWork
from app.modules.automation.interface import ApprovalStatus, NoPendingApproval
from app.modules.automation.models import Approval, HistoryAction
from app.modules.automation.services import history
from app.modules.automation.services.course import Course, lock_record
from app.modules.automation.services.reading import MANAGE


async def recall(uow: UnitOfWork, id: UUID, *, note: str | None) -> Approval:
    """Take a pending request back: for whoever asked, who owns the record, and who runs approvals.

    Raises: NotFound; Forbidden; NoPendingApproval.
    """
    approval = await Course(uow).locked(id)
    record = await lock_record(uow, approval.object, approval.record_id)
    owner = record.owner_id if record is not None else approval.owner_id
    me = uow.actor.member_id
    if not uow.actor.may(MANAGE) and (me is None or me not in (approval.requested_by, owner)):
        raise Forbidden("Only who asked for it or owns the record recalls it.")
    return await take_back(uow, id, note=note)


async def take_back(uow: UnitOfWork, id: UUID, *, note: str | None) -> Approval:
    """Recall a request whoever asks; to do so is the caller's right. Raises `NotFound`, `NoPendingApproval`."""
    course = Course(uow)
    approval = await course.locked(id)
    if approval.status != ApprovalStatus.PENDING:
        raise NoPendingApproval(f"This request is {approval.status}.", state=approval.status)
    step = approval.steps[approval.step]["key"]
    await history.write(
        uow, history.Happening(approval_id=id, action=HistoryAction.RECALLED, step=step, note=note)
    )
    return await course.end(approval, ApprovalStatus.RECALLED, note)
