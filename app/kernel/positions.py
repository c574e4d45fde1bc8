"""Where a page of a log or settings list ends: a signed cursor behind its last row.

Use `app.kernel.log_pages` where a list is one SELECT; this alone where its rows come from several sources or are
computed. Lists of records have cursors of their own (`app.kernel.listing`), which also bind filters and sorts. Here
the list's name says all that a cursor is bound to: put what filters the list into it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import orjson

from app.kernel.errors import InvalidCursor
from app.kernel.listing import MAX_LIMIT
from app.kernel.secrets import SignatureInvalid
from app.kernel.uow import UnitOfWork

__all__ = ["MAX_LIMIT", "read_position", "sign_position"]


def sign_position(uow: UnitOfWork, list_name: str, values: Sequence[Any]) -> str:
    """The cursor behind the last row of a page, bound to tenant and list."""
    position = orjson.dumps([str(value) for value in values])
    return uow.kernel.secrets.sign(_binding(uow, list_name) + position, purpose="cursor")


def read_position(uow: UnitOfWork, list_name: str, cursor: str | None) -> list[str] | None:
    """What `sign_position` signed; None without a cursor. Raises `InvalidCursor`."""
    if cursor is None:
        return None
    binding = _binding(uow, list_name)
    try:
        payload = uow.kernel.secrets.unsign(cursor, purpose="cursor")
    except SignatureInvalid:
        payload = b""
    if not payload.startswith(binding):
        raise InvalidCursor("The cursor belongs to another list or filter; start again without it.")
    position: list[str] = orjson.loads(payload[len(binding) :])
    return position


def _binding(uow: UnitOfWork, list_name: str) -> bytes:
    return hashlib.blake2b(f"{uow.tenant_id}\0{list_name}".encode(), digest_size=12).digest()
