"""`/v1/privacy`: what one person may ask of the company (GDPR art. 15, 17, 20; PIPL art. 44-47)."""

from __future__ import annotations

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Query, Response
from fastapi.responses import StreamingResponse

from app.kernel.contact import PHONE_MAX
from app.kernel.errors import BadRequest, problems
from app.kernel.files import FileNotFound
from app.kernel.paging import Cursor, Limit
from app.kernel.routing import Router, Uow
from app.kernel.schemas import Page
from app.kernel.secrets import encode_base64url
from app.kernel.uploads import attachment
from app.tenants.privacy.exporting import MEDIA_TYPE
from app.tenants.privacy.finding import Subject
from app.tenants.privacy.models import PrivacyRequest
from app.tenants.privacy.requests import (
    CONFIRM,
    MANAGE,
    PersonExportNotReady,
    PrivacyRequestNotDraft,
    PrivacyRequests,
)
from app.tenants.privacy.schemas import (
    PeopleFound,
    PersonCertificate,
    PersonFound,
    PrivacyRequestCreate,
    PrivacyRequestRead,
)

router = Router(prefix="/v1/privacy", tags=["privacy"])
_FILE: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The file: a line of JSON for each row.",
        "content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.get("/people", access=MANAGE)
async def find_people(
    uow: Uow,
    email: Annotated[str | None, Query(max_length=320, description="An e-mail address.")] = None,
    phone: Annotated[
        str | None, Query(max_length=PHONE_MAX, description="A telephone number, in any form.")
    ] = None,
) -> PeopleFound:
    """Whose address or number somebody writes from: contacts, leads and consumers, to name in a request."""
    if email is None and phone is None:
        raise BadRequest("Say an e-mail address or a telephone number.")
    people, refused = await PrivacyRequests(uow).people(email, phone)
    return PeopleFound(
        people=[PersonFound.model_validate(one, from_attributes=True) for one in people],
        refused=refused,
    )


@router.post("/requests", access=MANAGE, status_code=201)
async def create_privacy_request(
    body: PrivacyRequestCreate, uow: Uow, response: Response
) -> PrivacyRequestRead:
    """Look what is held of a person, as a draft: nothing is told or erased before it is confirmed."""
    subjects = list(dict.fromkeys(Subject(one.object, one.record_id) for one in body.subjects))
    request = await PrivacyRequests(uow).make(body.kind, subjects, body.reason)
    response.headers["Location"] = f"/v1/privacy/requests/{request.id}"
    return _read(request)


@router.get("/requests", access=MANAGE)
async def list_privacy_requests(
    uow: Uow, limit: Limit = 50, cursor: Cursor = None
) -> Page[PrivacyRequestRead]:
    """Requests, the newest first."""
    return (await PrivacyRequests(uow).page(limit=limit, cursor=cursor)).page(_read)


@router.get("/requests/{id}", access=MANAGE)
async def get_privacy_request(uow: Uow, id: UUID) -> PrivacyRequestRead:
    """A request, what is held, and how far it is."""
    return _read(await PrivacyRequests(uow).get(id))


@router.post(
    "/requests/{id}/confirm", access=CONFIRM, status_code=202, responses=problems(PrivacyRequestNotDraft)
)
async def confirm_privacy_request(uow: Uow, id: UUID) -> PrivacyRequestRead:
    """Have it answered: the copy is written, or the person is erased, for good.

    Confirmed again nothing happens twice; a request whose job has failed goes on.
    """
    return _read(await PrivacyRequests(uow).confirm(id))


@router.post("/requests/{id}/cancel", access=MANAGE, responses=problems(PrivacyRequestNotDraft))
async def cancel_privacy_request(uow: Uow, id: UUID) -> PrivacyRequestRead:
    """Give a draft up."""
    return _read(await PrivacyRequests(uow).cancel(id))


@router.get(
    "/requests/{id}/content",
    access=CONFIRM,
    response_class=Response,
    responses=_FILE | problems(PersonExportNotReady),
)
async def get_privacy_request_content(uow: Uow, id: UUID) -> Response:
    """Everything that is held of the person, for seven days: rows, changes of their records, and files."""
    request = await PrivacyRequests(uow).file(id)
    try:
        body = await uow.kernel.files.get_stream(str(request.file_key))
    except FileNotFound:
        raise PersonExportNotReady from None
    headers = attachment(f"person-{request.id}.ndjson") | {
        "Content-Length": str(request.file_size),
        "ETag": f'"{request.file_sha256}"',
    }
    return StreamingResponse(body, media_type=MEDIA_TYPE, headers=headers)


@router.get("/requests/{id}/certificate", access=MANAGE)
async def get_privacy_request_certificate(uow: Uow, id: UUID) -> PersonCertificate:
    """What was erased, when, and on whose word, signed by the installation; 404 before it is completed."""
    request, valid = await PrivacyRequests(uow).certificate(id)
    return PersonCertificate(
        certificate=request.certificate or {},
        key_id=request.key_id or "",
        signature=encode_base64url(request.signature or b""),
        valid=valid,
    )


def _read(row: PrivacyRequest) -> PrivacyRequestRead:
    path = f"/v1/privacy/requests/{row.id}/content"
    named = {name: getattr(row, name) for name in PrivacyRequestRead.model_fields if hasattr(row, name)}
    return PrivacyRequestRead.model_validate(
        named
        | {
            "content": path if row.file_key is not None else None,
            "size": row.file_size,
            "sha256": row.file_sha256,
        }
    )
