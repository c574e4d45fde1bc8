"""Locks by name, for what no row stands for: held by one transaction of a tenant at a time, until it ends."""

from __future__ import annotations

from collections.abc import Collection

from app.kernel.uow import UnitOfWork


async def lock_name(uow: UnitOfWork, name: str, *, shared: bool = False) -> None:
    """Wait until no other transaction of the tenant holds `name`; those that hold it `shared` let each other be.

    A statement of its own: what is read after it is at least as new as the lock.
    """
    function = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
    await uow.fetch(f"SELECT {function}(hashtextextended($1, 0))", lock_text(uow, name))


def lock_text(uow: UnitOfWork, name: str) -> str:
    """What PostgreSQL is asked to lock for `name`, for statements of one's own."""
    return f"{uow.tenant_id}:{name}"


def all_upserts(object_name: str) -> str:
    """The lock over all upserts of a record type, by name: batches share it, chunks of imports do not."""
    return f"{object_name} upserts"


async def lock_keys(uow: UnitOfWork, space: str, keys: Collection[str]) -> None:
    """Lock `space:key` for each of `keys`, in one order, so that nobody deadlocks."""
    names = sorted({f"{uow.tenant_id}:{space}:{key}" for key in keys})
    if names:
        await uow.fetch(
            "SELECT pg_advisory_xact_lock(hashtextextended(k.name, 0))"
            " FROM (SELECT unnest($1::text[]) AS name ORDER BY 1) k",
            names,
        )
