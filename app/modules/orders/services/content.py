"""What was sent of an order, in the form of its columns, and in short."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from app.kernel.errors import Invalid
from app.kernel.money import Money
from app.kernel.records import to_json
from app.modules.orders.interface import StockNeed
from app.modules.orders.models.orders import OrderLine


def of_products(lines: Sequence[OrderLine], quantities: Mapping[UUID, Decimal]) -> list[StockNeed]:
    """So much of the lines that name products."""
    return [
        StockNeed(
            order_id=line.order_id,
            line_id=line.id,
            product_id=line.product_id,
            quantity=quantities[line.id],
        )
        for line in lines
        if line.product_id is not None and quantities.get(line.id)
    ]


def content_hash(given: Mapping[str, Any], lines: Sequence[Any]) -> str:
    """What an order says, in short: the same for the same content."""
    told = {
        name: _told(value)
        for name, value in sorted(given.items())
        if name != "content_hash" and (value or name not in _SINCE)
    }
    return hashlib.sha256(to_json({**told, "lines": [_told(line) for line in lines]})).hexdigest()


_SINCE = frozenset({"coupon_codes", "points"})
"""Orders from before these were there say the same without them."""


def _told(value: Any) -> Any:
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value


def plain(given: Mapping[str, Any], currency: str) -> dict[str, Any]:
    """Wire values as columns: percentages as decimals, the discount in minor units. Raises `Invalid`."""
    columns = dict(given)
    for name in ("discount_percent", "commission_percent"):
        if name in columns:
            value = columns[name]
            columns[name] = None if value is None else Decimal(value)
    if columns.get("discount_percent", 0) is None:
        columns["discount_percent"] = Decimal(0)
    if "discount_amount" in columns:
        off: Money | None = columns["discount_amount"]
        if off is not None and off.currency != currency:
            raise Invalid.at("/discount_amount/currency", "other_currency", f"The order is in {currency}.")
        if off is not None and off.amount_minor < 0:
            raise Invalid.at("/discount_amount", "negative", "A discount is not negative.")
        columns["discount_amount"] = 0 if off is None else off.amount_minor
    for name in ("shipping_address", "billing_address"):
        if columns.get(name) is not None:
            columns[name] = columns[name].model_dump()
    return columns
