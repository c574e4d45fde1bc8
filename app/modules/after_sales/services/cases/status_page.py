"""The page behind a mailed link that says where a case stands; a merged one answers as the case that survived."""

from __future__ import annotations

from html import escape
from typing import Final
from uuid import UUID

from starlette.responses import Response

from app.kernel.access import TenantProfile, system_actor
from app.kernel.errors import NotFound, TooManyRequests
from app.kernel.figures import Figures
from app.kernel.links import open_company, read_link
from app.kernel.merging.tombstones import survivors_of
from app.kernel.pages.public import look_of, message_page, page
from app.kernel.pages.visitors import PageVisitor
from app.kernel.record_links import LinkState, RecordLinks
from app.kernel.uow import UnitOfWork, transaction
from app.modules.after_sales.interface import CaseStatus
from app.modules.after_sales.models.cases import Case
from app.modules.after_sales.services.cases.states import SHOWN_TO_CUSTOMERS
from app.modules.after_sales.services.mail.receipts import PURPOSE

_PER_MINUTE: Final = 60
_TEXTS: Final[dict[str, dict[str, str]]] = {
    "en": {
        "title": "Your request {number}",
        "status": "Status",
        "opened": "Received on",
        "changed": "Last change",
        "answer": "To tell us more, answer the mail that brought you here.",
        "received": "Received",
        "in_progress": "We are working on it",
        "waiting_for_you": "Waiting for your answer",
        "solved": "Solved",
        "closed": "Closed",
        "nothing": "There is nothing here",
        "nothing_text": "This link does not work, or no longer. Please look whether it is complete.",
        "too_many": "Too many requests",
        "too_many_text": "Please try again in a minute.",
    },
    "zh": {
        "title": "您的请求 {number}",
        "status": "状态",
        "opened": "收到时间",
        "changed": "最后更新",
        "answer": "如需补充，请直接回复带您来到此页面的邮件。",
        "received": "已收到",
        "in_progress": "处理中",
        "waiting_for_you": "等待您的回复",
        "solved": "已解决",
        "closed": "已关闭",
        "nothing": "页面不存在",
        "nothing_text": "此链接无效或已失效，请检查链接是否完整。",
        "too_many": "请求过于频繁",
        "too_many_text": "请一分钟后再试。",
    },
}


async def show_status(reader: PageVisitor) -> Response:
    """Where a case stands, or why that is not said; looking changes nothing."""
    try:
        link = read_link(reader.kernel, reader.token, PURPOSE)
        reader.kernel.limiter.attempt(f"case-status:{reader.address}", _PER_MINUTE, 60)
        company = await open_company(reader.kernel, link.tenant_id)
        actor = system_actor(company, "Customer")
        async with transaction(reader.kernel, actor, request_id=reader.request_id) as uow:
            links = RecordLinks(uow, purpose=PURPOSE, audit="case")
            row = await links.behind(link)
            if links.state_of(row) is not LinkState.OPEN:
                raise NotFound
            case, subject = await _case(uow, row.record_id)
    except NotFound:
        return _saying(reader, "nothing", 404)
    except TooManyRequests as refusal:
        told = _saying(reader, "too_many", 429)
        told.headers["Retry-After"] = refusal.headers["Retry-After"]
        return told
    return _page(reader, company, case, subject)


async def _case(uow: UnitOfWork, id: UUID) -> tuple[Case, str]:
    """The case, or the one that it was merged into, and what the holder of the link asked. Raises `NotFound`.

    What somebody else asked, whose case was merged with theirs, is not theirs to read.
    """
    survivor = (await survivors_of(uow, "case", [id])).get(id, id)
    case = await uow.find(Case, survivor)
    if case is None or case.deleted_at is not None:
        raise NotFound
    asked = await uow.fetchrow(
        "SELECT subject FROM after_sales.cases WHERE tenant_id = $1 AND id = $2", uow.tenant_id, id
    )
    return case, "" if asked is None else asked["subject"]


def _page(reader: PageVisitor, company: TenantProfile, case: Case, subject: str) -> Response:
    language = reader.language(company)
    texts, figures = _TEXTS[language], Figures(language, company.currency)
    title = texts["title"].format(number=case.number)
    facts = {
        "status": texts[SHOWN_TO_CUSTOMERS[CaseStatus(case.status)]],
        "opened": figures.date(company.day_of(case.opened_at)),
        "changed": figures.date(company.day_of(case.updated_at)),
    }
    listed = "".join(
        f'<dt>{texts[name]}</dt><dd id="{name}">{escape(value)}</dd>' for name, value in facts.items()
    )
    body = (
        f"<h1>{escape(title)}</h1><p>{escape(subject)}</p><dl>{listed}</dl>"
        f'<p class="soft">{texts["answer"]}</p>'
    )
    return page(title, body, language, look=look_of(reader.kernel, company), secret=True)


def _saying(reader: PageVisitor, name: str, status: int) -> Response:
    language = reader.language()
    texts = _TEXTS[language]
    return message_page(texts[name], texts[f"{name}_text"], language, status=status, secret=True)
