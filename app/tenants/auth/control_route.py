"""Operations of a signed-in person that need tables across tenants: same transaction rules, the control role."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from app.kernel.access import Actor
from app.kernel.runtime import Kernel
from app.kernel.transactional import TransactionalRoute
from app.tenants.auth.control import control_transaction


class ControlRoute(TransactionalRoute):
    """One operation in one control transaction."""

    async def _in_transaction(self, kernel: Kernel, request: Request, actor: Actor) -> Response:
        async with control_transaction(kernel, actor, request_id=request.scope["rapport.request_id"]) as uow:
            request.scope["rapport.uow"] = uow
            try:
                return await self._effect(uow, request)
            finally:
                request.scope["rapport.statements"] = uow.statements
