"""What an import did, as files: made from its chunks while they are being downloaded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Literal

from app.kernel.access import Actor
from app.kernel.imports.models import Import, StoredUpload
from app.kernel.imports.run import reader_of
from app.kernel.tabular import CsvWriter, FailedRowsWriter, Fault, Row, in_batches_async
from app.kernel.uow import transaction

if TYPE_CHECKING:
    from app.kernel.runtime import Kernel

Kind = Literal["successful", "failed", "unprocessed", "not_undone"]
KINDS: tuple[Kind, ...] = ("successful", "failed", "unprocessed", "not_undone")
_BATCH = 1_000


async def result_file(kernel: Kernel, actor: Actor, found: Import, kind: Kind) -> AsyncIterator[bytes]:
    """The CSV of one kind of result, with a byte order mark so that spreadsheets read it right."""
    if kind == "unprocessed":
        async for piece in _unprocessed(kernel, actor, found):
            yield piece
        return
    if kind == "failed":
        failures = FailedRowsWriter(columns_of(found))
        yield failures.start()
        async for chunk in _chunks(kernel, actor, found):
            if chunk["failures"]:
                yield failures.write(
                    [
                        (row["line"], row["cells"], [Fault(*fault) for fault in row["faults"]])
                        for row in chunk["failures"]
                    ]
                )
        return
    header = ("line", "id", "action", "warnings") if kind == "successful" else ("line", "id", "reason")
    writer = CsvWriter(header, excel=True)
    yield writer.start()
    async for chunk in _chunks(kernel, actor, found):
        rows = _successes(chunk) if kind == "successful" else _kept(chunk)
        if rows:
            yield writer.write(rows)


def columns_of(found: Import) -> list[str]:
    """The header of the file that was imported."""
    return [column["column"] for column in (found.preview or {}).get("columns", [])] or list(found.mapping)


async def _chunks(kernel: Kernel, actor: Actor, found: Import) -> AsyncIterator[Any]:
    """The chunks in order, each read in a short transaction of its own."""
    number = -1
    while True:
        async with transaction(kernel, actor, read_only=True) as uow:
            chunk = await uow.fetchrow(
                "SELECT * FROM kernel.import_chunks WHERE tenant_id = $1 AND import_id = $2 AND number > $3"
                " ORDER BY number LIMIT 1",
                uow.tenant_id,
                found.id,
                number,
            )
        if chunk is None:
            return
        number = chunk["number"]
        yield chunk


def _successes(chunk: Any) -> list[tuple[int, str | None, str, str | None]]:
    warnings = {row["line"]: "; ".join(fault[1] for fault in row["faults"]) for row in chunk["warnings"]}
    ids = chunk["created_ids"] or [None] * len(chunk["created_lines"])  # a dry run makes no ids
    rows = [
        (line, str(id) if id else None, "created", warnings.get(line))
        for line, id in zip(chunk["created_lines"], ids, strict=True)
    ]
    rows += [(row["line"], row["id"], "updated", warnings.get(row["line"])) for row in chunk["updated"]]
    return sorted(rows)


def _kept(chunk: Any) -> list[tuple[int, str, str]]:
    return [(row["line"], row["id"], row["reason"]) for row in chunk["not_undone"] or []]


async def _unprocessed(kernel: Kernel, actor: Actor, found: Import) -> AsyncIterator[bytes]:
    """The rows behind the position at which the import ended, as they are in the file."""
    columns = columns_of(found)
    writer = CsvWriter(columns, excel=True)
    yield writer.start()
    if found.file_id is None:
        return
    async with transaction(kernel, actor, read_only=True) as uow:
        upload = await uow.get(StoredUpload, found.file_id)
    async with kernel.files.local_copy(upload.key) as path:
        reader = await asyncio.to_thread(reader_of, path, found.options)
        async for batch in in_batches_async(reader, _BATCH, start=found.position):
            yield writer.write([_padded(row, len(columns)) for row in batch])


def _padded(row: Row, width: int) -> list[str | None]:
    return (row.values + [None] * width)[:width]
