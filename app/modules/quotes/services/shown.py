"""Lines and taxes as they are shown."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from app.kernel.money import Money, UnitPrice
from app.kernel.parts import Parts
from app.kernel.totals import TaxRead
from app.modules.catalog.interface import ChargeKind, PriceSource
from app.modules.quotes.models import QuoteLine
from app.modules.quotes.schemas import QuoteLineRead

_AMOUNTS = (
    "discount_amount", "gross", "discount", "subtotal", "header_discount", "benefit_discount", "net", "tax", "total",
)  # fmt: skip
_PRICES = ("list_price", "unit_price")


LINES = Parts(
    "lines",
    QuoteLineRead,
    "SELECT * FROM quotes.quote_lines WHERE tenant_id = t.tenant_id AND quote_id = t.id",
    hides={"total": ("price_source", "discount_percent", *_PRICES, *_AMOUNTS), "cost": ("unit_cost",)},
)
TAXES = Parts(
    "taxes",
    TaxRead,
    """SELECT o.tax_rate AS rate, sum(o.net) AS net, sum(o.tax) AS tax FROM quotes.quote_lines o
    LEFT JOIN quotes.quote_lines b
      ON b.tenant_id = o.tenant_id AND b.quote_id = o.quote_id AND b.position = o.component_of
    WHERE o.tenant_id = t.tenant_id AND o.quote_id = t.id AND NOT o.optional
      AND (o.component_of IS NULL OR NOT b.optional)
    GROUP BY o.tax_rate""",
    order_by="rate",
    hidden_by="total",
)
"""What the lines that count come to by tax rate: what is not optional, components with their bundle."""


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
