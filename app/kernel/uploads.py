"""Files that come in over HTTP: streamed to the file store, told apart by their content, limited in size."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote
from uuid import UUID

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.kernel.access import Actor
from app.kernel.errors import BadRequest, FieldError, Invalid, NotFound, PayloadTooLarge
from app.kernel.files import FileNotFound, FileTooLarge, StoredFile, file_key
from app.kernel.ids import new_id
from app.kernel.imports.models import StoredUpload
from app.kernel.limits import require_storage
from app.kernel.uow import UnitOfWork

if TYPE_CHECKING:
    from app.kernel.runtime import Kernel

_PIECE = 1 << 20
_FORM_ALLOWANCE = 1 << 20
_UNFIT = re.compile(r"[\x00-\x1f\x7f/\\\ud800-\udfff]")


@dataclass
class Received:
    """What a request brought: its form fields, and the file, stored but in no transaction yet."""

    fields: dict[str, str] = field(default_factory=dict)
    name: str = ""
    id: UUID | None = None
    stored: StoredFile | None = None

    async def discard(self, kernel: Kernel) -> None:
        """Remove the bytes of a file that nothing will refer to."""
        if self.stored is not None:
            await kernel.files.delete(self.stored.key)


def is_multipart(request: Request) -> bool:
    """Whether the body is a form with files."""
    return request.headers.get("content-type", "").lower().startswith("multipart/form-data")


async def receive(request: Request, kernel: Kernel, actor: Actor) -> Received:
    """Take a form with one file, or a raw body named by `?filename=`, into the file store.

    Raises: `PayloadTooLarge`, `BadRequest` for a broken form, `Invalid` for a second file.
    """
    limit = kernel.settings.upload_limit_bytes
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit + _FORM_ALLOWANCE:
        raise PayloadTooLarge(f"A file may have at most {limit} bytes.", limit=limit)
    if is_multipart(request):
        return await _receive_form(request, kernel, actor, limit)
    received = Received(name=file_name(request.query_params.get("filename") or "upload"))
    await _store(received, request.stream(), kernel, actor, limit)
    return received


async def _receive_form(request: Request, kernel: Kernel, actor: Actor, limit: int) -> Received:
    parser = MultiPartParser(
        request.headers, _limited(request.stream(), limit + _FORM_ALLOWANCE), max_files=1, max_fields=50
    )
    try:
        form = await parser.parse()
    except (MultiPartException, UnicodeDecodeError) as error:
        raise BadRequest(f"The form cannot be read: {error}") from None
    received = Received()
    try:
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                if name != "file":
                    raise Invalid.at(f"/{name}", "unknown_field", "Send the file as `file`.")
                received.name = file_name(value.filename or "upload")
                await _store(received, _pieces(value), kernel, actor, limit)
            else:
                received.fields[name] = value
    finally:
        await form.close()
    return received


async def _limited(stream: AsyncIterator[bytes], limit: int) -> AsyncGenerator[bytes, None]:
    size = 0
    async for chunk in stream:
        size += len(chunk)
        if size > limit:
            raise PayloadTooLarge(f"The upload may have at most {limit} bytes.", limit=limit)
        yield chunk


async def _pieces(file: UploadFile) -> AsyncIterator[bytes]:
    while piece := await file.read(_PIECE):
        yield piece


async def _store(
    received: Received, chunks: AsyncIterator[bytes], kernel: Kernel, actor: Actor, limit: int
) -> None:
    received.id = new_id()
    key = file_key(actor.tenant.id, "files", str(received.id))
    try:
        received.stored = await kernel.files.put_stream(key, chunks, max_size=limit)
    except FileTooLarge:
        raise PayloadTooLarge(f"A file may have at most {limit} bytes.", limit=limit) from None


async def store_content(kernel: Kernel, tenant_id: UUID, name: str, content: bytes) -> Received:
    """Put what came in by another way than an upload into the file store, under a name that may be anything."""
    received = Received(name=file_name(name), id=new_id())
    key = file_key(tenant_id, "files", str(received.id))
    received.stored = await kernel.files.put_stream(key, _once(content), max_size=len(content))
    return received


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def record_upload(uow: UnitOfWork, received: Received) -> StoredUpload:
    """The row of a received file. Raises `Invalid` when there is none, or nothing in it; `PlanLimitReached`."""
    stored = received.stored
    if stored is None or received.id is None or stored.size == 0:
        raise Invalid("Send a file that is not empty.", errors=[FieldError("/file", "required", "A file.")])
    await require_storage(uow, stored.size)
    return await uow.insert(
        StoredUpload,
        audit="file",
        id=received.id,
        name=received.name,
        media_type=stored.media_type,
        size=stored.size,
        sha256=stored.sha256,
        key=stored.key,
        created_by=uow.actor.member_id,
    )


async def visible_file(uow: UnitOfWork, id: UUID) -> StoredUpload:
    """A file that the actor uploaded, or may read by permission. Raises `NotFound`."""
    found = await uow.get(StoredUpload, id)
    mine = uow.actor.member_id is not None and found.created_by == uow.actor.member_id
    if not mine and not uow.actor.may("file:read"):
        raise NotFound
    return found


async def download(kernel: Kernel, file: StoredUpload) -> StreamingResponse:
    """The bytes, as something to save: a browser must neither show nor run it. Raises `NotFound`."""
    try:
        body = await kernel.files.get_stream(file.key)
    except FileNotFound:
        raise NotFound("The file's content is gone.") from None
    headers = attachment(file.name) | {"Content-Length": str(file.size), "ETag": f'"{file.sha256}"'}
    return StreamingResponse(body, media_type="application/octet-stream", headers=headers)


class Streamed(StreamingResponse):
    """A streamed answer whose source is closed when the client leaves early, with what it holds open."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send, and close the source in any case."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            if isinstance(self.body_iterator, AsyncGenerator):
                await self.body_iterator.aclose()


def attachment(name: str) -> dict[str, str]:
    """Headers that make a browser save the answer under `name` (RFC 6266)."""
    plain = re.sub(r"[^A-Za-z0-9._ -]", "_", name)
    return {
        "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }


def file_name(given: str) -> str:
    """The last part of a name as browsers send it, fit to be stored and shown."""
    name = _UNFIT.sub("_", re.split(r"[/\\]", given)[-1]).strip().strip(".")
    return name[:200] or "upload"
