"""Batches: up to 100 items in one request, each with its own outcome, or all or none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

import asyncpg
from pydantic import BaseModel, Field, StringConstraints, TypeAdapter, create_model
from starlette.requests import Request
from starlette.responses import Response

from app.kernel.constraints import problem_of
from app.kernel.custom_fields.keys import compared_or_none, holders, unique_field
from app.kernel.custom_fields.values import CUSTOM
from app.kernel.duplicates import DuplicateAware, hold_all_forms
from app.kernel.errors import BatchFailed, DuplicateValue, Invalid, NotFound, Problem
from app.kernel.locks import all_upserts, lock_keys, lock_name
from app.kernel.models import RecordTable
from app.kernel.records import RecordService, RecordType, to_json
from app.kernel.schemas import BatchAnswer, BatchItemError, BatchResult, Input
from app.kernel.transactional import require_json
from app.kernel.uow import UnitOfWork
from app.kernel.validation import parse_body

T = TypeVar("T")
Ref = Annotated[str | None, Field(None, max_length=200, description="Yours; comes back with the result.")]
MAX_ITEMS = 100


class Batch(Input, Generic[T]):
    items: list[T] = Field(min_length=1, max_length=MAX_ITEMS)
    all_or_none: bool = Field(False, description="One failure undoes everything.")


def shapes_of(record: RecordType[Any]) -> dict[str, Any]:
    """The body schema of each batch verb of a record type."""
    name = record.read.__name__.removesuffix("Read").removesuffix("Output")
    version = (
        int | None,
        Field(None, ge=1, description="Refuses with 412 when it is not the current version."),
    )

    def item(verb: str, **fields: Any) -> Any:
        made = create_model(
            f"{name}Batch{verb}Item", __base__=Input, ref=(str | None, Field(None, max_length=200)), **fields
        )
        return Batch[made]

    keys = Annotated[
        str,
        StringConstraints(pattern=rf"^({'|'.join(record.upsert_keys)}|custom\.[a-z][a-z0-9_]{{0,39}})$"),
        Field(
            description="The unique field that says which record it is: also `custom.<key>` of a unique one."
        ),
    ]
    return {
        "create": item("Create", record=(record.create, ...)),
        "update": item("Update", id=(UUID, ...), version=version, record=(record.update, ...)),
        "upsert": item("Upsert", key=(keys, record.upsert_keys[0]), record=(record.create, ...)),
        "delete": item("Delete", id=(UUID, ...), version=version),
    }


def handler(
    record: RecordType[Any], verb: str, shape: type[BaseModel]
) -> Callable[[Request, UnitOfWork], Awaitable[Response]]:
    """The direct endpoint of one batch verb."""
    adapter: TypeAdapter[Any] = TypeAdapter(shape)
    one = {"create": _create, "update": _update, "upsert": _upsert, "delete": _delete}[verb]

    async def endpoint(request: Request, uow: UnitOfWork) -> Response:
        require_json(request)
        body = parse_body(adapter, await request.body())
        if verb == "upsert":
            await _hold_keys(uow, record, body.items)
        service = record.service(uow)
        if verb == "upsert" and isinstance(service, DuplicateAware):
            # No chunk of an import begins that wants the rows changed here.
            await hold_all_forms(uow, record.object, shared=True)
        results: list[BatchResult] = []
        for item in body.items:
            results.append(await _attempt(uow, service, item, one))
            if results[-1].error is not None:
                service = record.service(uow)  # what a service remembers of an item was undone with it
        failed = sum(result.error is not None for result in results)
        if failed and body.all_or_none:
            raise BatchFailed(
                f"{failed} of {len(results)} items failed.",
                results=[r.model_dump(mode="json") for r in results],
            )
        answer = BatchAnswer(results=results, succeeded=len(results) - failed, failed=failed)
        return Response(to_json(answer.model_dump()), status_code=207, media_type="application/json")

    return endpoint


Outcome = tuple[int, RecordTable | None]


async def _attempt(
    uow: UnitOfWork,
    service: RecordService[Any],
    item: Any,
    one: Callable[[RecordService[Any], Any], Awaitable[Outcome]],
    *,
    again: bool = False,
) -> BatchResult:
    try:
        async with uow.savepoint():
            status, row = await one(service, item)
            await uow.within_limits()
    except (Problem, asyncpg.PostgresError) as error:
        problem = error if isinstance(error, Problem) else problem_of(error)
        if problem.status >= 500:
            raise
        if one is _upsert and isinstance(problem, DuplicateValue | NotFound) and not again:
            # Somebody else made or deleted the record since our look: the second look finds how it is.
            return await _attempt(uow, service.record.service(uow), item, one, again=True)
        document = problem.document(instance="", request_id="")
        refusal = BatchItemError(code=problem.code, detail=problem.detail, errors=document.get("errors", []))
        return BatchResult(ref=item.ref, status=problem.status, id=None, version=None, error=refusal)
    id = row.id if row is not None else item.id
    return BatchResult(
        ref=item.ref, status=status, id=id, version=row.version if row is not None else None, error=None
    )


def _given(body: BaseModel, names: Any) -> dict[str, Any]:
    return {name: getattr(body, name) for name in names}


async def _create(service: RecordService[Any], item: Any) -> Outcome:
    body = item.record
    row = await service.create(_given(body, type(body).model_fields), explicit=body.model_fields_set)
    return 201, row


async def _update(service: RecordService[Any], item: Any) -> Outcome:
    given = _given(item.record, item.record.model_fields_set)
    return 200, await service.update(item.id, given, expected_version=item.version)


async def _hold_keys(uow: UnitOfWork, record: RecordType[Any], items: Sequence[Any]) -> None:
    """Let batches that would make or change the same records wait for each other before they hold anything."""
    await lock_name(uow, all_upserts(record.object), shared=True)
    fields = (await uow.kernel.custom_fields.of(uow, record.object)).by_key
    keys: set[str] = set()
    for item in items:
        key = item.key.removeprefix(CUSTOM)
        if key == item.key:
            value = getattr(item.record, key)
        else:
            given = (getattr(item.record, "custom", None) or {}).get(key)
            field = fields.get(key)
            value = compared_or_none(uow, field, given) if field is not None and field.unique else None
        if value is not None:
            keys.add(f"{item.key} {value}")
    await lock_keys(uow, all_upserts(record.object), keys)


async def _upsert(service: RecordService[Any], item: Any) -> Outcome:
    found = await (_by_custom(service, item) if item.key.startswith(CUSTOM) else _by_column(service, item))
    if found is None:
        return await _create(service, item)
    given = _given(item.record, item.record.model_fields_set)
    return 200, await service.update(found, given, expected_version=None)


async def _by_column(service: RecordService[Any], item: Any) -> UUID | None:
    value = getattr(item.record, item.key)
    if value is None:
        raise _key_missing(item)
    uow, model = service.uow, service.record.model
    existing = await uow.first(uow.select(model).where(getattr(model, item.key) == value))
    return None if existing is None else existing.id


async def _by_custom(service: RecordService[Any], item: Any) -> UUID | None:
    uow, record = service.uow, service.record
    field = await unique_field(uow, record, item.key)
    value = (getattr(item.record, "custom", None) or {}).get(field.key)
    if value is None:
        raise _key_missing(item)
    key = compared_or_none(uow, field, value)
    return None if key is None else (await holders(uow, record, field, [key])).get(key)


def _key_missing(item: Any) -> Invalid:
    pointer = f"/record/{item.key.replace('.', '/')}"
    return Invalid.at(pointer, "required", f"An upsert by {item.key} needs its value.")


async def _delete(service: RecordService[Any], item: Any) -> Outcome:
    await service.delete(item.id, expected_version=item.version)
    return 204, None
