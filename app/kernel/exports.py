"""Exports: everything a filter finds, as a file, in flat memory.

Rows come from a server-side cursor and go to the client or the file store batch by batch. Who exports sees
what they may read *and* export; hidden fields are left out.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

import orjson
from pydantic import BaseModel, Field

from app.kernel.access import Actor
from app.kernel.custom_fields.values import CURRENCY, CUSTOM, currency_of, is_currency
from app.kernel.errors import Invalid
from app.kernel.files import file_key
from app.kernel.ids import new_id
from app.kernel.imports.cells import LIST_SEPARATORS
from app.kernel.imports.models import StoredUpload
from app.kernel.imports.targets import COMMON_LABELS
from app.kernel.jobs import JobContext
from app.kernel.listing import Field as ListField
from app.kernel.listing import Kind, Query, query_from_body
from app.kernel.money import format_minor
from app.kernel.record_reads import field_set, select_records, stream_records
from app.kernel.records import ReadPlan, RecordType, to_json
from app.kernel.registry import JobKind
from app.kernel.schemas import FilterTree, Input
from app.kernel.tabular import MEDIA_TYPES, Cell, Format, writer_for
from app.kernel.uow import UnitOfWork, transaction

if TYPE_CHECKING:
    from app.kernel.runtime import Kernel

MAX_BYTES = 1 << 40
ATTEMPTS = 5


class ExportRequest(Input):
    """What to export and how to write it."""

    object: str = Field(max_length=200, description="A record type, `leads` or `lead`.")
    filter: FilterTree | None = None
    query: str | None = Field(None, max_length=200, description="Free text, as in search.")
    sort: list[str] | None = Field(None, max_length=3)
    fields: list[str] | None = Field(None, min_length=1, max_length=200, description="Absent means all.")
    format: Literal["csv", "ndjson", "xlsx"] = "csv"
    language: Literal["en", "zh"] | None = Field(
        None, description="Column names for people; absent gives field names, which import as they are."
    )
    bom: bool = Field(False, description="Begin a CSV with a byte order mark, for Excel.")


class ExportStreamRequest(ExportRequest):
    """The same, answered at once."""

    format: Literal["csv", "ndjson"] = "csv"


class ExportPayload(BaseModel):
    """The job's order."""

    request: ExportRequest


@dataclass(frozen=True)
class Export:
    """A request made ready: whose, of what, with which columns."""

    kernel: Kernel
    actor: Actor
    record: RecordType[Any]
    request: ExportRequest
    query: Query
    columns: tuple[_Column, ...]

    @property
    def file_name(self) -> str:
        return f"{self.record.plural}.{self.request.format}"

    @property
    def media_type(self) -> str:
        return MEDIA_TYPES[Format(self.request.format)]

    async def pieces(self, told: Callable[[int], Any] | None = None) -> AsyncIterator[bytes]:
        """The file, batch by batch; `told` hears and may await how many rows have been written."""
        names = [column.title for column in self.columns]
        writer = writer_for(Format(self.request.format), names, excel=self.request.bom)
        yield writer.start()
        done = 0
        async with transaction(self.kernel, self.actor, read_only=True) as uow:
            async for plan, rows in stream_records(uow, self.record, self.query):
                yield (
                    self._ndjson(plan, rows)
                    if self.request.format == "ndjson"
                    else writer.write(self._cells(plan, rows))
                )
                done += len(rows)
                if told is not None:
                    await told(done)
        yield writer.finish()

    def _ndjson(self, plan: ReadPlan, rows: Sequence[Any]) -> bytes:
        """Records as the API shows them, one per line."""
        lines = [to_json(plan.render(row)) for row in rows]
        lines.append(b"")
        return b"\n".join(lines)

    def _cells(self, plan: ReadPlan, rows: Sequence[Any]) -> list[list[Cell]]:
        extras = {name: extra for name, _, extra in plan.fixups}
        places = {name: place for place, name in enumerate(plan.names)}
        reads = [
            column.reader(places[column.field.name], extras.get(column.field.name, -1))
            for column in self.columns
        ]
        return [[read(row) for read in reads] for row in map(plan.shown, rows)]


@dataclass(frozen=True)
class _Column:
    """One column of a table: a field, or the currency beside an amount."""

    title: str
    field: ListField
    currency: bool = False

    def reader(self, place: int, extra: int) -> Callable[[Any], Cell]:
        """How to take the cell from a driver row."""
        kind = self.field.kind
        if kind is Kind.MONEY:
            if self.currency:
                return lambda row: row[extra] if row[place] is not None else None
            return lambda row: format_minor(row[place], row[extra]) if row[place] is not None else None
        if kind in (Kind.TEXT_LIST, Kind.UUID_LIST):
            return lambda row: _list_cell(row[place]) if row[place] else None
        return lambda row: row[place]


def export_actor(actor: Actor, object_name: str) -> Actor:
    """The actor with reading narrowed to what they may export. Raises `Forbidden`."""
    read, export = actor.require(f"{object_name}:read"), actor.require(f"{object_name}:export")
    if actor.everything:
        return actor
    return replace(actor, grants={**actor.grants, f"{object_name}:read": min(read, export)})


async def prepare(uow: UnitOfWork, request: ExportRequest) -> Export:
    """Check a request. Raises `Invalid`, `InvalidFilter`, `Forbidden`."""
    kernel = uow.kernel
    record = kernel.registry.record(request.object)
    if record is None:
        raise Invalid.at(
            "/object", "unknown_object", f"There is no record type {request.object!r} to export."
        )
    actor = export_actor(uow.actor, record.object)
    fields = await field_set(uow, record)
    if request.fields is not None:
        names = list(dict.fromkeys(request.fields))
        for place, name in enumerate(names):
            fields.get(name, f"/fields/{place}")
    elif request.format == "ndjson":
        names = [name for name in record.fields if name in fields.fields]
    else:
        names = [name for name in fields.fields if name != "custom"]
    query = query_from_body(request.model_dump(by_alias=True, include={"filter", "query", "sort"}))
    await select_records(uow, record, query)  # what is wrong with the filter is said before a byte is written
    own = (await kernel.custom_fields.of(uow, record.object)).by_key
    titles = _Titles(record, request.language, {key: definition.labels for key, definition in own.items()})
    columns = tuple(_columns(titles, [fields.fields[name] for name in names]))
    return Export(kernel, actor, record, request, replace(query, fields=tuple(names)), columns)


def _columns(titles: _Titles, fields: Sequence[ListField]) -> list[_Column]:
    found: list[_Column] = []
    shown = {field.name for field in fields}
    for field in fields:
        found.append(_Column(titles.of(field.name), field))
        currency = _currency_of(field)
        if currency is not None and currency not in shown:
            shown.add(currency)
            found.append(_Column(titles.of(currency), field, currency=True))
    return found


def _list_cell(items: Sequence[Any]) -> str:
    """Items by `;`, or as JSON where an item would be read as several."""
    texts = [str(item) for item in items]
    if any(LIST_SEPARATORS.search(text) or text != text.strip() for text in texts) or texts[0].startswith(
        "["
    ):
        return orjson.dumps(texts).decode()
    return "; ".join(texts)


def _currency_of(field: ListField) -> str | None:
    """The name of the column beside an amount: amounts of a record may share one, a custom field has its own."""
    if field.kind is not Kind.MONEY:
        return None
    if field.name.startswith(CUSTOM):
        return currency_of(field.name)
    column = (field.currency or "").removeprefix("t.")
    return column if column.isidentifier() else None


@dataclass(frozen=True)
class _Titles:
    """What columns are called: by field, or for people in a language. `own` are the labels of custom fields."""

    record: RecordType[Any]
    language: str | None
    own: Mapping[str, Mapping[str, str]]

    def of(self, name: str) -> str:
        """The title of a field's column."""
        if self.language is None:
            return name
        if is_currency(name):
            return f"{self.of(name.removesuffix(CURRENCY))} {'currency' if self.language == 'en' else '币种'}"
        own = self.own.get(name.removeprefix(CUSTOM)) if name.startswith(CUSTOM) else None
        if own:
            return own.get(self.language) or next(iter(own.values()))
        for label in self.record.labels.get(name) or COMMON_LABELS.get(name, ()):
            if label.isascii() is (self.language == "en"):
                return label
        return name.removeprefix(CUSTOM).replace("_", " ").capitalize()


async def run_export(context: JobContext, payload: ExportPayload) -> dict[str, Any]:
    """Write the file to the store and register it; a job that is started again writes it anew."""
    async with context.transaction() as uow:
        await uow.kernel.custom_fields.reread(uow)
        export = await prepare(uow, payload.request)
    rows = 0

    async def told(done: int) -> None:
        nonlocal rows
        rows = done
        await context.progress(done)
        await context.go_on()

    id = new_id()
    key = file_key(context.actor.tenant.id, "exports", str(id))
    stored = await context.kernel.files.put_stream(key, export.pieces(told), max_size=MAX_BYTES)
    async with context.transaction() as uow:
        await uow.insert(
            StoredUpload,
            audit="file",
            id=id,
            name=export.file_name,
            media_type=export.media_type,
            size=stored.size,
            sha256=stored.sha256,
            key=key,
            created_by=uow.actor.member_id,
        )
        uow.meter("export.rows", rows)
    return {"file_id": str(id), "rows": rows, "content": f"/v1/files/{id}/content"}


def enqueue_export(uow: UnitOfWork, request: ExportRequest) -> UUID:
    """Queue an export that was checked before."""
    payload = ExportPayload(request=request).model_dump(mode="json", by_alias=True)
    return uow.enqueue("exports.run", payload)


EXPORT_JOB = JobKind("exports.run", ExportPayload, run_export, attempts=ATTEMPTS, while_closed=True)

__all__ = ["EXPORT_JOB", "Export", "ExportRequest", "ExportStreamRequest", "enqueue_export", "prepare"]
