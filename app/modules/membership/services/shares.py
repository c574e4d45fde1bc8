"""What of an order's points belongs to which of its lines, and how burned points come back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

from app.kernel.ids import new_id
from app.kernel.money import half_up
from app.kernel.statements import entity
from app.kernel.uow import UnitOfWork
from app.modules.membership.models.programmes import Burn, BurnStatus, OrderShare
from app.modules.membership.services.holdings import Holding, Lot, Posting, Taken
from app.modules.membership.services.ledger import Ledger


def less(share: OrderShare, returned: Mapping[UUID, Decimal] | None) -> dict[str, Any]:
    """A share after so much of its line came back in all; None means everything."""
    back = share.quantity if returned is None else returned.get(share.order_line_id, Decimal(0))
    back = max(share.returned, min(back, share.quantity))
    row: dict[str, Any] = {"id": share.id, "quantity": share.quantity, "returned": back}
    return row | {
        "spendable_reversed": max(part_of(share.spendable, row), share.spendable_reversed),
        "qualifying_reversed": max(part_of(share.qualifying, row), share.qualifying_reversed),
        "burned_restored": max(part_of(share.burned, row), share.burned_restored),
    }


def part_of(whole: int, row: Mapping[str, Any]) -> int:
    """What of a whole belongs to what came back of the quantity."""
    if row["returned"] == row["quantity"]:
        return whole
    return half_up(whole * Fraction(row["returned"]) / Fraction(row["quantity"]))


def difference(before: Sequence[OrderShare], after: Sequence[Mapping[str, Any]], name: str) -> int:
    now, former = sum(row[name] for row in after), sum(getattr(one, name) for one in before)
    return int(now - former)


async def write_shares(uow: UnitOfWork, shares: Sequence[Mapping[str, Any]]) -> None:
    """Insert shares of lines, or complete those that are there."""
    names = (
        "member_id", "order_id", "order_line_id", "quantity", "amount", "spendable", "qualifying", "burned",
    )  # fmt: skip
    columns = [[share[name] for share in shares] for name in names]
    await uow.fetch(_SHARES, uow.tenant_id, *columns, [new_id() for _ in shares])


async def write_reversals(uow: UnitOfWork, rows: Sequence[Mapping[str, Any]]) -> None:
    names = ("id", "returned", "spendable_reversed", "qualifying_reversed", "burned_restored")
    await uow.fetch(_REVERSALS, uow.tenant_id, *[[row[name] for row in rows] for name in names])


class BurnBook:
    """What burns took of lots, and how it goes back, in memory. Members are held, and what the burns are for too."""

    def __init__(self, uow: UnitOfWork, ledger: Ledger, burns: Sequence[Burn]) -> None:
        self._uow = uow
        self._ledger = ledger
        self._burns = {burn.id: burn for burn in burns}
        self._takes: dict[UUID, list[_Take]] = {burn.id: [] for burn in burns}

    async def read(self) -> None:
        """Two statements, none without burns."""
        if not self._burns:
            return
        rows = await self._uow.fetch(_TAKES, self._uow.tenant_id, list(self._burns))
        for row in rows:
            self._takes[row["burn_id"]].append(_Take(**dict(row)))
        await self._ledger.also(lot_ids=[row["lot_id"] for row in rows])

    def restore(self, posting: Posting, holding: Holding, burn_ids: Iterable[UUID], points: int) -> None:
        """Give back so many points of what those burns took that are committed, the last first."""
        committed = {id for id in burn_ids if self._burns[id].status == BurnStatus.COMMITTED}
        if not points or not committed:
            return
        parts = []
        for id in sorted(committed, reverse=True):
            for take in self._takes[id]:
                part = min(points, take.points - take.restored)
                if part:
                    points -= part
                    parts.append(Taken(_lot(holding, take.lot_id), part))
                    take.restored += part
        holding.give_back(posting, parts, self._ledger.today, reserved=False)
        for id in committed:
            self._change(id, restored=sum(take.restored for take in self._takes[id]))

    def release(self, posting: Posting, holding: Holding, burn_ids: Iterable[UUID]) -> None:
        """End those that are reservations: their points go back where they came from."""
        for id in burn_ids:
            if self._burns[id].status != BurnStatus.RESERVED:
                continue
            takes = self._takes[id]
            parts = [Taken(_lot(holding, take.lot_id), take.points) for take in takes]
            holding.give_back(posting, parts, self._ledger.today, reserved=True)
            for take in takes:
                take.restored = take.points
            now = self._uow.now
            self._change(
                id, status=BurnStatus.RELEASED.value, restored=self._burns[id].points, settled_at=now
            )

    def _change(self, id: UUID, **changes: Any) -> None:
        self._burns[id] = entity(Burn, self._burns[id].__dict__ | changes)

    async def write(self) -> None:
        """Two statements, none without burns."""
        if not self._burns:
            return
        uow, burns = self._uow, list(self._burns.values())
        takes = [take for of_burn in self._takes.values() for take in of_burn]
        ids, restored = [take.id for take in takes], [take.restored for take in takes]
        await uow.fetch(_RESTORED, uow.tenant_id, ids, restored)
        names = ("id", "status", "restored", "settled_at")
        await uow.fetch(_BURNS, uow.tenant_id, *[[getattr(one, name) for one in burns] for name in names])


@dataclass(slots=True)
class _Take:
    """What a burn took of a lot, and what of it went back."""

    id: UUID
    burn_id: UUID
    lot_id: UUID
    points: int
    restored: int


async def restore(
    uow: UnitOfWork,
    ledger: Ledger,
    posting: Posting,
    holding: Holding,
    burns: Sequence[Burn],
    points: int,
) -> None:
    """Give back so many points of what committed burns took, the last first, and write that."""
    book = BurnBook(uow, ledger, burns)
    await book.read()
    book.restore(posting, holding, [burn.id for burn in burns], points)
    await book.write()


async def release(uow: UnitOfWork, ledger: Ledger, posting: Posting, holding: Holding, burn: Burn) -> None:
    """End a reservation, and write that."""
    book = BurnBook(uow, ledger, [burn])
    await book.read()
    book.release(posting, holding, [burn.id])
    await book.write()


def _lot(holding: Holding, id: UUID) -> Lot:
    return next(lot for lot in holding.lots if lot.id == id)


_SHARES = """
INSERT INTO membership.order_shares AS s (tenant_id, id, member_id, order_id, order_line_id, quantity, returned,
  amount, spendable, spendable_reversed, qualifying, qualifying_reversed, burned, burned_restored)
SELECT $1, n.id, n.member_id, n.order_id, n.line, n.quantity, 0, n.amount, n.spendable, 0,
  n.qualifying, 0, n.burned, 0
FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::numeric[], $6::bigint[], $7::bigint[], $8::bigint[],
  $9::bigint[], $10::uuid[]) AS n(member_id, order_id, line, quantity, amount, spendable, qualifying, burned, id)
ON CONFLICT (tenant_id, order_id, member_id, order_line_id) DO UPDATE SET quantity = excluded.quantity,
  amount = greatest(s.amount, excluded.amount), spendable = greatest(s.spendable, excluded.spendable),
  qualifying = greatest(s.qualifying, excluded.qualifying), burned = s.burned + excluded.burned"""
_REVERSALS = """
UPDATE membership.order_shares s SET returned = n.returned, spendable_reversed = n.spendable,
  qualifying_reversed = n.qualifying, burned_restored = n.burned
FROM unnest($2::uuid[], $3::numeric[], $4::bigint[], $5::bigint[], $6::bigint[])
  AS n(id, returned, spendable, qualifying, burned)
WHERE s.tenant_id = $1 AND s.id = n.id AND s.id = ANY($2::uuid[])"""
_TAKES = """
SELECT id, burn_id, lot_id, points, restored FROM membership.burn_takes
WHERE tenant_id = $1 AND burn_id = ANY($2::uuid[]) ORDER BY burn_id DESC, position DESC"""
_RESTORED = """
UPDATE membership.burn_takes t SET restored = n.restored FROM unnest($2::uuid[], $3::bigint[]) AS n(id, restored)
WHERE t.tenant_id = $1 AND t.id = n.id AND t.restored <> n.restored"""
_BURNS = """
UPDATE membership.burns b SET status = n.status, restored = n.restored, settled_at = n.settled_at
FROM unnest($2::uuid[], $3::text[], $4::bigint[], $5::timestamptz[]) AS n(id, status, restored, settled_at)
WHERE b.tenant_id = $1 AND b.id = n.id AND (b.status, b.restored) IS DISTINCT FROM (n.status, n.restored)"""
