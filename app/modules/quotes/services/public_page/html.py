"""The page of an offer as HTML: no script, one column, every input with its label, every finding at its field."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Final
from uuid import UUID

from starlette.responses import HTMLResponse

from app.kernel.benefits import names_of, read
from app.kernel.figures import Language
from app.kernel.pages.public import alert, hidden, message_page, page
from app.kernel.runtime import Kernel
from app.modules.quotes.models import QuoteLine
from app.modules.quotes.services.answering import prepayment_of
from app.modules.quotes.services.document import charge_texts, document_lines
from app.modules.quotes.services.public_page.standing import Choice, Offer
from app.modules.quotes.services.public_page.texts import TEXTS
from app.modules.quotes.services.sending import PAGE

GONE: Final = frozenset({"expired", "superseded", "withdrawn", "revoked", "link_expired"})
_FIELDS: Final = {"name": "name", "job_title": "organization-title"}
"""What browsers may fill in by themselves (HTML, 4.10.18.7)."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A form as it is shown again: what was filled in, findings by field, and one for the whole."""

    values: Mapping[str, str] = field(default_factory=dict)
    findings: Mapping[str, str] = field(default_factory=dict)
    problem: str | None = None
    note: str | None = None
    status: int = 200


def offer_page(kernel: Kernel, token: str, offer: Offer, choice: Choice, shown: Shown) -> HTMLResponse:
    """An offer that can be answered, with the forms to do so."""
    texts = TEXTS[offer.language]
    parts = [_head(offer, token), _problems(offer, shown)]
    if shown.note:
        parts.append(f'<p class="note" role="status">{escape(shown.note)}</p>')
    parts.append(f"<h2>{texts['lines']}</h2>{_lines(offer, choice)}")
    parts.append(_accept_form(kernel, token, offer, choice, shown))
    parts.append(_decline_form(token, offer, shown))
    parts.append(ask(offer))
    return page(
        texts["title"].format(number=offer.quote.number),
        "".join(parts),
        offer.language,
        look=offer.look,
        status=shown.status,
        wide=True,
        secret=True,
    )


def standing_page(token: str, offer: Offer, *, status: int | None = None) -> HTMLResponse:
    """Why an offer cannot be answered (any more): what became of it, and whom to ask."""
    texts, state, quote = TEXTS[offer.language], offer.state, offer.quote
    parts = [f'<h1>{texts[state]}</h1><p role="status">{_explained(offer)}</p>']
    if state in ("accepted", "declined", "expired"):
        parts += [_facts(offer, numbered=True), _agreed(offer), _download(token, offer, "download_sent")]
    parts.append(ask(offer))
    code = status or (410 if state in GONE else 200)
    title = f"{texts[state]}: {quote.number}" if state not in ("revoked", "link_expired") else texts[state]
    return page(title, "".join(parts), offer.language, look=offer.look, status=code, secret=True)


def failed_page(offer: Offer, status: int) -> HTMLResponse:
    """The answer was refused by what it would have led to."""
    texts = TEXTS[offer.language]
    return message_page(
        texts["failed"],
        texts["failed_text"],
        offer.language,
        look=offer.look,
        status=status,
        more=ask(offer),
        secret=True,
    )


def nothing_page(language: Language) -> HTMLResponse:
    """Alike for what never was, and for a company that is suspended."""
    texts = TEXTS[language]
    return message_page(texts["nothing"], texts["nothing_text"], language, status=404, secret=True)


def too_many_page(language: Language, seconds: str) -> HTMLResponse:
    texts = TEXTS[language]
    answer = message_page(texts["too_many"], texts["too_many_text"], language, status=429, secret=True)
    answer.headers["Retry-After"] = seconds
    return answer


def ask(offer: Offer) -> str:
    """Whom to ask."""
    texts = TEXTS[offer.language]
    if offer.asked is None:
        return f'<p class="soft">{escape(texts["ask_company"].format(company=offer.company.name))}</p>'
    name = escape(offer.asked.name)
    if offer.asked.email:
        address = escape(offer.asked.email)
        name += f', <a href="mailto:{address}">{address}</a>'
    return f'<p class="soft">{texts["ask"]} {name}</p>'


def _explained(offer: Offer) -> str:
    texts, quote, answer = TEXTS[offer.language], offer.quote, offer.answer
    if offer.state == "expired":
        day = offer.figures.date(quote.valid_until) if quote.valid_until else ""
        return escape(texts["expired_text"].format(day=day))
    if answer is not None:
        when = offer.figures.moment(answer.at, offer.company.zone)
        name = "accepted_unnamed" if offer.state == "accepted" and not answer.name else f"{offer.state}_text"
        return escape(texts[name].format(name=answer.name or "", when=when))
    return escape(texts[f"{offer.state}_text"])


def _agreed(offer: Offer) -> str:
    """What was accepted: the lines with the options that were chosen, and what they come to."""
    answer = offer.answer
    if answer is None or offer.state != "accepted":
        return ""
    choice = offer.choice(answer.chosen_line_ids)
    return (
        f"<h2>{TEXTS[offer.language]['agreed']}</h2>{_listed(offer, choice.included)}{_sums(offer, choice)}"
    )


# -- the offer -----------------------------------------------------------------------------------------------


def _head(offer: Offer, token: str) -> str:
    texts, quote = TEXTS[offer.language], offer.quote
    other: Language = "en" if offer.language == "zh" else "zh"
    tag = "en" if other == "en" else "zh-CN"
    switch = (
        f'<p><a href="{PAGE}{escape(token)}?lang={other}" lang="{tag}" hreflang="{tag}">'
        f"{texts['other_language']}</a></p>"
    )
    title = escape(texts["title"].format(number=quote.number))
    return f"{switch}<h1>{title}</h1><p>{escape(quote.name)}</p>{_facts(offer)}{_download(token, offer, 'download')}"


def _facts(offer: Offer, *, numbered: bool = False) -> str:
    texts, quote, figures = TEXTS[offer.language], offer.quote, offer.figures
    rows = [(texts["number"], quote.number)] if numbered else []
    rows += [(texts["for"], offer.account), (texts["date"], figures.date(quote.issued_on))]
    if quote.revision > 1:
        rows.append((texts["revision"], str(quote.revision)))
    if quote.valid_until:
        rows.append((texts["valid_until"], figures.date(quote.valid_until)))
    listed = "".join(f"<dt>{label}</dt><dd>{escape(value)}</dd>" for label, value in rows)
    return f'<dl class="facts">{listed}</dl>'


def _download(token: str, offer: Offer, name: str) -> str:
    text = TEXTS[offer.language][name]
    return f'<p><a class="button plain" href="{PAGE}{escape(token)}/pdf?lang={offer.language}">{text}</a></p>'


def _lines(offer: Offer, choice: Choice) -> str:
    required = offer.choice(()).included
    return f"{_listed(offer, required)}{_sums(offer, choice)}{_terms(offer)}"


def _listed(offer: Offer, wanted: Collection[UUID]) -> str:
    described = document_lines(offer.lines)
    rows = [
        _line(offer, row, part=line.component, free=line.totals is None)
        for row, line in zip(offer.lines, described, strict=True)
        if row.id in wanted
    ]
    return f'<ul class="lines">{"".join(rows)}</ul>'


def _line(offer: Offer, row: QuoteLine, *, part: bool, free: bool) -> str:
    kind = ' class="part"' if part else ""
    return f"<li{kind}><span>{escape(row.description)}</span>{_figures(offer, row, free=free)}</li>"


def _figures(offer: Offer, row: QuoteLine, *, free: bool) -> str:
    """Amount, and the small print of a line."""
    texts, figures = TEXTS[offer.language], offer.figures
    amount = texts["included"] if free else figures.money(row.subtotal)
    price = figures.price(row.unit_price) + texts.get(row.charge, "")
    small = [texts["each"].format(quantity=figures.quantity(row.quantity), unit=row.unit, price=price)]
    if free:
        small = [f"{figures.quantity(row.quantity)} {row.unit}"]
    elif row.discount_percent:
        small.append(texts["less"].format(percent=figures.percent(row.discount_percent)))
    if row.tax_rate and not free:
        small.append(texts["tax_rate"].format(rate=figures.percent(row.tax_rate)))
    detail = f'<span class="soft">{escape(row.detail)}</span>' if row.detail else ""
    return (
        f'<span class="amount">{escape(amount)}</span>'
        f'<span class="soft">{escape(" · ".join(small))}</span>{detail}'
    )


def _sums(offer: Offer, choice: Choice) -> str:
    texts, totals, included = TEXTS[offer.language], choice.totals, offer.quote.tax_included
    rows: list[tuple[str, int, bool]] = []
    if totals.header_discount:
        rows.append((texts["subtotal"], totals.subtotal, False))
        coupons = names_of(read(offer.quote.benefits))
        own = totals.header_discount - sum(amount for _, amount in coupons)
        rows += [(texts["discount"], -own, False)] if own else []
        rows += [(name, -amount, False) for name, amount in coupons]
    taxes = [
        (
            texts["tax_included" if included else "tax"].format(rate=offer.figures.percent(tax.rate)),
            tax.tax,
            False,
        )
        for tax in totals.taxes
        if tax.tax or tax.rate
    ]
    if not included:
        rows += [(texts["net"], totals.net, False), *taxes]
    rows.append((texts["total"], totals.total, True))
    rows += taxes if included else []
    due = prepayment_of(offer.quote, totals.total)
    if due is not None:
        rows.append((texts["prepayment"], due, False))
    split = charge_texts(choice.charges, offer.quote.currency, offer.language)
    return _table(offer, rows) + "".join(f'<p class="soft">{escape(text)}</p>' for text in split)


def _table(offer: Offer, rows: Sequence[tuple[str, int, bool]]) -> str:
    shown = "".join(
        ('<tr class="strong">' if strong else "<tr>")
        + f'<th scope="row">{escape(label)}</th><td class="amount">{escape(offer.figures.money(amount))}</td></tr>'
        for label, amount, strong in rows
    )
    return f'<table class="sums"><tbody>{shown}</tbody></table>'


def _terms(offer: Offer) -> str:
    terms = offer.quote.terms
    if not terms or not terms.strip():
        return ""
    paragraphs = "".join(f"<p>{escape(line)}</p>" for line in terms.splitlines() if line.strip())
    return f"<h2>{TEXTS[offer.language]['terms']}</h2>{paragraphs}"


# -- the forms -----------------------------------------------------------------------------------------------


def _problems(offer: Offer, shown: Shown) -> str:
    texts = TEXTS[offer.language]
    if shown.problem:
        return alert(shown.problem)
    if not shown.findings:
        return ""
    return alert(
        texts["wrong"],
        [(f"f-{name}", _label(offer, name), message) for name, message in shown.findings.items()],
    )


def _label(offer: Offer, name: str) -> str:
    return TEXTS[offer.language]["accept_title" if name == "agree" else name]


def _accept_form(kernel: Kernel, token: str, offer: Offer, choice: Choice, shown: Shown) -> str:
    texts, quote = TEXTS[offer.language], offer.quote
    total = offer.figures.money(choice.totals.total)
    parts = [_form(token, offer), hidden("do", "accept"), hidden("seal", offer.seal(kernel, choice))]
    parts += [_options(offer, choice), f'<h2 id="accept">{texts["accept_title"]}</h2>']
    parts.append(_input(offer, shown, "name", required=True))
    parts.append(_input(offer, shown, "job_title"))
    if quote.signature_required:
        parts.append(_input(offer, shown, "signature", required=True))
    if quote.payment_required:
        parts.append(_input(offer, shown, "payment_reference", required=True))
    parts.append(_area(offer, shown, "note"))
    agreed = texts["agree"].format(total=total, account=offer.account or offer.company.name)
    parts.append(_tick(offer, shown, "agree", agreed))
    parts.append(f'<p><button type="submit">{texts["accept"]}</button></p></form>')
    return "".join(parts)


def _options(offer: Offer, choice: Choice) -> str:
    """Lines that may be chosen, each with what comes with it."""
    described = document_lines(offer.lines)
    rows = []
    for row, line in zip(offer.lines, described, strict=True):
        if not line.optional:
            continue
        free = line.totals is None
        if not row.optional:
            rows.append(_line(offer, row, part=True, free=free))
            continue
        ticked = " checked" if row.id in choice.chosen else ""
        rows.append(
            f'<li><span class="tick"><input type="checkbox" id="c-{row.id}" name="choose" value="{row.id}"{ticked}>'
            f'<label for="c-{row.id}">{escape(row.description)}</label></span>{_figures(offer, row, free=free)}</li>'
        )
    if not rows:
        return ""
    legend = TEXTS[offer.language]["optional"]
    return f'<fieldset><legend>{legend}</legend><ul class="lines">{"".join(rows)}</ul></fieldset>'


def _decline_form(token: str, offer: Offer, shown: Shown) -> str:
    texts = TEXTS[offer.language]
    opened = " open" if "reason" in shown.findings else ""
    return (
        f"<details{opened}><summary>{texts['decline_title']}</summary>{_form(token, offer)}{hidden('do', 'decline')}"
        f'{_area(offer, shown, "reason")}<p><button type="submit" class="plain">{texts["decline"]}</button></p>'
        "</form></details>"
    )


def _form(token: str, offer: Offer) -> str:
    return f'<form method="post" action="{PAGE}{escape(token)}?lang={offer.language}" novalidate>'


def _attributes(shown: Shown, name: str, *, required: bool = False) -> tuple[str, str]:
    """The attributes of an input, and the finding that it points to."""
    found = f'id="f-{name}" name="{name}"'
    if name in _FIELDS:
        found += f' autocomplete="{_FIELDS[name]}"'
    if required:
        found += " required"
    message = shown.findings.get(name)
    if message is None:
        return found, ""
    found += f' aria-invalid="true" aria-describedby="e-{name}"'
    return found, f'<span class="error" id="e-{name}">{escape(message)}</span>'


def _named(offer: Offer, name: str, *, required: bool) -> str:
    texts = TEXTS[offer.language]
    mark = f' <span class="must">({texts["required"]})</span>' if required else ""
    return f'<label for="f-{name}">{texts[name]}{mark}</label>'


def _input(offer: Offer, shown: Shown, name: str, *, required: bool = False) -> str:
    attributes, told = _attributes(shown, name, required=required)
    value = escape(shown.values.get(name, ""))
    label = _named(offer, name, required=required)
    return f'<p>{label}<input type="text" maxlength="200" {attributes} value="{value}">{told}</p>'


def _area(offer: Offer, shown: Shown, name: str) -> str:
    attributes, told = _attributes(shown, name)
    value = escape(shown.values.get(name, ""))
    return (
        f"<p>{_named(offer, name, required=False)}"
        f'<textarea rows="3" maxlength="2000" {attributes}>{value}</textarea>{told}</p>'
    )


def _tick(offer: Offer, shown: Shown, name: str, text: str) -> str:
    attributes, told = _attributes(shown, name, required=True)
    mark = f' <span class="must">({TEXTS[offer.language]["required"]})</span>'
    return (
        f'<p class="tick"><input type="checkbox" {attributes} value="on">'
        f' <label for="f-{name}">{escape(text)}{mark}</label>{told}</p>'
    )
