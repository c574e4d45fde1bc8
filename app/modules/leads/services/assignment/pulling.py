"""Pulling leads from a queue: first come, first served, and no lead to two members."""

from __future__ import annotations

from uuid import UUID

from app.kernel.errors import Forbidden
from app.kernel.ids import new_id
from app.kernel.statements import columns_of, entities
from app.kernel.uow import UnitOfWork
from app.modules.leads.interface import LeadAssigned
from app.modules.leads.models import Assignment, Cause, Lead, Queue
from app.modules.leads.services.leads import LeadService


async def pull(uow: UnitOfWork, queue_id: UUID, count: int) -> list[Lead]:
    """The leads that waited longest become the actor's; what others are pulling just then is passed over.

    The time to first response goes on. Raises: NotFound; Forbidden for somebody who is no member of the queue.
    """
    queue, actor = await uow.get(Queue, queue_id), uow.actor
    if actor.member_id is None or not (
        actor.member_id in queue.member_ids or set(actor.team_ids) & set(queue.team_ids)
    ):
        raise Forbidden("You are no member of this queue.")
    columns = ", ".join(columns_of(Lead))
    rows = await uow.fetch(
        f"SELECT {columns} FROM leads.leads WHERE tenant_id = $1 AND queue_id = $2 AND deleted_at IS NULL"
        " ORDER BY queued_at, id LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED",
        uow.tenant_id,
        queue_id,
        count,
    )
    return [await _take(uow, queue, lead) for lead in entities(Lead, rows)]


async def _take(uow: UnitOfWork, queue: Queue, lead: Lead) -> Lead:
    me, team = uow.actor.member_id, uow.actor.home_team_id
    changes = {"owner_id": me, "team_id": team, "assigned_at": uow.now}
    taken = await LeadService(uow).write(lead, changes, action="pulled")
    await uow.insert(
        Assignment,
        id=new_id(),
        lead_id=lead.id,
        at=uow.now,
        cause=Cause.PULLED.value,
        target="queue",
        target_id=queue.id,
        strategy="pull",
        former_owner_id=None,
        member_id=me,
        reason="pulled",
        passed=[],
        candidates=[],
    )
    uow.publish(
        LeadAssigned(
            id=lead.id,
            owner_id=me,
            former_owner_id=None,
            team_id=team,
            queue_id=None,
            rule_id=None,
            cause=Cause.PULLED.value,
            response_due_at=taken.response_due_at,
        )
    )
    return taken
