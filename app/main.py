"""The application: the API of all modules."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import orjson
from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from app.kernel import logging, metrics, openapi, tracing
from app.kernel.config import VERSION, Settings, get_settings
from app.kernel.constraints import problem_of
from app.kernel.cors import Cors
from app.kernel.errors import BadRequest, MethodNotAllowed, NotFound, Problem, Unavailable
from app.kernel.ids import new_id
from app.kernel.registry import Module, Registry
from app.kernel.routing import PathIndex, Router
from app.kernel.runtime import Kernel
from app.kernel.startup import open_kernel
from app.product import build_registry
from app.tenants.leaving.erase_list import require_applied
from app.tenants.privacy import people_list


class Application(FastAPI):
    """FastAPI declares and documents; requests are matched and answered here, without its middleware stack.

    `is_documented`: its modules are those of the committed document (`app.kernel.openapi`).
    """

    def __init__(
        self, settings: Settings, registry: Registry, *, is_documented: bool = True, **options: Any
    ) -> None:
        super().__init__(**options)
        self.is_documented = is_documented
        self.settings = settings
        self.registry = registry
        self.kernel: Kernel | None = None
        self.cors = Cors(settings.cors_origins)
        for router in registry.routers():
            self._include(router)
        self.index = PathIndex([route for route in self.router.routes if hasattr(route, "access")])  # type: ignore[misc]

    def _include(self, router: Router) -> None:
        # Appended as they are: including would copy each route and match them one after the other.
        self.router.routes.extend(router.routes)

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            self.openapi_schema = openapi.document(self.routes, self.registry.modules)
        return self.openapi_schema

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        await _Exchange(self, scope, receive, send).run()


class _Exchange:
    """One request and its answer: ids, timing, problem documents, the log line."""

    def __init__(self, app: Application, scope: Scope, receive: Receive, send: Send) -> None:
        self.app, self.scope, self.receive, self._send = app, scope, receive, send
        self.headers = Headers(scope=scope)
        given = self.headers.get("x-request-id", "")
        self.request_id = (
            given if 8 <= len(given) <= 128 and given.isascii() and given.isprintable() else str(new_id())
        )
        self.status = 500
        self.begun = False
        self.started = time.perf_counter()
        self.extra_headers: list[tuple[bytes, bytes]] = [(b"x-request-id", self.request_id.encode())]

    async def run(self) -> None:
        scope, app = self.scope, self.app
        scope["app"] = app
        scope["rapport.request_id"] = self.request_id
        scope["rapport.body_limit"] = app.settings.body_limit_bytes
        origin = self.headers.get("origin")
        if origin:
            scope["rapport.cors"] = app.cors.headers(origin)
        with tracing.request_span(scope, self.headers):
            try:
                await self._answer()
            except Exception as error:  # noqa: BLE001 - the last guard: a problem document, a log line, no leak
                await self._refuse(_as_problem(error), error)
        logging.log_request(scope, self.status, time.perf_counter() - self.started)
        metrics.observe_request(scope, self.status, time.perf_counter() - self.started)

    async def _answer(self) -> None:
        scope, app = self.scope, self.app
        found = app.index.find(scope["path"])
        if found is None:
            raise NotFound("There is no such address.")
        operations, values = found
        method = scope["method"]
        if method == "OPTIONS" and "origin" in self.headers and "OPTIONS" not in operations:
            await app.cors.preflight(self.headers, sorted(operations))(scope, self.receive, self.send)
            return
        operation = operations.get(method) or (operations.get("GET") if method == "HEAD" else None)
        if operation is None:
            allowed = ", ".join(sorted({*operations, "OPTIONS"}))
            raise MethodNotAllowed(f"This address takes: {allowed}.", headers={"Allow": allowed})
        if app.kernel is None:
            raise Unavailable("Starting.")
        route, names = operation
        scope["rapport.kernel"] = app.kernel
        scope["route"] = route
        scope["path_params"] = dict(zip(names, values, strict=True))
        await route.app(scope, self.receive, self.send)

    async def send(self, message: Message) -> None:
        """Pass a message on, with the headers that every answer carries."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.begun = True
            # An operation with origins of its own has put its own headers there.
            headers = [*message.get("headers", ()), *self.extra_headers, *self.scope.get("rapport.cors", ())]
            limit = self.scope.get("rapport.rate_limit")
            if limit is not None:
                headers += limit
            message = {**message, "headers": headers}
        await self._send(message)

    async def _refuse(self, problem: Problem, cause: BaseException) -> None:
        if problem.status >= 500:
            logging.log_failure(self.scope, cause)
        if self.begun:
            raise cause  # the answer has begun; all we can do is to cut it off
        document = problem.document(instance=self.scope["path"], request_id=self.request_id)
        response = Response(
            orjson.dumps(document, default=str),
            status_code=problem.status,
            media_type="application/problem+json",
            headers=problem.headers,
        )
        await response(self.scope, self.receive, self.send)


def _as_problem(error: BaseException) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, asyncpg.PostgresError):
        return problem_of(error)
    if isinstance(error, HTTPException) and error.status_code < 500:  # FastAPI could not read a form
        return BadRequest(error.detail)
    if isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError | OSError | TimeoutError):
        return Unavailable(headers={"Retry-After": "2"})
    return Problem()


def create_app(settings: Settings | None = None, extra_modules: Sequence[Module] = ()) -> Application:
    """The API of all modules; its lifespan opens the database and closes it."""
    settings = settings or get_settings()
    registry = build_registry(extra_modules)

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        async with open_kernel(settings, registry) as kernel:
            await require_applied(kernel)
            await people_list.require_applied(kernel)
            app.kernel = kernel
            yield

    return Application(
        settings,
        registry,
        is_documented=not extra_modules,
        lifespan=lifespan,
        title=openapi.TITLE,
        version=VERSION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
