"""What a wallet holds, and how its money moves: pure arithmetic in minor units, with the entries it makes.

Every movement has both sides: a wallet's accounts are principal and bonus; the company's are cash, payments, granted,
expired and adjusted. The rules:

* Paying takes bonus money first, what expires soonest before the rest, then the principal.
* Only principal is withdrawn; it never expires.
* What was paid comes back where it came from, the last first: the principal before the bonus. Bonus money that has
  expired meanwhile comes back as a lot of its own that lasts as long as points that come back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from uuid import UUID

from app.kernel.ids import new_id
from app.kernel.money import Money
from app.modules.membership.interface import InsufficientStoredValue
from app.modules.membership.services.holdings import RESTORED_FOR


@dataclass(slots=True)
class BonusLot:
    """Bonus money that came together."""

    id: UUID
    expires_on: date | None
    amount: int
    remaining: int
    expired: int = 0
    new: bool = False
    changed: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """So much of a lot, or of the principal where there is none."""

    lot_id: UUID | None
    amount: int


@dataclass(slots=True)
class Movement:
    """One transaction on its way: entries by account of the wallet, against one account of the company."""

    id: UUID
    kind: str
    balance: int = 0
    source: str | None = None
    reference: str | None = None
    order_id: UUID | None = None
    invoice_id: UUID | None = None
    refunds_id: UUID | None = None
    note: str | None = None
    wallet: Counter[str] = field(default_factory=Counter)
    company: Counter[str] = field(default_factory=Counter)

    @property
    def amount(self) -> int:
        return sum(self.wallet.values())


@dataclass(slots=True)
class Purse:
    """One wallet whose row is held, with its open lots."""

    id: UUID
    member_id: UUID
    currency: str
    status: str
    principal: int = 0
    lots: list[BonusLot] = field(default_factory=list)
    movements: list[Movement] = field(default_factory=list)

    @property
    def bonus(self) -> int:
        return sum(lot.remaining for lot in self.lots)

    @property
    def balance(self) -> int:
        return self.principal + self.bonus

    def post(self, kind: str) -> Movement:
        """A new transaction; it has happened once something moved."""
        made = Movement(new_id(), kind)
        self.movements.append(made)
        return made

    def _move(self, movement: Movement, account: str, amount: int, against: str) -> None:
        movement.wallet[account] += amount
        movement.company[against] -= amount
        movement.balance = self.balance

    def pay_in(self, movement: Movement, amount: int, against: str = "cash") -> None:
        """Money that is the member's for good."""
        self.principal += amount
        self._move(movement, "principal", amount, against)

    def grant(self, movement: Movement, amount: int, expires_on: date | None) -> None:
        """Bonus money, until its last day."""
        self.lots.append(BonusLot(new_id(), expires_on, amount, amount, new=True))
        self._move(movement, "bonus", amount, "granted")

    def withdraw(self, movement: Movement, amount: int, against: str = "cash") -> None:
        """Principal goes back to the member. Raises `InsufficientStoredValue`."""
        self.require(amount, principal=True)
        self.principal -= amount
        self._move(movement, "principal", -amount, against)

    def pay(self, movement: Movement, amount: int, against: str = "payments") -> list[Part]:
        """Take money, and say of what. Raises `InsufficientStoredValue`."""
        self.require(amount)
        parts = []
        for lot in sorted((lot for lot in self.lots if lot.remaining), key=_order):
            taken = min(amount, lot.remaining)
            if taken:
                lot.remaining -= taken
                lot.changed = True
                amount -= taken
                parts.append(Part(lot.id, taken))
                self._move(movement, "bonus", -taken, against)
        if amount:
            self.principal -= amount
            parts.append(Part(None, amount))
            self._move(movement, "principal", -amount, against)
        return parts

    def give_back(self, movement: Movement, parts: Iterable[Part], today: date) -> None:
        """Money that was paid comes back; the lots that it was of are among those here."""
        known = {lot.id: lot for lot in self.lots}
        for part in parts:
            if part.lot_id is None:
                self.principal += part.amount
                self._move(movement, "principal", part.amount, "payments")
                continue
            lot = known[part.lot_id]
            if lot.expires_on is not None and lot.expires_on < today:
                last = today + RESTORED_FOR
                self.lots.append(BonusLot(new_id(), last, part.amount, part.amount, new=True))
            else:
                lot.remaining += part.amount
                lot.changed = True
            self._move(movement, "bonus", part.amount, "payments")

    def expire(self, movement: Movement, today: date) -> int:
        """Bonus money whose last day has passed is gone; how much."""
        gone = 0
        for lot in self.lots:
            if lot.remaining and lot.expires_on is not None and lot.expires_on < today:
                left = lot.remaining
                gone += left
                lot.expired += left
                lot.remaining, lot.changed = 0, True
                self._move(movement, "bonus", -left, "expired")
        return gone

    def require(self, amount: int, *, principal: bool = False) -> None:
        """Raises `InsufficientStoredValue` where there is not so much, or not so much principal."""
        available = self.principal if principal else self.balance
        if amount > available:
            left, wanted = Money(available, self.currency), Money(amount, self.currency)
            raise InsufficientStoredValue(
                f"There is {left}.", available=left.to_wire(), wanted=wanted.to_wire()
            )


def _order(lot: BonusLot) -> tuple[bool, date, UUID]:
    """Soonest to expire first, then the oldest; what never expires last."""
    return lot.expires_on is None, lot.expires_on or date.min, lot.id


def latest_first(parts: Iterable[tuple[Part, int]], amount: int) -> list[tuple[int, Part]]:
    """Which parts of a payment come back for `amount`: place and part; of each what was restored before is known."""
    found = []
    for place, (part, restored) in reversed(list(enumerate(parts))):
        back = min(amount, part.amount - restored)
        if back:
            found.append((place, Part(part.lot_id, back)))
            amount -= back
    return found
