"""The OpenAPI 3.1 document: what FastAPI derives, plus what every operation shares."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

from fastapi.openapi.utils import get_openapi
from starlette.routing import BaseRoute

from app.kernel.config import VERSION
from app.kernel.errors import StaleVersion, VersionRequired, problems
from app.kernel.registry import Module

TITLE = "Rapport"

COMMITTED: Final = Path(__file__).resolve().parents[2] / "openapi" / "openapi.json"
"""The document of this very code: `make check` fails where it is not what `document` writes."""

_CHECKOUT: Final = 120.0  # seconds that a checkout may take

DESCRIPTION = """
Rapport is a multi-tenant CRM. Sign up at `POST /v1/sign-up`, sign in at `POST /v1/sessions`, and send the
access token, or an API key, as `Authorization: Bearer …`.

* Lists page by cursor; filters are query parameters (`status=new`, `created_at[gte]=-30d`) or a body to `…/search`.
* Records carry `version`; changes take `If-Match` with the ETag that was read.
* POST takes `Idempotency-Key`; errors are RFC 9457 problem documents with a stable `code`.
"""

PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "What went wrong (RFC 9457).",
    "required": ["type", "title", "status", "detail", "instance", "code", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "code": {"type": "string", "description": "Stable; the catalogue is at /problems."},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "code", "detail"],
                "properties": {
                    "pointer": {"type": "string", "description": "JSON pointer, or a parameter's name."},
                    "code": {"type": "string"},
                    "detail": {"type": "string"},
                },
            },
        },
    },
    "additionalProperties": True,
}

IDEMPOTENCY_KEY: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Your name for this request: sent again within 24 hours it takes effect once.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 257},
    "example": "8f1c2a4e-order-1042",
}

IF_MATCH: dict[str, Any] = {
    "name": "If-Match",
    "in": "header",
    "required": True,
    "description": "The version that you read: its ETag. Missing is 428, stale is 412.",
    "schema": {"type": "string"},
    "example": '"7"',
}

# What a parameter means wherever its operation does not say more.
PARAMETERS = {
    "id": "The `id` of the one record that is meant.",
    "share_id": "The `id` of the share.",
    "limit": "At most this many entries; above 200 counts as 200.",
    "cursor": "`next_cursor` of the page before.",
    "object": "A record type, such as `lead`.",
    "record_id": "Only what concerns this record.",
    "event_type": "A type from `GET /v1/event-types`.",
    "event_id": "Only what concerns this event.",
    "kind": "Which part of the result.",
    "state": "Only those in this state.",
    "status": "Only those with this status.",
    "team_id": "Only members of this team.",
    "role_id": "Only members with this role.",
}

SECURITY_SCHEMES: dict[str, Any] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An access token from `POST /v1/sessions`, or an API key `rk_live_…`.",
    },
    "operator": {
        "type": "http",
        "scheme": "bearer",
        "description": "A key `rok_live_…` of whoever runs the installation: `rapport operator create-key`.",
    },
}


@cache
def committed_is_current(path: Path) -> bool:
    """Whether no source file was written after the committed document, as when the code is as it was checked out.

    Asked once: what a process runs is the code that it began with.
    """
    sources = (source.stat().st_mtime for source in Path(__file__).parents[1].rglob("*.py"))
    return path.is_file() and max(sources) < path.stat().st_mtime + _CHECKOUT


def document(routes: Sequence[BaseRoute], modules: Sequence[Module]) -> dict[str, Any]:
    """The whole document; `rapport openapi export` writes it, CI compares it.

    It takes seconds: FastAPI builds a validator for each field of each schema, to describe what they refer to.
    """
    with _uncollected():
        found = get_openapi(
            title=TITLE,
            version=VERSION,
            openapi_version="3.1.0",
            description=DESCRIPTION.strip(),
            routes=routes,
            servers=[{"url": "http://127.0.0.1:8000", "description": "Your own machine (`make run`)."}],
            license_info={"name": "Proprietary", "url": "https://rapport.example/licence"},
            contact={"name": "Rapport", "url": "https://rapport.example", "email": "api@rapport.example"},
        )
    components = found.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = PROBLEM_SCHEMA
    components["securitySchemes"] = SECURITY_SCHEMES
    for unused in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(unused, None)
    for record in [record for module in modules for record in module.records]:
        for shown in (record.read, record.detail or record.read):
            for name in (shown.__name__, f"{shown.__name__}-Output"):
                _may_leave_out(components["schemas"].get(name))
    found["security"] = [{"bearer": []}]
    shared: dict[str, Any] = components.setdefault("responses", {})
    for operations in found["paths"].values():
        for method, operation in operations.items():
            _finish(method, operation)
            _share_responses(operation["responses"], shared)
    found["tags"] = _tags(modules, found["paths"])
    return found


@contextmanager
def _uncollected() -> Iterator[None]:
    """Millions of objects are made and nearly all of them kept: looking for garbage among them is a quarter of it."""
    collected = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collected:
            gc.enable()


def _tags(modules: Sequence[Module], paths: dict[str, Any]) -> list[dict[str, str]]:
    """The tags in use, by name; a module that names none has one of its own name."""
    described = {
        tag: description
        for module in modules
        for tag, description in (module.tags or {module.name: module.description}).items()
    }
    used = {tag for operations in paths.values() for one in operations.values() for tag in one["tags"]}
    return [{"name": tag, "description": described.get(tag, tag)} for tag in sorted(used)]


def _may_leave_out(schema: dict[str, Any] | None) -> None:
    """What was not asked for (`fields=`) or is hidden from a role is left out of an answer."""
    if schema is not None and schema["required"] != ["id"]:
        schema["required"] = ["id"]
        note = "Fields that your role hides, and those not asked for with `fields`, are absent."
        schema["description"] = f"{schema.get('description', '')} {note}".strip()


def _finish(method: str, operation: dict[str, Any]) -> None:
    """Add what every operation shares, and describe the parameters that mean the same everywhere."""
    parameters: list[dict[str, Any]] = operation.setdefault("parameters", [])
    names = {parameter["name"].lower() for parameter in parameters}
    operation.pop("x-lone-read", None)
    keyed = operation["x-permission"] != "public" and not operation.get("x-own-transaction")
    if method == "post" and keyed and "idempotency-key" not in names:
        parameters.append(IDEMPOTENCY_KEY)
    for at, parameter in enumerate(parameters):
        if parameter["name"] == "idempotency-key":
            parameters[at] = IDEMPOTENCY_KEY
        elif parameter["name"] == "if-match":
            parameters[at] = IF_MATCH
            for status, response in problems(StaleVersion, VersionRequired).items():
                operation["responses"].setdefault(str(status), response)
        elif not parameter.get("description"):
            parameter["description"] = PARAMETERS.get(parameter["name"], "")
    if not parameters:
        del operation["parameters"]
    operation.setdefault("description", operation["summary"])
    responses = operation["responses"]
    refused = responses.get("422", {})
    if "application/json" in refused.get("content", {}):
        responses.pop("422")
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    responses.setdefault("422", {"description": "Some of what was sent is not valid.", "content": problem})
    responses.setdefault("default", {"description": "A problem document.", "content": problem})
    operation["responses"] = {str(status): responses[status] for status in sorted(responses, key=str)}


def _share_responses(responses: dict[str, Any], shared: dict[str, Any]) -> None:
    """Move error responses to the components, named after their codes: they are most of the document."""
    for status, response in responses.items():
        content = response.get("content", {}).get("application/problem+json")
        if content is None:
            continue
        codes = sorted(content.get("examples", {})) or ["problem" if status == "default" else "refused"]
        name = f"{status}-{'-'.join(codes)}"
        shared[name] = response
        responses[status] = {"$ref": f"#/components/responses/{name}"}
