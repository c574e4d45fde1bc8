"""Files arrive whole or not at all, and no key leads out of its tenant."""

import hashlib
import os
from pathlib import Path
from uuid import UUID

import pytest

from app.kernel.files import (
    MEMORY_BYTES,
    FileNotFound,
    FileStore,
    FileTooLarge,
    FileTypeRefused,
    InvalidKey,
    InvalidRange,
    StoredFile,
    file_key,
    sniff,
    tenant_of,
)

TENANT = UUID("01900000-0000-7000-8000-000000000001")
KEY = file_key(TENANT, "imports", "名单 100%.csv")


@pytest.fixture(params=["file", "memory"])
def store(request, tmp_path) -> FileStore:
    (tmp_path / "temporary").mkdir()
    url = "memory://" if request.param == "memory" else f"file://{tmp_path}/files"
    return FileStore.from_url(url, temporary=tmp_path / "temporary")


async def chunks(*pieces: bytes):
    for piece in pieces:
        yield piece


async def content(store: FileStore, key: str, **options) -> bytes:
    return b"".join([piece async for piece in await store.get_stream(key, **options)])


def on_disk(folder: Path) -> list[str]:
    return sorted(name for _, _, names in os.walk(folder) for name in names)


async def test_what_is_stored_is_counted_hashed_and_read_back(store):
    stored = await store.put_stream(KEY, chunks(b"name,", b"", b"phone\n"), max_size=11)
    assert stored == StoredFile(KEY, 11, hashlib.sha256(b"name,phone\n").hexdigest(), "text/plain")
    assert await content(store, KEY) == b"name,phone\n"
    info = await store.head(KEY)
    assert (info.key, info.size) == (KEY, 11)


async def test_an_empty_file_is_a_file(store):
    assert (await store.put_stream(KEY, chunks(), max_size=0)).size == 0
    assert await content(store, KEY) == b""


async def test_a_large_file_passes_through_disk_and_leaves_no_copy(store, tmp_path):
    piece = os.urandom(1 << 20)
    many = MEMORY_BYTES // len(piece) + 4
    stored = await store.put_stream(KEY, chunks(*[piece] * many), max_size=1 << 30)
    assert (stored.size, stored.sha256) == (many << 20, hashlib.sha256(piece * many).hexdigest())
    assert await content(store, KEY) == piece * many
    assert await content(store, KEY, start=5 << 20, end=(5 << 20) + 3) == piece[:3]
    assert on_disk(tmp_path / "temporary") == []


@pytest.mark.parametrize("pieces", [[b"x" * 101], [b"x" * 60] * 2, [b"x" * (1 << 20)] * 12])
async def test_one_byte_too_many_is_refused_and_leaves_nothing_behind(store, tmp_path, pieces):
    limit = sum(map(len, pieces)) - 1
    with pytest.raises(FileTooLarge) as caught:
        await store.put_stream(KEY, chunks(*pieces), max_size=limit)
    assert caught.value.limit == limit
    with pytest.raises(FileNotFound):
        await store.head(KEY)
    assert on_disk(tmp_path) == []


async def test_a_refused_replacement_leaves_the_old_file_as_it_was(store):
    await store.put_stream(KEY, chunks(b"old"), max_size=10)

    async def broken():
        yield b"new"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await store.put_stream(KEY, broken(), max_size=10)
    with pytest.raises(FileTypeRefused) as caught:
        await store.put_stream(KEY, chunks(b"%PDF", b"-1.7"), max_size=10, allowed={"text/plain"})
    assert caught.value.media_type == "application/pdf"
    assert await content(store, KEY) == b"old"


@pytest.mark.parametrize(
    "key",
    [
        "",
        "x",
        "/etc/passwd",
        "../x",
        f"tenants/{TENANT}",
        f"tenants/{TENANT}/",
        f"tenants/{TENANT}/../other/x",
        f"tenants/{TENANT}/a/./b",
        f"tenants/{TENANT}//a",
        f"/tenants/{TENANT}/a",
        f"tenants/{TENANT}/a\\b",
        f"tenants/{TENANT}/a\x00",
        f"tenants/{TENANT}/a\n",
        "tenants/not-a-uuid/a",
        f"tenants/{TENANT.hex}/a",
        f"Tenants/{TENANT}/a",
        f"tenants/{str(TENANT).upper().replace('8', 'A')}/a",
        f"tenants/{TENANT}/{'x' * 201}",
        f"tenants/{TENANT}/\ud800",
    ],
)
async def test_no_key_leads_out_of_its_tenant(store, tmp_path, key):
    with pytest.raises(InvalidKey):
        await store.put_stream(key, chunks(b"x"), max_size=10)
    for method in (store.get_stream, store.head, store.delete):
        with pytest.raises(InvalidKey):
            await method(key)
    with pytest.raises(InvalidKey):
        async with store.local_copy(key):
            pass
    assert on_disk(tmp_path) == []


@pytest.mark.parametrize("part", ["", ".", "..", "a/b", "a\\b", "a\x00", "x" * 201, "悟" * 86])
def test_a_part_of_a_key_is_one_plain_name(part):
    with pytest.raises(InvalidKey):
        file_key(TENANT, part)


def test_a_key_tells_its_tenant():
    assert KEY == "tenants/01900000-0000-7000-8000-000000000001/imports/名单 100%.csv"
    assert tenant_of(KEY) == TENANT


async def test_ranges_are_half_open_and_stay_within_the_file(store):
    await store.put_stream(KEY, chunks(b"0123456789"), max_size=10)
    assert await content(store, KEY, start=3, end=6) == b"345"
    assert await content(store, KEY, start=8) == b"89"
    assert await content(store, KEY, start=10) == b""
    for start, end in ((-1, 3), (4, 3), (0, 11), (11, None)):
        with pytest.raises(InvalidRange):
            await store.get_stream(KEY, start=start, end=end)


async def test_a_deleted_file_is_gone_and_deleting_again_is_no_error(store):
    await store.put_stream(KEY, chunks(b"x"), max_size=1)
    await store.delete(KEY)
    await store.delete(KEY)
    with pytest.raises(FileNotFound):
        await store.get_stream(KEY)


async def test_a_local_copy_exists_only_as_long_as_it_is_used(store, tmp_path):
    await store.put_stream(KEY, chunks(b"a,b\n"), max_size=10)
    async with store.local_copy(KEY) as path:
        assert path.read_bytes() == b"a,b\n"
        assert path.parent == tmp_path / "temporary"
    assert not path.exists()
    with pytest.raises(FileNotFound):
        async with store.local_copy(file_key(TENANT, "none")):
            pass
    assert on_disk(tmp_path / "temporary") == []


async def test_two_stores_over_one_folder_see_the_same_files(tmp_path):
    first, second = (FileStore.from_url(f"file://{tmp_path}/deep/er") for _ in range(2))
    await first.put_stream(KEY, chunks(b"x"), max_size=1)
    assert await content(second, KEY) == b"x"


@pytest.mark.parametrize("url", ["files", "file://relative", "ftp://host/x", "http://x", ""])
def test_a_store_we_do_not_know_is_refused(url):
    with pytest.raises(ValueError, match="file store"):
        FileStore.from_url(url)


def test_an_s3_url_gives_a_store_without_calling_out(monkeypatch):
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    assert isinstance(FileStore.from_url("s3://bucket/prefix"), FileStore)


@pytest.mark.parametrize(
    ("head", "media_type"),
    [
        (b"%PDF-1.7", "application/pdf"),
        (b"\x89PNG\r\n\x1a\n....", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"RIFF....WEBPVP8 ", "image/webp"),
        (
            b"PK\x03\x04.....xl/workbook.xml",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        ),
        (b"PK\x03\x04.....readme.txt", "application/zip"),
        (b"MZ\x90\x00", "application/x-msdownload"),
        (b"name,phone\n", "text/plain"),
        ("公司,电话\n".encode("gb18030"), "text/plain"),
        ("公司,电话\n".encode("utf-16"), "text/plain"),
        ("name,电话\n".encode("utf-16-le"), "text/plain"),
        (b"", "text/plain"),
        (b" \n<!DOCTYPE HTML><p>", "text/html"),
        ("<script>".encode("utf-16"), "text/html"),
        (b"\xef\xbb\xbf<svg onload=x>", "image/svg+xml"),
        (b"<?xml version='1.0'?>", "text/xml"),
        (b"\x00\x01\x02", "application/octet-stream"),
    ],
)
def test_a_type_is_told_by_content(head, media_type):
    assert sniff(head) == media_type
