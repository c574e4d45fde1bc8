"""`/v1/forms`: defining forms, taking what visitors send, and what came of it; leads from cards and mail."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query
from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import Response

from app.kernel.errors import (
    PayloadTooLarge,
    StaleVersion,
    UnsupportedMediaType,
    VersionRequired,
    problems,
)
from app.kernel.forms.requests import media_type_of
from app.kernel.forms.routes import add_submissions
from app.kernel.inbound_mail import SIZE_LIMIT as MAIL_LIMIT
from app.kernel.record_router import tag
from app.kernel.routing import IfMatch, Router, Uow
from app.kernel.schemas import Page
from app.kernel.validation import parse_body
from app.modules.leads.models.capture import SubmissionStatus
from app.modules.leads.schemas.capture import (
    CardsAnswer,
    CardsInput,
    FormCreate,
    FormRead,
    FormStatistics,
    FormSubmissionRead,
    FormUpdate,
    LeadConsents,
    MailAnswer,
)
from app.modules.leads.services.capture import listing
from app.modules.leads.services.capture.cards import leads_from_cards
from app.modules.leads.services.capture.forms import KIND, Forms, form_read
from app.modules.leads.services.capture.inbound import MailRefused, take_mail
from app.modules.leads.services.capture.submissions import take
from app.modules.leads.services.leads import LeadService

MANAGE = "lead_form:manage"
VCARD_TYPES = frozenset({"text/vcard", "text/x-vcard", "text/directory"})
_CARDS = TypeAdapter(CardsInput)
router = Router(tags=["lead forms"])

_CHANGE = problems(StaleVersion, VersionRequired)
_TEXT = {"schema": {"type": "string"}}
_CARDS_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "text/vcard": _TEXT,
            "application/json": {"schema": CardsInput.model_json_schema()},
        },
    }
}
_MAIL_BODY: dict[str, Any] = {"requestBody": {"required": True, "content": {"message/rfc822": _TEXT}}}
_EXAMPLE = {"name": "Li Hua", "email": "li.hua@example.com", "seconds": 21, "utm_source": "newsletter"}


# -- definitions ---------------------------------------------------------------------------------------------


@router.get("/v1/forms", access=MANAGE)
async def list_forms(uow: Uow) -> Page[FormRead]:
    """Every form, the newest first. One page holds all."""
    rows = await Forms(uow).all()
    return Page[FormRead](
        data=[form_read(uow, row) for row in rows],
        next_cursor=None,
        has_more=False,
        total=None,
        total_is_estimate=None,
    )


@router.post("/v1/forms", access=MANAGE, status_code=201)
async def create_form(body: FormCreate, uow: Uow, response: Response) -> FormRead:
    """Make a form; its page and its snippet work at once."""
    row = await Forms(uow).create(body)
    tag(response, row)
    response.headers["Location"] = f"/v1/forms/{row.id}"
    return form_read(uow, row)


@router.get("/v1/forms/{id}", access=MANAGE)
async def get_form(id: UUID, uow: Uow, response: Response) -> FormRead:
    """One form."""
    row = await Forms(uow).get(id)
    tag(response, row)
    return form_read(uow, row)


@router.patch("/v1/forms/{id}", access=MANAGE, responses=_CHANGE)
async def update_form(
    id: UUID,
    body: FormUpdate,  # type: ignore[valid-type]
    version: IfMatch,
    uow: Uow,
    response: Response,
) -> FormRead:
    """Change a form by merge patch; lists are replaced whole."""
    row = await Forms(uow).update(id, body, expected_version=version)
    tag(response, row)
    return form_read(uow, row)


@router.post("/v1/forms/{id}/rotate-key", access=MANAGE, responses=_CHANGE)
async def rotate_form_key(id: UUID, version: IfMatch, uow: Uow, response: Response) -> FormRead:
    """Give the form a new public key; the old one finds nothing from now on."""
    row = await Forms(uow).rotate(id, expected_version=version)
    tag(response, row)
    return form_read(uow, row)


@router.delete("/v1/forms/{id}", access=MANAGE, status_code=204, responses=_CHANGE)
async def delete_form(id: UUID, version: IfMatch, uow: Uow) -> None:
    """Remove a form with its submissions. The leads that it made stay, and so do their consents."""
    await Forms(uow).delete(id, expected_version=version)


# -- submissions ---------------------------------------------------------------------------------------------


add_submissions(
    router,
    KIND,
    take,
    name="form",
    says="Send what a visitor filled in, without signing in.",
    example=_EXAMPLE,
)


@router.get("/v1/forms/{id}/submissions", access=MANAGE)
async def list_form_submissions(
    id: UUID,
    uow: Uow,
    status: Annotated[SubmissionStatus | None, Query(description="Only those with this outcome.")] = None,
    limit: Annotated[int, Query(ge=1)] = 50,
    cursor: str | None = None,
) -> Page[FormSubmissionRead]:
    """What was sent and what became of it, the newest first."""
    return await listing.submissions(uow, id, status=status, limit=limit, cursor=cursor)


@router.get("/v1/forms/{id}/statistics", access=MANAGE)
async def get_form_statistics(
    id: UUID,
    uow: Uow,
    since: Annotated[date | None, Query(description="The first day; absent 30 days are counted.")] = None,
    until: Annotated[date | None, Query(description="The last day; absent it is today.")] = None,
) -> FormStatistics:
    """Submissions per day and outcome."""
    return await listing.statistics(uow, id, since=since, until=until)


@router.get("/v1/leads/{id}/consents", access="lead:read")
async def list_lead_consents(id: UUID, uow: Uow) -> LeadConsents:
    """What a lead agreed to, the earliest first."""
    await LeadService(uow).get(id)
    return LeadConsents(data=await listing.consents_of(uow, id))


# -- cards and mail ------------------------------------------------------------------------------------------


@router.post(
    "/v1/leads/from-vcard", access="lead:create", status_code=207, raw_body=True, openapi_extra=_CARDS_BODY
)
async def create_leads_from_vcard(request: Request, uow: Uow) -> CardsAnswer:
    """Make a lead of each business card (vCard 2.1, 3.0 or 4.0): the file itself, or its text in JSON.

    The results stand in the order of the cards; a card that cannot become a lead does not stop the others.
    """
    kind = media_type_of(request)
    body = await request.body()
    if kind in ("", "application/json"):
        return await leads_from_cards(uow, parse_body(_CARDS, body).text.encode())
    if kind not in VCARD_TYPES:
        raise UnsupportedMediaType(f"Send text/vcard or application/json, not {kind}.")
    return await leads_from_cards(uow, body)


@router.post(
    "/v1/leads/from-email",
    access="lead:create",
    raw_body=True,
    responses=problems(MailRefused),
    openapi_extra=_MAIL_BODY,
)
async def create_lead_from_email(request: Request, uow: Uow) -> MailAnswer:
    """Take a mail of at most 1 MiB that a gateway hands on: its sender becomes a lead or touches the open one.

    What they wrote becomes a note. Mail of machines is ignored, and one that came before answers the same.
    """
    kind = media_type_of(request)
    if kind not in ("", "message/rfc822"):
        raise UnsupportedMediaType(f"Send message/rfc822, not {kind}.")
    body = await request.body()
    if len(body) > MAIL_LIMIT:
        raise PayloadTooLarge(f"A mail may have at most {MAIL_LIMIT} bytes.", limit=MAIL_LIMIT)
    return await take_mail(uow, body)
