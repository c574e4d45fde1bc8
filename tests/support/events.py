"""A kernel without HTTP, for tests of what runs in the worker: relay, webhooks, sealer."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from app.kernel.access import Actor, TenantProfile, system_actor
from app.kernel.clock import Clock, SystemClock
from app.kernel.config import Settings
from app.kernel.db import Database
from app.kernel.ids import new_id
from app.kernel.registry import Module, Registry
from app.kernel.runtime import Kernel
from app.kernel.secrets import KeyRing


class Tenants:
    """Tenants by id, as the worker asks for them; who is signed in is no matter here."""

    async def tenant_profile(self, tenant_id: UUID) -> TenantProfile:
        return TenantProfile(id=tenant_id, name="A company")

    def forget(self, tenant_id: UUID) -> None:
        """Nothing is kept."""


@asynccontextmanager
async def worker_kernel(
    url: str, modules: Sequence[Module] = (), *, clock: Clock | None = None, **settings: Any
) -> AsyncIterator[Kernel]:
    """Settings, database, clock, registry and keys over a migrated database."""
    options: dict[str, Any] = {"webhook_allow_private": True, "data_dir": Path("/nonexistent")} | settings
    config = Settings(environment="test", database_url=url, **options)
    database = await Database.open(config)
    unused = cast("Any", None)
    kernel = Kernel(
        settings=config,
        database=database,
        clock=clock or SystemClock(),
        registry=Registry(modules),
        secrets=KeyRing([os.urandom(32)]),
        files=unused,
        mailer=unused,
        limiter=unused,
        custom_fields=unused,
    )
    kernel.authenticator = cast("Any", Tenants())
    try:
        yield kernel
    finally:
        await database.close()


def company_actor() -> Actor:
    """The product acting for a company of its own."""
    return system_actor(TenantProfile(id=new_id(), name="A company"))
