"""`/v1/surveys`: what customers are asked and what they say; and `/s/{token}`, where they say it."""

from __future__ import annotations

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Query, Response
from starlette.requests import Request

from app.kernel.errors import DuplicateValue, StaleVersion, VersionRequired, problems
from app.kernel.paging import Cursor, Limit
from app.kernel.record_router import tag
from app.kernel.routing import IfMatch, Router, Uow
from app.modules.after_sales.interface import SurveyAlreadyAnswered, SurveyInUse, SurveyTooEarly
from app.modules.after_sales.schemas.surveys import (
    AnswerFilter,
    SatisfactionQuestion,
    SatisfactionStatistics,
    SurveyAnswersPage,
    SurveyCreate,
    SurveyInvitationCreate,
    SurveyInvitationCreated,
    SurveyInvitationRead,
    SurveyInvitations,
    SurveyRead,
    Surveys,
    SurveyUpdate,
)
from app.modules.after_sales.services.surveys.definitions import SurveyService, read_survey
from app.modules.after_sales.services.surveys.public_page import BODY_LIMIT, Visitor, answer, show
from app.modules.after_sales.services.surveys.sending import SurveySender, read_all, read_invitation
from app.modules.after_sales.services.surveys.statistics import SurveyStatistics

router = Router(tags=["surveys"])

READ, WRITE, MANAGE = "case:read", "case:update", "survey:manage"
SURVEYS: Final = "/v1/surveys"
_PAGE: Final[dict[str, Any]] = {
    "access": "public",
    "own_transaction": True,
    "include_in_schema": False,
    "open_query": True,
}


class AnswerQuery(AnswerFilter):
    """The filter of a page of answers."""

    limit: Limit = 50
    cursor: Cursor = None


@router.get(SURVEYS, access=READ)
async def list_surveys(uow: Uow) -> Surveys:
    """The company's surveys, in the order in which they are tried."""
    return Surveys(data=[read_survey(row) for row in await SurveyService(uow).all()])


@router.post(SURVEYS, access=MANAGE, status_code=201, responses=problems(DuplicateValue))
async def create_survey(body: SurveyCreate, uow: Uow, response: Response) -> SurveyRead:
    """Add a survey. While it is active, contacts of resolved cases are asked by it."""
    made = await SurveyService(uow).create(body)
    tag(response, made)
    response.headers["Location"] = f"{SURVEYS}/{made.id}"
    return read_survey(made)


@router.get(f"{SURVEYS}/statistics", access=READ)
async def get_survey_statistics(
    question: Annotated[SatisfactionQuestion, Query()], uow: Uow
) -> SatisfactionStatistics:
    """CSAT, NPS and CES of the cases that you see, by agent, product, survey or period."""
    return await SurveyStatistics(uow).satisfaction(question)


@router.get(f"{SURVEYS}/{{id}}", access=READ)
async def get_survey(id: UUID, uow: Uow, response: Response) -> SurveyRead:
    """One survey."""
    found = await SurveyService(uow).get(id)
    tag(response, found)
    return read_survey(found)


@router.patch(
    f"{SURVEYS}/{{id}}", access=MANAGE, responses=problems(StaleVersion, VersionRequired, DuplicateValue)
)
async def update_survey(
    id: UUID, body: SurveyUpdate, version: IfMatch, uow: Uow, response: Response
) -> SurveyRead:
    """Change a survey, or switch it on and off. Who was asked already keeps their time to answer."""
    changed = await SurveyService(uow).update(id, body, expected_version=version)
    tag(response, changed)
    return read_survey(changed)


@router.delete(
    f"{SURVEYS}/{{id}}",
    access=MANAGE,
    status_code=204,
    responses=problems(SurveyInUse, StaleVersion, VersionRequired),
)
async def delete_survey(id: UUID, version: IfMatch, uow: Uow) -> None:
    """Delete a survey by which nobody was asked."""
    await SurveyService(uow).delete(id, expected_version=version)


@router.post(
    f"{SURVEYS}/{{id}}/invitations",
    access=WRITE,
    status_code=201,
    shown_once=True,
    responses=problems(SurveyTooEarly, SurveyAlreadyAnswered),
)
async def ask_by_survey(id: UUID, body: SurveyInvitationCreate, uow: Uow) -> SurveyInvitationCreated:
    """Ask the contact of a resolved case now, or once more while there is no answer."""
    return await SurveySender(uow).ask(id, body)


@router.post("/v1/survey-invitations/{id}/withdraw", access=WRITE, responses=problems(SurveyAlreadyAnswered))
async def withdraw_survey_invitation(id: UUID, uow: Uow) -> SurveyInvitationRead:
    """Let somebody off; their links no longer work."""
    return read_invitation(await SurveySender(uow).withdraw(id))


@router.get("/v1/cases/{id}/surveys", access=READ)
async def list_case_surveys(id: UUID, uow: Uow) -> SurveyInvitations:
    """What was asked about a case, and what was said."""
    return SurveyInvitations(data=read_all(await SurveySender(uow).of_case(id)))


@router.get("/v1/survey-answers", access=READ)
async def list_survey_answers(query: Annotated[AnswerQuery, Query()], uow: Uow) -> SurveyAnswersPage:
    """What customers said about the cases that you see, newest first."""
    wanted = AnswerFilter.model_validate(query.model_dump(exclude={"limit", "cursor"}))
    return await SurveyStatistics(uow).answers(wanted, limit=query.limit, cursor=query.cursor)


# -- customers -----------------------------------------------------------------------------------------------


@router.get("/s/{token}", **_PAGE)
async def show_survey(token: str, request: Request) -> Response:
    """The page of a survey; `?lang=zh` and `?lang=en` choose the language."""
    return await show(Visitor.of(request, token))


@router.post("/s/{token}", raw_body=True, **_PAGE)
async def answer_survey(token: str, request: Request) -> Response:
    """What the form of the page sends."""
    request.scope["rapport.body_limit"] = min(request.scope["rapport.body_limit"], BODY_LIMIT)
    return await answer(Visitor.of(request, token), await request.body())
