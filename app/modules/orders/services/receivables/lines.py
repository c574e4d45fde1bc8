"""The lines of invoices: computed from what was entered, stored, read, and added up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from app.kernel.errors import Invalid
from app.kernel.parts import Parts
from app.kernel.totals import LineInput, LineTotal, TaxRead, Totals, document, total
from app.kernel.uow import UnitOfWork
from app.modules.catalog.interface import Catalog
from app.modules.orders.models.receivables import InvoiceLine
from app.modules.orders.schemas.receivables import (
    InvoiceLineInput,
    InvoiceLineRead,
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


async def require_products(uow: UnitOfWork, lines: Sequence[InvoiceLineInput]) -> None:
    """Products that are named are there, and stay until the transaction ends. Raises `Invalid`."""
    wanted = {line.product_id for line in lines if line.product_id is not None}
    known = await uow.of(Catalog).get_many(wanted, hold=True) if wanted else {}
    for place, line in enumerate(lines):
        if line.product_id is not None and line.product_id not in known:
            pointer = f"/lines/{place}/product_id"
            raise Invalid.at(pointer, "unknown_reference", "There is no product with this id.")


def summed(lines: Sequence[DraftLine], currency: str) -> Totals:
    """The document that lines make whose amounts are known."""
    return document([line.amounts for line in lines], [line.tax_rate for line in lines], currency=currency)


def require_storable(sums: Totals) -> None:
    """Raises `Invalid` where an amount is beyond what an invoice may come to."""
    if max(sums.gross, sums.total) >= MAX_MINOR:
        raise Invalid.at("/lines", "amount_out_of_range", "The invoice comes to more than can be invoiced.")


async def store(uow: UnitOfWork, invoice_id: UUID, lines: Sequence[DraftLine]) -> None:
    """Write the lines of a draft, in their order."""
    await uow.insert_many_last(
        InvoiceLine, [line.columns(invoice_id, position) for position, line in enumerate(lines, 1)]
    )


async def lines_of(uow: UnitOfWork, invoice_id: UUID) -> list[InvoiceLine]:
    """The lines of an invoice in their order."""
    return await uow.all(
        uow.select(InvoiceLine).where(InvoiceLine.invoice_id == invoice_id).order_by(InvoiceLine.position)
    )


def amounts_of(line: InvoiceLine, *, tax_included: bool) -> LineTotal:
    """A stored line's figures."""
    subtotal = (line.total if tax_included else line.net) + line.header_discount
    return LineTotal(
        line.gross, line.discount, subtotal, line.header_discount, line.net, line.tax, line.total
    )


LINES = Parts(
    "lines",
    InvoiceLineRead,
    "SELECT * FROM orders.invoice_lines WHERE tenant_id = t.tenant_id AND invoice_id = t.id",
    hides={"total": ("unit_price", *_FIGURES, "credited_total")},
)
TAXES = Parts(
    "taxes",
    TaxRead,
    "SELECT tax_rate AS rate, sum(net) AS net, sum(tax) AS tax FROM orders.invoice_lines"
    " WHERE tenant_id = t.tenant_id AND invoice_id = t.id GROUP BY tax_rate",
    order_by="rate",
    hidden_by="total",
)
