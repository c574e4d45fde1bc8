"""Decisions that wait for the actor, as the to-do centre shows them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from app.kernel.uow import UnitOfWork
from app.modules.activities.interface import ToDo, ToDoPlace
from app.modules.automation.services.standing import principals
from app.modules.automation.services.telling import OBJECT, in_language

KIND: Final = "approval"


class ApprovalToDos:
    """`ToDoSource`: what the actor is asked to approve, also for those they stand in for.

    It is due when it would go on to somebody else.
    """

    kinds = frozenset({KIND})

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def to_dos(self, *, kinds: Collection[str], after: ToDoPlace | None, limit: int) -> Sequence[ToDo]:
        if KIND not in kinds:
            return []
        mine = await principals(self._uow)
        rows = await self._uow.fetch(
            "SELECT d.id, d.approver_id, d.opened_at, d.escalate_at, a.id AS approval_id, a.label, a.object,"
            " a.record_id, a.requested_by, a.process_name_en, a.process_name_zh, a.note,"
            f" a.steps->d.step::int AS at_step {_WAITING}"
            " AND ($5::uuid IS NULL OR (d.escalate_at, d.id) > ($4::timestamptz, $5)"
            "  OR (d.escalate_at IS NULL AND $4 IS NOT NULL) OR (d.escalate_at IS NULL AND $4 IS NULL AND d.id > $5))"
            " ORDER BY d.escalate_at, d.id LIMIT $6",
            self._uow.tenant_id,
            mine,
            mine[0],
            after.due_at if after else None,
            after.id if after else None,
            limit,
        )
        return [
            ToDo(
                id=row["id"],
                kind=KIND,
                title=row["label"],
                due_at=row["escalate_at"],
                since=row["opened_at"],
                object=OBJECT,
                record_id=row["approval_id"],
                data={
                    "subject_object": row["object"],
                    "subject_id": row["record_id"],
                    "process": in_language(self._uow, row["process_name_en"], row["process_name_zh"]),
                    "step": in_language(self._uow, row["at_step"]["name_en"], row["at_step"]["name_zh"]),
                    "requested_by": row["requested_by"],
                    "on_behalf_of": None if row["approver_id"] == mine[0] else row["approver_id"],
                    "note": row["note"],
                },
            )
            for row in rows
        ]

    async def counts(self) -> Mapping[str, int]:
        mine = await principals(self._uow)
        rows = await self._uow.fetch(
            f"SELECT count(*) AS count {_WAITING}", self._uow.tenant_id, mine, mine[0]
        )
        return {KIND: rows[0]["count"]}


_WAITING = (
    "FROM automation.approval_decisions d JOIN automation.approvals a ON a.tenant_id = d.tenant_id"
    " AND a.id = d.approval_id WHERE d.tenant_id = $1 AND d.approver_id = ANY($2::uuid[]) AND d.state = 'open'"
    " AND (a.requester_may_approve OR a.requested_by IS DISTINCT FROM $3::uuid)"
)
