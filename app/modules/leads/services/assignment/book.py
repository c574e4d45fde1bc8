"""Reading what decisions go by: rules, people, their hours and their load, in a fixed number of statements."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from app.kernel.errors import InvalidFilter
from app.kernel.ids import new_id
from app.kernel.listing import Bindings, FieldSet, compile_filter, query_from_body
from app.kernel.uow import UnitOfWork
from app.modules.leads.interface import PoolTarget
from app.modules.leads.models import AssignmentRule, Queue, Territory
from app.modules.leads.services.assignment.decisions import QUEUE, TARGETS, TERRITORY, Book
from app.modules.leads.services.assignment.distribution import Turns, Workload
from app.modules.leads.services.assignment.facts import LeadFacts
from app.modules.leads.services.assignment.territories import TerritoryTree
from app.tenants.interface import Colleagues, WorkingTime

DEFAULT_QUEUE: Final = ("Unassigned leads", "待分配线索")
DAY: Final = timedelta(hours=24)
_FACTS: Final = (
    "id", "owner_id", "team_id", "queue_id", "country", "region", "city", "industry", "size", "product_name",
)  # fmt: skip


class BookKeeper:
    """Makes the book of a transaction; with `hold` nobody in it can be deactivated before the commit."""

    def __init__(self, uow: UnitOfWork, *, hold: bool) -> None:
        self.uow = uow
        self.hold = hold

    async def open(self, rules: Sequence[AssignmentRule] | None = None) -> Book:
        """Everything for these rules; absent, for all active ones in their order."""
        uow = self.uow
        if rules is None:
            statement = uow.select(AssignmentRule).where(AssignmentRule.active)
            rules = await uow.all(statement.order_by(AssignmentRule.position, AssignmentRule.id))
        queues = {row.id: row for row in await uow.all(uow.select(Queue))}
        territories = TerritoryTree(await self._territories(rules))
        book = Book(
            rules=rules,
            queues=queues,
            default_queue_id=await default_queue_id(uow, queues.values()) if self.hold else _default(queues),
            territories=territories,
            colleagues={},
            workloads={},
            accepting=frozenset(),
            present=frozenset(),
            absent={},
            turns=await self._turns(rules),
            ports=await self._ports(rules),
        )
        await self._staff(book)
        return book

    async def _territories(self, rules: Sequence[AssignmentRule]) -> list[Territory]:
        if not any(rule.within_territory or rule.target == TERRITORY for rule in rules):
            return []
        return await self.uow.all(self.uow.select(Territory))

    async def _ports(self, rules: Sequence[AssignmentRule]) -> Mapping[str, frozenset[UUID]]:
        found: dict[str, frozenset[UUID]] = {}
        for port in self.uow.ports(PoolTarget):
            wanted = {rule.target_id for rule in rules if rule.target == port.kind and rule.target_id}
            if wanted:
                found[port.kind] = await port.known(wanted)
        return found

    async def _turns(self, rules: Sequence[AssignmentRule]) -> dict[UUID, Turns]:
        rows = await self.uow.fetch(
            "SELECT rule_id, member_id, credit, last_turn FROM leads.rotations"
            " WHERE tenant_id = $1 AND rule_id = ANY($2::uuid[])",
            self.uow.tenant_id,
            [rule.id for rule in rules],
        )
        found: dict[UUID, Turns] = {}
        for row in rows:
            turns = found.setdefault(row["rule_id"], Turns())
            turns.credit[row["member_id"]] = row["credit"]
            turns.last[row["member_id"]] = row["last_turn"]
        return found

    async def _staff(self, book: Book) -> None:
        """Whoever the rules may name, with hours, absences and load; and who stands in for them."""
        members, teams = self._named(book)
        colleagues = dict(await self.uow.of(Colleagues).among(members, teams, hold=self.hold))
        working = self.uow.of(WorkingTime)
        book.absent = await working.absent(colleagues, self.uow.now)
        stand_ins = {id for id in book.absent.values() if id is not None} - colleagues.keys()
        if stand_ins:
            colleagues |= await self.uow.of(Colleagues).among(stand_ins, hold=self.hold)
            book.absent = await working.absent(colleagues, self.uow.now)
        book.colleagues = colleagues
        book.present = await working.present(colleagues, self.uow.now)
        rows = await self.uow.fetch(_WORKLOADS, self.uow.tenant_id, list(colleagues), self.uow.now - DAY)
        book.workloads = {
            row["id"]: Workload(
                row["id"], row["capacity"], row["weight"], row["open_leads"], row["assigned_today"]
            )
            for row in rows
        }
        book.accepting = frozenset(row["id"] for row in rows if row["accepting"])

    def _named(self, book: Book) -> tuple[set[UUID], set[UUID]]:
        members, teams = book.territories.everybody()
        for rule in book.rules:
            if rule.target_id is None:
                continue
            if rule.target == QUEUE and rule.target_id in book.queues:
                members |= set(book.queues[rule.target_id].member_ids)
                teams |= set(book.queues[rule.target_id].team_ids)
            elif rule.target in TARGETS:
                (members if rule.target == "member" else teams).add(rule.target_id)
        return members, teams

    async def facts(self, book: Book, ids: Collection[UUID]) -> list[LeadFacts]:
        """What rules see of these leads, the oldest first; one statement asks all conditions of all leads."""
        fields = await lead_fields(self.uow)
        bind = Bindings(self.uow.tenant_id, list(ids))
        conditions: list[str] = []
        broken: set[int] = set()
        for place, rule in enumerate(book.rules):
            known = len(bind.values)
            try:
                condition = compile_rule(self.uow, rule.filter, fields, bind)
            except InvalidFilter:  # a field that it asks for is gone
                del bind.values[known:]
                broken.add(place)
                continue
            conditions.append(f"CASE WHEN {condition or 'true'} THEN {place} END")
        book.broken = frozenset(broken)
        matched = (
            f"array_remove(ARRAY[{', '.join(conditions)}]::int[], NULL)" if conditions else "'{}'::int[]"
        )
        columns = ", ".join(f"t.{name}" for name in _FACTS)
        rows = await self.uow.fetch(
            f"SELECT {columns}, {matched} AS matched FROM leads.leads_read t"
            " WHERE t.tenant_id = $1 AND t.id = ANY($2::uuid[]) AND t.deleted_at IS NULL"
            " ORDER BY t.created_at, t.id",
            *bind.values,
        )
        return [
            LeadFacts(**{name: row[name] for name in _FACTS}, matched=frozenset(row["matched"]))
            for row in rows
        ]


def compile_rule(
    uow: UnitOfWork, tree: Mapping[str, Any] | None, fields: FieldSet, bind: Bindings
) -> str | None:
    """A rule's conditions as SQL over alias `t`. Raises: InvalidFilter."""
    query = query_from_body({"filter": tree})
    return compile_filter(query.groups, fields, uow.actor.tenant, uow.now, bind)


async def lead_fields(uow: UnitOfWork) -> FieldSet:
    """All fields of leads, custom ones too: rules are asked whatever the actor at hand may see."""
    record = uow.kernel.registry.records["lead"]
    custom = await uow.kernel.custom_fields.listing_fields(uow, "lead")
    return FieldSet({**record.fields, **custom})


async def default_queue_id(uow: UnitOfWork, queues: Collection[Queue] = ()) -> UUID:
    """The default queue, made when it is first needed; safe when many do it at once."""
    known = next((queue.id for queue in queues if queue.is_default), None)
    if known is not None:
        return known
    rows = await uow.fetch(
        "INSERT INTO leads.queues (tenant_id, id, name_en, name_zh, is_default, created_at, updated_at)"
        " VALUES ($1, $2, $3, $4, true, $5, $5) ON CONFLICT DO NOTHING RETURNING id",
        uow.tenant_id,
        new_id(),
        *DEFAULT_QUEUE,
        uow.now,
    )
    if not rows:  # whoever comes second waits for the first and then finds it there
        rows = await uow.fetch(
            "SELECT id FROM leads.queues WHERE tenant_id = $1 AND is_default", uow.tenant_id
        )
    if not rows:  # a queue of the company's own has that name: it will do
        rows = await uow.fetch(
            "UPDATE leads.queues SET is_default = true, version = version + 1, updated_at = $3"
            " WHERE tenant_id = $1 AND name_en = $2 RETURNING id",
            uow.tenant_id,
            DEFAULT_QUEUE[0],
            uow.now,
        )
    found: UUID = rows[0]["id"]
    return found


def _default(queues: Mapping[UUID, Queue]) -> UUID:
    """The default queue for a rehearsal; before there is one, an id that nothing has."""
    return next((queue.id for queue in queues.values() if queue.is_default), UUID(int=0))


_WORKLOADS = """
SELECT m.id, coalesce(a.capacity, 30) AS capacity, coalesce(a.weight, 1) AS weight,
  coalesce(a.accepting, true) AS accepting,
  (SELECT count(*) FROM leads.leads l WHERE l.tenant_id = $1 AND l.owner_id = m.id AND l.deleted_at IS NULL
    AND l.status NOT IN ('converted', 'disqualified')) AS open_leads,
  (SELECT count(*) FROM leads.assignments d WHERE d.tenant_id = $1 AND d.member_id = m.id AND d.at > $3)
    AS assigned_today
FROM unnest($2::uuid[]) m(id) LEFT JOIN leads.assignees a ON a.tenant_id = $1 AND a.id = m.id"""
