"""A quote as a document: what it says to a customer, whoever asks for it.

What has been sent does not change, so its PDF is made once and kept. Anything before is made anew, marked as a draft.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final
from uuid import UUID

from app.kernel.access import TenantProfile, system_actor
from app.kernel.benefits import names_of, read
from app.kernel.figures import Figures, Language
from app.kernel.pdf.addresses import address_lines
from app.kernel.pdf.documents import Document, DocumentKind, DocumentLine, DocumentParty, DocumentTotals
from app.kernel.pdf.kept import Pdf, kept_pdf
from app.kernel.people import People
from app.kernel.runtime import Kernel
from app.kernel.totals import LineTotal, TaxTotal
from app.kernel.uow import UnitOfWork
from app.modules.catalog.interface import ChargeKind
from app.modules.customers.interface import Customers
from app.modules.quotes.models import Quote, QuoteLine
from app.modules.quotes.services.pricing import included_lines
from app.tenants.interface import Tenants

OBJECT: Final = "quote"
_TEXTS: Final[dict[str, dict[str, str]]] = {
    "en": {
        "revision": "Revision",
        "contact": "Attention",
        "owner": "Our contact",
        "subject": "Subject",
        "prepayment": "Prepayment",
        "terms": "Terms",
        "charges": "Recurring charges, in the total for one period",
        "one_time": "Once: {amount}",
        "monthly": "Each month: {amount}",
        "yearly": "Each year: {amount}",
    },
    "zh": {
        "revision": "版本",
        "contact": "联系人",
        "owner": "我方联系人",
        "subject": "主题",
        "prepayment": "预付比例",
        "terms": "条款",
        "charges": "周期性费用（合计中按一期计）",
        "one_time": "一次性：{amount}",
        "monthly": "每月：{amount}",
        "yearly": "每年：{amount}",
    },
}


async def quote_pdf(
    kernel: Kernel, company: TenantProfile, quote_id: UUID, language: Language | None, *, request_id: str = ""
) -> Pdf:
    """The PDF of a quote, in its own language unless another is asked for; who may have it is the caller's matter.

    Raises: NotFound; DocumentNotRendered.
    """

    async def describe(uow: UnitOfWork) -> Document:
        return await describe_quote(uow, quote_id, language)

    return await kept_pdf(
        kernel,
        system_actor(company),
        object_name=OBJECT,
        record_id=quote_id,
        describe=describe,
        request_id=request_id,
    )


async def describe_quote(uow: UnitOfWork, id: UUID, language: Language | None) -> Document:
    """What the document of a quote says, in seven statements whatever the number of lines. Raises `NotFound`."""
    row = await uow.get(Quote, id)
    spoken: Language = language or ("zh" if row.language == "zh" else "en")
    statement = uow.select(QuoteLine).where(QuoteLine.quote_id == id).order_by(QuoteLine.position)
    lines = await uow.all(statement)
    letterhead = await uow.of(Tenants).letterhead()
    return Document(
        kind=DocumentKind.QUOTE,
        language=spoken,
        number=row.number,
        issued_on=row.issued_on,
        made_at=row.sent_at or row.updated_at,
        valid_until=row.valid_until,
        seller=letterhead.seller,
        buyer=await _buyer(uow, row, spoken),
        brand=letterhead.brand,
        paper=letterhead.paper,
        currency=row.currency,
        tax_included=row.tax_included,
        lines=document_lines(lines),
        totals=DocumentTotals(
            subtotal=row.gross - row.discount,
            header_discount=row.header_discount,
            net=row.net,
            tax=row.tax,
            total=row.total,
            taxes=_taxes(lines),
            benefits=names_of(read(row.benefits)),
        ),
        facts=await _facts(uow, row, spoken),
        sections=_sections(row, spoken),
        draft=row.sent_at is None,
    )


def document_lines(lines: Sequence[QuoteLine]) -> list[DocumentLine]:
    """Lines as they are shown: components below their bundle (2.1), options marked with all that comes with them."""
    places: list[str] = []
    optional: set[int] = set()
    counts: dict[int | None, int] = {}
    found = []
    for index, line in enumerate(lines):
        parent = line.component_of
        counts[parent] = counts.get(parent, 0) + 1
        places.append(f"{counts[parent]}" if parent is None else f"{places[parent]}.{counts[parent]}")
        if line.optional or parent in optional:
            optional.add(index)
        free = parent is not None and line.gross == 0 and line.total == 0
        found.append(
            DocumentLine(
                position=places[index],
                name=line.description,
                detail=line.detail,
                quantity=line.quantity,
                unit=line.unit,
                unit_price=line.unit_price,
                discount_percent=line.discount_percent if not line.discount_amount else Decimal(0),
                tax_rate=line.tax_rate,
                totals=None if free else _amounts(line),
                charge=line.charge,
                component=parent is not None,
                optional=index in optional,
            )
        )
    return found


def _amounts(line: QuoteLine) -> LineTotal:
    return LineTotal(
        line.gross, line.discount, line.subtotal, line.header_discount, line.net, line.tax, line.total
    )


def _taxes(lines: Sequence[QuoteLine]) -> list[TaxTotal]:
    sums: dict[Decimal, tuple[int, int]] = {}
    for index in included_lines(lines):
        line = lines[index]
        net, tax = sums.get(line.tax_rate, (0, 0))
        sums[line.tax_rate] = (net + line.net, tax + line.tax)
    return [TaxTotal(rate, net, tax) for rate, (net, tax) in sorted(sums.items())]


async def _buyer(uow: UnitOfWork, row: Quote, language: Language) -> DocumentParty:
    customers = uow.of(Customers)
    names = await customers.account_names([row.account_id])
    address = (await customers.postal_addresses([row.account_id])).get(row.account_id)
    lines = []
    if address is not None:
        lines = address_lines(
            language,
            street=address.address,
            postal_code=address.postal_code,
            city=address.city,
            region=address.region,
            country=address.country,
        )
    if row.contact_id is not None:
        contact = (await customers.contact_names([row.contact_id])).get(row.contact_id)
        lines += [f"{_TEXTS[language]['contact']}: {contact}"] if contact else []
    return DocumentParty(name=names.get(row.account_id, ""), lines=lines)


async def _facts(uow: UnitOfWork, row: Quote, language: Language) -> list[tuple[str, str]]:
    texts = _TEXTS[language]
    facts = []
    if row.revision > 1:
        facts.append((texts["revision"], str(row.revision)))
    facts.append((texts["subject"], row.name))
    if row.owner_id is not None:
        owner = (await uow.of(People).names([row.owner_id])).get(row.owner_id)
        facts += [(texts["owner"], owner)] if owner else []
    if row.prepayment_percent is not None:
        facts.append((texts["prepayment"], Figures(language, row.currency).percent(row.prepayment_percent)))
    return facts


def charge_texts(charges: Mapping[ChargeKind, int], currency: str, language: Language) -> list[str]:
    """What an offer with recurring charges comes to once, each month and each year; nothing where all is due once."""
    if not charges[ChargeKind.MONTHLY] and not charges[ChargeKind.YEARLY]:
        return []
    figures, texts = Figures(language, currency), _TEXTS[language]
    return [texts[kind].format(amount=figures.money(charges[kind])) for kind in ChargeKind if charges[kind]]


def _sections(row: Quote, language: Language) -> list[tuple[str, str]]:
    texts = _TEXTS[language]
    charges = {
        ChargeKind.ONE_TIME: row.one_time_total,
        ChargeKind.MONTHLY: row.monthly_total,
        ChargeKind.YEARLY: row.yearly_total,
    }
    recurring = "\n".join(charge_texts(charges, row.currency, language))
    return [(texts["charges"], recurring), (texts["terms"], row.terms or "")]
