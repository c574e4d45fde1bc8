"""Record ids: UUID version 7 (RFC 9562 §5.7), made here and not in the database.

They sort by the time they were made, so new rows land on the same index pages, and any
PostgreSQL ≥ 15 serves because the server needs no function for them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from uuid_utils import uuid7

__all__ = ["created_at", "new_id", "new_ids"]


def new_id() -> UUID:
    """A new id, later than all this process made before.

    It is a real `uuid.UUID`, on which the database driver and the tenant setting insist; made from the bytes in half
    the time of `uuid_utils.compat`.
    """
    return UUID(bytes=uuid7().bytes)


def new_ids(count: int) -> list[str]:
    """As many new ids as texts, for rows that are written as text: a third of the time of making `UUID`s."""
    return [str(uuid7()) for _ in range(count)]


def created_at(identifier: UUID) -> datetime:
    """The moment kept in the first 48 bits of a version 7 id, to the millisecond, in UTC.

    Raises: ValueError for an id of another version.
    """
    if identifier.version != 7:
        raise ValueError(f"not a version 7 UUID: {identifier}")
    return datetime.fromtimestamp((identifier.int >> 80) / 1000, tz=UTC)
