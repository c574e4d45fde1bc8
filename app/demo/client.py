"""A client of the public API, for the demo and the command line: what it cannot do, nobody can.

Refusals become `ApiFailure` with the problem document's words. Requests that a busy server or a restart may
break are tried again when that is safe.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Self

import httpx

_TRIES = 8
_SAFE = frozenset({"GET", "HEAD", "PUT"})
_BUSY = frozenset({429, 502, 503, 504})


class ApiFailure(Exception):
    """The API refused: `code` is stable, `detail` explains, `document` is all it said."""

    def __init__(self, method: str, path: str, status: int, document: Mapping[str, Any]) -> None:
        self.status = status
        self.document = document
        self.code = str(document.get("code", ""))
        self.detail = str(document.get("detail") or document.get("title") or f"HTTP {status}")
        errors = document.get("errors", [])
        places = [
            e["pointer"] if e["detail"] == self.detail else f"{e['pointer']}: {e['detail']}" for e in errors
        ]
        where = f" ({'; '.join(places[:5])})" if places else ""
        super().__init__(f"{method} {path} answered {status}: {self.detail}{where}")


class Api:
    """One conversation with the API; `token` is an access token or an API key."""

    def __init__(self, url: str, token: str | None = None, *, http: httpx.AsyncClient | None = None) -> None:
        self.url = url.rstrip("/")
        self.token = token
        self._http = http or httpx.AsyncClient(
            base_url=self.url, timeout=httpx.Timeout(60, connect=5), trust_env=not _is_local(self.url)
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    def as_user(self, token: str) -> Api:
        """The same connections, somebody else's credential."""
        return Api(self.url, token, http=self._http)

    async def send(self, method: str, path: str, *, key: str | None = None, **options: Any) -> httpx.Response:
        """One request. Raises: ApiFailure for every refusal, httpx.TransportError when nobody answers.

        With `key`, the Idempotency-Key, a POST is tried again like a GET.
        """
        headers = dict(options.pop("headers", {}))
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if key is not None:
            headers["Idempotency-Key"] = key
        again = method in _SAFE or key is not None
        for attempt in range(1, _TRIES + 1):
            try:
                response = await self._http.request(method, path, headers=headers, **options)
            except httpx.TransportError:
                if not again or attempt == _TRIES:
                    raise
                await _pause(attempt)
                continue
            if response.is_success:
                return response
            busy = response.status_code == 429 or (again and response.status_code in _BUSY)
            if not busy or attempt == _TRIES:
                raise ApiFailure(method, path, response.status_code, _document(response))
            await _pause(attempt, response.headers.get("retry-after"))
        raise AssertionError("unreachable")

    async def pieces(self, method: str, path: str, **options: Any) -> AsyncIterator[bytes]:
        """A long answer as it comes. Raises: ApiFailure when it is refused."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        async with self._http.stream(method, path, headers=headers, **options) as response:
            if not response.is_success:
                await response.aread()
                raise ApiFailure(method, path, response.status_code, _document(response))
            async for piece in response.aiter_bytes():
                yield piece

    async def get(self, path: str, **params: Any) -> Any:
        return (await self.send("GET", path, params=params)).json()

    async def post(self, path: str, body: Any = None, *, key: str | None = None, **headers: str) -> Any:
        response = await self.send("POST", path, key=key, json=body, headers=headers)
        return response.json() if response.content else None

    async def pages(self, path: str, **params: Any) -> AsyncIterator[dict[str, Any]]:
        """Every record of a list."""
        cursor: str | None = None
        while True:
            more = {"cursor": cursor} if cursor else {}
            page = await self.get(path, limit=200, **params, **more)
            for record in page["data"]:
                yield record
            cursor = page.get("next_cursor")
            if not cursor:
                return


def _is_local(url: str) -> bool:
    """Whether a proxy of the environment would only be in the way."""
    return (httpx.URL(url).host or "") in ("127.0.0.1", "localhost", "::1")


def _document(response: httpx.Response) -> Mapping[str, Any]:
    try:
        found = response.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


async def _pause(attempt: int, asked: str | None = None) -> None:
    wait = min(5.0, 0.1 * 2**attempt) * random.uniform(0.5, 1)  # noqa: S311 - spreads retries, hides nothing
    if asked and asked.isdigit():
        wait = max(wait, min(60, int(asked)))
    await asyncio.sleep(wait)
