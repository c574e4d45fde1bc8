"""For people and programs outside, who have a secret link: the page of an invitation, and calendars.

The link is the credential. Reading changes nothing, since programs that check mails follow every link.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Header, Path, Response
from fastapi.responses import HTMLResponse
from starlette.requests import Request

from app.kernel.routing import KernelDep, Router
from app.modules.activities.services.feeds import feed
from app.modules.activities.services.rsvp_page import show_invitation, take_answer

router = Router(prefix="/public", tags=["public"])

Token = Annotated[str, Path(max_length=200, description="The secret part of the mailed link.")]
_HTML: dict[str, Any] = {"text/html": {"schema": {"type": "string"}}}


def _refusal(status: int, description: str) -> dict[int | str, dict[str, Any]]:
    """A page too, but for what is refused before anybody knows that it is about a link."""
    problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {status: {"description": description, "content": _HTML | {"application/problem+json": problem}}}


_PAGES: dict[int | str, dict[str, Any]] = {
    200: {"description": "A page for people.", "content": _HTML},
    **_refusal(404, "The link does not work."),
}
_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {
                    "type": "object",
                    "required": ["response"],
                    "additionalProperties": False,
                    "properties": {
                        "response": {"type": "string", "enum": ["accepted", "declined", "tentative"]},
                        "comment": {"type": "string", "maxLength": 200},
                    },
                }
            }
        },
    }
}


@router.get(
    "/rsvp/{token}", access="public", own_transaction=True, response_class=HTMLResponse, responses=_PAGES
)
async def get_invitation_page(token: Token, kernel: KernelDep) -> HTMLResponse:
    """The page of a mailed invitation, with its buttons; after the answer, what was answered."""
    return await show_invitation(kernel, token)


@router.post(
    "/rsvp/{token}",
    access="public",
    own_transaction=True,
    response_class=HTMLResponse,
    responses=_PAGES | _refusal(409, "Answered before, or too late.") | _refusal(422, "No answer."),
    openapi_extra=_FORM,
)
async def answer_invitation_page(token: Token, kernel: KernelDep, request: Request) -> HTMLResponse:
    """Take the answer of the page's form: each link answers once."""
    return await take_answer(kernel, token, await request.body())


@router.get(
    "/calendars/{feed_name}",
    access="public",
    own_transaction=True,
    response_class=Response,
    responses={
        200: {
            "description": "iCalendar (RFC 5545).",
            "content": {"text/calendar": {"schema": {"type": "string"}}},
        },
        304: {"description": "Not modified."},
    },
)
async def get_calendar_file(
    feed_name: Annotated[str, Path(max_length=200, description="The secret name, which ends in `.ics`.")],
    kernel: KernelDep,
    if_none_match: Annotated[str | None, Header(description="Answers 304 if current.")] = None,
) -> Response:
    """A member's calendar for other programs: what is theirs or they come to, around this time."""
    content, etag = await feed(kernel, feed_name)
    headers = {"ETag": etag, "Cache-Control": "private, max-age=300"}
    known = [one.strip().removeprefix("W/") for one in (if_none_match or "").split(",")]
    if etag in known or known == ["*"]:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type="text/calendar; charset=utf-8", headers=headers)
