"""Requests of strangers: what they send as JSON or as a form, from where, and what their browser may read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from starlette.requests import Request

from app.kernel.errors import BadRequest, Invalid, UnsupportedMediaType
from app.kernel.forms.kinds import FormKind, Row
from app.kernel.forms.visits import BODY_LIMIT, OpenForm, OriginNotAllowed, Visit, open_form
from app.kernel.pages.languages import language_of
from app.kernel.transactional import parse_json

FORM_TYPE: Final = "application/x-www-form-urlencoded"
_MAX_FIELDS: Final = 200
_VARY: Final = [(b"vary", b"Origin")]


def visit_of(
    request: Request, *, language: object = None, strict: bool = True, fallback: str = "en"
) -> Visit:
    """Who sends this request, and in which language they are answered."""
    return Visit(
        kernel=request.scope["rapport.kernel"],
        request_id=request.scope["rapport.request_id"],
        ip=request.client.host if request.client else "",
        language=language_of(language, request.headers.get("accept-language"), fallback),
        strict=strict,
    )


async def sent_by(request: Request) -> tuple[dict[str, Any], bool]:
    """What a body of at most 64 KiB holds, and whether it is JSON.

    Raises: PayloadTooLarge, UnsupportedMediaType, InvalidJson, BadRequest, Invalid for what is no object.
    """
    request.scope["rapport.body_limit"] = min(request.scope["rapport.body_limit"], BODY_LIMIT)
    kind = media_type_of(request)
    if kind == FORM_TYPE:
        return _form_fields(await request.body()), False
    if kind not in ("", "application/json"):
        raise UnsupportedMediaType(f"Send application/json or {FORM_TYPE}, not {kind}.")
    parsed = parse_json(await request.body())
    if not isinstance(parsed, dict):
        raise Invalid.at("", "dict_type", "Send an object.")
    return parsed, True


def media_type_of(request: Request) -> str:
    """The type of the body without its parameters, in lower case; empty where it has none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _form_fields(body: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict"
        )
    except ValueError:
        raise BadRequest(
            "The form cannot be read: it has to be URL-encoded UTF-8 of at most 200 fields."
        ) from None
    if any("\0" in text for pair in pairs for text in pair):
        raise Invalid("Text may not contain the NUL character.")
    return dict(pairs)


async def form_for(kind: FormKind[Row], request: Request, key: str, visit: Visit) -> OpenForm[Row]:
    """The form that a page sends to; the browser is told what it may read.

    An origin that is not on the form's list gets no CORS header, not even of the operator's own.
    Raises: NotFound, OriginNotAllowed.
    """
    request.scope["rapport.cors"] = _VARY
    form = await open_form(kind, visit, key)
    origin = request.headers.get("origin")
    if origin is None:
        return form
    if not form.allows(origin, request.headers.get("host", "")):
        raise OriginNotAllowed
    request.scope["rapport.cors"] = [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-expose-headers", b"Retry-After, X-Request-Id"),
        *_VARY,
    ]
    return form


def wanted_language(sent: Mapping[str, Any]) -> object:
    """The language that a submission asks to be answered in."""
    return sent.get("language")
