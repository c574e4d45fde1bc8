"""One operation in one transaction: authentication, permission, transaction, idempotency and problem documents, once.

The transaction commits before the answer is sent. Routes are declared by `app.kernel.routing.Router`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, cast, get_args, get_origin

import asyncpg
import orjson
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.kernel import db, idempotency
from app.kernel.access import ANONYMOUS, OPEN_TENANT_STATES, Actor, TenantProfile
from app.kernel.allowances import require_feature
from app.kernel.errors import (
    BadRequest,
    InvalidJson,
    PayloadTooLarge,
    ReadOnlyImpersonation,
    TenantCancelled,
    TenantSuspended,
    UnknownParameter,
    UnsupportedMediaType,
)
from app.kernel.uow import UnitOfWork
from app.kernel.validation import reject_unstorable, validation_problem

if TYPE_CHECKING:
    from app.kernel.runtime import Kernel

SAFE_METHODS = frozenset({"GET", "HEAD"})
DEADLOCKS_BORNE = 2
UNTROUBLED_TENANT_STATES = frozenset({"trialing", "active"})
ACCOUNT_STATUS = "Account-Status"
"""Says of each answer to a company in trouble that it is `past_due`, `suspended` or `cancelled`."""


class JsonRequest(Request):
    """A request whose JSON body is read within the limit and parsed strictly."""

    async def body(self) -> bytes:
        if not hasattr(self, "_body"):
            limit = self.scope["rapport.body_limit"]
            declared = self.headers.get("content-length")
            if declared and declared.isascii() and declared.isdigit() and int(declared) > limit:
                raise PayloadTooLarge(f"The body may have at most {limit} bytes.", limit=limit)
            chunks: list[bytes] = []
            size = 0
            async for chunk in self.stream():
                size += len(chunk)
                if size > limit:
                    raise PayloadTooLarge(f"The body may have at most {limit} bytes.", limit=limit)
                chunks.append(chunk)
            self._body = b"".join(chunks)
        return self._body

    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            self._json = parse_json(await self.body())
        return self._json


def parse_json(body: bytes) -> Any:
    """Strict JSON; refuses what PostgreSQL cannot store. Raises `InvalidJson`, `Invalid`."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidJson(f"Line {error.lineno}, column {error.colno}: {error.msg}.") from None
    reject_unstorable(body, parsed)
    return parsed


def require_json(request: Request) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind and kind not in ("application/json", "application/merge-patch+json"):
        raise UnsupportedMediaType(f"Send application/json, not {kind}.")


class TransactionalRoute(APIRoute):
    """One operation in one transaction."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        extra = options.get("openapi_extra") or {}
        self.access: str = extra.get("x-permission", "")
        if not self.access:
            raise TypeError(f"{path}: say who may call it, access='object:action', 'signed_in' or 'public'")
        self.while_cancelled: bool = extra.get("x-while-cancelled", False)
        self.while_suspended: bool = extra.get("x-while-suspended", False) or self.while_cancelled
        self.own_transaction: bool = extra.get("x-own-transaction", False)
        self.raw_body: bool = extra.get("x-raw-body", False)
        self.shown_once: bool = extra.get("x-shown-once", False)
        self.lone_read: bool = extra.get("x-lone-read", False)
        self.spare_calls: bool = extra.get("x-spare-calls", False)
        self.feature: str | None = extra.get("x-feature")
        super().__init__(path, endpoint, **options)
        self.query_names = _query_names(self)
        self.app = self._serve

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        return super().get_route_handler()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = JsonRequest(scope, receive, send)
        response = await self.respond(request)
        await response(scope, receive, send)

    async def respond(self, request: Request) -> Response:
        """Everything between matching and sending."""
        kernel: Kernel = request.scope["rapport.kernel"]
        actor = await self.admit(kernel, request)
        self._check_query(request)
        if not self.raw_body and request.method in ("POST", "PUT", "PATCH") and self.body_field is not None:
            require_json(request)
        if self.own_transaction:
            response = await self.endpoint_response(request)
        else:
            response = await self._in_transaction(kernel, request, actor)
        if actor.tenant.status not in UNTROUBLED_TENANT_STATES:
            response.headers[ACCOUNT_STATUS] = actor.tenant.status
        return response

    async def admit(self, kernel: Kernel, request: Request) -> Actor:
        """Who calls, if they may."""
        return await admit(kernel, request, self)

    def _check_query(self, request: Request) -> None:
        if self.query_names is None or not request.scope["query_string"]:
            return
        seen: set[str] = set()
        for name, _ in request.query_params.multi_items():
            repeatable = self.query_names.get(name)
            if repeatable is None:
                raise UnknownParameter(f"The query parameter {name!r} is not known here.", parameter=name)
            if name in seen and not repeatable:
                raise BadRequest(f"The query parameter {name!r} is given twice.", parameter=name)
            seen.add(name)

    async def _in_transaction(self, kernel: Kernel, request: Request, actor: Actor) -> Response:
        pool = kernel.database.control_session() if actor is ANONYMOUS else kernel.database.acquire()
        claim = await self._claim(request, actor)
        async with pool as connection:
            if claim is not None:
                try:
                    return await self._run(kernel, request, actor, connection, claim)
                except asyncpg.PostgresError as error:
                    if error.sqlstate != idempotency.TAKEN:
                        raise
            return await self._run(kernel, request, actor, connection)

    async def _run(
        self,
        kernel: Kernel,
        request: Request,
        actor: Actor,
        connection: db.Connection,
        claim: idempotency.Claim | None = None,
    ) -> Response:
        """One transaction that takes effect; one that met another in a deadlock has none, and is begun again."""
        for _ in range(DEADLOCKS_BORNE):
            try:
                return await self._once(kernel, request, actor, connection, claim)
            except asyncpg.DeadlockDetectedError:
                continue
        return await self._once(kernel, request, actor, connection, claim)

    async def _once(
        self,
        kernel: Kernel,
        request: Request,
        actor: Actor,
        connection: db.Connection,
        claim: idempotency.Claim | None = None,
    ) -> Response:
        """One transaction; `claim` is held from its beginning, or the transaction fails with `TAKEN`."""
        read_only = request.method in SAFE_METHODS
        alone = self.lone_read and read_only and kernel.database.lone_reads
        uow = UnitOfWork(
            kernel,
            connection,
            actor,
            request_id=request.scope["rapport.request_id"],
            read_only=read_only,
            begun=not alone,
        )
        request.scope["rapport.uow"] = uow
        try:
            if not alone:
                await db.begin(
                    connection,
                    actor.tenant.id,
                    read_only=read_only and actor is not ANONYMOUS,
                    point_work=not read_only,
                    then=claim.guard if claim else "",
                )
            response = await self._effect(uow, request, claim)
            await uow.commit()
        except BaseException:
            await uow.rollback()
            raise
        finally:
            request.scope["rapport.statements"] = uow.statements
        return response

    async def _claim(self, request: Request, actor: Actor) -> idempotency.Claim | None:
        key = request.headers.get("idempotency-key") if request.method == "POST" else None
        if key is None or actor is ANONYMOUS:
            return None
        body = await request.body()
        return idempotency.claim_for(actor, request, key, body, sealed=self.shown_once)

    async def _effect(
        self, uow: UnitOfWork, request: Request, claim: idempotency.Claim | None = None
    ) -> Response:
        """Call the endpoint, once per idempotency key: without a held `claim` the key is looked up first."""
        if claim is None:
            wanted = await self._claim(request, uow.actor)
            claim = await idempotency.claim(uow, wanted) if wanted is not None else None
        if claim is not None and claim.replay is not None:
            return claim.replay
        response = await self.endpoint_response(request)
        if claim is not None:
            claim.remember(uow, response)
        return response

    async def endpoint_response(self, request: Request) -> Response:
        """Solve the endpoint's parameters by FastAPI and call it."""
        if self.body_field is not None and not self.raw_body and await request.body():
            await request.json()  # here, because FastAPI would hide what is wrong with it
        async with AsyncExitStack() as files, AsyncExitStack() as inner, AsyncExitStack() as function:
            request.scope["fastapi_middleware_astack"] = files
            request.scope["fastapi_inner_astack"] = inner
            request.scope["fastapi_function_astack"] = function
            try:
                return await self._handler(request)
            except RequestValidationError as error:
                raise validation_problem(error.errors()) from None

    @property
    def _handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = self.__dict__.get("_cached_handler")
        if handler is None:
            handler = self.__dict__["_cached_handler"] = self.get_route_handler()
        return cast("Callable[[Request], Coroutine[Any, Any, Response]]", handler)


async def admit(kernel: Kernel, request: Request, route: TransactionalRoute) -> Actor:
    """Authentication, rate limit, the plan's calls, tenant state, permission and plan's features, in that order."""
    if route.access == "public":
        request.scope["rapport.actor"] = ANONYMOUS
        return ANONYMOUS
    headers = request.headers
    actor = await kernel.authenticator.authenticate(headers.get("authorization"), headers.get("cookie"))
    request.scope["rapport.actor"] = actor
    kernel.limiter.check(actor, request.scope)
    if actor.read_only and request.method not in SAFE_METHODS:
        raise ReadOnlyImpersonation
    _check_standing(kernel, request, route, actor.tenant)
    kernel.calls.count(actor.tenant, request.scope, kernel.clock, spare=route.spare_calls)
    if route.access != "signed_in":
        actor.require(route.access)
    if route.feature is not None:
        require_feature(actor.tenant.allowance, route.feature)
    return actor


def _check_standing(
    kernel: Kernel, request: Request, route: TransactionalRoute, tenant: TenantProfile
) -> None:
    """What an account's status allows: all while it is open, reading when suspended, its export when cancelled.

    Raises: TenantSuspended, TenantCancelled; the latter for everything once the export window is over.
    """
    if tenant.status in OPEN_TENANT_STATES:
        return
    if tenant.status == "suspended":
        if route.while_suspended or request.method in SAFE_METHODS:
            return
        raise TenantSuspended
    window = tenant.export_until
    if tenant.status == "cancelled" and window is not None and kernel.clock.now() < window:
        if route.while_cancelled:
            return
        raise TenantCancelled(export_until=window.isoformat())
    raise TenantCancelled


def _query_names(route: APIRoute) -> Mapping[str, bool] | None:
    """The declared query parameters and whether each may be repeated; None if the endpoint checks them itself."""
    if (route.openapi_extra or {}).get("x-open-query"):
        return None
    names: dict[str, bool] = {}
    pending = [route.dependant]
    while pending:
        dependant = pending.pop()
        for parameter in dependant.query_params:
            annotation = parameter.field_info.annotation
            fields = getattr(annotation, "model_fields", None)
            if fields:
                names |= {info.alias or name: _is_list(info.annotation) for name, info in fields.items()}
            else:
                names[parameter.alias] = _is_list(annotation)
        pending.extend(dependant.dependencies)
    return names


def _is_list(annotation: Any) -> bool:
    return annotation is list or any(
        part is list or get_origin(part) is list for part in (annotation, *get_args(annotation))
    )
