"""What the modules' tests share: acting inside a transaction, as somebody with other rights, and counting SQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from app.kernel.access import Actor, Scope
from app.kernel.ids import new_id
from app.kernel.uow import UnitOfWork, transaction
from tests.support.api import Client, Company


async def actor_of(company: Company) -> Actor:
    """The owner of the company as the kernel sees them."""
    kernel = company.kernel
    assert kernel is not None
    return await kernel.authenticator.authenticate(f"Bearer {company.owner.token}", None)


def colleague(owner: Actor, **grants: Scope) -> Actor:
    """Somebody else of the same company, in no team, with just these rights (`account_read=Scope.OWN`)."""
    named = {name.rpartition("_")[0] + ":" + name.rpartition("_")[2]: scope for name, scope in grants.items()}
    id = new_id()
    return Actor(tenant=owner.tenant, kind="member", id=id, name="Colleague", member_id=id, grants=named)


@asynccontextmanager
async def acting(company: Company, actor: Actor | None = None) -> AsyncIterator[UnitOfWork]:
    """A unit of work that commits on leaving, of the owner unless another actor is given."""
    async with transaction(company.kernel, actor or await actor_of(company)) as uow:
        yield uow


async def make(client: Client, plural: str, **fields: Any) -> dict[str, Any]:
    """A record made over HTTP."""
    made: dict[str, Any] = await client.ok("POST", f"/v1/{plural}", json=fields)
    return made


async def count(company: Company, table: str) -> int:
    """Rows of the company that are not deleted."""
    async with acting(company) as uow:
        row = await uow.fetchrow(
            f"SELECT count(*) FROM {table} WHERE tenant_id = $1 AND deleted_at IS NULL", uow.tenant_id
        )
        assert row is not None
        return int(row[0])


async def require_held(company: Company, table: str, id: str) -> None:
    """Somebody holds the row: nobody deletes it, or waits for it here."""
    async with company.kernel.database.tenant(company.tenant_id) as other:
        with pytest.raises(asyncpg.LockNotAvailableError):
            await other.fetch(f"SELECT 1 FROM {table} WHERE id = $1 FOR UPDATE NOWAIT", UUID(id))


def subject_id(record: dict[str, Any]) -> UUID:
    return UUID(record["id"])
