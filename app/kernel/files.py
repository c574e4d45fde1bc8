"""Files by key: uploads, imports, exports, attachments, in a local folder, S3 or memory alike (obstore).

A key always begins with `tenants/<uuid>/`, so that one tenant's files cannot be named from another's. A file
is taken in full before the store sees it: what is too large, of a wrong type or broken off leaves nothing
behind, not even the hidden parts of an aborted S3 upload. Who may download what, and signed links, are the
API's matter.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import tempfile
from collections.abc import AsyncIterable, AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self
from uuid import UUID

import obstore
from obstore.store import LocalStore, MemoryStore, from_url

if TYPE_CHECKING:
    from types import TracebackType

    from obstore import BytesStream, GetOptions
    from obstore.store import ObjectStore

MEMORY_BYTES = 8 << 20
"""Up to this size an upload is gathered in memory, beyond it in a temporary file."""

_PIECE = 1 << 20
_SNIFF = 4_096
_SEGMENT = re.compile(r"[^\x00-\x1f\x7f/\\]{1,200}")
_SCHEMES = ("file", "memory", "s3")


class FileError(Exception):
    """A file was refused or is not there. `code` is stable snake_case; the message is fit for a user."""

    code = "file_error"


class InvalidKey(FileError):
    """The key is not one of a tenant's, or tries to leave its folder."""

    code = "invalid_key"


class FileNotFound(FileError):
    """There is no file under the key."""

    code = "file_not_found"


class FileTooLarge(FileError):
    """The stream went on past `limit` bytes; nothing was stored."""

    code = "file_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"The file is larger than the {limit} bytes allowed.")
        self.limit = limit


class FileTypeRefused(FileError):
    """The content is of a type that is not allowed here; nothing was stored."""

    code = "file_type_refused"

    def __init__(self, media_type: str) -> None:
        super().__init__(f"Files of type {media_type} are not accepted here.")
        self.media_type = media_type


class InvalidRange(FileError):
    """The range does not lie within the file."""

    code = "invalid_range"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What was written: size in bytes, SHA-256 in hexadecimal, and the type found by looking at the
    content."""

    key: str
    size: int
    sha256: str
    media_type: str


@dataclass(frozen=True, slots=True)
class FileInfo:
    """What the store knows of a file; `etag` is the store's own and opaque."""

    key: str
    size: int
    modified_at: datetime
    etag: str | None


def file_key(tenant_id: UUID, *parts: str) -> str:
    """The key `tenants/<tenant_id>/<parts…>`.

    A part is one path segment of 1 to 200 characters (at most 255 bytes of UTF-8) and may be in any language.

    Raises: InvalidKey for an empty part, `.`, `..`, a slash, a backslash, a control character or a longer
    one.
    """
    if not parts:
        raise InvalidKey("A key needs a name below its tenant.")
    for part in parts:
        if part in (".", "..") or not _SEGMENT.fullmatch(part) or len(part.encode("utf-8", "replace")) > 255:
            raise InvalidKey(f"{part!r} cannot be part of a file's key.")
        if any("\ud800" <= character <= "\udfff" for character in part):
            raise InvalidKey(f"{part!r} cannot be part of a file's key.")
    return "/".join(("tenants", str(tenant_id), *parts))


def tenant_of(key: str) -> UUID:
    """The tenant a key belongs to.

    Raises: InvalidKey unless `key` is exactly what `file_key` gives.
    """
    segments = key.split("/")
    try:
        tenant_id = UUID(segments[1]) if len(segments) > 2 else None
    except ValueError:
        tenant_id = None
    if tenant_id is None or file_key(tenant_id, *segments[2:]) != key:
        raise InvalidKey(f"{key!r} is not a file of a tenant.")
    return tenant_id


class FileStore:
    """The files of all tenants. Every method checks its key first."""

    def __init__(self, store: ObjectStore, *, temporary: Path | None = None) -> None:
        """Keep files in `store`; uploads over 8 MiB pass through the folder `temporary` (default: the
        system's)."""
        self._store = store
        self._temporary = temporary

    @classmethod
    def from_url(cls, url: str, *, temporary: Path | None = None) -> FileStore:
        """A store for `file:///folder` (made if missing), `s3://bucket/prefix` or `memory://`.

        S3 takes its credentials, region and endpoint from the environment (`AWS_…`).

        Raises: ValueError for another scheme or a folder that is not absolute.
        """
        scheme, _, rest = url.partition("://")
        if scheme not in _SCHEMES:
            raise ValueError(
                f"a file store is one of {', '.join(f'{name}://' for name in _SCHEMES)}, not {url!r}"
            )
        if scheme == "memory":
            return cls(MemoryStore(), temporary=temporary)
        if scheme == "file":
            if not rest.startswith("/"):
                raise ValueError(
                    f"the folder of a file store is absolute, as in file:///var/files, not {url!r}"
                )
            return cls(LocalStore(rest, automatic_cleanup=True, mkdir=True), temporary=temporary)
        return cls(from_url(url), temporary=temporary)

    async def put_stream(
        self, key: str, chunks: AsyncIterable[bytes], *, max_size: int, allowed: Collection[str] | None = None
    ) -> StoredFile:
        """Store what `chunks` gives under `key`, replacing what was there only once all of it has arrived.

        `allowed` are media types as `sniff` names them; None allows any.

        Raises: InvalidKey; FileTooLarge past `max_size` bytes; FileTypeRefused; whatever `chunks` raises.
        """
        tenant_of(key)
        with _Spool(self._temporary) as spool:
            async for chunk in chunks:
                if spool.size + len(chunk) > max_size:
                    raise FileTooLarge(max_size)
                spool.write(chunk)
            media_type = sniff(spool.head)
            if allowed is not None and media_type not in allowed:
                raise FileTypeRefused(media_type)
            await obstore.put_async(self._store, key, spool.content())
            return StoredFile(key, spool.size, spool.sha256, media_type)

    async def get_stream(self, key: str, *, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes of `key` from `start` up to, not including, `end` (default: the end), in pieces of about
        1 MiB.

        The file is opened before this returns, so that its absence is known before an answer is begun.

        Raises: InvalidKey; FileNotFound; InvalidRange unless 0 ≤ start ≤ end ≤ size.
        """
        info = await self.head(key)
        end = info.size if end is None else end
        if not 0 <= start <= end <= info.size:
            raise InvalidRange(f"Bytes {start} to {end} are not within a file of {info.size} bytes.")
        if start == end:
            return _nothing()
        options: GetOptions = {"range": (start, end)}
        try:
            result = await obstore.get_async(self._store, key, options=options)
        except FileNotFoundError:
            raise FileNotFound("The file does not exist.") from None
        return _pieces(result.stream(min_chunk_size=_PIECE))

    async def head(self, key: str) -> FileInfo:
        """Size and time of a file.

        Raises: InvalidKey; FileNotFound.
        """
        tenant_of(key)
        try:
            meta = await obstore.head_async(self._store, key)
        except FileNotFoundError:
            raise FileNotFound("The file does not exist.") from None
        return FileInfo(key, meta["size"], meta["last_modified"], meta["e_tag"])

    async def delete(self, key: str) -> None:
        """Remove a file; one that is not there is no error.

        Raises: InvalidKey.
        """
        tenant_of(key)
        try:
            await obstore.delete_async(self._store, key)
        except FileNotFoundError:
            return

    async def of_tenant(self, tenant_id: UUID, *, without: Collection[str] = ()) -> AsyncIterator[FileInfo]:
        """Every file of a tenant, in no order, but those in the folders `without`."""
        root = f"tenants/{tenant_id}/"
        async for batch in obstore.list(self._store, prefix=root.removesuffix("/"), chunk_size=500):
            for found in batch:
                key = found["path"]
                if key.startswith(root) and key.removeprefix(root).partition("/")[0] not in without:
                    yield FileInfo(key, found["size"], found["last_modified"], found["e_tag"])

    @asynccontextmanager
    async def local_copy(self, key: str) -> AsyncIterator[Path]:
        """A private local copy of the file, removed on leaving; parsers that must seek read this.

        Raises: InvalidKey; FileNotFound.
        """
        source = await self.get_stream(key)
        descriptor, name = tempfile.mkstemp(prefix="rapport-", dir=self._temporary)
        path = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as target:
                async for piece in source:
                    await asyncio.to_thread(target.write, piece)
            yield path
        finally:
            await asyncio.to_thread(path.unlink, missing_ok=True)


class _Spool:
    """An upload on its way in: counted, hashed, in memory while small, else in a file that is removed at the
    end."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._memory = bytearray()
        self._file: IO[bytes] | None = None
        self._digest = hashlib.sha256()
        self.size = 0
        self.head = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def write(self, chunk: bytes) -> None:
        self._digest.update(chunk)
        self.size += len(chunk)
        if len(self.head) < _SNIFF:
            self.head = (self.head + chunk[:_SNIFF])[:_SNIFF]
        if self._file is None and self.size > MEMORY_BYTES:
            self._file = tempfile.NamedTemporaryFile(prefix="rapport-", dir=self._folder)  # noqa: SIM115
            self._file.write(self._memory)
            self._memory.clear()
        if self._file is not None:
            self._file.write(chunk)
        else:
            self._memory += chunk

    def content(self) -> bytes | Path:
        """What to hand to the store: the bytes, or the path of the complete file."""
        if self._file is None:
            return bytes(self._memory)
        self._file.flush()
        return Path(self._file.name)


async def _pieces(stream: BytesStream) -> AsyncIterator[bytes]:
    async for piece in stream:
        yield bytes(piece)


async def _nothing() -> AsyncIterator[bytes]:
    empty: tuple[bytes, ...] = ()
    for piece in empty:
        yield piece


_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"%PDF-", "application/pdf"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"\x1f\x8b", "application/gzip"),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
    (b"\x7fELF", "application/x-executable"),
    (b"MZ", "application/x-msdownload"),
)
_OFFICE: tuple[tuple[bytes, str], ...] = (
    (b"xl/", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    (b"word/", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    (b"ppt/", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
)
_ACTIVE: tuple[tuple[bytes, str], ...] = (
    (b"<!doctype html", "text/html"),
    (b"<html", "text/html"),
    (b"<head", "text/html"),
    (b"<body", "text/html"),
    (b"<script", "text/html"),
    (b"<iframe", "text/html"),
    (b"<svg", "image/svg+xml"),
    (b"<?xml", "text/xml"),
)
_BINARY = frozenset(range(32)) - frozenset(b"\t\n\r\x0c\x1b")


def sniff(head: bytes) -> str:
    """The media type of content that begins with `head` (4 kB suffice), by its own marks and never by its
    name.

    Follows the signatures of the WHATWG MIME Sniffing Standard and adds office files. What a browser would
    run (`text/html`, `image/svg+xml`, `text/xml`) is told from `text/plain`, so that an allow-list can leave
    it out.
    """
    for mark, media_type in _MAGIC:
        if head.startswith(mark):
            return media_type
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head.startswith(b"PK\x03\x04"):
        return next((media_type for mark, media_type in _OFFICE if mark in head), "application/zip")
    if wide := _wide(head):
        head = head[: len(head) // 2 * 2].decode(wide, "ignore").encode("utf-8", "ignore")
    if _BINARY.intersection(head):
        return "application/octet-stream"
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:64].lower()
    return next((media_type for mark, media_type in _ACTIVE if start.startswith(mark)), "text/plain")


def _wide(head: bytes) -> str | None:
    """The UTF-16 that `head` is written in: by its mark, or by zero bytes at every other place only."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if min(even, odd) > 0 or max(even, odd) * 50 < len(head) // 2 or max(even, odd) == 0:
        return None
    return "utf-16-be" if even else "utf-16-le"
