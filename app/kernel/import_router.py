"""HTTP for imports: from a file in one request or step by step, progress, results by row, undo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import Query, Request, Response
from pydantic import TypeAdapter
from pydantic import ValidationError as _ValidationError

from app.kernel import idempotency
from app.kernel.errors import Invalid, InvalidJson, NotFound
from app.kernel.file_router import UPLOAD_BODY, Filename
from app.kernel.imports.models import ACTIVE, Import
from app.kernel.imports.results import KINDS, Kind, result_file
from app.kernel.imports.schemas import (
    ImportColumnRead,
    ImportCreate,
    ImportDetected,
    ImportError_,
    ImportFieldRead,
    ImportFields,
    ImportRead,
    ImportStart,
    ImportUndo,
    ImportUpdate,
)
from app.kernel.imports.service import Imports, Preview, inspect
from app.kernel.imports.targets import targets_of
from app.kernel.job_router import RETRY_AFTER
from app.kernel.log_pages import NEWEST, select_page
from app.kernel.openapi import IDEMPOTENCY_KEY
from app.kernel.paging import Cursor, Limit
from app.kernel.record_router import etag, json_response
from app.kernel.records import to_json
from app.kernel.routing import CurrentActor, IfMatch, KernelDep, Router, Uow
from app.kernel.schemas import Page
from app.kernel.transactional import parse_json, require_json
from app.kernel.uow import UnitOfWork, transaction
from app.kernel.uploads import (
    Received,
    Streamed,
    attachment,
    is_multipart,
    receive,
    record_upload,
    visible_file,
)
from app.kernel.validation import validation_problem

router = Router(prefix="/v1/imports", tags=["imports"])


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """A JSON Schema without references, for bodies that FastAPI does not read itself."""
    definitions = schema.pop("$defs", {})

    def walk(node: Any) -> Any:
        if isinstance(node, dict):
            name = str(node.get("$ref", "")).removeprefix("#/$defs/")
            if name in definitions:
                return walk(definitions[name] | {k: v for k, v in node.items() if k != "$ref"})
            return {key: walk(value) for key, value in node.items()}
        return [walk(item) for item in node] if isinstance(node, list) else node

    found: dict[str, Any] = walk(schema)
    return found


def _form_schema() -> dict[str, Any]:
    names = ("object", "mode", "key", "duplicate_rule", "mapping", "defaults", "options", "dry_run", "start")
    fields: dict[str, Any] = {name: {"type": "string"} for name in names}
    fields["file"] = {"type": "string", "format": "binary"}
    return {"type": "object", "required": ["object", "file"], "properties": fields}


_IMPORT_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": _inlined(ImportCreate.model_json_schema())},
            "multipart/form-data": {"schema": _form_schema()},
        },
    }
}


def _import(row: Import) -> ImportRead:
    preview = row.preview or {}
    columns = [
        ImportColumnRead(
            column=column["column"],
            field=row.mapping.get(column["column"]),
            confidence=column["confidence"],
            samples=column["samples"],
        )
        for column in preview.get("columns", [])
    ]
    base = f"/v1/imports/{row.id}/results"
    values = {name: row.__dict__[name] for name in ImportRead.model_fields if name in row.__dict__}
    values |= {
        "columns": columns,
        "detected": ImportDetected(**preview["detected"]) if preview else None,
        "processed": row.position,
        "error": ImportError_(**row.error) if row.error else None,
        "undo": ImportUndo(**row.undo) if row.undo else None,
        "results": {kind: f"{base}/{kind}" for kind in KINDS} if row.started_at else {},
    }
    return ImportRead(**values)


def _import_headers(row: Import) -> dict[str, str]:
    headers = {"ETag": etag(row.version)}
    if row.state in ACTIVE or (row.undo or {}).get("state") == "in_progress":
        headers["Retry-After"] = RETRY_AFTER
    return headers


def _answer(row: Import, response: Response) -> ImportRead:
    response.headers.update(_import_headers(row))
    return _import(row)


_CREATE: TypeAdapter[ImportCreate] = TypeAdapter(ImportCreate)
_JSON_FIELDS = ("mapping", "defaults", "options")


def _body_of_form(fields: Mapping[str, str]) -> ImportCreate:
    """The form's fields as the JSON body has them. Raises `Invalid`, `InvalidJson`."""
    given: dict[str, Any] = {}
    for name, text in fields.items():
        if name in _JSON_FIELDS:
            given[name] = parse_json(text.encode())
        elif text:
            given[name] = text
    return _validated(given)


def _validated(given: Any) -> ImportCreate:
    try:
        return _CREATE.validate_python(given)
    except _ValidationError as error:
        raise validation_problem(
            error.errors(include_url=False, include_context=False, include_input=False)
        ) from None


@router.post(
    "",
    access="signed_in",
    status_code=202,
    own_transaction=True,
    raw_body=True,
    response_model=ImportRead,
    openapi_extra=_IMPORT_BODY | {"parameters": [IDEMPOTENCY_KEY]},
)
async def create_import(request: Request, kernel: KernelDep, actor: CurrentActor) -> Response:
    """Import a file: `curl -F object=leads -F file=@leads.csv …` does it in one request.

    Without a file the import waits for `PUT …/content`. Columns are mapped by guess where `mapping` says nothing.
    """
    received, body, raw = Received(), None, b""
    preview: Preview | None = None
    try:
        if is_multipart(request):
            received = await receive(request, kernel, actor)
            body = _body_of_form(received.fields)
            raw = orjson.dumps([received.fields, received.stored.sha256 if received.stored else None])
            if received.stored is None:
                raise Invalid.at("/file", "required", "Send the file as `file`.")
            preview = await inspect(kernel, received.stored.key, body.options.model_dump())
        else:
            require_json(request)
            raw = await request.body()
            if not raw:
                raise InvalidJson("The body is empty.")
            body = _validated(parse_json(raw))
        async with transaction(kernel, actor, request_id=request.scope["rapport.request_id"]) as uow:
            response, kept = await _create_import(request, uow, body, received, preview, raw)
    except BaseException:
        await received.discard(kernel)
        raise
    if not kept:
        await received.discard(kernel)
    return response


async def _create_import(
    request: Request,
    uow: UnitOfWork,
    body: ImportCreate,
    received: Received,
    preview: Preview | None,
    raw: bytes,
) -> tuple[Response, bool]:
    """Make the import in the transaction at hand; also says whether the received file is kept."""
    key = request.headers.get("idempotency-key")
    claim = (
        await idempotency.claim(uow, idempotency.claim_for(uow.actor, request, key, raw))
        if key is not None
        else None
    )
    if claim is not None and claim.replay is not None:
        return claim.replay, False
    service = Imports(uow)
    made = await service.create(body)
    upload = None
    if preview is not None:
        upload = await record_upload(uow, received)
    elif body.file_id is not None:
        try:
            upload = await visible_file(uow, body.file_id)
        except NotFound:
            raise Invalid.at("/file_id", "unknown_file", "There is no such file that you may see.") from None
        preview = await inspect(uow.kernel, upload.key, made.options)
    if upload is not None and preview is not None:
        made = await service.attach(made, upload, preview)
        if body.start:
            made = await service.start(made.id)
        elif body.start is None and received.stored is not None:
            made = await service.start_if_ready(made)
    elif body.start:
        raise Invalid.at("/start", "no_file", "An import starts when it has its file.")
    headers = _import_headers(made) | {"Location": f"/v1/imports/{made.id}"}
    response = json_response(to_json(_import(made).model_dump()), 202, headers)
    if claim is not None:
        claim.remember(uow, response)
    return response, True


@router.get("", access="signed_in", response_model=Page[ImportRead])
async def list_imports(uow: Uow, limit: Limit = 50, cursor: Cursor = None) -> Page[ImportRead]:
    """Imports, newest first: your own, or all with `job:read`."""
    statement = uow.select(Import)
    if not uow.actor.may("job:read"):
        statement = statement.where(Import.created_by == uow.actor.member_id)
    found = await select_page(uow, statement, NEWEST, name="imports", limit=limit, cursor=cursor)
    return found.page(_import)


@router.get("/fields", access="signed_in", response_model=ImportFields)
async def list_import_fields(
    uow: Uow, object_name: Annotated[str, Query(alias="object", max_length=200)]
) -> ImportFields:
    """What columns may be mapped to, for one record type."""
    found = await targets_of(uow, Imports(uow).record(object_name))
    return ImportFields(data=[ImportFieldRead(**target.describe()) for target in found.values()])


@router.get("/{id}", access="signed_in", response_model=ImportRead)
async def get_import(id: UUID, uow: Uow, response: Response) -> ImportRead:
    """An import: its mapping, and how far it is; `Retry-After` says when to look again."""
    return _answer(await Imports(uow).get(id), response)


@router.put(
    "/{id}/content",
    access="signed_in",
    own_transaction=True,
    raw_body=True,
    response_model=ImportRead,
    openapi_extra=UPLOAD_BODY,
)
async def upload_import(
    id: UUID,
    request: Request,
    kernel: KernelDep,
    actor: CurrentActor,
    filename: Filename = None,  # noqa: ARG001 - read by `receive`
) -> Response:
    """Give an import its file (CSV, XLSX or NDJSON), as a form or as the raw body."""
    async with transaction(kernel, actor, read_only=True) as uow:
        waiting = await Imports(uow).upload_target(id)
    received = await receive(request, kernel, actor)
    try:
        if received.stored is None:
            raise Invalid.at("/file", "required", "Send the file as `file`.")
        preview = await inspect(kernel, received.stored.key, waiting.options)
        async with transaction(kernel, actor, request_id=request.scope["rapport.request_id"]) as uow:
            service = Imports(uow)
            found = await service.get(id, lock=True)
            made = await service.attach(found, await record_upload(uow, received), preview)
    except BaseException:
        await received.discard(kernel)
        raise
    return json_response(to_json(_import(made).model_dump()), 200, _import_headers(made))


@router.patch("/{id}", access="signed_in", response_model=ImportRead)
async def update_import(
    id: UUID, body: ImportUpdate, uow: Uow, version: IfMatch, response: Response
) -> ImportRead:
    """Mend the mapping or change the options before the start."""
    return _answer(await Imports(uow).adjust(id, body, expected_version=version), response)


@router.post("/{id}/start", access="signed_in", status_code=202, response_model=ImportRead)
async def start_import(id: UUID, uow: Uow, response: Response, body: ImportStart | None = None) -> ImportRead:
    """Start an uploaded import; after a dry run, `{"dry_run": false}` starts the real one."""
    return _answer(await Imports(uow).start(id, dry_run=body.dry_run if body else None), response)


@router.post("/{id}/cancel", access="signed_in", status_code=202, response_model=ImportRead)
async def cancel_import(id: UUID, uow: Uow, response: Response) -> ImportRead:
    """Stop an import after the chunk at hand. What is written stays, and can be undone."""
    return _answer(await Imports(uow).cancel(id), response)


@router.post("/{id}/undo", access="signed_in", status_code=202, response_model=ImportRead)
async def undo_import(id: UUID, uow: Uow, response: Response) -> ImportRead:
    """Delete what the import made and restore what it changed, but for records that have changed since."""
    return _answer(await Imports(uow).undo(id), response)


@router.get(
    "/{id}/results/{kind}",
    access="signed_in",
    response_class=Response,
    responses={200: {"description": "A CSV file.", "content": {"text/csv": {"schema": {"type": "string"}}}}},
)
async def get_import_results(id: UUID, kind: Kind, uow: Uow, kernel: KernelDep) -> Response:
    """Rows by outcome: `successful`, `failed` with reasons by line and column, `unprocessed`, `not_undone`."""
    found = await Imports(uow).get(id)
    body = result_file(kernel, uow.actor, found, kind)
    name = f"import-{str(found.id)[:8]}-{kind}.csv"
    return Streamed(body, media_type="text/csv", headers=attachment(name))
