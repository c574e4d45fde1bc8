"""Points that members spend, keep for an order, give to others, or get for what they did."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

from app.kernel.errors import DuplicateValue, Invalid, NotFound
from app.kernel.ids import new_id
from app.kernel.locks import lock_keys
from app.kernel.money import Money
from app.kernel.uow import UnitOfWork
from app.modules.membership.interface import (
    BurnSettled,
    MemberNotActive,
    NothingEarned,
    PointsBurned,
    PointsEarned,
    PointsReleased,
    PointsReserved,
    PointsTransferred,
)
from app.modules.membership.models.programmes import (
    Burn,
    BurnStatus,
    BurnTake,
    Earning,
    LoyaltyMember,
    MemberStatus,
    Programme,
)
from app.modules.membership.schemas.members import (
    BurnInput,
    BurnRead,
    EarnInput,
    EarnRead,
    TransferInput,
    TransferRead,
)
from app.modules.membership.services.caps import Rooms
from app.modules.membership.services.earning import for_event, shared
from app.modules.membership.services.ledger import Ledger
from app.modules.membership.services.members import LoyaltyMemberService
from app.modules.membership.services.orders import ORDER_LOCK, credit
from app.modules.membership.services.programmes import ProgrammeRules, worth_of
from app.modules.membership.services.shares import release, write_shares
from app.modules.membership.services.tiers import TierService
from app.modules.orders.interface import OrderRef, Orders

REDEEM = "redeem"
_OVER = frozenset({"cancelled"})


class Spending:
    """What is done with points by hand, or by a till. A member is held before anything is looked at."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._members = LoyaltyMemberService(uow)
        self._ledger = Ledger(uow)

    async def burn(self, id: UUID, body: BurnInput) -> BurnRead:
        """Raises: NotFound; Invalid; MemberNotActive; ProgrammeClosed; InsufficientPoints."""
        row, programme = await self._usable(id, body.order_id)
        check_burn(programme.row, body.points)
        order = await self._order(body.order_id, row)
        worth = worth_of(programme.row, body.points)
        if order is not None:
            await self._check_worth(order, programme.row, worth)
        made = await self._take(id, body, Money(worth, programme.row.currency))
        if body.reserve:
            self._uow.publish(PointsReserved(id=id, points=body.points, order_id=body.order_id))
        else:
            await self._spent(made)
        return read_burn(made)

    async def _take(self, id: UUID, body: BurnInput, worth: Money) -> Burn:
        """Take points of a held member, or keep them, and note what of which lot. Raises `InsufficientPoints`."""
        holding = (await self._ledger.hold([id]))[id]
        burn_id = new_id()
        kind = "reserve" if body.reserve else "burn"
        posting = self._ledger.post(kind, holding, burn_id, order_id=body.order_id, note=body.note)
        await self._ledger.reach({id: body.points} if body.points <= holding.points else {})
        taken = holding.burn(posting, body.points, reserve=body.reserve)
        await self._ledger.close()
        made = await self._uow.insert(
            Burn,
            id=burn_id,
            member_id=id,
            order_id=body.order_id,
            status=(BurnStatus.RESERVED if body.reserve else BurnStatus.COMMITTED).value,
            points=body.points,
            restored=0,
            amount=worth.amount_minor,
            currency=worth.currency,
            note=body.note,
            made_by=self._uow.actor.member_id,
            settled_at=None if body.reserve else self._uow.now,
        )
        takes = [
            {"burn_id": burn_id, "lot_id": one.lot.id, "position": place, "points": one.points, "restored": 0}
            for place, one in enumerate(taken)
        ]
        await self._uow.insert_many(BurnTake, takes)
        return made

    async def burn_on_order(
        self, id: UUID, order_id: UUID, points: int, worth: Money, weights: Mapping[UUID, tuple[Decimal, int]]
    ) -> None:
        """Spend points that came off an order's price; `weights` are quantity and discount of its lines by id.

        The order must be held. Raises: InsufficientPoints; MemberNotActive.
        """
        await lock_keys(self._uow, ORDER_LOCK, [str(order_id)])
        row = await self._uow.get(LoyaltyMember, id, lock="update")
        if row.status != MemberStatus.ACTIVE:
            raise MemberNotActive(f"It is {row.status}.", state=row.status)
        made = await self._take(id, BurnInput(points=points, order_id=order_id), worth)
        parts = shared(points, [Fraction(discount) for _, discount in weights.values()])
        shares = [
            _share(made, line_id, quantity, part)
            for (line_id, (quantity, _)), part in zip(weights.items(), parts, strict=True)
        ]
        await write_shares(self._uow, shares)
        self._uow.publish(PointsBurned(id=id, points=points, order_id=order_id))

    async def commit(self, id: UUID, burn_id: UUID) -> BurnRead:
        """Spend what was kept. Raises `NotFound`, `BurnSettled`, `Invalid` for an order that was cancelled."""
        burn = await self._reserved(id, burn_id)
        holding = (await self._ledger.hold([id]))[id]
        holding.commit(self._ledger.post("commit", holding, burn.id, order_id=burn.order_id), burn.points)
        await self._ledger.close()
        after = await self._uow.update(burn, status=BurnStatus.COMMITTED.value, settled_at=self._uow.now)
        await self._spent(after)
        return read_burn(after)

    async def release(self, id: UUID, burn_id: UUID) -> BurnRead:
        """Give back what was kept. Raises `NotFound`, `BurnSettled`."""
        burn = await self._reserved(id, burn_id)
        holding = (await self._ledger.hold([id]))[id]
        posting = self._ledger.post("release", holding, burn.id, order_id=burn.order_id)
        await release(self._uow, self._ledger, posting, holding, burn)
        await self._ledger.close()
        self._uow.publish(PointsReleased(id=id, points=burn.points, order_id=burn.order_id))
        return read_burn(await self._uow.get(Burn, burn_id))

    async def _usable(self, id: UUID, order_id: UUID | None) -> tuple[LoyaltyMember, ProgrammeRules]:
        """Held in the order in which what happens to orders holds things too: the order first."""
        if order_id is not None:
            await self._members.get(id, action=REDEEM)
            await lock_keys(self._uow, ORDER_LOCK, [str(order_id)])
        return await self._members.usable(id, REDEEM)

    async def _reserved(self, id: UUID, burn_id: UUID) -> Burn:
        await self._members.get(id, action=REDEEM)
        burn = await self._uow.get(Burn, burn_id)
        if burn.member_id != id:
            raise NotFound
        await self._usable_or_not(id, burn.order_id)
        burn = await self._uow.get(Burn, burn_id, lock="update")
        if burn.status != BurnStatus.RESERVED:
            raise BurnSettled(f"It is {burn.status}.", state=burn.status)
        return burn

    async def _usable_or_not(self, id: UUID, order_id: UUID | None) -> None:
        """Hold the member whatever their status: what was kept can always be settled."""
        if order_id is not None:
            await lock_keys(self._uow, ORDER_LOCK, [str(order_id)])
        await self._members.get(id, action=REDEEM, lock="update")

    async def _order(self, order_id: UUID | None, row: LoyaltyMember) -> OrderRef | None:
        if order_id is None:
            return None
        order = (await self._uow.of(Orders).get_many([order_id])).get(order_id)
        mine = order is not None and (
            order.account_id == row.account_id
            if row.account_id is not None
            else order.contact_id == row.contact_id
        )
        if order is None or not mine:
            raise Invalid.at("/order_id", "unknown_reference", "There is no such order of this member's.")
        if order.status in _OVER:
            raise Invalid.at("/order_id", "cancelled", "The order was cancelled.")
        return order

    async def _check_worth(self, order: OrderRef, programme: Programme, worth: int) -> None:
        """No more is burned on an order than it comes to."""
        if order.total.currency != programme.currency:
            raise Invalid.at("/order_id", "other_currency", f"The programme is in {programme.currency}.")
        row = await self._uow.fetchrow(
            "SELECT coalesce(sum(amount), 0)::bigint AS amount FROM membership.burns"
            " WHERE tenant_id = $1 AND order_id = $2 AND status <> 'released'",
            self._uow.tenant_id,
            order.id,
        )
        if row is not None and row["amount"] + worth > order.total.amount_minor:
            raise Invalid.at("/points", "more_than_order", "That is more than the order comes to.")

    async def _spent(self, burn: Burn) -> None:
        """Points that paid for an order are parted among its lines, so that returns bring them back."""
        if burn.order_id is not None:
            lines = await self._uow.of(Orders).lines_of([burn.order_id])
            weights = [Fraction(max(line.total.amount_minor, 0)) for line in lines]
            parts = shared(burn.points, weights if any(weights) else [Fraction(1)] * len(lines))
            shares = [
                _share(burn, line.id, line.quantity - line.cancelled or line.quantity, part)
                for line, part in zip(lines, parts, strict=True)
            ]
            await write_shares(self._uow, shares)
        self._uow.publish(PointsBurned(id=burn.member_id, points=burn.points, order_id=burn.order_id))

    async def transfer(self, id: UUID, body: TransferInput) -> TransferRead:
        """Raises: NotFound; Invalid; MemberNotActive; InsufficientPoints."""
        if body.to_member_id == id:
            raise Invalid.at("/to_member_id", "same_member", "Points go to another member.")
        rows = await self._members.get_many([id, body.to_member_id], action=REDEEM, lock="update")
        if id not in rows:
            raise NotFound
        to = rows.get(body.to_member_id)
        if to is None or to.programme_id != rows[id].programme_id:
            raise Invalid.at(
                "/to_member_id", "unknown_reference", "There is no such member of the programme."
            )
        leaving = (MemberStatus.ACTIVE, MemberStatus.SUPERSEDED)
        if rows[id].status not in leaving or to.status != MemberStatus.ACTIVE:
            raise MemberNotActive(state=rows[id].status if to.status == MemberStatus.ACTIVE else to.status)
        held = await self._ledger.hold([id, to.id])
        posting = self._ledger.post("transfer", held[id], new_id(), note=body.note)
        await self._ledger.reach({id: body.points} if body.points <= held[id].points else {})
        held[id].transfer(posting, body.points, held[to.id], today=self._ledger.today)
        await self._ledger.close()
        self._uow.publish(PointsTransferred(id=id, points=body.points, to_member_id=to.id))
        return TransferRead(transaction_id=posting.id, points=body.points, left=held[id].points)

    async def earn(self, id: UUID, body: EarnInput) -> EarnRead:
        """Raises: NotFound; MemberNotActive; NothingEarned; DuplicateValue for a reference that has earned."""
        row, programme = await self._members.usable(id, "update")
        today = self._ledger.today
        spendable, qualifying = for_event(programme, body.event, day=today)
        if not spendable and not qualifying:
            raise NothingEarned
        if await self._uow.fetchrow(
            "SELECT 1 FROM membership.earnings WHERE tenant_id = $1 AND member_id = $2 AND event = $3"
            " AND reference = $4",
            self._uow.tenant_id,
            id,
            body.event,
            body.reference,
        ):
            raise DuplicateValue("It has earned its points.")
        room = (await Rooms.read(self._uow, [(id, today)])).left(programme, id, today)
        caps = [cap for cap in (programme.row.cap_order, room.day, room.member) if cap is not None]
        holding = (await self._ledger.hold([id]))[id]
        earning = await self._uow.insert(
            Earning,
            member_id=id,
            event=body.event,
            reference=body.reference,
            earned_on=today,
            visits=0,
            amount=0,
            amount_returned=0,
            spendable=min([spendable, *caps]),
            spendable_reversed=0,
            qualifying=qualifying,
            qualifying_reversed=0,
        )
        pending_until = credit(self._ledger, holding, programme, earning, order_id=None)
        await self._ledger.close()
        await TierService(self._uow).raise_those_who_qualify([row.id])
        self._uow.publish(
            PointsEarned(id=id, points=earning.spendable, order_id=None, pending_until=pending_until)
        )
        return EarnRead(
            earning_id=earning.id,
            spendable=earning.spendable,
            qualifying=qualifying,
            pending_until=pending_until,
        )


def _share(burn: Burn, line_id: UUID, quantity: Decimal, points: int) -> dict[str, Any]:
    """Which part of the points that were burned on an order belongs to a line of it."""
    line = {"member_id": burn.member_id, "order_id": burn.order_id, "order_line_id": line_id}
    return line | {"quantity": quantity, "amount": 0, "spendable": 0, "qualifying": 0, "burned": points}


def check_burn(programme: Programme, points: int) -> None:
    if points < programme.burn_minimum:
        raise Invalid.at("/points", "below_minimum", f"At least {programme.burn_minimum} at a time.")
    if points % programme.burn_step:
        raise Invalid.at("/points", "off_step", f"A multiple of {programme.burn_step}.")


def read_burn(row: Burn) -> BurnRead:
    """The wire form."""
    return BurnRead(
        id=row.id,
        order_id=row.order_id,
        status=BurnStatus(row.status),
        points=row.points,
        restored=row.restored,
        worth=Money(row.amount, row.currency),
        note=row.note,
        created_at=row.created_at,
        settled_at=row.settled_at,
    )
