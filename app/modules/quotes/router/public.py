"""`/q/{token}`, the page of an offer for whoever has its link; and the PDF of a quote for members."""

from __future__ import annotations

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Query, Response
from starlette.requests import Request

from app.kernel.errors import Forbidden, NotFound, TooManyRequests, problems
from app.kernel.figures import Language
from app.kernel.pdf.kept import Pdf
from app.kernel.pdf.render import DocumentNotRendered
from app.kernel.routing import CurrentActor, KernelDep, Router
from app.kernel.uow import transaction
from app.modules.quotes.services.document import quote_pdf
from app.modules.quotes.services.public_page import html
from app.modules.quotes.services.public_page.visit import BODY_LIMIT, Visitor, answer, download, show
from app.modules.quotes.services.quotes import QuoteService

router = Router(tags=["quotes"])

_PAGE: Final[dict[str, Any]] = {
    "access": "public",
    "own_transaction": True,
    "include_in_schema": False,
    "open_query": True,
}
_PDF: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The document.",
        "content": {"application/pdf": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.get(
    "/v1/quotes/{id}/pdf",
    access="quote:read",
    own_transaction=True,
    response_class=Response,
    responses=_PDF | problems(NotFound, Forbidden, DocumentNotRendered),
)
async def get_quote_pdf(
    id: UUID,
    kernel: KernelDep,
    actor: CurrentActor,
    request: Request,
    language: Annotated[Language | None, Query(description="Absent: the quote's own.")] = None,
) -> Response:
    """The quote as PDF. Of a quote that was sent it is always the same file; before that it is marked as a draft."""
    async with transaction(kernel, actor, read_only=True) as uow:
        row = await QuoteService(uow).get(id)
    if "total" in actor.hidden("quote"):
        raise Forbidden("The document shows prices, which are hidden from you.")
    pdf = await quote_pdf(kernel, actor.tenant, id, language, request_id=request.scope["rapport.request_id"])
    return _file(pdf, f"{row.number}-{row.revision}", "private, no-cache")


@router.get("/q/{token}", **_PAGE)
async def show_offer(token: str, request: Request) -> Response:
    """The page of an offer; `?lang=zh` and `?lang=en` choose the language."""
    return await show(Visitor.of(request, token))


@router.post("/q/{token}", raw_body=True, **_PAGE)
async def answer_offer(token: str, request: Request) -> Response:
    """What the forms of the page send."""
    request.scope["rapport.body_limit"] = min(request.scope["rapport.body_limit"], BODY_LIMIT)
    return await answer(Visitor.of(request, token), await request.body())


@router.get("/q/{token}/pdf", **_PAGE)
async def download_offer(token: str, request: Request) -> Response:
    """The PDF behind a link."""
    visitor = Visitor.of(request, token)
    try:
        pdf, name = await download(visitor)
    except NotFound:
        return html.nothing_page(visitor.language())
    except TooManyRequests as refusal:
        return html.too_many_page(visitor.language(), refusal.headers["Retry-After"])
    return _file(pdf, name, "no-store")


def _file(pdf: Pdf, name: str, caching: str) -> Response:
    headers = {
        "Content-Disposition": f'inline; filename="{name}.pdf"',
        "ETag": f'"{pdf.sha256}"',
        "Cache-Control": caching,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "X-Robots-Tag": "noindex",
    }
    return Response(pdf.content, media_type="application/pdf", headers=headers)
