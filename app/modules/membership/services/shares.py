"""What of an order's points belongs to which of its lines, and how burned points come back."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

from app.kernel.money import half_up
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
    await uow.fetch(_SHARES, uow.tenant_id, *[[share[name] for share in shares] for name in names])


async def write_reversals(uow: UnitOfWork, rows: Sequence[Mapping[str, Any]]) -> None:
    names = ("id", "returned", "spendable_reversed", "qualifying_reversed", "burned_restored")
    await uow.fetch(_REVERSALS, uow.tenant_id, *[[row[name] for row in rows] for name in names])


async def takes_of(uow: UnitOfWork, burn_ids: Collection[UUID]) -> list[Any]:
    """What burns took, the last first."""
    return await uow.fetch(_TAKES, uow.tenant_id, list(burn_ids))


async def restore(
    uow: UnitOfWork,
    ledger: Ledger,
    posting: Posting,
    holding: Holding,
    burns: Sequence[Burn],
    points: int,
) -> None:
    """Give back so many points of what committed burns took, the last first."""
    committed = {burn.id: burn for burn in burns if burn.status == BurnStatus.COMMITTED}
    if not points or not committed:
        return
    takes = await takes_of(uow, committed)
    await ledger.also(lot_ids=[row["lot_id"] for row in takes])
    parts, changed, by_burn = [], [], dict.fromkeys(committed, 0)
    for row in takes:
        part = min(points, row["points"] - row["restored"])
        if part:
            points -= part
            parts.append(Taken(_lot(holding, row["lot_id"]), part))
            changed.append((row["id"], row["restored"] + part))
            by_burn[row["burn_id"]] += part
    holding.give_back(posting, parts, ledger.today, reserved=False)
    await uow.fetch(_RESTORED, uow.tenant_id, [id for id, _ in changed], [count for _, count in changed])
    for id, count in by_burn.items():
        if count:
            await uow.update(committed[id], restored=committed[id].restored + count)


async def release(uow: UnitOfWork, ledger: Ledger, posting: Posting, holding: Holding, burn: Burn) -> None:
    """End a reservation: its points go back where they came from."""
    takes = await takes_of(uow, [burn.id])
    await ledger.also(lot_ids=[row["lot_id"] for row in takes])
    parts = [Taken(_lot(holding, row["lot_id"]), row["points"]) for row in takes]
    holding.give_back(posting, parts, ledger.today, reserved=True)
    await uow.fetch(_RESTORED, uow.tenant_id, [row["id"] for row in takes], [row["points"] for row in takes])
    await uow.update(burn, status=BurnStatus.RELEASED.value, restored=burn.points, settled_at=uow.now)


def _lot(holding: Holding, id: UUID) -> Lot:
    return next(lot for lot in holding.lots if lot.id == id)


_SHARES = """
INSERT INTO membership.order_shares AS s (tenant_id, id, member_id, order_id, order_line_id, quantity, returned,
  amount, spendable, spendable_reversed, qualifying, qualifying_reversed, burned, burned_restored)
SELECT $1, gen_random_uuid(), n.member_id, n.order_id, n.line, n.quantity, 0, n.amount, n.spendable, 0,
  n.qualifying, 0, n.burned, 0
FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::numeric[], $6::bigint[], $7::bigint[], $8::bigint[],
  $9::bigint[]) AS n(member_id, order_id, line, quantity, amount, spendable, qualifying, burned)
ON CONFLICT (tenant_id, order_id, member_id, order_line_id) DO UPDATE SET quantity = excluded.quantity,
  amount = greatest(s.amount, excluded.amount), spendable = greatest(s.spendable, excluded.spendable),
  qualifying = greatest(s.qualifying, excluded.qualifying), burned = s.burned + excluded.burned"""
_REVERSALS = """
UPDATE membership.order_shares s SET returned = n.returned, spendable_reversed = n.spendable,
  qualifying_reversed = n.qualifying, burned_restored = n.burned
FROM unnest($2::uuid[], $3::numeric[], $4::bigint[], $5::bigint[], $6::bigint[])
  AS n(id, returned, spendable, qualifying, burned)
WHERE s.tenant_id = $1 AND s.id = n.id"""
_TAKES = """
SELECT id, burn_id, lot_id, points, restored FROM membership.burn_takes
WHERE tenant_id = $1 AND burn_id = ANY($2::uuid[]) ORDER BY burn_id DESC, position DESC"""
_RESTORED = """
UPDATE membership.burn_takes t SET restored = n.restored FROM unnest($2::uuid[], $3::bigint[]) AS n(id, restored)
WHERE t.tenant_id = $1 AND t.id = n.id"""
