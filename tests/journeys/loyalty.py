"""What a gift shop's customers have earned: a plain computation over the file, which knows nothing of the product."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

from tests.journeys.online_retail import Line, OnlineRetail, cents


@dataclass
class Customer:
    """What the file says of a customer."""

    points: int = 0
    recent: Decimal = Decimal(0)
    orders: list[tuple[date, Decimal]] = field(
        default_factory=list
    )  # kept in part at least, with what was kept


def computed(data: OnlineRetail) -> dict[str, Customer]:
    """The plain computation: a point for each whole pound of an order, less what came back, line by line."""
    found: dict[str, Customer] = defaultdict(Customer)
    back: dict[str, int] = defaultdict(int)
    for backs in data.placed.back.values():
        for one in backs:
            if one.of is not None:
                back[one.of.key] += one.quantity
    for lines in data.placed.sold.values():
        customer = found[lines[0].account]
        amounts = [max(cents(line.quantity, line.price), Decimal(0)) for line in lines]
        shares = parted(int(sum(amounts)), amounts)
        customer.points += sum(shares) - sum(
            round_up(share, back[line.key], line) for share, line in zip(shares, lines, strict=True)
        )
        day = date.fromisoformat(lines[0].at[:10])
        if day > date(2010, 12, 10):
            customer.recent += sum(amounts)
        if any(back[line.key] < line.quantity for line in lines):
            kept = sum(
                int(amount * 100) - round_up(int(amount * 100), back[line.key], line)
                for amount, line in zip(amounts, lines, strict=True)
            )
            customer.orders.append((day, Decimal(kept) / 100))
    return {key: customer for key, customer in found.items() if key.isdigit()}


def round_up(whole: int, back: int, line: Line) -> int:
    return int((Decimal(whole) * back / line.quantity).quantize(Decimal(1), ROUND_HALF_UP))


def parted(points: int, amounts: list[Decimal]) -> list[int]:
    """Whole points by amount, the largest remainders first."""
    total = Fraction(sum(amounts))
    if not total:
        return [0] * len(amounts)
    exact = [points * Fraction(amount) / total for amount in amounts]
    shares = [int(one) for one in exact]
    order = sorted(range(len(amounts)), key=lambda place: (shares[place] - exact[place], place))
    for place in order[: points - sum(shares)]:
        shares[place] += 1
    return shares
