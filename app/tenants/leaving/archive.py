"""All data of a tenant as one ZIP archive: a line of JSON per row, the files, and a manifest that says what is there.

The catalogue names the tables, so that a new module is exported by existing. Rows come from one snapshot by
server-side cursors and are packed as they come, so that memory stays flat however large the tenant is.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import orjson

from app.kernel import db
from app.kernel.catalogue import TenantTable, secret_columns, tenant_tables
from app.kernel.config import VERSION
from app.kernel.db import Connection
from app.kernel.errors import NotFound
from app.kernel.files import FileNotFound

if TYPE_CHECKING:
    from app.kernel.runtime import Kernel

FORMAT: Final = "rapport-tenant-export"
FORMAT_VERSION: Final = 1
BATCH: Final = 1_000
FOLDERS_LEFT_OUT: Final = ("exports", "tenant-exports")
"""Of the tenant's files: copies of what the archive holds anyhow."""
_SPOOL: Final = 4 << 20
Told = Callable[[int, int], Awaitable[None]]


class _Pipe(io.RawIOBase):
    """Takes what the archive's writer writes until somebody fetches it."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._pieces.append(bytes(data))
        return len(self._pieces[-1])

    def take(self) -> bytes:
        """What was written since the last time."""
        taken, self._pieces = b"".join(self._pieces), []
        return taken


@dataclass
class Archive:
    """One archive in the making; `pieces` gives its bytes."""

    kernel: Kernel
    tenant_id: UUID
    told: Told
    rows: int = 0
    tables: list[dict[str, Any]] = field(default_factory=list)
    files: int = 0
    file_bytes: int = 0
    _pipe: _Pipe = field(default_factory=_Pipe)

    async def pieces(self) -> AsyncIterator[bytes]:
        """The archive, piece by piece."""
        taken_at = self.kernel.clock.now()
        with zipfile.ZipFile(self._pipe, "w", zipfile.ZIP_DEFLATED) as packed:
            async with self.kernel.database.acquire() as connection:
                await db.begin(connection, self.tenant_id, read_only=True)
                try:
                    await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                    manifest = await self._head(connection, taken_at)
                    async for piece in self._rows(connection, packed, manifest):
                        yield piece
                finally:
                    await connection.execute("ROLLBACK")
            async for piece in self._files(packed):
                yield piece
            manifest["files"] = {"count": self.files, "bytes": self.file_bytes, "index": "files.ndjson"}
            packed.writestr(
                _entry("manifest.json", taken_at), orjson.dumps(manifest, option=orjson.OPT_INDENT_2)
            )
        yield self._pipe.take()

    async def _head(self, connection: Connection, taken_at: datetime) -> dict[str, Any]:
        tenant = await connection.fetchrow(
            "SELECT name, slug FROM tenants.tenants WHERE tenant_id = $1", self.tenant_id
        )
        if tenant is None:
            raise NotFound
        return {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "tenant_id": str(self.tenant_id),
            "name": tenant["name"],
            "slug": tenant["slug"],
            "taken_at": taken_at.isoformat().replace("+00:00", "Z"),
            "product_version": VERSION,
        }

    # -- rows ----------------------------------------------------------------------------------------------

    async def _rows(
        self, connection: Connection, packed: zipfile.ZipFile, manifest: dict[str, Any]
    ) -> AsyncIterator[bytes]:
        secrets = secret_columns()
        found = await tenant_tables(connection)
        for table in found:
            if table.readable:
                async for piece in self._table(
                    connection, packed, table, secrets.get(table.name, frozenset())
                ):
                    yield piece
        manifest["tables"] = self.tables
        manifest["left_out"] = [
            {"table": table.name, "reason": "hashes of credentials, kept by the installation"}
            for table in found
            if not table.readable
        ]

    async def _table(
        self, connection: Connection, packed: zipfile.ZipFile, table: TenantTable, secret: frozenset[str]
    ) -> AsyncIterator[bytes]:
        columns = [column for column in table.columns if column.name not in secret]
        listed = ", ".join(f'"{column.name}"' for column in columns)
        order = ", ".join(f'"{name}"' for name in table.key)
        statement = (
            f"SELECT row_to_json(r)::text FROM (SELECT {listed} FROM {table.name} WHERE tenant_id = $1"
            f"{' ORDER BY ' + order if order else ''}) r"
        )
        file = f"data/{table.name}.ndjson"
        digest, rows = hashlib.sha256(), 0
        with packed.open(_entry(file, self.kernel.clock.now()), "w", force_zip64=True) as entry:
            cursor = await connection.cursor(statement, self.tenant_id)
            while batch := await cursor.fetch(BATCH):
                lines = "".join(f"{row[0]}\n" for row in batch).encode()
                digest.update(lines)
                await asyncio.to_thread(entry.write, lines)
                rows += len(batch)
                self.rows += len(batch)
                await self.told(self.rows, self.files)
                yield self._pipe.take()
        self.tables.append(
            {
                "table": table.name,
                "file": file,
                "rows": rows,
                "sha256": digest.hexdigest(),
                "columns": [{"name": column.name, "type": column.type} for column in columns],
                "left_out": sorted(secret),
            }
        )
        yield self._pipe.take()

    # -- files ---------------------------------------------------------------------------------------------

    async def _files(self, packed: zipfile.ZipFile) -> AsyncIterator[bytes]:
        """Each file of the tenant under its own key, and an index of them."""
        with SpooledTemporaryFile(max_size=_SPOOL) as index:
            async for info in self.kernel.files.of_tenant(self.tenant_id, without=FOLDERS_LEFT_OUT):
                name = f"files/{info.key.partition('/')[2].partition('/')[2]}"
                digest, size = hashlib.sha256(), 0
                try:
                    content = await self.kernel.files.get_stream(info.key)
                except FileNotFound:
                    continue  # deleted since it was listed
                with packed.open(_entry(name, info.modified_at), "w", force_zip64=True) as entry:
                    async for piece in content:
                        digest.update(piece)
                        size += len(piece)
                        await asyncio.to_thread(entry.write, piece)
                        yield self._pipe.take()
                self.files += 1
                self.file_bytes += size
                index.write(orjson.dumps({"file": name, "size": size, "sha256": digest.hexdigest()}) + b"\n")
                await self.told(self.rows, self.files)
            index.seek(0)
            with packed.open(_entry("files.ndjson", self.kernel.clock.now()), "w", force_zip64=True) as entry:
                while piece := index.read(1 << 20):
                    entry.write(piece)
        yield self._pipe.take()


def _entry(name: str, at: datetime) -> zipfile.ZipInfo:
    found = zipfile.ZipInfo(name, date_time=at.timetuple()[:6])
    found.compress_type = zipfile.ZIP_DEFLATED
    return found
