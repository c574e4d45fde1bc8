"""Strangers who open the secret address of a page: who they are as far as their request tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from starlette.requests import Request

from app.kernel.access import TenantProfile
from app.kernel.figures import Language
from app.kernel.pages.languages import language_of
from app.kernel.runtime import Kernel

_TOKEN_LENGTH = 400  # longer than any that we make


@dataclass(frozen=True, slots=True)
class PageVisitor:
    """Who asks, for what, and in which language if the address (`wanted`) or the browser (`accepted`) says so."""

    kernel: Kernel
    token: str
    address: str
    request_id: str
    wanted: str | None
    accepted: str | None

    @classmethod
    def of(cls, request: Request, token: str) -> Self:
        """Who sends this request for the page behind `token`."""
        return cls(
            kernel=request.scope["rapport.kernel"],
            token=token[:_TOKEN_LENGTH],
            address=request.client.host if request.client else "",
            request_id=request.scope["rapport.request_id"],
            wanted=request.query_params.get("lang"),
            accepted=request.headers.get("accept-language"),
        )

    def language(self, company: TenantProfile | None = None) -> Language:
        """What was asked for, else what the browser prefers, else the company's."""
        return language_of(self.wanted, self.accepted, company.locale if company else "en")
