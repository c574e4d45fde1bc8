"""Companies that are erased."""

from __future__ import annotations

from uuid import UUID

from app.kernel.runtime import Kernel
from app.tenants.auth.control import control_transaction
from app.tenants.interface import MovedBy
from app.tenants.leaving.erasure import Erasure, Erasures, request
from app.tenants.operators.acts import Operator, company, operator_actor


async def begun(kernel: Kernel, tenant_id: UUID, *, reason: str = "They asked for it") -> UUID:
    """An erasure that has begun."""
    actor = operator_actor(Operator.console(), await company(kernel, tenant_id))
    async with control_transaction(kernel, actor) as uow:
        return await request(uow, requested_by="Sam Support", reason=reason, by=MovedBy.OPERATOR)


async def erased(kernel: Kernel, tenant_id: UUID, *, batch: int = 5_000) -> dict[str, object]:
    """The certificate of a company that is gone."""
    return await Erasure(kernel, await begun(kernel, tenant_id), batch=batch).run()


async def finish(kernel: Kernel) -> None:
    """Whatever is under way, to its end."""
    erasures = Erasures(kernel)
    await erasures.adopt()
    for id in await erasures.open():
        await Erasure(kernel, id).run()
