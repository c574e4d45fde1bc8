"""The company's logo: one picture, small, and proven to be one before it is kept."""

from __future__ import annotations

import hashlib
import struct
from typing import Final

from app.kernel.errors import Invalid, NotFound, require_version
from app.kernel.files import sniff
from app.kernel.pages.public import logo_of
from app.kernel.pdf.documents import PICTURES
from app.kernel.pdf.render import DocumentNotRendered, Order
from app.kernel.runtime import Kernel
from app.kernel.uow import UnitOfWork
from app.tenants.models import Tenant
from app.tenants.people.settings import change_settings

SIZE_LIMIT: Final = 256 * 1024
MOST_PIXELS: Final = 2_000
_PROOF: Final = "#let d = json(bytes(sys.inputs.data))\n#image(bytes(d.bytes), format: d.format, width: 1cm)"
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of a JPEG that tell its size (ITU-T T.81, table B.1)."""


async def put_logo(uow: UnitOfWork, content: bytes, *, expected_version: int) -> Tenant:
    """Take a PNG or JPEG as the logo, instead of the one before.

    Raises: StaleVersion; Invalid for anything else, for more than 2,000 pixels a side, and for a broken picture.
    """
    tenant = await uow.get(Tenant, uow.tenant_id)
    require_version(tenant.version, expected=expected_version)
    media_type = sniff(content[:64])
    kind = PICTURES.get(media_type)
    if kind is None:
        raise Invalid("Send a PNG or JPEG picture.")
    width, height = _size(content)
    if not (0 < width <= MOST_PIXELS and 0 < height <= MOST_PIXELS):
        raise Invalid(f"A logo has 1 to {MOST_PIXELS} pixels a side, and says so.")
    try:  # whatever cannot be laid out would spoil every document
        await uow.kernel.renderer.render(Order(_PROOF, {"bytes": [*content], "format": kind}, uow.now))
    except DocumentNotRendered:
        raise Invalid("The picture cannot be read.") from None
    digest = hashlib.sha256(content).digest()
    changed = await change_settings(uow, {"logo_hash": digest}, expected_version=expected_version)
    await uow.fetch(
        "INSERT INTO tenants.logos (tenant_id, id, media_type, content) VALUES ($1, $1, $2, $3)"
        " ON CONFLICT (tenant_id, id) DO UPDATE SET media_type = $2, content = $3",
        uow.tenant_id,
        media_type,
        content,
    )
    return changed


async def remove_logo(uow: UnitOfWork, *, expected_version: int) -> Tenant:
    """Have no logo any more; its address answers 404 from now on. Raises: StaleVersion."""
    changed = await change_settings(uow, {"logo_hash": None}, expected_version=expected_version)
    await uow.fetch("DELETE FROM tenants.logos WHERE tenant_id = $1", uow.tenant_id)
    return changed


async def public_logo(kernel: Kernel, token: str) -> tuple[bytes, str]:
    """A logo and its type, for anybody who has its address. Raises `NotFound` for one that was replaced, too."""
    tenant_id, digest = logo_of(kernel, token)
    async with kernel.database.tenant(tenant_id, read_only=True) as connection:
        row = await connection.fetchrow(
            "SELECT media_type, content FROM tenants.logos WHERE tenant_id = $1 AND id = $1", tenant_id
        )
    if row is None or hashlib.sha256(row["content"]).digest() != digest:
        raise NotFound
    return row["content"], row["media_type"]


def _size(content: bytes) -> tuple[int, int]:
    """Width and height that a picture declares; zeros where it declares none."""
    if content.startswith(b"\x89PNG"):
        return struct.unpack(">II", content[16:24]) if len(content) >= 24 else (0, 0)
    at = 2
    while at + 9 <= len(content) and content[at] == 0xFF:
        marker, length = content[at + 1], int.from_bytes(content[at + 2 : at + 4], "big")
        if marker in _FRAMES:
            height, width = struct.unpack(">HH", content[at + 5 : at + 9])
            return width, height
        at += 2 + length
    return 0, 0
