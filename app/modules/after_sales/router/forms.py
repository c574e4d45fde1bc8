"""`/v1/case-forms`: forms by which customers open cases; their pages, and the page that says where a case stands."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response
from starlette.requests import Request
from starlette.responses import Response as Answer

from app.kernel.errors import StaleVersion, VersionRequired, problems
from app.kernel.forms.pages import PAGE
from app.kernel.forms.routes import add_pages, add_submissions
from app.kernel.pages.visitors import PageVisitor
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
from app.modules.after_sales.services.cases.status_page import show_status
from app.modules.after_sales.services.forms import listing
from app.modules.after_sales.services.forms.definitions import KIND, CaseForms, form_read
from app.modules.after_sales.services.forms.submissions import take
from app.modules.after_sales.services.mail.receipts import PAGE as STATUS

CONFIGURE = "case:configure"
FORMS = "/v1/case-forms"
OF = f"{FORMS}/{{id}}"
router = Router(tags=["case forms"])
_CHANGE = problems(StaleVersion, VersionRequired)
_EXAMPLE = {"email": "li.hua@example.com", "subject": "The pump is leaking", "seconds": 21}


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


add_submissions(
    router, KIND, take, name="case_form", says="Open a case without signing in.", example=_EXAMPLE
)


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


add_pages(router, KIND, take, name="case_form")


@router.get(f"{STATUS}{{token}}", **PAGE)
async def show_case_status(token: str, request: Request) -> Answer:
    """Where a case stands, by a mailed link; `?lang=zh` chooses the language."""
    return await show_status(PageVisitor.of(request, token))
