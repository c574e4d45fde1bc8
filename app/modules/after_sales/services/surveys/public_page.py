"""`/s/{token}`: the page on which a customer says how it went. The link is the credential, and answers once."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Final
from urllib.parse import parse_qs

from starlette.responses import RedirectResponse, Response

from app.kernel.access import Actor, TenantProfile, system_actor
from app.kernel.errors import NotFound, TooManyRequests
from app.kernel.figures import Figures, Language
from app.kernel.links import Link, open_company, read_link
from app.kernel.pages.public import alert, look_of, message_page, page
from app.kernel.pages.visitors import PageVisitor
from app.kernel.uow import transaction
from app.modules.after_sales.models.surveys import SurveyKind
from app.modules.after_sales.services.surveys.answering import COMMENT_LENGTH, Asked, SurveyAnswers, checked
from app.modules.after_sales.services.surveys.definitions import SCALES
from app.modules.after_sales.services.surveys.sending import PAGE, PURPOSE, question_of
from app.modules.after_sales.services.surveys.texts import ENDS, TEXTS

BODY_LIMIT: Final = 32 * 1024
_PER_MINUTE: Final = 60
_LINK_SHARE: Final = 10
_GONE: Final = frozenset({"expired", "withdrawn"})


class Visitor(PageVisitor):
    """A customer who opens a survey."""

    __slots__ = ()

    async def company(self) -> tuple[Link, TenantProfile]:
        """Raises `NotFound`, alike for what never was and for a company that is suspended; `TooManyRequests`."""
        link = read_link(self.kernel, self.token, PURPOSE)
        key = f"survey:{link.hash.hex()}"
        self.kernel.limiter.attempt(f"{key}:{self.address}", _PER_MINUTE, 60)
        self.kernel.limiter.attempt(key, _PER_MINUTE * _LINK_SHARE, 60)
        return link, await open_company(self.kernel, link.tenant_id)


async def show(visitor: Visitor) -> Response:
    """The question, the answer that was given, or why there is none to give."""
    try:
        link, company = await visitor.company()
        async with transaction(visitor.kernel, _customer(company), request_id=visitor.request_id) as uow:
            asked = await SurveyAnswers(uow).behind(link, look=True)
    except NotFound:
        return _nothing(visitor)
    except TooManyRequests as refusal:
        return _too_many(visitor, refusal)
    return _page(visitor, company, asked, {}, {})


async def answer(visitor: Visitor, body: bytes) -> Response:
    """Take what the form says; whoever comes later is led to the first answer."""
    try:
        link, company = await visitor.company()
        fields = _fields(body)
        async with transaction(visitor.kernel, _customer(company), request_id=visitor.request_id) as uow:
            answers = SurveyAnswers(uow)
            asked = await answers.behind(link)
            given, findings = checked(fields, SCALES[SurveyKind(asked.survey.kind)])
            if given is not None:
                asked = await answers.take(link, given)
    except NotFound:
        return _nothing(visitor)
    except TooManyRequests as refusal:
        return _too_many(visitor, refusal)
    if asked.state == "answered":
        # To the page by GET, so that nothing is sent twice by looking again.
        address = f"{PAGE}{visitor.token}?lang={visitor.language(company)}"
        return RedirectResponse(address, 303, {"Referrer-Policy": "no-referrer"})
    return _page(visitor, company, asked, fields, findings)


def _customer(company: TenantProfile) -> Actor:
    return system_actor(company, "Customer")


def _fields(body: bytes) -> dict[str, str]:
    """The fields of a form; what cannot be read is no field."""
    try:
        fields = parse_qs(body.decode("ascii"), max_num_fields=20, errors="strict")
    except ValueError:
        return {}
    return {name: values[0].replace("\0", "").strip() for name, values in fields.items()}


# -- HTML ----------------------------------------------------------------------------------------------------


def _page(
    visitor: Visitor,
    company: TenantProfile,
    asked: Asked,
    values: Mapping[str, str],
    findings: Mapping[str, str],
) -> Response:
    language = visitor.language(company)
    texts, look = TEXTS[language], look_of(visitor.kernel, company)
    if asked.state == "open":
        body = _question(visitor.token, asked, language, values, findings)
        return page(texts["title"], body, language, look=look, status=422 if findings else 200, secret=True)
    return message_page(
        texts[asked.state],
        _standing(company, asked, language),
        language,
        look=look,
        status=410 if asked.state in _GONE else 200,
        secret=True,
    )


def _standing(company: TenantProfile, asked: Asked, language: Language) -> str:
    texts, row = TEXTS[language], asked.invitation
    if asked.state == "answered":
        told = texts["answered_text"].format(score=row.score, most=SCALES[SurveyKind(row.kind)][1])
        return f"{told} {texts['complained']}" if row.complaint else told
    last = row.expires_at
    if asked.state == "expired" and last is not None:
        day = Figures(language, company.currency).date(company.day_of(last))
        return texts["expired_text"].format(day=day)
    return texts["withdrawn_text"]


def _question(
    token: str, asked: Asked, language: Language, values: Mapping[str, str], findings: Mapping[str, str]
) -> str:
    texts = TEXTS[language]
    other = "en" if language == "zh" else "zh"
    tag = "en" if other == "en" else "zh-CN"
    about = texts["about"].format(number=asked.case.number, subject=asked.case.subject)
    question = question_of(asked.survey, language)
    least = SCALES[SurveyKind(asked.survey.kind)][0]
    places = {"score": (f"score-{least}", question), "comment": ("f-comment", texts["comment"])}
    told = [(*places[name], texts[key]) for name, key in findings.items()]
    return (
        f'<p><a href="{PAGE}{escape(token)}?lang={other}" lang="{tag}" hreflang="{tag}">'
        f"{texts['other_language']}</a></p><h1>{texts['title']}</h1><p>{escape(about)}</p>"
        f"{alert(texts['wrong'], told) if told else ''}"
        f'<form method="post" action="{PAGE}{escape(token)}?lang={language}" novalidate>'
        f"{_scale(asked, question, language, values, findings)}{_comment(texts, values, findings)}"
        f'<p class="tick"><input type="checkbox" id="f-complaint" name="complaint" value="on"'
        f'{" checked" if values.get("complaint") else ""}><label for="f-complaint">{texts["complaint"]}</label></p>'
        f'<p><button type="submit">{texts["send"]}</button></p></form>'
    )


def _scale(
    asked: Asked, question: str, language: Language, values: Mapping[str, str], findings: Mapping[str, str]
) -> str:
    texts = TEXTS[language]
    least, most = SCALES[SurveyKind(asked.survey.kind)]
    wrong = findings.get("score")
    marks = ' aria-invalid="true"' if wrong else ""
    described = "score-wrong" if wrong else "score-ends"
    choices = "".join(
        f'<span><input type="radio" id="score-{score}" name="score" value="{score}" required'
        f' aria-describedby="{described}"{marks}{" checked" if values.get("score") == str(score) else ""}>'
        f'<label for="score-{score}">{score}</label></span>'
        for score in range(least, most + 1)
    )
    told = f'<span class="error" id="score-wrong">{texts[wrong]}</span>' if wrong else ""
    return (
        f'<fieldset><legend>{escape(question)} <span class="must">({texts["required"]})</span></legend>'
        f'<p class="soft" id="score-ends">{ENDS[asked.survey.kind][language]}</p>'
        f'<div class="scale">{choices}</div>{told}</fieldset>'
    )


def _comment(texts: Mapping[str, str], values: Mapping[str, str], findings: Mapping[str, str]) -> str:
    wrong = findings.get("comment")
    marks = ' aria-invalid="true" aria-describedby="e-comment"' if wrong else ""
    told = f'<span class="error" id="e-comment">{texts[wrong]}</span>' if wrong else ""
    return (
        f'<p><label for="f-comment">{texts["comment"]}</label><textarea rows="4" maxlength="{COMMENT_LENGTH}"'
        f' id="f-comment" name="comment"{marks}>{escape(values.get("comment", ""))}</textarea>{told}</p>'
    )


def _nothing(visitor: Visitor) -> Response:
    language = visitor.language()
    texts = TEXTS[language]
    return message_page(texts["nothing"], texts["nothing_text"], language, status=404, secret=True)


def _too_many(visitor: Visitor, refusal: TooManyRequests) -> Response:
    language = visitor.language()
    texts = TEXTS[language]
    told = message_page(texts["too_many"], texts["too_many_text"], language, status=429, secret=True)
    told.headers["Retry-After"] = refusal.headers["Retry-After"]
    return told
