"""The door for mail about cases."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from app.kernel.errors import UnsupportedMediaType
from app.kernel.inbound_mail import SIZE_LIMIT_WITH_FILES, read_mail
from app.kernel.record_router import json_response
from app.kernel.records import to_json
from app.kernel.routing import CurrentActor, KernelDep, Router
from app.kernel.uow import transaction
from app.kernel.uploads import Received, store_content
from app.modules.after_sales.schemas.mail import CaseMailAnswer
from app.modules.after_sales.services.mail.taking import take_mail, to_ignore

router = Router(tags=["cases"])
_BODY: Final[dict[str, Any]] = {
    "requestBody": {"required": True, "content": {"message/rfc822": {"schema": {"type": "string"}}}}
}


@router.post(
    "/v1/cases/from-email",
    access="case:create",
    own_transaction=True,
    raw_body=True,
    response_model=CaseMailAnswer,
    openapi_extra=_BODY,
)
async def take_case_mail(request: Request, kernel: KernelDep, actor: CurrentActor) -> Response:
    """Take a mail of at most 20 MiB that a gateway hands on: an answer becomes a comment, anything else a case.

    Up to ten files that came with it are put on the case. Mail of machines and our own is ignored, and one that came
    before answers the same.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("", "message/rfc822"):
        raise UnsupportedMediaType(f"Send message/rfc822, not {kind}.")
    request.scope["rapport.body_limit"] = SIZE_LIMIT_WITH_FILES
    body = await request.body()
    mail = await asyncio.to_thread(read_mail, body, files=True)
    stored: list[Received] = []
    loose = stored
    try:
        if to_ignore(kernel.settings, mail) is None:  # before the transaction begins, which waits for nobody
            for one in mail.files:
                file = await store_content(kernel, actor.tenant.id, one.name, one.content)
                stored.append(file)  # known at once, or it would stay when the next one fails
        async with transaction(kernel, actor, request_id=request.scope["rapport.request_id"]) as uow:
            answer, not_kept = await take_mail(uow, mail, stored)
        loose = not_kept
    finally:
        for left in loose:
            await left.discard(kernel)
    return json_response(to_json(answer.model_dump()))
