"""Who an operator is to the rest of the product, and the log of what operators did.

Each act stands twice: in the log of operators, which outlives the company, and in the company's own audit log.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from app.kernel.access import NOBODY, Actor, TenantProfile
from app.kernel.errors import NotFound
from app.kernel.runtime import Kernel
from app.kernel.uow import UnitOfWork, transaction
from app.tenants.models import OperatorAct, TenantStatus

INSTALLATION: Final = TenantProfile(id=NOBODY, name="The installation")


@dataclass(frozen=True, slots=True)
class Operator:
    """Somebody who looks after the installation."""

    id: UUID
    name: str

    @classmethod
    def console(cls) -> Operator:
        """Whoever sits at the command line of the installation itself."""
        return cls(NOBODY, "Command line")


def operator_actor(operator: Operator, tenant: TenantProfile = INSTALLATION) -> Actor:
    """The operator as the one who acts, for a company or for the installation."""
    return Actor(tenant=tenant, kind="operator", id=operator.id, name=operator.name, everything=True)


async def company(kernel: Kernel, tenant_id: UUID) -> TenantProfile:
    """A company that is not being erased. Raises: NotFound."""
    profile = await kernel.authenticator.tenant_profile(tenant_id)
    if profile.status == TenantStatus.ERASED:
        raise NotFound
    return profile


@asynccontextmanager
async def acting(kernel: Kernel, operator: Operator, tenant_id: UUID) -> AsyncIterator[UnitOfWork]:
    """A transaction of an operator who acts for a company, as the command line opens it. Raises: NotFound."""
    actor = operator_actor(operator, await company(kernel, tenant_id))
    async with transaction(kernel, actor) as uow:
        yield uow


async def note(
    uow: UnitOfWork, action: str, *, reason: str | None = None, details: Mapping[str, Any] | None = None
) -> None:
    """Log what the operator at hand does, with the rows that it changes."""
    actor = uow.actor
    await uow.insert(
        OperatorAct,
        at=uow.now,
        operator_id=actor.id,
        operator_name=actor.name,
        action=action,
        reason=reason,
        details=dict(details or {}),
        request_id=uow.request_id,
    )
    if uow.tenant_id != NOBODY:
        changes = {name: [None, value] for name, value in (details or {}).items()}
        uow.record_audit("tenant", uow.tenant_id, action, changes, reason=reason)
