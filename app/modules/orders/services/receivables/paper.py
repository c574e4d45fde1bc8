"""Invoices and credit notes as documents for the customer, in English or Chinese."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from app.kernel.errors import Forbidden
from app.kernel.figures import Language
from app.kernel.pdf.addresses import address_lines
from app.kernel.pdf.documents import (
    Document,
    DocumentKind,
    DocumentLine,
    DocumentParty,
    DocumentTotals,
)
from app.kernel.totals import LineTotal
from app.kernel.totals import document as add_up
from app.kernel.uow import UnitOfWork
from app.modules.customers.interface import Customers
from app.modules.orders.models.orders import Order
from app.modules.orders.models.receivables import Invoice, InvoiceKind, InvoiceLine
from app.modules.orders.services.paper import product_names
from app.modules.orders.services.receivables.invoices import ISSUED, InvoiceService
from app.modules.orders.services.receivables.lines import amounts_of, lines_of
from app.tenants.interface import Tenants

_TEXTS: Final[dict[str, dict[str, str]]] = {
    "en": {
        "draft": "Draft",
        "order": "Order",
        "reference": "Your reference",
        "corrects": "Corrects invoice",
        "reason": "Reason",
        "note": "Notes",
        "bank": "Please pay to",
    },
    "zh": {
        "draft": "草稿",
        "order": "订单号",
        "reference": "贵方参考号",
        "corrects": "所冲账单",
        "reason": "原因",
        "note": "备注",
        "bank": "收款账户",
    },
}
_ADDRESS: Final = ("street", "postal_code", "city", "region", "country")


async def describe(uow: UnitOfWork, id: UUID, language: Language | None) -> Document:
    """The document of a visible invoice; absent, in the company's language.

    Raises: NotFound; Forbidden where amounts are hidden from the actor.
    """
    service = InvoiceService(uow)
    row = await service.get(id)
    if uow.actor.hidden("invoice") & {"net", "tax", "total"}:
        raise Forbidden("Amounts of invoices are hidden from you.")
    spoken: Language = language or uow.actor.tenant.language
    lines = await lines_of(uow, id)
    amounts = [amounts_of(line, tax_included=row.tax_included) for line in lines]
    sums = add_up(amounts, [line.tax_rate for line in lines], currency=row.currency)
    letterhead = await uow.of(Tenants).letterhead()
    names = await product_names(uow, lines, spoken)
    order = None if row.order_id is None else await uow.find(Order, row.order_id, deleted=True)
    issued_on = row.issued_on or service.today
    return Document(
        kind=DocumentKind.CREDIT_NOTE if row.kind == InvoiceKind.CREDIT_NOTE else DocumentKind.INVOICE,
        language=spoken,
        number=row.number or _TEXTS[spoken]["draft"],
        issued_on=issued_on,
        made_at=uow.actor.tenant.midnight(row.issued_on) if row.issued_on else row.created_at,
        seller=letterhead.seller,
        buyer=await _buyer(uow, row, order, spoken),
        currency=row.currency,
        lines=[_line(line, total, names[line.id]) for line, total in zip(lines, amounts, strict=True)],
        totals=DocumentTotals(
            subtotal=sums.subtotal,
            header_discount=sums.header_discount,
            net=sums.net,
            tax=sums.tax,
            total=sums.total,
            taxes=sums.taxes,
        ),
        brand=letterhead.brand,
        tax_included=row.tax_included,
        due_on=row.due_on if row.kind == InvoiceKind.INVOICE else None,
        facts=await _facts(uow, row, order, _TEXTS[spoken]),
        sections=_sections(row, letterhead.bank_details, _TEXTS[spoken]),
        paper=letterhead.paper,
        draft=row.status not in ISSUED,
    )


def _sections(row: Invoice, bank_details: str | None, texts: dict[str, str]) -> list[tuple[str, str]]:
    """What is said below the lines; only an invoice asks to be paid."""
    bank = bank_details if row.kind == InvoiceKind.INVOICE else None
    return [(texts["reason"], row.reason or ""), (texts["note"], row.note or ""), (texts["bank"], bank or "")]


def _line(line: InvoiceLine, total: LineTotal, name: str) -> DocumentLine:
    return DocumentLine(
        position=str(line.position),
        name=name,
        quantity=line.quantity,
        unit=line.unit or "",
        unit_price=line.unit_price,
        discount_percent=Decimal(0),
        tax_rate=line.tax_rate,
        totals=total,
    )


async def _buyer(uow: UnitOfWork, row: Invoice, order: Order | None, language: Language) -> DocumentParty:
    """As the customer was called on the day of issue; the address is the order's."""
    name = row.customer_name
    if name is None:
        name = (await uow.of(Customers).account_names([row.account_id])).get(row.account_id, "")
    address: dict[str, Any] = (order and (order.billing_address or order.shipping_address)) or {}
    written = address_lines(language, **{part: address.get(part) for part in _ADDRESS})
    return DocumentParty(name=address.get("name") or name, lines=written)


async def _facts(
    uow: UnitOfWork, row: Invoice, order: Order | None, texts: dict[str, str]
) -> list[tuple[str, str]]:
    facts = []
    if row.corrects_id is not None:
        corrected = await uow.get(Invoice, row.corrects_id)
        facts.append((texts["corrects"], corrected.number or ""))
    if order is not None:
        facts.append((texts["order"], order.number))
    if row.reference is not None:
        facts.append((texts["reference"], row.reference))
    return facts
