"""All that a company's bills follow from: who it is, its plans, coupons and earlier bills, read in one statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final
from uuid import UUID

from app.kernel.errors import NotFound
from app.kernel.uow import UnitOfWork
from app.tenants.billing.bills import Occupied, Terms
from app.tenants.billing.metering import PAST
from app.tenants.billing.periods import BillingInterval, Period, period_at, whole_hour
from app.tenants.billing.plans import Plan, PlanPrice, price_list

_BILL: Final = """json_build_object('period_start', b.period_start, 'period_end', b.period_end,
    'usage_until', b.usage_until, 'lines', b.lines, 'discounts', b.discounts, 'number', b.number, 'total', b.total,
    'voided', (SELECT x.id FROM tenants.billing_transactions x
      WHERE x.tenant_id = b.tenant_id AND x.bill_id = b.id AND x.kind = 'void'),
    'credits', (SELECT coalesce(json_agg(json_build_object('id', n.id, 'total', n.total, 'lines', n.lines)), '[]')
      FROM tenants.bill_credit_notes n WHERE n.tenant_id = b.tenant_id AND n.bill_id = b.id))"""
_READ: Final = f"""
SELECT t.name, t.legal_name, t.address, t.tax_number, t.country, t.currency, t.created_at,
  (SELECT coalesce(json_agg(c ORDER BY c.effective_at), '[]') FROM tenants.subscription_changes c
   WHERE c.tenant_id = t.tenant_id) AS changes,
  (SELECT coalesce(json_agg(to_jsonb(r) || jsonb_build_object('value', r.value::text) ORDER BY r.redeemed_at, r.id),
     '[]') FROM tenants.coupon_redemptions r
   WHERE r.tenant_id = t.tenant_id) AS redemptions,
  t.cancel_at, (SELECT coalesce(json_agg(e ORDER BY e.ended_at), '[]') FROM tenants.subscription_ends e
   WHERE e.tenant_id = t.tenant_id) AS ends,
  (SELECT coalesce(json_agg({_BILL} ORDER BY b.period_end), '[]') FROM tenants.bills b
   WHERE b.tenant_id = t.tenant_id AND b.period_end >=
     (SELECT least(max(l.usage_until) - $2::interval, max(l.period_end)) FROM tenants.bills l
      WHERE l.tenant_id = t.tenant_id)) AS bills
FROM tenants.tenants t WHERE t.tenant_id = $1 AND t.id = $1"""
_READ_BILL: Final = f"SELECT {_BILL} AS bill FROM tenants.bills b WHERE b.tenant_id = $1 AND b.id = $2"


@dataclass(frozen=True, slots=True)
class Held:
    """A plan at a price, from `at` on; its periods are counted from `anchor`."""

    at: datetime
    anchor: datetime
    plan: Plan
    price: PlanPrice

    @property
    def terms(self) -> Terms:
        return Terms(self.at, self.plan.key, self.plan.version, self.price)


@dataclass(frozen=True, slots=True)
class Redeemed:
    """A coupon as it was when the company redeemed it; `value` in percent, or in major units of `currency`."""

    code: str
    kind: str
    value: Decimal
    currency: str | None
    duration: str
    months: int | None
    at: datetime


@dataclass(frozen=True, slots=True)
class End:
    """The company left, or will; with `resumed` it came back. `settled`: its last bill before that is made."""

    at: datetime
    resumed: datetime | None = None
    settled: bool = False


@dataclass(frozen=True, slots=True)
class Credit:
    """A credit note of a bill: `total` in minor units, tax included; without `lines`, of the whole bill."""

    id: UUID
    total: int
    lines: Sequence[Mapping[str, int]] = ()


@dataclass(frozen=True, slots=True)
class EarlierBill:
    """An issued bill, as far as later ones have to know: what it booked and took off, and what usage had arrived.

    `credits` and `voided` (the entry of the ledger that took it back whole) say what of it holds no more.
    """

    period: Period
    usage_until: datetime
    lines: Sequence[Mapping[str, Any]]
    discounts: Sequence[Mapping[str, Any]] = ()
    number: str = ""
    total: int = 0
    credits: Sequence[Credit] = ()
    voided: UUID | None = None

    def as_of(self, later: UUID) -> EarlierBill:
        """As it was when a later bill was made: ids are in the order in which a company's billing was held."""
        voided = self.voided if self.voided is not None and self.voided < later else None
        return replace(self, credits=[one for one in self.credits if one.id < later], voided=voided)

    def withdrawn(self, lines: Sequence[Mapping[str, Any]]) -> Fraction:
        """The share of what some of its lines came to that it does not ask for any more."""
        if self.voided is not None:
            return Fraction(1)
        came_to: int = sum(line["amount"] - line["discount"] + line["tax"] for line in lines)
        if came_to <= 0 or self.total <= 0:
            return Fraction(0)
        positions = {line["position"] for line in lines}
        off = Fraction(0)
        for credit in self.credits:
            named = sum(one["amount"] for one in credit.lines if one["position"] in positions)
            off += named if credit.lines else Fraction(credit.total * came_to, self.total)
        return min(Fraction(1), off / came_to)


@dataclass(frozen=True, slots=True)
class Buyer:
    """The company as its bills name it."""

    name: str
    lines: tuple[str, ...]
    country: str
    tax_number: str | None


@dataclass(frozen=True, slots=True)
class History:
    """One company's; `held` by time, never empty. `stored` is False while no plan was chosen or billed yet."""

    buyer: Buyer
    held: tuple[Held, ...]
    stored: bool
    redeemed: tuple[Redeemed, ...]
    bills: tuple[EarlierBill, ...]
    ends: tuple[End, ...] = ()

    @property
    def opening(self) -> Period:
        """The trial, in which nothing is charged; without one, no time at all."""
        first = self.held[0]
        return Period(first.at, first.anchor)

    @property
    def away(self) -> frozenset[Period]:
        """The times for which the company had left: nothing is charged for them."""
        return frozenset(Period(end.at, end.resumed) for end in self.ends if end.resumed is not None)

    def as_of(self, later: UUID) -> History:
        """With earlier bills as they were when a later one was made."""
        return replace(self, bills=tuple(one.as_of(later) for one in self.bills))

    def left(self, moment: datetime) -> bool:
        """Whether the company has left by then, for good as far as is known."""
        return any(end.at <= moment and end.resumed is None for end in self.ends)

    def period_at(self, moment: datetime) -> Period:
        """The period that a moment lies in; the last one for who has left by then."""
        for end in self.ends:
            if end.at <= moment and end.resumed is None:
                moment = end.at - timedelta(seconds=1)
        if moment < self.opening.end:
            return self.opening
        for away in self.away:
            if moment in away:
                return away
        held = self.held_at(moment)
        found = period_at(held.anchor, held.price.interval, moment)
        cut = [end.at for end in self.ends if found.start < end.at < found.end]
        return Period(found.start, cut[0]) if cut else found

    def whole(self, over: Period) -> Period:
        """A period as it was paid in advance, though the company may have left within it."""
        if over == self.opening or over in self.away:
            return over
        held = self.held_at(over.start)
        return period_at(held.anchor, held.price.interval, over.start)

    def held_at(self, moment: datetime) -> Held:
        """What held at a moment; before the first, the first."""
        return [self.held[0], *(one for one in self.held[1:] if one.at <= moment)][-1]

    def before(self, over: Period) -> Period | None:
        """The period that ends where this one begins; None before the opening one."""
        if over == self.opening:
            return None
        if over.start == self.opening.end:
            return self.opening
        return self.period_at(over.start - timedelta(seconds=1))

    def terms(self, period: Period) -> list[Terms]:
        """What held when a period began, what came within it, and what begins as it ends."""
        after = [one.terms for one in self.held if period.start < one.at <= period.end]
        return [replace(self.held_at(period.start).terms, at=period.start), *after]

    def reopened(self, over: Period) -> list[Period]:
        """Billed periods whose usage may have grown since, by events that arrived late."""
        before = [bill for bill in self.bills if bill.period.end <= over.start]
        if not before:
            return []
        oldest = before[-1].usage_until - PAST
        return [
            bill.period
            for bill in before
            if bill.period.end > max(oldest, self.opening.end) and bill.period not in self.away
        ]


async def read_history(uow: UnitOfWork) -> History:
    """The history of the tenant at hand; earlier bills only as far back as usage may still arrive. One statement.

    Raises: NotFound.
    """
    row = await uow.fetchrow(_READ, uow.tenant_id, PAST)
    if row is None:
        raise NotFound
    return history_of(dict(row), price_list(uow.kernel.settings.price_list), uow.kernel.settings.trial_days)


def history_of(row: Mapping[str, Any], plans: Sequence[Plan], trial_days: int) -> History:
    """The history that a row of the tenant with its collections tells."""
    changes = [_held(change) for change in row["changes"]]
    return History(
        buyer=Buyer(
            name=row["legal_name"] or row["name"],
            lines=tuple((row["address"] or "").splitlines()),
            country=row["country"],
            tax_number=row["tax_number"],
        ),
        held=tuple(changes) or (_first(row, plans, trial_days),),
        stored=bool(changes),
        redeemed=tuple(_redeemed(one) for one in row["redemptions"]),
        bills=tuple(_earlier(one) for one in row["bills"]),
        ends=_ends(row),
    )


async def read_earlier(uow: UnitOfWork, bill_id: UUID) -> EarlierBill:
    """One bill of the tenant at hand, as later ones have to know it. One statement. Raises: NotFound."""
    row = await uow.fetchrow(_READ_BILL, uow.tenant_id, bill_id)
    if row is None:
        raise NotFound
    return _earlier(row["bill"])


def occupied(opening: int, changes: Sequence[tuple[datetime, int]], start: datetime) -> list[Occupied]:
    """Seats as bills take them: what a period began with, and what was occupied from each change on."""
    return [Occupied(start, opening), *(Occupied(at, seats) for at, seats in changes)]


def moment(text: str) -> datetime:
    """A time that PostgreSQL wrote into JSON, in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)


def _earlier(one: Mapping[str, Any]) -> EarlierBill:
    return EarlierBill(
        period=Period(moment(one["period_start"]), moment(one["period_end"])),
        usage_until=moment(one["usage_until"]),
        lines=one["lines"],
        discounts=one["discounts"],
        number=one["number"] or "",
        total=one["total"],
        credits=[Credit(UUID(note["id"]), note["total"], note["lines"]) for note in one["credits"]],
        voided=UUID(one["voided"]) if one["voided"] else None,
    )


def _ends(row: Mapping[str, Any]) -> tuple[End, ...]:
    """When it left, and when it will as far as it has said so."""
    found = [
        End(
            moment(one["ended_at"]),
            moment(one["resumed_at"]) if one["resumed_at"] else None,
            one["settled_at"] is not None,
        )
        for one in row["ends"]
    ]
    planned = [End(row["cancel_at"])] if row["cancel_at"] is not None else []
    return (*found, *planned)


def _first(row: Mapping[str, Any], plans: Sequence[Plan], trial_days: int) -> Held:
    """Without a choice: the first plan of the list, monthly, after a trial from the hour of signing up."""
    hour = whole_hour(row["created_at"])
    price = plans[0].price(row["currency"], BillingInterval.MONTHLY) or plans[0].prices[0]
    return Held(hour, hour + timedelta(days=trial_days), plans[0], price)


def _held(change: Mapping[str, Any]) -> Held:
    plan = Plan.model_validate(change["plan"])
    price = plan.price(change["currency"], BillingInterval(change["interval"]))
    if price is None:
        raise RuntimeError(f"subscription {change['id']} names a price that its plan does not have")
    return Held(moment(change["effective_at"]), moment(change["anchor"]), plan, price)


def _redeemed(one: Mapping[str, Any]) -> Redeemed:
    return Redeemed(
        code=one["code"],
        kind=one["kind"],
        value=Decimal(one["value"]),
        currency=one["currency"],
        duration=one["duration"],
        months=one["months"],
        at=moment(one["redeemed_at"]),
    )
