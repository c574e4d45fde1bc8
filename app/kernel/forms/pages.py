"""What the routes of every kind of form do: the hosted page, its thanks, the script to embed it, and submissions."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from secrets import token_urlsafe
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.kernel.custom_fields.models import FieldType
from app.kernel.errors import FieldError, Invalid, NotFound, TooManyRequests
from app.kernel.forms import html
from app.kernel.forms.kinds import CONSENT, TOUCH_NAMES, FormKind, name_of, text_of, visible
from app.kernel.forms.requests import FORM_TYPE, form_for, sent_by, visit_of, wanted_language
from app.kernel.forms.texts import TEXTS, message_for
from app.kernel.forms.visits import OpenForm, OriginNotAllowed, Take, open_form, stamp, submit
from app.kernel.pages.public import look_of, message_page
from app.kernel.record_router import json_response
from app.kernel.records import to_json

PAGE: Final[dict[str, Any]] = {
    "access": "public",
    "own_transaction": True,
    "include_in_schema": False,
    "open_query": True,
}
"""What routes of pages say of themselves."""
_SCRIPT: Final = Path(__file__).with_name("embed.js")
_CODES: Final = (
    "required", "consent_required", "unknown_option", "invalid_email", "invalid_phone", "invalid_url", "invalid",
)  # fmt: skip
_SENT: Final[dict[str, Any]] = {
    "type": "object",
    "description": "The form's fields by name (`email`, `custom.budget`), `consent.<channel>` for boxes that were"
    " ticked, and what is known of the visit.",
    "properties": {
        "token": {
            "type": "string",
            "maxLength": 100,
            "description": "Your own key: sent twice, it counts once.",
        },
        "seconds": {"type": "number", "description": "How long the visitor took."},
        "opened": {"type": "string", "description": "The stamp of the hosted page, instead of `seconds`."},
        "language": {"type": "string", "examples": ["en"]},
        "referrer": {"type": "string"},
        "landing_page": {"type": "string"},
        "utm_source": {"type": "string"},
        "utm_medium": {"type": "string"},
        "utm_campaign": {"type": "string"},
        "utm_term": {"type": "string"},
        "utm_content": {"type": "string"},
        "first_touch": {
            "type": "object",
            "description": "`utm_*`, `referrer`, `landing_page` of the first visit.",
        },
    },
    "additionalProperties": True,
}


def submission_body(example: Mapping[str, Any]) -> dict[str, Any]:
    """How a submission is described (OpenAPI), with what one may look like."""
    schema = _SENT | {"example": dict(example)}
    content = {"application/json": {"schema": schema}, FORM_TYPE: {"schema": schema}}
    return {"requestBody": {"required": True, "content": content}}


# -- submissions ---------------------------------------------------------------------------------------------


async def receive(kind: FormKind[Any], take: Take, key: str, request: Request) -> Response:
    """A submission of a website or another server, as JSON or as a form.

    Raises: NotFound; OriginNotAllowed; TooManyRequests; Invalid, and what `sent_by` raises.
    """
    form = await form_for(kind, request, key, visit_of(request))
    sent, is_json = await sent_by(request)
    visit = visit_of(request, language=wanted_language(sent), strict=is_json, fallback=form.company.locale)
    receipt = await submit(form.for_visit(visit), sent, take, key=request.headers.get("idempotency-key"))
    if is_json:
        return json_response(to_json(receipt.model_dump()), 202)
    where = receipt.redirect_url or f"{kind.page}/{key}/thanks?lang={visit.language}"
    return RedirectResponse(where, 303)


async def preflight(kind: FormKind[Any], key: str, request: Request) -> Response:
    """Whether a page of this origin may send to the form; for reading submissions the operator's list counts."""
    if request.headers.get("access-control-request-method", "POST") != "POST":
        answer: Response = request.scope["app"].cors.preflight(request.headers, ["GET"])
        return answer
    try:
        await form_for(kind, request, key, visit_of(request))
    except (NotFound, OriginNotAllowed):
        return Response(status_code=403)
    return Response(
        status_code=204,
        headers={
            "Access-Control-Allow-Methods": "POST",
            "Access-Control-Allow-Headers": "Content-Type, Idempotency-Key",
            "Access-Control-Max-Age": "600",
        },
    )


# -- pages ---------------------------------------------------------------------------------------------------


async def show(kind: FormKind[Any], key: str, request: Request) -> Response:
    """The form as a page of its own; `?lang=zh` chooses the language, `?utm_…` are kept."""
    visit = visit_of(request, language=request.query_params.get("lang"))
    try:
        form = await open_form(kind, visit, key)
    except NotFound:
        return html.gone_page(visit.language)
    form = form.for_visit(
        visit_of(request, language=request.query_params.get("lang"), fallback=form.company.locale)
    )
    known = {name: request.query_params[name] for name in TOUCH_NAMES if name in request.query_params}
    known.setdefault("landing_page", str(request.url)[:2048])
    if request.headers.get("referer"):
        known.setdefault("referrer", request.headers["referer"][:2048])
    return await _form_page(form, known)


async def send(kind: FormKind[Any], take: Take, key: str, request: Request) -> Response:
    """What the page sends: leads on to the thanks, or shows the form again with what is wrong."""
    sent, _ = await sent_by(request)
    visit = visit_of(request, language=wanted_language(sent), strict=False)
    try:
        form = (await form_for(kind, request, key, visit)).for_visit(visit)
    except (NotFound, OriginNotAllowed):
        return html.gone_page(visit.language)
    try:
        done = await submit(form, sent, take)
    except Invalid as refusal:
        return await _form_page(form, sent, refusal.errors, status=422)
    except TooManyRequests as refusal:
        answer = await _form_page(form, sent, problem=TEXTS[visit.language]["too_many"], status=429)
        answer.headers["Retry-After"] = refusal.headers["Retry-After"]
        return answer
    return RedirectResponse(done.redirect_url or f"{kind.page}/{key}/thanks?lang={visit.language}", 303)


async def thank(kind: FormKind[Any], key: str, request: Request) -> Response:
    """What a visitor sees after sending the form."""
    visit = visit_of(request, language=request.query_params.get("lang"))
    try:
        form = await open_form(kind, visit, key)
    except NotFound:
        return html.gone_page(visit.language)
    look = look_of(visit.kernel, form.company)
    title = name_of(form.row, visit.language)
    return message_page(title, form.receipt().message, visit.language, look=look)


async def _form_page(
    form: OpenForm[Any],
    values: Mapping[str, Any],
    errors: tuple[FieldError, ...] = (),
    *,
    problem: str | None = None,
    status: int = 200,
) -> Response:
    kernel = form.visit.kernel
    return html.form_page(
        form,
        look=look_of(kernel, form.company),
        # Whoever corrects a mistake keeps the moment at which they began.
        opened=str(values.get("opened") or stamp(kernel)),
        token=str(values.get("token") or token_urlsafe(18)),
        types=await _types(form),
        values=values,
        errors=errors,
        problem=problem,
        status=status,
    )


async def _types(form: OpenForm[Any]) -> dict[str, FieldType]:
    async with form.transaction() as uow:
        return html.custom_types((await uow.kernel.custom_fields.of(uow, form.kind.object)).by_key)


# -- on other pages ------------------------------------------------------------------------------------------


async def embed(kind: FormKind[Any], key: str, request: Request) -> Response:
    """A script that shows the form on another page; it needs nothing else and sends JSON. Raises `NotFound`."""
    visit = visit_of(request, language=request.query_params.get("lang"))
    form = await open_form(kind, visit, key)
    code, _ = _asset()
    # Separators of lines that JSON allows and older scripts do not (ECMA-262, 12.3).
    config = (
        orjson.dumps(await _config(form))
        .replace(b"\xe2\x80\xa8", b"\\u2028")
        .replace(b"\xe2\x80\xa9", b"\\u2029")
    )
    headers = {
        "Cache-Control": "public, max-age=300",
        "Vary": "Accept-Language",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "cross-origin",
    }
    return Response(code.rstrip() + b"(" + config + b");\n", media_type="text/javascript", headers=headers)


async def _config(form: OpenForm[Any]) -> dict[str, Any]:
    """What the script has to know of the form: only what the page shows, too."""
    language, row = form.visit.language, form.row
    types = await _types(form)
    fields = [
        {
            "name": found["name"],
            "label": text_of(found["label"], language),
            "placeholder": text_of(found["placeholder"], language),
            "required": found["required"],
            "value": found["default"],
            "kind": _kind(found, types.get(found["name"])),
            "options": [
                {"value": one["value"], "label": text_of(one["label"], language)} for one in found["options"]
            ],
        }
        for found in visible(form.fields)
    ]
    fields += [
        {
            "name": CONSENT + consent["channel"],
            "label": text_of(consent["text"], language),
            "required": consent["required"],
            "kind": "checkbox",
        }
        for consent in form.consents
    ]
    names = ("send", "required", "choose", "failed", "too_many")
    return {
        "key": row.public_key,
        "endpoint": form.visit.kernel.settings.address_of(f"{form.kind.api}/{row.public_key}/submissions"),
        "language": language,
        "honeypot": row.honeypot,
        "fields": fields,
        "texts": {name: TEXTS[language][name] for name in names},
        "messages": {code: message_for(code, language) for code in _CODES},
    }


def _kind(found: Mapping[str, Any], kind: FieldType | None) -> str:
    if found["options"]:
        return "select"
    if kind is FieldType.BOOLEAN:
        return "checkbox"
    if found["name"] == "description" or kind is FieldType.LONG_TEXT:
        return "textarea"
    return html.input_type(found["name"], kind)


@lru_cache(maxsize=1)
def _asset() -> tuple[bytes, str]:
    content = _SCRIPT.read_bytes()
    return content, f'"{hashlib.sha256(content).hexdigest()[:20]}"'
