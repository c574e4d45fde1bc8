"""The page behind a mailed invitation: plain HTML that any phone shows, without a script or a picture."""

from __future__ import annotations

from html import escape
from typing import Final
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

from pydantic import ValidationError
from starlette.responses import HTMLResponse

from app.kernel.access import OPEN_TENANT_STATES, TenantProfile, system_actor
from app.kernel.errors import Invalid, NotFound, Problem
from app.kernel.links import read_link
from app.kernel.pages.public import NOBODYS, look_of, page
from app.kernel.runtime import Kernel
from app.kernel.uow import transaction
from app.modules.activities.interface import InvitationAnswered
from app.modules.activities.models import Activity, Attendee, AttendeeResponse
from app.modules.activities.schemas import Answer
from app.modules.activities.services.attendees import AttendeeLists
from app.modules.activities.services.invitations import RSVP

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
        "said": "您的答复：{answer}",
        "again": "已通知组织者。如果会议有变，您将收到新的链接。",
        "404": "此链接无效，可能已被更新的邮件取代。",
        "409": "会议已结束或已取消。",
        "422": "无法识别您的答复，请返回重试。",
    },
}


async def show_invitation(kernel: Kernel, token: str) -> HTMLResponse:
    """What somebody is invited to, with the buttons to answer or the answer given. It changes nothing."""
    profile: TenantProfile | None = None
    try:
        profile, hashed = await _company(kernel, token)
        async with transaction(kernel, system_actor(profile), read_only=True) as uow:
            row, one = await AttendeeLists(uow).by_link(hashed)
    except NotFound as refusal:
        return _refused(kernel, refusal, profile)
    return _page(kernel, _invitation(profile, row, one), row.subject, 200, profile)


async def take_answer(kernel: Kernel, token: str, form: bytes) -> HTMLResponse:
    """Take the answer of the page's form, once."""
    profile: TenantProfile | None = None
    try:
        profile, hashed = await _company(kernel, token)
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
        return _refused(kernel, refusal, profile)
    return _page(kernel, _invitation(profile, row, one), row.subject, status, profile)


async def _company(kernel: Kernel, token: str) -> tuple[TenantProfile, bytes]:
    """Whose invitation it is; of a company that has left nothing is shown. Raises: NotFound."""
    link = read_link(kernel, token, RSVP)
    profile = await kernel.authenticator.tenant_profile(link.tenant_id)
    if profile.status in ("cancelled", "erased"):
        raise NotFound
    return profile, link.hash


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
        f'<button name="response" value="{answer}"{look}>{texts[answer]}</button>'
        for answer, look in (
            ("accepted", ""),
            ("tentative", ' class="plain"'),
            ("declined", ' class="plain"'),
        )
    )
    comment = (
        f'<label>{texts["comment"]}<textarea name="comment" rows="2" maxlength="200"></textarea></label>'
    )
    return "".join(
        [*lines, f'<form method="post"><p>{comment}</p><div class="choices">{buttons}</div></form>']
    )


def _when(profile: TenantProfile, row: Activity) -> str:
    if row.starts_at is None or row.ends_at is None:
        return ""
    name = row.time_zone or profile.time_zone
    start, end = (moment.astimezone(ZoneInfo(name)) for moment in (row.starts_at, row.ends_at))
    until = f"{end:%H:%M}" if start.date() == end.date() else f"{end:%Y-%m-%d %H:%M}"
    rule = f"<br>{escape(row.recurrence)}" if row.recurrence else ""
    return f"{start:%Y-%m-%d %H:%M}–{until} ({escape(name)}){rule}"


def _refused(kernel: Kernel, problem: Problem, profile: TenantProfile | None) -> HTMLResponse:
    known = _TEXTS[profile.language if profile else "en"].get(str(problem.status))
    if known is None:
        raise problem
    return _page(kernel, f"<h1>{known}</h1>", known, problem.status, profile)


def _page(kernel: Kernel, body: str, title: str, status: int, profile: TenantProfile | None) -> HTMLResponse:
    look = look_of(kernel, profile) if profile else NOBODYS
    language = profile.language if profile else "en"
    return page(title, body, language, look=look, status=status, secret=True)
