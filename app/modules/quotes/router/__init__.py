"""`/v1/quotes` beyond the generated operations."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Path, Response
from fastapi import Query as QueryParameter
from starlette.requests import Request

from app.kernel.errors import InvalidTransition, NotFound, StaleVersion, VersionRequired, problems
from app.kernel.record_links import RecordLinkCreate, RecordLinkCreated, RecordLinkList
from app.kernel.record_router import detail_response, record_router
from app.kernel.routing import IfMatch, Router, Uow
from app.modules.automation.interface import NoApprover
from app.modules.quotes.interface import (
    ApprovalRequired,
    QuoteEmpty,
    QuoteExpired,
    QuoteImmutable,
    QuoteNotOpen,
    QuoteRevised,
    QuoteSuperseded,
    QuoteWithdrawn,
)
from app.modules.quotes.schemas import QuoteDetail
from app.modules.quotes.schemas.steps import (
    Acceptance,
    AnswerRead,
    PriceChanges,
    QuoteComparison,
    QuoteRecall,
    QuoteRefusal,
    QuoteSteps,
    QuoteSubmission,
    Sending,
)
from app.modules.quotes.services.answering import Answers, From
from app.modules.quotes.services.approving import QuoteApprovals
from app.modules.quotes.services.price_changes import PriceNotices
from app.modules.quotes.services.quotes import QUOTE, QuoteService
from app.modules.quotes.services.reading import QuoteReading, read_answer
from app.modules.quotes.services.revisions import Revisions
from app.modules.quotes.services.sending import QuoteSender

records = record_router(QUOTE)
LinkId = Annotated[UUID, Path(description="The `id` of the link.")]
router = Router(tags=["quotes"])

_STALE = (StaleVersion, VersionRequired)
_ANSWER = problems(QuoteExpired, QuoteSuperseded, QuoteWithdrawn, QuoteNotOpen, *_STALE)


@router.get("/v1/quotes/{id}/steps", access="quote:read")
async def list_quote_steps(id: UUID, uow: Uow) -> QuoteSteps:
    """The way of a quote through its states, oldest first."""
    return await QuoteReading(uow).steps(id)


@router.get("/v1/quotes/{id}/compare", access="quote:read")
async def compare_quotes(
    id: UUID,
    uow: Uow,
    other: Annotated[UUID, QueryParameter(alias="with", description="The other revision, or any quote.")],
) -> QuoteComparison:
    """What the other quote has that differs, field by field and line by line."""
    return await Revisions(uow).compare(id, other)


@router.post(
    "/v1/quotes/{id}/reprice",
    access="quote:update",
    response_model=QuoteDetail,
    responses=problems(QuoteImmutable, *_STALE),
)
async def reprice_quote(id: UUID, version: IfMatch, uow: Uow) -> Response:
    """Ask the catalogue again for every price of a draft that was not entered."""
    service = QuoteService(uow)
    return await detail_response(service, await service.reprice(id, expected_version=version))


@router.get("/v1/quotes/{id}/price-changes", access="quote:read")
async def list_quote_price_changes(id: UUID, uow: Uow) -> PriceChanges:
    """Prices of products in this quote that changed while it was open, until somebody has dealt with them."""
    return await PriceNotices(uow).of(id)


@router.post(
    "/v1/quotes/{id}/keep-prices",
    access="quote:update",
    response_model=QuoteDetail,
    responses=problems(*_STALE),
)
async def keep_quote_prices(id: UUID, version: IfMatch, uow: Uow) -> Response:
    """Leave the quote at its prices although some have changed."""
    row = await PriceNotices(uow).keep(id, expected_version=version)
    return await detail_response(QuoteService(uow), row)


@router.post(
    "/v1/quotes/{id}/submit",
    access="quote:update",
    response_model=QuoteDetail,
    responses=problems(InvalidTransition, QuoteEmpty, NoApprover, *_STALE),
)
async def submit_quote(
    id: UUID, version: IfMatch, uow: Uow, given: QuoteSubmission | None = None
) -> Response:
    """Ask for approval; where nothing has to be asked the quote is approved at once."""
    row = await QuoteApprovals(uow).submit(id, given or QuoteSubmission(), expected_version=version)
    return await detail_response(QuoteService(uow), row)


@router.post(
    "/v1/quotes/{id}/recall",
    access="quote:update",
    response_model=QuoteDetail,
    responses=problems(InvalidTransition, *_STALE),
)
async def recall_quote(id: UUID, version: IfMatch, uow: Uow, why: QuoteRecall | None = None) -> Response:
    """Back to the draft, while it is being approved or before it is sent."""
    row = await QuoteApprovals(uow).recall(id, expected_version=version, note=why.note if why else None)
    return await detail_response(QuoteService(uow), row)


@router.post(
    "/v1/quotes/{id}/send",
    access="quote:update",
    response_model=QuoteDetail,
    responses=problems(
        InvalidTransition, ApprovalRequired, QuoteEmpty, QuoteExpired, QuoteNotOpen, NoApprover, *_STALE
    ),
)
async def send_quote(id: UUID, version: IfMatch, uow: Uow, how: Sending | None = None) -> Response:
    """Send an approved quote, or a draft that needs no approval. Earlier revisions are superseded."""
    row = await QuoteSender(uow).send(id, how or Sending(), expected_version=version)
    return await detail_response(QuoteService(uow), row)


@router.post(
    "/v1/quotes/{id}/revise",
    access="quote:update",
    response_model=QuoteDetail,
    status_code=201,
    responses=problems(QuoteRevised, QuoteNotOpen, *_STALE),
)
async def revise_quote(id: UUID, version: IfMatch, uow: Uow) -> Response:
    """Make the next revision as a draft; the present one is superseded when the next is sent."""
    row = await Revisions(uow).revise(id, expected_version=version)
    return await detail_response(QuoteService(uow), row, 201)


@router.post("/v1/quotes/{id}/clone", access="quote:create", response_model=QuoteDetail, status_code=201)
async def clone_quote(id: UUID, uow: Uow) -> Response:
    """Make a new quote like this one, priced as of today."""
    return await detail_response(QuoteService(uow), await Revisions(uow).clone(id), 201)


# -- answers -------------------------------------------------------------------------------------------------


@router.get("/v1/quotes/{id}/answer", access="quote:read", responses=problems(NotFound))
async def get_quote_answer(id: UUID, uow: Uow) -> AnswerRead:
    """What the customer answered."""
    await QuoteService(uow).get(id)
    return read_answer(await Answers(uow).answer_of(id), uow.actor.hidden("quote"))


@router.post("/v1/quotes/{id}/accept", access="quote:update", responses=_ANSWER)
async def accept_quote(
    id: UUID, version: IfMatch, given: Acceptance, uow: Uow, request: Request
) -> AnswerRead:
    """Write down that the customer accepts: it becomes an order or a contract, once. Again, it answers the same."""
    answer = await Answers(uow).accept(id, given, _origin(request), expected_version=version)
    return read_answer(answer, uow.actor.hidden("quote"))


@router.post("/v1/quotes/{id}/decline", access="quote:update", responses=_ANSWER)
async def decline_quote(
    id: UUID, version: IfMatch, uow: Uow, request: Request, given: QuoteRefusal | None = None
) -> AnswerRead:
    """Write down that the customer declines, and why. Again, it answers the same."""
    answer = await Answers(uow).decline(
        id, given or QuoteRefusal(), _origin(request), expected_version=version
    )
    return read_answer(answer, uow.actor.hidden("quote"))


def _origin(request: Request) -> From:
    return From(request.client.host if request.client else None)


# -- links ---------------------------------------------------------------------------------------------------


@router.get("/v1/quotes/{id}/links", access="quote:read")
async def list_quote_links(id: UUID, uow: Uow) -> RecordLinkList:
    """The links by which customers read this quote, oldest first, and how often they did."""
    sender = QuoteSender(uow)
    return RecordLinkList(data=[sender.reader.read(link) for link in await sender.links(id)])


@router.post(
    "/v1/quotes/{id}/links",
    access="quote:update",
    status_code=201,
    shown_once=True,
    responses=problems(QuoteNotOpen),
)
async def create_quote_link(id: UUID, uow: Uow, given: RecordLinkCreate | None = None) -> RecordLinkCreated:
    """Make a link to a quote that the customer may answer; it is shown this once."""
    return await QuoteSender(uow).make_link(id, given.expires_at if given else None)


@router.delete("/v1/quotes/{id}/links/{link_id}", access="quote:update", status_code=204)
async def revoke_quote_link(id: UUID, link_id: LinkId, uow: Uow) -> None:
    """Stop a link from working."""
    await QuoteSender(uow).revoke(id, link_id)
