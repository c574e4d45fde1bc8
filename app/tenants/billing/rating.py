"""What a quantity costs: exact amounts in major units, which only an invoice line rounds.

Four models. `per_unit`: so much for each. `package`: so much for each begun package. `graduated`: each unit at the
price of its tier. `volume`: all units at the price of the tier that the whole quantity lies in. A tier may add a flat
amount: under `graduated` that of every tier reached, under `volume` that of the one tier. The first tier is reached
by a quantity of nothing, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from app.kernel.money import exponent_of, half_up


class RatingModel(StrEnum):
    PER_UNIT = "per_unit"
    PACKAGE = "package"
    GRADUATED = "graduated"
    VOLUME = "volume"


@dataclass(frozen=True, slots=True)
class Tier:
    """Quantities above the tier before, up to `up_to` with it (None: all the rest); amounts in major units."""

    up_to: Decimal | None
    unit: Decimal = Decimal(0)
    flat: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Rate:
    """How a quantity is priced. `included` units are free; of `package`, `unit` is what one package costs.

    Tiers rise, and the last one has no end.
    """

    model: RatingModel
    unit: Decimal = Decimal(0)
    included: Decimal = Decimal(0)
    package_size: Decimal = Decimal(1)
    tiers: tuple[Tier, ...] = ()

    def amount(self, quantity: Decimal) -> Fraction:
        """The price of `quantity` units, exactly, in major units."""
        billable = max(Fraction(0), Fraction(quantity) - Fraction(self.included))
        match self.model:
            case RatingModel.PER_UNIT:
                return billable * Fraction(self.unit)
            case RatingModel.PACKAGE:
                packages = -(-billable // Fraction(self.package_size))
                return packages * Fraction(self.unit)
            case RatingModel.GRADUATED:
                return _graduated(self.tiers, billable)
            case RatingModel.VOLUME:
                tier = next(t for t in self.tiers if t.up_to is None or billable <= Fraction(t.up_to))
                return billable * Fraction(tier.unit) + Fraction(tier.flat)


def _graduated(tiers: Sequence[Tier], billable: Fraction) -> Fraction:
    amount, below = Fraction(0), Fraction(0)
    for place, tier in enumerate(tiers):
        if place and billable <= below:
            break
        top = billable if tier.up_to is None else min(billable, Fraction(tier.up_to))
        amount += (top - below) * Fraction(tier.unit) + Fraction(tier.flat)
        below = top if tier.up_to is None else Fraction(tier.up_to)
    return amount


def rounded(amount: Fraction, currency: str) -> int:
    """An exact amount in major units as minor units of `currency`, half up (away from zero).

    Raises: UnknownCurrency; AmountOutOfRange.
    """
    return half_up(amount * Fraction(10) ** exponent_of(currency))


def late_amount(rate: Rate, booked_quantity: Decimal, booked_minor: int, late: Decimal, currency: str) -> int:
    """What events that came after their period was billed add to it, in minor units.

    The whole quantity is rated anew and what was booked is taken off, so that late and punctual events cost the
    same together; negative where a volume price fell.
    """
    return rounded(rate.amount(booked_quantity + late), currency) - booked_minor


def true_up(commitment_minor: int, charged_minor: int) -> int:
    """What is missing to a minimum commitment, in minor units."""
    return max(0, commitment_minor - charged_minor)
