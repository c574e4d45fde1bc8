"""Imports as their owners handle them: made, mapped, started, watched, cancelled, undone."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any
from uuid import UUID

from app.kernel.custom_fields.keys import unique_field
from app.kernel.errors import (
    Conflict,
    FieldError,
    Invalid,
    InvalidTransition,
    NotFound,
    StaleVersion,
)
from app.kernel.imports.models import ACTIVE, ENDED, Import, StoredUpload
from app.kernel.imports.run import ImportPayload, kept_cells, reader_of
from app.kernel.imports.schemas import ImportCreate, ImportUpdate
from app.kernel.imports.targets import ImportTarget, check_mapping, guess, targets_of
from app.kernel.jobs import request_cancel
from app.kernel.records import RecordType
from app.kernel.tabular import FailedRowsWriter, TabularError
from app.kernel.uow import UnitOfWork

if TYPE_CHECKING:
    from app.kernel.runtime import Kernel

SAMPLES = 5


class ImportNotReady(Conflict):
    code = "import_not_ready"
    title = "The import cannot start yet"


class FileUnreadable(Invalid):
    code = "file_unreadable"
    title = "The file cannot be read as a table"


@dataclass(frozen=True)
class Preview:
    """What a look at the file shows."""

    columns: tuple[str, ...]
    samples: list[list[str | None]]
    detected: dict[str, Any]


async def inspect(kernel: Kernel, key: str, options: Mapping[str, Any]) -> Preview:
    """Look at a stored file. Raises `FileUnreadable`."""
    async with kernel.files.local_copy(key) as path:
        return await asyncio.to_thread(_inspect, path, dict(options))


def _inspect(path: Any, options: dict[str, Any]) -> Preview:
    try:
        reader = reader_of(path, options)
        rows = list(islice(reader.rows(), SAMPLES))
    except TabularError as error:
        detail = f"{error.message} (line {error.line})" if error.line else error.message
        raise FileUnreadable(detail, errors=[FieldError("/file", error.code, detail)]) from None
    return Preview(
        columns=reader.header.names,
        samples=[_sample(row.values, len(reader.header.names)) for row in rows],
        detected={
            "format": reader.format.value,
            "encoding": getattr(reader, "encoding", None),
            "delimiter": getattr(reader, "delimiter", None),
            "sheet": getattr(reader, "sheet", None),
            "warnings": [fault.reason for fault in reader.header.faults],
        },
    )


def _sample(values: Sequence[str | None], width: int) -> list[str | None]:
    cells = kept_cells([None if value is None else value[:200] for value in values[:width]])
    return [None if cell is None else cell.replace("\0", "") for cell in cells] + [None] * (
        width - len(cells)
    )


class Imports:
    """The imports of the tenant at hand."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow

    def record(self, name: str) -> RecordType[Any]:
        """The record type to import. Raises `Invalid`, and `Forbidden` without `<object>:import`."""
        found = self.uow.kernel.registry.record(name)
        if found is None or not found.importable:
            raise Invalid.at("/object", "unknown_object", f"There is no record type {name!r} to import.")
        self.uow.actor.require(f"{found.object}:import")
        return found

    async def get(self, id: UUID, *, lock: bool = False) -> Import:
        """An import that the actor made, or may see by `job:read`. Raises `NotFound`."""
        found = await self.uow.get(Import, id, lock="update" if lock else None)
        if not self._mine(found.created_by) and not self.uow.actor.may("job:read"):
            raise NotFound
        return await self._settled(found)

    def _mine(self, member_id: UUID | None) -> bool:
        return member_id is not None and member_id == self.uow.actor.member_id

    async def _settled(self, found: Import) -> Import:
        """An import whose job has died for good is shown, and kept, as failed."""
        if found.state not in ACTIVE or found.job_id is None:
            return found
        job = await self.uow.fetchrow(
            "SELECT state, last_error FROM kernel.jobs WHERE tenant_id = $1 AND id = $2",
            self.uow.tenant_id,
            found.job_id,
        )
        if job is None or job["state"] not in ("failed", "cancelled"):
            return found
        error = {"code": "job_failed", "detail": "The import was given up after several attempts."}
        shown = {
            **found.__dict__,
            "state": job["state"],
            "error": error if job["state"] == "failed" else None,
        }
        made = Import.__new__(Import)
        made.__dict__.update(shown)
        return made

    async def create(self, body: ImportCreate) -> Import:
        """A new import in state `open`. Raises `Invalid`, `Forbidden`."""
        record = self.record(body.object)
        return await self.uow.insert(
            Import,
            audit="import",
            object=record.object,
            mode=body.mode,
            key=await self._key(record, body.key),
            duplicate_rule=body.duplicate_rule,
            dry_run=body.dry_run,
            state="open",
            options=body.options.model_dump(),
            defaults=await self._defaults(record, body.defaults),
            mapping=body.mapping or {},
            created_by=self.uow.actor.member_id,
        )

    async def _key(self, record: RecordType[Any], key: str | None) -> str:
        if key is None:
            return record.upsert_keys[0]
        if key not in record.upsert_keys:
            await unique_field(self.uow, record, key)
        return key

    async def _defaults(self, record: RecordType[Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
        targets = await targets_of(self.uow, record)
        for name in defaults:
            if name not in targets or targets[name].sort == "extra":
                raise Invalid.at(f"/defaults/{name}", "unknown_field", f"{name!r} cannot be imported here.")
        return dict(defaults)

    async def attach(self, found: Import, upload: StoredUpload, preview: Preview) -> Import:
        """Give the import its file; the mapping is guessed where it was not given. Raises `Invalid`."""
        if found.state not in ("open", "uploaded"):
            raise InvalidTransition(
                "The import has started; make a new one for another file.", state=found.state
            )
        mapping, columns = await self._seen(found, preview, found.mapping if found.state == "open" else {})
        return await self.uow.update(
            found,
            audit="import",
            action="uploaded",
            state="uploaded",
            file_id=upload.id,
            mapping=mapping,
            preview={"columns": columns, "detected": preview.detected},
        )

    async def _seen(
        self, found: Import, preview: Preview, known: Mapping[str, str | None]
    ) -> tuple[dict[str, str | None], list[dict[str, Any]]]:
        """The mapping and the columns of a file: `known` where it is given, else a guess. Raises `Invalid`."""
        targets = await targets_of(self.uow, self.record(found.object))
        # What we once wrote beside failed rows means no field, though one may be called `code`.
        guesses = {g.column: g for g in guess(FailedRowsWriter.original(preview.columns), targets)}
        mapping = dict.fromkeys(preview.columns) | {c: g.target for c, g in guesses.items()}
        if known:
            check_mapping(known, preview.columns, targets)
            mapping = {column: known.get(column) for column in preview.columns}
        columns = [
            {
                "column": column,
                "confidence": guesses[column].confidence if column in guesses else None,
                "samples": [row[place] for row in preview.samples],
            }
            for place, column in enumerate(preview.columns)
        ]
        return mapping, columns

    async def _read_anew(self, found: Import, upload: StoredUpload) -> Import:
        """After a change of how the file is read. Columns that were there keep what they are mapped to."""
        preview = await inspect(self.uow.kernel, upload.key, found.options)
        guessed, columns = await self._seen(found, preview, {})
        kept = {column: found.mapping[column] for column in preview.columns if column in found.mapping}
        taken = {name for name in kept.values() if name is not None}
        mapping = {column: None if name in taken else name for column, name in guessed.items()} | kept
        return await self.uow.update(
            found,
            audit="import",
            action="uploaded",
            mapping=mapping,
            preview={"columns": columns, "detected": preview.detected},
        )

    async def adjust(self, id: UUID, body: ImportUpdate, *, expected_version: int) -> Import:
        """Change an import before it starts. Raises `StaleVersion`, `InvalidTransition`, `Invalid`."""
        found = await self.get(id, lock=True)
        record = self.record(found.object)
        if found.version != expected_version:
            raise StaleVersion(current_version=found.version)
        if not self._startable(found) and found.state != "open":
            raise InvalidTransition("The import has started.", state=found.state)
        given = body.model_dump(exclude_unset=True)
        if given.get("key") is not None or "key" in given:
            given["key"] = await self._key(record, body.key)
        if body.mapping is not None:
            given["mapping"] = await self._merged(found, record, body.mapping)
        if body.defaults is not None:
            given["defaults"] = await self._defaults(record, body.defaults)
        if body.options is not None:
            given["options"] = found.options | body.options.model_dump(exclude_unset=True)
        for name in ("mode", "mapping", "defaults", "options", "dry_run"):
            if name in given and given[name] is None:
                raise Invalid.at(f"/{name}", "required", f"{name} may not be null.")
        changed = await self.uow.update(found, audit="import", **given)
        upload = await self.uow.find(StoredUpload, found.file_id) if found.file_id else None
        if changed.options != found.options and upload is not None:
            changed = await self._read_anew(changed, upload)
        return changed

    async def _merged(
        self, found: Import, record: RecordType[Any], changes: Mapping[str, str | None]
    ) -> dict[str, str | None]:
        merged = dict(found.mapping)
        taken = {field for field in changes.values() if field is not None}
        for column, field in merged.items():
            if field in taken and column not in changes:
                merged[column] = None  # what is given now outweighs what was guessed
        merged |= changes
        if found.preview is not None:
            columns = [column["column"] for column in found.preview["columns"]]
            check_mapping(merged, columns, await targets_of(self.uow, record))
        return merged

    def _startable(self, found: Import) -> bool:
        return found.state == "uploaded" or (found.dry_run and found.state in ENDED)

    async def start(self, id: UUID, *, dry_run: bool | None = None) -> Import:
        """Start an uploaded import, or after a dry run the real one. Raises `ImportNotReady`."""
        found = await self.get(id, lock=True)
        record = self.record(found.object)
        if not self._startable(found):
            raise InvalidTransition("Only an uploaded import can start.", state=found.state)
        missing = missing_fields(found, await targets_of(self.uow, record))
        if missing:
            raise ImportNotReady(f"No column is mapped to: {', '.join(missing)}.", missing=missing)
        return await self._enqueue(found, found.dry_run if dry_run is None else dry_run)

    async def start_if_ready(self, found: Import) -> Import:
        """Start when all that is needed could be mapped; else leave it to be mapped by hand."""
        targets = await targets_of(self.uow, self.record(found.object))
        return found if missing_fields(found, targets) else await self._enqueue(found, found.dry_run)

    async def _enqueue(self, found: Import, dry_run: bool) -> Import:
        await self.uow.fetch(
            "DELETE FROM kernel.import_chunks WHERE tenant_id = $1 AND import_id = $2",
            self.uow.tenant_id,
            found.id,
        )
        job_id = self.uow.enqueue("imports.run", ImportPayload(import_id=found.id).model_dump(mode="json"))
        counts = dict.fromkeys(("position", "created", "updated", "unchanged", "failed"), 0)
        return await self.uow.update(
            found,
            audit="import",
            action="started",
            state="validating",
            dry_run=dry_run,
            job_id=job_id,
            total=None,
            error=None,
            started_at=None,
            finished_at=None,
            **counts,
        )

    async def cancel(self, id: UUID) -> Import:
        """Stop an import after the chunk at hand; what was written stays, and can be undone."""
        found = await self.get(id, lock=True)
        self.record(found.object)
        if found.state in ENDED:
            raise InvalidTransition("The import has ended.", state=found.state)
        if found.job_id is not None and found.state in ACTIVE:
            await request_cancel(self.uow, found.job_id)
            job = await self.uow.fetchrow(
                "SELECT state FROM kernel.jobs WHERE tenant_id = $1 AND id = $2",
                self.uow.tenant_id,
                found.job_id,
            )
            if job is not None and job["state"] == "running":
                return found
        return await self.uow.update(
            found, audit="import", action="cancelled", state="cancelled", finished_at=self.uow.now
        )

    async def undo(self, id: UUID) -> Import:
        """Take back what an ended import did. Raises `InvalidTransition`."""
        found = await self.get(id, lock=True)
        self.record(found.object)
        if found.dry_run or found.state not in ENDED:
            raise InvalidTransition(
                "Only an import that has ended and written can be undone.", state=found.state
            )
        if found.undo is not None:
            raise InvalidTransition("The import is undone already.", state=found.state)
        self.uow.enqueue("imports.undo", ImportPayload(import_id=found.id).model_dump(mode="json"))
        begun = {"state": "in_progress", "deleted": 0, "restored": 0, "kept": 0}
        return await self.uow.update(found, audit="import", action="undo_started", undo=begun)

    async def upload_target(self, id: UUID) -> Import:
        """An import that waits for its file. Raises `NotFound`, `InvalidTransition`."""
        found = await self.get(id)
        self.record(found.object)
        if found.state not in ("open", "uploaded"):
            raise InvalidTransition("The import has started.", state=found.state)
        return found


def missing_fields(found: Import, targets: Mapping[str, ImportTarget]) -> list[str]:
    """Fields that must be mapped before the import can do anything: the required ones, or the key of an update."""
    mapped = {name for name in found.mapping.values() if name} | set(found.defaults)
    if found.mode == "update":
        return [found.key] if found.key not in mapped else []
    wanted = [name for name, target in targets.items() if target.required]
    if found.mode == "upsert":
        wanted.append(found.key)
    return [name for name in wanted if name not in mapped]
