"""Taking an import back: what it made is deleted, what it changed is restored, unless someone changed it since."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import asyncpg

from app.kernel.access import visible_rows
from app.kernel.constraints import problem_of
from app.kernel.custom_fields.store import Cleaned
from app.kernel.errors import Invalid, Problem
from app.kernel.imports.models import Import
from app.kernel.imports.restoring import References
from app.kernel.imports.rules import rules_of
from app.kernel.imports.run import ImportPayload
from app.kernel.jobs import JobContext, JobPaused
from app.kernel.listing import Bindings
from app.kernel.records import RecordService, RecordType
from app.kernel.registry import JobKind
from app.kernel.statements import columns_of, entity
from app.kernel.uow import UnitOfWork

_OUT_OF_REACH = "You may not change the record any more."


async def undo_import(context: JobContext, payload: ImportPayload) -> dict[str, Any]:
    """Undo chunk by chunk, the last first; each chunk is one transaction and is marked in it."""
    changes: _Changes | None = None
    while True:
        async with context.transaction() as uow:
            changes = changes or await _Changes.of(uow, payload.import_id)
            found = await uow.get(Import, payload.import_id, lock="update")
            chunk = await uow.fetchrow(
                "SELECT * FROM kernel.import_chunks WHERE tenant_id = $1 AND import_id = $2 AND undone_at IS NULL"
                " ORDER BY number DESC LIMIT 1 FOR UPDATE",
                uow.tenant_id,
                found.id,
            )
            counts = dict(found.undo or {"deleted": 0, "restored": 0, "kept": 0})
            if chunk is None:
                counts["state"] = "completed"
                await uow.update(found, audit="import", action="undone", undo=counts)
                return {"import_id": str(found.id)} | counts
            await _undo_chunk(uow, found, chunk, counts, changes)
        await context.progress(counts["deleted"] + counts["restored"], found.created + found.updated)
        if context.stopping.is_set():
            raise JobPaused


class _Changes:
    """What the import did to each record that it wrote several times: the versions that it left."""

    def __init__(self, versions: Mapping[UUID, list[int]], kept: set[UUID]) -> None:
        self._versions = versions
        self._kept = kept

    @classmethod
    async def of(cls, uow: UnitOfWork, import_id: UUID) -> _Changes:
        """Read them once, and what the undo has kept before it was interrupted."""
        rows = await uow.fetch(_REPEATED, uow.tenant_id, import_id)
        kept = await uow.fetch(_KEPT, uow.tenant_id, import_id)
        return cls({row["id"]: row["versions"] for row in rows}, {row["id"] for row in kept})

    def keep(self, id: UUID) -> None:
        """Something that the import did to this record stays, and so does all that it did before."""
        self._kept.add(id)

    def expected(self, id: UUID, version: int) -> int | None:
        """The version that a record has now if only the import changed it since, and this undo: one for each."""
        if id in self._kept:
            return None
        versions = self._versions.get(id, [version])
        later = sum(one > version for one in versions)
        return version + 2 * later if versions[-1] == version + later else None


async def _undo_chunk(
    uow: UnitOfWork, found: Import, chunk: Any, counts: dict[str, Any], changes: _Changes
) -> None:
    record = uow.kernel.registry.record(found.object)
    if record is None:
        raise Invalid(f"There is no record type {found.object!r} any more.")
    uow.actor.require(f"{record.object}:import")
    undone = _Undo(uow, record, await References.of(uow, record), changes)
    await undone.restore(chunk["updated"])
    await undone.delete(dict(zip(chunk["created_ids"], chunk["created_lines"], strict=True)))
    await uow.fetch(
        "UPDATE kernel.import_chunks SET undone_at = $4, not_undone = $5"
        " WHERE tenant_id = $1 AND import_id = $2 AND number = $3",
        uow.tenant_id,
        found.id,
        chunk["number"],
        uow.now,
        undone.kept,
    )
    counts |= {
        "state": "in_progress",
        "deleted": counts["deleted"] + undone.deleted,
        "restored": counts["restored"] + undone.restored,
        "kept": counts["kept"] + len(undone.kept),
    }
    await uow.update(found, undo=counts)


class _Undo:
    """One chunk being undone."""

    def __init__(
        self, uow: UnitOfWork, record: RecordType[Any], references: References, changes: _Changes
    ) -> None:
        self.changes = changes
        self.uow = uow
        self.record = record
        self.references = references
        self.service: RecordService[Any] = record.service(uow)
        self.rules = rules_of(self.service)
        self.deleted = 0
        self.restored = 0
        self.kept: list[dict[str, Any]] = []

    def _keep(self, line: int, id: UUID, reason: str) -> None:
        self.changes.keep(id)
        self.kept.append({"line": line, "id": str(id), "reason": reason})

    async def _rows(self, ids: list[UUID], action: str) -> dict[UUID, Any]:
        """The live ones, held; None for those that the actor may not reach any more."""
        model: Any = self.record.model
        columns = ", ".join(columns_of(model))
        actor, object_name = self.uow.actor, self.record.object
        bind = Bindings(self.uow.tenant_id, ids)
        allowed: str | None = "false"
        if actor.may(f"{object_name}:{action}"):
            allowed = visible_rows(actor, object_name, action, bind)
        rows = await self.uow.fetch(
            f"SELECT {columns}, {allowed or 'true'} AS allowed FROM {self.record.table} t"
            " WHERE tenant_id = $1 AND id = ANY($2::uuid[]) AND deleted_at IS NULL ORDER BY id FOR NO KEY UPDATE",
            *bind.values,
        )
        found: dict[UUID, Any] = {}
        for row in rows:
            values = dict(row.items())
            found[row["id"]] = entity(model, values) if values.pop("allowed") else None
        return found

    async def delete(self, lines: Mapping[UUID, int]) -> None:
        """Delete what the chunk made and nobody has changed: again what was refused while others stood upon it."""
        rows = await self._rows(list(lines), "read")
        sound: list[tuple[Any, int]] = []
        for id, line in reversed(list(lines.items())):  # as a rule a file names what stands above first
            row = rows.get(id)
            if id in rows and row is None:
                self._keep(line, id, _OUT_OF_REACH)
            elif row is None:
                self._keep(line, id, "The record is deleted already.")
            elif row.version != self.changes.expected(id, 1):
                self._keep(line, id, "The record has changed since.")
            else:
                sound.append((row, line))
        while sound:
            refused = [(row, line, detail) for row, line in sound if (detail := await self._delete(row))]
            if len(refused) == len(sound):
                for row, line, detail in refused:
                    self._keep(line, row.id, detail)
                break
            sound = [(row, line) for row, line, _ in refused]
        self.kept.sort(key=lambda one: one["line"])

    async def _delete(self, row: Any) -> str | None:
        """Why the record stays, if it does."""
        try:
            async with self.uow.savepoint():
                await self.service.before_delete(row)
                await self.uow.delete(row, audit=self.record.object)
                self.uow.publish(self.record.deleted(id=row.id, version=row.version + 1))
        except Problem as problem:
            return problem.detail
        self.deleted += 1
        self.restored -= (row.version - 1) // 2  # what the import had changed in it counts no more
        return None

    async def restore(self, updates: list[dict[str, Any]]) -> None:
        """Put back what the chunk changed, where nobody has changed the record since."""
        rows = await self._rows([UUID(update["id"]) for update in updates], "update")
        for update in reversed(updates):  # the last change of a record first
            id = UUID(update["id"])
            row = rows.get(id)
            if id in rows and row is None:
                self._keep(update["line"], id, _OUT_OF_REACH)
            elif row is None:
                self._keep(update["line"], id, "The record is deleted.")
            elif row.version != self.changes.expected(id, update["version"]):
                self._keep(update["line"], id, "The record has changed since.")
            else:
                restored = await self._restore(row, update)
                if restored is not None:
                    rows[id] = restored

    async def _restore(self, row: Any, update: dict[str, Any]) -> Any:
        """The record as before the import; None if it cannot be that any more."""
        before = await self._typed(update["before"])
        if not self.uow.actor.readonly(self.record.object).isdisjoint(before):
            self._keep(update["line"], row.id, _OUT_OF_REACH)
            return None
        try:
            async with self.uow.savepoint():
                await self.references.require(row, before)
                await self.rules.before_restore(row, before)
                restored = await self.service.write(
                    row, before, action="restored", custom=await self._custom(row, before)
                )
        except (Problem, asyncpg.IntegrityConstraintViolationError) as error:
            problem = error if isinstance(error, Problem) else problem_of(error)
            if problem.status >= 500:
                raise
            self._keep(update["line"], row.id, problem.detail)
            return None
        self.restored += 1
        return restored

    async def _custom(self, row: Any, before: Mapping[str, Any]) -> Cleaned | None:
        """The former custom fields, with the index rows of those that change."""
        if "custom" not in before:
            return None
        former, now = before["custom"], row.custom
        changed = [key for key in sorted({*former, *now}) if former.get(key) != now.get(key)]
        return await self.uow.kernel.custom_fields.as_stored(self.uow, self.record.object, former, changed)

    async def _typed(self, before: dict[str, Any]) -> dict[str, Any]:
        """Values kept as JSON, as the columns have them."""
        found = await self.uow.fetchrow(
            f"SELECT (jsonb_populate_record(NULL::{self.record.table}, $1::jsonb)).*", before
        )
        return {} if found is None else {name: found[name] for name in before}


_REPEATED = """
SELECT id, array_agg(version ORDER BY version) AS versions FROM (
  SELECT (u.value->>'id')::uuid AS id, (u.value->>'version')::int AS version
  FROM kernel.import_chunks, jsonb_array_elements(updated) u WHERE tenant_id = $1 AND import_id = $2
  UNION ALL
  SELECT unnest(created_ids), 1 FROM kernel.import_chunks WHERE tenant_id = $1 AND import_id = $2
) changes GROUP BY id HAVING count(*) > 1"""

_KEPT = """
SELECT DISTINCT (k.value->>'id')::uuid AS id FROM kernel.import_chunks, jsonb_array_elements(not_undone) k
WHERE tenant_id = $1 AND import_id = $2 AND undone_at IS NOT NULL"""


UNDO_JOB = JobKind("imports.undo", ImportPayload, undo_import, attempts=10)
