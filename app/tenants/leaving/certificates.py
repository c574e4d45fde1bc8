"""Certificates of erasure: what is left to say of a company, signed so that nobody can make one up or change it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson

from app.kernel.errors import NotFound
from app.kernel.runtime import Kernel
from app.kernel.signatures import Signatures

PURPOSE: Final = "erasure-certificate"
_PREFIX: Final = b"rapport certificate of erasure 1\0"


def statement(document: Mapping[str, Any]) -> bytes:
    """The bytes that are signed: the document in one spelling, keys sorted."""
    return _PREFIX + orjson.dumps(dict(document), option=orjson.OPT_SORT_KEYS)


def certified(kernel: Kernel, row: Mapping[str, Any] | asyncpg.Record) -> bool | None:
    """Whether a key of this installation signed a tombstone's certificate, for the company that it names."""
    document = row["certificate"]
    if document is None:
        return None
    signed = Signatures(kernel.secrets, PURPOSE).ours(row["key_id"], row["signature"], statement(document))
    return signed and document["tenant_id"] == str(row["tenant_id"])


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate, its signature, and whether a key of this installation made it."""

    document: dict[str, Any]
    key_id: str
    signature: bytes
    valid: bool


async def certificate_of(kernel: Kernel, tenant_id: UUID) -> Certificate:
    """The certificate of a company that was erased, checked. Raises: NotFound."""
    async with kernel.database.control() as connection:
        row = await connection.fetchrow(
            "SELECT tenant_id, certificate, key_id, signature FROM tenants.erasures"
            " WHERE tenant_id = $1 AND completed_at IS NOT NULL",
            tenant_id,
        )
    if row is None:
        raise NotFound("No certificate names this company.")
    return Certificate(row["certificate"], row["key_id"], row["signature"], bool(certified(kernel, row)))
