"""An order as a document for the customer: what was ordered, and what of it was cancelled meanwhile is not there."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from app.kernel.benefits import names_of, read
from app.kernel.errors import Forbidden
from app.kernel.figures import Figures, Language
from app.kernel.pdf.addresses import address_lines
from app.kernel.pdf.documents import Document, DocumentKind, DocumentLine, DocumentParty, DocumentTotals
from app.kernel.totals import LineTotal
from app.kernel.totals import document as add_up
from app.kernel.uow import UnitOfWork
from app.modules.catalog.interface import Catalog
from app.modules.customers.interface import Customers
from app.modules.orders.models.orders import Order, OrderLine, OrderStatus
from app.modules.orders.services.orders import OrderService
from app.tenants.interface import Tenants

_TEXTS: Final[dict[str, dict[str, str]]] = {
    "en": {
        "reference": "Your reference",
        "contact": "Attention",
        "requested": "Requested for",
        "shipping": "Ship to",
        "cancelled": "This order was cancelled.",
        "status": "Status",
    },
    "zh": {
        "reference": "贵方参考号",
        "contact": "联系人",
        "requested": "要求交期",
        "shipping": "收货地址",
        "cancelled": "此订单已取消。",
        "status": "状态",
    },
}
_ADDRESS: Final = ("street", "postal_code", "city", "region", "country")


async def describe_order(uow: UnitOfWork, id: UUID, language: Language | None) -> Document:
    """The document of a visible order; absent, in the company's language. Its statements do not grow with its lines.

    Raises: NotFound; Forbidden where amounts are hidden from the actor.
    """
    service = OrderService(uow)
    row = await service.get(id)
    if uow.actor.hidden("order") & {"net", "tax", "total"}:
        raise Forbidden("The document shows prices, which are hidden from you.")
    spoken: Language = language or uow.actor.tenant.language
    lines = [line for line in (await service.lines.of([id]))[id] if line.quantity > line.cancelled]
    amounts = [_amounts(line) for line in lines]
    sums = add_up(amounts, [line.tax_rate for line in lines], currency=row.currency)
    letterhead = await uow.of(Tenants).letterhead()
    return Document(
        kind=DocumentKind.ORDER,
        language=spoken,
        number=row.number,
        issued_on=row.ordered_on,
        made_at=row.updated_at,
        seller=letterhead.seller,
        buyer=await _buyer(uow, row, spoken),
        brand=letterhead.brand,
        paper=letterhead.paper,
        currency=row.currency,
        tax_included=row.tax_included,
        lines=_lines(lines, amounts, await product_names(uow, lines, spoken)),
        totals=DocumentTotals(
            subtotal=row.subtotal,
            header_discount=row.header_discount,
            net=row.net,
            tax=row.tax,
            total=row.total,
            taxes=sums.taxes,
            benefits=names_of(read(row.benefits)),
        ),
        facts=_facts(row, spoken),
        sections=_sections(row, spoken),
        draft=row.status == OrderStatus.DRAFT,
    )


async def product_names(uow: UnitOfWork, lines: Collection[Any], language: Language) -> dict[UUID, str]:
    """What lines, by id, are called in a language: one that has its product's name has it in that language.

    One statement, whatever the number of lines.
    """
    products = await uow.of(Catalog).get_many({line.product_id for line in lines if line.product_id})
    return {
        line.id: products[line.product_id].name_in(language, line.description)
        if line.product_id in products
        else line.description
        for line in lines
    }


def _amounts(line: OrderLine) -> LineTotal:
    return LineTotal(
        line.gross, line.discount, line.subtotal, line.header_discount, line.net, line.tax, line.total
    )


def _lines(
    lines: Sequence[OrderLine], amounts: Sequence[LineTotal], names: Mapping[UUID, str]
) -> list[DocumentLine]:
    """Lines as they are shown, components below their bundle (2.1)."""
    places: dict[int, str] = {}
    counts: dict[int | None, int] = {}
    found = []
    for line, total in zip(lines, amounts, strict=True):
        parent = line.component_of if line.component_of in places else None
        counts[parent] = counts.get(parent, 0) + 1
        places[line.position] = (
            f"{counts[parent]}" if parent is None else f"{places[parent]}.{counts[parent]}"
        )
        free = parent is not None and line.gross == 0 and line.total == 0
        found.append(
            DocumentLine(
                position=places[line.position],
                name=names[line.id],
                quantity=line.quantity - line.cancelled,
                unit=line.unit,
                unit_price=line.unit_price,
                discount_percent=line.discount_percent if not line.discount_amount else Decimal(0),
                tax_rate=line.tax_rate,
                totals=None if free else total,
                charge=line.charge,
                component=parent is not None,
            )
        )
    return found


async def _buyer(uow: UnitOfWork, row: Order, language: Language) -> DocumentParty:
    """The account at the order's billing address; without one, at its own."""
    customers = uow.of(Customers)
    address: dict[str, Any] = row.billing_address or {}
    name = address.get("name") or (await customers.account_names([row.account_id])).get(row.account_id, "")
    if not address:
        own = (await customers.postal_addresses([row.account_id])).get(row.account_id)
        address = {} if own is None else {**asdict(own), "street": own.address}
    written = address_lines(language, **{part: address.get(part) for part in _ADDRESS})
    if row.contact_id is not None:
        contact = (await customers.contact_names([row.contact_id])).get(row.contact_id)
        written = [*written, f"{_TEXTS[language]['contact']}: {contact}"] if contact else written
    return DocumentParty(name=name, lines=written)


def _facts(row: Order, language: Language) -> list[tuple[str, str]]:
    texts, facts = _TEXTS[language], []
    if row.customer_reference is not None:
        facts.append((texts["reference"], row.customer_reference))
    if row.requested_on is not None:
        facts.append((texts["requested"], Figures(language, row.currency).date(row.requested_on)))
    return facts


def _sections(row: Order, language: Language) -> list[tuple[str, str]]:
    texts = _TEXTS[language]
    address: dict[str, Any] = row.shipping_address or {}
    lines = address_lines(language, **{part: address.get(part) for part in _ADDRESS})
    cancelled = texts["cancelled"] if row.status == OrderStatus.CANCELLED else ""
    return [
        (texts["status"], cancelled),
        (texts["shipping"], "\n".join([*filter(None, [address.get("name")]), *lines])),
    ]
