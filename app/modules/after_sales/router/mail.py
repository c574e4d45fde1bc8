"""The door for mail about cases."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from app.kernel.errors import PayloadTooLarge, UnsupportedMediaType
from app.kernel.inbound_mail import SIZE_LIMIT
from app.kernel.routing import Router, Uow
from app.modules.after_sales.schemas.mail import CaseMailAnswer
from app.modules.after_sales.services.mail.taking import take_mail

router = Router(tags=["cases"])
_BODY: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"message/rfc822": {"schema": {"type": "string"}}}}
}


@router.post("/v1/cases/from-email", access="case:create", raw_body=True, openapi_extra=_BODY)
async def take_case_mail(request: Request, uow: Uow) -> CaseMailAnswer:
    """Take a mail of at most 1 MiB that a gateway hands on: an answer becomes a comment, anything else a case.

    Mail of machines and our own is ignored, and one that came before answers the same.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("", "message/rfc822"):
        raise UnsupportedMediaType(f"Send message/rfc822, not {kind}.")
    body = await request.body()
    if len(body) > SIZE_LIMIT:
        raise PayloadTooLarge(f"A mail may have at most {SIZE_LIMIT} bytes.", limit=SIZE_LIMIT)
    return await take_mail(uow, body)
