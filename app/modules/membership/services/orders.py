"""Orders earn when everything has been delivered, and lose line by line, once, when something comes back.

The day of the delivery is the day of the earning: from it the return window and the points' life are counted, and an
order earns for who was a member by then. Its contact's membership comes before its account's, per programme. Orders
of the past, which are brought in as delivered, earn in the same way.

Only what is refunded is lost; what is repaired or replaced stays bought. A line loses that part of its points that
came back of its quantity, rounded half up on the sum of all parts, so that what comes back whole loses exactly all.
What is told of a return before its order has earned waits for it.

Many orders, or returns, go through in as many statements as one: their orders are locked and their members held, in
one order each, and what one does to the next is worked out in memory.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from app.kernel.ids import new_id
from app.kernel.locks import lock_keys
from app.kernel.periods import add_months
from app.kernel.statements import entity
from app.kernel.uow import UnitOfWork
from app.modules.catalog.interface import Catalog
from app.modules.membership.interface import PointsEarned
from app.modules.membership.models.programmes import Earning
from app.modules.membership.services.caps import Rooms, capped
from app.modules.membership.services.days import day_factors
from app.modules.membership.services.earning import Earned, EarningLine, earned
from app.modules.membership.services.holdings import Holding
from app.modules.membership.services.ledger import Ledger
from app.modules.membership.services.order_book import OrderBook
from app.modules.membership.services.programmes import ProgrammeRules
from app.modules.membership.services.shares import write_shares
from app.modules.membership.services.tiers import Rising, TierService
from app.modules.orders.interface import OrderLineRef, OrderRef, Orders, ReturnLineRef

_REFUNDED = "refunded"
_DELIVERED = frozenset({"fulfilled", "closed"})
ORDER_LOCK = "loyalty-order"
"""What happens to the points of one order happens one after the other; taken before any member is held."""


@dataclass(frozen=True, slots=True)
class _Due:
    """An order that is to earn, on the day of its delivery, for these members."""

    order: OrderRef
    day: date
    member_ids: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class _Known:
    """What earning rests on, read once for many orders."""

    rising: Rising
    rooms: Rooms
    factors: Mapping[tuple[UUID, date], Decimal]
    lines: Mapping[UUID, Sequence[EarningLine]]


class OrderPoints:
    """What orders do to points, for all members whom they concern. For one call."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._ledger = Ledger(uow)
        self._earnings: list[Earning] = []
        self._shares: list[dict[str, Any]] = []

    async def earn(self, order_ids: Collection[UUID]) -> None:
        """Give the points of orders that were delivered, one after the other; a second time does nothing."""
        due = await self._with_members(await self._delivered(order_ids))
        if not due:
            return
        ids = [one.order.id for one in due]
        await lock_keys(self._uow, ORDER_LOCK, [str(id) for id in ids])
        returned = await self._returned(ids)
        sharers = await self._sharers(returned) if returned else set()
        await self._ledger.hold({id for one in due for id in one.member_ids} | sharers)
        due = await self._not_yet(due)
        if due:
            await self._earn_all(due, returned)
        await self._finish()

    async def _earn_all(self, due: Sequence[_Due], returned: Mapping[UUID, Mapping[UUID, Decimal]]) -> None:
        """One after the other in memory; what came back of one already is taken off before the next earns."""
        known = await self._known(due)
        for one in due:
            if one.order.id not in returned:
                self._earn(one, known)
                continue
            await self._write_earned(known)
            self._earn(one, known, rises=False)
            await self._write_earned(known)
            await self._take_back_at_once(one, returned[one.order.id])
            known = replace(known, rising=await self._rising(due))
        await self._write_earned(known)

    async def _delivered(self, order_ids: Collection[UUID]) -> list[tuple[OrderRef, date]]:
        """Those that went out whole, in the order given, each with its day."""
        found = await self._uow.of(Orders).get_many(order_ids)
        day_of = self._uow.actor.tenant.day_of
        orders = [found[id] for id in dict.fromkeys(order_ids) if id in found]
        return [
            (order, day_of(order.fulfilled_at))
            for order in orders
            if order.status in _DELIVERED and order.fulfilled_at is not None
        ]

    async def _with_members(self, orders: Sequence[tuple[OrderRef, date]]) -> list[_Due]:
        """Those that concern members."""
        rows = await self._uow.fetch(
            _MEMBERS,
            self._uow.tenant_id,
            [order.id for order, _ in orders],
            [order.contact_id for order, _ in orders],
            [order.account_id for order, _ in orders],
            [order.total.currency for order, _ in orders],
            [day for _, day in orders],
        )
        by_order: dict[UUID, dict[UUID, UUID]] = {}
        for row in rows:  # one member for each programme: the contact before the account
            by_order.setdefault(row["order_id"], {}).setdefault(row["programme_id"], row["id"])
        return [
            _Due(order, day, tuple(by_order[order.id].values()))
            for order, day in orders
            if order.id in by_order
        ]

    async def _not_yet(self, due: Sequence[_Due]) -> list[_Due]:
        """Without those members who have had the points of an order, or are gone."""
        pairs = [(one.order.id, id) for one in due for id in one.member_ids]
        rows = await self._uow.fetch(
            _EARNED, self._uow.tenant_id, [order for order, _ in pairs], [member for _, member in pairs]
        )
        done = {(row["order_id"], row["member_id"]) for row in rows}
        left = [
            _Due(one.order, one.day, ids)
            for one in due
            if (ids := tuple(id for id in one.member_ids if (one.order.id, id) not in done))
        ]
        held = self._ledger.known
        return [one for one in left if held.issuperset(one.member_ids)]

    async def _known(self, due: Sequence[_Due]) -> _Known:
        member_days = {(id, one.day) for one in due for id in one.member_ids}
        rising = await self._rising(due)
        watched = {(id, day) for id, day in member_days if capped(rising.programme(id))}
        return _Known(
            rising,
            await Rooms.read(self._uow, watched),
            await day_factors(self._uow, member_days),
            await self._lines([one.order.id for one in due]),
        )

    async def _rising(self, due: Sequence[_Due]) -> Rising:
        return await TierService(self._uow).rising({id for one in due for id in one.member_ids})

    async def _lines(self, order_ids: Sequence[UUID]) -> dict[UUID, list[EarningLine]]:
        lines = await self._uow.of(Orders).lines_of(order_ids)
        ids = {line.product_id for line in lines if line.product_id is not None}
        catalog = self._uow.of(Catalog)
        products = await catalog.get_many(ids) if ids else {}
        categories = {id: one.category_id for id, one in products.items() if one.category_id is not None}
        trees = await catalog.category_trees(set(categories.values())) if categories else {}
        of_product = {id: trees.get(category, frozenset()) for id, category in categories.items()}
        none: frozenset[UUID] = frozenset()
        found: dict[UUID, list[EarningLine]] = {id: [] for id in order_ids}
        for line in lines:
            if line.fulfilled > 0:
                above = none if line.product_id is None else of_product.get(line.product_id, none)
                found[line.order_id].append(_earning_line(line, above))
        return found

    def _earn(self, due: _Due, known: _Known, *, rises: bool = True) -> None:
        """Give an order's points in memory; where something of it came back already, tiers are looked at later."""
        for member_id in due.member_ids:
            programme, holding = known.rising.programme(member_id), self._ledger.held(member_id)
            self._ledger.settle(holding)  # what an order before it brought may have expired already
            found = earned(
                programme,
                known.lines[due.order.id],
                day=due.day,
                tier_multiplier=known.rising.multiplier(member_id)
                * known.factors.get((member_id, due.day), Decimal(1)),
                room=known.rooms.left(programme, member_id, due.day),
            )
            known.rooms.take(member_id, due.day, found.spendable)
            pending_until = self._credit(due, holding, programme, found, known.lines[due.order.id])
            self._uow.publish(
                PointsEarned(
                    id=member_id, points=found.spendable, order_id=due.order.id, pending_until=pending_until
                )
            )
            if rises:
                measures = {"amount": found.amount, "points": found.qualifying, "visits": 1}
                known.rising.add(member_id, measures, due.day)

    def _credit(
        self,
        due: _Due,
        holding: Holding,
        programme: ProgrammeRules,
        found: Earned,
        lines: Sequence[EarningLine],
    ) -> date | None:
        """An earning with its shares, which are written later; the day from which it can be spent."""
        earning = entity(
            Earning,
            {"id": new_id(), "member_id": holding.member_id, "order_id": due.order.id, "earned_on": due.day}
            | {"visits": 1, "amount": found.amount, "amount_returned": 0}
            | {"spendable": found.spendable, "spendable_reversed": 0}
            | {"qualifying": found.qualifying, "qualifying_reversed": 0},
        )
        self._earnings.append(earning)
        self._shares += [
            {
                "member_id": holding.member_id,
                "order_id": due.order.id,
                "order_line_id": line.id,
                "quantity": line.quantity,
                "amount": found.amounts[place],
                "spendable": found.spendable_by_line[place],
                "qualifying": found.qualifying_by_line[place],
                "burned": 0,
            }
            for place, line in enumerate(lines)
        ]
        return credit(self._ledger, holding, programme, earning, order_id=due.order.id)

    async def _write_earned(self, known: _Known) -> None:
        """Write what orders have earned in memory; lines that points were burned on are there already."""
        earnings, self._earnings = self._earnings, []
        shares, self._shares = self._shares, []
        if earnings:
            await self._uow.insert_many(Earning, [one.__dict__ for one in earnings])
            await write_shares(self._uow, shares)
            await self._ledger.close()
        await known.rising.write()

    async def _take_back_at_once(self, due: _Due, returned: Mapping[UUID, Decimal]) -> None:
        """What was told of before the order earned; tiers are reached by what is left."""
        book = OrderBook(self._uow, self._ledger)
        await book.read([due.order.id])
        book.take_back(due.order.id, returned)
        await book.write()
        await self._ledger.close()
        await TierService(self._uow).raise_those_who_qualify(due.member_ids)

    # -- what comes back -------------------------------------------------------------------------------------

    async def give_back(self, return_ids: Collection[UUID]) -> None:
        """Take returns that were completed into account, one after the other, each of their lines once."""
        lines = [
            line
            for line in await self._uow.of(Orders).return_lines_of(return_ids)
            if line.status == _REFUNDED and line.order_line_id is not None and line.order_id is not None
        ]
        if not lines:
            return
        concerned = await self._concerned({line.order_id for line in lines if line.order_id is not None})
        await lock_keys(self._uow, ORDER_LOCK, [str(id) for id in concerned])
        new = await self._note([line for line in lines if line.order_id in concerned])
        if not new:
            return
        order_ids = {row["order_id"] for row in new}
        book = OrderBook(self._uow, self._ledger)
        await book.read(order_ids)
        returned = await self._returned(order_ids)
        for row in new:
            returned[row["order_id"]][row["order_line_id"]] -= row["quantity"]
        for return_id in dict.fromkeys(return_ids):
            own = [row for row in new if row["return_id"] == return_id]
            for row in own:
                returned[row["order_id"]][row["order_line_id"]] += row["quantity"]
            for order_id in sorted({row["order_id"] for row in own}):
                book.take_back(order_id, returned[order_id], key=return_id)
        await book.write()
        await self._finish()

    async def _note(self, lines: Sequence[ReturnLineRef]) -> list[Any]:
        """Note lines that came back; those that had not been noted."""
        names = ("id", "return_id", "order_id", "order_line_id", "quantity")
        columns = [[getattr(line, name) for line in lines] for name in names]
        return await self._uow.fetch(_RETURNED, self._uow.tenant_id, *columns, self._uow.now)

    async def cancel(self, order_ids: Collection[UUID]) -> None:
        """Orders were cancelled: reservations end, and all that they earned and burned is undone."""
        await lock_keys(self._uow, ORDER_LOCK, [str(id) for id in order_ids])
        book = OrderBook(self._uow, self._ledger)
        await book.read(order_ids)
        for order_id in dict.fromkeys(order_ids):
            book.take_back(order_id, None)
        await book.write()
        await self._finish()

    async def _concerned(self, order_ids: Collection[UUID]) -> set[UUID]:
        """The orders that are members': others' returns leave no trace."""
        orders = (await self._uow.of(Orders).get_many(order_ids)).values()
        rows = await self._uow.fetch(
            _CONCERNED,
            self._uow.tenant_id,
            [order.id for order in orders],
            [order.contact_id for order in orders],
            [order.account_id for order in orders],
        )
        return {row["id"] for row in rows}

    async def _returned(self, order_ids: Collection[UUID]) -> dict[UUID, dict[UUID, Decimal]]:
        """What has come back of these orders, by order and line."""
        found: dict[UUID, dict[UUID, Decimal]] = {}
        for row in await self._uow.fetch(_CAME_BACK, self._uow.tenant_id, list(order_ids)):
            lines = found.setdefault(row["order_id"], {})
            lines[row["order_line_id"]] = lines.get(row["order_line_id"], Decimal(0)) + row["quantity"]
        return found

    async def _sharers(self, order_ids: Collection[UUID]) -> set[UUID]:
        """Whose points stand on orders already."""
        rows = await self._uow.fetch(_SHARERS, self._uow.tenant_id, list(order_ids))
        return {row["member_id"] for row in rows}

    async def _finish(self) -> None:
        if self._ledger.known:
            await self._ledger.close()


def _earning_line(line: OrderLineRef, category_ids: frozenset[UUID]) -> EarningLine:
    return EarningLine(
        line.id, line.product_id, category_ids, line.fulfilled, line.net.amount_minor, line.total.amount_minor
    )


def credit(
    ledger: Ledger, holding: Holding, programme: ProgrammeRules, earning: Earning, *, order_id: UUID | None
) -> date | None:
    """Write an earning into the ledger; the day from which it can be spent, None for at once."""
    row = programme.row
    posting = ledger.post("earn", holding, earning.id, order_id=order_id)
    matures_on = earning.earned_on + timedelta(days=row.return_window_days)
    expires_on = None if row.expiry_months is None else add_months(earning.earned_on, row.expiry_months)
    holding.credit(
        posting,
        earning.spendable,
        day=earning.earned_on,
        today=ledger.today,
        matures_on=matures_on,
        expires_on=expires_on,
        earning_id=earning.id,
    )
    holding.qualify(posting, earning.qualifying)
    return matures_on if matures_on > ledger.today else None


# OFFSET 0 keeps each look one probe of an index, whatever the planner has not yet heard of after an import.
_MEMBERS: Final = """
WITH o AS (SELECT * FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::date[])
  AS o(id, contact_id, account_id, currency, day)),
found AS (
  SELECT o.id AS order_id, o.currency, m.id, m.programme_id, 0 AS turn FROM o CROSS JOIN LATERAL (
    SELECT m.id, m.programme_id FROM membership.loyalty_members m
    WHERE m.tenant_id = $1 AND m.contact_id = o.contact_id AND m.deleted_at IS NULL AND m.status = 'active'
      AND m.since <= o.day OFFSET 0) m
  UNION ALL
  SELECT o.id, o.currency, m.id, m.programme_id, 1 FROM o CROSS JOIN LATERAL (
    SELECT m.id, m.programme_id FROM membership.loyalty_members m
    WHERE m.tenant_id = $1 AND m.account_id = o.account_id AND m.deleted_at IS NULL AND m.status = 'active'
      AND m.since <= o.day OFFSET 0) m
)
SELECT f.order_id, f.id, f.programme_id FROM found f
JOIN membership.programmes p ON p.tenant_id = $1 AND p.id = f.programme_id AND p.active AND p.currency = f.currency
ORDER BY f.turn, f.id"""
_EARNED: Final = """
SELECT w.order_id, w.member_id FROM unnest($2::uuid[], $3::uuid[]) AS w(order_id, member_id)
WHERE EXISTS (SELECT 1 FROM membership.earnings e
  WHERE e.tenant_id = $1 AND e.member_id = w.member_id AND e.order_id = w.order_id OFFSET 0)"""
_RETURNED: Final = """
INSERT INTO membership.returned_lines (tenant_id, id, return_id, order_id, order_line_id, quantity, at)
SELECT $1, n.*, $7 FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::numeric[])
  AS n(id, return_id, order_id, line, quantity) ORDER BY n.id
ON CONFLICT DO NOTHING RETURNING return_id, order_id, order_line_id, quantity"""
_CAME_BACK: Final = """
SELECT order_id, order_line_id, quantity FROM membership.returned_lines
WHERE tenant_id = $1 AND order_id = ANY($2::uuid[])"""
_CONCERNED: Final = """
SELECT o.id FROM unnest($2::uuid[], $3::uuid[], $4::uuid[]) AS o(id, contact_id, account_id)
WHERE EXISTS (SELECT 1 FROM membership.loyalty_members m WHERE m.tenant_id = $1 AND m.contact_id = o.contact_id)
  OR EXISTS (SELECT 1 FROM membership.loyalty_members m WHERE m.tenant_id = $1 AND m.account_id = o.account_id)
  OR EXISTS (SELECT 1 FROM membership.order_shares s WHERE s.tenant_id = $1 AND s.order_id = o.id)"""
_SHARERS: Final = """
SELECT member_id FROM membership.order_shares WHERE tenant_id = $1 AND order_id = ANY($2::uuid[])
UNION SELECT member_id FROM membership.burns WHERE tenant_id = $1 AND order_id = ANY($2::uuid[])"""
