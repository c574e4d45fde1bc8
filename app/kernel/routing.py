"""Declaring operations, and finding the one that is asked for.

FastAPI describes the operations and solves hand-written endpoints' parameters; matching is ours, by dictionary
over path segments, so that 400 operations cost what 20 do. What an operation does around its endpoint is
`app.kernel.transactional`. Every operation says who may call it: `access="lead:convert"`, `"signed_in"` or
`"public"`; without it the application does not start.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, TypeVar, cast
from uuid import UUID

from fastapi import APIRouter, Depends, Header
from fastapi.routing import APIRoute
from pydantic.warnings import UnsupportedFieldAttributeWarning
from starlette.requests import Request
from starlette.routing import BaseRoute

from app.kernel.access import Actor
from app.kernel.allowances import PlanCallsUsedUp, PlanFeatureMissing, PlanLimitReached
from app.kernel.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    Invalid,
    InvalidJson,
    NotFound,
    PayloadTooLarge,
    Problem,
    StaleVersion,
    TooManyRequests,
    Unauthenticated,
    UnsupportedMediaType,
    VersionRequired,
    problems,
)
from app.kernel.transactional import TransactionalRoute
from app.kernel.uow import UnitOfWork

# FastAPI hushes this while it builds a body's validator; ours are built at the first request (kernel/schemas.py).
warnings.filterwarnings("ignore", category=UnsupportedFieldAttributeWarning)

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
OPERATOR = "operator"
"""Access of those who look after the installation; a route class of `app.tenants` knows them."""


class Router(APIRouter):
    """A module's router. `access` is required for each operation; ids and tags are filled in.

    Operations are declared when a module is imported and built when an application asks for them: a worker, which
    serves none, is spared their time and their 30 MB.
    """

    def __init__(self, *, prefix: str = "", tags: Sequence[str] = (), **options: Any) -> None:
        self._declared: list[Callable[[], None]] = []
        self._built: list[BaseRoute] = []
        super().__init__(
            prefix=prefix,
            tags=list(tags),
            route_class=TransactionalRoute,
            strict_content_type=False,  # a body without a type is taken for JSON, by every operation alike
            **options,
        )

    @property
    def routes(self) -> list[BaseRoute]:
        """The operations, in the order in which they were declared."""
        declared, self._declared = self._declared, []
        for build in declared:
            build()
        return self._built

    @routes.setter
    def routes(self, routes: list[BaseRoute]) -> None:
        self._built = routes

    def operation(
        self,
        method: str,
        path: str,
        *,
        access: str,
        operation_id: str | None = None,
        while_suspended: bool = False,
        while_cancelled: bool = False,
        own_transaction: bool = False,
        raw_body: bool = False,
        open_query: bool = False,
        shown_once: bool = False,
        lone_read: bool = False,
        spare_calls: bool = False,
        feature: str | None = None,
        route_class: type[TransactionalRoute] = TransactionalRoute,
        responses: dict[int | str, dict[str, Any]] | None = None,
        openapi_extra: dict[str, Any] | None = None,
        **options: Any,
    ) -> Callable[[Endpoint], Endpoint]:
        """Declare one operation; `operationId` is the endpoint's name unless given.

        `while_suspended`: also for a company whose account is suspended, which else may only read;
        `while_cancelled`: also for one whose account is cancelled, as long as it may export.
        `own_transaction` is for streams that open transactions themselves; `raw_body` for uploads;
        `open_query` when the endpoint checks query names itself; `shown_once` when it answers a secret, which
        is kept under an idempotency key only encrypted, and nowhere else; `lone_read` when it mostly reads by one
        statement (`uow.fetchrow_alone`), before which no transaction needs to begin; `spare_calls` when it answers
        also after the plan's API calls are used up; `feature` names what a plan may leave out.
        """
        flags = {
            "x-while-suspended": while_suspended or while_cancelled,
            "x-while-cancelled": while_cancelled,
            "x-own-transaction": own_transaction,
            "x-raw-body": raw_body,
            "x-open-query": open_query,
            "x-shown-once": shown_once,
            "x-lone-read": lone_read,
            "x-spare-calls": spare_calls,
        }
        extra = dict(openapi_extra or {}) | _extensions(access, feature, flags)
        if feature is not None:
            responses = problems(PlanFeatureMissing) | (responses or {})
        options.setdefault("status_code", 200)  # streams have no default that FastAPI could describe

        def register(endpoint: Endpoint) -> Endpoint:
            summary = options.pop("summary", None) or _summary_of(endpoint)
            build = partial(
                self.add_api_route,
                path,
                endpoint,
                methods=[method],
                summary=summary,
                operation_id=operation_id or endpoint.__name__,
                openapi_extra=extra,
                route_class_override=route_class,
                **options,
            )
            self._declared.append(
                lambda: build(responses=problems(*_standard_problems(method, access)) | (responses or {}))
            )
            return endpoint

        return register

    def get(self, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        return self.operation("GET", path, **options)

    def post(self, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        return self.operation("POST", path, **options)

    def put(self, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        return self.operation("PUT", path, **options)

    def patch(self, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        return self.operation("PATCH", path, **options)

    def delete(self, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        return self.operation("DELETE", path, **options)


def _extensions(access: str, feature: str | None, flags: Mapping[str, bool]) -> dict[str, Any]:
    """What the document says of an operation in fields of our own; routes and tests read it there."""
    found: dict[str, Any] = {"x-permission": access} | {name: True for name, on in flags.items() if on}
    if feature is not None:
        found["x-feature"] = feature
    if access == "public":
        found["security"] = []
    if access == OPERATOR:
        found["security"] = [{"operator": []}]
    return found


def _summary_of(endpoint: Endpoint) -> str:
    """The first sentence of its docstring."""
    first, _, _ = " ".join((endpoint.__doc__ or "").split()).partition(". ")
    return first.removesuffix(".") + "."


def _standard_problems(method: str, access: str) -> list[type[Problem]]:
    found: list[type[Problem]] = [BadRequest, Invalid, NotFound]
    if access != "public":
        found += [Unauthenticated, Forbidden, TooManyRequests, PlanCallsUsedUp]
    if method in ("POST", "PUT", "PATCH"):
        found += [InvalidJson, PayloadTooLarge, UnsupportedMediaType, Conflict]
        found += [PlanLimitReached] if access != "public" else []
    if method in ("PUT", "PATCH", "DELETE"):
        found += [StaleVersion, VersionRequired, Conflict]
    return found


def current_uow(request: Request) -> UnitOfWork:
    """The transaction of this request."""
    return cast("UnitOfWork", request.scope["rapport.uow"])


async def _uow(request: Request) -> UnitOfWork:
    return current_uow(request)


async def _kernel(request: Request) -> Any:
    return request.scope["rapport.kernel"]


async def _actor(request: Request) -> Actor:
    return cast("Actor", request.scope["rapport.actor"])


async def _if_match(
    if_match: Annotated[str | None, Header(description='The version you read, `"7"` (its ETag).')] = None,
) -> int:
    return parse_if_match(if_match)


def parse_if_match(value: str | None) -> int:
    """The version in an `If-Match` header. Raises `VersionRequired`, `BadRequest`."""
    if value is None:
        raise VersionRequired
    # What follows a dash is no part of the version: it marks computed fields, which no edit collides with.
    text = value.strip().removeprefix("W/").strip('"').partition("-")[0]
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise StaleVersion(f"{value!r} is no version of this record.")
    return int(text)


Uow = Annotated[UnitOfWork, Depends(_uow)]
CurrentActor = Annotated[Actor, Depends(_actor)]
KernelDep = Annotated[Any, Depends(_kernel)]
IfMatch = Annotated[int, Depends(_if_match)]


class PathIndex:
    """Routes by path segments: a dictionary step per segment, parameters where no literal matches."""

    def __init__(self, routes: Sequence[APIRoute]) -> None:
        self._root: dict[str | None, Any] = {}
        for route in routes:
            node = self._root
            for segment in route.path.strip("/").split("/"):
                node = node.setdefault("{}" if segment.startswith("{") else segment, {})
            names = tuple(s[1:-1].partition(":")[0] for s in route.path.split("/") if s.startswith("{"))
            for method in route.methods or ():
                node.setdefault(None, {})[method] = (route, names)

    def find(self, path: str) -> tuple[dict[str, tuple[APIRoute, tuple[str, ...]]], list[str]] | None:
        """The operations at a path by method, and the values of its parameters."""
        segments = path.strip("/").split("/")
        values: list[str] = []
        found = self._walk(self._root, segments, 0, values)
        return None if found is None else (found, values)

    def _walk(self, node: dict[Any, Any], segments: list[str], at: int, values: list[str]) -> Any:
        if at == len(segments):
            return node.get(None)
        literal = node.get(segments[at])
        if literal is not None:
            found = self._walk(literal, segments, at + 1, values)
            if found is not None:
                return found
        parameter = node.get("{}")
        if parameter is None or not segments[at]:
            return None
        values.append(segments[at])
        found = self._walk(parameter, segments, at + 1, values)
        if found is None:
            values.pop()
        return found


def path_id(request: Request, name: str = "id") -> UUID:
    """A record id from the path; anything that is no UUID is `NotFound`, like an unknown one."""
    try:
        return UUID(request.path_params[name])
    except ValueError:
        raise NotFound from None
