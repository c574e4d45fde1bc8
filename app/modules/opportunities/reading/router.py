"""Board, funnel, outcomes, velocity, activity report, targets and forecast over HTTP."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import Path, Response
from fastapi import Query as QueryParameter
from starlette.requests import Request

from app.kernel import listing
from app.kernel.errors import DuplicateValue, InvalidCursor, InvalidFilter, problems
from app.kernel.paging import Cursor, Limit
from app.kernel.record_router import tag
from app.kernel.routing import IfMatch, Router, Uow
from app.modules.opportunities.reading.board import BoardService
from app.modules.opportunities.reading.forecast import ForecastService
from app.modules.opportunities.reading.funnel import CohortKind, FunnelQuestion, FunnelService
from app.modules.opportunities.reading.lists import submission, submissions_page, targets_page
from app.modules.opportunities.reading.outcomes import OutcomeService
from app.modules.opportunities.reading.periods import PeriodKind, period_of
from app.modules.opportunities.reading.reach import TeamTree
from app.modules.opportunities.reading.schemas import (
    Accuracy,
    ActivityReport,
    Board,
    Forecast,
    ForecastSubmissionRead,
    Funnel,
    Measure,
    OpportunityPage,
    OutcomeGroup,
    Outcomes,
    Subject,
    SubmissionCreate,
    Submissions,
    TargetCreate,
    TargetRead,
    Targets,
    TargetUpdate,
    Velocity,
)
from app.modules.opportunities.reading.snapshots import SnapshotService
from app.modules.opportunities.reading.submissions import SubmissionService
from app.modules.opportunities.reading.targets import TargetService
from app.modules.opportunities.reading.work import WorkService

router = Router(tags=["opportunities"])
targets = Router(prefix="/v1/targets", tags=["targets"])
forecast = Router(prefix="/v1/forecast", tags=["forecast"])

Pipeline = Annotated[
    str | None,
    QueryParameter(max_length=60, description="A pipeline's id or key; absent means the default one."),
]
StartsOn = Annotated[
    date | None, QueryParameter(description="First day of the period; absent means the present one.")
]
Kind = Annotated[PeriodKind, QueryParameter(description="Quarters and years are the company's fiscal ones.")]
AnyKind = Annotated[PeriodKind | None, QueryParameter(description="Only those of such periods.")]
AnyStart = Annotated[date | None, QueryParameter(description="Only those of periods that begin on this day.")]
OneMember = Annotated[UUID | None, QueryParameter(description="Only this member's.")]
StageKey = Annotated[str, Path(description="A stage's key.", examples=["proposal"])]
ClosedFrom = Annotated[date | None, QueryParameter(description="First day of closing, included.")]
ClosedTo = Annotated[date | None, QueryParameter(description="Last day of closing, included.")]


def _query(request: Request, *own: str, paged: bool = False) -> listing.Query:
    """The list filters among the parameters; `own` are the operation's. Raises `InvalidFilter`."""
    given = [(name, value) for name, value in request.query_params.multi_items() if name not in own]
    query = listing.query_from_parameters(given)
    refused = {"fields", "include", "view"} | (set() if paged else {"sort", "limit", "cursor"})
    for name, _ in given:
        if name in refused:
            raise InvalidFilter(f"{name} has no meaning here.", parameter=name)
    return query


@router.get("/v1/opportunities/board", access="opportunity:read", response_model=Board, open_query=True)
async def get_opportunity_board(request: Request, uow: Uow, pipeline: Pipeline = None) -> Response:
    """A pipeline as columns of stages, with totals and the first cards.

    Any field filters and sorts, as in the list; `limit` is of the cards in each column (default 20). An open stage's
    column holds what is open there, a closed one's what stands there; what was lost and kept its stage is not shown.
    weighted = Σ amount × probability ÷ 100, rounded half up once; home sums leave out what has no exchange rate, and
    `unconverted` says how many. Moving a card is a PATCH of `stage`.
    """
    query = _query(request, "pipeline", paged=True)
    if query.cursor is not None:
        raise InvalidFilter("Columns go on at /board/columns/{stage}.", parameter="cursor")
    if "limit" not in request.query_params:
        query = replace(query, limit=20)
    return _json(await BoardService(uow).board(pipeline, query))


@router.get(
    "/v1/opportunities/board/columns/{stage}",
    access="opportunity:read",
    response_model=OpportunityPage,
    responses=problems(InvalidCursor),
    open_query=True,
)
async def list_opportunity_board_column(
    stage: StageKey, request: Request, uow: Uow, pipeline: Pipeline = None
) -> Response:
    """More cards of one column, with the board's filters and order."""
    return _json(await BoardService(uow).column(pipeline, stage, _query(request, "pipeline", paged=True)))


@router.get("/v1/opportunities/funnel", access="opportunity:read")
async def get_opportunity_funnel(
    uow: Uow,
    pipeline: Pipeline = None,
    owner_id: OneMember = None,
    team_id: Annotated[UUID | None, QueryParameter(description="With the teams below.")] = None,
    cohort: Annotated[
        CohortKind | None,
        QueryParameter(description="Divide by when they entered; quarters and years are fiscal."),
    ] = None,
    entered_from: Annotated[
        date | None, QueryParameter(description="First day of a month, included.")
    ] = None,
    entered_before: Annotated[
        date | None, QueryParameter(description="First day of a month, excluded.")
    ] = None,
) -> Funnel:
    """How opportunities pass through the stages of a pipeline, from their stage history.

    entered = still_there + moved_on + lost_from. conversion = moved_on ÷ entered; conversion_to_won = won ÷ entered.
    Cohorts go by the first entry into each stage, in the company's time zone. median_days and p90_days are
    nearest-rank percentiles of whole days spent in the stage over all visits, of those that left it. What was
    imported as won or lost counts in the stage in which it ended, from the day it was closed.
    """
    for name, day in (("entered_from", entered_from), ("entered_before", entered_before)):
        if day is not None and day.day != 1:
            raise InvalidFilter(f"{name} is the first day of a month.", parameter=name)
    teams = tuple(sorted((await TeamTree.load(uow)).below(team_id))) if team_id is not None else ()
    question = FunnelQuestion(pipeline, owner_id, teams, cohort, entered_from, entered_before)
    return await FunnelService(uow).funnel(question)


@router.get("/v1/opportunities/win-loss", access="opportunity:read", response_model=Outcomes, open_query=True)
async def get_win_loss(
    request: Request,
    uow: Uow,
    group_by: Annotated[OutcomeGroup, QueryParameter(description="Managers are those of the teams.")],
    closed_from: ClosedFrom = None,
    closed_to: ClosedTo = None,
) -> Outcomes:
    """What was won and lost by group, with win rates by number and by value. Any field filters, as in the list.

    win_rate = won ÷ (won + lost); win_rate_by_value = won_amount ÷ (won_amount + lost_amount), both amounts in the
    company's currency at the rate of the day of closing; average_cycle_days = mean of closed_on − opened_on of the
    won ones.
    """
    query = _query(request, "group_by", "closed_from", "closed_to")
    return await OutcomeService(uow).win_loss(group_by, query, closed_from, closed_to)


@router.get("/v1/opportunities/velocity", access="opportunity:read", response_model=Velocity, open_query=True)
async def get_opportunity_velocity(
    request: Request, uow: Uow, closed_from: ClosedFrom = None, closed_to: ClosedTo = None
) -> Velocity:
    """What the pipeline brings per day, and the parts that it comes of. Any field filters, as in the list.

    velocity = open_count × win_rate × average_amount ÷ average_cycle_days, from the exact parts, rounded half up
    once. The open ones are those of today; the other parts are of what was closed in the days asked for.
    """
    return await OutcomeService(uow).velocity(
        _query(request, "closed_from", "closed_to"), closed_from, closed_to
    )


@router.get("/v1/reports/activity", access="opportunity:read")
async def get_activity_report(
    uow: Uow,
    first: Annotated[date, QueryParameter(alias="from", description="First day of the first period.")],
    before: Annotated[date, QueryParameter(description="First day of the period after the last.")],
    period: Kind = "month",
    member_id: OneMember = None,
) -> ActivityReport:
    """Who did what: done activities by kind, opportunities opened, moved and won, per member and period.

    Done activities count for their owner, in the period in which they were done (the company's time zone).
    Opportunities count for their owner by opened_on and closed_on; a move counts for whoever made it, if it led to
    another open stage.
    """
    return await WorkService(uow).report(period, first, before, member_id)


# -- targets -------------------------------------------------------------------------------------------------


@targets.get("", access="target:read", responses=problems(InvalidCursor))
async def list_targets(
    uow: Uow,
    period: AnyKind = None,
    starts_on: AnyStart = None,
    subject: Annotated[
        Subject | None, QueryParameter(description="Only those of members, teams or all.")
    ] = None,
    measure: Annotated[Measure | None, QueryParameter(description="Only those of this measure.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Targets:
    """Targets that you see, the newest period first, with what is attained of them.

    attainment = attained ÷ target. attained is what was won in the period (by closed_on, in the company's currency),
    the number won, opened (by opened_on) or of activities done; of a team, with the teams below.
    """
    filters = {"period": period, "starts_on": starts_on, "subject": subject, "measure": measure}
    return await targets_page(uow, filters, limit=limit, cursor=cursor)


@targets.post("", access="target:manage", status_code=201, responses=problems(DuplicateValue))
async def create_target(body: TargetCreate, uow: Uow, response: Response) -> TargetRead:
    """Set a target for a member, a team or the company; there is one per measure and period."""
    row = await TargetService(uow).create(body)
    tag(response, row)
    response.headers["Location"] = f"/v1/targets/{row.id}"
    return (await TargetService(uow).render([row]))[0]


@targets.get("/{id}", access="target:read")
async def get_target(id: UUID, uow: Uow, response: Response) -> TargetRead:
    """One target, and how far it is reached: attainment = attained ÷ target, of what you see."""
    row = await TargetService(uow).get(id)
    tag(response, row)
    return (await TargetService(uow).render([row]))[0]


@targets.patch("/{id}", access="target:manage")
async def update_target(
    id: UUID, body: TargetUpdate, uow: Uow, version: IfMatch, response: Response
) -> TargetRead:
    """Set another amount or quantity."""
    row = await TargetService(uow).update(id, body, expected_version=version)
    tag(response, row)
    return (await TargetService(uow).render([row]))[0]


@targets.delete("/{id}", access="target:manage", status_code=204)
async def delete_target(id: UUID, uow: Uow, version: IfMatch) -> None:
    """Take a target back."""
    await TargetService(uow).delete(id, expected_version=version)


# -- forecast ------------------------------------------------------------------------------------------------


@forecast.get("", access="opportunity:read")
async def get_forecast(
    uow: Uow,
    period: Kind = "quarter",
    starts_on: StartsOn = None,
    member_id: Annotated[UUID | None, QueryParameter(description="Only this member's line.")] = None,
    team_id: Annotated[
        UUID | None, QueryParameter(description="Only this team, those below, and their members.")
    ] = None,
) -> Forecast:
    """What a month, fiscal quarter or fiscal year is expected to bring, by category, member and team.

    closed is what was won in the period (closed_on); commit, best_case and pipeline are what is open and expected to
    close in it (expected_close_on), by their forecast category. weighted = won + Σ amount × probability ÷ 100
    of the open, rounded half up once. attainment = closed ÷ target; gap = target − closed. All in the company's
    currency, of what you see; teams with those below. Submitted figures and managers' overrides stand beside them.
    """
    wanted = period_of(period, starts_on, uow.now, uow.actor.tenant, "starts_on")
    return await ForecastService(uow).forecast(wanted, member_id, team_id)


@forecast.get("/submissions", access="opportunity:read", responses=problems(InvalidCursor))
async def list_forecast_submissions(
    uow: Uow,
    period: AnyKind = None,
    starts_on: AnyStart = None,
    member_id: OneMember = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Submissions:
    """Who submitted what, when and why, newest first; of the members that you see."""
    filters = {"period": period, "starts_on": starts_on, "member_id": member_id}
    return await submissions_page(uow, filters, limit=limit, cursor=cursor)


@forecast.post("/submissions", access="forecast:submit", status_code=201)
async def submit_forecast(body: SubmissionCreate, uow: Uow) -> ForecastSubmissionRead:
    """Submit your own figure for a period and category; for somebody else it is an override, and wants a reason."""
    return submission(await SubmissionService(uow).submit(body))


@forecast.get("/accuracy", access="opportunity:read")
async def get_forecast_accuracy(uow: Uow, period: Kind = "quarter", starts_on: StartsOn = None) -> Accuracy:
    """How a period's forecast, as each week's snapshot had it, compares with what came.

    actual is what was won in the period. weighted_error = (weighted − actual) ÷ actual; commit_error =
    (closed + commit − actual) ÷ actual; mean_absolute_error = mean of |weighted_error| over the weeks. A snapshot is
    taken once a week (from Monday, in the company's time zone); it counts by the owner and team of that time.
    """
    wanted = period_of(period, starts_on, uow.now, uow.actor.tenant, "starts_on")
    return await SnapshotService(uow).accuracy(wanted)


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")
