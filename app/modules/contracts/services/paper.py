"""A contract as a document: who agrees, on what, for how long, at which payments, and the text of every clause."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from app.kernel.errors import Forbidden
from app.kernel.figures import Figures, Language
from app.kernel.pdf.addresses import address_lines
from app.kernel.pdf.documents import Document, DocumentKind, DocumentLine, DocumentParty, DocumentTotals
from app.kernel.totals import LineTotal
from app.kernel.uow import UnitOfWork
from app.modules.catalog.interface import Catalog
from app.modules.contracts.models import Contract, ContractStatus, Instalment, Line, Party
from app.modules.contracts.services.clauses import ClauseService
from app.modules.contracts.services.contracts import ContractService
from app.modules.contracts.services.parts import PartService
from app.modules.customers.interface import Customers
from app.tenants.interface import Tenants

_TEXTS: Final[dict[str, dict[str, str]]] = {
    "en": {
        "subject": "Subject", "starts": "From", "ends": "Until", "open_end": "open end", "notice": "Notice",
        "days": "{days} days", "parties": "Parties", "plan": "Payments", "signatures": "Signatures",
        "customer": "Customer", "supplier": "Supplier", "guarantor": "Guarantor", "signatory": "Signatory",
        "signing": "{days} days after signing", "activation": "{days} days after it comes into force",
        "signed": "Signed by {name}", "signed_on": "Signed on {day}",
        "sign": "Date, name, signature: ____________________",
    },
    "zh": {
        "subject": "主题", "starts": "开始日期", "ends": "结束日期", "open_end": "长期", "notice": "提前通知",
        "days": "{days} 天", "parties": "合同各方", "plan": "付款计划", "signatures": "签署",
        "customer": "客户", "supplier": "供方", "guarantor": "担保方", "signatory": "签署人",
        "signing": "签署后 {days} 天", "activation": "生效后 {days} 天",
        "signed": "签署人：{name}", "signed_on": "签署日期：{day}", "sign": "日期、姓名、签字：____________________",
    },
}  # fmt: skip
_UNSIGNED: Final = frozenset({ContractStatus.DRAFT, ContractStatus.IN_APPROVAL})


async def describe_contract(uow: UnitOfWork, id: UUID, language: Language | None) -> Document:
    """The document of a visible contract, in its own language unless another is asked for; clauses stay as written.

    Its statements do not grow with its parts. Raises: NotFound; Forbidden where its value is hidden from the actor.
    """
    contracts, parts, clauses = ContractService(uow), PartService(uow), ClauseService(uow)
    row = await contracts.get(id)
    if contracts.hides_value:
        raise Forbidden("The document shows the contract's value, which is hidden from you.")
    spoken: Language = language or ("zh" if row.language == "zh" else "en")
    lines, plan = await parts.lines_of(id), await contracts.instalments.of(id)
    texts = [(one.title, one.text) for one in await clauses.read(row, await clauses.of(id))]
    letterhead = await uow.of(Tenants).letterhead()
    return Document(
        kind=DocumentKind.CONTRACT,
        language=spoken,
        number=row.number,
        issued_on=row.signed_on or row.starts_on,
        made_at=row.updated_at,
        seller=letterhead.seller,
        buyer=await _buyer(uow, row, spoken),
        brand=letterhead.brand,
        paper=letterhead.paper,
        currency=row.currency,
        lines=await _lines(uow, lines, spoken),
        totals=DocumentTotals(
            subtotal=row.value, header_discount=0, net=row.value, tax=0, total=row.value, split=False
        ),
        facts=_facts(row, spoken),
        sections=[
            (_TEXTS[spoken]["parties"], _parties(await parts.parties_of(id), spoken)),
            (_TEXTS[spoken]["plan"], _plan(plan, spoken)),
            *texts,
            (_TEXTS[spoken]["signatures"], _signatures(row, spoken)),
        ],
        draft=row.status in _UNSIGNED,
    )


async def _lines(uow: UnitOfWork, lines: Sequence[Line], language: Language) -> list[DocumentLine]:
    products = await uow.of(Catalog).get_many({line.product_id for line in lines if line.product_id})
    return [
        DocumentLine(
            position=str(index),
            name=products[line.product_id].name_in(language, line.description)
            if line.product_id is not None and line.product_id in products
            else line.description,
            quantity=line.quantity,
            unit_price=line.unit_price,
            tax_rate=None,  # its amount includes the tax
            totals=LineTotal(line.amount, 0, line.amount, 0, line.amount, 0, line.amount),
            charge=line.charge,
        )
        for index, line in enumerate(lines, start=1)
    ]


async def _buyer(uow: UnitOfWork, row: Contract, language: Language) -> DocumentParty:
    customers = uow.of(Customers)
    name = (await customers.account_names([row.account_id])).get(row.account_id, "")
    address = (await customers.postal_addresses([row.account_id])).get(row.account_id)
    if address is None:
        return DocumentParty(name=name)
    lines = address_lines(
        language,
        street=address.address,
        postal_code=address.postal_code,
        city=address.city,
        region=address.region,
        country=address.country,
    )
    return DocumentParty(name=name, lines=lines)


def _facts(row: Contract, language: Language) -> list[tuple[str, str]]:
    texts, figures = _TEXTS[language], Figures(language, row.currency)
    facts = [
        (texts["subject"], row.title),
        (texts["starts"], figures.date(row.starts_on)),
        (texts["ends"], texts["open_end"] if row.ends_on is None else figures.date(row.ends_on)),
    ]
    if row.notice_days:
        facts.append((texts["notice"], texts["days"].format(days=row.notice_days)))
    return facts


def _parties(parties: Sequence[Party], language: Language) -> str:
    texts = _TEXTS[language]
    return "\n".join(
        f"{texts[one.role]}: {one.name}" + (f", {one.title}" if one.title else "") for one in parties
    )


def _plan(plan: Sequence[Instalment], language: Language) -> str:
    """A line for each payment: what, how much, and when."""
    texts, found = _TEXTS[language], []
    for one in plan:
        figures = Figures(language, one.currency)
        due = figures.date(one.due_on) if one.due_on else ""
        if not due and one.due_after is not None:
            due = texts[one.due_after].format(days=one.due_days or 0)
        found.append(" · ".join(part for part in (one.label, figures.money(one.amount), due) if part))
    return "\n".join(found)


def _signatures(row: Contract, language: Language) -> str:
    texts, figures = _TEXTS[language], Figures(language, row.currency)
    if row.signed_on is None:
        return "\n".join([texts["sign"]] * 2)
    signed = [texts["signed_on"].format(day=figures.date(row.signed_on))]
    return "\n".join([texts["signed"].format(name=row.signed_by), *signed] if row.signed_by else signed)
