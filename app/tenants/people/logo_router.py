"""The company's logo over HTTP: set it, remove it, and the picture itself for anybody."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Path, Response
from starlette.requests import Request

from app.kernel.routing import IfMatch, KernelDep, Router, Uow
from app.tenants.people.logos import SIZE_LIMIT, public_logo, put_logo, remove_logo
from app.tenants.people.organisation_router import tenant_answer
from app.tenants.people.schemas import TenantRead

router = Router(prefix="/v1/tenant/logo", tags=["tenant"])
public_router = Router(prefix="/public/logos", tags=["public"])

_PICTURE: Final[dict[str, Any]] = {"schema": {"type": "string", "format": "binary"}}
_BODY: Final[dict[str, Any]] = {
    "requestBody": {"required": True, "content": {"image/png": _PICTURE, "image/jpeg": _PICTURE}}
}


@router.put("", access="tenant:update", raw_body=True, response_model=TenantRead, openapi_extra=_BODY)
async def put_tenant_logo(request: Request, uow: Uow, version: IfMatch, response: Response) -> TenantRead:
    """Set the logo: the body is a PNG or JPEG of at most 256 KiB and 2,000 pixels a side."""
    request.scope["rapport.body_limit"] = min(request.scope["rapport.body_limit"], SIZE_LIMIT)
    row = await put_logo(uow, await request.body(), expected_version=version)
    return tenant_answer(uow, row, response)


@router.delete("", access="tenant:update", response_model=TenantRead)
async def delete_tenant_logo(uow: Uow, version: IfMatch, response: Response) -> TenantRead:
    """Remove the logo."""
    return tenant_answer(uow, await remove_logo(uow, expected_version=version), response)


@public_router.get(
    "/{token}",
    access="public",
    own_transaction=True,
    response_class=Response,
    responses={
        200: {"description": "The picture.", "content": {"image/png": _PICTURE, "image/jpeg": _PICTURE}}
    },
)
async def get_public_logo(
    token: Annotated[str, Path(max_length=200, description="From the company's `logo_url`.")],
    kernel: KernelDep,
) -> Response:
    """A company's logo, as its pages show it."""
    content, media_type = await public_logo(kernel, token)
    headers = {
        "Cache-Control": "public, max-age=31536000, immutable",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    return Response(content, media_type=media_type, headers=headers)
