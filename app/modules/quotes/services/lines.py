"""Lines on their way from a request to a row, and back to what was written."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from app.kernel.errors import FieldError
from app.kernel.totals import LineTotal
from app.modules.catalog.interface import PriceSource
from app.modules.quotes.models import QuoteLine
from app.modules.quotes.schemas import QuoteLineInput
from app.modules.quotes.services.pricing import GivenLine, LinePrice


def given_line(line: QuoteLineInput, index: int, currency: str) -> tuple[GivenLine, list[FieldError]]:
    """A line of a request, and what is wrong with its currencies."""
    errors = [
        FieldError(f"/lines/{index}/{name}/currency", "other_currency", f"The quote is in {currency}.")
        for name in ("unit_price", "discount_amount", "unit_cost")
        if (value := getattr(line, name)) is not None and value.currency != currency
    ]
    return GivenLine(
        product_id=line.product_id,
        description=line.description,
        detail=line.detail,
        unit=line.unit,
        quantity=Decimal(line.quantity),
        unit_price=None if line.unit_price is None else line.unit_price.amount,
        discount_percent=Decimal(line.discount_percent),
        discount_amount=0 if line.discount_amount is None else line.discount_amount.amount_minor,
        tax_rate=None if line.tax_rate is None else Decimal(line.tax_rate),
        charge=None if line.charge is None else line.charge.value,
        optional=line.optional,
        component_of=line.component_of,
        unit_cost=None if line.unit_cost is None else line.unit_cost.amount,
    ), errors


def given_again(line: QuoteLine) -> GivenLine:
    """A stored line as it was written: what the catalogue said is asked for again."""
    return GivenLine(
        product_id=line.product_id,
        description=line.description,
        detail=line.detail,
        unit=line.unit,
        quantity=line.quantity,
        unit_price=line.unit_price if line.price_source == PriceSource.ENTERED else None,
        discount_percent=line.discount_percent,
        discount_amount=line.discount_amount,
        tax_rate=line.tax_rate if line.tax_entered else None,
        charge=line.charge,
        optional=line.optional,
        component_of=line.component_of,
        unit_cost=line.unit_cost if line.cost_entered else None,
        kept=True,
    )


def stored_price(line: QuoteLine) -> LinePrice:
    """A stored line at its stored price."""
    return LinePrice(
        given=given_again(line),
        description=line.description,
        unit=line.unit,
        charge=line.charge,
        source=line.price_source,
        price_book_id=line.price_book_id,
        list_price=line.list_price,
        unit_price=line.unit_price,
        exact_gross=line.exact_gross,
        tax_rate=line.tax_rate,
        unit_cost=line.unit_cost,
        benefit=line.benefit_discount,
    )


def line_row(line: LinePrice, amounts: LineTotal, position: int) -> dict[str, Any]:
    """The columns of a line."""
    given = line.given
    return {
        "position": position,
        "component_of": given.component_of,
        "product_id": given.product_id,
        "description": line.description,
        "detail": given.detail,
        "unit": line.unit,
        "quantity": given.quantity,
        "price_source": line.source,
        "price_book_id": line.price_book_id,
        "list_price": line.list_price,
        "unit_price": line.unit_price,
        "exact_gross": line.exact_gross,
        "discount_percent": given.discount_percent,
        "discount_amount": given.discount_amount,
        "tax_rate": line.tax_rate,
        "tax_entered": given.tax_rate is not None,
        "charge": line.charge,
        "optional": given.optional,
        "unit_cost": line.unit_cost,
        "cost_entered": given.unit_cost is not None,
        "gross": amounts.gross,
        "discount": amounts.discount,
        "subtotal": amounts.subtotal,
        "header_discount": amounts.header_discount,
        "benefit_discount": line.benefit,
        "net": amounts.net,
        "tax": amounts.tax,
        "total": amounts.total,
    }
