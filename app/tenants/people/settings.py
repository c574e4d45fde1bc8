"""The company's own settings."""

from __future__ import annotations

from typing import Any

from app.kernel.errors import require_version
from app.kernel.uow import UnitOfWork
from app.tenants.auth.control import access_changed
from app.tenants.interface import TenantSettingsChanged
from app.tenants.models import Tenant


async def change_settings(uow: UnitOfWork, changes: dict[str, Any], *, expected_version: int) -> Tenant:
    """Change the tenant's settings, for everybody from the commit on. Raises: StaleVersion."""
    tenant = await uow.get(Tenant, uow.tenant_id, lock="update")
    require_version(tenant.version, expected=expected_version)
    changed = await uow.update(tenant, audit="tenant", **changes)
    if changed is not tenant:
        await access_changed(uow)  # every actor carries the profile
        different = sorted(name for name in changes if getattr(tenant, name) != getattr(changed, name))
        uow.publish(TenantSettingsChanged(id=tenant.id, changed=different))
    return changed
