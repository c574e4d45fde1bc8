"""Who is told what a company's plan and bills say: its owners and admins."""

from __future__ import annotations

from typing import Final

import asyncpg

from app.kernel.uow import UnitOfWork

_READERS: Final = """
SELECT m.id, m.email, m.name FROM tenants.members m WHERE m.tenant_id = $1 AND m.status = 'active' AND EXISTS (
  SELECT 1 FROM tenants.roles r WHERE r.tenant_id = $1 AND r.id = ANY(m.role_ids) AND r.key IN ('owner', 'admin'))
ORDER BY m.id"""


async def readers(uow: UnitOfWork) -> list[asyncpg.Record]:
    """The active owners and admins of the company at hand: `id`, `email`, `name`."""
    return await uow.fetch(_READERS, uow.tenant_id)
