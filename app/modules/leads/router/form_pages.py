"""Pages for visitors under `/forms`: the hosted form, its thanks, the script that embeds it, and mailed links."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from app.kernel.errors import NotFound
from app.kernel.forms.html import gone_page
from app.kernel.forms.pages import PAGE
from app.kernel.forms.requests import visit_of
from app.kernel.forms.routes import add_pages
from app.kernel.forms.visits import Visit
from app.kernel.pages.public import look_of
from app.kernel.routing import Router
from app.modules.leads.services.capture import html
from app.modules.leads.services.capture.forms import KIND
from app.modules.leads.services.capture.submissions import Confirmation, confirm, look_at, take

router = Router(tags=["pages"])


add_pages(router, KIND, take, name="form")


# -- links from mails ----------------------------------------------------------------------------------------


@router.get("/forms/confirmations/{token}", **PAGE)
async def show_confirmation(token: str, request: Request) -> Response:
    """The page behind a mailed link: reading it changes nothing."""
    visit = visit_of(request)
    try:
        return _confirmation(visit, await look_at(visit, token), token)
    except NotFound:
        return gone_page(visit.language)


@router.post("/forms/confirmations/{token}", raw_body=True, **PAGE)
async def send_confirmation(token: str, request: Request) -> Response:
    """Confirm the address."""
    visit = visit_of(request)
    try:
        return _confirmation(visit, await confirm(visit, token), token)
    except NotFound:
        return gone_page(visit.language)


def _confirmation(visit: Visit, standing: Confirmation, token: str) -> Response:
    return html.confirmation_page(standing, token, look_of(visit.kernel, standing.company))
