"""Decisions that wait for the actor, as the to-do centre shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from app.kernel.access import NOBODY
from app.kernel.listing import Bindings
from app.kernel.uow import UnitOfWork
from app.modules.activities.interface import Waiting
from app.modules.automation.services.standing import PRINCIPALS
from app.modules.automation.services.telling import OBJECT

KIND: Final = "approval"


class ApprovalToDos:
    """`ToDoSource`: what the actor is asked to approve, also for those they stand in for.

    It is due when it would go on to somebody else.
    """

    kinds = frozenset({KIND})

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    def waiting(self, bind: Bindings) -> Sequence[Waiting]:
        tenant, me = bind(self._uow.tenant_id), f"{bind(self._uow.actor.member_id or NOBODY)}::uuid"
        principals = PRINCIPALS.format(tenant=tenant, me=me, now=bind(self._uow.now))
        return [
            Waiting(
                rows="automation.approval_decisions d JOIN automation.approvals a ON a.tenant_id = d.tenant_id"
                f" AND a.id = d.approval_id WHERE d.tenant_id = {tenant}"
                f" AND d.approver_id = ANY(ARRAY(SELECT {me} UNION {principals})) AND d.state = 'open'"
                f" AND (a.requester_may_approve OR a.requested_by IS DISTINCT FROM {me})",
                id="d.id",
                kind=f"'{KIND}'",
                title="a.label",
                due_at="d.escalate_at",
                since="d.opened_at",
                object=f"'{OBJECT}'",
                record_id="a.id",
                data={
                    "subject_object": "a.object",
                    "subject_id": "a.record_id",
                    "process": self._named("a.process_name_en", "a.process_name_zh"),
                    "step": self._named(
                        "a.steps->d.step::int->>'name_en'", "a.steps->d.step::int->>'name_zh'"
                    ),
                    "requested_by": "a.requested_by",
                    "on_behalf_of": f"nullif(d.approver_id, {me})",
                    "note": "a.note",
                },
            )
        ]

    def _named(self, en: str, zh: str) -> str:
        """SQL of two names' one in the company's language."""
        return f"coalesce(nullif({zh}, ''), {en})" if self._uow.actor.tenant.language == "zh" else en
