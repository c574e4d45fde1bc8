"""The page behind a mailed invitation: plain HTML that any phone shows, without a script or a picture."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from html import escape
from typing import Final
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

from pydantic import ValidationError
from starlette.responses import HTMLResponse

from app.kernel.access import TenantProfile, system_actor
from app.kernel.errors import Invalid, NotFound, Problem
from app.kernel.links import read_link
from app.kernel.routing import OPEN_TENANT_STATES
from app.kernel.runtime import Kernel
from app.kernel.uow import transaction
from app.modules.activities.interface import InvitationAnswered
from app.modules.activities.models import Activity, Attendee, AttendeeResponse
from app.modules.activities.schemas import Answer
from app.modules.activities.services.attendees import AttendeeLists
from app.modules.activities.services.invitations import RSVP

_STYLE: Final = (
    "body{font:17px/1.5 system-ui,sans-serif;margin:0 auto;max-width:30rem;padding:1.5rem}"
    "h1{font-size:1.4rem}button{display:block;width:100%;padding:.9rem;margin:.6rem 0;font:inherit;"
    "border:1px solid #888;border-radius:.5rem;background:#fff}"
    "button:first-of-type{background:#0b63ce;border-color:#0b63ce;color:#fff}"
    "textarea{width:100%;box-sizing:border-box;font:inherit;padding:.5rem}p.soft{color:#555}"
)
_STYLE_HASH: Final = b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS: Final = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
    "Cache-Control": "no-store",
}
_TEXTS: Final = {
    "en": {
        "accepted": "Yes, I will come",
        "tentative": "Perhaps",
        "declined": "No, I cannot come",
        "comment": "A word to the organiser",
        "from": "{company} invites {name}",
        "said": "Your answer: {answer}",
        "again": "The organiser knows. If the meeting changes, you get a new link.",
        "404": "This link does not work. It may have been replaced by a later mail.",
        "409": "The meeting is over or was cancelled.",
        "422": "That answer could not be read. Please go back and try again.",
    },
    "zh": {
        "accepted": "参加",
        "tentative": "待定",
        "declined": "不参加",
        "comment": "给组织者留言",
        "from": "{company} 邀请 {name}",
        "said": "您的答复:{answer}",
        "again": "已通知组织者。如果会议有变,您将收到新的链接。",
        "404": "此链接无效,可能已被更新的邮件取代。",
        "409": "会议已结束或已取消。",
        "422": "无法识别您的答复,请返回重试。",
    },
}


async def show_invitation(kernel: Kernel, token: str) -> HTMLResponse:
    """What somebody is invited to, with the buttons to answer or the answer given. It changes nothing."""
    language = "en"
    try:
        profile, hashed = await _company(kernel, token)
        language = profile.language
        async with transaction(kernel, system_actor(profile), read_only=True) as uow:
            row, one = await AttendeeLists(uow).by_link(hashed)
    except NotFound as refusal:
        return _refused(refusal, language)
    return _page(_invitation(profile, row, one), row.subject, 200, language)


async def take_answer(kernel: Kernel, token: str, form: bytes) -> HTMLResponse:
    """Take the answer of the page's form, once."""
    language = "en"
    try:
        profile, hashed = await _company(kernel, token)
        language = profile.language
        if profile.status not in OPEN_TENANT_STATES:
            raise NotFound
        answer = _answer(form)
        try:
            async with transaction(kernel, system_actor(profile)) as uow:
                row, one = await AttendeeLists(uow).answer_by_link(hashed, answer)
            status = 200
        except InvitationAnswered as refusal:
            status = refusal.status
            async with transaction(kernel, system_actor(profile), read_only=True) as uow:
                row, one = await AttendeeLists(uow).by_link(hashed)
    except Problem as refusal:
        return _refused(refusal, language)
    return _page(_invitation(profile, row, one), row.subject, status, language)


async def _company(kernel: Kernel, token: str) -> tuple[TenantProfile, bytes]:
    link = read_link(kernel, token, RSVP)
    return await kernel.authenticator.tenant_profile(link.tenant_id), link.hash


def _answer(form: bytes) -> Answer:
    try:
        fields = parse_qs(form.decode(), strict_parsing=True, max_num_fields=10)
        given = {name: values[0].replace("\0", "").strip() or None for name, values in fields.items()}
        return Answer.model_validate(given)
    except (ValueError, ValidationError):
        raise Invalid("That is no answer.") from None


def _invitation(profile: TenantProfile, row: Activity, one: Attendee) -> str:
    texts = _TEXTS[profile.language]
    head = texts["from"].format(company=escape(profile.name), name=escape(one.name))
    lines = [
        f'<p class="soft">{head}</p>',
        f"<h1>{escape(row.subject)}</h1>",
        f"<p>{_when(profile, row)}</p>",
    ]
    if row.place:
        lines.append(f"<p>{escape(row.place)}</p>")
    if one.response != AttendeeResponse.NEEDS_ACTION:
        said = texts["said"].format(answer=texts[one.response])
        return "".join([*lines, f"<p><strong>{said}</strong></p>", f'<p class="soft">{texts["again"]}</p>'])
    buttons = "".join(
        f'<button name="response" value="{answer}">{texts[answer]}</button>'
        for answer in ("accepted", "tentative", "declined")
    )
    comment = (
        f'<label>{texts["comment"]}<textarea name="comment" rows="2" maxlength="200"></textarea></label>'
    )
    return "".join([*lines, f'<form method="post">{comment}{buttons}</form>'])


def _when(profile: TenantProfile, row: Activity) -> str:
    if row.starts_at is None or row.ends_at is None:
        return ""
    name = row.time_zone or profile.time_zone
    start, end = (moment.astimezone(ZoneInfo(name)) for moment in (row.starts_at, row.ends_at))
    until = f"{end:%H:%M}" if start.date() == end.date() else f"{end:%Y-%m-%d %H:%M}"
    rule = f"<br>{escape(row.recurrence)}" if row.recurrence else ""
    return f"{start:%Y-%m-%d %H:%M}–{until} ({escape(name)}){rule}"


def _refused(problem: Problem, language: str) -> HTMLResponse:
    known = _TEXTS[language].get(str(problem.status))
    if known is None:
        raise problem
    return _page(f"<h1>{known}</h1>", known, problem.status, language)


def _page(body: str, title: str, status: int, language: str) -> HTMLResponse:
    head = (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
    )
    return HTMLResponse(f"{head}<body><main>{body}</main></body></html>", status, headers=_HEADERS)
