"""`/v1/merges`: what was merged into what, and taking it back. Merging itself is an operation of each record type."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import Path, Query
from starlette.requests import Request
from starlette.responses import Response

from app.kernel.audit import history_page
from app.kernel.errors import DuplicateValue, NotFound, problems
from app.kernel.listing import Bindings
from app.kernel.log_pages import NEWEST, fetch_page
from app.kernel.merging.merge import Merged, fields_of
from app.kernel.merging.models import Merge
from app.kernel.merging.schemas import MergeRead, UndoneMerge
from app.kernel.merging.undo import MergeNotUndoable, get_merge, undo_merge, visible_merges
from app.kernel.paging import Cursor, Limit
from app.kernel.records import RecordType, to_json
from app.kernel.routing import Router, Uow
from app.kernel.schemas import HistoryEntry, Page
from app.kernel.statements import columns_of, entity
from app.kernel.uow import UnitOfWork

router = Router(prefix="/v1/merges", tags=["merges"])


def read_merge(uow: UnitOfWork, merge: Merge) -> MergeRead:
    """A merge as it is shown; fields hidden from the actor are left out."""
    record = uow.kernel.registry.records[merge.object]
    values = {name: merge.__dict__[name] for name in MergeRead.model_fields if name != "changed"}
    return MergeRead(**values, changed=fields_of(record, merge, uow.actor.hidden(merge.object)))


def merged_answer(uow: UnitOfWork, record: RecordType[Any], found: Merged) -> bytes:
    """The JSON of a merge."""
    shown = record.render(found.survivor, uow.actor.hidden(record.object))
    return to_json({"merge": read_merge(uow, found.merge).model_dump(), "record": shown})


def preview_answer(uow: UnitOfWork, record: RecordType[Any], found: Merged) -> bytes:
    """The JSON of a merge that was only tried."""
    hidden = uow.actor.hidden(record.object)
    return to_json(
        {
            "master_id": found.merge.survivor_id,
            "merged_ids": found.merge.merged_ids,
            "taken": {name: id for name, id in found.outcome.taken.items() if name not in hidden},
            "united": [name for name in found.outcome.united if name not in hidden],
            "moved": found.merge.moved,
            "record": record.render(found.survivor, hidden),
        }
    )


@router.get("", access="signed_in")
async def list_merges(
    uow: Uow,
    object_name: Annotated[
        str | None, Query(alias="object", max_length=60, description="Only of this record type.")
    ] = None,
    record_id: Annotated[UUID | None, Query(description="Only those that this record was part of.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[MergeRead]:
    """Merges whose surviving record you may read, newest first."""
    bind = Bindings(uow.tenant_id)
    clauses = ["m.tenant_id = $1", visible_merges(uow, bind)]
    if object_name is not None:
        clauses.append(f"m.object = {bind(object_name)}")
    if record_id is not None:
        place = bind(record_id)
        clauses.append(f"(m.survivor_id = {place} OR {place} = ANY(m.merged_ids))")
    columns = ", ".join(f"m.{name}" for name in columns_of(Merge))
    found = await fetch_page(
        uow,
        f"SELECT {columns} FROM kernel.merges m WHERE {' AND '.join(clauses)}",
        bind,
        NEWEST,
        name=f"merges:{object_name}:{record_id}",
        limit=limit,
        cursor=cursor,
    )
    return found.page(lambda row: read_merge(uow, entity(Merge, row)))


@router.get("/{id}", access="signed_in")
async def get_record_merge(uow: Uow, id: UUID) -> MergeRead:
    """Read one merge."""
    return read_merge(uow, await get_merge(uow, id))


@router.post("/{id}/undo", access="signed_in", responses=problems(MergeNotUndoable, DuplicateValue))
async def undo_record_merge(uow: Uow, id: UUID) -> UndoneMerge:
    """Take a merge back within 30 days: the merged records, their references, and the survivor's fields.

    What somebody changed since stays as it is. It needs the permission to merge records of that type.
    """
    done = await undo_merge(uow, id)
    return UndoneMerge(
        merge=read_merge(uow, done.merge),
        restored_ids=sorted(done.merge.merged_ids),
        moved_back=done.moved_back,
        fields_restored=done.restored,
        fields_kept=done.kept,
    )


@router.get(
    "/{id}/records/{record_id}/history",
    access="signed_in",
    response_model=Page[HistoryEntry],
    open_query=False,
)
async def get_merged_record_history(
    request: Request,
    uow: Uow,
    id: UUID,
    record_id: Annotated[UUID, Path(description="A record that was merged away.")],
    limit: Limit = 50,  # noqa: ARG001 - read with the whole query
    cursor: Cursor = None,  # noqa: ARG001
) -> Response:
    """Who changed what on a record before, and since, it was merged into another; newest first."""
    merge = await get_merge(uow, id)
    if record_id not in merge.merged_ids:
        raise NotFound
    body = await history_page(uow, merge.object, record_id, request.query_params)
    return Response(body, media_type="application/json")
