"""Taking a person's words out of the audit log, so that what was sealed still proves what was not about them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson

from app.kernel.audit_seal import (
    ENTRY_COLUMNS,
    GENESIS,
    REDACTION_PURPOSE,
    content_of,
    link,
    redaction_statement,
    seal_tenant,
    was_redacted,
)
from app.kernel.db import Connection
from app.kernel.runtime import Kernel
from app.kernel.signatures import Signatures
from app.tenants.privacy.identifiers import REDACTED, Identifiers

PAGE: Final = 5_000


class AuditLog:
    """One tenant's log, of which one person is to disappear. Doing it again changes nothing."""

    def __init__(self, kernel: Kernel, tenant_id: UUID, request_id: UUID, who: Identifiers) -> None:
        self._kernel = kernel
        self._tenant = tenant_id
        self._request = request_id
        self._who = who
        self._signatures = Signatures(kernel.secrets, REDACTION_PURPOSE)

    async def redact(self, ids: frozenset[UUID], people: frozenset[UUID]) -> int:
        """Redact entries of the records `ids`, of which `people` are the person, and what names them elsewhere."""
        await seal_tenant(self._kernel, self._tenant)
        after, count = UUID(int=0), 0
        while True:
            async with self._kernel.database.control() as connection:
                # Nobody seals meanwhile: an entry is either sealed, and then its redaction is signed, or is not yet.
                await connection.execute(
                    "SELECT 1 FROM kernel.audit_heads WHERE tenant_id = $1 FOR UPDATE", self._tenant
                )
                last, entries = await self._page(connection, after, ids)
                count += await self._rewrite(connection, entries, ids, people)
            if last is None:
                return count
            after = last

    async def _page(
        self, connection: Connection, after: UUID, ids: frozenset[UUID]
    ) -> tuple[UUID | None, Sequence[asyncpg.Record]]:
        last = await connection.fetchval(
            "SELECT id FROM kernel.audit_entries WHERE tenant_id = $1 AND id > $2 ORDER BY id"
            f" OFFSET {PAGE} LIMIT 1",
            self._tenant,
            after,
        )
        entries = await connection.fetch(
            f"SELECT {ENTRY_COLUMNS}, s.sequence, s.hash, p.hash AS previous, r.content AS redacted_content,"
            " r.key_id AS redaction_key_id, r.signature AS redaction_signature"
            " FROM kernel.audit_entries e"
            " LEFT JOIN kernel.audit_seals s ON s.tenant_id = e.tenant_id AND s.entry_id = e.id"
            " LEFT JOIN kernel.audit_seals p ON p.tenant_id = e.tenant_id AND p.sequence = s.sequence - 1"
            " LEFT JOIN kernel.audit_redactions r ON r.tenant_id = e.tenant_id AND r.entry_id = e.id"
            " WHERE e.tenant_id = $1 AND e.id > $2 AND ($3::uuid IS NULL OR e.id <= $3)"
            " AND (e.record_id = ANY($4::uuid[]) OR e.changes::text ~* $5 OR e.reason ~* $5)",
            self._tenant,
            after,
            last,
            list(ids),
            self._who.everywhere,
        )
        return last, entries

    async def _rewrite(
        self,
        connection: Connection,
        entries: Sequence[asyncpg.Record],
        ids: frozenset[UUID],
        people: frozenset[UUID],
    ) -> int:
        changed = []
        for entry in entries:
            before = orjson.loads(entry["changes"]), entry["reason"]
            after = self._without(entry["record_id"], *before, ids, people)
            if after != before:
                changed.append((entry, after))
        if not changed:
            return 0
        await connection.fetchval(
            "SELECT tenants.redact_rows($1, $2, 'kernel.audit_entries', $3::uuid[], $4::jsonb[])",
            self._tenant,
            self._request,
            [entry["id"] for entry, _ in changed],
            [{"changes": changes, "reason": reason} for _, (changes, reason) in changed],
        )
        await self._sign(connection, [entry for entry, _ in changed if entry["sequence"] is not None])
        return len(changed)

    def _without(
        self,
        record_id: UUID,
        changes: Any,
        reason: str | None,
        ids: frozenset[UUID],
        people: frozenset[UUID],
    ) -> tuple[Any, str | None]:
        if record_id in ids:
            strict = record_id in people
            return self._who.blanked(changes, strict=strict), None if reason is None else REDACTED
        return self._who.swept(changes), self._who.swept(reason)

    async def _sign(self, connection: Connection, entries: Sequence[asyncpg.Record]) -> None:
        """Say of sealed entries what they were redacted to, under the hashes that they had in the chain.

        Nothing is said of those that somebody had changed before: an erasure does not make a forgery genuine.
        """
        entries = [entry for entry in entries if self._genuine(entry)]
        if not entries:
            return
        read = await connection.fetch(
            f"SELECT {ENTRY_COLUMNS} FROM kernel.audit_entries e WHERE e.tenant_id = $1 AND e.id = ANY($2::uuid[])",
            self._tenant,
            [entry["id"] for entry in entries],
        )
        now = {row["id"]: content_of(self._tenant, row) for row in read}
        for entry in entries:
            previous = _previous(entry)
            statement = redaction_statement(
                self._tenant,
                entry["sequence"],
                previous=previous,
                digest=entry["hash"],
                content=now[entry["id"]],
            )
            key_id, signature = self._signatures.sign(statement)
            await connection.execute(
                "INSERT INTO kernel.audit_redactions (tenant_id, entry_id, sequence, previous, hash, content,"
                " request_id, redacted_at, key_id, signature) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
                " ON CONFLICT (tenant_id, entry_id) DO UPDATE SET content = excluded.content,"
                " request_id = excluded.request_id, redacted_at = excluded.redacted_at,"
                " key_id = excluded.key_id, signature = excluded.signature",
                self._tenant,
                entry["id"],
                entry["sequence"],
                previous,
                entry["hash"],
                now[entry["id"]],
                self._request,
                self._kernel.clock.now(),
                key_id,
                signature,
            )

    def _genuine(self, entry: asyncpg.Record) -> bool:
        previous, digest = _previous(entry), entry["hash"]
        return link(previous, self._tenant, entry) == digest or was_redacted(
            self._signatures, self._tenant, entry, previous=previous, digest=digest
        )


def _previous(entry: asyncpg.Record) -> bytes:
    found: bytes = entry["previous"] or GENESIS
    return found
