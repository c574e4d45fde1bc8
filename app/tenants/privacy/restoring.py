"""After a restore: people whom the list outside of the database names, and the database knows again, go again."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from app.kernel.access import Actor, system_actor
from app.kernel.runtime import Kernel
from app.kernel.uow import transaction
from app.tenants.leaving.erase_list import Listed
from app.tenants.privacy.people_list import unapplied
from app.tenants.privacy.running import PersonErasure


async def erase_people_again(kernel: Kernel) -> list[UUID]:
    """Erase again whom a restore brought back; the requests, by their ids."""
    missing = await unapplied(kernel)
    for request_id, line in missing.items():
        actor = system_actor(await kernel.authenticator.tenant_profile(line.tenant_id))
        await _again(kernel, actor, request_id, line)

        async def told(erased: int) -> None: ...

        await PersonErasure(kernel, actor, request_id, told).run()
    return list(missing)


async def _again(kernel: Kernel, actor: Actor, request_id: UUID, line: Listed) -> None:
    """The request as it was confirmed, whether the backup has it as a draft or not at all."""
    confirmed_by = line.document["requested_by"]
    async with transaction(kernel, actor) as uow:
        await uow.fetch(
            "INSERT INTO tenants.privacy_requests (tenant_id, id, kind, state, subjects, held, candidates,"
            " confirmed_at, confirmed_by, listed_at, created_at, updated_at)"
            " VALUES ($1, $2, 'erasure', 'running', $3, '[]', '[]', $4, $5, $6, $4, $6)"
            " ON CONFLICT (tenant_id, id) DO UPDATE SET state = 'running', confirmed_at = excluded.confirmed_at,"
            " confirmed_by = excluded.confirmed_by, listed_at = excluded.listed_at",
            uow.tenant_id,
            request_id,
            line.document["subjects"],
            datetime.fromisoformat(line.document["requested_at"]),
            None if confirmed_by == "None" else UUID(confirmed_by),
            uow.now,
        )
        uow.record_audit("privacy_request", request_id, "restored")
