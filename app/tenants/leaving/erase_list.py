"""The list of erasures outside of the database: a restored backup must not bring back who was erased.

An append-only file of signed lines, one when an erasure begins and one with its certificate. Whatever the file names
and the database does not know was restored, and is erased again before anything is served. The file belongs beside
the backups, never into them; `RAPPORT_ERASURE_LIST` says where several hosts share it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import orjson

from app.kernel.config import Settings
from app.kernel.runtime import Kernel
from app.kernel.secrets import decode_base64url, encode_base64url
from app.kernel.signatures import Signatures
from app.tenants.leaving.certificates import PURPOSE, statement

BEGUN: Final = "erasure"
CERTIFIED: Final = "certificate"


class ErasuresNotReapplied(RuntimeError):
    """The database holds companies that the list says were erased: it was restored from a backup."""

    def __init__(self, tenant_ids: list[UUID]) -> None:
        names = ", ".join(map(str, tenant_ids[:5])) + (" …" if len(tenant_ids) > 5 else "")
        super().__init__(
            f"{len(tenant_ids)} companies that were erased are back, as after a restore ({names});"
            " `rapport tenants reapply-erasures` erases them again, and until then nothing is served."
        )
        self.tenant_ids = tenant_ids


@dataclass(frozen=True, slots=True)
class Listed:
    """One line that a key of ours signed."""

    kind: str
    document: dict[str, Any]
    key_id: str
    signature: bytes

    @property
    def tenant_id(self) -> UUID:
        return UUID(self.document["tenant_id"])

    @property
    def requested_at(self) -> datetime:
        return datetime.fromisoformat(self.document["requested_at"])


def path_of(settings: Settings) -> Path:
    """Where the list is kept."""
    return settings.erasure_list or settings.data_dir / "erasures.ndjson"


def append(
    kernel: Kernel, kind: str, document: dict[str, Any], *, path: Path | None = None, purpose: str = PURPOSE
) -> tuple[str, bytes]:
    """Sign a line and write it so that it survives a power cut; the key and the signature."""
    key_id, signature = Signatures(kernel.secrets, purpose).sign(statement(document | {"kind": kind}))
    line = orjson.dumps(
        {
            "kind": kind,
            "document": document,
            "key_id": key_id,
            "signature": encode_base64url(signature),
        }
    )
    path = path or path_of(kernel.settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"  # a line that a crash cut off
        os.write(descriptor, (b"\n" if torn else b"") + line + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return key_id, signature


def read(kernel: Kernel, *, path: Path | None = None, purpose: str = PURPOSE) -> Iterator[Listed]:
    """The lines that a key of ours signed, in order; whatever else stands there counts for nothing."""
    path = path or path_of(kernel.settings)
    if not path.exists():
        return
    signatures = Signatures(kernel.secrets, purpose)
    with path.open("rb") as lines:
        for line in lines:
            try:
                found = orjson.loads(line)
                listed = Listed(
                    found["kind"],
                    dict(found["document"]),
                    found["key_id"],
                    decode_base64url(found["signature"]),
                )
                UUID(listed.document["tenant_id"])
            except (ValueError, KeyError, TypeError):
                continue
            signed = statement(listed.document | {"kind": listed.kind})
            if signatures.ours(listed.key_id, listed.signature, signed):
                yield listed


async def unapplied(kernel: Kernel) -> dict[UUID, Listed]:
    """What the list names and the database knows nothing of: companies that a restore brought back, or may have."""
    begun: dict[UUID, Listed] = {}
    for line in read(kernel):
        begun.setdefault(line.tenant_id, line)
    if not begun:
        return {}
    async with kernel.database.control() as connection:
        known = await connection.fetch(
            "SELECT tenant_id FROM tenants.erasures WHERE tenant_id = ANY($1::uuid[])", list(begun)
        )
    for row in known:
        begun.pop(row["tenant_id"])
    return begun


async def require_applied(kernel: Kernel) -> None:
    """Refuse to serve what was erased. Raises: ErasuresNotReapplied."""
    missing = await unapplied(kernel)
    if missing:
        raise ErasuresNotReapplied(list(missing))
