"""What waits for the owner of contracts: terms that are about to end, and payments that are overdue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from app.kernel.access import NOBODY
from app.kernel.listing import Bindings
from app.kernel.uow import UnitOfWork
from app.modules.activities.interface import Waiting

RENEWAL: Final = "contract_renewal"
OVERDUE: Final = "overdue_instalment"


class ContractToDos:
    """`ToDoSource`: my contracts whose reminder has begun and that have no successor; my overdue instalments.

    What is to be done on a day is due when the day is over.
    """

    kinds = frozenset({RENEWAL, OVERDUE})

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    def waiting(self, bind: Bindings) -> Sequence[Waiting]:
        actor = self._uow.actor
        if not actor.may("contract:read"):
            return []
        today = bind(actor.tenant.day_of(self._uow.now))
        mine = (
            f"WHERE c.tenant_id = {bind(actor.tenant.id)} AND c.owner_id = {bind(actor.member_id or NOBODY)}"
            " AND c.deleted_at IS NULL"
        )
        ending = (
            f"contracts.contracts c {mine} AND c.status = 'active' AND c.successor_id IS NULL"
            " AND c.terminates_on IS NULL AND c.ends_on IS NOT NULL"
            f" AND c.ends_on - c.renewal_reminder_days::int <= {today}::date"
        )
        unpaid = (
            "contracts.contracts c JOIN contracts.instalments i ON i.tenant_id = c.tenant_id"
            f" AND i.contract_id = c.id AND i.status = 'overdue' {mine}"
        )
        zone = bind(actor.tenant.zone.key)
        return [
            self._waiting(RENEWAL, ending, id="c.id", day="c.ends_on", label="NULL", zone=zone),
            self._waiting(OVERDUE, unpaid, id="i.id", day="i.due_on", label="i.label", zone=zone),
        ]

    def _waiting(self, kind: str, rows: str, *, id: str, day: str, label: str, zone: str) -> Waiting:
        hidden = self._uow.actor.hidden("contract")
        return Waiting(
            rows=rows,
            id=id,
            kind=f"'{kind}'",
            title="c.number" if "title" in hidden else "c.number || ' ' || c.title",
            due_at=f"({day} + 1)::timestamp AT TIME ZONE {zone}::text",
            since="c.activated_at",
            object="'contract'",
            record_id="c.id",
            data={"label": f"{label}::text", "auto_renew": "c.auto_renew"},
        )
