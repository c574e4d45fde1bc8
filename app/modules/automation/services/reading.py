"""Who sees which requests, and what they see.

Whoever asked, owned the record, was asked, or stands in for somebody who is asked sees a request, whether or not
they see the record. Everybody else sees it with the record, or with the permission to run approvals.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal
from uuid import UUID

from app.kernel.errors import NotFound
from app.kernel.listing import Bindings, Kind
from app.kernel.log_pages import Slice, fetch_page, order_by
from app.kernel.people import People
from app.kernel.uow import UnitOfWork
from app.modules.automation.interface import ApprovalStatus
from app.modules.automation.models import Approval, Decision
from app.modules.automation.services import history
from app.modules.automation.services.course import subject_of
from app.modules.automation.services.standing import principals

MANAGE: Final = "approval:manage"
View = Literal["waiting", "asked", "all"]
_NEWEST: Final = order_by({"a.requested_at": Kind.DATETIME, "a.id": Kind.UUID}, falling=True)


class ApprovalReading:
    """Requests as the actor sees them."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def sees(self, id: UUID) -> bool:
        """Whether the actor sees the request."""
        if self._uow.actor.may(MANAGE):
            return True
        bind = Bindings(self._uow.tenant_id)
        sql = f"SELECT 1 FROM automation.approvals a WHERE a.tenant_id = $1 AND a.id = {bind(id)}"
        concerned = _concerning(bind, await principals(self._uow))
        if await self._uow.fetch(f"{sql} AND {concerned}", *bind.values):
            return True
        found = await self._uow.find(Approval, id)
        return found is not None and await self.sees_record(found.object, found.record_id)

    async def sees_record(self, object_name: str, record_id: UUID) -> bool:
        """Whether the actor sees the record that a request is about."""
        subject = subject_of(self._uow, object_name)
        if subject is not None:
            return record_id in await subject.visible([record_id])
        record = self._uow.kernel.registry.records.get(object_name)
        if record is None or not self._uow.actor.may(f"{object_name}:read"):
            return False
        return record_id in await record.service(self._uow).get_many([record_id])

    async def get(self, id: UUID) -> Approval:
        """Raises `NotFound`."""
        if not await self.sees(id):
            raise NotFound
        return await self._uow.get(Approval, id)

    async def page(
        self,
        view: View,
        *,
        subject: tuple[str, UUID] | None,
        status: ApprovalStatus | None,
        limit: int,
        cursor: str | None,
    ) -> Slice[Any]:
        """Requests, newest first, with whom they wait for. Raises `InvalidCursor`."""
        bind = Bindings(self._uow.tenant_id)
        clauses = ["a.tenant_id = $1", *await self._of_view(bind, view, subject)]
        if subject is not None:
            clauses += [f"a.object = {bind(subject[0])}", f"a.record_id = {bind(subject[1])}"]
        if status is not None:
            clauses.append(f"a.status = {bind(status.value)}")
        return await fetch_page(
            self._uow,
            f"SELECT a.*, {_WAITING_FOR} AS waiting_for FROM automation.approvals a WHERE {' AND '.join(clauses)}",
            bind,
            _NEWEST,
            name=f"approvals:{view}:{subject}:{status}",
            limit=limit,
            cursor=cursor,
        )

    async def _of_view(self, bind: Bindings, view: View, subject: tuple[str, UUID] | None) -> list[str]:
        mine = await principals(self._uow)
        if view == "waiting":
            return [
                "a.status = 'pending'",
                f"a.id IN ({_DECISIONS} AND d.state = 'open' AND d.approver_id = ANY({bind(mine)}::uuid[]))",
                f"(a.requester_may_approve OR a.requested_by IS DISTINCT FROM {bind(mine[0])}::uuid)",
            ]
        if view == "asked":
            return [f"a.requested_by = {bind(mine[0])}::uuid"]
        if self._uow.actor.may(MANAGE) or (subject is not None and await self.sees_record(*subject)):
            return []
        return [_concerning(bind, mine)]

    # -- one, in full --------------------------------------------------------------------------------------

    async def decisions(self, id: UUID) -> list[Decision]:
        """All decisions of a request, by step."""
        statement = self._uow.select(Decision).where(Decision.approval_id == id)
        return await self._uow.all(statement.order_by(Decision.step, Decision.id))

    async def history(self, id: UUID) -> Sequence[Any]:
        return await history.of_approval(self._uow, id)

    async def names(self, ids: Sequence[UUID | None]) -> dict[UUID, str]:
        """Names of members."""
        return dict(await self._uow.of(People).names({id for id in ids if id is not None}))

    async def allowed(self, approval: Approval, decisions: Sequence[Decision]) -> list[str]:
        """What the actor may do with a request at this moment."""
        if approval.status != ApprovalStatus.PENDING:
            return []
        actor = self._uow.actor
        held = {one.approver_id for one in decisions if one.step == approval.step and one.state == "open"}
        found = []
        if held.intersection(await principals(self._uow)):
            own = actor.member_id == approval.requested_by and not approval.requester_may_approve
            found = ["delegate"] if own else ["approve", "refuse", "delegate"]
        elif actor.may(MANAGE):
            found = ["delegate"]
        concerned = {approval.requested_by, approval.owner_id} - {None}
        if actor.may(MANAGE) or actor.member_id in concerned:
            found.append("recall")
        return found


def _concerning(bind: Bindings, members: Sequence[UUID]) -> str:
    """SQL that is true for the requests `a` that concern the first of these members, or wait for any of them."""
    me, mine = bind(members[0]), bind(list(members))
    return (
        f"a.id IN (SELECT o.id FROM automation.approvals o WHERE o.tenant_id = $1 AND o.requested_by = {me}::uuid"
        f" UNION ALL SELECT o.id FROM automation.approvals o WHERE o.tenant_id = $1 AND o.owner_id = {me}::uuid"
        f" UNION ALL {_DECISIONS} AND d.approver_id = ANY({mine}::uuid[])"
        f" UNION ALL {_DECISIONS} AND d.first_approver_id = {me}::uuid"
        f" UNION ALL {_DECISIONS} AND d.decided_by = {me}::uuid)"
    )


_DECISIONS = "SELECT d.approval_id FROM automation.approval_decisions d WHERE d.tenant_id = $1"
_WAITING_FOR = (
    "ARRAY(SELECT d.approver_id FROM automation.approval_decisions d WHERE d.tenant_id = a.tenant_id"
    " AND d.approval_id = a.id AND d.state = 'open' ORDER BY d.id)"
)
