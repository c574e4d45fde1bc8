"""Giving a case to an agent: the one mechanism behind pulling and pushing.

Whoever gives holds the agent's row, so that nobody else gives to the same agent meanwhile and the load that is
counted then is the load that holds. The case is picked by one statement that passes over what others are taking.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from app.kernel.statements import columns_of, entity
from app.kernel.uow import UnitOfWork
from app.modules.after_sales.models.cases import Case
from app.modules.after_sales.models.desk import Agent, Queue
from app.modules.after_sales.services.cases.cases import CaseService
from app.modules.after_sales.services.cases.states import UNRESOLVED_SQL, URGENCY_SQL
from app.modules.after_sales.services.desk.queues import Bearing
from app.tenants.interface import Colleague

CALL_COUNTS_FOR_HOURS: Final = 8
"""A call that nobody ended, because a telephone system died, keeps an agent no longer than that."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a member got, and what they bear with it."""

    case: Case | None
    load: int


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms somebody takes from a queue: cases of what age, and until what age their optional skills count.

    Both in seconds.
    """

    from_age: int
    optional_for: int


def open_queues(queues: Collection[Queue], colleague: Colleague) -> dict[UUID, Terms]:
    """The queues from which somebody may take, and on what terms.

    Whoever lacks a required skill takes nothing; whoever lacks an optional one takes what has waited long enough.
    """
    found: dict[UUID, Terms] = {}
    for queue in queues:
        if colleague.id not in queue.member_ids and set(queue.team_ids).isdisjoint(colleague.team_ids):
            continue
        lacking = [
            skill["required"]
            for skill in queue.skills
            if colleague.skills.get(skill["skill"].casefold(), 0) < skill["level"]
        ]
        if not any(lacking):
            waits = queue.optional_for_seconds
            found[queue.id] = Terms(waits if lacking else 0, waits)
    return found


async def take(
    uow: UnitOfWork, agent: Agent, colleague: Colleague, queues: Mapping[UUID, Terms], bearing: Bearing
) -> Given:
    """Give the most urgent, then oldest case that fits and that they have the skills for to an agent who is held."""
    capacity = agent.capacity if agent.capacity is not None else bearing.capacity
    row = await uow.fetchrow(
        _TAKE,
        uow.tenant_id,
        agent.id,
        capacity,
        *_weights(bearing),
        uow.now,
        list(queues),
        [terms.from_age for terms in queues.values()],
        CALL_COUNTS_FOR_HOURS,
        [terms.optional_for for terms in queues.values()],
        list(colleague.skills),
        list(colleague.skills.values()),
    )
    load = int(row["load"]) if row else 0
    if row is None or row["id"] is None:
        return Given(None, load)
    case = entity(Case, {name: row[name] for name in columns_of(Case)})
    team = colleague.team_ids[0] if colleague.team_ids else None
    changes = {
        "owner_id": agent.id,
        "team_id": team if team is not None else case.team_id,
        "routed_at": uow.now,
    }
    taken = await CaseService(uow).write(case, changes, action="taken")
    weight = bearing.weights[case.channel]
    return Given(taken, load + (capacity if weight is None else weight))


@dataclass(frozen=True, slots=True)
class Burden:
    """What an agent has on the desk; `load` in units."""

    load: int
    cases: int
    on_call: bool


async def burdens(
    uow: UnitOfWork, agents: Sequence[tuple[UUID, int]], bearing: Bearing
) -> dict[UUID, Burden]:
    """What members with these capacities bear; one statement."""
    if not agents:
        return {}
    rows = await uow.fetch(
        _BURDENS,
        uow.tenant_id,
        [id for id, _ in agents],
        [capacity for _, capacity in agents],
        *_weights(bearing),
        uow.now,
        CALL_COUNTS_FOR_HOURS,
    )
    return {row["id"]: Burden(int(row["load"]), row["cases"], row["calls"] > 0) for row in rows}


def _weights(bearing: Bearing) -> tuple[list[str], list[int | None]]:
    return list(bearing.weights), list(bearing.weights.values())


_BURDEN: Final = """
SELECT coalesce(sum(coalesce(w.units, {capacity})), 0)
  + {capacity} * (SELECT count(*) FROM after_sales.calls l WHERE l.tenant_id = $1 AND l.agent_id = {agent}
    AND l.ended_at IS NULL AND l.started_at > {now}::timestamptz - make_interval(hours => {hours})) AS load,
  count(*) AS cases
FROM after_sales.cases c JOIN unnest({channels}::text[], {units}::bigint[]) AS w(channel, units)
  ON w.channel = c.channel
WHERE c.tenant_id = $1 AND c.owner_id = {agent} AND c.deleted_at IS NULL
  AND c.status IN ('new', 'open', 'pending_internal')"""

_PLACES: Final = {"channels": "$4", "units": "$5", "now": "$6"}

_TAKE: Final = f"""
WITH burden AS MATERIALIZED ({_BURDEN.format(capacity="$3::bigint", agent="$2", hours="$9", **_PLACES)}
), fitting AS MATERIALIZED (
  SELECT w.channel FROM unnest($4::text[], $5::bigint[]) AS w(channel, units), burden
  WHERE burden.load + coalesce(w.units, $3) <= $3
), picked AS MATERIALIZED (
  SELECT {", ".join(f"c.{name}" for name in columns_of(Case))} FROM after_sales.cases c
  WHERE c.tenant_id = $1 AND c.owner_id IS NULL AND c.queue_id IS NOT NULL AND c.deleted_at IS NULL
    AND c.{UNRESOLVED_SQL} AND c.queue_id = ANY($7::uuid[])
    AND c.channel = ANY(ARRAY(SELECT channel FROM fitting))
    AND c.opened_at <= $6::timestamptz
      - make_interval(secs => ($8::bigint[])[array_position($7::uuid[], c.queue_id)])
    AND (c.required_skills = '[]' OR NOT EXISTS (
      SELECT 1 FROM jsonb_to_recordset(c.required_skills) AS s(skill text, level bigint, required boolean)
      LEFT JOIN unnest($11::text[], $12::bigint[]) AS m(skill, level) ON m.skill = s.skill
      WHERE coalesce(m.level, 0) < s.level AND (s.required OR c.opened_at > $6::timestamptz
        - make_interval(secs => ($10::bigint[])[array_position($7::uuid[], c.queue_id)]))))
  ORDER BY {URGENCY_SQL.format("c")}, c.opened_at, c.id LIMIT 1
  FOR NO KEY UPDATE SKIP LOCKED
)
SELECT b.load, p.* FROM burden b LEFT JOIN picked p ON true"""

_BURDENS: Final = f"""
SELECT a.id, b.load, b.cases, (SELECT count(*) FROM after_sales.calls l WHERE l.tenant_id = $1
  AND l.agent_id = a.id AND l.ended_at IS NULL
  AND l.started_at > $6::timestamptz - make_interval(hours => $7)) AS calls
FROM unnest($2::uuid[], $3::bigint[]) AS a(id, capacity)
CROSS JOIN LATERAL ({_BURDEN.format(capacity="a.capacity", agent="a.id", hours="$7", **_PLACES)}) b"""
