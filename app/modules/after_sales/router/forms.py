"""`/v1/case-forms`: forms by which customers open cases; their pages, and the page that says where a case stands."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Path, Query, Response
from starlette.requests import Request
from starlette.responses import Response as Answer

from app.kernel.errors import StaleVersion, TooManyRequests, VersionRequired, problems
from app.kernel.forms import pages
from app.kernel.forms.pages import PAGE, submission_body
from app.kernel.forms.schemas import SubmissionReceipt
from app.kernel.forms.visits import OriginNotAllowed
from app.kernel.paging import Cursor, Limit
from app.kernel.record_router import tag
from app.kernel.routing import IfMatch, Router, Uow
from app.kernel.schemas import Page
from app.modules.after_sales.models.forms import CaseSubmissionStatus
from app.modules.after_sales.schemas.forms import (
    CaseFormCreate,
    CaseFormRead,
    CaseFormSubmissionRead,
    CaseFormUpdate,
)
from app.modules.after_sales.services.cases.status_page import Reader, show_status
from app.modules.after_sales.services.forms import listing
from app.modules.after_sales.services.forms.definitions import KIND, CaseForms, form_read
from app.modules.after_sales.services.forms.submissions import take
from app.modules.after_sales.services.mail.receipts import PAGE as STATUS

TAG = "case forms"
CONFIGURE = "case:configure"
FORMS = "/v1/case-forms"
OF = f"{FORMS}/{{id}}"
router = Router(tags=[TAG])
_CHANGE = problems(StaleVersion, VersionRequired)
_EXAMPLE = {"email": "li.hua@example.com", "subject": "The pump is leaking", "seconds": 21}
FormKey = Annotated[str, Path(alias="id", max_length=200, description="The form's `public_key`.")]


@router.get(FORMS, access=CONFIGURE)
async def list_case_forms(uow: Uow) -> Page[CaseFormRead]:
    """Every form, the newest first. One page holds all."""
    rows = await CaseForms(uow).all()
    return Page[CaseFormRead](
        data=[form_read(uow, row) for row in rows],
        next_cursor=None,
        has_more=False,
        total=None,
        total_is_estimate=None,
    )


@router.post(FORMS, access=CONFIGURE, status_code=201)
async def create_case_form(body: CaseFormCreate, uow: Uow, response: Response) -> CaseFormRead:
    """Make a form by which customers open cases; its page and its snippet work at once."""
    row = await CaseForms(uow).create(body)
    tag(response, row)
    response.headers["Location"] = f"{FORMS}/{row.id}"
    return form_read(uow, row)


@router.get(OF, access=CONFIGURE)
async def get_case_form(id: UUID, uow: Uow, response: Response) -> CaseFormRead:
    """One form."""
    row = await CaseForms(uow).get(id)
    tag(response, row)
    return form_read(uow, row)


@router.patch(OF, access=CONFIGURE, responses=_CHANGE)
async def update_case_form(
    id: UUID,
    body: CaseFormUpdate,  # type: ignore[valid-type]
    version: IfMatch,
    uow: Uow,
    response: Response,
) -> CaseFormRead:
    """Change a form by merge patch; lists are replaced whole."""
    row = await CaseForms(uow).update(id, body, expected_version=version)
    tag(response, row)
    return form_read(uow, row)


@router.post(f"{OF}/rotate-key", access=CONFIGURE, responses=_CHANGE)
async def rotate_case_form_key(id: UUID, version: IfMatch, uow: Uow, response: Response) -> CaseFormRead:
    """Give the form a new public key; the old one finds nothing from now on."""
    row = await CaseForms(uow).rotate(id, expected_version=version)
    tag(response, row)
    return form_read(uow, row)


@router.delete(OF, access=CONFIGURE, status_code=204, responses=_CHANGE)
async def delete_case_form(id: UUID, version: IfMatch, uow: Uow) -> None:
    """Remove a form with its submissions. The cases that it opened stay."""
    await CaseForms(uow).delete(id, expected_version=version)


# -- submissions ---------------------------------------------------------------------------------------------


@router.post(
    f"{OF}/submissions",
    access="public",
    status_code=202,
    own_transaction=True,
    raw_body=True,
    response_model=SubmissionReceipt,
    responses=problems(OriginNotAllowed, TooManyRequests)
    | {303: {"description": "Sent as a form: go to the thanks, or where the form says."}},
    openapi_extra=submission_body(_EXAMPLE),
)
async def submit_case_form(key: FormKey, request: Request) -> Answer:
    """Open a case without signing in. Every answer is alike, whoever is known here.

    A page that sends it needs an origin of the form's list. Sent as JSON, unknown fields are refused; sent as a
    form, they are left out and the answer redirects. `Idempotency-Key` serves as the token, too.
    """
    return await pages.receive(KIND, take, key, request)


@router.operation(
    "OPTIONS",
    f"{OF}/submissions",
    access="public",
    own_transaction=True,
    include_in_schema=False,
    operation_id="preflight_case_form",
)
async def preflight_case_form(key: FormKey, request: Request) -> Answer:
    """Whether a page of this origin may send to the form; for reading submissions the operator's list counts."""
    return await pages.preflight(KIND, key, request)


@router.get(f"{OF}/submissions", access=CONFIGURE)
async def list_case_form_submissions(
    id: UUID,
    uow: Uow,
    status: Annotated[CaseSubmissionStatus | None, Query(description="Only those with this outcome.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[CaseFormSubmissionRead]:
    """What was sent and what became of it, the newest first."""
    return await listing.submissions(uow, id, status=status, limit=limit, cursor=cursor)


# -- pages ---------------------------------------------------------------------------------------------------


@router.get("/case-forms/{key}", **PAGE)
async def show_case_form(key: str, request: Request) -> Answer:
    """The form as a page of its own; `?lang=zh` chooses the language."""
    return await pages.show(KIND, key, request)


@router.post("/case-forms/{key}", raw_body=True, **PAGE)
async def send_case_form(key: str, request: Request) -> Answer:
    """What the page sends: leads on to the thanks, or shows the form again with what is wrong."""
    return await pages.send(KIND, take, key, request)


@router.get("/case-forms/{key}/thanks", **PAGE)
async def show_case_form_thanks(key: str, request: Request) -> Answer:
    """What a visitor sees after sending the form."""
    return await pages.thank(KIND, key, request)


@router.get("/case-forms/{key}/embed.js", **PAGE)
async def embed_case_form(key: str, request: Request) -> Answer:
    """A script that shows the form on another page; it needs nothing else and sends JSON."""
    return await pages.embed(KIND, key, request)


@router.get(f"{STATUS}{{token}}", **PAGE)
async def show_case_status(token: str, request: Request) -> Answer:
    """Where a case stands, by a mailed link; `?lang=zh` chooses the language."""
    reader = Reader(
        kernel=request.scope["rapport.kernel"],
        token=token[:400],
        address=request.client.host if request.client else "",
        request_id=request.scope["rapport.request_id"],
        wanted=request.query_params.get("lang"),
        accepted=request.headers.get("accept-language"),
    )
    return await show_status(reader)
