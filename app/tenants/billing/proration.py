"""Seats and plans that change within a period: credits at the old price and charges at the new, to the second."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

from app.tenants.billing.periods import Period
from app.tenants.billing.rating import rounded


@dataclass(frozen=True, slots=True)
class Licence:
    """What is held from `at` on: so many units at so much a period, in major units; `plan` says by which."""

    at: datetime
    quantity: int
    unit: Decimal
    plan: str = ""


@dataclass(frozen=True, slots=True)
class LicenceLine:
    """One line of an invoice: `quantity` units at `unit` for `factor` of a period; credits are negative."""

    quantity: int
    unit: Decimal
    start: datetime
    end: datetime
    factor: Fraction
    amount: int
    plan: str = ""


def billable(occupied: int, *, minimum: int = 0, free: int = 0) -> int:
    """The seats to be paid: at least the minimum, and those that are free come off."""
    return max(0, max(occupied, minimum) - free)


def in_advance(period: Period, held: Sequence[Licence], currency: str) -> list[LicenceLine]:
    """The lines of a period that is paid when it begins; what changes in it is credited and charged.

    `held` is by time; the first is what is held when the period begins, whenever that began. A change of quantity
    alone is one line of the difference; a change of price gives the old back and charges the new.
    """
    lines: list[LicenceLine] = []
    before: Licence | None = None
    for licence in held:
        at = max(licence.at, period.start)
        if before is not None and (before.unit, before.plan) == (licence.unit, licence.plan):
            _add(lines, period, currency, licence, licence.quantity - before.quantity, at)
        else:
            if before is not None:
                _add(lines, period, currency, before, -before.quantity, at)
            _add(lines, period, currency, licence, licence.quantity, at)
        before = licence
    return lines


def in_arrears(period: Period, held: Sequence[Licence], currency: str) -> list[LicenceLine]:
    """The lines of a period that is paid when it is over: one for each span in which nothing changed."""
    lines: list[LicenceLine] = []
    ends = [after.at for _, after in pairwise(held)]
    for licence, end in zip(held, [*ends, period.end], strict=True):
        start, until = max(licence.at, period.start), min(end, period.end)
        _add(lines, period, currency, licence, licence.quantity, start, until)
    return lines


def total(lines: Iterable[LicenceLine]) -> int:
    """What the lines come to, in minor units."""
    return sum(line.amount for line in lines)


def _add(
    lines: list[LicenceLine],
    period: Period,
    currency: str,
    licence: Licence,
    quantity: int,
    start: datetime,
    end: datetime | None = None,
) -> None:
    factor = period.share(start, end)
    if quantity and licence.unit and factor:
        amount = rounded(quantity * Fraction(licence.unit) * factor, currency)
        lines.append(
            LicenceLine(quantity, licence.unit, start, end or period.end, factor, amount, licence.plan)
        )
