"""PDFs that are made once and kept by their hash: of what will not change any more.

The bytes lie in the file store under their SHA-256. Whoever asks first makes the file; two who ask at once make the
same bytes, and one row says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Mapped

from app.kernel.access import Actor
from app.kernel.files import FileNotFound, file_key
from app.kernel.ids import new_id
from app.kernel.models import TenantOwned
from app.kernel.pdf.documents import Document, render_document
from app.kernel.runtime import Kernel
from app.kernel.uow import UnitOfWork, transaction

SIZE_LIMIT = 32 << 20


class KeptDocument(TenantOwned):
    """The PDF of a record in a language."""

    __tablename__ = "documents"
    __table_args__ = ({"schema": "kernel"},)
    object: Mapped[str]
    record_id: Mapped[UUID]
    language: Mapped[str]
    sha256: Mapped[str]
    size: Mapped[int]
    created_at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class Pdf:
    """The bytes of a PDF, and their SHA-256 in hexadecimal."""

    content: bytes
    sha256: str


Describe = Callable[[UnitOfWork], Awaitable[Document]]
"""Reads a record as the actor sees it and describes its document. May raise what reading raises."""


async def kept_pdf(
    kernel: Kernel,
    actor: Actor,
    *,
    object_name: str,
    record_id: UUID,
    describe: Describe,
    request_id: str = "",
) -> Pdf:
    """The PDF of a record that does not change any more, or of a draft, which is made anew each time.

    `describe` is called in any case, so that nobody gets what they may not see. The layout runs in no transaction.
    Raises: what `describe` raises; DocumentNotRendered.
    """
    async with transaction(kernel, actor, read_only=True) as uow:
        document = await describe(uow)
        row = None if document.draft else await _find(uow, object_name, record_id, document.language)
    if row is not None:
        content = await _read(kernel, row)
        if content is not None:
            return Pdf(content, row.sha256)
    content = await render_document(kernel.renderer, document)
    digest = hashlib.sha256(content).hexdigest()
    if document.draft:
        return Pdf(content, digest)
    key = _key(actor.tenant_id, digest)
    await kernel.files.put_stream(key, _once(content), max_size=SIZE_LIMIT, allowed={"application/pdf"})
    if row is not None:
        return Pdf(content, digest)
    async with transaction(kernel, actor, request_id=request_id) as uow:
        await _keep(uow, object_name, record_id, document.language, digest, len(content))
        kept = await _find(uow, object_name, record_id, document.language)
    # Somebody else may have been first, before what it shows was settled.
    if kept is not None and kept.sha256 != digest:
        content = await _read(kernel, kept) or content
    return Pdf(content, hashlib.sha256(content).hexdigest())


async def fresh_pdf(kernel: Kernel, actor: Actor, describe: Describe) -> Pdf:
    """The PDF of a record that may still change, made anew each time; the same record gives the same bytes.

    Raises: what `describe` raises; DocumentNotRendered.
    """
    async with transaction(kernel, actor, read_only=True) as uow:
        document = await describe(uow)
    content = await render_document(kernel.renderer, document)
    return Pdf(content, hashlib.sha256(content).hexdigest())


async def _find(uow: UnitOfWork, object_name: str, record_id: UUID, language: str) -> KeptDocument | None:
    statement = uow.select(KeptDocument).where(
        KeptDocument.object == object_name,
        KeptDocument.record_id == record_id,
        KeptDocument.language == language,
    )
    return await uow.first(statement)


async def _keep(
    uow: UnitOfWork, object_name: str, record_id: UUID, language: str, digest: str, size: int
) -> None:
    await uow.fetch(
        "INSERT INTO kernel.documents (tenant_id, id, object, record_id, language, sha256, size, created_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (tenant_id, object, record_id, language) DO NOTHING",
        uow.tenant_id,
        new_id(),
        object_name,
        record_id,
        language,
        digest,
        size,
        uow.now,
    )


def _key(tenant_id: UUID, digest: str) -> str:
    return file_key(tenant_id, "documents", f"{digest}.pdf")


async def _read(kernel: Kernel, row: KeptDocument) -> bytes | None:
    """The kept bytes; None where the store has lost them."""
    try:
        pieces = [piece async for piece in await kernel.files.get_stream(_key(row.tenant_id, row.sha256))]
    except FileNotFound:
        return None
    return b"".join(pieces)


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
