"""The OpenAPI 3.1 document: what FastAPI derives, plus what every operation shares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi.openapi.utils import get_openapi
from starlette.routing import BaseRoute

from app.kernel.registry import Module

TITLE = "Rapport"

VERSION = "0.1.0"

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

SECURITY_SCHEMES: dict[str, Any] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An access token from `POST /v1/sessions`, or an API key `rk_live_…`.",
    }
}


def document(routes: Sequence[BaseRoute], modules: Sequence[Module]) -> dict[str, Any]:
    """The whole document; `rapport openapi export` writes it, CI compares it."""
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
        for name in (record.read.__name__, f"{record.read.__name__}-Output"):
            _may_leave_out(components["schemas"].get(name))
    found["security"] = [{"bearer": []}]
    found["tags"] = [
        {"name": module.name, "description": module.description or module.name.title()}
        for module in modules
        if module.routers
    ]
    tags = {tag["name"] for tag in found["tags"]}
    for operations in found["paths"].values():
        for operation in operations.values():
            _finish(operation)
            for tag in operation.get("tags", ()):
                if tag not in tags:
                    tags.add(tag)
                    found["tags"].append({"name": tag, "description": f"{tag.capitalize()}."})
    return found


def _may_leave_out(schema: dict[str, Any] | None) -> None:
    """What was not asked for (`fields=`) or is hidden from a role is left out of an answer."""
    if schema is not None:
        schema["required"] = ["id"]
        note = "Fields that your role hides, and those not asked for with `fields`, are absent."
        schema["description"] = f"{schema.get('description', '')} {note}".strip()


def _finish(operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    refused = responses.get("422", {})
    if "application/json" in refused.get("content", {}):
        responses.pop("422")
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    responses.setdefault("422", {"description": "Some of what was sent is not valid.", "content": problem})
    responses.setdefault("default", {"description": "A problem document.", "content": problem})
