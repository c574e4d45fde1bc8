"""A bill as a document, in English or Chinese."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from app.kernel.figures import Figures, Language
from app.kernel.money import exponent_of
from app.kernel.pdf.documents import (
    Document,
    DocumentKind,
    DocumentLine,
    DocumentParty,
    DocumentTotals,
    paper_of,
)
from app.kernel.totals import LineTotal, document
from app.tenants.billing.models import Bill

_TEXTS: Final[Mapping[Language, Mapping[str, str]]] = {
    "en": {
        "flat": "Plan {what}",
        "seats": "Seats, plan {what}",
        "usage": "Usage: {what}",
        "commitment": "Minimum commitment, plan {what}",
        "withdrawn": "Not given back: voided or credited of {what}",
        "seat": "seats",
        "span": "{start} to {end}, {factor} of the period",
        "whole": "{start} to {end}",
        "period": "Period",
        "coupons": "Coupons",
        "reverse": "Tax",
        "reverse_text": "Reverse charge: the buyer owes the tax to their own tax office.",
        "balance": "Balance",
        "balance_text": "{amount} of it were taken from your balance; {due} were due.",
        "bank": "Please pay to",
    },
    "zh": {
        "flat": "套餐 {what}",
        "seats": "席位，套餐 {what}",
        "usage": "用量：{what}",
        "commitment": "最低消费，套餐 {what}",
        "withdrawn": "不再退还：账单 {what} 已作废或已冲减",
        "seat": "个",
        "span": "{start} 至 {end}，占周期 {factor}",
        "whole": "{start} 至 {end}",
        "period": "账期",
        "coupons": "优惠券",
        "reverse": "税务",
        "reverse_text": "反向征收：税款由买方向其所在地税务机关缴纳。",
        "balance": "余额",
        "balance_text": "其中 {amount} 由账户余额支付，应付 {due}。",
        "bank": "收款账户",
    },
}


def describe_bill(bill: Bill, language: Language) -> Document:
    """The document of an issued bill: what it said when it was issued, whatever happened to it since."""
    texts, figures = _TEXTS[language], Figures(language, bill.currency)
    rate = Decimal(bill.tax_rate)
    amounts = [_amounts(line) for line in bill.lines]
    sums = document(amounts, [rate] * len(amounts), currency=bill.currency)
    issued_at = bill.issued_at or bill.created_at
    return Document(
        kind=DocumentKind.INVOICE,
        language=language,
        number=bill.number or "",
        issued_on=issued_at.astimezone(UTC).date(),
        made_at=issued_at,
        seller=_party(bill.seller),
        buyer=_party(bill.buyer),
        currency=bill.currency,
        lines=[
            _line(line, total, rate, language, bill.currency)
            for line, total in zip(bill.lines, amounts, strict=True)
        ],
        totals=DocumentTotals(
            subtotal=sums.subtotal,
            header_discount=sums.header_discount,
            net=sums.net,
            tax=sums.tax,
            total=sums.total,
            taxes=sums.taxes,
        ),
        due_on=bill.due_at.astimezone(UTC).date() if bill.due_at else None,
        facts=[(texts["period"], _span(bill.period_start, bill.period_end, texts["whole"], language))],
        sections=_sections(bill, texts, figures),
        paper=paper_of(bill.buyer["country"]),
    )


def _sections(bill: Bill, texts: Mapping[str, str], figures: Figures) -> list[tuple[str, str]]:
    due = max(0, bill.total - bill.balance_applied)
    balance = texts["balance_text"].format(amount=figures.money(bill.balance_applied), due=figures.money(due))
    coupons = [f"{one['code']}: {figures.money(-one['amount'])}" for one in bill.discounts]
    return [
        (texts["coupons"], "\n".join(coupons)),
        (texts["reverse"], texts["reverse_text"] if bill.reverse_charge else ""),
        (texts["balance"], balance if bill.balance_applied else ""),
        (texts["bank"], bill.seller["bank_details"] if due else ""),
    ]


def _party(party: Mapping[str, Any]) -> DocumentParty:
    return DocumentParty(name=party["name"], lines=party["lines"], tax_number=party["tax_number"])


def _amounts(line: Mapping[str, Any]) -> LineTotal:
    net = line["amount"] - line["discount"]
    return LineTotal(
        gross=line["amount"],
        discount=0,
        subtotal=line["amount"],
        header_discount=line["discount"],
        net=net,
        tax=line["tax"],
        total=net + line["tax"],
    )


def _unit_price(line: Mapping[str, Any], currency: str) -> Decimal:
    """Of usage, which tiers and packages price: what a unit came to on average."""
    quantity = Decimal(line["quantity"])
    if line["unit"] is not None or not quantity:
        return Decimal(line["unit"] or 0)
    return (Decimal(line["amount"]).scaleb(-exponent_of(currency)) / quantity).quantize(Decimal("1e-8"))


def _line(
    line: Mapping[str, Any], total: LineTotal, rate: Decimal, language: Language, currency: str
) -> DocumentLine:
    texts = _TEXTS[language]
    whole = line["factor"] == "1/1"
    start, end = (datetime.fromisoformat(line[name]) for name in ("start", "end"))
    span = _span(start, end, texts["whole" if whole else "span"], language, factor=line["factor"])
    return DocumentLine(
        position=str(line["position"]),
        name=texts[line["kind"]].format(what=line["what"]),
        detail=span,
        quantity=Decimal(line["quantity"]),
        unit=texts["seat"] if line["kind"] == "seats" else "",
        unit_price=_unit_price(line, currency),
        tax_rate=rate or None,
        totals=total,
    )


def _span(start: datetime, end: datetime, text: str, language: Language, **more: str) -> str:
    figures = Figures(language, "USD")
    days = {name: figures.date(at.astimezone(UTC).date()) for name, at in (("start", start), ("end", end))}
    return text.format(**days, **more)
