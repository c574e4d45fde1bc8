"""The import job: chunk by chunk, each in one transaction that also moves the resume position.

A kill at any moment leaves whole chunks behind and nothing else; the next worker goes on at the position.
While one chunk is being written, the next one is read and validated in a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from app.kernel.duplicates import DuplicateColumns
from app.kernel.errors import Invalid, Problem
from app.kernel.imports.chunk import ChunkWriter, Outcome
from app.kernel.imports.models import ENDED, Import, StoredUpload
from app.kernel.imports.new_rows import NewRows
from app.kernel.imports.owners import Owners
from app.kernel.imports.prepare import Preparer
from app.kernel.imports.rules import ImportOptions, ImportRow
from app.kernel.imports.sets import SetWriter
from app.kernel.imports.shape import Shape, columns_of
from app.kernel.imports.targets import Plan, check_mapping, plan_of, targets_of
from app.kernel.jobs import JobCancelled, JobContext, JobLost, JobPaused
from app.kernel.records import RecordType
from app.kernel.registry import JobKind
from app.kernel.tabular import Fault, Row, TableReader, TabularError, open_table
from app.kernel.uow import UnitOfWork

CHUNK = 320
ATTEMPTS = 10
_ANALYZE_AFTER = frozenset({1, 16, 64, 256, 1_024})  # chunks
# Whoever knows nothing of `deleted_at` takes one row in 200 to be live, and looks for an id through an index of the
# live ones by name, the tenant's whole index for every id.
_ANY_TABLE = ("tenant_id", "id", "deleted_at")
_CUSTOM_VALUES = ("tenant_id", "field_id", "record_id", "unique_key")


class ImportPayload(BaseModel):
    """Which import a job runs or undoes."""

    import_id: UUID


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows made ready, and the moment that they will bear if all of them are new."""

    now: datetime
    rows: list[ImportRow]


@dataclass
class _Run:
    """What stays the same from chunk to chunk."""

    id: UUID
    record: RecordType[Any]
    reader: TableReader
    plan: Plan
    options: ImportOptions
    key: str
    shape: Shape
    preparer: Preparer
    owners: Owners
    indexes_custom: bool


async def run_import(context: JobContext, payload: ImportPayload) -> dict[str, Any]:
    """Run or go on with an import; what was done before a kill is not done again."""
    async with context.transaction() as uow:
        found = await uow.get(Import, payload.import_id)
        upload = await uow.get(StoredUpload, found.file_id) if found.file_id else None
    if found.state in ENDED or upload is None:
        return _counts(found)
    try:
        async with context.kernel.files.local_copy(upload.key) as path:
            return await _run_file(context, found, path)
    except (TabularError, Problem) as error:
        if isinstance(error, Problem) and error.status >= 500:
            raise
        return await _end(context, found.id, "failed", error=_described(error))
    except JobCancelled:
        await _end(context, found.id, "cancelled")
        raise
    except (JobPaused, JobLost):
        raise
    except Exception:
        if context.attempt >= ATTEMPTS:
            await _end(context, found.id, "failed", error={"code": "internal_error", "detail": Problem.title})
        raise


def _described(error: TabularError | Problem) -> dict[str, Any]:
    if isinstance(error, TabularError):
        return {"code": error.code, "detail": error.message, "line": error.line}
    return {"code": error.code, "detail": error.detail}


def reader_of(path: Path, options: dict[str, Any]) -> TableReader:
    """The reader that the import's file options ask for. Blocking. Raises `TabularError`."""
    return open_table(
        path,
        expected=options.get("format"),
        encoding=options.get("encoding"),
        delimiter=options.get("delimiter"),
        sheet=options.get("sheet"),
    )


async def _run_file(context: JobContext, found: Import, path: Path) -> dict[str, Any]:
    reader = await asyncio.to_thread(reader_of, path, found.options)
    total = found.total
    if total is None:
        total = await asyncio.to_thread(_count, reader)
    async with context.transaction() as uow:
        run = await _prepared(uow, found, reader)
        await uow.fetch(
            "UPDATE kernel.imports SET total = $3, started_at = coalesce(started_at, $4), updated_at = $4,"
            " state = CASE WHEN dry_run THEN state ELSE 'in_progress' END WHERE tenant_id = $1 AND id = $2",
            uow.tenant_id,
            found.id,
            total,
            uow.now,
        )
    await _chunks(context, run, found.position, total)
    async with context.transaction() as uow:
        final = await uow.get(Import, found.id)
    return await _end(context, found.id, "completed_with_errors" if final.failed else "completed")


def _count(reader: TableReader) -> int:
    """Read the file once to its end: how many rows there are, and that nothing breaks off in the middle."""
    return sum(1 for _ in reader.rows())


async def _prepared(uow: UnitOfWork, found: Import, reader: TableReader) -> _Run:
    record = uow.kernel.registry.record(found.object)
    if record is None:
        raise Invalid(f"There is no record type {found.object!r} any more.")
    uow.actor.require(f"{record.object}:import")
    await uow.kernel.custom_fields.reread(uow)
    targets = await targets_of(uow, record)
    columns = reader.header.names
    check_mapping(found.mapping, columns, targets)
    tenant = uow.actor.tenant
    plan = plan_of(
        record,
        columns,
        found.mapping,
        targets,
        defaults=found.defaults,
        order=found.options.get("date_order", "ymd"),
        zone=tenant.zone,
        currency=tenant.currency,
    )
    options = ImportOptions(
        mode=found.mode,  # type: ignore[arg-type]  # a CHECK holds it to these
        duplicate_rule=found.duplicate_rule,  # type: ignore[arg-type]
        dry_run=found.dry_run,
    )
    shape, owners, service = await Shape.of(uow, record), Owners(), record.service(uow)
    custom = await uow.kernel.custom_fields.of(uow, record.object)
    return _Run(
        id=found.id,
        record=record,
        reader=reader,
        plan=plan,
        options=options,
        key=found.key,
        shape=shape,
        preparer=Preparer(
            record, plan, found.mode, service=service, new_rows=NewRows(shape, service, owners)
        ),
        owners=owners,
        indexes_custom=any(one.indexed for one in custom.by_key.values()),
    )


async def _chunks(context: JobContext, run: _Run, position: int, total: int) -> None:
    rows = run.reader.rows(position)
    written = 0
    calm = run.options.calm
    calm.begin()
    clock = context.kernel.clock
    former: list[ImportRow] = []
    following = asyncio.create_task(asyncio.to_thread(_next, rows, run, clock.now(), former))
    try:
        while (chunk := await following).rows:
            calm.end()
            following = asyncio.create_task(asyncio.to_thread(_next, rows, run, clock.now(), former))
            await write_chunk(context, run, chunk)
            former = chunk.rows
            written += 1
            if written in _ANALYZE_AFTER:
                await _analyze(context, run)
            done = chunk.rows[-1].number + 1
            await context.progress(done, total)
            if done < total:
                if await context.cancelled():
                    raise JobCancelled
                if context.stopping.is_set():
                    raise JobPaused
    finally:
        calm.begin()
        if not following.done():
            await asyncio.wait([following])  # a thread cannot be stopped; the file closes when it is through


async def _analyze(context: JobContext, run: _Run) -> None:
    """Tell the planner of what is looked up that the tables have grown; autovacuum comes too late."""
    looked_up = (*_ANY_TABLE, *run.record.upsert_keys, *DuplicateColumns.__annotations__)
    known = columns_of(run.record)
    tables = {run.record.table: [name for name in looked_up if name in known]}
    if run.indexes_custom:
        tables["kernel.custom_values"] = [*_CUSTOM_VALUES]
    async with context.kernel.database.control() as connection:
        for table, columns in tables.items():
            await connection.execute("SELECT kernel.analyze_table($1, $2)", table, columns)


def _next(rows: Iterator[Row], run: _Run, now: datetime, former: list[ImportRow]) -> Chunk:
    """The next chunk, made ready while the server works: two threads at once would only slow each other down.

    The `former` rows, which are written, are let go here as well: to free them takes a millisecond.
    """
    run.preparer.begin(now)
    calm = run.options.calm
    calm.wait()
    former.clear()
    found: list[ImportRow] = []
    for row in islice(rows, CHUNK):
        calm.wait()
        found.append(run.preparer.prepare(row))
    return Chunk(now, found)


async def write_chunk(context: JobContext, run: _Run, chunk: Chunk) -> None:
    """One chunk in one transaction: records, audit, events, usage, results and the resume position."""
    rows = chunk.rows
    outcome: Outcome | None = None
    if run.options.dry_run:
        # All rules on, the database's too; then everything is rolled back and only the findings are kept.
        try:
            async with context.transaction(point_work=True) as uow:
                uow.now = _moment(uow, run, chunk)
                outcome = await _writer(uow, run).write(rows)
                raise _RolledBack
        except _RolledBack:
            pass
    async with context.transaction(point_work=True) as uow:
        uow.now = _moment(uow, run, chunk)
        await _hold(uow, run.id, rows[0].number)
        if outcome is None:
            outcome = await _writer(uow, run).write(rows)
        run.options.calm.begin()  # for the rest of the next chunk
        await _record(uow, run, rows, outcome)


def _moment(uow: UnitOfWork, run: _Run, chunk: Chunk) -> datetime:
    """Changes are of the transaction's moment: one before it could be earlier than what they change."""
    return chunk.now if run.options.mode == "create" else uow.now


class _RolledBack(Exception):
    """Ends the transaction of a dry run."""


def _writer(uow: UnitOfWork, run: _Run) -> ChunkWriter:
    sets = SetWriter(uow, run.shape, run.options.calm)
    return ChunkWriter(sets, run.options, key=run.key, owners=run.owners, plan=run.plan)


async def _hold(uow: UnitOfWork, import_id: UUID, position: int) -> None:
    """Lock the import where this chunk begins. Raises `JobLost` when another worker is further already."""
    # What a crash of the server takes with it are whole chunks, the last ones, and the position with them; the
    # commit that ends the import waits until all of it is on disk.
    # New search tokens wait in a list of 4 MB; with the usual memory they would be sorted in several rounds.
    row = await uow.fetchrow(
        "SELECT position, state, set_config('synchronous_commit', 'off', true),"
        " set_config('work_mem', '32MB', true)"
        " FROM kernel.imports WHERE tenant_id = $1 AND id = $2 FOR NO KEY UPDATE",
        uow.tenant_id,
        import_id,
    )
    if row is None or row["state"] in ENDED or row["position"] > position:
        raise JobLost


async def _record(uow: UnitOfWork, run: _Run, rows: list[ImportRow], outcome: Outcome) -> None:
    dry = run.options.dry_run
    warned = [row for row in rows if row.warnings and not row.faults]
    await uow.fetch(
        "WITH chunk AS (INSERT INTO kernel.import_chunks (tenant_id, import_id, number, rows, created_lines,"
        " created_ids, updated, failures, warnings) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9))"
        " UPDATE kernel.imports SET position = $10, created = created + $11, updated = updated + $12,"
        " unchanged = unchanged + $13, failed = failed + $14, updated_at = $15 WHERE tenant_id = $1 AND id = $2",
        uow.tenant_id,
        run.id,
        rows[0].number,
        len(rows),
        [row.line for row in outcome.created],
        [] if dry else [row.id for row in outcome.created],
        [
            {"line": row.line, "id": row.existing.id, "version": version, "before": before}
            for row, version, before in outcome.updated
        ]
        + [{"line": row.line, "id": None} for row in outcome.again],
        [
            {"line": row.line, "cells": kept_cells(row.cells), "faults": _faults(row.faults)}
            for row in outcome.failed
        ],
        [{"line": row.line, "faults": _faults(row.warnings)} for row in warned],
        rows[-1].number + 1,
        len(outcome.created),
        len(outcome.updated) + len(outcome.again),
        len(outcome.unchanged),
        len(outcome.failed),
        uow.now,
    )


def kept_cells(cells: list[str | None]) -> list[str | None]:
    """Cells as the database can keep them."""
    return [None if cell is None else _kept(cell) for cell in cells]


def _kept(text: str) -> str:
    """Half a character, which JSON can hold (RFC 8259, 8.2), and NUL as `?`."""
    return text.encode(errors="replace").decode().replace("\0", "?")


def _faults(faults: list[Fault]) -> list[list[str | None]]:
    return [
        [fault.code, _kept(fault.reason), None if fault.column is None else _kept(fault.column)]
        for fault in faults
    ]


async def _end(
    context: JobContext, import_id: UUID, state: str, *, error: dict[str, Any] | None = None
) -> dict[str, Any]:
    async with context.transaction() as uow:
        found = await uow.get(Import, import_id, lock="update")
        if found.state in ENDED:
            return _counts(found)
        ended = await uow.update(
            found, audit="import", action=state, state=state, error=error, finished_at=uow.now
        )
        uow.meter("import.rows", ended.created + ended.updated)
    return _counts(ended)


def _counts(found: Import) -> dict[str, Any]:
    names = ("state", "total", "created", "updated", "unchanged", "failed")
    return {"import_id": str(found.id)} | {name: getattr(found, name) for name in names}


IMPORT_JOB = JobKind("imports.run", ImportPayload, run_import, attempts=ATTEMPTS)
