"""The wire shapes of stored value."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from app.kernel.money import Currency, Money, MoneyIn, MoneyOut
from app.kernel.schemas import Input, Output, Page, ShortText
from app.modules.membership.models.wallets import WalletKind, WalletStatus
from app.modules.membership.schemas.members import Note


def _positive(amount: Money) -> Money:
    if amount.amount_minor <= 0:
        raise PydanticCustomError("not_positive", "More than nothing")
    return amount


def _some(amount: Money) -> Money:
    if not amount.amount_minor:
        raise PydanticCustomError("no_money", "An adjustment is of some money")
    return amount


Amount = Annotated[MoneyIn, AfterValidator(_positive)]


class _Referenced(Input):
    """A reference of a source, such as a receipt of a till, moves money once: sent again it answers as at first."""

    source: ShortText | None = Field(None, description="Which system says so, such as `till-3`.")
    reference: ShortText | None = Field(None, description="The source's own number of this, once for ever.")
    note: Note | None = None

    @model_validator(mode="after")
    def _both(self) -> Self:
        if (self.source is None) != (self.reference is None):
            raise PydanticCustomError("source_and_reference", "A source and a reference come together")
        return self


class BonusInput(Input):
    """Money given on top; it is spent first, and gone after its last day."""

    amount: Amount
    expires_on: date | None = Field(None, description="The last day on which it counts. Absent: for ever.")


class TopUp(_Referenced):
    """Money that the member pays in. It never expires."""

    amount: Amount
    bonus: Annotated[list[BonusInput], Field(max_length=10)] = Field(default_factory=list)

    @model_validator(mode="after")
    def _one_currency(self) -> Self:
        if any(one.amount.currency != self.amount.currency for one in self.bonus):
            raise PydanticCustomError("other_currency", "A bonus is in the currency of what is paid in")
        return self


class WalletPay(_Referenced):
    """Pay an order of the member's, or one invoice, with stored value."""

    order_id: UUID | None = Field(
        None, description="Its open invoices are settled; the rest waits for the next."
    )
    invoice_id: UUID | None = Field(None, description="Either an order or an invoice.")
    amount: Amount | None = Field(None, description="Absent: all that is still to be paid.")

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        if (self.order_id is None) == (self.invoice_id is None):
            raise PydanticCustomError("order_or_invoice", "Name an order or an invoice")
        return self


class WalletRefund(_Referenced):
    """Give back what a payment by stored value paid and is not owed any more."""

    transaction_id: UUID = Field(description="The transaction that paid.")
    amount: Amount | None = Field(None, description="Absent: all that may come back.")


class Withdrawal(_Referenced):
    """Money that the member had paid in is paid out."""

    amount: Amount


class Freeze(Input):
    """Stop a wallet, or let it go on."""

    currency: Currency
    reason: Note


class WalletAdjustment(Input):
    """Give money, or take it, for a reason; beyond the programme's limit it waits for approval."""

    amount: Annotated[MoneyIn, AfterValidator(_some)]
    reason: Note
    chosen_ids: Annotated[list[UUID], Field(max_length=20)] = Field(
        default_factory=list, description="Approvers, for steps that leave the choice to whoever asks."
    )


class WalletRead(Output):
    """What a member has in one currency. `balance` can be spent, `principal` of it can be paid out."""

    id: UUID
    currency: str
    status: WalletStatus
    reason: str | None = Field(description="Why it is frozen.")
    balance: MoneyOut
    principal: MoneyOut
    bonus: MoneyOut


class BonusLotRead(Output):
    """Bonus money that is left."""

    expires_on: date | None
    remaining: MoneyOut


class WalletDetail(WalletRead):
    lots: list[BonusLotRead] = Field(description="Bonus money in the order in which it is spent.")


class Wallets(Output):
    """All wallets of a member, by currency."""

    data: list[WalletDetail]


class WalletTransactionRead(Output):
    """One movement: by how much, and what the wallet came to."""

    id: UUID
    wallet_id: UUID
    kind: WalletKind
    amount: MoneyOut
    balance: MoneyOut
    source: str | None
    reference: str | None
    order_id: UUID | None
    invoice_id: UUID | None
    refunds_id: UUID | None
    note: str | None
    made_by: UUID | None
    at: datetime


class WalletTransactionPage(Page[WalletTransactionRead]):
    """Newest first."""


class WalletKindSum(Output):
    kind: WalletKind
    count: int
    amount: MoneyOut


class WalletStatement(Output):
    """What a wallet held before the first day, what moved it until the end of the last, and what it held then."""

    currency: str
    since: date
    until: date
    opening: MoneyOut
    movements: list[WalletKindSum]
    closing: MoneyOut
