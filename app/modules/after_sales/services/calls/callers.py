"""Who has a number, and what we know of them: one statement in each module that knows something."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from app.kernel.access import visible_rows
from app.kernel.listing import Bindings
from app.kernel.money import money_dict
from app.kernel.uow import UnitOfWork
from app.modules.activities.interface import Activities, Subject, TimelineEntry
from app.modules.after_sales.interface import CasePriority
from app.modules.after_sales.services.cases.states import UNRESOLVED_SQL, URGENCY_SQL
from app.modules.customers.interface import Customers
from app.modules.leads.interface import Leads
from app.modules.membership.interface import MemberCard, Memberships
from app.modules.orders.interface import Orders, Purchase

SHOWN: Final = 5
_ORDER: Final = ("contact", "account", "lead")
_PRIORITIES: Final = [priority.value for priority in CasePriority]
_NEVER: Final = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Caller:
    """A record with the number; `account_id` is the account itself, or the contact's."""

    object: str
    id: UUID
    name: str
    owner_id: UUID | None = None
    company: str | None = None
    account_id: UUID | None = None
    account_name: str | None = None
    purchases: Sequence[Purchase] = ()
    cases: Sequence[dict[str, Any]] = ()
    conversations: list[TimelineEntry] = field(default_factory=list)
    memberships: list[MemberCard] = field(default_factory=list)

    @property
    def subjects(self) -> list[Subject]:
        """Where conversations with them stand."""
        found = [Subject(self.object, self.id)]
        if self.object == "contact" and self.account_id is not None:
            found.append(Subject("account", self.account_id))
        return found

    def wire(self) -> dict[str, Any]:
        """As `CallerRead` declares it."""
        of_contact = self.object == "contact" and self.account_id is not None
        return {
            "object": self.object,
            "id": self.id,
            "name": self.name,
            "company": self.company,
            "account": {"id": self.account_id, "name": self.account_name or "…"} if of_contact else None,
            "owner_id": self.owner_id,
            "purchases": [_purchase(one) for one in self.purchases],
            "open_cases": list(self.cases),
            "conversations": [_conversation(one) for one in self.conversations],
            "memberships": [_membership(one) for one in self.memberships],
        }


async def callers(uow: UnitOfWork, e164: str) -> list[Caller]:
    """Whoever the actor sees with this number, without what is known of them: two statements."""
    found = [
        Caller(
            match.object,
            match.id,
            match.name,
            owner_id=match.owner_id,
            account_id=match.id if match.object == "account" else match.account_id,
            account_name=match.account_name,
        )
        for match in await uow.of(Customers).by_phone(e164)
    ]
    hidden = uow.actor.hidden("lead")
    found += [
        Caller(
            "lead",
            lead.id,
            "…" if "name" in hidden else lead.name,
            owner_id=None if "owner_id" in hidden else lead.owner_id,
            company=None if "company" in hidden else lead.company,
        )
        for lead in await uow.of(Leads).by_phone(e164)
    ]
    return found


async def informed(uow: UnitOfWork, found: list[Caller]) -> list[Caller]:
    """Fill in what is known of callers, and put them in order: one statement a module."""
    if not found:
        return found
    accounts = sorted({one.account_id for one in found if one.account_id is not None})
    contacts = sorted({one.id for one in found if one.object == "contact"})
    purchases = await uow.of(Orders).purchases_of(accounts, limit=SHOWN)
    cases = await _open_cases(uow, accounts, contacts)
    spoken = await uow.of(Activities).conversations([s for one in found for s in one.subjects], limit=SHOWN)
    cards = (
        await uow.of(Memberships).of(accounts, contacts) if uow.kernel.registry.provides(Memberships) else {}
    )
    for one in found:
        if one.account_id is not None:
            one.purchases = purchases.get(one.account_id, ())
        keys = list(dict.fromkeys(key for key in (one.id, one.account_id) if key is not None))
        mine = {case["id"]: case for key in keys for case in cases.get(key, ())}
        one.cases = sorted(mine.values(), key=_urgency)[:SHOWN]
        heard = {entry.id: entry for subject in one.subjects for entry in spoken.get(subject, ())}
        newest = sorted(heard.values(), key=lambda entry: (entry.at, entry.id), reverse=True)
        one.conversations = newest[:SHOWN]
        held = {card.id: card for key in keys for card in cards.get(key, ())}
        one.memberships = list(held.values())
    return sorted(found, key=_likelihood)


def _likelihood(one: Caller) -> tuple[Any, ...]:
    """Whose case is open rings about it; then whoever was spoken to last; then people before companies."""
    last = one.conversations[0].at if one.conversations else _NEVER
    return not one.cases, (_NEVER - last), _ORDER.index(one.object), one.name, one.id


def _urgency(case: dict[str, Any]) -> tuple[Any, ...]:
    return -_PRIORITIES.index(case["priority"]), case["opened_at"], case["id"]


async def _open_cases(
    uow: UnitOfWork, accounts: list[UUID], contacts: list[UUID]
) -> dict[UUID, list[dict[str, Any]]]:
    actor = uow.actor
    if not (accounts or contacts) or not actor.may("case:read") or _CASE & actor.hidden("case"):
        return {}
    bind = Bindings(uow.tenant_id, accounts, contacts, SHOWN)
    visible = visible_rows(actor, "case", "read", bind)
    parts = [
        _OPEN.format(column=column, ids=ids, visible=f" AND {visible}" if visible else "")
        for column, ids in (("contact_id", "$3"), ("account_id", "$2"))
    ]
    rows = await uow.fetch(" UNION ALL ".join(parts), *bind.values)
    found: dict[UUID, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["of_id"], []).append({name: row[name] for name in _SHOWN_OF_CASE})
    return found


def _purchase(one: Purchase) -> dict[str, Any]:
    order = one.order
    return {
        "id": order.id,
        "number": order.number,
        "status": order.status,
        "ordered_on": order.ordered_on.isoformat(),
        "total": money_dict(order.total.amount_minor, order.total.currency),
        "items": list(one.items),
    }


def _conversation(one: TimelineEntry) -> dict[str, Any]:
    text = None if one.text is None else one.text[:500]
    outcome = one.data.get("outcome")
    return {
        "id": one.id,
        "at": one.at,
        "kind": one.kind,
        "title": one.title,
        "text": text,
        "outcome": outcome,
    }


def _membership(one: MemberCard) -> dict[str, Any]:
    return {
        "id": one.id,
        "programme": one.programme,
        "number": one.number,
        "tier": one.tier,
        "points": one.points,
        "since": one.since.isoformat(),
    }


_SHOWN_OF_CASE: Final = ("id", "number", "subject", "status", "priority", "owner_id", "opened_at")
_CASE: Final = frozenset(_SHOWN_OF_CASE)
_OPEN: Final = f"""
(SELECT k.id AS of_id, o.* FROM unnest({{ids}}::uuid[]) AS k(id) CROSS JOIN LATERAL (
  SELECT {", ".join(f"t.{name}" for name in _SHOWN_OF_CASE)} FROM after_sales.cases t
  WHERE t.tenant_id = $1 AND t.{{column}} = k.id AND t.deleted_at IS NULL AND t.{UNRESOLVED_SQL}{{visible}}
  ORDER BY {URGENCY_SQL.format("t")}, t.opened_at, t.id LIMIT $4
) o)"""
