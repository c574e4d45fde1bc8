"""What stored value paid comes back to it: after a return, a cancelled order, or by hand.

What comes back is what is not owed any more, at most what stored value paid, and stored value comes before other ways
in which the same order was paid. The last payment comes back first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from app.kernel.ids import new_id
from app.kernel.locks import lock_keys
from app.kernel.money import Money
from app.kernel.uow import UnitOfWork
from app.modules.membership.interface import WalletRefunded
from app.modules.membership.models.wallets import Wallet, WalletKind, WalletPart, WalletPayment
from app.modules.membership.services.orders import ORDER_LOCK
from app.modules.membership.services.wallet.ledger import WalletLedger
from app.modules.membership.services.wallet.purse import Movement, Part, Purse, latest_first
from app.modules.orders.interface import StoredValuePayments


class GivingBack:
    """Gives back what wallets paid. The order, or the invoice without one, is held first."""

    def __init__(self, uow: UnitOfWork, ledger: WalletLedger | None = None) -> None:
        self._uow = uow
        self._ledger = ledger or WalletLedger(uow)

    async def of_order(self, order_id: UUID) -> None:
        """Whatever of this order is not owed any more; nothing for orders that stored value paid nothing of."""
        if not await payments_of(self._uow, order_id):
            return
        await lock_keys(self._uow, ORDER_LOCK, [str(order_id)])
        payments = [row for row in await payments_of(self._uow, order_id) if row.refunded < row.amount]
        left = await self.paid_back(payments, sum(row.amount - row.refunded for row in payments))
        if not left:
            return
        purses = await self._ledger.hold({row.wallet_id for row in payments})
        for payment in reversed(payments):
            part = min(left, payment.amount - payment.refunded)
            left -= part
            if part:
                purse = purses[payment.wallet_id]
                await self.into(purse, purse.post(WalletKind.REFUND), payment, part)
        await self._ledger.close()

    async def settle(self, order_id: UUID, invoice_id: UUID) -> None:
        """An invoice was issued: what stored value paid for its order in advance settles it."""
        ids = [row.payment_id for row in await payments_of(self._uow, order_id) if row.refunded < row.amount]
        if ids:
            await lock_keys(self._uow, ORDER_LOCK, [str(order_id)])
            await self._uow.of(StoredValuePayments).settle(invoice_id, ids)

    async def hold(self, payment: WalletPayment) -> None:
        """What one payment was for, before its wallet."""
        await lock_keys(self._uow, ORDER_LOCK, [str(payment.order_id or payment.invoice_id)])

    async def paid_back(self, payments: Sequence[WalletPayment], at_most: int) -> int:
        """Take back what orders had of these payments of one order or invoice; how much that was."""
        if not payments or not at_most:
            return 0
        first = payments[0]
        wallet = await self._uow.get(Wallet, first.wallet_id)
        back = await self._uow.of(StoredValuePayments).pay_back(
            order_id=first.order_id,
            invoice_id=first.invoice_id,
            payment_ids=[row.payment_id for row in payments],
            at_most=Money(at_most, wallet.currency),
            reference=f"wallet/{new_id()}",
        )
        return back.amount_minor

    async def into(self, purse: Purse, movement: Movement, payment: WalletPayment, amount: int) -> None:
        """Put so much of a payment back into its wallet, which is held."""
        movement.refunds_id = payment.id
        movement.order_id, movement.invoice_id = payment.order_id, payment.invoice_id
        statement = self._uow.select(WalletPart).where(WalletPart.payment_id == payment.id)
        rows = await self._uow.all(statement.order_by(WalletPart.position))
        back = latest_first([(Part(row.lot_id, row.amount), row.restored) for row in rows], amount)
        await self._ledger.also(purse, [part.lot_id for _, part in back if part.lot_id is not None])
        purse.give_back(movement, [part for _, part in back], self._ledger.today)
        for place, part in back:
            await self._uow.update(rows[place], restored=rows[place].restored + part.amount)
        await self._uow.update(payment, refunded=payment.refunded + amount)
        self._uow.publish(
            WalletRefunded(
                id=purse.member_id,
                wallet_id=purse.id,
                order_id=payment.order_id,
                invoice_id=payment.invoice_id,
                amount=Money(amount, purse.currency).to_texts(),
            )
        )


async def payments_of(uow: UnitOfWork, order_id: UUID) -> list[WalletPayment]:
    """What stored value paid for an order, the oldest first."""
    statement: Any = uow.select(WalletPayment).where(WalletPayment.order_id == order_id)
    return await uow.all(statement.order_by(WalletPayment.id))
