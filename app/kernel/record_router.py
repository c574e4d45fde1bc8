"""The generated HTTP face of a record type: the same operations for every module.

The endpoints are declared to FastAPI for the OpenAPI document and served by `DirectRoute`, which validates the
body with one compiled validator and writes JSON bytes itself: the hot path builds no entity it does not need.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Protocol, cast
from uuid import UUID

from fastapi import Body, Header, Path, Query
from pydantic import BaseModel, TypeAdapter
from starlette.requests import Request
from starlette.responses import Response

from app.kernel import batches, sharing
from app.kernel.audit import history_page
from app.kernel.errors import NotFound, Problem, StaleVersion, problems
from app.kernel.listing import query_from_body, query_from_parameters
from app.kernel.merging.merge import RecordMerging
from app.kernel.merging.router import merged_answer, preview_answer
from app.kernel.merging.schemas import MergeRequest, answers_of
from app.kernel.merging.tombstones import RecordMerged, survivors_of
from app.kernel.record_reads import list_records, read_one
from app.kernel.records import M, RecordService, RecordType, to_json
from app.kernel.routing import Router, current_uow, parse_if_match, path_id
from app.kernel.saved_views import apply_view
from app.kernel.schemas import (
    BatchAnswer,
    HistoryEntry,
    Page,
    SearchRequest,
    ShareInput,
    ShareOutput,
    TransferAnswer,
    TransferRequest,
)
from app.kernel.transactional import TransactionalRoute, require_json
from app.kernel.uow import UnitOfWork
from app.kernel.validation import fields_of, parse_body, set_fields_of

_SHARE_BODY: TypeAdapter[ShareInput] = TypeAdapter(ShareInput)
_TRANSFER_BODY: TypeAdapter[TransferRequest] = TypeAdapter(TransferRequest)
_MERGE_BODY: TypeAdapter[MergeRequest] = TypeAdapter(MergeRequest)
Direct = Callable[[Request, UnitOfWork], Awaitable[Response]]
JSON = "application/json"


class DirectRoute(TransactionalRoute):
    """A route whose endpoint takes the request and the transaction; FastAPI only describes it."""

    async def endpoint_response(self, request: Request) -> Response:
        direct = cast("Direct", self.endpoint.direct)  # type: ignore[attr-defined]
        return await direct(request, current_uow(request))


def json_response(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(body, status_code=status, media_type=JSON, headers=headers)


def etag(version: int) -> str:
    return f'"{version}"'


class _Versioned(Protocol):
    @property
    def version(self) -> int: ...


def tag(response: Response, row: _Versioned) -> None:
    """What was answered has this version: its entity tag."""
    response.headers["ETag"] = etag(row.version)


def record_response(uow: UnitOfWork, record: RecordType[M], row: M) -> Response:
    """A record as the actor sees it, with its version as the entity tag."""
    return json_response(
        record.dump(row, uow.actor.hidden(record.object)), headers={"ETag": etag(row.version)}
    )


async def detail_response(service: RecordService[M], row: M, status: int = 200) -> Response:
    """A record as its own address answers it: with its parts, where its type has `detail`. 201 names that address."""
    headers = {"ETag": etag(row.version)}
    if status == 201:
        headers["Location"] = f"/v1/{service.record.path}/{row.id}"
    return json_response(to_json(await service.answer(row)), status, headers)


def _names_tag(if_none_match: str | None, tag: str) -> bool:
    """Whether an `If-None-Match` header names this tag: a list, weak ones too (RFC 9110 §13.1.2), or `*`."""
    if if_none_match is None:
        return False
    named = [one.strip().removeprefix("W/") for one in if_none_match.split(",")]
    return tag in named or named == ["*"]


def _parameter(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


ID = _parameter("id", Annotated[UUID, Path()])
IF_MATCH = _parameter("if_match", Annotated[str, Header(description='The version you read: `"7"`.')])
IF_NONE_MATCH = _parameter(
    "if_none_match", Annotated[str | None, Header(description="Answers 304 if current.")], None
)


def _body(annotation: Any) -> inspect.Parameter:
    return _parameter("body", Annotated[annotation, Body()])


def _list_parameters(record: RecordType[Any]) -> list[inspect.Parameter]:
    def text(description: str) -> Any:
        return Annotated[str | None, Query(description=description)]

    default = ",".join(("-" if down else "") + name for name, down in record.default_sort)
    return [
        _parameter(
            "q", text("Search in names, e-mail and phone; pinyin and initials find Chinese names."), None
        ),
        _parameter("sort", text(f"Up to three fields, `-` for descending; default `{default}`."), None),
        _parameter("limit", Annotated[int, Query(ge=1, description="Above 200 counts as 200.")], 50),
        _parameter("cursor", text("`next_cursor` of the page before."), None),
        _parameter("fields", text("Only these fields, by comma."), None),
        _parameter("include", text("`total` counts, up to 10,000."), None),
        _parameter("view", text("A saved view; its filter is added to the others."), None),
    ]


def record_router(record: RecordType[Any], *, prefix: str | None = None, tag: str | None = None) -> Router:
    """All generic operations of a record type; without a `tag` they are listed under its module's name."""
    path = prefix or f"/v1/{record.path}"
    router = Router(prefix=path, tags=[tag or record.module])
    _Operations(record, router).declare()
    return router


class _Operations:
    """Declares each operation with its schema and its direct handler."""

    def __init__(self, record: RecordType[Any], router: Router) -> None:
        self.record = record
        self.router = router
        self.noun = record.object.replace("_", " ")
        self.create_body: TypeAdapter[BaseModel] = TypeAdapter(record.create)
        self.update_body: TypeAdapter[BaseModel] = TypeAdapter(record.update)
        self.search_body: TypeAdapter[SearchRequest] = TypeAdapter(SearchRequest)

    def service(self, uow: UnitOfWork) -> RecordService[Any]:
        return self.record.service(uow)

    def declare(self) -> None:
        self._declare_reads()
        self._declare_writes()
        self._declare_batches()
        self._declare_sharing()
        if self.record.merge is not None:
            self._declare_merging()

    def _add(
        self,
        method: str,
        path: str,
        operation: str,
        direct: Direct,
        action: str,
        doc: str,
        *parameters: inspect.Parameter,
        response: Any = None,
        status: int = 200,
        **options: Any,
    ) -> None:
        async def endpoint() -> None:
            """Only described by FastAPI; `direct` serves it."""

        endpoint.__signature__ = inspect.Signature(list(parameters))  # type: ignore[attr-defined]
        endpoint.direct = direct  # type: ignore[attr-defined]
        endpoint.__name__ = operation
        endpoint.__doc__ = doc
        self.router.operation(
            method,
            path,
            access=f"{self.record.object}:{action}",
            route_class=DirectRoute,
            response_model=response,
            status_code=status,
            summary=doc.partition(".")[0] + ".",
            **options,
        )(endpoint)

    # -- reads ---------------------------------------------------------------------------------------------

    def _declare_reads(self) -> None:
        record = self.record
        page = Page[record.read]  # type: ignore[name-defined]
        name, many = record.object, record.plural
        filters = (
            "Any field filters: `status=new`, `created_at[gte]=2026-01-01`, `owner_id[in]=a,b`, `custom.key=value`. "
            "Operators: eq ne lt lte gt gte in not_in is_null contains starts_with between has_any has_all; "
            "dates may be relative (`-30d`, `this_quarter`)."
        )
        self._add(
            "GET", "", f"list_{many}", self.list, "read", f"List {many.replace('_', ' ')}. {filters}",
            *_list_parameters(record), response=page, open_query=True, lone_read=True,
        )  # fmt: skip
        self._add(
            "POST", "/search", f"search_{many}", self.search, "read",
            f"Search {many.replace('_', ' ')} with nested filters.", _body(SearchRequest), response=page,
            while_suspended=True,
        )  # fmt: skip
        self._add(
            "GET", "/{id}", f"get_{name}", self.get, "read", f"Read one {self.noun}.", ID, IF_NONE_MATCH,
            response=record.detail or record.read, responses={304: {"description": "Not modified."}}, lone_read=True,
        )  # fmt: skip
        self._add(
            "GET", "/{id}/history", f"get_{name}_history", self.history, "read",
            f"Who changed what on this {self.noun}, newest first.", ID,
            _parameter("limit", Annotated[int, Query(ge=1, le=200)], 50),
            _parameter("cursor", Annotated[str | None, Query()], None),
            response=Page[HistoryEntry],
        )  # fmt: skip

    async def list(self, request: Request, uow: UnitOfWork) -> Response:
        parameters = request.query_params
        query = query_from_parameters(parameters.multi_items())
        view = parameters.get("view")
        if view is not None:
            query = await apply_view(uow, self.record.object, view, query)
        return json_response(await list_records(uow, self.record, query))

    async def search(self, request: Request, uow: UnitOfWork) -> Response:
        body = parse_body(self.search_body, await request.body())
        return json_response(
            await list_records(uow, self.record, query_from_body(body.model_dump(by_alias=True)))
        )

    async def get(self, request: Request, uow: UnitOfWork) -> Response:
        try:
            body, tag = await read_one(uow, self.record, path_id(request))
            headers = {"ETag": tag}
        except NotFound:
            body, headers = await self._survivor(uow, path_id(request))
        if _names_tag(request.headers.get("if-none-match"), headers["ETag"]):
            return Response(status_code=304, headers=headers)
        return json_response(body, headers=headers)

    async def _survivor(self, uow: UnitOfWork, id: UUID) -> tuple[bytes, dict[str, str]]:
        """What answers for a record that was merged away: the one that survived, at its own address."""
        survivor = None
        if self.record.merge is not None:
            survivor = (await survivors_of(uow, self.record.object, [id])).get(id)
        if survivor is None:
            raise NotFound
        body, tag = await read_one(uow, self.record, survivor)
        return body, {"ETag": tag, "Content-Location": f"{self.router.prefix}/{survivor}"}

    async def history(self, request: Request, uow: UnitOfWork) -> Response:
        await self.service(uow).get(path_id(request))
        return json_response(
            await history_page(uow, self.record.object, path_id(request), request.query_params)
        )

    # -- writes --------------------------------------------------------------------------------------------

    def _declare_writes(self) -> None:
        record = self.record
        name, many = record.object, record.plural
        self._add(
            "POST", "", f"create_{name}", self.create, "create", f"Create one {self.noun}.",
            _body(record.create), response=record.detail or record.read, status=201,
        )  # fmt: skip
        self._add(
            "PATCH", "/{id}", f"update_{name}", self.update, "update",
            f"Change some fields of one {self.noun}. JSON Merge Patch: null clears, lists are replaced whole.",
            ID, _body(record.update), IF_MATCH, response=record.detail or record.read,
        )  # fmt: skip
        self._add(
            "DELETE", "/{id}", f"delete_{name}", self.delete, "delete", f"Delete one {self.noun}.",
            ID, IF_MATCH, status=204,
        )  # fmt: skip
        self._add(
            "POST", "/transfer", f"transfer_{many}", self.transfer, "assign",
            f"Give {many.replace('_', ' ')} to another member. All or nothing.",
            _body(TransferRequest), response=TransferAnswer,
        )  # fmt: skip

    async def create(self, request: Request, uow: UnitOfWork) -> Response:
        body = parse_body(self.create_body, await _json_body(request))
        service = self.service(uow)
        row = await service.create(fields_of(body), explicit=body.model_fields_set)
        return await detail_response(service, row, 201)

    async def update(self, request: Request, uow: UnitOfWork) -> Response:
        try:
            version = parse_if_match(request.headers.get("if-match"))
            body = parse_body(self.update_body, await _json_body(request))
        except Problem as problem:
            await self._refuse_first(request, uow, "update", problem)
            raise
        service = self.service(uow)
        row = await service.update(path_id(request), set_fields_of(body), expected_version=version)
        return await detail_response(service, row)

    async def delete(self, request: Request, uow: UnitOfWork) -> Response:
        try:
            version = parse_if_match(request.headers.get("if-match"))
        except Problem as problem:
            await self._refuse_first(request, uow, "delete", problem)
            raise
        await self.service(uow).delete(path_id(request), expected_version=version)
        return Response(status_code=204)

    async def _refuse_first(self, request: Request, uow: UnitOfWork, action: str, problem: Problem) -> None:
        """What comes before a refusal of the request itself: 404, 403, 428, 412 and only then the body (API.md)."""
        if problem.status in (413, 415):
            return
        row = await self.service(uow).get(path_id(request), action=action)
        if problem.status in (412, 428):
            return
        if row.version != parse_if_match(request.headers.get("if-match")):
            raise StaleVersion(current_version=row.version)

    async def transfer(self, request: Request, uow: UnitOfWork) -> Response:
        body = parse_body(_TRANSFER_BODY, await _json_body(request))
        return json_response(to_json((await sharing.transfer(self.service(uow), body)).model_dump()))

    # -- batches -------------------------------------------------------------------------------------------

    def _declare_batches(self) -> None:
        record = self.record
        many = record.plural
        shapes = batches.shapes_of(record)
        for verb, action, doc in (
            ("create", "create", "Create up to 100"),
            ("update", "update", "Change up to 100"),
            ("upsert", "create", "Create or change, by a unique key, up to 100"),
            ("delete", "delete", "Delete up to 100"),
        ):
            self._add(
                "POST", f"/batch/{verb}", f"batch_{verb}_{many}", batches.handler(record, verb, shapes[verb]), action,
                f"{doc} {many.replace('_', ' ')}. Results come in the order of the items.",
                _body(shapes[verb]), response=BatchAnswer, status=207,
            )  # fmt: skip

    # -- sharing -------------------------------------------------------------------------------------------

    def _declare_sharing(self) -> None:
        name = self.record.object
        share_id = _parameter("share_id", Annotated[UUID, Path()])
        self._add(
            "GET", "/{id}/shares", f"list_{name}_shares", self.shares, "read",
            f"With whom this {self.noun} is shared.", ID, response=list[ShareOutput],
        )  # fmt: skip
        self._add(
            "POST", "/{id}/shares", f"share_{name}", self.share, "share",
            f"Share this {self.noun} with a member or a team, to read or to write.",
            ID, _body(ShareInput), response=ShareOutput, status=201,
        )  # fmt: skip
        self._add(
            "DELETE", "/{id}/shares/{share_id}", f"unshare_{name}", self.unshare, "share",
            f"End a share of this {self.noun}.", ID, share_id, status=204,
        )  # fmt: skip

    async def shares(self, request: Request, uow: UnitOfWork) -> Response:
        found = await sharing.list_shares(self.service(uow), path_id(request))
        return json_response(to_json([share.model_dump() for share in found]))

    async def share(self, request: Request, uow: UnitOfWork) -> Response:
        try:
            body = parse_body(_SHARE_BODY, await _json_body(request))
        except Problem:
            await self.service(uow).get(path_id(request), action="share")
            raise
        made = await sharing.share(self.service(uow), path_id(request), body)
        return json_response(to_json(made.model_dump()), 201)

    async def unshare(self, request: Request, uow: UnitOfWork) -> Response:
        await sharing.unshare(self.service(uow), path_id(request), path_id(request, "share_id"))
        return Response(status_code=204)

    # -- merging -------------------------------------------------------------------------------------------

    def _declare_merging(self) -> None:
        record, many = self.record, self.record.plural
        merged, preview = answers_of(record)
        refused = problems(StaleVersion, RecordMerged)
        self._add(
            "POST", "/merge", f"merge_{many}", self.merge, "merge",
            f"Merge {many.replace('_', ' ')} that are the same into one. All references move along; the old ids "
            "answer with the one that survives. Needs to change each and to delete those merged away; can be undone "
            "for 30 days.", _body(MergeRequest), response=merged, responses=refused,
        )  # fmt: skip
        self._add(
            "POST", "/merge/preview", f"preview_{many}_merge", self.preview_merge, "merge",
            f"Show what merging these {many.replace('_', ' ')} would leave. Nothing is written; what would be "
            "refused is refused.", _body(MergeRequest), response=preview, responses=refused,
        )  # fmt: skip

    async def merge(self, request: Request, uow: UnitOfWork) -> Response:
        body = parse_body(_MERGE_BODY, await _json_body(request))
        found = await RecordMerging(self.service(uow)).merge(body)
        return json_response(
            merged_answer(uow, self.record, found), headers={"ETag": etag(found.survivor.version)}
        )

    async def preview_merge(self, request: Request, uow: UnitOfWork) -> Response:
        body = parse_body(_MERGE_BODY, await _json_body(request))
        found = await RecordMerging(self.service(uow)).preview(body)
        return json_response(preview_answer(uow, self.record, found))


async def _json_body(request: Request) -> bytes:
    require_json(request)
    return await request.body()
