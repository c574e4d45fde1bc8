"""Who asks an operation that works across tenants, for its endpoint."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from app.tenants.auth.control import REFRESH_COOKIE, Caller


async def _caller(request: Request) -> Caller:
    headers = request.headers
    return Caller(
        kernel=request.scope["rapport.kernel"],
        actor=request.scope["rapport.actor"],
        request_id=request.scope["rapport.request_id"],
        ip=request.client.host if request.client else "",
        user_agent=headers.get("user-agent", "")[:300],
        origin=headers.get("origin"),
        host=headers.get("host", ""),
        cookie=request.cookies.get(REFRESH_COOKIE),
    )


CallerDep = Annotated[Caller, Depends(_caller)]
