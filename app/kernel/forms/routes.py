"""The operations by which strangers reach a form, for every kind alike: submissions, the hosted page, the script."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Path
from starlette.requests import Request
from starlette.responses import Response

from app.kernel.errors import TooManyRequests, problems
from app.kernel.forms import pages
from app.kernel.forms.kinds import FormKind
from app.kernel.forms.pages import PAGE, submission_body
from app.kernel.forms.schemas import SubmissionReceipt
from app.kernel.forms.visits import OriginNotAllowed, Take
from app.kernel.routing import Router

FormKey = Annotated[str, Path(alias="id", max_length=200, description="The form's `public_key`.")]
_SUBMIT = """ Every answer is alike, whoever is known here.

A page that sends it needs an origin of the form's list. Sent as JSON, unknown fields are refused; sent as a
form, they are left out and the answer redirects. `Idempotency-Key` serves as the token, too.
"""


def add_submissions(
    router: Router, kind: FormKind[Any], take: Take, *, name: str, says: str, example: Mapping[str, Any]
) -> None:
    """`POST` and its preflight below the kind's `api`. Operations are called after `name`; `says` what one does."""
    path = f"{kind.api}/{{id}}/submissions"

    async def submit(key: FormKey, request: Request) -> Response:
        return await pages.receive(kind, take, key, request)

    submit.__doc__ = says + _SUBMIT
    router.post(
        path,
        access="public",
        status_code=202,
        operation_id=f"submit_{name}",
        own_transaction=True,
        raw_body=True,
        response_model=SubmissionReceipt,
        responses=problems(OriginNotAllowed, TooManyRequests)
        | {303: {"description": "Sent as a form: go to the thanks, or where the form says."}},
        openapi_extra=submission_body(example),
    )(submit)

    async def preflight(key: FormKey, request: Request) -> Response:
        """Whether a page of this origin may send to the form; for reading submissions the operator's list counts."""
        return await pages.preflight(kind, key, request)

    router.operation(
        "OPTIONS",
        path,
        access="public",
        own_transaction=True,
        include_in_schema=False,
        operation_id=f"preflight_{name}",
    )(preflight)


def add_pages(router: Router, kind: FormKind[Any], take: Take, *, name: str) -> None:
    """The hosted form, its thanks, and the script that embeds it, below the kind's `page`."""
    path = f"{kind.page}/{{key}}"

    @router.get(path, operation_id=f"show_{name}", **PAGE)
    async def show(key: str, request: Request) -> Response:
        """The form as a page of its own; `?lang=zh` chooses the language, `?utm_…` are kept."""
        return await pages.show(kind, key, request)

    @router.post(path, operation_id=f"send_{name}", raw_body=True, **PAGE)
    async def send(key: str, request: Request) -> Response:
        """What the page sends: leads on to the thanks, or shows the form again with what is wrong."""
        return await pages.send(kind, take, key, request)

    @router.get(f"{path}/thanks", operation_id=f"show_{name}_thanks", **PAGE)
    async def thanks(key: str, request: Request) -> Response:
        """What a visitor sees after sending the form."""
        return await pages.thank(kind, key, request)

    @router.get(f"{path}/embed.js", operation_id=f"embed_{name}", **PAGE)
    async def embed(key: str, request: Request) -> Response:
        """A script that shows the form on another page; it needs nothing else and sends JSON."""
        return await pages.embed(kind, key, request)
