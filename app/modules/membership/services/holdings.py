"""What a member holds, and how points move: pure arithmetic on lots and balances, with the entries it makes.

Every movement writes both sides into a `Posting`: a member's accounts are available, pending, reserved, debt (never
above zero) and qualifying; the programme's are issued, redeemed, expired and adjusted. The rules:

* Spending takes what expires soonest first, then the oldest; what never expires comes last.
* What comes in pays a debt first.
* A reversal takes what is left of the same lot, then other points that can be spent, and the rest becomes a debt.
  What had expired is not taken a second time.
* What a burn took goes back where it came from, the last first, and to a new lot where that has expired meanwhile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final
from uuid import UUID

from app.kernel.ids import new_id
from app.modules.membership.interface import InsufficientPoints

RESTORED_FOR: Final = timedelta(days=30)
"""How long points last that come back after the lot they were of has expired."""


@dataclass(slots=True)
class Lot:
    """Points that came together; `matures_on` is None once they can be spent."""

    id: UUID
    earning_id: UUID | None
    earned_on: date
    matures_on: date | None
    expires_on: date | None
    points: int
    remaining: int
    expired: int = 0
    reversed: int = 0
    new: bool = False
    changed: bool = False

    @property
    def spent(self) -> int:
        return self.points - self.remaining - self.expired - self.reversed


@dataclass(slots=True)
class Posting:
    """One transaction of the ledger on its way: entries by member (None: the programme), account and currency."""

    id: UUID
    programme_id: UUID
    kind: str
    source_key: str
    order_id: UUID | None = None
    note: str | None = None
    entries: Counter[tuple[UUID | None, str, str]] = field(default_factory=Counter)

    def move(self, member_id: UUID, account: str, points: int, against: str) -> None:
        """Put points into a member's account, out of the programme's."""
        self.entries[member_id, account, "spendable"] += points
        self.entries[None, against, "spendable"] -= points

    def shift(self, member_id: UUID, source: str, target: str, points: int) -> None:
        """Move points between two accounts of a member."""
        self.entries[member_id, source, "spendable"] -= points
        self.entries[member_id, target, "spendable"] += points


@dataclass(frozen=True, slots=True)
class Taken:
    """So many points of a lot."""

    lot: Lot
    points: int


Place = tuple[bool, date, date, UUID]
"""Where a lot stands in the order of spending."""


@dataclass(slots=True)
class Holding:
    """The balances of one member, whose row is held, and open lots: all of them, or at least what is due.

    Where not `whole`, open lots are there up to the place `read_to` only, and no others may be spent: `Ledger.reach`
    reads as many as are needed.
    """

    member_id: UUID
    programme_id: UUID
    points: int = 0
    pending: int = 0
    reserved: int = 0
    debt: int = 0
    qualifying: int = 0
    lots: list[Lot] = field(default_factory=list)
    whole: bool = True
    read_to: Place | None = None

    def credit(
        self,
        posting: Posting,
        points: int,
        *,
        day: date,
        today: date,
        matures_on: date | None = None,
        expires_on: date | None = None,
        earning_id: UUID | None = None,
        against: str = "issued",
    ) -> None:
        """New points; pending where they mature on a day to come."""
        if points <= 0:
            return
        pending = matures_on is not None and matures_on > today
        lot = Lot(
            new_id(), earning_id, day, matures_on if pending else None, expires_on, points, points, new=True
        )
        self.lots.append(lot)
        if pending:
            self.pending += points
            posting.move(self.member_id, "pending", points, against)
            return
        posting.move(self.member_id, "available", points, against)
        self.points += points
        self._pay_debt(posting, lot, points)

    def _pay_debt(self, posting: Posting, lot: Lot, came_in: int) -> None:
        paid = min(self.debt, came_in)
        if paid:
            lot.remaining -= paid
            lot.changed = True
            self.debt -= paid
            self.points -= paid
            posting.shift(self.member_id, "available", "debt", paid)

    def mature(self, posting: Posting, today: date) -> int:
        """Pending points whose day has come can be spent; how many."""
        count = 0
        for lot in self.lots:
            if lot.matures_on is None or lot.matures_on > today:
                continue
            lot.matures_on, lot.changed = None, True
            came_in = lot.remaining
            if came_in:
                count += came_in
                self.pending -= came_in
                self.points += came_in
                posting.shift(self.member_id, "pending", "available", came_in)
                self._pay_debt(posting, lot, came_in)
        return count

    def expire(self, posting: Posting, today: date) -> int:
        """Points whose last day has passed are gone; how many."""
        count = 0
        for lot in self.lots:
            if lot.matures_on is None and lot.remaining and lot.expires_on and lot.expires_on < today:
                count += lot.remaining
                posting.move(self.member_id, "available", -lot.remaining, "expired")
                self.points -= lot.remaining
                lot.expired += lot.remaining
                lot.remaining, lot.changed = 0, True
        return count

    def take(self, points: int) -> list[Taken]:
        """Take points out of lots, without saying where they go.

        Raises: InsufficientPoints; RuntimeError where lots were not read that are to be spent first.
        """
        if points > self.points:
            raise InsufficientPoints(
                f"There are {self.points} to spend.", available=self.points, wanted=points
            )
        taken = []
        for lot in sorted(
            (lot for lot in self.lots if lot.matures_on is None and lot.remaining), key=place_of
        ):
            part = min(points, lot.remaining)
            if part:
                if not self.whole and (self.read_to is None or place_of(lot) > self.read_to):
                    break
                lot.remaining -= part
                lot.changed = True
                points -= part
                taken.append(Taken(lot, part))
        if points:
            raise RuntimeError(f"the lots of member {self.member_id} were not read")
        self.points -= sum(one.points for one in taken)
        return taken

    def burn(self, posting: Posting, points: int, *, reserve: bool) -> list[Taken]:
        """Spend points, or keep them. Raises `InsufficientPoints`."""
        taken = self.take(points)
        if reserve:
            posting.shift(self.member_id, "available", "reserved", points)
            self.reserved += points
        else:
            posting.move(self.member_id, "available", -points, "redeemed")
        return taken

    def commit(self, posting: Posting, points: int) -> None:
        """Spend what was kept."""
        self.reserved -= points
        posting.move(self.member_id, "reserved", -points, "redeemed")

    def give_back(self, posting: Posting, parts: Iterable[Taken], today: date, *, reserved: bool) -> None:
        """Points that were spent, or kept, come back to their lots."""
        for part in parts:
            if reserved:
                self.reserved -= part.points
                posting.shift(self.member_id, "reserved", "available", part.points)
            else:
                posting.move(self.member_id, "available", part.points, "redeemed")
            self.points += part.points
            self._return_to_lot(posting, part, today)

    def _return_to_lot(self, posting: Posting, part: Taken, today: date) -> None:
        """As much as was spent of the lot goes back to it; the rest is a lot of its own."""
        lot = part.lot
        gone = lot.expires_on is not None and lot.expires_on < today
        back = 0 if gone else min(part.points, lot.spent)
        if back:
            lot.remaining += back
            lot.changed = True
            self._pay_debt(posting, lot, back)
        rest = part.points - back
        if rest:
            last = today + RESTORED_FOR if gone else lot.expires_on
            made = Lot(new_id(), None, today, None, last, rest, rest, new=True)
            self.lots.append(made)
            self._pay_debt(posting, made, rest)

    def reverse(self, posting: Posting, lot: Lot, points: int) -> int:
        """Take back points that were earned as `lot`; how many of them became a debt."""
        own = min(points, lot.remaining)
        beyond = min(points - own, lot.spent)
        if own:
            pending = lot.matures_on is not None
            posting.move(self.member_id, "pending" if pending else "available", -own, "issued")
            lot.remaining -= own
            if pending:
                self.pending -= own
            else:
                self.points -= own
        lot.reversed += own + beyond
        lot.changed = True
        others = min(beyond, self.points)
        if others:
            self.take(others)
            posting.move(self.member_id, "available", -others, "issued")
        owed = beyond - others
        if owed:
            self.debt += owed
            posting.move(self.member_id, "debt", -owed, "issued")
        return owed

    def transfer(self, posting: Posting, points: int, to: Holding, *, today: date) -> None:
        """Give points to another member; what comes in pays their debt first. Raises `InsufficientPoints`."""
        for part in self.take(points):
            posting.entries[self.member_id, "available", "spendable"] -= part.points
            posting.entries[to.member_id, "available", "spendable"] += part.points
            lot = Lot(new_id(), None, today, None, part.lot.expires_on, part.points, part.points, new=True)
            to.lots.append(lot)
            to.points += part.points
            to._pay_debt(posting, lot, part.points)

    def adjust(self, posting: Posting, points: int, *, today: date, expires_on: date | None) -> None:
        """Give points by hand, or take them. Raises `InsufficientPoints`."""
        if points > 0:
            self.credit(posting, points, day=today, today=today, expires_on=expires_on, against="adjusted")
        elif points < 0:
            self.take(-points)
            posting.move(self.member_id, "available", points, "adjusted")

    def qualify(self, posting: Posting, points: int, against: str = "issued") -> None:
        """Points that tiers are reached by; less than none where they are taken back."""
        if points:
            self.qualifying += points
            posting.entries[self.member_id, "qualifying", "qualifying"] += points
            posting.entries[None, against, "qualifying"] -= points


def place_of(lot: Lot) -> Place:
    """Soonest to expire first, then the oldest; what never expires last."""
    return lot.expires_on is None, lot.expires_on or date.min, lot.earned_on, lot.id


def in_spending_order(lots: Sequence[Lot]) -> list[Lot]:
    """As they are spent; pending ones behind the others."""
    return sorted(lots, key=lambda lot: (lot.matures_on is not None, place_of(lot)))
