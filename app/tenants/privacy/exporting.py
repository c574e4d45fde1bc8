"""Everything that is held about one person, as one file: a line of JSON per row, and the bytes of their files."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Collection
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import orjson

from app.kernel.access import Actor
from app.kernel.catalogue import secret_columns
from app.kernel.files import FileNotFound, file_key
from app.kernel.ids import new_id
from app.kernel.runtime import Kernel
from app.kernel.schedules import ScheduledRun
from app.kernel.uow import UnitOfWork, transaction
from app.tenants.privacy.finding import Finder, Subject
from app.tenants.privacy.models import PrivacyRequest, PrivacyState
from app.tenants.privacy.statements import FILES

FOLDER: Final = "privacy-exports"
MEDIA_TYPE: Final = "application/x-ndjson"
KEEP: Final = timedelta(days=7)
MAX_BYTES: Final = 1 << 36
FILE_BYTES: Final = 20 << 20
PAGE: Final = 500
_LEFT_OUT: Final = frozenset(
    {"tokens", "email_key", "phone_key", "name_key", "duplicate_count", "token_hash"}
)
"""Columns that are computed from others to find them, or are secrets."""


class PersonExport:
    """One export; run again, it is written anew."""

    def __init__(self, kernel: Kernel, actor: Actor, request_id: UUID) -> None:
        self._kernel = kernel
        self._actor = actor
        self._id = request_id
        self._secret = secret_columns()

    async def run(self) -> dict[str, Any]:
        """Write the file, and say where it lies."""
        async with transaction(self._kernel, self._actor) as uow:
            request = await uow.get(PrivacyRequest, self._id)
            if request.state == PrivacyState.COMPLETED:
                return {"size": request.file_size}
            subjects = [Subject(one["object"], UUID(one["record_id"])) for one in request.subjects]
            finder = Finder(uow, self._id)
            await finder.rows(await finder.people(subjects))
            held = await finder.counts()
        key = file_key(self._actor.tenant_id, FOLDER, f"{self._id}-{new_id()}.ndjson")
        stored = await self._kernel.files.put_stream(key, self._lines(request, held), max_size=MAX_BYTES)
        async with transaction(self._kernel, self._actor) as uow:
            request = await uow.get(PrivacyRequest, self._id, lock="update")
            await Finder(uow, self._id).forget()
            await uow.update(
                request,
                audit="privacy_request",
                action="completed",
                state=PrivacyState.COMPLETED,
                held=held,
                completed_at=uow.now,
                file_key=key,
                file_size=stored.size,
                file_sha256=stored.sha256,
                expires_at=uow.now + KEEP,
            )
        return {"size": stored.size}

    async def _lines(self, request: PrivacyRequest, held: list[dict[str, Any]]) -> AsyncIterator[bytes]:
        yield _line(
            {
                "kind": "about",
                "tenant_id": request.tenant_id,
                "request_id": request.id,
                "subjects": request.subjects,
                "taken_at": self._kernel.clock.now(),
                "held": held,
            }
        )
        told = {one["table"] for one in held} - {FILES}
        for table in sorted(told):
            async for row in self._rows(table):
                yield _line({"kind": "row", "table": table, "row": row})
        async for entry in self._history():
            yield _line({"kind": "change", **entry})
        async for file in self._rows(FILES):
            yield _line({"kind": "file", **await self._file(file)})

    async def _rows(self, table: str) -> AsyncIterator[dict[str, Any]]:
        secret = self._secret.get(table, frozenset()) | _LEFT_OUT
        after = UUID(int=0)
        found = PAGE
        while found == PAGE:
            async with transaction(self._kernel, self._actor, read_only=True) as uow:
                rows = await uow.fetch(
                    f"SELECT t.id, to_jsonb(t) - $4::text[] AS row FROM {table} t WHERE t.tenant_id = $1"
                    " AND t.id > $3"
                    " AND t.id IN (SELECT f.row_id FROM tenants.privacy_rows f WHERE f.tenant_id = $1"
                    f" AND f.request_id = $2 AND f.table_name = '{table}') ORDER BY t.id LIMIT {PAGE}",
                    uow.tenant_id,
                    self._id,
                    after,
                    sorted(secret | {"tenant_id"}),
                )
            found = len(rows)
            for row in rows:
                after = row["id"]
                yield row["row"]

    async def _history(self) -> AsyncIterator[dict[str, Any]]:
        """What was changed on the person's own records, when and by whom."""
        registry = self._kernel.registry
        people = [registry.records[name].table for name in registry.people]
        async with transaction(self._kernel, self._actor, read_only=True) as uow:
            rows = await uow.fetch(
                "SELECT e.at, e.actor_kind, e.actor_name, e.object, e.record_id, e.action, e.changes"
                " FROM tenants.privacy_rows f JOIN kernel.audit_entries e"
                " ON e.tenant_id = f.tenant_id AND e.record_id = f.row_id AND e.object = ANY($4::text[])"
                " WHERE f.tenant_id = $1 AND f.request_id = $2 AND f.table_name = ANY($3::text[]) ORDER BY e.id",
                uow.tenant_id,
                self._id,
                people,
                list(registry.people),
            )
        for row in rows:
            yield dict(row)

    async def _file(self, row: dict[str, Any]) -> dict[str, Any]:
        """A file with its bytes, unless it is too large for a line; then whoever sends the export adds it."""
        told = {name: row[name] for name in ("id", "name", "media_type", "size", "sha256", "created_at")}
        if row["size"] > FILE_BYTES:
            return told | {"content": None}
        try:
            pieces = [piece async for piece in await self._kernel.files.get_stream(row["key"])]
        except FileNotFound:
            return told | {"content": None}
        return told | {"content": base64.b64encode(b"".join(pieces)).decode()}


def _line(value: dict[str, Any]) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z, default=str)


async def forget_files(kernel: Kernel, actor: Actor, people: Collection[UUID], *, but: UUID) -> int:
    """Delete what was exported of people who are erased; how many files there were."""
    async with transaction(kernel, actor) as uow:
        rows = await uow.fetch(
            "SELECT id, subjects, file_key FROM tenants.privacy_requests WHERE tenant_id = $1"
            " AND file_key IS NOT NULL AND id <> $2",
            uow.tenant_id,
            but,
        )
        found = [row for row in rows if _about(row["subjects"], people)]
        for row in found:
            await kernel.files.delete(row["file_key"])
        await _without_file(uow, [row["id"] for row in found])
    return len(found)


def _about(subjects: list[dict[str, Any]], people: Collection[UUID]) -> bool:
    return any(UUID(one["record_id"]) in people for one in subjects)


async def _without_file(uow: UnitOfWork, ids: list[UUID]) -> None:
    await uow.fetch(
        "UPDATE tenants.privacy_requests SET file_key = NULL, file_size = NULL, version = version + 1,"
        " updated_at = $3 WHERE tenant_id = $1 AND id = ANY($2::uuid[])",
        uow.tenant_id,
        ids,
        uow.now,
    )


async def forget_expired(run: ScheduledRun) -> None:
    """Delete exports that nobody may download any more."""
    kernel = run.kernel
    async with run.transaction() as uow:
        rows = await uow.fetch(
            "SELECT id, file_key FROM tenants.privacy_requests WHERE tenant_id = $1 AND file_key IS NOT NULL"
            " AND expires_at <= $2",
            uow.tenant_id,
            uow.now,
        )
        for row in rows:
            await kernel.files.delete(row["file_key"])
        if rows:
            await _without_file(uow, [row["id"] for row in rows])
