"""Orders earn when everything has been delivered, and lose line by line, once, when something comes back.

The day of the delivery is the day of the earning: from it the return window and the points' life are counted, and an
order earns for who was a member by then. Its contact's membership comes before its account's, per programme. Orders
of the past, which are brought in as delivered, earn in the same way.

Only what is refunded is lost; what is repaired or replaced stays bought. A line loses that part of its points that
came back of its quantity, rounded half up on the sum of all parts, so that what comes back whole loses exactly all.
What is told of a return before its order has earned waits for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from app.kernel.locks import lock_keys
from app.kernel.periods import add_months
from app.kernel.uow import UnitOfWork
from app.modules.catalog.interface import Catalog
from app.modules.membership.interface import PointsEarned, PointsReversed
from app.modules.membership.models.programmes import Burn, BurnStatus, Earning, OrderShare
from app.modules.membership.services.days import day_factors
from app.modules.membership.services.earning import Earned, EarningLine, Room, earned
from app.modules.membership.services.holdings import Holding, Posting
from app.modules.membership.services.ledger import Ledger
from app.modules.membership.services.programmes import ProgrammeRules, ProgrammeService
from app.modules.membership.services.shares import (
    difference,
    less,
    part_of,
    release,
    restore,
    write_reversals,
    write_shares,
)
from app.modules.membership.services.tiers import TierService
from app.modules.orders.interface import OrderLineRef, OrderRef, Orders

_REFUNDED = "refunded"
_DELIVERED = frozenset({"fulfilled", "closed"})
ORDER_LOCK = "loyalty-order"
"""What happens to the points of one order happens one after the other; taken before any member is held."""


class OrderPoints:
    """What orders do to points, for all members whom an order concerns."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._ledger = Ledger(uow)
        self._touched: set[UUID] = set()

    async def earn(self, order_id: UUID) -> None:
        """Give the points of an order that was delivered; a second time does nothing."""
        order = (await self._uow.of(Orders).get_many([order_id])).get(order_id)
        if order is None or order.status not in _DELIVERED or order.fulfilled_at is None:
            return
        day = self._uow.actor.tenant.day_of(order.fulfilled_at)
        members = _first_of_each(await self._members(order, day), order)
        if not members:
            return
        await lock_keys(self._uow, ORDER_LOCK, [str(order_id)])
        holdings = await self._ledger.hold([row["id"] for row in members])
        done = await self._uow.fetch(_EARNED, self._uow.tenant_id, order_id, list(holdings))
        due = [row for row in members if row["id"] in holdings.keys() - {one["member_id"] for one in done}]
        programmes = await ProgrammeService(self._uow).get_many({row["programme_id"] for row in due})
        lines = await self._lines(order_id) if due else []
        factors = await day_factors(self._uow, [row["id"] for row in due], day) if due else {}
        for row in due:
            factor = factors.get(row["id"], Decimal(1))
            await self._earn(row, programmes[row["programme_id"]], order, lines, day, factor)
        if due:
            await self._take_back(order_id, await self._returned(order_id))
        await self._finish()

    async def _members(self, order: OrderRef, day: date) -> list[Any]:
        return await self._uow.fetch(
            _MEMBERS, self._uow.tenant_id, order.contact_id, order.account_id, order.total.currency, day
        )

    async def _lines(self, order_id: UUID) -> list[EarningLine]:
        lines = await self._uow.of(Orders).lines_of([order_id])
        ids = {line.product_id for line in lines if line.product_id is not None}
        catalog = self._uow.of(Catalog)
        products = await catalog.get_many(ids) if ids else {}
        categories = {id: one.category_id for id, one in products.items() if one.category_id is not None}
        trees = await catalog.category_trees(set(categories.values())) if categories else {}
        of_product = {id: trees.get(category, frozenset()) for id, category in categories.items()}
        none: frozenset[UUID] = frozenset()
        return [
            _earning_line(line, none if line.product_id is None else of_product.get(line.product_id, none))
            for line in lines
            if line.fulfilled > 0
        ]

    async def _earn(
        self,
        row: Any,
        programme: ProgrammeRules,
        order: OrderRef,
        lines: Sequence[EarningLine],
        day: date,
        factor: Decimal,
    ) -> None:
        holding = self._ledger.held(row["id"])
        tier = programme.tier(row["tier"])
        room = await room_left(self._uow, programme, row["id"], day)
        found = earned(
            programme,
            lines,
            day=day,
            tier_multiplier=factor if tier is None else tier.multiplier * factor,
            room=room,
        )
        earning = await self._uow.insert(
            Earning,
            member_id=row["id"],
            order_id=order.id,
            earned_on=day,
            visits=1,
            amount=found.amount,
            amount_returned=0,
            spendable=found.spendable,
            spendable_reversed=0,
            qualifying=found.qualifying,
            qualifying_reversed=0,
        )
        await self._share(row["id"], order.id, lines, found)
        pending_until = credit(self._ledger, holding, programme, earning, order_id=order.id)
        self._touched.add(row["id"])
        self._uow.publish(
            PointsEarned(id=row["id"], points=found.spendable, order_id=order.id, pending_until=pending_until)
        )

    async def _share(
        self, member_id: UUID, order_id: UUID, lines: Sequence[EarningLine], found: Earned
    ) -> None:
        """What belongs to which line; lines that points were burned on are there already."""
        shares = [
            {
                "member_id": member_id,
                "order_id": order_id,
                "order_line_id": line.id,
                "quantity": line.quantity,
            }
            | {"returned": Decimal(0), "amount": found.amounts[place], "spendable_reversed": 0}
            | {"spendable": found.spendable_by_line[place], "qualifying": found.qualifying_by_line[place]}
            | {"qualifying_reversed": 0, "burned": 0, "burned_restored": 0}
            for place, line in enumerate(lines)
        ]
        await write_shares(self._uow, shares)

    # -- what comes back -------------------------------------------------------------------------------------

    async def give_back(self, return_id: UUID) -> None:
        """Take a return that was completed into account, each of its lines once."""
        lines = [
            line
            for line in await self._uow.of(Orders).return_lines_of([return_id])
            if line.status == _REFUNDED and line.order_line_id is not None and line.order_id is not None
        ]
        order_ids = {line.order_id for line in lines if line.order_id is not None}
        concerned = sorted([id for id in order_ids if await self._concerns_somebody(id)])
        await lock_keys(self._uow, ORDER_LOCK, [str(id) for id in concerned])
        for order_id in concerned:
            rows = [line for line in lines if line.order_id == order_id]
            new = await self._uow.fetch(
                _RETURNED,
                self._uow.tenant_id,
                [line.id for line in rows],
                return_id,
                order_id,
                [line.order_line_id for line in rows],
                [line.quantity for line in rows],
                self._uow.now,
            )
            if new:
                await self._take_back(order_id, await self._returned(order_id), key=return_id)
        await self._finish()

    async def cancel(self, order_id: UUID) -> None:
        """An order was cancelled: reservations end, and all that it earned and burned is undone."""
        await lock_keys(self._uow, ORDER_LOCK, [str(order_id)])
        await self._take_back(order_id, None)
        await self._finish()

    async def _concerns_somebody(self, order_id: UUID) -> bool:
        """Whether the order is a member's: others' returns leave no trace."""
        order = (await self._uow.of(Orders).get_many([order_id])).get(order_id)
        if order is None:
            return False
        found = await self._uow.fetchrow(
            "SELECT 1 FROM membership.loyalty_members WHERE tenant_id = $1 AND (contact_id = $2 OR account_id = $3)"
            " UNION ALL SELECT 1 FROM membership.order_shares WHERE tenant_id = $1 AND order_id = $4 LIMIT 1",
            self._uow.tenant_id,
            order.contact_id,
            order.account_id,
            order_id,
        )
        return found is not None

    async def _returned(self, order_id: UUID) -> Mapping[UUID, Decimal]:
        rows = await self._uow.fetch(
            "SELECT order_line_id, quantity FROM membership.returned_lines WHERE tenant_id = $1 AND order_id = $2",
            self._uow.tenant_id,
            order_id,
        )
        return _by_line(rows)

    async def _take_back(
        self, order_id: UUID, returned: Mapping[UUID, Decimal] | None, *, key: UUID | None = None
    ) -> None:
        """Reverse what belongs to all that came back of lines by now; None means to everything, reservations too."""
        if returned is not None and not returned:
            return
        statement = self._uow.select(OrderShare).where(OrderShare.order_id == order_id)
        shares = await self._uow.all(statement.order_by(OrderShare.id))
        burns = await self._uow.all(self._uow.select(Burn).where(Burn.order_id == order_id).order_by(Burn.id))
        member_ids = {share.member_id for share in shares} | {burn.member_id for burn in burns}
        missing = member_ids - self._ledger.known
        if missing:
            await self._ledger.hold(missing)
            # Read again: what was read before the members were held may have changed.
            shares = await self._uow.all(statement.order_by(OrderShare.id))
            burns = await self._uow.all(
                self._uow.select(Burn).where(Burn.order_id == order_id).order_by(Burn.id)
            )
        earnings = {
            one.member_id: one
            for one in await self._uow.all(self._uow.select(Earning).where(Earning.order_id == order_id))
        }
        await self._ledger.also(earning_ids=[one.id for one in earnings.values()])
        for member_id in sorted(member_ids):
            own = [share for share in shares if share.member_id == member_id]
            after = [less(share, returned) for share in own]
            await self._reverse(
                order_id,
                self._ledger.held(member_id),
                own,
                after,
                earnings.get(member_id),
                [burn for burn in burns if burn.member_id == member_id],
                key or order_id,
                whole=returned is None,
            )

    async def _reverse(
        self,
        order_id: UUID,
        holding: Holding,
        before: Sequence[OrderShare],
        after: Sequence[Mapping[str, Any]],
        earning: Earning | None,
        burns: Sequence[Burn],
        key: UUID,
        *,
        whole: bool,
    ) -> None:
        """Give back what was burned first, then take back what was earned, in one transaction of the ledger."""
        kind = "cancel" if whole else "return"
        source = f"{key}:{order_id}:{holding.member_id}"
        if not whole:
            source = f"{source}:{sum((one['returned'] for one in after), Decimal(0))}"
        posting = self._ledger.post(kind, holding, source, order_id=order_id)
        if whole:
            await self._release_reserved(posting, holding, burns)
        restored = difference(before, after, "burned_restored")
        await restore(self._uow, self._ledger, posting, holding, burns, restored)
        lost, owed = difference(before, after, "spendable_reversed"), 0
        qualifying = difference(before, after, "qualifying_reversed")
        if earning is not None:
            lot = next((lot for lot in holding.lots if lot.earning_id == earning.id), None)
            if lot is not None and lost:
                owed = holding.reverse(posting, lot, lost)
            holding.qualify(posting, -qualifying)
            await self._less_earning(earning, before, after, lost, qualifying)
        await write_reversals(self._uow, after)
        if lost or restored or qualifying:
            self._uow.publish(
                PointsReversed(
                    id=holding.member_id,
                    order_id=order_id,
                    earned_reversed=lost,
                    burned_restored=restored,
                    debt=owed,
                )
            )

    async def _release_reserved(self, posting: Posting, holding: Holding, burns: Sequence[Burn]) -> None:
        for burn in burns:
            if burn.status == BurnStatus.RESERVED:
                await release(self._uow, self._ledger, posting, holding, burn)

    async def _less_earning(
        self,
        earning: Earning,
        before: Sequence[OrderShare],
        after: Sequence[Mapping[str, Any]],
        lost: int,
        qualifying: int,
    ) -> None:
        """The order counts less towards tiers and groups; not at all once nothing of it was kept."""
        worth = sum(part_of(one.amount, row) for one, row in zip(before, after, strict=True))
        kept = any(row["returned"] < row["quantity"] for row in after)
        await self._uow.update(
            earning,
            visits=1 if kept else 0,
            amount_returned=worth,
            spendable_reversed=earning.spendable_reversed + lost,
            qualifying_reversed=earning.qualifying_reversed + qualifying,
        )

    async def _finish(self) -> None:
        if self._ledger.known:
            await self._ledger.close()
        if self._touched:
            await TierService(self._uow).raise_those_who_qualify(self._touched)


def _first_of_each(rows: Iterable[Any], order: OrderRef) -> list[Any]:
    """One member for each programme: the contact before the account."""
    found: dict[UUID, Any] = {}
    for row in sorted(
        rows, key=lambda row: row["contact_id"] != order.contact_id or row["contact_id"] is None
    ):
        found.setdefault(row["programme_id"], row)
    return list(found.values())


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


async def room_left(uow: UnitOfWork, programme: ProgrammeRules, member_id: UUID, day: date) -> Room:
    """What the caps leave a held member; returns give no room back."""
    row = programme.row
    if row.cap_day is None and row.cap_member is None:
        return Room()
    (found,) = await uow.fetch(
        "SELECT coalesce(sum(spendable), 0)::bigint AS ever,"
        " coalesce(sum(spendable) FILTER (WHERE earned_on = $3), 0)::bigint AS today"
        " FROM membership.earnings WHERE tenant_id = $1 AND member_id = $2",
        uow.tenant_id,
        member_id,
        day,
    )
    return Room(
        None if row.cap_day is None else max(row.cap_day - found["today"], 0),
        None if row.cap_member is None else max(row.cap_member - found["ever"], 0),
    )


def _by_line(rows: Iterable[Any]) -> dict[UUID, Decimal]:
    found: dict[UUID, Decimal] = {}
    for row in rows:
        found[row["order_line_id"]] = found.get(row["order_line_id"], Decimal(0)) + row["quantity"]
    return found


_MEMBERS = """
SELECT m.id, m.programme_id, m.contact_id, m.tier FROM membership.loyalty_members m
JOIN membership.programmes p ON p.tenant_id = m.tenant_id AND p.id = m.programme_id AND p.active AND p.currency = $4
WHERE m.tenant_id = $1 AND m.deleted_at IS NULL AND m.status = 'active' AND m.since <= $5
  AND (m.contact_id = $2 OR m.account_id = $3)
ORDER BY m.id"""
_EARNED = """
SELECT member_id FROM membership.earnings WHERE tenant_id = $1 AND order_id = $2 AND member_id = ANY($3::uuid[])"""
_RETURNED = """
INSERT INTO membership.returned_lines (tenant_id, id, return_id, order_id, order_line_id, quantity, at)
SELECT $1, n.id, $3, $4, n.line, n.quantity, $7 FROM unnest($2::uuid[], $5::uuid[], $6::numeric[])
  AS n(id, line, quantity)
ON CONFLICT DO NOTHING RETURNING order_line_id, quantity"""
