"""What the kernel keeps of others' words: events, jobs, answers, notifications, merges, imports and their files.

Copies are short-lived and kept by the id of what they are about; a person is in them by that id or by name. Each step
is one that may be repeated: what was redacted once is found no more, or is the same again.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import orjson
from pydantic import ValidationError

from app.kernel.access import Actor
from app.kernel.files import FileNotFound, file_key
from app.kernel.registry import JobKind
from app.kernel.runtime import Kernel
from app.kernel.uow import UnitOfWork, transaction
from app.tenants.privacy.identifiers import Identifiers

PAGE: Final = 2_000
MAIL: Final = "mail.send"
ARCHIVES: Final = ("exports", "tenant-exports")
"""Folders of files that can be made again; they hold the person among all others."""
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class Copies:
    """The copies of what one person is in."""

    def __init__(
        self,
        kernel: Kernel,
        actor: Actor,
        who: Identifiers,
        ids: frozenset[UUID],
        people: frozenset[UUID],
    ) -> None:
        self._kernel = kernel
        self._actor = actor
        self._tenant = actor.tenant_id
        self._who = who
        self._ids = ids
        self._people = people
        self._texts = frozenset(map(str, ids))

    async def erase(self) -> dict[str, int]:
        """All of them; how many rows of each table were redacted or deleted."""
        return {
            "kernel.outbox": await self._events(),
            "kernel.jobs": await self._jobs(),
            "kernel.idempotency_keys": await self._answers(),
            "kernel.notifications": await self._notifications(),
            "kernel.saved_views": await self._views(),
            "kernel.merges": await self._merges(),
            "kernel.imports": await self._imports(),
            "files": await self._archives(),
        }

    def _mentions(self, value: Any) -> bool:
        """Whether JSON names the person or one of the records."""
        text = value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
        return self._who.meant_in(text) or not self._texts.isdisjoint(_UUID.findall(text))

    # -- events --------------------------------------------------------------------------------------------

    async def _events(self) -> int:
        """Events keep that something happened, and lose what; those that still wait are sent without it."""
        count, after = 0, UUID(int=0)
        more = True
        while more:
            async with transaction(self._kernel, self._actor) as uow:
                rows, after, more = await self._page(
                    uow, "kernel.outbox", "id, record_id, data, last_error", after
                )
                changed = {row["id"]: data for row in rows if (data := self._event(row)) != row["data"]}
                await self._store(uow, "kernel.outbox", "data", changed)
                await self._errors(uow, [row for row in rows if row["last_error"]])
                await self._deliveries(uow, [row["id"] for row in rows if self._about(row)])
            count += len(changed)
        return count

    def _about(self, row: Mapping[str, Any]) -> bool:
        return row["record_id"] in self._ids or self._mentions(row["data"])

    def _event(self, row: Mapping[str, Any]) -> Any:
        if row["record_id"] in self._ids:
            return self._who.blanked(row["data"])
        return self._who.swept(row["data"])

    async def _errors(self, uow: UnitOfWork, rows: Sequence[Mapping[str, Any]]) -> None:
        """Why reactions to events failed may repeat what they were about."""
        texts = {row["id"]: self._who.swept(row["last_error"]) for row in rows}
        changed = [row["id"] for row in rows if texts[row["id"]] != row["last_error"]]
        if changed:
            await uow.fetch(
                "UPDATE kernel.outbox o SET last_error = v.text FROM unnest($2::uuid[], $3::text[]) v(id, text)"
                " WHERE o.tenant_id = $1 AND o.id = v.id",
                self._tenant,
                changed,
                [texts[id] for id in changed],
            )

    async def _deliveries(self, uow: UnitOfWork, event_ids: Sequence[UUID]) -> None:
        """What receivers answered, and why a delivery failed, may repeat what was sent."""
        if event_ids:
            await uow.fetch(
                "UPDATE kernel.webhook_attempts a SET response_excerpt = NULL, error = NULL"
                " FROM kernel.webhook_deliveries d WHERE a.tenant_id = $1 AND d.tenant_id = $1"
                " AND d.id = a.delivery_id AND d.event_id = ANY($2::uuid[])",
                self._tenant,
                event_ids,
            )

    # -- jobs, answers, notifications ----------------------------------------------------------------------

    async def _jobs(self) -> int:
        """Jobs that are over lose their orders, and so do mails to the person or about them: they are not sent.

        Others that wait, or run, go on without the person's words; what cannot be carried out without them is
        cancelled.
        """
        count, after = 0, UUID(int=0)
        more = True
        while more:
            async with transaction(self._kernel, self._actor) as uow:
                rows, after, more = await self._page(
                    uow, "kernel.jobs", "id, name, state, payload, result, last_error", after
                )
                emptied = [row["id"] for row in rows if self._is_emptied(row)]
                left = {row["id"]: self._left(row) for row in rows if row["id"] not in set(emptied)}
                swept = [row for row in rows if left.get(row["id"], _words(row)) != _words(row)]
                done = await uow.fetch(_EMPTY_JOBS, self._tenant, emptied, uow.now)
                if swept:
                    columns = zip(*(left[row["id"]] for row in swept), strict=True)
                    await uow.fetch(
                        _SWEEP_JOBS, self._tenant, [row["id"] for row in swept], *map(list, columns)
                    )
            count += len(done) + len(swept)
        return count

    def _is_emptied(self, row: Mapping[str, Any]) -> bool:
        kind = self._kernel.registry.jobs.get(row["name"])
        if row["state"] not in ("queued", "running") or row["name"] == MAIL or (kind and kind.wipe):
            return self._mentions(_words(row))
        payload = self._left(row)[0]
        return row["state"] == "queued" and payload != row["payload"] and not (kind and _fits(kind, payload))

    def _left(self, row: Mapping[str, Any]) -> list[Any]:
        return [self._who.swept(one) for one in _words(row)]

    async def _answers(self) -> int:
        """Answers kept for repeated requests stay, so that a repetition makes nobody anew, without their words."""
        async with transaction(self._kernel, self._actor) as uow:
            rows = await uow.fetch(
                # Held, or another row could lie in its place by the time that it is written.
                "SELECT ctid::text AS place, path, body FROM kernel.idempotency_keys WHERE tenant_id = $1 FOR UPDATE",
                self._tenant,
            )
            changed, sealed = {}, []
            for row in rows:
                try:
                    body = orjson.loads(row["body"] or "null")
                except orjson.JSONDecodeError:  # encrypted: only the path tells what it is about
                    if self._mentions(row["path"]):
                        sealed.append(row["place"])
                    continue
                if self._mentions(row["path"]) or self._mentions(body):
                    changed[row["place"]] = orjson.dumps(self._who.blanked(body)).decode()
            await uow.fetch(
                "UPDATE kernel.idempotency_keys k SET body = v.body"
                " FROM unnest($2::text[], $3::text[]) v(place, body)"
                " WHERE k.tenant_id = $1 AND k.ctid = v.place::tid",
                self._tenant,
                list(changed),
                list(changed.values()),
            )
            await uow.fetch(
                "DELETE FROM kernel.idempotency_keys WHERE tenant_id = $1 AND ctid = ANY($2::text[]::tid[])",
                self._tenant,
                sealed,
            )
        return len(changed) + len(sealed)

    async def _notifications(self) -> int:
        async with transaction(self._kernel, self._actor) as uow:
            rows = await uow.fetch(
                "DELETE FROM kernel.notifications WHERE tenant_id = $1"
                " AND (record_id = ANY($2::uuid[]) OR title ~* $3 OR body ~* $3) RETURNING 1",
                self._tenant,
                list(self._ids),
                self._who.everywhere,
            )
        return len(rows)

    async def _views(self) -> int:
        """Saved lists that ask for the person by name."""
        async with transaction(self._kernel, self._actor) as uow:
            rows = await uow.fetch(
                "DELETE FROM kernel.saved_views WHERE tenant_id = $1"
                " AND (name ~* $2 OR query ~* $2 OR filter::text ~* $2) RETURNING 1",
                self._tenant,
                self._who.everywhere,
            )
        return len(rows)

    # -- merges --------------------------------------------------------------------------------------------

    async def _merges(self) -> int:
        """What would be put back if a merge were undone; it cannot be undone any more."""
        async with transaction(self._kernel, self._actor) as uow:
            rows = await uow.fetch(
                "UPDATE kernel.merges SET changes = '{}', reason = NULL, undo_until = least(undo_until, created_at)"
                " WHERE tenant_id = $1 AND (survivor_id = ANY($2::uuid[]) OR merged_ids && $2::uuid[]) RETURNING id",
                self._tenant,
                list(self._ids),
            )
            await uow.fetch(
                "DELETE FROM kernel.merge_moves WHERE tenant_id = $1"
                " AND (merge_id = ANY($2::uuid[]) OR row_id = ANY($3::uuid[]))",
                self._tenant,
                [row["id"] for row in rows],
                list(self._ids),
            )
        return len(rows)

    # -- imports and exports -------------------------------------------------------------------------------

    async def _imports(self) -> int:
        """Imports that brought the person lose their file, and of the person what is kept to undo them."""
        async with transaction(self._kernel, self._actor, read_only=True) as uow:
            imports = await uow.fetch(
                "SELECT i.id, i.file_id, f.key FROM kernel.imports i"
                " LEFT JOIN kernel.files f ON f.tenant_id = i.tenant_id AND f.id = i.file_id"
                " WHERE i.tenant_id = $1 ORDER BY i.id",
                self._tenant,
            )
        count = 0
        for found in imports:
            touched = await self._chunks(found["id"])
            if touched or (found["key"] and await self._file_names_them(found["key"])):
                await self._import(found)
                count += 1
        return count

    async def _chunks(self, import_id: UUID) -> bool:
        """Redact what the chunks of an import keep; whether any of them is about the person."""
        touched = False
        number = -1
        while True:
            async with transaction(self._kernel, self._actor) as uow:
                chunk = await uow.fetchrow(
                    "SELECT * FROM kernel.import_chunks WHERE tenant_id = $1 AND import_id = $2 AND number > $3"
                    " ORDER BY number LIMIT 1 FOR UPDATE",
                    self._tenant,
                    import_id,
                    number,
                )
                if chunk is None:
                    return touched
                number = chunk["number"]
                kept = {name: self._kept(chunk[name]) for name in ("updated", "failures", "warnings")}
                kept["not_undone"] = self._kept(chunk["not_undone"])
                same = all(kept[name] == chunk[name] for name in kept)
                touched = touched or not same or not self._ids.isdisjoint(chunk["created_ids"])
                if not same:
                    await uow.fetch(
                        "UPDATE kernel.import_chunks SET updated = $4, failures = $5, warnings = $6, not_undone = $7"
                        " WHERE tenant_id = $1 AND import_id = $2 AND number = $3",
                        self._tenant,
                        import_id,
                        number,
                        *kept.values(),
                    )

    def _kept(self, rows: Any) -> Any:
        """Rows of an import without those that are about the person: they are blank, so that lines still count."""
        if rows is None:
            return None
        return [self._who.blanked(row, strict=True) if self._mentions(row) else row for row in rows]

    async def _file_names_them(self, key: str) -> bool:
        try:
            content = b"".join([piece async for piece in await self._kernel.files.get_stream(key)])
        except FileNotFound:
            return False
        return any(self._who.meant_in(text) for text in readable(content))

    async def _import(self, found: Any) -> None:
        if found["key"]:
            await self._kernel.files.delete(found["key"])
        async with transaction(self._kernel, self._actor) as uow:
            row = await uow.fetchrow(
                "SELECT preview, error FROM kernel.imports WHERE tenant_id = $1 AND id = $2 FOR UPDATE",
                self._tenant,
                found["id"],
            )
            preview = _without_samples(row["preview"]) if row is not None else None
            await uow.fetch(
                "UPDATE kernel.imports SET preview = $3, error = $4 WHERE tenant_id = $1 AND id = $2",
                self._tenant,
                found["id"],
                preview,
                self._who.swept(row["error"]) if row is not None else None,
            )
            await uow.fetch(
                "UPDATE kernel.files SET name = regexp_replace(name, $3, 'file', 'gi')"
                " WHERE tenant_id = $1 AND id = $2",
                self._tenant,
                found["file_id"],
                self._who.everywhere,
            )

    async def _archives(self) -> int:
        """Files of exports: of records, and of the whole company. They can be made again."""
        count = 0
        for folder in ARCHIVES:
            start = file_key(self._tenant, folder, "x").removesuffix("x")
            keys = [
                found.key
                async for found in self._kernel.files.of_tenant(self._tenant)
                if found.key.startswith(start)
            ]
            for key in keys:
                await self._kernel.files.delete(key)
            async with transaction(self._kernel, self._actor) as uow:
                await uow.fetch(
                    "DELETE FROM kernel.files WHERE tenant_id = $1 AND key = ANY($2::text[])",
                    self._tenant,
                    keys,
                )
            count += len(keys)
        return count

    # -- pages ---------------------------------------------------------------------------------------------

    async def _page(
        self, uow: UnitOfWork, table: str, columns: str, after: UUID
    ) -> tuple[Sequence[Any], UUID, bool]:
        rows = await uow.fetch(
            f"SELECT {columns} FROM {table} WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT {PAGE}",
            self._tenant,
            after,
        )
        return rows, rows[-1]["id"] if rows else after, len(rows) == PAGE

    async def _store(self, uow: UnitOfWork, table: str, column: str, changed: Mapping[UUID, Any]) -> None:
        if changed:
            await uow.fetch(
                f"UPDATE {table} t SET {column} = v.value FROM unnest($2::uuid[], $3::jsonb[]) v(id, value)"
                " WHERE t.tenant_id = $1 AND t.id = v.id",
                self._tenant,
                list(changed),
                list(changed.values()),
            )


def _words(row: Mapping[str, Any]) -> list[Any]:
    return [row["payload"], row["result"], row["last_error"]]


def _fits(kind: JobKind, payload: Any) -> bool:
    try:
        kind.payload.model_validate(payload)
    except ValidationError:
        return False
    return True


def _without_samples(preview: dict[str, Any] | None) -> dict[str, Any] | None:
    if preview is None:
        return None
    return preview | {"columns": [column | {"samples": []} for column in preview.get("columns", [])]}


def readable(content: bytes) -> Sequence[str]:
    """The texts of a file as it was uploaded: of a workbook its parts, else all in likely character sets."""
    decode: Callable[[bytes], list[str]] = _decoded
    if not content.startswith(b"PK\x03\x04"):
        return decode(content)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as book:
            return [
                text for name in book.namelist() if name.endswith(".xml") for text in decode(book.read(name))
            ]
    except zipfile.BadZipFile:
        return []


def _decoded(content: bytes) -> list[str]:
    return [content.decode(charset, "ignore") for charset in ("utf-8", "gb18030", "utf-16")]


# One that runs keeps its order until it is over: its worker empties it then, or it is one that goes on without words.
_EMPTY_JOBS: Final = """
UPDATE kernel.jobs SET payload = '{}', result = NULL, last_error = NULL,
  state = CASE WHEN state = 'queued' THEN 'cancelled' ELSE state END, finished_at = coalesce(finished_at, $3)
WHERE tenant_id = $1 AND id = ANY($2::uuid[]) AND state <> 'running' RETURNING 1"""
_SWEEP_JOBS: Final = """
UPDATE kernel.jobs j SET payload = v.payload, result = v.result, last_error = v.last_error
FROM unnest($2::uuid[], $3::jsonb[], $4::jsonb[], $5::text[]) v(id, payload, result, last_error)
WHERE j.tenant_id = $1 AND j.id = v.id"""
