"""Which points of orders belong to which of their lines, in memory, and how they go back line by line.

The orders are locked and their members held, so that what is read stays true until it is written: many returns go
through in a few statements, one after the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from app.kernel.statements import entities, entity
from app.kernel.uow import UnitOfWork
from app.modules.membership.interface import PointsReversed
from app.modules.membership.models.programmes import Burn, Earning, OrderShare
from app.modules.membership.services.holdings import Holding, Posting
from app.modules.membership.services.ledger import Ledger
from app.modules.membership.services.shares import BurnBook, difference, less, part_of, write_reversals

_Key = tuple[UUID, UUID]  # order, member


class OrderBook:
    """The shares, burns and earnings of locked orders."""

    def __init__(self, uow: UnitOfWork, ledger: Ledger) -> None:
        self._uow = uow
        self._ledger = ledger
        self._shares: dict[_Key, list[OrderShare]] = {}
        self._earnings: dict[_Key, Earning] = {}
        self._burns: dict[_Key, list[UUID]] = {}
        self._burn_book = BurnBook(uow, ledger, ())
        self._changed: set[_Key] = set()

    async def read(self, order_ids: Collection[UUID]) -> None:
        """Read these orders, and hold their members who are not held.

        Ten statements at most, unless what is taken back was spent by a member of very many small lots.
        """
        uow, ids = self._uow, list(order_ids)
        for share in entities(OrderShare, await uow.fetch(_SHARES, uow.tenant_id, ids)):
            self._shares.setdefault((share.order_id, share.member_id), []).append(share)
        burns = entities(Burn, await uow.fetch(_BURNS, uow.tenant_id, ids))
        for burn in burns:
            if burn.order_id is not None:
                self._burns.setdefault((burn.order_id, burn.member_id), []).append(burn.id)
        keys = sorted(self._shares.keys() | self._burns.keys())
        members = {member_id for _, member_id in keys}
        if members - self._ledger.known:
            await self._ledger.hold(members - self._ledger.known)
        earned_by = [order_id for order_id, _ in keys], [member_id for _, member_id in keys]
        for one in entities(Earning, await uow.fetch(_EARNINGS, uow.tenant_id, *earned_by)):
            if one.order_id is not None:
                self._earnings[one.order_id, one.member_id] = one
        await self._ledger.also(earning_ids=[one.id for one in self._earnings.values()])
        await self._ledger.reach(self._beyond())
        self._burn_book = BurnBook(uow, self._ledger, burns)
        await self._burn_book.read()

    def _beyond(self) -> dict[UUID, int]:
        """By member what may have to be taken out of other lots: of orders whose own points were spent."""
        spent = {
            lot.earning_id
            for member_id in {one.member_id for one in self._earnings.values()}
            for lot in self._ledger.held(member_id).lots
            if lot.spent
        }
        members = {one.member_id for one in self._earnings.values() if one.id in spent}
        found = Counter[UUID]()
        for one in self._earnings.values():
            if one.member_id in members:
                found[one.member_id] += one.spendable - one.spendable_reversed
        return {id: points for id, points in found.items() if points}

    def take_back(
        self, order_id: UUID, returned: Mapping[UUID, Decimal] | None, *, key: UUID | None = None
    ) -> None:
        """Reverse what belongs to all that came back of lines by now; None means to everything, reservations too."""
        keys = {one for one in self._shares.keys() | self._burns.keys() if one[0] == order_id}
        for order_and_member in sorted(keys):
            self._reverse(order_and_member, returned, key or order_id)

    def _reverse(self, of: _Key, returned: Mapping[UUID, Decimal] | None, key: UUID) -> None:
        """Give back what was burned first, then take back what was earned, in one transaction of the ledger."""
        order_id, member_id = of
        holding, before = self._ledger.held(member_id), self._shares.get(of, [])
        after = [less(share, returned) for share in before]
        posting = self._posting(of, holding, after, key, whole=returned is None)
        burn_ids = self._burns.get(of, [])
        if returned is None:
            self._burn_book.release(posting, holding, burn_ids)
        restored = difference(before, after, "burned_restored")
        self._burn_book.restore(posting, holding, burn_ids, restored)
        lost, owed = difference(before, after, "spendable_reversed"), 0
        qualifying = difference(before, after, "qualifying_reversed")
        earning = self._earnings.get(of)
        if earning is not None:
            lot = next((lot for lot in holding.lots if lot.earning_id == earning.id), None)
            if lot is not None and lost:
                owed = holding.reverse(posting, lot, lost)
            holding.qualify(posting, -qualifying)
            self._less_earning(of, earning, after, lost, qualifying)
        self._shares[of] = [
            entity(OrderShare, share.__dict__ | row) for share, row in zip(before, after, strict=True)
        ]
        self._changed.add(of)
        if lost or restored or qualifying:
            self._uow.publish(
                PointsReversed(
                    id=member_id,
                    order_id=order_id,
                    earned_reversed=lost,
                    burned_restored=restored,
                    debt=owed,
                )
            )

    def _posting(
        self, of: _Key, holding: Holding, after: Sequence[Mapping[str, Any]], key: UUID, *, whole: bool
    ) -> Posting:
        order_id, member_id = of
        source = f"{key}:{order_id}:{member_id}"
        if not whole:
            source = f"{source}:{sum((one['returned'] for one in after), Decimal(0))}"
        return self._ledger.post("cancel" if whole else "return", holding, source, order_id=order_id)

    def _less_earning(
        self, of: _Key, earning: Earning, after: Sequence[Mapping[str, Any]], lost: int, qualifying: int
    ) -> None:
        """The order counts less towards tiers and groups; not at all once nothing of it was kept."""
        amounts = [share.amount for share in self._shares.get(of, [])]
        changes = {
            "visits": 1 if any(row["returned"] < row["quantity"] for row in after) else 0,
            "amount_returned": sum(part_of(one, row) for one, row in zip(amounts, after, strict=True)),
            "spendable_reversed": earning.spendable_reversed + lost,
            "qualifying_reversed": earning.qualifying_reversed + qualifying,
        }
        self._earnings[of] = entity(Earning, earning.__dict__ | changes)

    async def write(self) -> None:
        """Write what changed; the ledger is closed by whoever opened it. Four statements at most."""
        uow = self._uow
        changed, self._changed = sorted(self._changed), set()
        await write_reversals(uow, [share.__dict__ for of in changed for share in self._shares[of]])
        earnings = [self._earnings[of] for of in changed if of in self._earnings]
        if earnings:
            columns = [[getattr(one, name) for one in earnings] for name in _OF_EARNINGS]
            await uow.fetch(_LESS_EARNED, uow.tenant_id, *columns)
        await self._burn_book.write()


_SHARES: Final = """
SELECT * FROM membership.order_shares WHERE tenant_id = $1 AND order_id = ANY($2::uuid[]) ORDER BY id"""
_BURNS: Final = """
SELECT * FROM membership.burns WHERE tenant_id = $1 AND order_id = ANY($2::uuid[]) ORDER BY id"""
_EARNINGS: Final = """
SELECT e.* FROM unnest($2::uuid[], $3::uuid[]) AS w(order_id, member_id) CROSS JOIN LATERAL (
  SELECT * FROM membership.earnings e
  WHERE e.tenant_id = $1 AND e.member_id = w.member_id AND e.order_id = w.order_id OFFSET 0) e"""
_OF_EARNINGS: Final = ("id", "visits", "amount_returned", "spendable_reversed", "qualifying_reversed")
_LESS_EARNED: Final = """
UPDATE membership.earnings e SET visits = n.visits, amount_returned = n.returned, spendable_reversed = n.spendable,
  qualifying_reversed = n.qualifying
FROM unnest($2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
  AS n(id, visits, returned, spendable, qualifying)
WHERE e.tenant_id = $1 AND e.id = n.id AND e.id = ANY($2::uuid[])"""
