"""Erasing the rows of a person: declaration by declaration, in small transactions, each row once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import asyncpg

from app.kernel.access import Actor
from app.kernel.files import file_key
from app.kernel.personal_data import NO_FIELDS, Holding
from app.kernel.records import RecordType
from app.kernel.runtime import Kernel
from app.kernel.uow import UnitOfWork, transaction
from app.tenants.privacy.identifiers import Identifiers
from app.tenants.privacy.statements import FILES, Statements, pseudonym

Built = Callable[[Statements, Holding, Mapping[str, str], list[UUID], str], str]
BATCH: Final = 500
_MARK: Final = (
    "UPDATE tenants.privacy_rows SET done = true"
    " WHERE tenant_id = $1 AND request_id = $2 AND holding = $3 AND row_id = ANY($4::uuid[])"
)


class Rows:
    """The rows that were found of one person, to be erased."""

    def __init__(self, kernel: Kernel, actor: Actor, request_id: UUID, who: Identifiers) -> None:
        self._kernel = kernel
        self._actor = actor
        self._id = request_id
        self._who = who
        self._records: dict[str, RecordType[Any]] = {
            record.table: record for record in kernel.registry.records.values()
        }
        self._people = {kernel.registry.records[name].table for name in kernel.registry.people}

    async def erase(self) -> int:
        """Erase what is noted and not erased yet, what was declared last first; how many rows."""
        total = 0
        for holding in reversed(self._kernel.registry.personal_data):
            erased = BATCH
            while erased == BATCH:
                erased = await self._batch(holding)
                total += erased
        return total + await self._files()

    async def _batch(self, holding: Holding) -> int:
        async with transaction(self._kernel, self._actor) as uow:
            ids = await self._waiting(uow, holding.key)
            if not ids:
                return 0
            if holding.guarded and holding.erase:
                guarded = await self._told(uow, holding, ids)
            else:
                if holding.erase != {}:
                    await self._change(uow, holding, ids)
                await uow.fetch(_MARK, uow.tenant_id, self._id, holding.key, ids)
                return len(ids)
        await self._redact(holding, ids, guarded)
        return len(ids)

    async def _waiting(self, uow: UnitOfWork, key: str) -> list[UUID]:
        rows = await uow.fetch(
            "SELECT row_id FROM tenants.privacy_rows WHERE tenant_id = $1 AND request_id = $2 AND holding = $3"
            f" AND NOT done ORDER BY row_id LIMIT {BATCH} FOR UPDATE",
            uow.tenant_id,
            self._id,
            key,
        )
        return [row["row_id"] for row in rows]

    def _statements(self, uow: UnitOfWork) -> Statements:
        return Statements(self._kernel.registry, uow.tenant_id, self._id, self._who, uow.now)

    def _changes(self, holding: Holding) -> Mapping[str, str]:
        """What is declared, and the new version of what has versions."""
        changes = dict(holding.erase or {})
        if holding.table in self._records:
            changes |= {"version": "t.version + 1", "updated_at": "{now}"}
        return changes

    async def _change(self, uow: UnitOfWork, holding: Holding, ids: list[UUID]) -> None:
        await self._run(uow, holding, ids, Statements.erase, "t.version")

    async def _told(self, uow: UnitOfWork, holding: Holding, ids: list[UUID]) -> Sequence[asyncpg.Record]:
        """What guarded rows will hold; told with it, since the rows themselves are changed by their owner."""
        return await self._run(uow, holding, ids, Statements.erased, "t.version + 1 AS version")

    async def _run(
        self, uow: UnitOfWork, holding: Holding, ids: list[UUID], built_by: Built, version: str
    ) -> Sequence[asyncpg.Record]:
        record = self._records.get(holding.table)
        answer = "t.id" if record is None else f"t.id, {version}, t.deleted_at"
        statements = self._statements(uow)
        sql = built_by(statements, holding, self._changes(holding), ids, answer)
        rows = await uow.fetch(sql, *statements.arguments)
        await self._beside(uow, holding, ids)
        if record is not None:
            self._tell(uow, record, holding, rows)
        return rows

    async def _redact(self, holding: Holding, ids: list[UUID], rows: Sequence[asyncpg.Record]) -> None:
        async with self._kernel.database.control() as connection:
            if rows:
                await connection.fetchval(
                    "SELECT tenants.redact_rows($1, $2, $3, $4::uuid[], $5::jsonb[])",
                    self._actor.tenant_id,
                    self._id,
                    holding.table,
                    [row["id"] for row in rows],
                    [row["change"] for row in rows],
                )
            await connection.execute(_MARK, self._actor.tenant_id, self._id, holding.key, ids)

    async def _beside(self, uow: UnitOfWork, holding: Holding, ids: list[UUID]) -> None:
        """What the kernel keeps beside records: values of custom fields, and with whom people were shared."""
        custom = NO_FIELDS if holding.erase is None else holding.erase.get("custom")
        if custom is None:
            return
        if custom != NO_FIELDS:
            await uow.fetch(
                "UPDATE kernel.custom_values SET text_value = regexp_replace(text_value, $3, $4, 'gi')"
                " WHERE tenant_id = $1 AND record_id = ANY($2::uuid[]) AND text_value ~* $3",
                uow.tenant_id,
                ids,
                self._who.here,
                pseudonym(self._id),
            )
            return
        await uow.fetch(
            "DELETE FROM kernel.custom_values WHERE tenant_id = $1 AND record_id = ANY($2::uuid[])",
            uow.tenant_id,
            ids,
        )
        if holding.table in self._people:
            await uow.fetch(
                "DELETE FROM kernel.shares WHERE tenant_id = $1 AND record_id = ANY($2::uuid[])",
                uow.tenant_id,
                ids,
            )

    def _tell(
        self, uow: UnitOfWork, record: RecordType[Any], holding: Holding, rows: Sequence[asyncpg.Record]
    ) -> None:
        """Who has copies is told (GDPR art. 19): people are deleted, other records changed."""
        changed = sorted(set(holding.erase or ()) & record.fields.keys())
        gone = holding.erase is None or "deleted_at" in holding.erase
        for row in rows:
            uow.record_audit(record.object, row["id"], "erased")
            if gone:
                uow.publish(record.deleted(id=row["id"], version=row["version"]))
            elif row["deleted_at"] is None:
                uow.publish_record(record.updated, row["id"], row["version"], changed=changed)

    async def _files(self) -> int:
        """Delete uploaded files, the bytes first: whoever is killed in between finds the row at the next start."""
        total, found = 0, BATCH
        while found == BATCH:
            async with transaction(self._kernel, self._actor) as uow:
                ids = await self._waiting(uow, FILES)
                rows = await uow.fetch(
                    "SELECT key FROM kernel.files WHERE tenant_id = $1 AND id = ANY($2::uuid[])",
                    uow.tenant_id,
                    ids,
                )
            for row in rows:
                await self._kernel.files.delete(row["key"])
            async with transaction(self._kernel, self._actor) as uow:
                await uow.fetch(
                    "DELETE FROM kernel.files WHERE tenant_id = $1 AND id = ANY($2::uuid[])",
                    uow.tenant_id,
                    ids,
                )
                await uow.fetch(_MARK, uow.tenant_id, self._id, FILES, ids)
            found = len(ids)
            total += found
        return total

    async def documents(self) -> int:
        """Delete the kept PDFs of records that were found; where they are asked for again they are made anew.

        Of what has to be kept as it was issued they stay.
        """
        issued = [holding.key for holding in self._kernel.registry.personal_data if holding.documents]
        async with transaction(self._kernel, self._actor) as uow:
            rows = await uow.fetch(
                "SELECT d.id, d.sha256 FROM kernel.documents d WHERE d.tenant_id = $1 AND d.record_id IN"
                " (SELECT f.row_id FROM tenants.privacy_rows f WHERE f.tenant_id = $1 AND f.request_id = $2)"
                " AND NOT EXISTS (SELECT 1 FROM tenants.privacy_rows i WHERE i.tenant_id = $1 AND i.request_id = $2"
                " AND i.row_id = d.record_id AND i.holding = ANY($3::text[]))",
                uow.tenant_id,
                self._id,
                issued,
            )
        for row in rows:
            await self._kernel.files.delete(
                file_key(self._actor.tenant_id, "documents", f"{row['sha256']}.pdf")
            )
        async with transaction(self._kernel, self._actor) as uow:
            await uow.fetch(
                "DELETE FROM kernel.documents WHERE tenant_id = $1 AND id = ANY($2::uuid[])",
                uow.tenant_id,
                [row["id"] for row in rows],
            )
        return len(rows)
