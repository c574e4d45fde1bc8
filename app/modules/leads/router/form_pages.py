"""Pages for visitors under `/forms`: the hosted form, its thanks, the script that embeds it, and mailed links."""

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
from app.kernel.pages.public import look_of
from app.kernel.routing import Router
from app.modules.leads.router.form_requests import form_for, sent_by, visit_of, wanted_language
from app.modules.leads.services import capture
from app.modules.leads.services.capture import html
from app.modules.leads.services.capture.answers import CONSENT, visible_fields
from app.modules.leads.services.capture.forms import TOUCH_NAMES
from app.modules.leads.services.capture.submissions import (
    Confirmation,
    OpenForm,
    OriginNotAllowed,
    Visit,
    confirm,
    look_at,
    open_form,
    receipt,
    stamp,
    submit,
)
from app.modules.leads.services.capture.texts import TEXTS, message_for

ASSETS: Final = Path(capture.__file__).parent
_CODES: Final = (
    "required", "consent_required", "unknown_option", "invalid_email", "invalid_phone", "invalid_url", "invalid",
)  # fmt: skip
router = Router(tags=["pages"])
_PAGE: Final[dict[str, Any]] = {
    "access": "public",
    "own_transaction": True,
    "include_in_schema": False,
    "open_query": True,
}


@router.get("/forms/{key}", **_PAGE)
async def show_form(key: str, request: Request) -> Response:
    """The form as a page of its own; `?lang=zh` chooses the language, `?utm_…` are kept."""
    visit = visit_of(request, language=request.query_params.get("lang"))
    try:
        form = await open_form(visit, key)
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


@router.post("/forms/{key}", raw_body=True, **_PAGE)
async def send_form(key: str, request: Request) -> Response:
    """What the page sends: leads on to the thanks, or shows the form again with what is wrong."""
    sent, _ = await sent_by(request)
    visit = visit_of(request, language=wanted_language(sent), strict=False)
    try:
        form = (await form_for(request, key, visit)).for_visit(visit)
    except (NotFound, OriginNotAllowed):
        return html.gone_page(visit.language)
    try:
        done = await submit(form, sent)
    except Invalid as refusal:
        return await _form_page(form, sent, refusal.errors, status=422)
    except TooManyRequests as refusal:
        texts = TEXTS[visit.language]
        answer = await _form_page(form, sent, problem=texts["too_many"], status=429)
        answer.headers["Retry-After"] = refusal.headers["Retry-After"]
        return answer
    return RedirectResponse(done.redirect_url or f"/forms/{key}/thanks?lang={visit.language}", 303)


async def _form_page(
    form: OpenForm,
    values: Mapping[str, Any],
    errors: tuple[FieldError, ...] = (),
    *,
    problem: str | None = None,
    status: int = 200,
) -> Response:
    kernel, language = form.visit.kernel, form.visit.language
    return html.form_page(
        form.row,
        language,
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


async def _types(form: OpenForm) -> dict[str, FieldType]:
    async with form.transaction() as uow:
        return html.custom_types((await uow.kernel.custom_fields.of(uow, "lead")).by_key)


@router.get("/forms/{key}/thanks", **_PAGE)
async def show_thanks(key: str, request: Request) -> Response:
    """What a visitor sees after sending the form."""
    visit = visit_of(request, language=request.query_params.get("lang"))
    try:
        form = await open_form(visit, key)
    except NotFound:
        return html.gone_page(visit.language)
    title = html.text_of({"en": form.row.name_en, "zh": form.row.name_zh}, visit.language)
    look = look_of(visit.kernel, form.company)
    return html.saying(title, receipt(form).message, visit.language, look=look)


@router.get("/forms/{key}/embed.js", **_PAGE)
async def embed_form(key: str, request: Request) -> Response:
    """A script that shows the form on another page; it needs nothing else and sends JSON."""
    visit = visit_of(request, language=request.query_params.get("lang"))
    form = await open_form(visit, key)
    code, _ = _asset("embed.js")
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


async def _config(form: OpenForm) -> dict[str, Any]:
    """What the script has to know of the form: only what the page shows, too."""
    language, row = form.visit.language, form.row
    types = await _types(form)
    fields = [
        {
            "name": found["name"],
            "label": html.text_of(found["label"], language),
            "placeholder": html.text_of(found["placeholder"], language),
            "required": found["required"],
            "value": found["default"],
            "kind": _kind(found, types.get(found["name"])),
            "options": [
                {"value": one["value"], "label": html.text_of(one["label"], language)}
                for one in found["options"]
            ],
        }
        for found in visible_fields(row)
    ]
    fields += [
        {
            "name": CONSENT + consent["channel"],
            "label": html.text_of(consent["text"], language),
            "required": consent["required"],
            "kind": "checkbox",
        }
        for consent in row.consents
    ]
    names = ("send", "required", "choose", "failed", "too_many")
    return {
        "key": row.public_key,
        "endpoint": form.visit.kernel.settings.address_of(f"/v1/forms/{row.public_key}/submissions"),
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


# -- links from mails ----------------------------------------------------------------------------------------


@router.get("/forms/confirmations/{token}", **_PAGE)
async def show_confirmation(token: str, request: Request) -> Response:
    """The page behind a mailed link: reading it changes nothing."""
    visit = visit_of(request)
    try:
        return _confirmation(visit, await look_at(visit, token), token)
    except NotFound:
        return html.gone_page(visit.language)


@router.post("/forms/confirmations/{token}", raw_body=True, **_PAGE)
async def send_confirmation(token: str, request: Request) -> Response:
    """Confirm the address."""
    visit = visit_of(request)
    try:
        return _confirmation(visit, await confirm(visit, token), token)
    except NotFound:
        return html.gone_page(visit.language)


def _confirmation(visit: Visit, standing: Confirmation, token: str) -> Response:
    return html.confirmation_page(standing, token, look_of(visit.kernel, standing.company))


@lru_cache(maxsize=4)
def _asset(name: str) -> tuple[bytes, str]:
    content = (ASSETS / name).read_bytes()
    return content, f'"{hashlib.sha256(content).hexdigest()[:20]}"'
