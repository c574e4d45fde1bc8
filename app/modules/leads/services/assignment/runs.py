"""Runs over leads that are there already, rehearsals of them, and the log of what was decided."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel

from app.kernel.access import NOBODY, visible_rows
from app.kernel.errors import NotFound
from app.kernel.listing import Bindings, compile_filter, query_from_body
from app.kernel.record_reads import field_set
from app.kernel.uow import UnitOfWork
from app.modules.leads.models import Assignment, Cause
from app.modules.leads.schemas.assignment import (
    AssignmentDecisionRead,
    AssignmentRead,
    AssignPreview,
    AssignRequest,
    AssignRun,
)
from app.modules.leads.services.assignment.assigner import Assigner, log_entry
from app.modules.leads.services.assignment.facts import Decision
from app.modules.leads.services.leads import LEAD, LeadService

AT_ONCE: Final = 100  # leads that a request assigns itself
CHUNK: Final = 500
JOB: Final = "leads.assign"
ENDED: Final = ("converted", "disqualified")


class AssignOrder(BaseModel):
    """What a job of assignment is asked for: the body of the request."""

    ids: list[UUID] | None = None
    filter: dict[str, Any] | None = None
    reassign: bool = False


class Runs:
    """Assigns leads that are there already."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow

    async def start(self, body: AssignRequest) -> AssignRun:
        """Assign up to a hundred leads, or start a job for more.

        Raises: NotFound for ids that are not visible; Forbidden for leads that the role does not reach.
        """
        order = _order(body)
        found = await self.select(order, limit=AT_ONCE + 1)
        if body.ids is not None:
            await self._require_all(body.ids)
        if len(found) > AT_ONCE:
            job = self.uow.enqueue(JOB, order.model_dump(mode="json"))
            return AssignRun(job_id=job, leads=await self.count(order), assigned=0, waiting=0, skipped=0)
        decisions = await self.assign(found, reassign=body.reassign)
        skipped = len(set(body.ids)) - len(decisions) if body.ids is not None else len(found) - len(decisions)
        return AssignRun(
            job_id=None,
            leads=len(decisions) + skipped,
            assigned=sum(decision.member_id is not None for decision in decisions),
            waiting=sum(decision.queue_id is not None for decision in decisions),
            skipped=skipped,
        )

    async def preview(self, body: AssignRequest) -> AssignPreview:
        """What `start` would decide about the first hundred; nothing is written. Raises as `start` does."""
        found = await self.select(_order(body), limit=AT_ONCE + 1)
        if body.ids is not None:
            await self._require_all(body.ids)
        decisions = await Assigner(self.uow).rehearse(found[:AT_ONCE])
        return AssignPreview(data=[_read(decision) for decision in decisions], more=len(found) > AT_ONCE)

    async def assign(
        self, ids: Sequence[UUID], *, reassign: bool, run_id: UUID | None = None
    ) -> list[Decision]:
        """Assign those of these leads that may still be: they are locked, and looked at again then."""
        rows = await self.uow.fetch(
            "SELECT id, owner_id, queue_id, status FROM leads.leads WHERE tenant_id = $1"
            " AND id = ANY($2::uuid[]) AND deleted_at IS NULL ORDER BY id FOR NO KEY UPDATE",
            self.uow.tenant_id,
            list(ids),
        )
        wanted = [row["id"] for row in rows if _may_go(row, reassign=reassign)]
        if not wanted:
            return []
        return await Assigner(self.uow).assign(wanted, Cause.RUN, run_id=run_id)

    async def select(self, order: AssignOrder, *, limit: int, run_id: UUID | None = None) -> list[UUID]:
        """Leads of an order that the actor may assign, the oldest first; without those that `run_id` did."""
        where, bind = await self._where(order, run_id)
        rows = await self.uow.fetch(
            f"SELECT t.id FROM {LEAD.view} t WHERE {where} ORDER BY t.created_at, t.id LIMIT {int(limit)}",
            *bind.values,
        )
        return [row["id"] for row in rows]

    async def count(self, order: AssignOrder, *, run_id: UUID | None = None) -> int:
        """How many `select` would find."""
        where, bind = await self._where(order, run_id)
        row = await self.uow.fetchrow(f"SELECT count(*) FROM {LEAD.view} t WHERE {where}", *bind.values)
        return int(row[0]) if row else 0

    async def _where(self, order: AssignOrder, run_id: UUID | None) -> tuple[str, Bindings]:
        uow = self.uow
        bind = Bindings(uow.tenant_id)
        clauses = [
            "t.tenant_id = $1",
            "t.deleted_at IS NULL",
            f"t.status <> ALL({bind(list(ENDED))}::text[])",
            visible_rows(uow.actor, "lead", "read", bind),
            visible_rows(uow.actor, "lead", "assign", bind),
        ]
        if not order.reassign:
            clauses.append(
                "t.owner_id IS NULL AND t.pool_id IS NULL"
            )  # what lies in a pool waits for a claim
        if order.ids is not None:
            clauses.append(f"t.id = ANY({bind(order.ids)}::uuid[])")
        if order.filter is not None:
            groups = query_from_body({"filter": order.filter}).groups
            fields = await field_set(uow, LEAD)
            clauses.append(compile_filter(groups, fields, uow.actor.tenant, uow.now, bind))
        if run_id is not None:
            clauses.append(
                "NOT EXISTS (SELECT 1 FROM leads.assignments d WHERE d.tenant_id = t.tenant_id"
                f" AND d.run_id = {bind(run_id)}::uuid AND d.lead_id = t.id)"
            )
        return " AND ".join(clause for clause in clauses if clause), bind

    async def _require_all(self, ids: Sequence[UUID]) -> None:
        """Raises: NotFound, Forbidden unless the actor sees all of these leads and may assign them."""
        rows = await LeadService(self.uow).get_many(list(ids), action="assign")
        missing = [str(id) for id in dict.fromkeys(ids) if id not in rows]
        if missing:
            raise NotFound(f"Not found: {', '.join(missing[:10])}.", missing=missing[:100])

    # -- the log -------------------------------------------------------------------------------------------

    async def history(self, lead_id: UUID) -> list[AssignmentRead]:
        """The last hundred decisions about a visible lead, the newest first. Raises: NotFound."""
        await LeadService(self.uow).get(lead_id)
        statement = self.uow.select(Assignment).where(Assignment.lead_id == lead_id)
        rows = await self.uow.all(statement.order_by(Assignment.at.desc(), Assignment.id.desc()).limit(100))
        return [
            AssignmentRead.model_validate({name: getattr(row, name) for name in AssignmentRead.model_fields})
            for row in rows
        ]


def _may_go(row: Any, *, reassign: bool) -> bool:
    return row["status"] not in ENDED and (reassign or row["owner_id"] is None)


def _order(body: AssignRequest) -> AssignOrder:
    tree = body.filter.model_dump(by_alias=True, mode="json") if body.filter is not None else None
    return AssignOrder(ids=body.ids, filter=tree, reassign=body.reassign)


def _read(decision: Decision) -> AssignmentDecisionRead:
    entry = log_entry(decision, Cause.RUN, None)
    values = {name: entry[name] for name in AssignmentDecisionRead.model_fields}
    if values["queue_id"] == NOBODY:
        values["queue_id"] = None
    return AssignmentDecisionRead.model_validate(values)
