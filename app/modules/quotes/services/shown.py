"""Lines and taxes as they are shown."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from decimal import Decimal
from typing import Any

from app.kernel.money import Money, UnitPrice
from app.kernel.totals import TaxRead
from app.modules.catalog.interface import ChargeKind, PriceSource
from app.modules.quotes.models import QuoteLine
from app.modules.quotes.schemas import QuoteLineRead
from app.modules.quotes.services.pricing import included_lines

_AMOUNTS = (
    "discount_amount", "gross", "discount", "subtotal", "header_discount", "net", "tax", "total",
)  # fmt: skip
_PRICES = ("list_price", "unit_price")


def taxes_of(lines: Sequence[QuoteLine], currency: str) -> list[TaxRead]:
    """What the lines that count come to by tax rate."""
    found: dict[Decimal, list[int]] = {}
    for index in included_lines(lines):
        sums = found.setdefault(lines[index].tax_rate, [0, 0])
        sums[0] += lines[index].net
        sums[1] += lines[index].tax
    return [
        TaxRead(rate=rate, net=Money(net, currency), tax=Money(tax, currency))
        for rate, (net, tax) in sorted(found.items())
    ]


def read_line(line: QuoteLine, currency: str, hidden: Collection[str] = ()) -> QuoteLineRead:
    """The wire form of a line; `hidden` are fields of quotes: the total hides all prices, the cost itself."""
    shown = "total" not in hidden
    values: dict[str, Any] = {name: getattr(line, name) for name in QuoteLineRead.model_fields}
    for name in _AMOUNTS:
        values[name] = Money(values[name], currency) if shown else None
    for name in _PRICES:
        value = values[name]
        values[name] = UnitPrice(value, currency) if shown and value is not None else None
    cost = line.unit_cost
    values["unit_cost"] = None if cost is None or "cost" in hidden else UnitPrice(cost, currency)
    values["price_source"] = PriceSource(line.price_source) if shown else None
    values["discount_percent"] = line.discount_percent if shown else None
    values["charge"] = ChargeKind(line.charge)
    return QuoteLineRead(**values)
