"""The online_retail file as it is, the rules that place its lines, and the same figures computed plainly from it.

Nothing here knows the product: it is the other side of the comparison. The rules, first that fits:

1. A line of an `A…` invoice adjusts a bad debt: nothing was sold, so it is reported.
2. A line of a `C…` invoice gives back. It gives back of lines that the same customer bought before, of the same code
   at the same price, the latest first and as many as it takes. What is left over (bought before the file begins, at
   another price, or by nobody known) comes back at its own price.
3. A line that takes away at no price corrects the stock: it is reported.
4. Every other line was sold.

Who has no number is the walk-in customer of a country.
"""

from __future__ import annotations

import csv
import gzip
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_CENT = Decimal("0.01")
_NATIONS = {
    "Australia": "AU", "Austria": "AT", "Bahrain": "BH", "Belgium": "BE", "Brazil": "BR", "Canada": "CA",
    "Cyprus": "CY", "Czech Republic": "CZ", "Denmark": "DK", "EIRE": "IE", "Finland": "FI", "France": "FR",
    "Germany": "DE", "Greece": "GR", "Hong Kong": "HK", "Iceland": "IS", "Israel": "IL", "Italy": "IT",
    "Japan": "JP", "Lebanon": "LB", "Lithuania": "LT", "Malta": "MT", "Netherlands": "NL", "Norway": "NO",
    "Poland": "PL", "Portugal": "PT", "RSA": "ZA", "Saudi Arabia": "SA", "Singapore": "SG", "Spain": "ES",
    "Sweden": "SE", "Switzerland": "CH", "USA": "US", "United Arab Emirates": "AE", "United Kingdom": "GB",
    # No country, or more than one.
    "Channel Islands": None, "European Community": None, "Unspecified": None,
}  # fmt: skip


def file() -> Path:
    """Where the file is: `RAPPORT_DATA`, default `../shared/data` beside the checkout."""
    folder = Path(os.environ.get("RAPPORT_DATA", ROOT.parent / "shared" / "data"))
    return folder / "online_retail" / "online_retail.csv.gz"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the file; `key` is its invoice and its place in it."""

    key: str
    invoice: str
    code: str
    description: str
    quantity: int
    at: str
    price: Decimal
    customer: str
    country: str

    @property
    def value(self) -> Decimal:
        return self.quantity * self.price

    @property
    def account(self) -> str:
        """Whose line it is: a customer's number, or the walk-in customer of the country."""
        return self.customer or f"walk-in {self.country}"

    @property
    def nation(self) -> str | None:
        """The country's ISO 3166 code; None where the file names no country."""
        return _NATIONS[self.country]


@dataclass(frozen=True, slots=True)
class Back:
    """So many units of a line of a credit invoice, and the sold line that they were of, if any."""

    line: Line
    quantity: int
    of: Line | None


@dataclass
class Placed:
    """Every line of the file, once: sold, given back, or reported by reason."""

    sold: dict[str, list[Line]] = field(default_factory=lambda: defaultdict(list))
    back: dict[str, list[Back]] = field(default_factory=lambda: defaultdict(list))
    reported: dict[str, list[Line]] = field(default_factory=lambda: defaultdict(list))


@dataclass(frozen=True)
class OnlineRetail:
    """The lines, in the file's order."""

    lines: list[Line]

    @classmethod
    def load(cls) -> OnlineRetail:
        places: Counter[str] = Counter()
        lines = []
        with gzip.open(file(), "rt", encoding="utf-8", newline="") as text:
            for row in csv.DictReader(text):
                invoice = row["InvoiceNo"]
                places[invoice] += 1
                lines.append(
                    Line(
                        key=f"{invoice}/{places[invoice]}",
                        invoice=invoice,
                        code=row["StockCode"],
                        description=row["Description"].strip(),
                        quantity=int(row["Quantity"]),
                        at=row["InvoiceDate"],
                        price=Decimal(row["UnitPrice"]),
                        customer=row["CustomerID"].removesuffix(".0"),
                        country=row["Country"],
                    )
                )
        return cls(lines)

    @cached_property
    def placed(self) -> Placed:
        """Where the rules put each line."""
        found = Placed()
        credited = []
        for line in self.lines:
            if line.invoice.startswith("A"):
                found.reported["bad debt adjusted"].append(line)
            elif line.invoice.startswith("C"):
                credited.append(line)
            elif line.quantity < 0 and not line.price:
                found.reported["stock corrected"].append(line)
            else:
                found.sold[line.invoice].append(line)
        matcher = Matcher(line for lines in found.sold.values() for line in lines)
        for line in sorted(credited, key=lambda line: line.at):
            found.back[line.invoice] += matcher.give_back(line)
        return found

    @cached_property
    def accounts(self) -> dict[str, str | None]:
        """Customers with the country of their last line."""
        return {line.account: line.nation for line in self.lines}

    @cached_property
    def products(self) -> dict[str, str]:
        """Codes with the name that most lines give them."""
        names: dict[str, Counter[str]] = {}
        for line in self.lines:
            names.setdefault(line.code, Counter())[line.description] += bool(line.description)
        return {code: found.most_common(1)[0][0] or code for code, found in names.items()}


class Matcher:
    """What was bought and has not been given back."""

    def __init__(self, sold: Iterable[Line]) -> None:
        self._open: dict[tuple[str, str, Decimal], list[Line]] = defaultdict(list)
        self._left: dict[str, int] = {}
        for line in sorted(sold, key=lambda line: line.at):
            if line.customer:
                self._open[line.customer, line.code, line.price].append(line)
                self._left[line.key] = line.quantity

    def give_back(self, line: Line) -> list[Back]:
        """What a line of a credit invoice gives back, of which sold lines."""
        found, wanted = [], -line.quantity
        for sold in reversed(self._open.get((line.customer, line.code, line.price), [])):
            units = min(wanted, self._left[sold.key]) if sold.at < line.at else 0
            if units:
                self._left[sold.key] -= units
                wanted -= units
                found.append(Back(line, units, sold))
        return [*found, Back(line, wanted, None)] if wanted else found


def by(lines: Iterable[Line], key: Callable[[Line], str | None]) -> dict[str | None, Decimal]:
    """Quantity x price of lines by any key."""
    found: dict[str | None, Decimal] = {}
    for line in lines:
        group = key(line)
        found[group] = found.get(group, Decimal(0)) + line.value
    return found


def both(one: Mapping[str | None, Decimal], other: Mapping[str | None, Decimal]) -> dict[str | None, Decimal]:
    """Sums of two parts, by key."""
    keys = one.keys() | other.keys()
    return {key: one.get(key, Decimal(0)) + other.get(key, Decimal(0)) for key in keys}


def month(line: Line) -> str:
    """The first day of the line's month."""
    return f"{line.at[:7]}-01"


def cents(quantity: int, price: Decimal) -> Decimal:
    """What so many units come to as money, rounded half up once."""
    return (quantity * price).quantize(_CENT, ROUND_HALF_UP)
