"""Sealing the audit log: a hash chain per tenant, made behind the writers, and signed checkpoints.

Requests only append entries; chaining them there would make writers queue behind each other. The sealer reads
entries of finished transactions (`tx` below the oldest running one), so that a late commit is never passed by,
and gives each its place: hash = SHA-256(hash before it, canonical bytes of the entry). Every so often it signs
where the chain stands with a key that is not in the database (Ed25519, RFC 8032): whoever rewrites the chain
cannot make the signatures fit.
"""

from __future__ import annotations

import asyncio
import hashlib
import struct
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

import asyncpg
import orjson

from app.kernel.db import Connection
from app.kernel.secrets import KeyRing
from app.kernel.signatures import Signatures

if TYPE_CHECKING:
    from app.kernel.runtime import Kernel

BATCH = 500  # entries with all they say: of an import's leads 2 MB
# Entries hashed before others get their turn, under a millisecond: else the worker's other tasks wait, and with an
# import the database.
_AT_ONCE = 50
CHECKPOINT_ENTRIES = 1_000
CHECKPOINT_EVERY = timedelta(minutes=10)
GENESIS = bytes(32)
_PURPOSE = "audit-checkpoint"
REDACTION_PURPOSE = "audit-redaction"

_ENTRY = (
    "e.id, e.tx::text AS tx, e.at, e.actor_kind, e.actor_id, e.actor_name, e.request_id, e.object,"
    " e.record_id, e.action, e.changes::text AS changes, e.reason"
)
ENTRY_COLUMNS = _ENTRY
"""What `link` reads of an entry `e`."""


def link(previous: bytes, tenant_id: UUID, entry: Mapping[str, Any] | asyncpg.Record) -> bytes:
    """The hash of an entry at its place in the chain."""
    canonical = orjson.dumps(
        [
            str(tenant_id),
            str(entry["id"]),
            entry["tx"],
            entry["at"].isoformat(timespec="microseconds"),
            entry["actor_kind"],
            str(entry["actor_id"]),
            entry["actor_name"],
            entry["request_id"],
            entry["object"],
            str(entry["record_id"]),
            entry["action"],
            entry["changes"],  # jsonb's own text: one spelling per value
            entry["reason"],
        ]
    )
    return hashlib.sha256(previous + canonical).digest()


def content_of(tenant_id: UUID, entry: Mapping[str, Any] | asyncpg.Record) -> bytes:
    """The hash of an entry by itself: what a redaction says that it was redacted to."""
    return link(b"", tenant_id, entry)


def redaction_statement(
    tenant_id: UUID, sequence: int, *, previous: bytes, digest: bytes, content: bytes
) -> bytes:
    """What is signed of a redacted entry: its place, the hashes around it, and what it is afterwards.

    The chain goes on from `digest`, which the words gave that are gone: nobody can put others in their place.
    """
    place = tenant_id.bytes + struct.pack(">q", sequence)
    return b"rapport audit redaction 1\0" + place + previous + digest + content


def was_redacted(
    redactions: Signatures,
    tenant_id: UUID,
    entry: Mapping[str, Any] | asyncpg.Record,
    *,
    previous: bytes,
    digest: bytes,
) -> bool:
    """Whether a sealed entry is what a key of ours says that it was redacted to, at this place in this chain.

    `entry` has its redaction as `redacted_content`, `redaction_key_id` and `redaction_signature`: None without one.
    """
    if entry["redaction_key_id"] is None:
        return False
    content = content_of(tenant_id, entry)
    statement = redaction_statement(
        tenant_id, entry["sequence"], previous=previous, digest=digest, content=content
    )
    return bool(
        content == entry["redacted_content"]
        and redactions.ours(entry["redaction_key_id"], entry["redaction_signature"], statement)
    )


# -- sealing -------------------------------------------------------------------------------------------------

# Tenants with something to seal or to sign: a skip scan over the index, a few microseconds per tenant.
_TENANTS = """
WITH RECURSIVE tenants AS (
  (SELECT tenant_id FROM kernel.audit_entries ORDER BY tenant_id LIMIT 1)
  UNION ALL
  SELECT (SELECT a.tenant_id FROM kernel.audit_entries a WHERE a.tenant_id > t.tenant_id
          ORDER BY a.tenant_id LIMIT 1)
  FROM tenants t WHERE t.tenant_id IS NOT NULL
)
SELECT t.tenant_id FROM tenants t LEFT JOIN kernel.audit_heads h USING (tenant_id)
WHERE t.tenant_id IS NOT NULL AND (
  h.sequence IS NULL
  OR (h.sequence > h.checkpoint_sequence AND h.checkpoint_at <= $1)
  OR EXISTS (SELECT 1 FROM kernel.audit_entries e WHERE e.tenant_id = t.tenant_id
             AND (e.tx, e.id) > (h.tx, h.entry_id) AND e.tx < kernel.tx_horizon()))
"""


async def seal(kernel: Kernel, *, batch: int = BATCH) -> int:
    """Chain every tenant's new entries and sign due checkpoints; the number of entries sealed.

    Any number of workers may call it: a tenant whose chain another one is growing is left to that one.
    """
    async with kernel.database.control() as connection:
        due = await connection.fetch(_TENANTS, kernel.clock.now() - CHECKPOINT_EVERY)
    return sum([await seal_tenant(kernel, row["tenant_id"], batch=batch) for row in due])


async def seal_tenant(kernel: Kernel, tenant_id: UUID, *, batch: int = BATCH) -> int:
    """As `seal`, of one tenant."""
    sealed, count = 0, batch
    while count == batch:
        count = await _seal_batch(kernel, tenant_id, batch)
        sealed += count
    return sealed


@dataclass
class _Head:
    """Where a chain stands."""

    sequence: int
    hash: bytes
    tx: str
    entry_id: UUID
    checkpoint_sequence: int
    checkpoint_at: datetime


async def _seal_batch(kernel: Kernel, tenant_id: UUID, batch: int) -> int:
    now = kernel.clock.now()
    async with kernel.database.control() as connection:
        head = await _locked_head(connection, tenant_id, now)
        if head is None:
            return 0
        entries = await connection.fetch(
            f"SELECT {_ENTRY} FROM kernel.audit_entries e WHERE e.tenant_id = $1"
            " AND (e.tx, e.id) > ($2::text::xid8, $3) AND e.tx < kernel.tx_horizon()"
            " ORDER BY e.tx, e.id LIMIT $4",
            tenant_id,
            head.tx,
            head.entry_id,
            batch,
        )
        await _append(connection, tenant_id, head, entries)
        due = now - head.checkpoint_at >= CHECKPOINT_EVERY
        unsigned = head.sequence - head.checkpoint_sequence
        if unsigned >= CHECKPOINT_ENTRIES or (unsigned and due):
            await _sign(connection, kernel.secrets, tenant_id, head, now)
        await connection.execute(
            "UPDATE kernel.audit_heads SET sequence = $2, hash = $3, tx = $4::text::xid8, entry_id = $5,"
            " checkpoint_sequence = $6, checkpoint_at = $7 WHERE tenant_id = $1",
            tenant_id,
            head.sequence,
            head.hash,
            head.tx,
            head.entry_id,
            head.checkpoint_sequence,
            head.checkpoint_at,
        )
    return len(entries)


async def _locked_head(connection: Connection, tenant_id: UUID, now: datetime) -> _Head | None:
    await connection.execute(
        "INSERT INTO kernel.audit_heads (tenant_id, sequence, hash, tx, entry_id, checkpoint_at)"
        " VALUES ($1, 0, $2, '0'::xid8, $3, $4) ON CONFLICT DO NOTHING",
        tenant_id,
        GENESIS,
        UUID(int=0),
        now,
    )
    row = await connection.fetchrow(
        "SELECT sequence, hash, tx::text AS tx, entry_id, checkpoint_sequence, checkpoint_at"
        " FROM kernel.audit_heads WHERE tenant_id = $1 FOR UPDATE SKIP LOCKED",
        tenant_id,
    )
    return None if row is None else _Head(**dict(row))


async def _append(
    connection: Connection, tenant_id: UUID, head: _Head, entries: list[asyncpg.Record]
) -> None:
    if not entries:
        return
    first = head.sequence + 1
    hashes: list[bytes] = []
    for number, entry in enumerate(entries, 1):
        head.hash = link(head.hash, tenant_id, entry)
        hashes.append(head.hash)
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)
    head.sequence += len(entries)
    head.tx, head.entry_id = entries[-1]["tx"], entries[-1]["id"]
    await connection.execute(
        "INSERT INTO kernel.audit_seals (tenant_id, sequence, entry_id, hash)"
        " SELECT $1, $2 + s.n - 1, s.entry_id, s.hash"
        " FROM unnest($3::uuid[], $4::bytea[]) WITH ORDINALITY AS s(entry_id, hash, n)",
        tenant_id,
        first,
        [entry["id"] for entry in entries],
        hashes,
    )


async def _sign(connection: Connection, keys: KeyRing, tenant_id: UUID, head: _Head, now: datetime) -> None:
    key_id, signature = Signatures(keys, _PURPOSE).sign(_statement(tenant_id, head.sequence, head.hash, now))
    await connection.execute(
        "INSERT INTO kernel.audit_checkpoints (tenant_id, sequence, hash, signed_at, key_id, signature)"
        " VALUES ($1, $2, $3, $4, $5, $6)",
        tenant_id,
        head.sequence,
        head.hash,
        now,
        key_id,
        signature,
    )
    head.checkpoint_sequence, head.checkpoint_at = head.sequence, now


def _statement(tenant_id: UUID, sequence: int, digest: bytes, signed_at: datetime) -> bytes:
    stamp = signed_at.isoformat(timespec="microseconds").encode()
    return b"rapport audit checkpoint 1\0" + tenant_id.bytes + struct.pack(">q", sequence) + digest + stamp


# -- verifying -----------------------------------------------------------------------------------------------

# EXCEPT, which is linear: an anti-join becomes a loop over all pairs while the planner knows nothing of a log that
# has grown at once.
SLIPPED_IN = """
SELECT e.id FROM kernel.audit_entries e JOIN kernel.audit_heads h USING (tenant_id)
WHERE e.tenant_id = $1 AND (e.tx, e.id) <= (h.tx, h.entry_id)
EXCEPT SELECT s.entry_id FROM kernel.audit_seals s WHERE s.tenant_id = $1 ORDER BY 1 LIMIT 1"""

BreakKind = Literal[
    "changed", "deleted", "inserted", "seal_missing", "checkpoint_forged", "checkpoint_differs", "cut"
]


@dataclass(frozen=True, slots=True)
class ChainBreak:
    """The first place where the log is not what was sealed."""

    kind: BreakKind
    sequence: int | None
    entry_id: UUID | None
    detail: str


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What `rapport audit verify` says of one tenant."""

    tenant_id: UUID
    sealed: int
    unsealed: int
    checkpoints: int
    signed_to: int
    broken: ChainBreak | None
    redacted: int = 0
    """Entries whose words were taken out when a person was erased; a key of ours signed each redaction."""

    @property
    def intact(self) -> bool:
        return self.broken is None


async def verify(kernel: Kernel, tenant_id: UUID) -> VerifyReport:
    """Recompute a tenant's chain from its entries and check every signature, at one moment of the database.

    Found are entries that were changed, deleted or slipped in behind the head, lost seals, and checkpoints that
    do not fit. Entries not sealed yet are counted, not judged.
    """
    async with kernel.database.control_session() as connection:
        await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            return await _Verification(connection, kernel.secrets, tenant_id).run()
        finally:
            await connection.execute("ROLLBACK")


class _Verification:
    def __init__(self, connection: Connection, keys: KeyRing, tenant_id: UUID) -> None:
        self.connection = connection
        self.tenant_id = tenant_id
        self.signatures = Signatures(keys, _PURPOSE)
        self.redactions = Signatures(keys, REDACTION_PURPOSE)
        self.sequence = 0
        self.hash = GENESIS
        self.redacted = 0

    async def run(self) -> VerifyReport:
        points = await self.connection.fetch(
            "SELECT sequence, hash, signed_at, key_id, signature FROM kernel.audit_checkpoints"
            " WHERE tenant_id = $1 ORDER BY sequence",
            self.tenant_id,
        )
        broken = await self._chain(list(points)) or await self._head() or await self._slipped_in()
        unsealed = await self.connection.fetchval(
            "SELECT count(*) FROM kernel.audit_entries e LEFT JOIN kernel.audit_heads h USING (tenant_id)"
            " WHERE e.tenant_id = $1 AND (h.tx IS NULL OR (e.tx, e.id) > (h.tx, h.entry_id))",
            self.tenant_id,
        )
        signed_to = points[-1]["sequence"] if points else 0
        return VerifyReport(
            self.tenant_id, self.sequence, unsealed, len(points), signed_to, broken, self.redacted
        )

    async def _chain(self, points: list[asyncpg.Record]) -> ChainBreak | None:
        points.reverse()
        async for row in self._sealed():
            expected = self.sequence + 1
            if row["sequence"] != expected:
                return ChainBreak("seal_missing", expected, None, f"the seal number {expected} is gone")
            if row["id"] is None:
                return self._at("deleted", row, "the entry is gone")
            if was_redacted(self.redactions, self.tenant_id, row, previous=self.hash, digest=row["hash"]):
                self.redacted += 1
            elif link(self.hash, self.tenant_id, row) != row["hash"]:
                return self._at("changed", row, "the entry, or the chain up to it, is not what was sealed")
            self.sequence, self.hash = expected, row["hash"]
            while points and points[-1]["sequence"] == expected:
                wrong = self._checkpoint(points.pop())
                if wrong is not None:
                    return wrong
        if points:
            last = points[0]["sequence"]
            return ChainBreak(
                "cut", self.sequence + 1, None, f"entries up to number {last} were signed; they are gone"
            )
        return None

    async def _sealed(self) -> AsyncIterator[asyncpg.Record]:
        last = 0
        while True:
            rows = await self.connection.fetch(
                f"SELECT s.sequence, s.entry_id, s.hash, {_ENTRY}, r.content AS redacted_content,"
                " r.key_id AS redaction_key_id, r.signature AS redaction_signature FROM kernel.audit_seals s"
                " LEFT JOIN kernel.audit_entries e ON e.tenant_id = s.tenant_id AND e.id = s.entry_id"
                " LEFT JOIN kernel.audit_redactions r ON r.tenant_id = s.tenant_id AND r.entry_id = s.entry_id"
                " WHERE s.tenant_id = $1 AND s.sequence > $2 ORDER BY s.sequence LIMIT 5000",
                self.tenant_id,
                last,
            )
            for row in rows:
                yield row
            if len(rows) < 5_000:
                return
            last = rows[-1]["sequence"]

    def _checkpoint(self, point: asyncpg.Record) -> ChainBreak | None:
        statement = _statement(self.tenant_id, point["sequence"], point["hash"], point["signed_at"])
        if not self.signatures.ours(point["key_id"], point["signature"], statement):
            return ChainBreak(
                "checkpoint_forged", point["sequence"], None, "no key of ours signed this checkpoint"
            )
        if point["hash"] != self.hash:
            return ChainBreak(
                "checkpoint_differs", point["sequence"], None, "the chain was rewritten before this place"
            )
        return None

    async def _head(self) -> ChainBreak | None:
        head = await self.connection.fetchrow(
            "SELECT sequence, hash FROM kernel.audit_heads WHERE tenant_id = $1", self.tenant_id
        )
        stands = (head["sequence"], head["hash"]) if head else (0, GENESIS)
        if stands == (self.sequence, self.hash):
            return None
        return ChainBreak(
            "cut", self.sequence + 1, None, f"the chain reached number {stands[0]}; its end is gone"
        )

    async def _slipped_in(self) -> ChainBreak | None:
        entry_id = await self.connection.fetchval(SLIPPED_IN, self.tenant_id)
        if entry_id is None:
            return None
        return ChainBreak("inserted", None, entry_id, "the entry was added behind entries that are sealed")

    @staticmethod
    def _at(kind: BreakKind, row: asyncpg.Record, detail: str) -> ChainBreak:
        return ChainBreak(kind, row["sequence"], row["entry_id"], detail)
