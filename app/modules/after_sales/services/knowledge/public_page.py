"""`/kb/{key}`: a published article for everybody, with its translations, and whether it helped."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any, Final
from urllib.parse import parse_qs

from starlette.responses import RedirectResponse, Response

from app.kernel.access import TenantProfile, system_actor
from app.kernel.errors import NotFound, TooManyRequests
from app.kernel.figures import Language
from app.kernel.links import open_company, tenant_of_key
from app.kernel.pages.languages import language_of
from app.kernel.pages.public import look_of, message_page, page
from app.kernel.runtime import Kernel
from app.kernel.secrets import hash_token
from app.kernel.uow import UnitOfWork, transaction
from app.modules.after_sales.models.knowledge import Article
from app.modules.after_sales.schemas.knowledge import ArticleFeedbackInput
from app.modules.after_sales.services.knowledge.feedback import ArticleFeedbackService
from app.modules.after_sales.services.knowledge.rendering import html_of

PAGE: Final = "/kb/"
BODY_LIMIT: Final = 16 * 1024
_PER_MINUTE: Final = 60
_COMMENT: Final = 2_000

_TEXTS: Final[dict[str, dict[str, str]]] = {
    "en": {
        "helped": "Was this helpful?",
        "yes": "Yes",
        "no": "No",
        "comment": "What was missing? (optional)",
        "thanks": "Thank you for telling us.",
        "updated": "Last changed on {day}",
        "nothing": "There is nothing here",
        "nothing_text": "This article does not exist, or is not public any more.",
        "too_many": "Too many requests",
        "too_many_text": "Please wait a moment and try again.",
    },
    "zh": {
        "helped": "这篇文章有帮助吗？",
        "yes": "有",
        "no": "没有",
        "comment": "还缺少什么？（选填）",
        "thanks": "感谢您的反馈。",
        "updated": "最后更新：{day}",
        "nothing": "页面不存在",
        "nothing_text": "该文章不存在或已不再公开。",
        "too_many": "请求过于频繁",
        "too_many_text": "请稍后再试。",
    },
}
_NAMES: Final = {"en": ("English", "en"), "zh": ("中文", "zh-CN")}


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads: nobody in particular, known by address and browser only."""

    kernel: Kernel
    key: str
    address: str
    browser: str
    accepted: str | None

    @property
    def language(self) -> Language:
        return language_of(None, self.accepted)

    @property
    def hash(self) -> bytes:
        """Whoever comes from the same address with the same browser is one; nobody can compute it but us."""
        known = f"{self.key}\0{self.address}\0{self.browser}".encode(errors="replace")
        return hash_token(self.kernel.secrets.sign(known, purpose="after_sales.reader"))

    async def company(self) -> TenantProfile:
        """Raises `NotFound`; `TooManyRequests` for one too many in a minute."""
        self.kernel.limiter.attempt(f"article:{self.address}", _PER_MINUTE, 60)
        return await open_company(self.kernel, tenant_of_key(self.key))


@dataclass(frozen=True, slots=True)
class _Shown:
    row: Article
    title: str
    summary: str | None
    body: str
    others: list[Any]


async def show(reader: Reader, *, thanked: bool) -> Response:
    """The article, or that there is none."""
    try:
        company = await reader.company()
        async with transaction(reader.kernel, system_actor(company, "Reader"), read_only=True) as uow:
            shown = await _published(uow, reader.key)
    except NotFound:
        return _nothing(reader.language)
    except TooManyRequests as refusal:
        return _too_many(reader.language, refusal)
    return _page(reader, company, shown, thanked=thanked)


async def rate(reader: Reader, body: bytes) -> Response:
    """Take what the page's form sends; the first that a reader says stands."""
    try:
        company = await reader.company()
        given = _feedback(body)
        async with transaction(reader.kernel, system_actor(company, "Reader")) as uow:
            shown = await _published(uow, reader.key)
            if given is not None:
                await ArticleFeedbackService(uow).of_reader(shown.row, reader.hash, given)
    except NotFound:
        return _nothing(reader.language)
    except TooManyRequests as refusal:
        return _too_many(reader.language, refusal)
    return RedirectResponse(f"{PAGE}{reader.key}{'?thanks=1' if given else ''}", 303)


async def _published(uow: UnitOfWork, key: str) -> _Shown:
    """What everybody may read under this key. Raises `NotFound`."""
    row = await uow.first(
        uow.select(Article).where(
            Article.public_key == key, Article.audience == "public", Article.published_version.is_not(None)
        )
    )
    if row is None:
        raise NotFound
    version = await uow.fetchrow(
        "SELECT title, summary, body FROM after_sales.article_versions"
        " WHERE tenant_id = $1 AND article_id = $2 AND number = $3",
        row.tenant_id,
        row.id,
        row.published_version,
    )
    others = await uow.fetch(
        "SELECT language, public_key FROM after_sales.articles WHERE tenant_id = $1 AND deleted_at IS NULL"
        " AND (id = $2 OR translation_of_id = $2) AND id <> $3 AND audience = 'public'"
        " AND published_version IS NOT NULL ORDER BY language",
        row.tenant_id,
        row.translation_of_id or row.id,
        row.id,
    )
    if version is None:
        raise NotFound
    return _Shown(row, version["title"], version["summary"], version["body"], others)


def _page(reader: Reader, company: TenantProfile, shown: _Shown, *, thanked: bool) -> Response:
    language: Language = "zh" if shown.row.language == "zh" else "en"
    texts = _TEXTS[language]
    parts = [_switch(other["language"], other["public_key"]) for other in shown.others]
    parts.append(f"<h1>{escape(shown.title)}</h1>")
    if shown.summary:
        parts.append(f"<p>{escape(shown.summary)}</p>")
    parts.append(html_of(shown.body))
    if shown.row.published_at is not None:
        day = company.day_of(shown.row.published_at).isoformat()
        parts.append(f'<p class="soft">{texts["updated"].format(day=day)}</p>')
    parts.append(
        f'<p class="note" role="status">{texts["thanks"]}</p>' if thanked else _form(reader.key, texts)
    )
    return page(shown.title, "".join(parts), language, look=look_of(reader.kernel, company), wide=True)


def _switch(language: str, key: str) -> str:
    name, tag = _NAMES[language]
    return f'<p><a href="{PAGE}{escape(key)}" lang="{tag}" hreflang="{tag}">{name}</a></p>'


def _form(key: str, texts: dict[str, str]) -> str:
    return (
        f'<form method="post" action="{PAGE}{escape(key)}"><h2>{texts["helped"]}</h2>'
        f'<p><label for="f-comment">{texts["comment"]}</label>'
        f'<textarea rows="3" maxlength="{_COMMENT}" id="f-comment" name="comment"></textarea></p>'
        f'<p><button type="submit" name="helpful" value="yes">{texts["yes"]}</button> '
        f'<button type="submit" class="plain" name="helpful" value="no">{texts["no"]}</button></p></form>'
    )


def _feedback(body: bytes) -> ArticleFeedbackInput | None:
    """What a form says; None for what is no answer."""
    try:
        fields = parse_qs(body.decode("ascii"), max_num_fields=10, errors="strict")
    except ValueError:
        return None
    helpful = fields.get("helpful", [""])[0]
    if helpful not in ("yes", "no"):
        return None
    comment = fields.get("comment", [""])[0].replace("\0", "").strip()[:_COMMENT]
    return ArticleFeedbackInput(helpful=helpful == "yes", comment=comment or None)


def _nothing(language: Language) -> Response:
    texts = _TEXTS[language]
    return message_page(texts["nothing"], texts["nothing_text"], language, status=404)


def _too_many(language: Language, refusal: TooManyRequests) -> Response:
    texts = _TEXTS[language]
    answer = message_page(texts["too_many"], texts["too_many_text"], language, status=429)
    answer.headers["Retry-After"] = refusal.headers["Retry-After"]
    return answer
