"""CORS for the SPAs that the operator names; everything else gets no header and is stopped by the browser."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.responses import Response

EXPOSED = (
    "ETag, Location, X-Request-Id, RateLimit, RateLimit-Policy, Retry-After, Idempotent-Replayed,"
    " Account-Status"
)
ALLOWED = "Authorization, Content-Type, If-Match, If-None-Match, Idempotency-Key, X-Request-Id, Last-Event-ID"


class Cors:
    """Answers preflights and marks answers for allowed origins."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._origins = frozenset(origins)

    def headers(self, origin: str) -> list[tuple[bytes, bytes]]:
        """Headers for an answer to this origin; only `Vary` for an unknown one."""
        if origin not in self._origins:
            return [(b"vary", b"Origin")]
        return [
            (b"access-control-allow-origin", origin.encode()),
            (b"access-control-allow-credentials", b"true"),
            (b"access-control-expose-headers", EXPOSED.encode()),
            (b"vary", b"Origin"),
        ]

    def preflight(self, headers: Headers, methods: Sequence[str]) -> Response:
        """The answer to `OPTIONS`; the origin's own headers are added to every answer anyway."""
        if headers.get("origin") not in self._origins:
            return Response(status_code=403)
        return Response(
            status_code=204,
            headers={
                "Access-Control-Allow-Methods": ", ".join(methods),
                "Access-Control-Allow-Headers": ALLOWED,
                "Access-Control-Max-Age": "600",
            },
        )
