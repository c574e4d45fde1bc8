"""A kernel with nothing but the toy record type: for jobs, imports and exports without HTTP and sign-in."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from app.kernel.access import Actor, Scope, TenantProfile
from app.kernel.clock import Clock, SystemClock
from app.kernel.config import Settings
from app.kernel.custom_fields import CustomFields
from app.kernel.db import Database
from app.kernel.errors import NotFound
from app.kernel.files import FileStore, file_key
from app.kernel.ids import new_id
from app.kernel.imports.models import Import, StoredUpload
from app.kernel.imports.run import IMPORT_JOB, ImportPayload
from app.kernel.jobs import JobRunner
from app.kernel.people import People
from app.kernel.registry import JobKind, Module, Registry, Schedule
from app.kernel.runtime import Kernel
from app.kernel.secrets import KeyRing
from app.kernel.uow import transaction
from tests.support import toy

ALL = {
    f"toy:{action}": Scope.ALL
    for action in ("read", "create", "update", "delete", "assign", "share", "import", "export")
}


@dataclass
class Members:
    """Members by id and e-mail; answers for sign-in and for `People` alike."""

    actors: dict[UUID, Actor] = field(default_factory=dict)
    emails: dict[str, UUID] = field(default_factory=dict)

    def add(
        self, tenant: TenantProfile, email: str, grants: Mapping[str, Scope] = ALL, *, id: UUID | None = None
    ) -> Actor:
        id = id or new_id()
        actor = Actor(tenant=tenant, kind="member", id=id, name=email, member_id=id, grants=dict(grants))
        self.actors[id] = actor
        self.emails[email] = id
        return actor

    async def member_actor(self, tenant_id: UUID, member_id: UUID) -> Actor:
        found = self.actors.get(member_id)
        if found is None or found.tenant.id != tenant_id:
            raise NotFound
        return found

    async def tenant_profile(self, tenant_id: UUID) -> TenantProfile:
        return next(actor.tenant for actor in self.actors.values() if actor.tenant.id == tenant_id)

    async def active_tenants(self) -> list[TenantProfile]:
        return list({actor.tenant.id: actor.tenant for actor in self.actors.values()}.values())

    async def require_members(self, ids: Collection[UUID], *, pointer: str) -> Mapping[UUID, UUID | None]:
        if not set(ids) <= self.actors.keys():
            raise NotFound("There is no such member.")
        return dict.fromkeys(ids)

    async def members_by_email(self, emails: Collection[str]) -> Mapping[str, UUID]:
        return {email: self.emails[email] for email in emails if email in self.emails}


@dataclass
class Bench:
    """A kernel, one member who may do everything, and shortcuts."""

    kernel: Kernel
    members: Members
    actor: Actor
    url: str

    async def upload(self, content: bytes, name: str = "toys.csv") -> UUID:
        """Store a file as `POST /v1/files` does."""

        async def chunks() -> AsyncIterator[bytes]:
            yield content

        id = new_id()
        key = file_key(self.actor.tenant.id, "files", str(id))
        stored = await self.kernel.files.put_stream(key, chunks(), max_size=1 << 30)
        async with transaction(self.kernel, self.actor) as uow:
            await uow.insert(
                StoredUpload, id=id, name=name, media_type=stored.media_type, size=stored.size,
                sha256=stored.sha256, key=key, created_by=self.actor.member_id,
            )  # fmt: skip
        return id

    async def start(self, content: bytes, mapping: dict[str, str | None], **options: Any) -> UUID:
        """An import of `content`, queued."""
        values: dict[str, Any] = {
            "object": "toy", "mode": "create", "key": "external_id", "dry_run": False, "state": "validating",
            "options": {}, "defaults": {}, "mapping": mapping, "position": 0, "created": 0, "updated": 0,
            "unchanged": 0, "failed": 0, "created_by": self.actor.member_id,
        } | options  # fmt: skip
        file_id = await self.upload(content)
        async with transaction(self.kernel, self.actor) as uow:
            made = await uow.insert(Import, file_id=file_id, **values)
            uow.enqueue("imports.run", ImportPayload(import_id=made.id).model_dump(mode="json"))
        return made.id

    async def run(self, content: bytes, mapping: dict[str, str | None], **options: Any) -> Import:
        """The import after all due jobs have run."""
        id = await self.start(content, mapping, **options)
        await JobRunner(self.kernel).run_due()
        return await self.read(id)

    async def read(self, id: UUID) -> Import:
        async with transaction(self.kernel, self.actor, read_only=True) as uow:
            return await uow.get(Import, id)

    async def fetch(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        async with self.kernel.database.tenant(self.actor.tenant.id) as connection:
            return await connection.fetch(sql, *arguments)

    async def value(self, sql: str, *arguments: Any) -> Any:
        return (await self.fetch(sql, *arguments))[0][0]


@asynccontextmanager
async def bench(
    url: str,
    data_dir: Path,
    *,
    jobs: tuple[JobKind, ...] = (IMPORT_JOB,),
    schedules: tuple[Schedule, ...] = (),
    clock: Clock | None = None,
    member: tuple[UUID, UUID] | None = None,
) -> AsyncIterator[Bench]:
    """Everything opened over the database at `url`; the toy's table is made unless this goes on for a
    `member` (tenant and member id) of a database that has it."""
    if member is None:
        connection = await asyncpg.connect(url)
        try:
            for statement in toy.create_statements():
                await connection.execute(statement)
        finally:
            await connection.close()
    members = Members()
    plain_toys = dataclasses.replace(toy.MODULE, routers=[])
    registry = Registry(
        [
            plain_toys,
            Module(name="bulk", jobs=jobs, schedules=schedules, interfaces={People: lambda _: members}),
        ]
    )
    database = await Database.open(Settings(environment="test", database_url=url, data_dir=data_dir))
    try:
        kernel = Kernel(
            settings=Settings(environment="test", database_url=url, data_dir=data_dir),
            database=database,
            clock=clock or SystemClock(),
            registry=registry,
            secrets=KeyRing.from_texts([KeyRing.generate()]),
            files=FileStore.from_url((data_dir / "files").as_uri()),
            mailer=None,  # type: ignore[arg-type]
            limiter=None,  # type: ignore[arg-type]
            custom_fields=CustomFields(),
        )
        kernel.authenticator = members  # type: ignore[assignment]
        tenant_id, member_id = member or (new_id(), new_id())
        tenant = TenantProfile(id=tenant_id, name="Toys", currency="EUR")
        actor = members.add(tenant, "olivia@example.com", id=member_id)
        yield Bench(kernel, members, actor, url)
    finally:
        await database.close()


async def _work(url: str, data_dir: str, tenant_id: str, member_id: str) -> None:
    async with bench(url, Path(data_dir), member=(UUID(tenant_id), UUID(member_id))) as made:
        await JobRunner(made.kernel).run(asyncio.Event())


if __name__ == "__main__":
    # A worker of its own, for tests that kill it.
    asyncio.run(_work(*sys.argv[1:]))
