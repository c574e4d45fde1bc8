"""Recycling: records that nobody works on go back into a pool, batch by batch, and their owners are warned before.

Each batch is one transaction that moves records, logs and tells of them: whoever is killed between two batches has
lost nothing, and the next run begins anew without doing anything twice, since what has moved is no candidate any
more. A record that changes while it is looked at, or is locked by somebody, is left for the next run.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from uuid import UUID

from app.kernel.access import NOBODY
from app.kernel.listing import Bindings
from app.kernel.statements import columns_of, entity
from app.kernel.uow import UnitOfWork
from app.modules.customers.interface import PoolFact
from app.modules.customers.models import Pool, PoolMovementKind
from app.modules.customers.services.pools.desk import Desk
from app.modules.customers.services.pools.movements import Candidate, Movements
from app.modules.customers.services.pools.pools import WON
from app.modules.customers.services.pools.reminders import Reminder, Reminders
from app.modules.customers.services.pools.rules import RECEIVED, Fired, Rule, first_fired, latest_receipt
from app.tenants.interface import Teams

BATCH = 2_000  # a second or two of work: nobody waits longer for a record of it
Position = tuple[datetime, UUID]
"""When a record was received, and its id: the order in which records are looked at."""
FIRST: Position = (datetime(1, 1, 2, tzinfo=UTC), NOBODY)
Transaction = Callable[[], AbstractAsyncContextManager[UnitOfWork]]


@dataclass(frozen=True)
class Plan:
    """What a pool recycles: records of these owners (None: of anybody), by these rules."""

    pool: Pool
    owners: tuple[UUID, ...] | None

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        return tuple(Rule.of(stored) for stored in self.pool.recycle_rules)


@dataclass(frozen=True, slots=True)
class Step:
    """What one batch did, and the place after which the next one begins; None after the last."""

    pool_id: UUID
    recycled: int = 0
    reminded: int = 0
    after: Position | None = None


async def recycle(transaction: Transaction, *, batch: int = BATCH) -> AsyncIterator[Step]:
    """Recycle what is due in all pools of a tenant, then remind; one step per transaction.

    A record that several pools would take goes to the oldest of them.
    """
    async with transaction() as uow:
        plans = await plans_of(uow)
    for plan in plans:
        for take in (recycle_batch, remind_batch):
            after: Position | None = FIRST
            while after is not None:
                async with transaction() as uow:
                    step = await take(uow, plan, after, batch)
                after = step.after
                yield step


async def plans_of(uow: UnitOfWork) -> list[Plan]:
    """The enabled pools that recycle, oldest first, with whose records they take."""
    columns = ", ".join(f"p.{name}" for name in columns_of(Pool))
    rows = await uow.fetch(
        f"SELECT {columns}, ARRAY(SELECT member_id FROM customers.pool_members m WHERE m.tenant_id = $1"
        "  AND m.pool_id = p.id AND m.member_id IS NOT NULL) AS member_ids_,"
        " ARRAY(SELECT team_id FROM customers.pool_members m WHERE m.tenant_id = $1"
        "  AND m.pool_id = p.id AND m.team_id IS NOT NULL) AS team_ids_"
        " FROM customers.pools p WHERE p.tenant_id = $1 AND p.deleted_at IS NULL AND p.is_enabled"
        " AND p.recycle_enabled AND p.recycle_rules <> '[]' ORDER BY p.id",
        uow.tenant_id,
    )
    plans: list[Plan] = []
    for row in rows:
        values = dict(row)
        owners = set(values.pop("member_ids_"))
        for team_id in values.pop("team_ids_"):
            owners |= {member.id for member in await uow.of(Teams).members_of(team_id)}
        pool = entity(Pool, values)
        plans.append(Plan(pool, None if pool.open_to_all else tuple(sorted(owners))))
    return plans


async def recycle_batch(uow: UnitOfWork, plan: Plan, after: Position, limit: int) -> Step:
    """Move the due records among the next `limit` that have waited long enough."""
    rows = await _waiting(uow, plan, after, limit, early=None)
    fired = await _fired(uow, plan, rows)
    candidates = [
        Candidate(row["id"], row["version"], row["last_follow_up_at"], found.label) for row, found in fired
    ]
    moved = 0
    if candidates:
        done = await Movements(uow).put(
            plan.pool, candidates, PoolMovementKind.RECYCLED, reason=None, patient=False
        )
        moved = len(done)
    return Step(plan.pool.id, recycled=moved, after=_next(rows, limit))


async def remind_batch(uow: UnitOfWork, plan: Plan, after: Position, limit: int) -> Step:
    """Warn the owners of those among the next `limit` records that will be due within the pool's reminder days."""
    if plan.pool.reminder_days is None:
        return Step(plan.pool.id)
    rows = await _waiting(uow, plan, after, limit, early=plan.pool.reminder_days)
    fired = await _fired(uow, plan, rows)
    reminders = [
        Reminder(row["id"], row["owner_id"], row["title"], found.label, found.due_at) for row, found in fired
    ]
    reminded = await Reminders(uow).send(plan.pool, reminders) if reminders else 0
    return Step(plan.pool.id, reminded=reminded, after=_next(rows, limit))


def _next(rows: Sequence[Any], limit: int) -> Position | None:
    return (rows[-1]["received"], rows[-1]["id"]) if len(rows) == limit else None


async def _waiting(
    uow: UnitOfWork, plan: Plan, after: Position, limit: int, *, early: int | None
) -> list[Any]:
    """The next records that time alone makes due; or with `early`, that will be so within that many days.

    In the order of receipt, through the read view: what came lately is not even looked at.
    """
    desk, pool, zone = Desk(uow), plan.pool, uow.actor.tenant.zone
    latest = latest_receipt(plan.rules, uow.now, zone, early=early or 0)
    if latest is None or (plan.owners is not None and not plan.owners):
        return []
    port, record = desk.kind(pool.object), desk.record(pool.object)
    bind = Bindings(uow.tenant_id, *after, latest)
    due = [rule.due(uow.now, zone, bind, early=early or 0) for rule in plan.rules]
    clauses = [f"({' OR '.join(due)})", f"NOT ({port.closed})"]
    if plan.owners is not None:
        clauses.append(f"t.owner_id = ANY({bind(list(plan.owners))}::uuid[])")
    if pool.recycle_exempt_tags:
        clauses.append(f"NOT t.tags && {bind(pool.recycle_exempt_tags)}::text[]")
    if WON in pool.recycle_exemptions:
        clauses.append(f"NOT ({port.won})")
    if early is not None:
        clocks = ", ".join(rule.clock for rule in plan.rules)
        clauses.append(f"(t.recycle_reminded_at IS NULL OR t.recycle_reminded_at < greatest({clocks}))")
    shown = [
        f"({condition}) IS TRUE AS due_{place}, {rule.clock} AS clock_{place},"
        f" {f't.{rule.level_field}' if rule.level_field else 'NULL::text'} AS level_{place}"
        for place, (rule, condition) in enumerate(zip(plan.rules, due, strict=True))
    ]
    return await uow.fetch(
        f"SELECT t.id, t.version, t.owner_id, t.last_follow_up_at, t.{record.title} AS title,"
        f" {RECEIVED} AS received, ({port.won}) AS is_won, {', '.join(shown)} FROM {record.view} t"
        f" WHERE t.tenant_id = $1 AND ({RECEIVED}, t.id) > ($2, $3) AND {RECEIVED} <= $4"
        " AND t.owner_id IS NOT NULL AND t.pool_id IS NULL AND NOT t.is_locked AND t.deleted_at IS NULL"
        f" AND {' AND '.join(clauses)} ORDER BY {RECEIVED}, t.id LIMIT {int(limit)}",
        *bind.values,
    )


async def _fired(uow: UnitOfWork, plan: Plan, rows: Sequence[Any]) -> list[tuple[Any, Fired]]:
    """The rows for which a rule fires and which nothing exempts."""
    if not rows:
        return []
    ended = {rule.ended_by for rule in plan.rules if rule.ended_by}
    exempting = set(plan.pool.recycle_exemptions)
    facts: dict[str, Collection[UUID]] = {name: set() for name in ended | exempting}
    if WON in facts:
        facts[WON] = {row["id"] for row in rows if row["is_won"]}
    ids = [row["id"] for row in rows]
    for fact in uow.ports(PoolFact):
        if fact.name in facts:
            facts[fact.name] = {*facts[fact.name], *await fact.true_of(plan.pool.object, ids)}
    kept = set[UUID]().union(*(facts[name] for name in exempting))
    zone = uow.actor.tenant.zone
    found: list[tuple[Any, Fired]] = []
    for row in rows:
        fired = None if row["id"] in kept else first_fired(plan.rules, row, facts, zone)
        if fired is not None:
            found.append((row, fired))
    return found
