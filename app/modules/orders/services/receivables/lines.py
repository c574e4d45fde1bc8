"""The lines of invoices: computed from what was entered, stored, read, and added up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from app.kernel.errors import Invalid
from app.kernel.money import Money, UnitPrice
from app.kernel.totals import LineInput, LineTotal, Totals, document, total
from app.kernel.uow import UnitOfWork
from app.modules.orders.models.receivables import Invoice, InvoiceLine
from app.modules.orders.schemas.receivables import (
    InvoiceLineInput,
    InvoiceLineRead,
    InvoiceLinesRead,
    TaxRead,
)

MAX_MINOR = 10**17
_FIGURES = ("gross", "discount", "header_discount", "net", "tax", "total")


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftLine:
    """A line that will be stored: what it says, and what it comes to."""

    description: str
    quantity: Decimal
    unit_price: Decimal
    tax_rate: Decimal
    amounts: LineTotal
    unit: str | None = None
    product_id: UUID | None = None
    order_line_id: UUID | None = None
    corrects_line_id: UUID | None = None

    def columns(self, invoice_id: UUID, position: int) -> dict[str, Any]:
        values = {name: value for name, value in _shallow(self).items() if name != "amounts"}
        figures = asdict(self.amounts)
        return values | {
            "invoice_id": invoice_id,
            "position": position,
            **{name: figures[name] for name in _FIGURES},
            "credited_quantity": Decimal(0),
            "credited_total": 0,
        }


def _shallow(line: DraftLine) -> dict[str, Any]:
    return {name: getattr(line, name) for name in DraftLine.__dataclass_fields__}


def entered(lines: Sequence[InvoiceLineInput], *, tax_included: bool) -> tuple[list[DraftLine], Totals]:
    """Lines as somebody entered them, and the document that they make. Raises `Invalid`."""
    inputs = [
        LineInput(
            quantity=Decimal(line.quantity),
            unit_price=line.unit_price.amount,
            discount_percent=Decimal(line.discount_percent),
            tax_rate=Decimal(line.tax_rate),
        )
        for line in lines
    ]
    sums = total(inputs, currency=lines[0].unit_price.currency, tax_included=tax_included)
    require_storable(sums)
    drafts = [
        DraftLine(
            description=line.description,
            quantity=given.quantity,
            unit_price=given.unit_price,
            tax_rate=given.tax_rate,
            amounts=amounts,
            unit=line.unit,
            product_id=line.product_id,
        )
        for line, given, amounts in zip(lines, inputs, sums.lines, strict=True)
    ]
    return drafts, sums


def summed(lines: Sequence[DraftLine], currency: str) -> Totals:
    """The document that lines make whose amounts are known."""
    return document([line.amounts for line in lines], [line.tax_rate for line in lines], currency=currency)


def require_storable(sums: Totals) -> None:
    """Raises `Invalid` where an amount is beyond what an invoice may come to."""
    if max(sums.gross, sums.total) >= MAX_MINOR:
        raise Invalid.at("/lines", "amount_out_of_range", "The invoice comes to more than can be invoiced.")


async def store(uow: UnitOfWork, invoice_id: UUID, lines: Sequence[DraftLine]) -> None:
    """Write the lines of a draft, in their order."""
    await uow.insert_many(
        InvoiceLine, [line.columns(invoice_id, position) for position, line in enumerate(lines, 1)]
    )


async def lines_of(uow: UnitOfWork, invoice_ids: Sequence[UUID]) -> Mapping[UUID, list[InvoiceLine]]:
    """The lines of invoices in their order; one statement."""
    rows = await uow.all(
        uow.select(InvoiceLine)
        .where(InvoiceLine.invoice_id.in_(invoice_ids))
        .order_by(InvoiceLine.invoice_id, InvoiceLine.position)
    )
    found: dict[UUID, list[InvoiceLine]] = {id: [] for id in invoice_ids}
    for row in rows:
        found[row.invoice_id].append(row)
    return found


def amounts_of(line: InvoiceLine, *, tax_included: bool) -> LineTotal:
    """A stored line's figures."""
    subtotal = (line.total if tax_included else line.net) + line.header_discount
    return LineTotal(
        line.gross, line.discount, subtotal, line.header_discount, line.net, line.tax, line.total
    )


def read_lines(invoice: Invoice, lines: Sequence[InvoiceLine]) -> InvoiceLinesRead:
    """Lines as they are shown, and the tax by rate."""

    def money(amount: int) -> Money:
        return Money(amount, invoice.currency)

    figures = document(
        [amounts_of(line, tax_included=invoice.tax_included) for line in lines],
        [line.tax_rate for line in lines],
        currency=invoice.currency,
    )
    return InvoiceLinesRead(
        data=[
            InvoiceLineRead(
                id=line.id,
                position=line.position,
                order_line_id=line.order_line_id,
                corrects_line_id=line.corrects_line_id,
                product_id=line.product_id,
                description=line.description,
                unit=line.unit,
                quantity=line.quantity,
                unit_price=UnitPrice(line.unit_price, invoice.currency),
                tax_rate=line.tax_rate,
                gross=money(line.gross),
                discount=money(line.discount),
                header_discount=money(line.header_discount),
                net=money(line.net),
                tax=money(line.tax),
                total=money(line.total),
                credited_quantity=line.credited_quantity,
                credited_total=money(line.credited_total),
            )
            for line in lines
        ],
        taxes=[TaxRead(rate=one.rate, net=money(one.net), tax=money(one.tax)) for one in figures.taxes],
    )
