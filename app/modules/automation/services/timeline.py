"""What was asked and answered about a record, on its timeline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from app.kernel.uow import UnitOfWork
from app.modules.activities.interface import Position, Subject, TimelineEntry
from app.modules.automation.models import HistoryAction
from app.modules.automation.services.telling import OBJECT, in_language

KIND: Final = "approval"
_TITLES: Final = {
    HistoryAction.REQUESTED: ("Approval requested", "已提交审批"),
    HistoryAction.APPROVED: ("Approved", "已批准"),
    HistoryAction.REFUSED: ("Refused", "已拒绝"),
    HistoryAction.DELEGATED: ("Approval given to somebody else", "审批已委托他人"),
    HistoryAction.HANDED_OVER: ("Approval handed over", "审批已移交"),
    HistoryAction.ESCALATED: ("Approval escalated", "审批已升级"),
    HistoryAction.STAYED: ("Nobody to pass the approval to", "审批无人可转"),
    HistoryAction.CLOSED: ("Approver left", "审批人已离职"),
    HistoryAction.RECALLED: ("Approval recalled", "已撤回审批"),
}


class ApprovalTimeline:
    """`TimelineSource`: the history of every request about a record."""

    kinds = frozenset({KIND})

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def entries(
        self, subject: Subject, *, before: Position | None, limit: int
    ) -> Sequence[TimelineEntry]:
        """At most `limit` happenings older than `before`, newest first. One statement."""
        rows = await self._uow.fetch(
            "SELECT h.id, h.at, h.action, h.step, h.actor_id, h.on_behalf_of, h.to_member_id, h.note,"
            " a.id AS approval_id, a.process_name_en, a.process_name_zh FROM automation.approvals a"
            " JOIN automation.approval_history h ON h.tenant_id = a.tenant_id AND h.approval_id = a.id"
            " WHERE a.tenant_id = $1 AND a.object = $2 AND a.record_id = $3"
            " AND ($4::timestamptz IS NULL OR (h.at, h.id) < ($4, $5::uuid)) ORDER BY h.at DESC, h.id DESC LIMIT $6",
            self._uow.tenant_id,
            subject.object,
            subject.record_id,
            before.at if before else None,
            before.id if before else None,
            limit,
        )
        return [
            TimelineEntry(
                id=row["id"],
                at=row["at"],
                kind=KIND,
                title=in_language(self._uow, *_TITLES[HistoryAction(row["action"])])
                + f": {in_language(self._uow, row['process_name_en'], row['process_name_zh'])}",
                text=row["note"],
                actor_id=row["actor_id"],
                object=OBJECT,
                record_id=row["approval_id"],
                data={name: row[name] for name in ("action", "step", "on_behalf_of", "to_member_id")},
            )
            for row in rows
        ]
