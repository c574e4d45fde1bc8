"""Assigning leads: decisions of one tenant one after the other, many leads in a fixed number of statements.

Whoever assigns holds the tenant's assignment until the transaction ends. So shares, loads and quotas are those of
the moment, however many leads arrive at once, and no lead gets two owners. Leads are locked first, then this.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.kernel.holding import taken_over_sql
from app.kernel.ids import new_id
from app.kernel.locks import lock_name
from app.kernel.statements import columns_of, entity
from app.kernel.uow import UnitOfWork
from app.kernel.working_time import NeverOpen
from app.modules.customers.interface import Pools
from app.modules.leads.interface import LeadAssigned, PoolTarget
from app.modules.leads.models import AssignmentRule, Cause, Lead, Queue
from app.modules.leads.services.assignment.book import BookKeeper
from app.modules.leads.services.assignment.decisions import Book, Decider
from app.modules.leads.services.assignment.facts import Decision, LeadFacts
from app.tenants.interface import WorkingTime

Decide = Callable[[Book, LeadFacts], Decision | None]


@dataclass(frozen=True, slots=True)
class Promise:
    """How soon a lead wants its first response, as its rule or its queue says."""

    source: AssignmentRule | Queue
    due_at: datetime
    remind_at: datetime | None


class Assigner:
    """Decides about leads and writes what was decided."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow

    async def hold(self) -> None:
        """Wait for the tenant's other assignments; theirs wait for this transaction."""
        await lock_name(self.uow, "lead_assignment")

    async def assign(
        self,
        ids: Collection[UUID],
        cause: Cause,
        *,
        run_id: UUID | None = None,
        fresh: bool = False,
        rules: Sequence[AssignmentRule] | None = None,
        decide: Decide | None = None,
    ) -> list[Decision]:
        """Assign these leads, the oldest first. They are locked already, or made in this transaction.

        `fresh` leads were made in this transaction and nobody has seen them: they keep their version. `decide`
        replaces the walk through the rules; where it answers None, a lead stays as it is.
        """
        await self.hold()
        keeper = BookKeeper(self.uow, hold=True)
        book = await keeper.open(rules)
        leads = await keeper.facts(book, ids)
        if decide is None:
            decisions = [Decider(book).decide(lead) for lead in leads]
        else:
            decisions = [found for lead in leads if (found := decide(book, lead)) is not None]
        await self.write(book, decisions, cause, run_id=run_id, fresh=fresh)
        return decisions

    async def rehearse(self, ids: Collection[UUID]) -> list[Decision]:
        """What `assign` would decide now; nothing is written or held."""
        keeper = BookKeeper(self.uow, hold=False)
        book = await keeper.open()
        decider = Decider(book)
        return [decider.decide(lead) for lead in await keeper.facts(book, ids)]

    # -- writing -------------------------------------------------------------------------------------------

    async def write(
        self,
        book: Book,
        decisions: Sequence[Decision],
        cause: Cause,
        *,
        run_id: UUID | None = None,
        fresh: bool = False,
    ) -> None:
        """Owners, queues, turns, log, clocks, audit and events of some decisions."""
        if not decisions:
            return
        promises = await self.promises(book, decisions)
        pooled = {} if fresh else await self._pooled(decisions)
        await self._write_leads(decisions, promises, cause, fresh=fresh)
        for decision in decisions:
            if decision.lead.id in pooled:
                pool_id = pooled[decision.lead.id]
                await self.uow.of(Pools).assigned("lead", decision.lead.id, pool_id, decision.member_id)
        await self._write_turns(book)
        await self._write_log(decisions, cause, run_id)
        await self._start_clocks(decisions, promises)
        for port in self.uow.ports(PoolTarget):
            given = {d.lead.id: d.rule.target_id for d in decisions if d.port == port.kind and d.rule}
            if given:
                await port.put({id: target for id, target in given.items() if target is not None})

    async def _pooled(self, decisions: Sequence[Decision]) -> Mapping[UUID, UUID]:
        """The pools out of which leads come to an owner by this, by lead."""
        rows = await self.uow.fetch(
            "SELECT id, pool_id FROM leads.leads WHERE tenant_id = $1 AND id = ANY($2::uuid[])"
            " AND pool_id IS NOT NULL",
            self.uow.tenant_id,
            [decision.lead.id for decision in decisions if decision.member_id is not None],
        )
        return {row["id"]: row["pool_id"] for row in rows}

    async def promises(self, book: Book, decisions: Sequence[Decision]) -> Mapping[UUID, Promise]:
        """When the first response to each lead is due, in working time of its owner, else of the company."""
        working = self.uow.of(WorkingTime)
        calendars = await working.calendars_of({d.member_id for d in decisions if d.member_id})
        found: dict[UUID, Promise] = {}
        for decision in decisions:
            source = _source(book, decision)
            if source is None or source.respond_within_seconds is None:
                continue
            calendar = calendars.get(decision.member_id) if decision.member_id else None
            calendar = calendar or await working.default()
            try:
                due = calendar.add(self.uow.now, source.respond_within_seconds)
                before = source.remind_before_seconds
                remind = calendar.add(due, -before) if before else None
            except NeverOpen:  # hours that never come are no promise
                continue
            found[decision.lead.id] = Promise(source, due, remind)
        return found

    async def _write_leads(
        self,
        decisions: Sequence[Decision],
        promises: Mapping[UUID, Promise],
        cause: Cause,
        *,
        fresh: bool,
    ) -> None:
        uow = self.uow
        by_id = {decision.lead.id: decision for decision in decisions}
        columns = ", ".join(f"t.{name}" for name in columns_of(Lead))
        rows = await uow.fetch(
            f"{_UPDATE} RETURNING {columns}",
            uow.tenant_id,
            uow.now,
            0 if fresh else 1,
            list(by_id),
            [decision.member_id for decision in decisions],
            [decision.team_id for decision in decisions],
            [decision.queue_id for decision in decisions],
            [promises[id].due_at if id in promises else None for id in by_id],
        )
        for row in rows:
            self._tell(by_id[row["id"]], entity(Lead, row), cause)

    def _tell(self, decision: Decision, after: Lead, cause: Cause) -> None:
        """Audit a lead's new owner, team and queue, and publish them."""
        uow, before = self.uow, decision.lead
        record = uow.kernel.registry.records["lead"]
        changes = {
            name: [getattr(before, name), getattr(after, name)]
            for name in ("owner_id", "team_id", "queue_id")
            if getattr(before, name) != getattr(after, name)
        }
        uow.record_audit("lead", after.id, "assigned", changes, reason=decision.reason)
        uow.publish_record(
            record.updated,
            after.id,
            after.version,
            changed=[*changes, "assigned_at", "response_due_at"],
            record=record.render(after),
        )
        uow.publish(
            LeadAssigned(
                id=after.id,
                owner_id=after.owner_id,
                former_owner_id=before.owner_id,
                team_id=after.team_id,
                queue_id=after.queue_id,
                rule_id=decision.rule.id if decision.rule else None,
                cause=(decision.cause or cause).value,
                response_due_at=after.response_due_at,
            )
        )

    async def _write_turns(self, book: Book) -> None:
        rows = [
            (rule_id, member_id, turns.credit.get(member_id, 0), turns.last.get(member_id, 0))
            for rule_id, turns in book.turns.items()
            for member_id in sorted(turns.changed)
        ]
        if rows:
            await self.uow.fetch(_TURNS, self.uow.tenant_id, *map(list, zip(*rows, strict=True)))

    async def _write_log(self, decisions: Sequence[Decision], cause: Cause, run_id: UUID | None) -> None:
        entries = [log_entry(decision, cause, self.uow.now, run_id) for decision in decisions]
        await self.uow.fetch(_LOG, self.uow.tenant_id, entries)

    async def _start_clocks(self, decisions: Sequence[Decision], promises: Mapping[UUID, Promise]) -> None:
        """A clock per lead with a promise; a lead without one loses the clock that it had."""
        uow = self.uow
        await uow.fetch(
            "UPDATE leads.response_clocks SET state = 'stopped'"
            " WHERE tenant_id = $1 AND id = ANY($2::uuid[]) AND state = 'running'",
            uow.tenant_id,
            [decision.lead.id for decision in decisions],
        )
        rows = []
        for decision in decisions:
            promise = promises.get(decision.lead.id)
            if promise is None:
                continue
            source = promise.source
            rows.append(
                (
                    decision.lead.id,
                    source.id if isinstance(source, AssignmentRule) else None,
                    source.id if isinstance(source, Queue) else None,
                    source.respond_within_seconds,
                    source.remind_before_seconds,
                    source.max_reassignments,
                    source.escalate_to,
                    promise.due_at,
                    promise.remind_at,
                )
            )
        if rows:
            await uow.fetch(_CLOCKS, uow.tenant_id, uow.now, *map(list, zip(*rows, strict=True)))


def log_entry(
    decision: Decision, cause: Cause, now: datetime | None, run_id: UUID | None = None
) -> dict[str, object]:
    """A decision as a row of the log."""
    rule = decision.rule
    return {
        "id": new_id(),
        "lead_id": decision.lead.id,
        "at": now,
        "cause": (decision.cause or cause).value,
        "run_id": run_id,
        "rule_id": rule.id if rule else None,
        "rule_name": rule.name if rule else None,
        "target": rule.target if rule else None,
        "target_id": rule.target_id if rule else None,
        "strategy": rule.strategy if rule else None,
        "territory_id": decision.territory_id,
        "former_owner_id": decision.lead.owner_id,
        "member_id": decision.member_id,
        "queue_id": decision.queue_id,
        "reason": decision.reason,
        "passed": decision.passed,
        "candidates": decision.candidates,
    }


def _source(book: Book, decision: Decision) -> AssignmentRule | Queue | None:
    """Who promises a response: the rule if it says how soon, else the queue that the lead waits in."""
    if decision.rule is not None and decision.rule.respond_within_seconds is not None:
        return decision.rule
    return book.queues.get(decision.queue_id) if decision.queue_id else None


_UPDATE = f"""
UPDATE leads.leads t SET owner_id = s.owner_id,{taken_over_sql("s.owner_id", "$2")},
  team_id = CASE WHEN s.queue_id IS NULL THEN s.team_id ELSE (SELECT q.team_id FROM leads.queues q
    WHERE q.tenant_id = $1 AND q.id = s.queue_id) END,
  queue_id = s.queue_id, queued_at = CASE WHEN s.queue_id IS NOT NULL THEN $2::timestamptz END,
  assigned_at = $2,
  response_due_at = CASE WHEN t.first_response_at IS NULL THEN s.due_at ELSE t.response_due_at END,
  version = t.version + $3::bigint, updated_at = $2
FROM unnest($4::uuid[], $5::uuid[], $6::uuid[], $7::uuid[], $8::timestamptz[])
  AS s(id, owner_id, team_id, queue_id, due_at)
WHERE t.tenant_id = $1 AND t.id = s.id AND t.deleted_at IS NULL"""

_LOG = """
INSERT INTO leads.assignments (tenant_id, id, lead_id, at, cause, run_id, rule_id, rule_name, target, target_id,
  strategy, territory_id, former_owner_id, member_id, queue_id, reason, passed, candidates)
SELECT $1, d.* FROM jsonb_to_recordset($2::jsonb) AS d(id uuid, lead_id uuid, at timestamptz, cause text,
  run_id uuid, rule_id uuid, rule_name text, target text, target_id uuid, strategy text, territory_id uuid,
  former_owner_id uuid, member_id uuid, queue_id uuid, reason text, passed jsonb, candidates jsonb)"""

_TURNS = """
INSERT INTO leads.rotations AS r (tenant_id, id, rule_id, member_id, credit, last_turn)
SELECT $1, gen_random_uuid(), s.rule_id, s.member_id, s.credit, s.last_turn
FROM unnest($2::uuid[], $3::uuid[], $4::bigint[], $5::bigint[]) AS s(rule_id, member_id, credit, last_turn)
ON CONFLICT (tenant_id, rule_id, member_id)
  DO UPDATE SET credit = excluded.credit, last_turn = excluded.last_turn"""

_CLOCKS = """
INSERT INTO leads.response_clocks AS c (tenant_id, id, rule_id, queue_id, respond_within_seconds,
  remind_before_seconds, max_reassignments, escalate_to, started_at, due_at, remind_at, state)
SELECT $1, s.id, s.rule_id, s.queue_id, s.within, s.before, s.most, s.escalate_to, $2, s.due_at, s.remind_at,
  'running'
FROM unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::bigint[], $7::bigint[], $8::bigint[], $9::text[],
  $10::timestamptz[], $11::timestamptz[])
  AS s(id, rule_id, queue_id, within, before, most, escalate_to, due_at, remind_at)
JOIN leads.leads l ON l.tenant_id = $1 AND l.id = s.id AND l.first_response_at IS NULL
ON CONFLICT (tenant_id, id) DO UPDATE SET rule_id = excluded.rule_id, queue_id = excluded.queue_id,
  respond_within_seconds = excluded.respond_within_seconds,
  remind_before_seconds = excluded.remind_before_seconds, max_reassignments = excluded.max_reassignments,
  escalate_to = excluded.escalate_to, started_at = excluded.started_at, due_at = excluded.due_at,
  remind_at = excluded.remind_at, reassignments = 0, tried = '{}', state = 'running'"""
