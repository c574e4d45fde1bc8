"""What companies send to their customers: quotes, order confirmations, contracts, invoices and credit notes as PDF.

A module describes its document as a `Document`, amounts as they are stored, and `render_document` answers the bytes:
the same description always gives the same bytes, so that they can be kept by their hash. Numbers, money and dates are
written by babel in the document's language; nothing of the description is read as markup.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

from app.kernel.colors import readable
from app.kernel.figures import Figures, Language
from app.kernel.files import sniff
from app.kernel.pdf.capitals import capital_amount
from app.kernel.pdf.render import FONT, Order, Renderer
from app.kernel.pdf.texts import CHARGES, TEXTS, TITLES
from app.kernel.totals import LineTotal, TaxTotal

Paper = Literal["a4", "us-letter"]
LETTER_COUNTRIES: Final = frozenset(
    {"US", "CA", "MX", "PH", "CL", "CO", "VE", "CR", "GT", "PA", "DO", "PR", "SV"}
)
"""Where paper of 8.5 by 11 inches is customary; ISO 216 is everywhere else."""
PICTURES: Final = {"image/png": "png", "image/jpeg": "jpg"}
_WORD: Final = 16
_LONG_WORD: Final = re.compile(rf"[!-~\u00a1-\u2fff]{{{_WORD + 8},}}")
_TEMPLATE: Final = Path(__file__).with_name("commercial.typ")


class DocumentKind(StrEnum):
    QUOTE = "quote"
    ORDER = "order"
    CONTRACT = "contract"
    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentParty:
    """A seller or buyer: a name, its address line by line, and a tax number."""

    name: str
    lines: Sequence[str] = ()
    tax_number: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentLine:
    """A line as it was computed; `totals` may be None for what is included in its bundle at no price of its own.

    `position` is shown as it is (`2`, or `2.1` for a component). `unit_price` is in major units. An `optional` line
    is in no total. `charge` is one_time, monthly or yearly. Where no line has a `tax_rate` there is no column of it.
    """

    position: str
    name: str
    detail: str | None = None
    quantity: Decimal
    unit: str = ""
    unit_price: Decimal
    discount_percent: Decimal = Decimal(0)
    tax_rate: Decimal | None = Decimal(0)
    totals: LineTotal | None
    charge: str = "one_time"
    component: bool = False
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentTotals:
    """The document's sums in minor units, as in `kernel.totals`; `benefits` are named parts of `header_discount`."""

    subtotal: int
    header_discount: int
    net: int
    tax: int
    total: int
    taxes: Sequence[TaxTotal] = ()
    split: bool = True
    benefits: Sequence[tuple[str, int]] = ()

    @property
    def reductions(self) -> list[tuple[str | None, int]]:
        """What comes off the subtotal: the header's own discount, which has no name, and each benefit."""
        own = self.header_discount - sum(amount for _, amount in self.benefits)
        return ([(None, own)] if own else []) + [*self.benefits]


@dataclass(frozen=True, slots=True, kw_only=True)
class Brand:
    """How the seller's documents look: a colour as `#rrggbb`, and a logo (PNG or JPEG)."""

    color: str | None = None
    logo: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document. `facts` are further rows beside the number (label, value), `sections` end it (heading, text).

    `made_at` is the file's creation date: take the moment at which the document was issued, never the clock.
    Of totals without a split into net and tax only `total` is written: `split` is False.
    """

    kind: DocumentKind
    language: Language
    number: str
    issued_on: date
    made_at: datetime
    seller: DocumentParty
    buyer: DocumentParty
    currency: str
    lines: Sequence[DocumentLine]
    totals: DocumentTotals
    brand: Brand = Brand()
    tax_included: bool = False
    valid_until: date | None = None
    due_on: date | None = None
    facts: Sequence[tuple[str, str]] = ()
    sections: Sequence[tuple[str, str]] = ()
    paper: Paper = "a4"
    draft: bool = False


def paper_of(country: str) -> Paper:
    """The paper that is customary in a country (ISO 3166-1 alpha-2)."""
    return "us-letter" if country in LETTER_COUNTRIES else "a4"


async def render_document(renderer: Renderer, document: Document) -> bytes:
    """The document as PDF. Raises: DocumentNotRendered."""
    return await renderer.render(order_for(document))


def order_for(document: Document) -> Order:
    """What the renderer gets: every figure written out, every text as it was given."""
    logo = document.brand.logo
    kind = PICTURES.get(sniff(logo[:64])) if logo else None
    picture = {"format": kind, "bytes": [*logo]} if kind and logo else None
    data = _breakable(_Writer(document).data()) | {"logo": picture, "font": FONT}
    return Order(_template(), data, document.made_at)


class _Writer:
    """Writes one document's figures in its language."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.texts = TEXTS[document.language]
        self.figures = Figures(document.language, document.currency)

    def data(self) -> dict[str, Any]:
        document = self.document
        offered = [line for line in document.lines if not line.optional]
        optional = [line for line in document.lines if line.optional]
        return {
            "language": document.language,
            "region": "CN" if document.language == "zh" else None,
            "paper": document.paper,
            "color": readable(document.brand.color),
            "draft": document.draft,
            "texts": self.texts,
            "title": TITLES[document.language][document.kind],
            "number": document.number,
            "seller": self._party(document.seller),
            "buyer": self._party(document.buyer),
            "facts": self._facts(),
            "lines": [self._line(line) for line in offered],
            "optional": [self._line(line) for line in optional],
            "has_discount": any(self._discount(line) for line in document.lines),
            "has_tax": any(line.tax_rate is not None for line in document.lines),
            "totals": self._totals(),
            "capitals": self._capitals(),
            "sections": [{"heading": heading, "text": text} for heading, text in document.sections if text],
        }

    def _party(self, party: DocumentParty) -> dict[str, Any]:
        lines = [*party.lines]
        if party.tax_number:
            lines.append(f"{self.texts['tax_number']} {party.tax_number}")
        return {"name": party.name, "lines": lines}

    def _facts(self) -> list[dict[str, str]]:
        document = self.document
        rows = [
            (self.texts["number"], document.number),
            (self.texts["date"], self.figures.date(document.issued_on)),
        ]
        if document.valid_until:
            rows.append((self.texts["valid_until"], self.figures.date(document.valid_until)))
        if document.due_on:
            rows.append((self.texts["due_on"], self.figures.date(document.due_on)))
        rows += [(self.texts["currency"], document.currency), *document.facts]
        return [{"label": label, "value": value} for label, value in rows]

    def _discount(self, line: DocumentLine) -> str:
        if line.totals is None or not line.totals.discount:
            return ""
        percent = line.discount_percent
        return self.figures.percent(percent) if percent else self.figures.amount(line.totals.discount)

    def _line(self, line: DocumentLine) -> dict[str, Any]:
        per = CHARGES[self.document.language].get(line.charge, "")
        included = line.totals is None
        return {
            "position": line.position,
            "name": line.name,
            "detail": line.detail or "",
            "quantity": self.figures.quantity(line.quantity),
            "unit": line.unit,
            "price": "" if included else self.figures.price(line.unit_price) + per,
            "discount": self._discount(line),
            "tax": "" if included or line.tax_rate is None else self.figures.percent(line.tax_rate),
            "amount": self.texts["included"]
            if line.totals is None
            else self.figures.amount(line.totals.subtotal),
            "component": line.component,
        }

    def _totals(self) -> list[dict[str, Any]]:
        totals, texts, included = self.document.totals, self.texts, self.document.tax_included
        if not totals.split:
            return [{"label": texts["total"], "amount": self.figures.money(totals.total), "strong": True}]
        rows: list[tuple[str, int]] = []
        if totals.header_discount:
            rows.append((texts["subtotal"], totals.subtotal))
            rows += [(name or texts["discount"], -amount) for name, amount in totals.reductions]
        taxes = [
            (
                texts["tax_included" if included else "tax"].format(rate=self.figures.percent(one.rate)),
                one.tax,
            )
            for one in totals.taxes
            if one.tax or one.rate
        ]
        if included:
            rows += [(texts["total"], totals.total), *taxes, (texts["net"], totals.net)]
            strong = len(rows) - len(taxes) - 2
        else:
            rows += [(texts["net"], totals.net), *taxes, (texts["total"], totals.total)]
            strong = len(rows) - 1
        return [
            {"label": label, "amount": self.figures.money(amount), "strong": index == strong}
            for index, (label, amount) in enumerate(rows)
        ]

    def _capitals(self) -> str:
        document = self.document
        if document.language != "zh" or document.currency != "CNY":
            return ""
        return capital_amount(document.totals.total)


def _breakable(value: Any) -> Any:
    """The same with zero-width spaces in words that are wider than a column, which typst would not break."""
    if isinstance(value, str):
        return _LONG_WORD.sub(lambda word: "\u200b".join(re.findall(f".{{1,{_WORD}}}", word[0])), value)
    if isinstance(value, dict):
        return {name: _breakable(inner) for name, inner in value.items()}
    return [_breakable(inner) for inner in value] if isinstance(value, list) else value


@lru_cache(maxsize=1)
def _template() -> str:
    return _TEMPLATE.read_text()
