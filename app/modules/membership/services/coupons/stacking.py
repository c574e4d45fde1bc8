"""Which coupons go together on one basket, and what each takes off each line: pure arithmetic.

* A coupon never takes more off a line than is left of it, nor more than its budget has.
* Coupons are taken off one after the other, each of what those before left: the higher priority first, then the one
  that gives more alone, then by code. The order in which the codes were sent does not matter.
* Of one coupon one code counts, of a stacking group one coupon: the one that gives most alone.
* An exclusive coupon goes alone. Of that and all others together the customer gets what takes more off, at a draw
  the others together.
* What a coupon takes off is rounded once, half up, and shared out over its lines by largest remainder, so that the
  lines sum to it. A fixed price and free units are computed line by line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

from app.kernel.money import Money, half_up
from app.modules.membership.models.coupons import BenefitKind
from app.modules.membership.schemas.coupons import Reason


@dataclass(frozen=True, slots=True)
class Amount:
    """A line as the arithmetic sees it; `minor` is what it comes to before coupons."""

    quantity: Decimal
    minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A coupon that holds, and the indexes of the lines that it is about; `room` is what its budget has."""

    code: str
    coupon_id: UUID
    benefit: str
    places: tuple[int, ...]
    percent: Decimal | None = None
    amount: int | None = None
    free_quantity: int | None = None
    maximum: int | None = None
    room: int | None = None
    exclusive: bool = False
    group: str | None = None
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Given:
    """What one coupon takes off each line of the basket."""

    offer: Offer
    discounts: tuple[int, ...]

    @property
    def discount(self) -> int:
        return sum(self.discounts)


@dataclass(frozen=True, slots=True)
class Combined:
    """What is taken off, in this order, and why the others are not."""

    given: tuple[Given, ...]
    refused: Mapping[str, Reason]


def combined(offers: Iterable[Offer], lines: Sequence[Amount], currency: str) -> Combined:
    """The coupons of these that a basket gets."""
    refused: dict[str, Reason] = {}
    alone: list[Given] = []
    for offer in offers:
        one = Given(offer, _off(offer, lines, [max(line.minor, 0) for line in lines], currency))
        if not one.discount:
            refused[offer.code] = Reason.NOTHING_LEFT
        elif offer.room is not None and one.discount > offer.room:
            refused[offer.code] = Reason.BUDGET_EXHAUSTED
        else:
            alone.append(one)
    alone.sort(key=_rank)
    alone = _first_of_each(alone, refused)
    together, left_out = _together([one.offer for one in alone if not one.offer.exclusive], lines, currency)
    best = max(
        [together, *((one,) for one in alone if one.offer.exclusive)],
        key=lambda given: sum(one.discount for one in given),
    )
    if best is together:
        refused |= left_out
    taken = {one.offer.code for one in best}
    for one in alone:
        if one.offer.code not in taken:
            refused.setdefault(one.offer.code, Reason.NOT_COMBINABLE)
    return Combined(best, refused)


def _rank(one: Given) -> tuple[int, int, str]:
    return -one.offer.priority, -one.discount, one.offer.code


def _first_of_each(ranked: Sequence[Given], refused: dict[str, Reason]) -> list[Given]:
    """One code of a coupon, and one coupon of a group: the one that gives most, at a draw the first in rank."""
    kept: list[Given] = []
    by_most = sorted(ranked, key=lambda one: -one.discount)
    taken: set[object] = set()
    for one in by_most:
        keys: set[object] = {one.offer.coupon_id}
        if one.offer.group is not None and not one.offer.exclusive:
            keys.add(one.offer.group)
        if keys & taken:
            refused[one.offer.code] = Reason.NOT_COMBINABLE
        else:
            taken |= keys
            kept.append(one)
    return sorted(kept, key=_rank)


def _together(
    offers: Sequence[Offer], lines: Sequence[Amount], currency: str
) -> tuple[tuple[Given, ...], dict[str, Reason]]:
    left = [max(line.minor, 0) for line in lines]
    given, refused = [], {}
    for offer in offers:
        one = Given(offer, _off(offer, lines, left, currency))
        if not one.discount:
            refused[offer.code] = Reason.NOTHING_LEFT
            continue
        given.append(one)
        left = [amount - off for amount, off in zip(left, one.discounts, strict=True)]
    return tuple(given), refused


def _off(offer: Offer, lines: Sequence[Amount], left: Sequence[int], currency: str) -> tuple[int, ...]:
    """What the coupon takes off each line of what is left of it."""
    base = [left[place] if place in offer.places else 0 for place in range(len(lines))]
    if offer.benefit == BenefitKind.PERCENT:
        off = _shared(half_up(Fraction(sum(base)) * Fraction(offer.percent or 0) / 100), base, currency)
    elif offer.benefit == BenefitKind.AMOUNT:
        off = _shared(min(offer.amount or 0, sum(base)), base, currency)
    elif offer.benefit == BenefitKind.FIXED_PRICE:
        price = Fraction(offer.amount or 0)
        off = [
            max(amount - half_up(price * Fraction(line.quantity)), 0) if amount else 0
            for line, amount in zip(lines, base, strict=True)
        ]
    else:
        off = _free(offer.free_quantity or 0, lines, base)
    if offer.maximum is not None and sum(off) > offer.maximum:
        off = _shared(offer.maximum, off, currency)
    return tuple(off)


def _shared(amount: int, weights: Sequence[int], currency: str) -> list[int]:
    """By largest remainder; no share is more than its weight where the amount is not more than all of them."""
    if not amount or not any(weights):
        return [0] * len(weights)
    return [share.amount_minor for share in Money(amount, currency).allocate(weights)]


def _free(units: int, lines: Sequence[Amount], base: Sequence[int]) -> list[int]:
    """The price of so many units, of the lines in their order."""
    left, off = Decimal(units), []
    for line, amount in zip(lines, base, strict=True):
        taken = min(left, line.quantity) if amount else Decimal(0)
        left -= taken
        off.append(half_up(Fraction(amount) * Fraction(taken) / Fraction(line.quantity)) if taken else 0)
    return off
