"""What a quote that becomes a contract comes to over the contract's term."""

from __future__ import annotations

from collections.abc import Sequence

from app.modules.catalog.interface import ChargeKind
from app.modules.quotes.models import QuoteLine
from app.modules.quotes.services.summing import Sums


def times_charged(charge: str, months: int | None) -> int:
    """How often a line is charged in a term of so many months, by whole periods begun; once where it is open."""
    if charge == ChargeKind.ONE_TIME or months is None:
        return 1
    return months if charge == ChargeKind.MONTHLY else -(-months // 12)


def amounts_over(lines: Sequence[QuoteLine], sums: Sums, months: int | None) -> dict[int, int]:
    """Every line that counts, by its place: its total of the term, tax included, in minor units."""
    return {
        place: sums.lines[place].total * times_charged(lines[place].charge, months) for place in sums.included
    }


def kind_of(lines: Sequence[QuoteLine], sums: Sums) -> str:
    """The kind of the contract: what is charged again is a subscription."""
    recurs = any(lines[place].charge != ChargeKind.ONE_TIME for place in sums.included)
    return "subscription" if recurs else "sale"
