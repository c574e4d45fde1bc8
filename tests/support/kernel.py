"""A kernel without HTTP: database, settings modules and toys, for tests of mechanisms below the API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import asyncpg

from app.kernel.access import Actor, TenantProfile, system_actor
from app.kernel.audit_seal import seal_tenant, verify
from app.kernel.clock import Clock, SystemClock
from app.kernel.config import Settings
from app.kernel.custom_fields import CustomFields
from app.kernel.db import Database
from app.kernel.files import FileStore
from app.kernel.ids import new_id
from app.kernel.mail import Mailer
from app.kernel.modules import FIELDS_MODULE
from app.kernel.rate_limits import RateLimiter
from app.kernel.registry import Registry
from app.kernel.runtime import Kernel
from app.kernel.secrets import KeyRing
from tests.support import toy
from tests.support.waiting import until


@asynccontextmanager
async def bare_kernel(
    url: str, data_dir: Path, *, clock: Clock | None = None, pool: int = 8
) -> AsyncIterator[Kernel]:
    """A kernel over a migrated database, with the toy table made if it is not there."""
    connection = await asyncpg.connect(url)
    try:
        if await connection.fetchval("SELECT to_regclass('toys.toys')") is None:
            for statement in toy.create_statements():
                await connection.execute(statement)
    finally:
        await connection.close()
    settings = Settings(environment="test", database_url=url, data_dir=data_dir, database_pool_size=pool)
    database = await Database.open(settings)
    try:
        yield Kernel(
            settings=settings,
            database=database,
            clock=clock or SystemClock(),
            registry=Registry([FIELDS_MODULE, toy.MODULE]),
            secrets=KeyRing.from_texts([KeyRing.generate()]),
            files=FileStore.from_url((data_dir / "files").resolve().as_uri()),
            mailer=Mailer.from_settings(settings),
            limiter=RateLimiter(1_000_000),
            custom_fields=CustomFields(),
        )
    finally:
        await database.close()


def new_tenant(**profile: str) -> Actor:
    """The system acting for a tenant that nobody else uses."""
    return system_actor(TenantProfile(id=new_id(), **profile))  # type: ignore[arg-type]


async def all_is_sealed(kernel: Kernel, tenant_id: UUID) -> None:
    """Seal until no entry of a tenant is left: other tests' transactions on this server hold the horizon back."""

    async def sealed() -> bool:
        await seal_tenant(kernel, tenant_id)
        return (await verify(kernel, tenant_id)).unsealed == 0

    await until(sealed)
