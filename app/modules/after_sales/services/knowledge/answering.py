"""An article answers a new case without a person, where the company allows it and it is sure enough.

The answer is a public comment that nobody wrote. It is no response of a person: the case stays as it is, and its
clocks run on. It always says how to reach a person, and the customer's next words hand the case to one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel

from app.kernel.errors import NotFound
from app.kernel.notifications import Notice, Notifications
from app.kernel.registry import Subscription
from app.kernel.uow import UnitOfWork
from app.modules.after_sales.interface import (
    CaseAnsweredByArticle,
    CaseChannel,
    CaseCommented,
    CaseHandedToPerson,
)
from app.modules.after_sales.models.case_work import CaseComment, CommentAuthor
from app.modules.after_sales.models.cases import Case
from app.modules.after_sales.models.knowledge import ArticleAnswer, ArticleAudience
from app.modules.after_sales.schemas.knowledge import ArticleAnswerRead
from app.modules.after_sales.services.cases.cases import CaseService
from app.modules.after_sales.services.cases.states import NEW
from app.modules.after_sales.services.knowledge.finding import Finder, Ranked, Wanted
from app.modules.after_sales.services.knowledge.public_page import PAGE
from app.modules.after_sales.services.knowledge.settings import KnowledgeSettingsService
from app.tenants.interface import Members

HANDED_OVER: Final = "case.handed_to_person"
_READ_BY: Final = (ArticleAudience.CUSTOMERS, ArticleAudience.PUBLIC)
_WRITTEN: Final = frozenset({CaseChannel.EMAIL, CaseChannel.WEB, CaseChannel.API, CaseChannel.CHAT})
"""Channels whose customer wrote what they ask; who calls talks to somebody, and devices do not read."""
_LONGEST: Final = 20_000
_TEXTS: Final = {
    "en": {
        "begin": "This article may answer your question:",
        "more": "Read it at {link}",
        "person": (
            "This answer was found automatically. If it does not help, or you would rather talk to somebody, simply "
            "reply: a person will read it and answer you."
        ),
        "told": "{number}: the customer wrote back to the automatic answer",
    },
    "zh": {
        "begin": "以下文章或许能解答您的问题：",
        "more": "在线阅读：{link}",
        "person": (
            "此答复由系统自动查找。如未能解决问题，或您希望与工"
            "作人员沟通，请直接回复：我们会有专人阅读并答复您。"
        ),
        "told": "{number}：客户回复了自动答复",
    },
}


class OpenedCase(BaseModel):
    """As much of `after_sales.case.opened.v1` as matters here."""

    id: UUID


class ArticleAnswers:
    """Answers that no person gave; implements `ReplyFollower`."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def consider(self, case_id: UUID) -> bool:
        """Answer a new case, if the company allows it and an article is sure enough; whether one did."""
        settings = await KnowledgeSettingsService(self._uow).get()
        if not settings.auto_answer:
            return False
        case = await self._uow.find(Case, case_id, lock="update")
        if case is None or case.status != NEW or case.first_response_at or case.channel not in _WRITTEN:
            return False
        if await self._answer_of(case_id) is not None:
            return False
        best = await Finder(self._uow).surest(case, Wanted(audiences=_READ_BY))
        if best is None or best.score < settings.auto_answer_confidence:
            return False
        await self._answer(case, best)
        return True

    async def _answer(self, case: Case, best: Ranked) -> None:
        uow = self._uow
        row = await uow.fetchrow(
            "SELECT t.language, t.audience, t.public_key, v.number, v.title, v.summary, v.body"
            " FROM after_sales.articles t JOIN after_sales.article_versions v ON v.tenant_id = t.tenant_id"
            " AND v.article_id = t.id AND v.number = t.published_version WHERE t.tenant_id = $1 AND t.id = $2",
            case.tenant_id,
            best.id,
        )
        if row is None:
            return
        comment = await uow.insert(
            CaseComment,
            case_id=case.id,
            author=CommentAuthor.MEMBER.value,
            public=True,
            member_id=None,
            contact_id=None,
            body=self._text(row),
            at=uow.now,
            email=None,
        )
        await uow.insert(
            ArticleAnswer,
            case_id=case.id,
            article_id=best.id,
            version_number=row["number"],
            confidence=best.score,
            comment_id=comment.id,
            answered_at=uow.now,
        )
        uow.record_audit("case", case.id, "answered_by_article", {"article": [None, str(best.id)]})
        uow.publish(
            CaseCommented(id=case.id, comment_id=comment.id, author=comment.author, public=comment.public)
        )
        uow.publish(CaseAnsweredByArticle(id=case.id, article_id=best.id, confidence=str(best.score)))

    def _text(self, row: Any) -> str:
        texts = _TEXTS[row["language"]]
        parts = [texts["begin"], row["title"], row["summary"], row["body"][:_LONGEST]]
        if row["audience"] == ArticleAudience.PUBLIC:
            link = self._uow.kernel.settings.address_of(PAGE + row["public_key"])
            parts.append(texts["more"].format(link=link))
        parts.append(texts["person"])
        return "\n\n".join(part for part in parts if part)

    async def replied(self, case_id: UUID) -> None:
        """The first words of the customer after an article's answer hand the case to a person, who is told."""
        rows = await self._uow.fetch(
            "UPDATE after_sales.article_answers SET handed_over_at = $3 WHERE tenant_id = $1 AND case_id = $2"
            " AND handed_over_at IS NULL RETURNING article_id",
            self._uow.tenant_id,
            case_id,
            self._uow.now,
        )
        if not rows:
            return
        case = await self._uow.get(Case, case_id)
        self._uow.record_audit("case", case_id, "handed_to_person")
        self._uow.publish(
            CaseHandedToPerson(id=case_id, article_id=rows[0]["article_id"], owner_id=case.owner_id)
        )
        title = _TEXTS[self._uow.actor.tenant.language]["told"].format(number=case.number)
        notice = Notice(HANDED_OVER, title, None, "case", case_id)
        await Notifications(self._uow).tell_each([(id, notice) for id in await self._people(case)])

    async def _people(self, case: Case) -> Sequence[UUID]:
        """Who has the case; while nobody has, those who share the work out."""
        if case.owner_id is not None:
            return [case.owner_id]
        members = self._uow.of(Members)
        found = await members.in_role("manager") or await members.in_role("owner")
        return [one.id for one in found]

    async def of_case(self, case_id: UUID) -> ArticleAnswerRead:
        """Raises `NotFound`, also where no article answered the case."""
        await CaseService(self._uow).get(case_id)
        row = await self._answer_of(case_id)
        if row is None:
            raise NotFound("No article answered this case.")
        return ArticleAnswerRead.model_validate(
            {name: getattr(row, name) for name in ArticleAnswerRead.model_fields}
        )

    async def _answer_of(self, case_id: UUID) -> ArticleAnswer | None:
        return await self._uow.first(self._uow.select(ArticleAnswer).where(ArticleAnswer.case_id == case_id))


async def _on_opened(uow: UnitOfWork, event: OpenedCase) -> None:
    await ArticleAnswers(uow).consider(event.id)


OPENED: Final = Subscription("after_sales.case.opened.v1", OpenedCase, _on_opened, "after_sales.knowledge")
