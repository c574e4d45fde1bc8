"""What is done with stored value by hand or by a till: topped up, paid, given back, paid out, frozen."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from app.kernel.errors import DuplicateValue, Invalid
from app.kernel.locks import lock_keys
from app.kernel.money import Money
from app.kernel.uow import UnitOfWork
from app.modules.membership.interface import (
    MemberNotActive,
    NothingToRefund,
    WalletFrozen,
    WalletIsFrozen,
    WalletNotFrozen,
    WalletPaid,
    WalletToppedUp,
    WalletUnfrozen,
    WalletWithdrawn,
)
from app.modules.membership.models.programmes import LoyaltyMember, MemberStatus
from app.modules.membership.models.wallets import (
    Wallet,
    WalletKind,
    WalletPart,
    WalletPayment,
    WalletStatus,
    WalletTransaction,
)
from app.modules.membership.schemas.wallets import (
    Freeze,
    TopUp,
    WalletPay,
    WalletRead,
    WalletRefund,
    WalletTransactionRead,
    Withdrawal,
)
from app.modules.membership.services.members import LoyaltyMemberService
from app.modules.membership.services.orders import ORDER_LOCK
from app.modules.membership.services.wallet.giving_back import GivingBack, payments_of
from app.modules.membership.services.wallet.ledger import WalletLedger
from app.modules.membership.services.wallet.purse import Movement, Part, Purse
from app.modules.membership.services.wallet.reading import read_transaction, read_wallet
from app.modules.orders.interface import Payable, StoredValuePayments

_PAYING = (MemberStatus.ACTIVE, MemberStatus.SUPERSEDED)
_LEAVING = (*_PAYING, MemberStatus.CLOSED)


class Moving:
    """Moves money of one member. What is paid for is held first, then the wallet."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._members = LoyaltyMemberService(uow)
        self._ledger = WalletLedger(uow)

    async def top_up(self, id: UUID, body: TopUp) -> WalletTransactionRead:
        """Raises: NotFound; Invalid; MemberNotActive; WalletIsFrozen; DuplicateValue."""
        await self._member(id, "top_up", (MemberStatus.ACTIVE,))
        amount, bonus = body.amount.amount_minor, sum(one.amount.amount_minor for one in body.bonus)
        purse = await self._open(id, body.amount.currency)
        known = await self._known(purse, "top_up", body, amount + bonus)
        if known is not None:
            return known
        _require_active(purse)
        movement = self._movement(purse, "top_up", body)
        purse.pay_in(movement, amount)
        for place, one in enumerate(body.bonus):
            if one.expires_on is not None and one.expires_on < self._ledger.today:
                raise Invalid.at(f"/bonus/{place}/expires_on", "in_the_past", "That day has passed.")
            purse.grant(movement, one.amount.amount_minor, one.expires_on)
        currency = purse.currency
        self._uow.publish(
            WalletToppedUp(
                id=id,
                wallet_id=purse.id,
                amount=Money(amount, currency).to_texts(),
                bonus=Money(bonus, currency).to_texts(),
            )
        )
        return await self._done(purse, movement)

    async def pay(self, id: UUID, body: WalletPay) -> WalletTransactionRead:
        """Pay, and settle what is invoiced, all in this transaction.

        Raises: NotFound; Forbidden; Invalid for what is not the member's or costs less; MemberNotActive;
        WalletIsFrozen; InsufficientStoredValue; CashPaidBack; DuplicateValue.
        """
        member = await self._member(id, "redeem", _PAYING)
        what = await self._payable(member, body)
        known = await self._paid_before(member, body)
        if known is not None:
            return known
        if what is None:
            pointer = "/order_id" if body.order_id is not None else "/invoice_id"
            raise Invalid.at(
                pointer, "unknown_reference", "There is nothing of this member's to be paid there."
            )
        if body.amount is not None and body.amount.currency != what.open.currency:
            raise Invalid.at("/amount/currency", "other_currency", f"It is in {what.open.currency}.")
        purse = await self._open(id, what.open.currency)
        wanted = (body.amount or what.open).amount_minor
        _require_active(purse)
        if not 0 < wanted <= what.open.amount_minor:
            raise Invalid.at("/amount", "more_than_open", f"{what.open} is still to be paid.")
        movement = self._movement(purse, "pay", body)
        movement.order_id, movement.invoice_id = what.order_id, body.invoice_id
        parts = purse.pay(movement, wanted)
        amount = Money(wanted, purse.currency)
        payment_id = await self._uow.of(StoredValuePayments).pay(
            what, amount, reference=f"wallet/{movement.id}"
        )
        self._uow.publish(
            WalletPaid(
                id=id,
                wallet_id=purse.id,
                payment_id=payment_id,
                order_id=what.order_id,
                invoice_id=body.invoice_id,
                amount=amount.to_texts(),
            )
        )
        answer = await self._done(purse, movement)
        await self._keep(purse, movement, payment_id, wanted, parts)
        return answer

    async def _paid_before(self, member: LoyaltyMember, body: WalletPay) -> WalletTransactionRead | None:
        """What this reference paid before, though nothing may be left to be paid; what it was for is held.

        Raises `DuplicateValue` where it paid for something else.
        """
        row = await self._of_reference(body)
        if row is None:
            return None
        wallet = await self._uow.get(Wallet, row.wallet_id)
        same = wallet.member_id == member.id and row.kind == WalletKind.PAY
        same = same and row.invoice_id == body.invoice_id and body.order_id in (None, row.order_id)
        if not same or (body.amount is not None and body.amount != Money(-row.amount, wallet.currency)):
            raise DuplicateValue("This reference has moved other money.")
        return read_transaction(row, wallet.currency)

    async def _payable(self, member: LoyaltyMember, body: WalletPay) -> Payable | None:
        """What is to be paid, held: also against what else stored value pays for the order; None if not theirs."""
        paid = []
        if body.order_id is not None:
            await lock_keys(self._uow, ORDER_LOCK, [str(body.order_id)])
            paid = await payments_of(self._uow, body.order_id)
        what = await self._uow.of(StoredValuePayments).payable(
            order_id=body.order_id,
            invoice_id=body.invoice_id,
            payment_ids=[row.payment_id for row in paid],
        )
        mine = what is not None and (
            what.account_id == member.account_id
            if member.account_id is not None
            else what.contact_id == member.contact_id
        )
        return what if mine else None

    async def _keep(
        self, purse: Purse, movement: Movement, payment_id: UUID, amount: int, parts: Collection[Part]
    ) -> None:
        await self._uow.insert(
            WalletPayment,
            id=movement.id,
            wallet_id=purse.id,
            payment_id=payment_id,
            order_id=movement.order_id,
            invoice_id=movement.invoice_id,
            amount=amount,
            refunded=0,
        )
        rows: list[dict[str, Any]] = [
            {"payment_id": movement.id, "position": place, "lot_id": part.lot_id, "amount": part.amount}
            | {"restored": 0}
            for place, part in enumerate(parts)
        ]
        await self._uow.insert_many(WalletPart, rows)

    async def refund(self, id: UUID, body: WalletRefund) -> WalletTransactionRead:
        """Give back of one payment what is not owed any more.

        Raises: NotFound; Forbidden; Invalid; NothingToRefund; DuplicateValue.
        """
        await self._member(id, "redeem", _LEAVING)
        payment = await self._payment(id, body.transaction_id)
        giving = GivingBack(self._uow, self._ledger)
        await giving.hold(payment)
        purse = await self._purse(payment.wallet_id)
        known = await self._known(purse, "refund", body, body.amount.amount_minor if body.amount else None)
        if known is not None:
            return known
        if body.amount is not None and body.amount.currency != purse.currency:
            raise Invalid.at("/amount/currency", "other_currency", f"It is in {purse.currency}.")
        payment = await self._uow.get(WalletPayment, payment.id)
        left = payment.amount - payment.refunded
        wanted = left if body.amount is None else body.amount.amount_minor
        back = await giving.paid_back([payment], min(wanted, left))
        if not back or (body.amount is not None and back < wanted):
            money = Money(back, purse.currency)
            raise NothingToRefund(f"{money} may come back.", left=money.to_wire())
        movement = self._movement(purse, "refund", body)
        await giving.into(purse, movement, payment, back)
        return await self._done(purse, movement)

    async def withdraw(self, id: UUID, body: Withdrawal) -> WalletTransactionRead:
        """Raises: NotFound; Forbidden; MemberNotActive; WalletIsFrozen; InsufficientStoredValue; DuplicateValue."""
        await self._member(id, "withdraw", _LEAVING)
        purse = await self._open(id, body.amount.currency)
        known = await self._known(purse, "withdraw", body, -body.amount.amount_minor)
        if known is not None:
            return known
        _require_active(purse)
        movement = self._movement(purse, "withdraw", body)
        purse.withdraw(movement, body.amount.amount_minor)
        amount = body.amount.to_texts()
        self._uow.publish(WalletWithdrawn(id=id, wallet_id=purse.id, amount=amount))
        return await self._done(purse, movement)

    async def freeze(self, id: UUID, body: Freeze, *, frozen: bool) -> WalletRead:
        """Raises: NotFound; Forbidden; WalletIsFrozen, WalletNotFrozen where it is so already."""
        await self._members.get(id, action="freeze")
        purse = await self._open(id, body.currency)
        if frozen:
            _require_active(purse)
        elif purse.status != WalletStatus.FROZEN:
            raise WalletNotFrozen
        await self._ledger.close()
        status = WalletStatus.FROZEN if frozen else WalletStatus.ACTIVE
        row = await self._uow.update(
            await self._uow.get(Wallet, purse.id),
            status=status.value,
            reason=body.reason if frozen else None,
            updated_at=self._uow.now,
        )
        action = "wallet_frozen" if frozen else "wallet_unfrozen"
        self._uow.record_audit(
            "loyalty_member", id, action, {"status": [purse.status, row.status]}, reason=body.reason
        )
        told = WalletFrozen if frozen else WalletUnfrozen
        self._uow.publish(told(id=id, wallet_id=purse.id, reason=body.reason))
        return read_wallet(row)

    # -- what they share -----------------------------------------------------------------------------------

    async def _member(self, id: UUID, action: str, statuses: Collection[MemberStatus]) -> LoyaltyMember:
        row = await self._members.get(id, action=action)
        if row.status not in statuses:
            raise MemberNotActive(f"It is {row.status}.", state=row.status)
        return row

    async def _open(self, id: UUID, currency: str) -> Purse:
        return (await self._ledger.open([id], currency))[id]

    async def _purse(self, id: UUID) -> Purse:
        return (await self._ledger.hold([id]))[id]

    async def _payment(self, member_id: UUID, id: UUID) -> WalletPayment:
        """What a wallet of this member paid. Raises `Invalid`."""
        row = await self._uow.find(WalletPayment, id)
        wallet = None if row is None else await self._uow.get(Wallet, row.wallet_id)
        if row is None or wallet is None or wallet.member_id != member_id:
            raise Invalid.at("/transaction_id", "unknown_reference", "No wallet of theirs paid by that.")
        return row

    async def _known(
        self, purse: Purse, kind: str, body: TopUp | WalletRefund | Withdrawal, amount: int | None
    ) -> WalletTransactionRead | None:
        """What this reference did before; asked with the wallet held. Raises `DuplicateValue` for something else."""
        row = await self._of_reference(body)
        if row is None:
            return None
        same = (row.wallet_id, row.kind) == (purse.id, kind)
        if isinstance(body, WalletRefund):
            same = same and row.refunds_id == body.transaction_id
        if not same or (amount is not None and abs(row.amount) != abs(amount)):
            raise DuplicateValue("This reference has moved other money.")
        return read_transaction(row, purse.currency)

    async def _of_reference(
        self, body: TopUp | WalletPay | WalletRefund | Withdrawal
    ) -> WalletTransaction | None:
        if body.source is None:
            return None
        statement = self._uow.select(WalletTransaction).where(
            WalletTransaction.source == body.source, WalletTransaction.reference == body.reference
        )
        return await self._uow.first(statement)

    def _movement(
        self, purse: Purse, kind: str, body: TopUp | WalletPay | WalletRefund | Withdrawal
    ) -> Movement:
        made = purse.post(kind)
        made.source, made.reference, made.note = body.source, body.reference, body.note
        return made

    async def _done(self, purse: Purse, movement: Movement) -> WalletTransactionRead:
        await self._ledger.close()
        return read_transaction(await self._uow.get(WalletTransaction, movement.id), purse.currency)


def _require_active(purse: Purse) -> None:
    if purse.status != WalletStatus.ACTIVE:
        raise WalletIsFrozen
