"""What wallets hold and did: lists, statements of a period, and proof that the money adds up."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final
from uuid import UUID

from app.kernel.errors import Invalid
from app.kernel.listing import Bindings, Kind
from app.kernel.log_pages import fetch_page, order_by
from app.kernel.money import Money
from app.kernel.money_checks import Difference, compared
from app.kernel.statements import entity
from app.kernel.uow import UnitOfWork
from app.modules.membership.models.wallets import Wallet, WalletKind, WalletStatus, WalletTransaction
from app.modules.membership.schemas.wallets import (
    BonusLotRead,
    WalletDetail,
    WalletKindSum,
    WalletRead,
    Wallets,
    WalletStatement,
    WalletTransactionPage,
    WalletTransactionRead,
)
from app.modules.membership.services.members import LoyaltyMemberService


class WalletReading:
    """Reads of one member's wallets. Raises `NotFound` for one that the actor does not see."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def wallets(self, id: UUID) -> Wallets:
        """All of them with what is left of bonuses. Three statements."""
        await LoyaltyMemberService(self._uow).get(id)
        rows = await self._uow.all(
            self._uow.select(Wallet).where(Wallet.member_id == id).order_by(Wallet.currency)
        )
        lots = await self._uow.fetch(_LOTS, self._uow.tenant_id, [row.id for row in rows])
        return Wallets(
            data=[
                WalletDetail(
                    **read_wallet(row).model_dump(),
                    lots=[
                        BonusLotRead(
                            expires_on=lot["expires_on"], remaining=Money(lot["remaining"], row.currency)
                        )
                        for lot in lots
                        if lot["wallet_id"] == row.id
                    ],
                )
                for row in rows
            ]
        )

    async def transactions(
        self,
        id: UUID,
        *,
        currency: str | None,
        since: date | None,
        until: date | None,
        limit: int,
        cursor: str | None,
    ) -> WalletTransactionPage:
        """What moved the member's money, newest first. Raises `InvalidCursor`."""
        await LoyaltyMemberService(self._uow).get(id)
        tenant = self._uow.actor.tenant
        found = await fetch_page(
            self._uow,
            _TRANSACTIONS,
            Bindings(
                tenant.id,
                id,
                currency,
                None if since is None else tenant.midnight(since),
                None if until is None else tenant.midnight(until + timedelta(days=1)),
            ),
            _NEWEST,
            name=f"wallet_transactions:{id}:{currency}:{since}:{until}",
            limit=limit,
            cursor=cursor,
        )
        return WalletTransactionPage(
            data=[read_transaction(entity(WalletTransaction, row), row["currency"]) for row in found.rows],
            **found.onward,
        )

    async def statement(self, id: UUID, *, currency: str, since: date, until: date) -> WalletStatement:
        """What moved a wallet in a period of days as the company's calendar has them. Raises `Invalid`."""
        await LoyaltyMemberService(self._uow).get(id)
        if until < since:
            raise Invalid.at("/until", "before_since", "The last day comes before the first.")
        tenant = self._uow.actor.tenant
        rows = await self._uow.fetch(
            _STATEMENT,
            tenant.id,
            id,
            currency,
            tenant.midnight(since),
            tenant.midnight(until + timedelta(days=1)),
        )

        def money(amount: int) -> Money:
            return Money(amount, currency)

        opening = sum(int(row["amount"]) for row in rows if row["kind"] is None)
        moved = [row for row in rows if row["kind"] is not None]
        return WalletStatement(
            currency=currency,
            since=since,
            until=until,
            opening=money(opening),
            movements=[
                WalletKindSum(
                    kind=WalletKind(row["kind"]), count=row["count"], amount=money(int(row["amount"]))
                )
                for row in moved
            ],
            closing=money(opening + sum(int(row["amount"]) for row in moved)),
        )


class WalletCheck:
    """`MoneyCheck`: balances are what the ledger and the lots say, and payments what came back of their parts."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def differences(self) -> Sequence[Difference]:
        return await compared(self._uow, _RULES)


def read_wallet(row: Wallet) -> WalletRead:
    """The wire form."""
    return WalletRead(
        id=row.id,
        currency=row.currency,
        status=WalletStatus(row.status),
        reason=row.reason,
        balance=Money(row.principal + row.bonus, row.currency),
        principal=Money(row.principal, row.currency),
        bonus=Money(row.bonus, row.currency),
    )


def read_transaction(row: WalletTransaction, currency: str) -> WalletTransactionRead:
    """The wire form."""
    plain = {
        name: getattr(row, name)
        for name in WalletTransactionRead.model_fields
        if name not in ("kind", "amount", "balance")
    }
    return WalletTransactionRead(
        **plain,
        kind=WalletKind(row.kind),
        amount=Money(row.amount, currency),
        balance=Money(row.balance, currency),
    )


_LOTS: Final = """
SELECT wallet_id, expires_on, remaining FROM membership.wallet_lots
WHERE tenant_id = $1 AND wallet_id = ANY($2::uuid[]) AND remaining > 0 ORDER BY expires_on NULLS LAST, id"""
_TRANSACTIONS: Final = """
SELECT t.*, w.currency FROM membership.wallets w
JOIN membership.wallet_transactions t ON t.tenant_id = w.tenant_id AND t.wallet_id = w.id
WHERE w.tenant_id = $1 AND w.member_id = $2 AND ($3::text IS NULL OR w.currency = $3)
  AND ($4::timestamptz IS NULL OR t.at >= $4) AND ($5::timestamptz IS NULL OR t.at < $5)"""
_NEWEST: Final = order_by({"t.id": Kind.UUID}, falling=True)
_STATEMENT: Final = """
SELECT CASE WHEN t.at >= $4 THEN t.kind END AS kind, count(*) AS count, sum(t.amount) AS amount
FROM membership.wallets w
JOIN membership.wallet_transactions t ON t.tenant_id = w.tenant_id AND t.wallet_id = w.id
WHERE w.tenant_id = $1 AND w.member_id = $2 AND w.currency = $3 AND t.at < $5
GROUP BY 1 ORDER BY 1"""
_RULES: Final[dict[str, tuple[str, str]]] = {
    "entries of the ledger of money are the wallet": (
        "wallet",
        """
SELECT w.id, concat_ws(' and ', w.principal, w.bonus) AS stored, concat_ws(' and ', e.principal, e.bonus) AS computed
FROM membership.wallets w CROSS JOIN LATERAL (
  SELECT coalesce(sum(amount) FILTER (WHERE account = 'principal'), 0) AS principal,
    coalesce(sum(amount) FILTER (WHERE account = 'bonus'), 0) AS bonus
  FROM membership.wallet_entries WHERE tenant_id = $1 AND wallet_id = w.id
) e WHERE w.tenant_id = $1 AND (w.principal, w.bonus) <> (e.principal, e.bonus) ORDER BY w.id""",
    ),
    "what is left of bonuses is the wallet's bonus": (
        "wallet",
        """
SELECT w.id, w.bonus AS stored, coalesce(l.remaining, 0) AS computed FROM membership.wallets w
LEFT JOIN (SELECT wallet_id, sum(remaining) AS remaining FROM membership.wallet_lots
  WHERE tenant_id = $1 GROUP BY wallet_id) l ON l.wallet_id = w.id
WHERE w.tenant_id = $1 AND w.bonus <> coalesce(l.remaining, 0) ORDER BY w.id""",
    ),
    "transactions of money are the wallet": (
        "wallet",
        """
SELECT w.id, w.principal + w.bonus AS stored, coalesce(t.amount, 0) AS computed FROM membership.wallets w
LEFT JOIN (SELECT wallet_id, sum(amount) AS amount FROM membership.wallet_transactions
  WHERE tenant_id = $1 GROUP BY wallet_id) t ON t.wallet_id = w.id
WHERE w.tenant_id = $1 AND w.principal + w.bonus <> coalesce(t.amount, 0) ORDER BY w.id""",
    ),
    "entries of a transaction of money sum to zero": (
        "wallet_transaction",
        """
SELECT transaction_id AS id, 0 AS stored, sum(amount) AS computed FROM membership.wallet_entries
WHERE tenant_id = $1 GROUP BY transaction_id HAVING sum(amount) <> 0 ORDER BY 1""",
    ),
    "parts of a payment by stored value are the payment": (
        "wallet_payment",
        """
SELECT p.id, concat_ws(' and ', p.amount, p.refunded) AS stored,
  concat_ws(' and ', sum(a.amount), sum(a.restored)) AS computed
FROM membership.wallet_payments p
JOIN membership.wallet_parts a ON a.tenant_id = p.tenant_id AND a.payment_id = p.id
WHERE p.tenant_id = $1 GROUP BY p.id, p.amount, p.refunded
HAVING (p.amount, p.refunded) <> (sum(a.amount), sum(a.restored)) ORDER BY 1""",
    ),
}
