"""The ledger of money: holds wallets, and writes transactions, entries, lots and balances together.

Whoever moves money holds the wallets' rows in the order of their ids, so that a balance is the sum of the ledger at
every moment. Bonus money past its last day is gone before anything else happens, whenever a schedule last ran.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date
from typing import Any
from uuid import UUID

from app.kernel.ids import new_id
from app.kernel.money import Money
from app.kernel.uow import UnitOfWork
from app.modules.membership.interface import WalletBonusExpired
from app.modules.membership.models.wallets import WalletEntry, WalletLot, WalletStatus, WalletTransaction
from app.modules.membership.services.wallet.purse import BonusLot, Movement, Purse


class WalletLedger:
    """Moves money of wallets in one transaction."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self.today: date = uow.actor.tenant.day_of(uow.now)
        self._purses: dict[UUID, Purse] = {}

    async def open(self, member_ids: Collection[UUID], currency: str) -> dict[UUID, Purse]:
        """Hold these members' wallets of a currency, making those that are missing; by member id."""
        uow = self._uow
        wanted = sorted(set(member_ids))
        await uow.fetch(
            _MAKE,
            uow.tenant_id,
            [new_id() for _ in wanted],
            wanted,
            currency,
            WalletStatus.ACTIVE.value,
            uow.now,
        )
        rows = await uow.fetch(f"{_HOLD} AND member_id = ANY($2::uuid[]) AND currency = $3 {_HELD}",
                               uow.tenant_id, wanted, currency)  # fmt: skip
        return {purse.member_id: purse for purse in await self._held(rows)}

    async def hold(self, ids: Collection[UUID]) -> dict[UUID, Purse]:
        """Hold wallets by their ids."""
        rows = await self._uow.fetch(
            f"{_HOLD} AND id = ANY($2::uuid[]) {_HELD}", self._uow.tenant_id, list(ids)
        )
        return {purse.id: purse for purse in await self._held(rows)}

    async def _held(self, rows: Iterable[Any]) -> list[Purse]:
        made = [
            Purse(row["id"], row["member_id"], row["currency"], row["status"], row["principal"])
            for row in rows
        ]
        found = {purse.id: purse for purse in made}
        lots = await self._uow.fetch(
            f"{_LOTS} AND wallet_id = ANY($2::uuid[]) AND remaining > 0", self._uow.tenant_id, list(found)
        )
        for row in lots:
            found[row["wallet_id"]].lots.append(_lot(row))
        self._purses |= found
        for purse in made:
            self._expire(purse)
        return made

    async def also(self, purse: Purse, lot_ids: Collection[UUID]) -> None:
        """Read further lots of a wallet, spent or expired ones."""
        missing = set(lot_ids) - {lot.id for lot in purse.lots}
        if missing:
            rows = await self._uow.fetch(
                f"{_LOTS} AND wallet_id = $2 AND id = ANY($3::uuid[])",
                self._uow.tenant_id,
                purse.id,
                list(missing),
            )
            purse.lots += [_lot(row) for row in rows]

    def _expire(self, purse: Purse) -> None:
        gone = purse.expire(purse.post("expire"), self.today)
        if gone:
            amount = Money(gone, purse.currency).to_texts()
            self._uow.publish(WalletBonusExpired(id=purse.member_id, wallet_id=purse.id, amount=amount))

    async def close(self) -> None:
        """Write everything that moved. Five statements, however many wallets."""
        uow = self._uow
        moved = [
            (purse, one)
            for purse in self._purses.values()
            for one in purse.movements
            if any(one.wallet.values())
        ]
        if not moved:
            return
        await self._write_lots()
        await uow.insert_many(WalletTransaction, [self._transaction(purse, one) for purse, one in moved])
        await uow.insert_many(WalletEntry, [row for purse, one in moved for row in _entries(purse, one)])
        changed = list({purse.id: purse for purse, _ in moved}.values())
        await uow.fetch(
            _BALANCES,
            uow.tenant_id,
            [purse.id for purse in changed],
            [purse.principal for purse in changed],
            [purse.bonus for purse in changed],
            uow.now,
        )
        for purse in changed:
            purse.movements = []

    def _transaction(self, purse: Purse, one: Movement) -> dict[str, Any]:
        return {
            "id": one.id,
            "wallet_id": purse.id,
            "kind": one.kind,
            "amount": one.amount,
            "balance": one.balance,
            "source": one.source,
            "reference": one.reference,
            "order_id": one.order_id,
            "invoice_id": one.invoice_id,
            "refunds_id": one.refunds_id,
            "note": one.note,
            "made_by": self._uow.actor.member_id,
            "at": self._uow.now,
        }

    async def _write_lots(self) -> None:
        lots = [(purse.id, lot) for purse in self._purses.values() for lot in purse.lots]
        await self._uow.insert_many(
            WalletLot,
            [
                {"id": lot.id, "wallet_id": wallet_id, "expires_on": lot.expires_on, "amount": lot.amount}
                | {"remaining": lot.remaining, "expired": lot.expired}
                for wallet_id, lot in lots
                if lot.new
            ],
        )
        changed = [lot for _, lot in lots if lot.changed and not lot.new]
        if changed:
            await self._uow.fetch(
                _CHANGED_LOTS,
                self._uow.tenant_id,
                [lot.id for lot in changed],
                [lot.remaining for lot in changed],
                [lot.expired for lot in changed],
            )
        for _, lot in lots:
            lot.new = lot.changed = False


def _entries(purse: Purse, one: Movement) -> list[dict[str, Any]]:
    sides = ((purse.id, one.wallet), (None, one.company))
    return [
        {"transaction_id": one.id, "wallet_id": wallet_id, "account": account, "amount": amount}
        for wallet_id, entries in sides
        for account, amount in entries.items()
        if amount
    ]


def _lot(row: Any) -> BonusLot:
    return BonusLot(row["id"], row["expires_on"], row["amount"], row["remaining"], row["expired"])


_MAKE = """
INSERT INTO membership.wallets (tenant_id, id, member_id, currency, status, principal, bonus, created_at, updated_at)
SELECT $1, n.id, n.member_id, $4, $5, 0, 0, $6, $6 FROM unnest($2::uuid[], $3::uuid[]) AS n(id, member_id)
WHERE NOT EXISTS (SELECT 1 FROM membership.wallets w
  WHERE w.tenant_id = $1 AND w.member_id = n.member_id AND w.currency = $4)
ON CONFLICT DO NOTHING"""
_HOLD = "SELECT id, member_id, currency, status, principal FROM membership.wallets WHERE tenant_id = $1"
_HELD = "ORDER BY id FOR UPDATE"
_LOTS = (
    "SELECT id, wallet_id, expires_on, amount, remaining, expired FROM membership.wallet_lots"
    " WHERE tenant_id = $1"
)
_BALANCES = """
UPDATE membership.wallets w SET principal = n.principal, bonus = n.bonus, updated_at = $5
FROM unnest($2::uuid[], $3::bigint[], $4::bigint[]) AS n(id, principal, bonus)
WHERE w.tenant_id = $1 AND w.id = n.id"""
_CHANGED_LOTS = """
UPDATE membership.wallet_lots l SET remaining = n.remaining, expired = n.expired
FROM unnest($2::uuid[], $3::bigint[], $4::bigint[]) AS n(id, remaining, expired)
WHERE l.tenant_id = $1 AND l.id = n.id"""
