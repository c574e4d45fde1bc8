"""What a customer's request to the page of an offer does.

The link is the credential, so there is no session that a form on another page could ride on; a form's seal shows
besides that its sender saw our page and accepts the total that it showed. What a request changes is one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qs
from uuid import UUID

from pydantic import ValidationError
from starlette.responses import RedirectResponse, Response

from app.kernel.access import Actor, TenantProfile, system_actor
from app.kernel.errors import Invalid, NotFound, Problem, TooManyRequests
from app.kernel.links import Link, open_company, read_link
from app.kernel.pages.visitors import PageVisitor
from app.kernel.pdf.kept import Pdf
from app.kernel.uow import transaction
from app.modules.quotes.interface import QuoteExpired, QuoteNotOpen, QuoteSuperseded, QuoteWithdrawn
from app.modules.quotes.schemas.steps import Acceptance, QuoteRefusal
from app.modules.quotes.services.answering import Answers, From
from app.modules.quotes.services.document import quote_pdf
from app.modules.quotes.services.public_page import html
from app.modules.quotes.services.public_page.html import Shown
from app.modules.quotes.services.public_page.standing import (
    Choice,
    Offer,
    link_works,
    offer_behind,
    page_language,
)
from app.modules.quotes.services.public_page.texts import TEXTS
from app.modules.quotes.services.sending import LINK_PURPOSE, PAGE

BODY_LIMIT: Final = 64 * 1024
MOST_FIELDS: Final = 600
VIEWS_PER_MINUTE: Final = 60
FILES_PER_MINUTE: Final = 20
ANSWERS_PER_MINUTE: Final = 20
LINK_SHARE: Final = 10
"""A link may be used this many times as often as one address may use it: a mail is handed around."""
_TEXT_FIELDS: Final = ("name", "job_title", "signature", "payment_reference", "note")


class Visitor(PageVisitor):
    """A customer who opens an offer."""

    __slots__ = ()

    async def company(self) -> tuple[Link, TenantProfile]:
        """Raises `NotFound`, alike for what never was and for a company that is suspended."""
        link = read_link(self.kernel, self.token, LINK_PURPOSE)
        return link, await open_company(self.kernel, link.tenant_id)

    def count(self, what: str, link: Link, most: int) -> None:
        """Raises `TooManyRequests` for one too many in a minute, by this address or through this link."""
        key = f"quote-{what}:{link.hash.hex()}"
        self.kernel.limiter.attempt(f"{key}:{self.address}", most, 60)
        self.kernel.limiter.attempt(key, most * LINK_SHARE, 60)


async def show(visitor: Visitor) -> Response:
    """The offer, or why there is none (any more). As long as the link works the view is counted."""
    try:
        link, company = await visitor.company()
        visitor.count("page", link, VIEWS_PER_MINUTE)
        async with transaction(visitor.kernel, _customer(company), request_id=visitor.request_id) as uow:
            offer = await offer_behind(uow, link, language=page_language(visitor.wanted), look_at=True)
    except NotFound:
        return html.nothing_page(visitor.language())
    except TooManyRequests as refusal:
        return html.too_many_page(visitor.language(), refusal.headers["Retry-After"])
    if offer.state != "open":
        return html.standing_page(visitor.token, offer)
    return html.offer_page(visitor.kernel, visitor.token, offer, offer.choice(()), Shown())


async def download(visitor: Visitor) -> tuple[Pdf, str]:
    """The PDF of an offer that its link still leads to, and its number. Raises `NotFound`, `TooManyRequests`."""
    link, company = await visitor.company()
    visitor.count("file", link, FILES_PER_MINUTE)
    async with transaction(visitor.kernel, _customer(company), read_only=True) as uow:
        offer = await offer_behind(uow, link, language=page_language(visitor.wanted))
    link_works(offer)
    if offer.state in ("superseded", "withdrawn", "not_open"):
        raise NotFound
    pdf = await quote_pdf(
        visitor.kernel, company, offer.quote.id, offer.language, request_id=visitor.request_id
    )
    return pdf, f"{offer.quote.number}-{offer.quote.revision}"


async def answer(visitor: Visitor, body: bytes) -> Response:
    """Take what a form of the page sends: accept or decline, once; whoever comes later sees the first answer."""
    try:
        link, company = await visitor.company()
        visitor.count("answer", link, ANSWERS_PER_MINUTE)
        sent = _fields(body)
        async with transaction(visitor.kernel, _customer(company), read_only=True) as uow:
            offer = await offer_behind(uow, link, language=page_language(visitor.wanted))
    except NotFound:
        return html.nothing_page(visitor.language())
    except TooManyRequests as refusal:
        return html.too_many_page(visitor.language(), refusal.headers["Retry-After"])
    if offer.state != "open":
        return _standing(visitor, offer, sent)
    try:
        if sent.get("do") == "decline":
            return await _decline(visitor, link, offer, sent)
        return await _accept(visitor, link, offer, sent)
    except (QuoteExpired, QuoteSuperseded, QuoteWithdrawn, QuoteNotOpen):  # meanwhile
        async with transaction(visitor.kernel, _customer(company), read_only=True) as uow:
            return _standing(visitor, await offer_behind(uow, link, language=offer.language), sent)
    except NotFound:
        return html.nothing_page(visitor.language())
    except Problem as refusal:
        return html.failed_page(offer, refusal.status)


def _standing(visitor: Visitor, offer: Offer, sent: Mapping[str, str]) -> Response:
    """Who sends the same answer again is led to the first one; another answer comes too late."""
    same = {"accept": "accepted", "decline": "declined"}.get(sent.get("do", "accept"))
    if offer.state == same:
        return _lead_on(visitor, offer)
    late = offer.state in ("accepted", "declined", "not_open")
    return html.standing_page(visitor.token, offer, status=409 if late else None)


def _lead_on(visitor: Visitor, offer: Offer) -> Response:
    """To the page by GET, so that nothing is sent twice by looking again."""
    return RedirectResponse(
        f"{PAGE}{visitor.token}?lang={offer.language}", 303, {"Referrer-Policy": "no-referrer"}
    )


async def _decline(visitor: Visitor, link: Link, offer: Offer, sent: Mapping[str, str]) -> Response:
    reason = sent.get("reason")
    if reason and len(reason) > 2_000:
        findings = {"reason": TEXTS[offer.language]["too_long"]}
        return _again(visitor, offer, offer.choice(()), Shown(sent, findings, status=422))
    async with transaction(visitor.kernel, _customer(offer.company), request_id=visitor.request_id) as uow:
        answers = Answers(uow)
        row, quote = await answers.behind(link)
        await answers.decline(quote.id, QuoteRefusal(reason=reason), From(visitor.address, row))
    return _lead_on(visitor, offer)


async def _accept(visitor: Visitor, link: Link, offer: Offer, sent: Mapping[str, str]) -> Response:
    texts = TEXTS[offer.language]
    try:
        choice = offer.choice(_chosen(sent))
    except Invalid as refusal:
        problem = texts["no_choice"].format(detail=refusal.detail)
        return _again(visitor, offer, offer.choice(()), Shown(sent, problem=problem, status=422))
    if not offer.is_sealed(visitor.kernel, sent.get("seal", ""), choice):
        note = texts["new_total"].format(total=offer.figures.money(choice.totals.total))
        return _again(visitor, offer, choice, Shown(sent, note=note))
    given, findings = _acceptance(offer, choice, sent)
    if given is None:
        return _again(visitor, offer, choice, Shown(sent, findings, status=422))
    try:
        async with transaction(
            visitor.kernel, _customer(offer.company), request_id=visitor.request_id
        ) as uow:
            answers = Answers(uow)
            row, quote = await answers.behind(link)
            await answers.accept(quote.id, given, From(visitor.address, row))
    except Invalid as refusal:
        if any(error.pointer.startswith("/chosen_line_ids") for error in refusal.errors):
            problem = texts["no_choice"].format(detail=refusal.detail)
            return _again(visitor, offer, choice, Shown(sent, problem=problem, status=422))
        raise
    return _lead_on(visitor, offer)


def _acceptance(
    offer: Offer, choice: Choice, sent: Mapping[str, str]
) -> tuple[Acceptance | None, dict[str, str]]:
    """What is accepted, or what is wrong at which field."""
    texts, quote = TEXTS[offer.language], offer.quote
    required = ["name"]
    required += ["signature"] if quote.signature_required else []
    required += ["payment_reference"] if quote.payment_required else []
    findings = {name: texts["field_required"] for name in required if not sent.get(name)}
    given = {name: sent[name] for name in _TEXT_FIELDS if sent.get(name)}
    limits = {name: 2_000 if name == "note" else 200 for name in given}
    findings |= {name: texts["too_long"] for name, most in limits.items() if len(given[name]) > most}
    if not sent.get("agree"):
        findings["agree"] = texts["agree_required"]
    if findings:
        return None, findings
    try:
        return Acceptance.model_validate(given | {"chosen_line_ids": sorted(choice.chosen)}), {}
    except ValidationError as error:
        wrong = {str(one["loc"][0]) for one in error.errors()} & set(_TEXT_FIELDS)
        return None, dict.fromkeys(wrong or {"name"}, texts["field_required"])


def _again(visitor: Visitor, offer: Offer, choice: Choice, shown: Shown) -> Response:
    return html.offer_page(visitor.kernel, visitor.token, offer, choice, shown)


def _customer(company: TenantProfile) -> Actor:
    return system_actor(company, "Customer")


def _fields(body: bytes) -> dict[str, str]:
    """The fields of a form; several of one name are joined by commas. What cannot be read is no field."""
    try:
        fields = parse_qs(body.decode("ascii"), max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError:
        return {}
    return {name: ",".join(values).replace("\0", "").strip() for name, values in fields.items()}


def _chosen(sent: Mapping[str, str]) -> set[UUID]:
    """Raises `Invalid` for what is no id."""
    try:
        return {UUID(text) for text in sent.get("choose", "").split(",") if text}
    except ValueError:
        raise Invalid("This is no line.") from None
