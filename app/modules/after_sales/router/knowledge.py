"""`/v1/articles` beyond the generated operations, categories, searching, settings; and `/kb/{key}` for readers."""

from __future__ import annotations

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Path, Query, Response
from starlette.requests import Request

from app.kernel.errors import DuplicateValue, InvalidTransition, StaleVersion, VersionRequired, problems
from app.kernel.paging import Cursor, Limit
from app.kernel.record_router import detail_response, record_router, tag
from app.kernel.routing import IfMatch, Router, Uow
from app.modules.after_sales.interface import ArticleLocked, CategoryInUse
from app.modules.after_sales.models.knowledge import ArticleAudience, ArticleLanguage
from app.modules.after_sales.schemas.knowledge import (
    ArticleAnswerRead,
    ArticleCategories,
    ArticleCategoryCreate,
    ArticleCategoryRead,
    ArticleCategoryUpdate,
    ArticleFeedbackInput,
    ArticleFeedbackPage,
    ArticleFeedbackRead,
    ArticleHits,
    ArticleRead,
    ArticleReturn,
    ArticleSuggestions,
    ArticleTranslation,
    ArticleTranslations,
    ArticleVersionDetail,
    ArticleVersionRead,
    ArticleVersions,
    KnowledgeSettingsInput,
    KnowledgeSettingsRead,
)
from app.modules.after_sales.services.cases.cases import CaseService
from app.modules.after_sales.services.knowledge.answering import ArticleAnswers
from app.modules.after_sales.services.knowledge.articles import ARTICLE, ArticleService
from app.modules.after_sales.services.knowledge.feedback import ArticleFeedbackService
from app.modules.after_sales.services.knowledge.finding import Finder, Wanted
from app.modules.after_sales.services.knowledge.public_page import BODY_LIMIT, Reader, rate, show
from app.modules.after_sales.services.knowledge.settings import CategoryService, KnowledgeSettingsService

records = record_router(ARTICLE, tag="knowledge")
router = Router(tags=["knowledge"])

READ, UPDATE, PUBLISH, MANAGE = "article:read", "article:update", "article:publish", "knowledge:manage"
OF: Final = "/v1/articles/{id}"
CATEGORIES: Final = "/v1/article-categories"
SETTINGS: Final = "/v1/knowledge/settings"
_STEP: Final = problems(InvalidTransition, StaleVersion, VersionRequired)
_CHANGE: Final = problems(StaleVersion, VersionRequired, DuplicateValue)
_PAGE: Final[dict[str, Any]] = {
    "access": "public",
    "own_transaction": True,
    "include_in_schema": False,
    "open_query": True,
}
Few = Annotated[int, Query(ge=1, le=50, description="How many, the best first.")]
Languages = Annotated[list[ArticleLanguage] | None, Query(description="Absent means all.")]
Audiences = Annotated[list[ArticleAudience] | None, Query(description="Absent means all.")]


# -- from draft to readers -----------------------------------------------------------------------------------


@router.post(f"{OF}/submit", access=UPDATE, response_model=ArticleRead, responses=_STEP)
async def submit_article(id: UUID, version: IfMatch, uow: Uow) -> Response:
    """Let a draft be looked at."""
    service = ArticleService(uow)
    return await detail_response(service, await service.step(id, "submit", expected_version=version))


@router.post(f"{OF}/return", access=PUBLISH, response_model=ArticleRead, responses=_STEP)
async def return_article(id: UUID, body: ArticleReturn, version: IfMatch, uow: Uow) -> Response:
    """Give an article back to whoever writes it, with what is to be changed."""
    service = ArticleService(uow)
    row = await service.step(id, "return", expected_version=version, may="publish", note=body.note)
    return await detail_response(service, row)


@router.post(f"{OF}/publish", access=PUBLISH, response_model=ArticleRead, responses=_STEP)
async def publish_article(id: UUID, version: IfMatch, uow: Uow) -> Response:
    """Publish an article that was looked at, as its next version, which never changes."""
    service = ArticleService(uow)
    return await detail_response(service, await service.publish(id, expected_version=version))


@router.post(f"{OF}/revise", access=UPDATE, response_model=ArticleRead, responses=_STEP)
async def revise_article(id: UUID, version: IfMatch, uow: Uow) -> Response:
    """Write on a published article; readers see the version before until the next is published."""
    service = ArticleService(uow)
    return await detail_response(service, await service.step(id, "revise", expected_version=version))


@router.post(f"{OF}/archive", access=PUBLISH, response_model=ArticleRead, responses=_STEP)
async def archive_article(id: UUID, version: IfMatch, uow: Uow) -> Response:
    """Take an article from readers, and out of searches and suggestions."""
    service = ArticleService(uow)
    row = await service.step(id, "archive", expected_version=version, may="publish")
    return await detail_response(service, row)


@router.post(f"{OF}/restore", access=UPDATE, response_model=ArticleRead, responses=_STEP)
async def restore_article(id: UUID, version: IfMatch, uow: Uow) -> Response:
    """Make a draft of an archived article."""
    service = ArticleService(uow)
    return await detail_response(service, await service.step(id, "restore", expected_version=version))


@router.get(f"{OF}/versions", access=READ)
async def list_article_versions(id: UUID, uow: Uow) -> ArticleVersions:
    """All that was published of an article, newest first."""
    service = ArticleService(uow)
    rows = await service.versions(id)
    return ArticleVersions(
        data=[ArticleVersionRead.model_validate(service.shown(row, ArticleVersionRead)) for row in rows]
    )


@router.get(f"{OF}/versions/{{number}}", access=READ)
async def get_article_version(
    id: UUID, number: Annotated[int, Path(description="Counted from one.")], uow: Uow
) -> ArticleVersionDetail:
    """One version as it was published."""
    service = ArticleService(uow)
    row = await service.version(id, number)
    return ArticleVersionDetail.model_validate(service.shown(row, ArticleVersionDetail))


@router.get(f"{OF}/translations", access=READ)
async def list_article_translations(id: UUID, uow: Uow) -> ArticleTranslations:
    """The same in other languages."""
    rows = await ArticleService(uow).translations(id)
    titled = "title" not in uow.actor.hidden("article")
    return ArticleTranslations(
        data=[
            ArticleTranslation.model_validate(
                {name: getattr(row, name) for name in ArticleTranslation.model_fields}
                | ({} if titled else {"title": "…"})
            )
            for row in rows
        ]
    )


@router.put(f"{OF}/feedback", access=READ, responses=problems(ArticleLocked))
async def rate_article(id: UUID, body: ArticleFeedbackInput, uow: Uow) -> ArticleFeedbackRead:
    """Say whether an article helped you; saying it again takes the place of what you said before."""
    return await ArticleFeedbackService(uow).of_member(id, body)


@router.get(f"{OF}/feedback", access=READ)
async def list_article_feedback(
    id: UUID, uow: Uow, limit: Limit = 50, cursor: Cursor = None
) -> ArticleFeedbackPage:
    """What readers said of an article, newest first, and how many found it helpful."""
    return await ArticleFeedbackService(uow).page(id, limit=limit, cursor=cursor)


# -- finding -------------------------------------------------------------------------------------------------


@router.get("/v1/knowledge/search", access=READ)
async def search_knowledge(
    uow: Uow,
    q: Annotated[str, Query(min_length=1, max_length=400, description="In English or Chinese.")],
    language: Languages = None,
    audience: Audiences = None,
    category_id: Annotated[UUID | None, Query(description="Only of this category.")] = None,
    limit: Few = 10,
) -> ArticleHits:
    """Published articles with any of what is asked, those with most of it first."""
    wanted = Wanted(language or (), audience or (), category_id)
    return ArticleHits(data=await Finder(uow).search(q, wanted, limit=limit))


@router.get("/v1/cases/{id}/suggestions", access="case:read")
async def list_case_suggestions(
    id: UUID, uow: Uow, language: Languages = None, audience: Audiences = None, limit: Few = 5
) -> ArticleSuggestions:
    """Published articles that may answer a case, the surest first."""
    uow.actor.require(READ)
    case = await CaseService(uow).get(id)
    wanted = Wanted(language or (), audience or ())
    return ArticleSuggestions(data=await Finder(uow).suggest(case, wanted, limit=limit))


@router.get("/v1/cases/{id}/article-answer", access="case:read")
async def get_case_article_answer(id: UUID, uow: Uow) -> ArticleAnswerRead:
    """How an article answered a case without a person, if one did."""
    return await ArticleAnswers(uow).of_case(id)


# -- settings ------------------------------------------------------------------------------------------------


@router.get(CATEGORIES, access=READ)
async def list_article_categories(uow: Uow) -> ArticleCategories:
    """What articles are filed under, in its order."""
    return ArticleCategories(data=await CategoryService(uow).all())


@router.post(CATEGORIES, access=MANAGE, status_code=201, responses=problems(DuplicateValue))
async def create_article_category(
    body: ArticleCategoryCreate, uow: Uow, response: Response
) -> ArticleCategoryRead:
    """Add a category."""
    made = await CategoryService(uow).create(body)
    tag(response, made)
    response.headers["Location"] = f"{CATEGORIES}/{made.id}"
    return made


@router.get(f"{CATEGORIES}/{{id}}", access=READ)
async def get_article_category(id: UUID, uow: Uow, response: Response) -> ArticleCategoryRead:
    """One category."""
    found = await CategoryService(uow).get(id)
    tag(response, found)
    return found


@router.patch(f"{CATEGORIES}/{{id}}", access=MANAGE, responses=_CHANGE)
async def update_article_category(
    id: UUID, body: ArticleCategoryUpdate, version: IfMatch, uow: Uow, response: Response
) -> ArticleCategoryRead:
    """Change a category."""
    changed = await CategoryService(uow).update(id, body, expected_version=version)
    tag(response, changed)
    return changed


@router.delete(
    f"{CATEGORIES}/{{id}}",
    access=MANAGE,
    status_code=204,
    responses=problems(CategoryInUse, StaleVersion, VersionRequired),
)
async def delete_article_category(id: UUID, version: IfMatch, uow: Uow) -> None:
    """Delete a category that no article is filed under."""
    await CategoryService(uow).delete(id, expected_version=version)


@router.get(SETTINGS, access=READ)
async def get_knowledge_settings(uow: Uow, response: Response) -> KnowledgeSettingsRead:
    """Whether new cases are answered by an article; they are not unless the company says so."""
    found = await KnowledgeSettingsService(uow).get()
    tag(response, found)
    return found


@router.put(SETTINGS, access=MANAGE, responses=problems(StaleVersion, VersionRequired))
async def set_knowledge_settings(
    body: KnowledgeSettingsInput, version: IfMatch, uow: Uow, response: Response
) -> KnowledgeSettingsRead:
    """Let articles answer new cases, or not. The version is 0 before anything was set."""
    changed = await KnowledgeSettingsService(uow).set(body, expected_version=version)
    tag(response, changed)
    return changed


# -- readers -------------------------------------------------------------------------------------------------


@router.get("/kb/{key}", **_PAGE)
async def show_article(key: str, request: Request) -> Response:
    """A public article."""
    return await show(_reader(request, key), thanked="thanks" in request.query_params)


@router.post("/kb/{key}", raw_body=True, **_PAGE)
async def rate_public_article(key: str, request: Request) -> Response:
    """What the form of the page sends."""
    request.scope["rapport.body_limit"] = min(request.scope["rapport.body_limit"], BODY_LIMIT)
    return await rate(_reader(request, key), await request.body())


def _reader(request: Request, key: str) -> Reader:
    return Reader(
        kernel=request.scope["rapport.kernel"],
        key=key[:100],
        address=request.client.host if request.client else "",
        browser=request.headers.get("user-agent", "")[:300],
        accepted=request.headers.get("accept-language"),
    )
