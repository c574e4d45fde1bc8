"""What a plan is computed from: the leads, the members and their room, and the history of wins and losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from app.kernel.access import visible_rows
from app.kernel.errors import FieldError, Invalid, NotFound
from app.kernel.listing import Bindings, Kind, query_from_body
from app.kernel.money import InvalidMoney, Money
from app.kernel.record_reads import field_set, select_records
from app.kernel.statements import columns_of, entity
from app.kernel.uow import UnitOfWork
from app.modules.customers.interface import Customers
from app.modules.leads.models import Lead
from app.modules.leads.schemas.optimisation import (
    MAX_LEADS,
    MAX_MEMBERS,
    OptimisationOptions,
    OptimisationRequest,
    OptimisedMember,
)
from app.modules.leads.services.leads import LEAD, LeadService
from app.modules.leads.services.optimisation.value import Candidate, History, LeadFacts, segment_key
from app.modules.leads.services.states import CONVERTED, DISQUALIFIED
from app.modules.opportunities.interface import Opportunities, OutcomeCount
from app.tenants.interface import Members, Teams

CLOSED = (CONVERTED, DISQUALIFIED)
CAPACITY = 30
CAPACITY_PERIOD = timedelta(days=30)
SIZE_FIELD = "custom.size"
_CLOSED_SQL = "('converted', 'disqualified')"
_AMOUNT_KINDS = frozenset({Kind.MONEY, Kind.INTEGER, Kind.DECIMAL})


# -- which leads ---------------------------------------------------------------------------------------------


async def chosen_leads(uow: UnitOfWork, request: OptimisationRequest) -> list[UUID]:
    """Ids of the open leads that a plan is about, oldest first.

    Raises: `NotFound` for ids that are not visible, `Forbidden` for those that the caller may not assign,
    `Invalid` for closed ones, for none and for too many.
    """
    if request.ids is not None and request.filter is not None:
        raise Invalid.at("/filter", "one_of", "Give either ids or a filter.")
    if request.ids is not None:
        return await _named_leads(uow, list(dict.fromkeys(request.ids)))
    body = {} if request.filter is None else {"filter": request.filter.model_dump(by_alias=True)}
    selection = await select_records(uow, LEAD, query_from_body(body))
    assignable = visible_rows(uow.actor, "lead", "assign", selection.bind)
    unowned = " AND t.owner_id IS NULL" if request.filter is None else ""
    rows = await uow.fetch(
        f"SELECT t.id FROM {LEAD.view} t WHERE {selection.where} AND t.status NOT IN {_CLOSED_SQL}{unowned}"
        f"{f' AND {assignable}' if assignable else ''} ORDER BY t.created_at, t.id LIMIT {MAX_LEADS + 1}",
        *selection.bind.values,
    )
    if not rows:
        raise Invalid.at("/filter", "no_leads", "No open lead that you may assign is among them.")
    if len(rows) > MAX_LEADS:
        raise Invalid.at("/filter", "too_many", f"A plan takes at most {MAX_LEADS} leads; narrow the filter.")
    return [row["id"] for row in rows]


async def _named_leads(uow: UnitOfWork, ids: list[UUID]) -> list[UUID]:
    found = await LeadService(uow).get_many(ids, action="assign")
    missing = [str(id) for id in ids if id not in found]
    if missing:
        raise NotFound(f"Not found: {', '.join(missing[:10])}.", missing=missing[:100])
    closed = [
        FieldError(f"/ids/{number}", "lead_closed", f"The lead is {found[id].status}.")
        for number, id in enumerate(ids)
        if found[id].status in CLOSED
    ]
    if closed:
        raise Invalid("Converted and disqualified leads are not shared out.", errors=closed[:100])
    return ids


async def read_leads(uow: UnitOfWork, ids: Sequence[UUID]) -> list[Lead]:
    """Those of the leads that are still open and still the actor's to assign, in the given order."""
    rows = await locked_leads(uow, ids, lock=False)
    found = [rows[id] for id in ids if id in rows]
    return [lead for lead, allowed in found if allowed and lead.status not in CLOSED]


async def locked_leads(
    uow: UnitOfWork, ids: Sequence[UUID], *, lock: bool = True
) -> dict[UUID, tuple[Lead, bool]]:
    """Visible leads and whether the actor may assign each; locked in the order of ids. One statement."""
    bind = Bindings(uow.tenant_id, list(ids))
    readable = visible_rows(uow.actor, "lead", "read", bind)
    assignable = visible_rows(uow.actor, "lead", "assign", bind)
    columns = ", ".join(f"t.{name}" for name in columns_of(Lead))
    rows = await uow.fetch(
        f"SELECT {columns}, {assignable or 'true'} AS allowed FROM leads.leads t WHERE t.tenant_id = $1"
        f" AND t.id = ANY($2::uuid[]) AND t.deleted_at IS NULL{f' AND {readable}' if readable else ''}"
        f"{' ORDER BY t.id FOR NO KEY UPDATE OF t' if lock else ''}",
        *bind.values,
    )
    return {row["id"]: (_lead(row), row["allowed"]) for row in rows}


def _lead(row: Any) -> Lead:
    values = dict(row)
    values.pop("allowed")
    return entity(Lead, values)


# -- among whom ----------------------------------------------------------------------------------------------


async def chosen_members(
    uow: UnitOfWork, request: OptimisationRequest, lead_ids: Sequence[UUID]
) -> list[Candidate]:
    """The members of a plan with their capacities. Raises `Invalid` for unknown, inactive or no members."""
    wanted = await _named_members(uow, request)
    ids = [member.member_id for member in wanted]
    if len(set(ids)) < len(ids):
        raise Invalid.at("/members", "duplicate", "A member is named twice.")
    known = await uow.of(Members).get_many(ids)
    unknown = [
        FieldError(f"/members/{number}/member_id", "unknown_member", f"{id} is no active member.")
        for number, id in enumerate(ids)
        if id not in known or not known[id].active
    ]
    if unknown:
        raise Invalid(unknown[0].detail, errors=unknown)
    load = await _recent_load(uow, [m.member_id for m in wanted if m.capacity is None], lead_ids)
    return [
        Candidate(
            member.member_id,
            max(0, CAPACITY - load.get(member.member_id, 0)) if member.capacity is None else member.capacity,
            None if member.skills is None else frozenset(skill.casefold() for skill in member.skills),
        )
        for member in wanted
    ]


async def _named_members(uow: UnitOfWork, request: OptimisationRequest) -> list[OptimisedMember]:
    if request.members is not None:
        if request.team_id is not None:
            raise Invalid.at("/team_id", "one_of", "Give either members or a team.")
        return request.members
    team_id = request.team_id or uow.actor.home_team_id
    if request.team_id is not None and not await uow.of(Teams).get_many([request.team_id]):
        raise Invalid.at("/team_id", "unknown_team", f"{request.team_id} is no team.")
    if team_id is not None:
        ids = [member.id for member in await uow.of(Teams).members_of(team_id)]
    else:
        ids = [uow.actor.member_id] if uow.actor.member_id else []
    if not ids:
        raise Invalid.at("/members", "no_members", "Name members or a team with active members.")
    if len(ids) > MAX_MEMBERS:
        raise Invalid.at("/team_id", "too_many", f"A plan takes at most {MAX_MEMBERS} members.")
    return [OptimisedMember(member_id=id) for id in ids]


async def _recent_load(
    uow: UnitOfWork, member_ids: Sequence[UUID], lead_ids: Sequence[UUID]
) -> Mapping[UUID, int]:
    """Open leads of each member outside the plan that came in within the period; all of them, seen or not."""
    if not member_ids:
        return {}
    rows = await uow.fetch(
        "SELECT owner_id, count(*) AS load FROM leads.leads WHERE tenant_id = $1 AND owner_id = ANY($2::uuid[])"
        f" AND created_at > $3::timestamptz AND status NOT IN {_CLOSED_SQL} AND deleted_at IS NULL"
        " AND id <> ALL($4::uuid[]) GROUP BY owner_id",
        uow.tenant_id,
        list(member_ids),
        uow.now - CAPACITY_PERIOD,
        list(lead_ids),
    )
    return {row["owner_id"]: row["load"] for row in rows}


# -- what they are worth -------------------------------------------------------------------------------------


async def check_options(uow: UnitOfWork, options: OptimisationOptions) -> None:
    """That the fields named are there for this actor, and amounts in the company's currency. Raises `Invalid`."""
    fields = (await field_set(uow, LEAD)).fields
    if options.amount_field is not None:
        found = fields.get(options.amount_field)
        if found is None or not found.name.startswith("custom.") or found.kind not in _AMOUNT_KINDS:
            detail = f"{options.amount_field} is no custom field of leads that holds money or a number."
            raise Invalid.at("/options/amount_field", "unknown_field", detail)
    if options.skill_field is not None:
        found = fields.get(options.skill_field)
        if found is None or found.kind is not Kind.TEXT:
            detail = f"{options.skill_field} is no text field of leads."
            raise Invalid.at("/options/skill_field", "unknown_field", detail)
    for number, dimension in enumerate(options.segment_by):
        if (SIZE_FIELD if dimension == "size" else dimension) not in fields:
            pointer = f"/options/segment_by/{number}"
            raise Invalid.at(pointer, "unknown_field", f"Leads have no field for {dimension}.")
    currency = uow.actor.tenant.currency
    if options.default_amount is not None and options.default_amount.currency != currency:
        raise Invalid.at("/options/default_amount", "currency", f"Amounts are in {currency}.")


@dataclass
class _Sum:
    count: int = 0
    minor: int = 0

    def add(self, count: int, minor: int) -> None:
        self.count += count
        self.minor += minor

    @property
    def average(self) -> int:
        return round(self.minor / self.count)


class Amounts:
    """What a lead may bring, in minor units of the company's currency, and where the figure comes from."""

    def __init__(self, options: OptimisationOptions, currency: str, history: Sequence[OutcomeCount]) -> None:
        self._options = options
        self._currency = currency
        self._all, self._by_source = _Sum(), dict[str, _Sum]()
        for count in history:
            self._all.add(count.amounts, count.amount)
            if count.source:
                source = count.source.strip().casefold()
                self._by_source.setdefault(source, _Sum()).add(count.amounts, count.amount)

    def of(self, lead: Lead, *, source: str | None) -> tuple[int, str]:
        """The amount and its origin: `field`, `source_average`, `average` or `default`."""
        stated = self._stated(lead)
        if stated is not None:
            return stated, "field"
        average = self._by_source.get((source or "").strip().casefold())
        if average is not None and average.count:
            return average.average, "source_average"
        if self._all.count:
            return self._all.average, "average"
        if self._options.default_amount is not None:
            return self._options.default_amount.amount_minor, "default"
        return Money.from_major("1", self._currency).amount_minor, "default"

    def _stated(self, lead: Lead) -> int | None:
        """The custom field's amount; one in another currency, or no amount at all, does not count."""
        if self._options.amount_field is None:
            return None
        value: Any = lead.custom.get(self._options.amount_field.removeprefix("custom."))
        if isinstance(value, dict):
            if value.get("currency") != self._currency:
                return None
            value = value.get("amount")
        if value is None:
            return None
        try:
            minor = int(Money.from_major("1", self._currency).amount_minor * Decimal(str(value)))
        except (InvalidOperation, InvalidMoney, ValueError):
            return None
        return minor if 0 <= minor < 2**40 else None


@dataclass(frozen=True)
class Facts:
    """Everything that a plan is computed from."""

    leads: list[Lead]
    facts: list[LeadFacts]
    shown: list[dict[str, Any]]  # per lead: what its line shows of segment and amount
    history: History


async def gather(
    uow: UnitOfWork, lead_ids: Sequence[UUID], members: Sequence[Candidate], options: OptimisationOptions
) -> Facts:
    """Read it all, in a fixed number of statements."""
    leads = await read_leads(uow, lead_ids)
    since = (uow.now - timedelta(days=options.history_days)).date()
    counts = await uow.of(Opportunities).outcomes([member.id for member in members], since=since)
    history = await _history(uow, counts, options)
    amounts = Amounts(options, uow.actor.tenant.currency, counts)
    hidden = uow.actor.hidden("lead")
    facts: list[LeadFacts] = []
    shown: list[dict[str, Any]] = []
    for lead in leads:
        segment = {dimension: _dimension(lead, dimension) for dimension in options.segment_by}
        amount, origin = amounts.of(lead, source=None if "source" in hidden else lead.source)
        key = segment_key(list(segment.values()))
        facts.append(LeadFacts(key, amount, lead.owner_id, _skill(lead, options)))
        shown.append({"segment": segment, "amount_from": origin})
    return Facts(leads, facts, shown, history)


def _dimension(lead: Lead, dimension: str) -> str | None:
    value = lead.custom.get(SIZE_FIELD.removeprefix("custom.")) if dimension == "size" else None
    found = value if dimension == "size" else getattr(lead, dimension)
    return found if isinstance(found, str) else None


def _skill(lead: Lead, options: OptimisationOptions) -> str | None:
    if options.skill_field is None:
        return None
    top, _, key = options.skill_field.partition(".")
    value = lead.custom.get(key) if key else getattr(lead, top)
    return value.casefold() if isinstance(value, str) and value else None


async def _history(uow: UnitOfWork, counts: Sequence[OutcomeCount], options: OptimisationOptions) -> History:
    """Wins and losses by segment and member: the segment is the converted lead's, else the account's."""
    own = [count for count in counts if count.owner_id is not None]
    leads = await _converted(uow, {count.lead_id for count in own if count.lead_id is not None})
    accounts = {c.account_id for c in own if c.account_id is not None and c.lead_id not in leads}
    profiles = await uow.of(Customers).account_profiles(accounts)
    history = History()
    for count in own:
        if count.owner_id is None:
            continue
        known: dict[str, str | None] = {"source": count.source}
        if count.lead_id in leads:
            known |= {k: v for k, v in leads[count.lead_id].items() if v is not None}
        elif count.account_id is not None and count.account_id in profiles:
            profile = profiles[count.account_id]
            known |= {"industry": profile.industry, "size": profile.size}
        segment = segment_key([known.get(dimension) for dimension in options.segment_by])
        history.add(segment, count.owner_id, count.won, count.won + count.lost)
    return history


async def _converted(uow: UnitOfWork, ids: set[UUID]) -> dict[UUID | None, dict[str, str | None]]:
    """Industry, source and size of the visible leads that opportunities came from."""
    if not ids or not uow.actor.may("lead:read"):
        return {}
    hidden = uow.actor.hidden("lead")
    bind = Bindings(uow.tenant_id, list(ids))
    visible = visible_rows(uow.actor, "lead", "read", bind)
    columns = ", ".join(
        f"{'NULL::text' if field in hidden else sql} AS {name}"
        for name, field, sql in (
            ("industry", "industry", "t.industry"),
            ("source", "source", "t.source"),
            ("size", "custom", f"t.custom->>'{SIZE_FIELD.removeprefix('custom.')}'"),
        )
    )
    rows = await uow.fetch(
        f"SELECT t.id, {columns} FROM leads.leads t WHERE t.tenant_id = $1 AND t.id = ANY($2::uuid[])"
        f" AND t.deleted_at IS NULL{f' AND {visible}' if visible else ''}",
        *bind.values,
    )
    return {row["id"]: {name: row[name] for name in ("industry", "source", "size")} for row in rows}
