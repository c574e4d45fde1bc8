"""The time to first response: reminders before it ends, and what happens to leads that nobody answered in time.

Each call is one transaction over some clocks. Clocks and leads are locked together and passed over where somebody
else holds them, so that any number of workers may call, and each miss is told and acted on exactly once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from app.kernel.uow import UnitOfWork
from app.modules.activities.interface import Activities, Subject
from app.modules.leads.interface import LeadResponseDueSoon, LeadResponseOverdue
from app.modules.leads.models import AssignmentRule, Cause, ClockState, EscalateTo
from app.modules.leads.services.assignment.assigner import Assigner
from app.modules.leads.services.assignment.decisions import Book, Decider
from app.modules.leads.services.assignment.facts import Decision, LeadFacts
from app.tenants.interface import Colleague, Colleagues

BATCH: Final = 200
_TASK: Final = {"en": "Answer {name}: the response is due soon", "zh": "请回复 {name}：首次响应即将到期"}


class ResponseWatch:
    """Looks at clocks whose time has come."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow

    # -- reminders -----------------------------------------------------------------------------------------

    async def remind(self) -> int:
        """Tell the owners of unanswered leads that the time is nearly over; how many clocks were looked at."""
        rows = await self.uow.fetch(_REMINDERS, self.uow.tenant_id, self.uow.now, BATCH)
        if not rows:
            return 0
        await self.uow.fetch(
            "UPDATE leads.response_clocks SET remind_at = NULL WHERE tenant_id = $1 AND id = ANY($2::uuid[])",
            self.uow.tenant_id,
            [row["id"] for row in rows],
        )
        waiting = [row for row in rows if row["waiting"]]
        owners = {row["owner_id"] for row in waiting if row["owner_id"]}
        active = await self.uow.of(Colleagues).among(owners)
        text = _TASK[self.uow.actor.tenant.language]
        for row in waiting:
            self.uow.publish(
                LeadResponseDueSoon(
                    id=row["id"], owner_id=row["owner_id"], queue_id=row["queue_id"], due_at=row["due_at"]
                )
            )
            if row["owner_id"] in active:
                await self.uow.of(Activities).add_task(
                    [Subject("lead", row["id"])],
                    text.format(name=row["name"]),
                    owner_id=row["owner_id"],
                    due_at=row["due_at"],
                    priority="high",
                )
        return len(rows)

    # -- misses --------------------------------------------------------------------------------------------

    async def close(self) -> int:
        """End clocks whose time is over; how many. Unanswered leads go to somebody else, or up."""
        rows = await self.uow.fetch(_DUE, self.uow.tenant_id, self.uow.now, BATCH)
        states: dict[ClockState, list[UUID]] = {}
        missed: list[Any] = []
        for row in rows:
            outcome = _outcome(row)
            if outcome is not ClockState.MISSED:
                states.setdefault(outcome, []).append(row["id"])
                continue
            self._tell(row)
            if row["waiting"]:
                missed.append(row)
            else:  # answered, but too late
                states.setdefault(outcome, []).append(row["id"])
        for state, ids in states.items():
            await self._end(ids, state)
        if missed:
            await self._hand_on(missed)
        return len(rows)

    def _tell(self, row: Any) -> None:
        self.uow.publish(
            LeadResponseOverdue(
                id=row["id"],
                owner_id=row["owner_id"],
                queue_id=row["queue_id"],
                rule_id=row["rule_id"],
                due_at=row["due_at"],
                reassignments=row["reassignments"],
            )
        )

    async def _end(self, ids: Sequence[UUID], state: ClockState, due: Sequence[datetime] = ()) -> None:
        """End clocks; with `due`, only those that have not begun anew since."""
        await self.uow.fetch(
            "UPDATE leads.response_clocks c SET state = $3"
            " FROM unnest($2::uuid[], $4::timestamptz[]) AS s(id, due_at)"
            " WHERE c.tenant_id = $1 AND c.id = s.id AND (s.due_at IS NULL OR c.due_at = s.due_at)",
            self.uow.tenant_id,
            list(ids),
            state.value,
            list(due) or [None] * len(ids),
        )

    async def _hand_on(self, rows: Sequence[Any]) -> None:
        """Give missed leads to the next candidates of their rules, or else to whom they are escalated."""
        handover = _Handover({row["id"]: row for row in rows}, await self._managers(rows))
        moving = [row["id"] for row in rows if not handover.stays(row)]
        again: list[UUID] = []
        if moving:
            rules = await self._rules({row["rule_id"] for row in rows} - {None})
            decisions = await Assigner(self.uow).assign(
                moving, Cause.OVERDUE, rules=rules, decide=handover.decide
            )
            again = [d.lead.id for d in decisions if d.cause is None]
        await self.uow.fetch(
            "UPDATE leads.response_clocks c SET reassignments = s.reassignments,"
            " tried = ARRAY(SELECT t::uuid FROM jsonb_array_elements_text(s.tried) t)"
            " FROM jsonb_to_recordset($2::jsonb) AS s(id uuid, reassignments bigint, tried jsonb)"
            " WHERE c.tenant_id = $1 AND c.id = s.id",
            self.uow.tenant_id,
            [handover.counted(id) for id in again],
        )
        rest = [row for row in rows if row["id"] not in again]
        await self._end([row["id"] for row in rest], ClockState.MISSED, [row["due_at"] for row in rest])

    async def _rules(self, ids: Collection[UUID]) -> list[AssignmentRule]:
        rows = await self.uow.all(self.uow.select(AssignmentRule).where(AssignmentRule.active))
        return [rule for rule in rows if rule.id in ids]

    async def _managers(self, rows: Sequence[Any]) -> Mapping[UUID, Colleague]:
        """The manager of each owner whose leads go up, where there is one who is active."""
        owners = {
            row["owner_id"] for row in rows if row["owner_id"] and row["escalate_to"] == EscalateTo.MANAGER
        }
        known = await self.uow.of(Colleagues).among(owners, hold=False)
        managers = {colleague.manager_id for colleague in known.values() if colleague.manager_id}
        active = await self.uow.of(Colleagues).among(managers)
        return {
            id: active[colleague.manager_id]
            for id, colleague in known.items()
            if colleague.manager_id is not None and colleague.manager_id in active
        }


class _Handover:
    """Who gets the leads of some missed clocks."""

    def __init__(self, rows: Mapping[UUID, Any], managers: Mapping[UUID, Colleague]) -> None:
        self.rows = rows
        self.managers = managers

    def stays(self, row: Any) -> bool:
        """Whether the lead is left where it is, because nobody else is to have it."""
        no_more = row["reassignments"] >= row["max_reassignments"] or row["rule_id"] is None
        return no_more and (row["escalate_to"] == EscalateTo.NOBODY or bool(row["in_default_queue"]))

    def counted(self, id: UUID) -> dict[str, Any]:
        """What a clock that begins anew remembers of those before."""
        row = self.rows[id]
        tried = [*row["tried"], row["owner_id"]] if row["owner_id"] else row["tried"]
        return {"id": id, "reassignments": row["reassignments"] + 1, "tried": tried}

    def decide(self, book: Book, lead: LeadFacts) -> Decision | None:
        """The next candidate of the rule, else whoever the rule or queue names in the end, if anybody."""
        row = self.rows[lead.id]
        if row["reassignments"] < row["max_reassignments"]:
            rule = next((rule for rule in book.rules if rule.id == row["rule_id"]), None)
            tried = {*row["tried"], row["owner_id"]}
            found = Decider(book).apply(rule, lead, without=tried) if rule is not None else "target_gone"
            if isinstance(found, Decision) and found.member_id is not None:
                return found
        return self._escalated(book, lead, row)

    def _escalated(self, book: Book, lead: LeadFacts, row: Any) -> Decision | None:
        manager = self.managers.get(row["owner_id"]) if row["escalate_to"] == EscalateTo.MANAGER else None
        if manager is not None:
            team = manager.team_ids[0] if manager.team_ids else None
            return Decision(lead, "manager", member_id=manager.id, team_id=team, cause=Cause.ESCALATED)
        if row["escalate_to"] == EscalateTo.NOBODY or row["in_default_queue"]:
            return None
        return Decision(lead, "default_queue", queue_id=book.default_queue_id, cause=Cause.ESCALATED)


def _outcome(row: Any) -> ClockState:
    """How a clock ends whose time is over."""
    if row["first_response_at"] is not None:
        return ClockState.MET if row["first_response_at"] <= row["due_at"] else ClockState.MISSED
    return ClockState.MISSED if row["waiting"] else ClockState.STOPPED


_WAITING: Final = (
    "l.first_response_at IS NULL AND l.deleted_at IS NULL AND l.status NOT IN ('converted', 'disqualified')"
    " AS waiting"
)
_REMINDERS: Final = f"""
SELECT c.id, c.due_at, l.name, l.owner_id, l.queue_id, {_WAITING}
FROM leads.response_clocks c JOIN leads.leads l ON l.tenant_id = c.tenant_id AND l.id = c.id
WHERE c.tenant_id = $1 AND c.state = 'running' AND c.remind_at <= $2 AND c.due_at > $2
ORDER BY c.remind_at, c.id LIMIT $3 FOR NO KEY UPDATE OF c, l SKIP LOCKED"""
_DUE: Final = f"""
SELECT c.id, c.rule_id, c.due_at, c.reassignments, c.max_reassignments, c.escalate_to, c.tried,
  l.owner_id, l.queue_id, l.first_response_at, {_WAITING},
  EXISTS (SELECT 1 FROM leads.queues q WHERE q.tenant_id = $1 AND q.id = l.queue_id AND q.is_default)
    AS in_default_queue
FROM leads.response_clocks c JOIN leads.leads l ON l.tenant_id = c.tenant_id AND l.id = c.id
WHERE c.tenant_id = $1 AND c.state = 'running' AND c.due_at <= $2
ORDER BY c.due_at, c.id LIMIT $3 FOR NO KEY UPDATE OF c, l SKIP LOCKED"""
